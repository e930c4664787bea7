package trust

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// The bounds of what a password's hash may cost. Less is too easy to try, more is a hub that
// wants to wear a browser out.
const (
	MinPasswordMemory = 8 << 10 // KiB
	MaxPasswordMemory = 1 << 20
	MaxPasswordPasses = 16

	maxPassword = 1024 // bytes
)

// ErrPassword is the error of a password, or of the cost of one, that cannot be.
var ErrPassword = errors.New("not a password that can be used")

// PasswordCost is what trying one password costs, and the salt, which is of one person.
type PasswordCost struct {
	Salt   [16]byte
	Memory uint32 // KiB
	Passes uint32
}

// NewPasswordCost is the cost of a new password: a salt of its own, 64 MiB and three passes,
// which RFC 9106 recommends where there is less than the first choice takes.
func NewPasswordCost() PasswordCost {
	cost := PasswordCost{Memory: 64 << 10, Passes: 3}
	rand.Read(cost.Salt[:]) // never fails since Go 1.24
	return cost
}

// Check refuses a cost out of bounds, with ErrPassword.
func (c PasswordCost) Check() error {
	if c.Memory < MinPasswordMemory || c.Memory > MaxPasswordMemory || c.Passes < 1 || c.Passes > MaxPasswordPasses {
		return fmt.Errorf("%w: its cost is out of bounds", ErrPassword)
	}
	return nil
}

// Password is what a password yields at one hub: the verifier, which shows the hub that
// somebody knows it, and the wrapping key, which stays. Neither tells the other.
type Password struct {
	Wrap
	verifier [32]byte
}

// DerivePassword makes the two secrets of a password. It takes the time and the memory that
// the cost says. Errors match ErrPassword and show nothing of the password.
func DerivePassword(hubID, password string, cost PasswordCost) (*Password, error) {
	if err := cost.Check(); err != nil {
		return nil, err
	}
	if password == "" || len(password) > maxPassword || !utf8.ValidString(password) {
		return nil, fmt.Errorf("%w: it has 1 to %d bytes of text", ErrPassword, maxPassword)
	}
	master := argon2.IDKey([]byte(norm.NFKC.String(password)), cost.Salt[:], cost.Passes, cost.Memory, 1, 32)
	p := &Password{Wrap: Wrap{kind: "password"}}
	copy(p.verifier[:], derived(hubID, master, "password-verifier", len(p.verifier)))
	copy(p.key[:], derived(hubID, master, "password-wrap", len(p.key)))
	return p, nil
}

// Verifier is what shows the hub that somebody knows the password.
func (p *Password) Verifier() [32]byte { return p.verifier }

// VerifierHash is what the hub keeps of it.
func (p *Password) VerifierHash() [32]byte { return sha256.Sum256(p.verifier[:]) }

// String shows that there is a password, and nothing of it.
func (p *Password) String() string { return "what a password yields" }

// GoString keeps the secrets out of %#v.
func (p *Password) GoString() string { return p.String() }
