package trust

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
)

// ErrRecovery is the error of text that is not a recovery code.
var ErrRecovery = errors.New("not a recovery code")

// ErrBackup is the error of a backup that does not open: another code, another hub, or
// changed bytes. Which of them cannot be told.
var ErrBackup = errors.New("backup does not open")

// Recovery is a recovery code: on paper, it is what brings a person back whose devices are
// lost. It names a hub and holds the secret of which the recovery key and the key of the
// backup are made. Printing one shows nothing; Code does.
type Recovery struct {
	Hub    [16]byte // fingerprint of the hub
	secret [20]byte
}

const (
	recoveryVersion = 1
	recoveryCheck   = 3 // bytes
	recoveryLength  = 1 + 16 + 20 + recoveryCheck
	recoveryPrefix  = "kr-"
	recoveryGroup   = 8 // characters
)

// NewRecovery makes a recovery code with a fresh secret of 160 bits, for one hub.
func NewRecovery(hubID string) *Recovery {
	r := &Recovery{Hub: Fingerprint(hubID)}
	rand.Read(r.secret[:]) // never fails since Go 1.24
	return r
}

// Code is the code's text: prefix and eight groups of eight characters. It is a secret: who
// has it is the person.
func (r *Recovery) Code() string {
	body := append([]byte{recoveryVersion}, r.Hub[:]...)
	body = append(body, r.secret[:]...)
	check := sha256.Sum256(body)
	text := idText.EncodeToString(append(body, check[:recoveryCheck]...))
	groups := make([]string, 0, len(text)/recoveryGroup)
	for ; text != ""; text = text[recoveryGroup:] {
		groups = append(groups, text[:recoveryGroup])
	}
	return recoveryPrefix + strings.Join(groups, "-")
}

// ParseRecovery reads a recovery code; case, spaces and dashes do not matter. Errors match
// ErrRecovery and show nothing of the text.
func ParseRecovery(code string) (*Recovery, error) {
	if len(code) > 1024 {
		return nil, fmt.Errorf("%w: too long", ErrRecovery)
	}
	text := strings.ReplaceAll(strings.Join(strings.Fields(strings.ToLower(code)), ""), "-", "")
	text, found := strings.CutPrefix(text, strings.TrimSuffix(recoveryPrefix, "-"))
	if !found {
		return nil, fmt.Errorf("%w: it should begin with %q", ErrRecovery, recoveryPrefix)
	}
	raw, err := idText.DecodeString(text)
	if err != nil || len(raw) != recoveryLength || len(text) != idText.EncodedLen(recoveryLength) {
		return nil, fmt.Errorf("%w: a part is missing or mistyped", ErrRecovery)
	}
	body, check := raw[:recoveryLength-recoveryCheck], raw[recoveryLength-recoveryCheck:]
	if sum := sha256.Sum256(body); subtle.ConstantTimeCompare(sum[:recoveryCheck], check) != 1 {
		return nil, fmt.Errorf("%w: a character is mistyped", ErrRecovery)
	}
	if body[0] != recoveryVersion {
		return nil, fmt.Errorf("%w: it is of a newer version", ErrRecovery)
	}
	return &Recovery{Hub: [16]byte(body[1:17]), secret: [20]byte(body[17:])}, nil
}

// Key is the recovery key: its public half names the backup at the hub.
func (r *Recovery) Key() *KeyPair { return keyPairFrom(Device, r.derive("recovery-key")) }

// Seal seals a backup for the hub with the given id. The result is 28 bytes longer than
// plaintext.
func (r *Recovery) Seal(hubID string, plaintext []byte) []byte {
	return r.aead().Seal(nil, nil, plaintext, r.backupData(hubID))
}

// Open opens what Seal sealed under the same code for the same hub. Any failure is ErrBackup.
func (r *Recovery) Open(hubID string, blob []byte) ([]byte, error) {
	plaintext, err := r.aead().Open(nil, nil, blob, r.backupData(hubID))
	if err != nil {
		return nil, ErrBackup
	}
	return plaintext, nil
}

// String shows that there is a code, and nothing of it.
func (r *Recovery) String() string { return "a recovery code" }

// GoString keeps the secret out of %#v.
func (r *Recovery) GoString() string { return r.String() }

func (r *Recovery) derive(what string) []byte {
	key, err := hkdf.Key(sha256.New, r.secret[:], r.Hub[:], string(Label(what)), 32)
	if err != nil {
		panic(err) // the length is far below the limit of HKDF
	}
	return key
}

func (r *Recovery) aead() cipher.AEAD { return sealed(r.derive("recovery-wrap")) }

// backupData binds a blob to its hub and to the name under which it lies there.
func (r *Recovery) backupData(hubID string) []byte {
	data := append(Label("recovery"), hubID...)
	data = append(data, 0)
	public := r.Key().Public()
	return append(data, public[:]...)
}
