package event

import (
	"encoding/base64"
	"fmt"
	"time"

	"keyhall.dev/keyhall/trust"
)

// MaxLogin is the largest sealed backup of a login, in bytes.
const MaxLogin = MaxRecovery

// The kinds of login events.
const (
	PasswordLogin = "login.password"
	PasskeyLogin  = "login.passkey"
	RemoveLogin   = "login.remove"
)

const (
	loginSubject  = "login."
	minBlob       = 28   // bytes: nonce and tag
	maxCredential = 1023 // bytes of a credential's id, as WebAuthn has it
)

// LoginSubject is the subject of a person's logins.
func LoginSubject(account string) string { return loginSubject + account }

// PasswordBody is what a login by password says: the cost of the password, the hash of its
// verifier, and the backup that it opens.
type PasswordBody struct {
	Salt     []byte `json:"salt"`   // 16 bytes
	Memory   uint32 `json:"memory"` // KiB
	Passes   uint32 `json:"passes"`
	Verifier Hash   `json:"verifier"`
	Blob     []byte `json:"blob"`
}

// Cost is the password's.
func (b *PasswordBody) Cost() trust.PasswordCost {
	return trust.PasswordCost{Salt: [16]byte(b.Salt), Memory: b.Memory, Passes: b.Passes}
}

// PasskeyBody is the backup that a passkey opens. Credential is its id in base64url.
type PasskeyBody struct {
	Credential string `json:"credential"`
	Blob       []byte `json:"blob"`
}

// RemoveBody takes a passkey's backup away, or the password where it names none.
type RemoveBody struct {
	Credential string `json:"credential,omitempty"`
}

// Login is what a login event says; one of the three is there.
type Login struct {
	Password *PasswordBody
	Passkey  *PasskeyBody
	Remove   *RemoveBody
}

// Credential is the passkey that it is about; empty for the password.
func (l *Login) Credential() string {
	switch {
	case l.Passkey != nil:
		return l.Passkey.Credential
	case l.Remove != nil:
		return l.Remove.Credential
	}
	return ""
}

// NewLogin makes the event of a login, signed by the identity itself, at a time after that of
// the one which it replaces.
func NewLogin(hubID string, identity *trust.KeyPair, at time.Time, login Login) (*Event, error) {
	kind, body := RemoveLogin, any(login.Remove)
	switch {
	case login.Password != nil:
		kind, body = PasswordLogin, login.Password
	case login.Passkey != nil:
		kind, body = PasskeyLogin, login.Passkey
	}
	data, err := trust.Canonical(body)
	if err != nil {
		return nil, err
	}
	ev := &Event{
		Author: identity.Public(), Type: kind, Subject: LoginSubject(identity.String()), Audience: hubID, Time: at, Body: data,
	}
	if err := ev.Sign(identity); err != nil {
		return nil, fmt.Errorf("sign login: %w", err)
	}
	_, err = ev.CheckLogin(hubID)
	return ev, err
}

// CheckLogin verifies a login event for the hub: its signature, that the identity itself made
// it, and that what it says can be.
func (e *Event) CheckLogin(hubID string) (*Login, error) {
	if err := e.Meant(e.Type, LoginSubject(e.Author.Text(trust.Account)), hubID); err != nil {
		return nil, err
	}
	if err := e.Check(); err != nil {
		return nil, err
	}
	switch {
	case e.Device != e.Author:
		return nil, fmt.Errorf("%w: a login is signed by the identity itself", ErrSignature)
	case e.Seq != 0 || !e.Epoch.IsZero() || !e.NotAfter.IsZero():
		return nil, fmt.Errorf("%w: not a login", ErrMalformed)
	}
	login := new(Login)
	var err error
	switch e.Type {
	case PasswordLogin:
		login.Password = new(PasswordBody)
		err = parseLogin(e.Body, login.Password, login.Password.check)
	case PasskeyLogin:
		login.Passkey = new(PasskeyBody)
		err = parseLogin(e.Body, login.Passkey, login.Passkey.check)
	case RemoveLogin:
		login.Remove = new(RemoveBody)
		err = parseLogin(e.Body, login.Remove, login.Remove.check)
	default:
		err = fmt.Errorf("%w: its type is %q", ErrNotMeant, e.Type)
	}
	if err != nil {
		return nil, err
	}
	return login, nil
}

func parseLogin(data []byte, body any, check func() bool) error {
	if err := trust.ParseCanonical(data, body); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !check() {
		return fmt.Errorf("%w: a login that cannot be", ErrMalformed)
	}
	return nil
}

func (b *PasswordBody) check() bool {
	return len(b.Salt) == 16 && !b.Verifier.IsZero() && validBlob(b.Blob) && b.Cost().Check() == nil
}

func (b *PasskeyBody) check() bool { return validCredential(b.Credential) && validBlob(b.Blob) }

func (b *RemoveBody) check() bool { return b.Credential == "" || validCredential(b.Credential) }

func validBlob(blob []byte) bool { return len(blob) >= minBlob && len(blob) <= MaxLogin }

// validCredential reports whether text is the one text of a credential's id.
func validCredential(text string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && len(raw) > 0 && len(raw) <= maxCredential && base64.RawURLEncoding.EncodeToString(raw) == text
}
