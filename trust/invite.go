package trust

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// ErrInvite is the error of text that is not an invite.
var ErrInvite = errors.New("not an invite code")

// Invite is what an inviter hands to a joiner: which hub, who invites, and a secret from
// which both derive the invite key. The hub knows that key's public half only.
type Invite struct {
	Hub     [16]byte  // fingerprint of the hub
	Inviter PublicKey // identity of the inviter, or the operator key for a host's invite
	secret  [16]byte
}

const (
	inviteVersion = 1
	inviteLength  = 1 + 16 + 32 + 16 + 4
	invitePrefix  = "kh-"
)

// NewInvite makes an invite with a fresh secret.
func NewInvite(hubID string, inviter PublicKey) *Invite {
	invite := &Invite{Hub: Fingerprint(hubID), Inviter: inviter}
	rand.Read(invite.secret[:])
	return invite
}

// Key is the invite key that the secret yields.
func (i *Invite) Key() *KeyPair {
	seed, err := hkdf.Key(sha256.New, i.secret[:], i.Hub[:], string(Label("invite")), 32)
	if err != nil {
		panic(err) // the length is far below the limit of HKDF
	}
	return keyPairFrom(Device, seed)
}

// Code is the invite's text. It is a secret: who has it can be admitted.
func (i *Invite) Code() string {
	raw := append([]byte{inviteVersion}, i.Hub[:]...)
	raw = append(raw, i.Inviter[:]...)
	raw = append(raw, i.secret[:]...)
	check := sha256.Sum256(raw)
	text := idText.EncodeToString(append(raw, check[:4]...))
	var groups []string
	for len(text) > 8 {
		groups, text = append(groups, text[:8]), text[8:]
	}
	return invitePrefix + strings.Join(append(groups, text), "-")
}

// ParseInvite reads an invite code; case, spaces and dashes do not matter. Errors match ErrInvite.
func ParseInvite(code string) (*Invite, error) {
	if len(code) > 1024 {
		return nil, fmt.Errorf("%w: too long", ErrInvite)
	}
	text := strings.ReplaceAll(strings.Join(strings.Fields(strings.ToLower(code)), ""), "-", "")
	text, found := strings.CutPrefix(text, strings.TrimSuffix(invitePrefix, "-"))
	if !found {
		return nil, fmt.Errorf("%w: it should begin with %q", ErrInvite, invitePrefix)
	}
	raw, err := idText.DecodeString(text)
	if err != nil || len(raw) != inviteLength || idText.EncodeToString(raw) != text { // no loose bits
		return nil, fmt.Errorf("%w: a part is missing or mistyped", ErrInvite)
	}
	body, check := raw[:inviteLength-4], raw[inviteLength-4:]
	if sum := sha256.Sum256(body); string(sum[:4]) != string(check) {
		return nil, fmt.Errorf("%w: a character is mistyped", ErrInvite)
	}
	if body[0] != inviteVersion {
		return nil, fmt.Errorf("%w: it is of a newer version", ErrInvite)
	}
	return &Invite{
		Hub: [16]byte(body[1:17]), Inviter: PublicKey(body[17:49]), secret: [16]byte(body[49:65]),
	}, nil
}
