package event

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/trust"
)

// ErrAccess is the error of an access token that does not hold, or is not the one that an
// event needs.
var ErrAccess = errors.New("access token does not hold")

// ErrExpired is the error of an access token at a moment that it does not cover. It matches
// ErrAccess as well.
var ErrExpired = fmt.Errorf("%w: not at that time", ErrAccess)

// jwtHeader begins every JWT of version 2: {"typ":"JWT","alg":"ed25519-nkey"}.
const jwtHeader = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ."

// MaxAccess is the most bytes of an access token: a NATS account JWT is the largest part.
const MaxAccess = 64 << 10

// Access is an access token: who an account says that a device is. It is a NATS user JWT
// and, where the account is to be believed on an operator's word or has signed it with one
// of its signing keys, behind a space the account's JWT.
type Access struct {
	Device   trust.PublicKey // the user that signs events
	Account  trust.PublicKey // the identity that vouches for it
	Operator trust.PublicKey // the key that vouches for the account; zero: none does
	Name     string          // what the user JWT calls it
	Issued   time.Time
	Expires  time.Time // zero: it does not

	text           string
	direct         bool // issued by the account itself, not by a signing key of it
	accountExpires time.Time
	revokedUntil   time.Time // user JWTs of the device up to then are revoked
}

// ParseAccess reads an access token and verifies every signature in it, the order of its
// parts and what they say of one another. Whether to believe its account or operator, and
// when it is good, is up to the caller. Errors match ErrAccess.
func ParseAccess(text string) (*Access, error) {
	if len(text) > MaxAccess {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrAccess, MaxAccess)
	}
	parts := strings.Split(text, " ")
	if len(parts) > 2 {
		return nil, fmt.Errorf("%w: a user token and an account token, and nothing behind them", ErrAccess)
	}
	user, err := decodeClaims[*jwt.UserClaims](parts[0], "user")
	if err != nil {
		return nil, err
	}
	a := &Access{Name: user.Name, Issued: fromSeconds(user.IssuedAt), Expires: fromSeconds(user.Expires), text: text}
	if a.Device, err = trust.ParsePublicKey(trust.Device, user.Subject); err != nil {
		return nil, fmt.Errorf("%w: not about a user", ErrAccess)
	}
	account := user.Issuer
	if user.IssuerAccount != "" {
		account = user.IssuerAccount
	}
	if a.Account, err = trust.ParsePublicKey(trust.Account, account); err != nil {
		return nil, fmt.Errorf("%w: not by an account", ErrAccess)
	}
	a.direct = user.Issuer == account
	if user.NotBefore > user.IssuedAt {
		a.Issued = fromSeconds(user.NotBefore)
	}
	if len(parts) == 2 {
		return a, a.takeAccount(user, parts[1])
	}
	if !a.direct {
		return nil, fmt.Errorf("%w: a signing key issued it, and the account's own token is not there", ErrAccess)
	}
	return a, nil
}

// takeAccount reads the account's own token, which says which keys sign for it.
func (a *Access) takeAccount(user *jwt.UserClaims, text string) error {
	account, err := decodeClaims[*jwt.AccountClaims](text, "account")
	if err != nil {
		return err
	}
	if account.Subject != a.Account.Text(trust.Account) {
		return fmt.Errorf("%w: the account token is another account's", ErrAccess)
	}
	if !a.direct && !account.SigningKeys.Contains(user.Issuer) {
		return fmt.Errorf("%w: issued by a key that is none of the account's", ErrAccess)
	}
	if a.Operator, err = trust.ParsePublicKey(trust.Operator, account.Issuer); err != nil {
		return fmt.Errorf("%w: the account token is not by an operator", ErrAccess)
	}
	a.accountExpires = fromSeconds(account.Expires)
	for _, who := range []string{user.Subject, jwt.All} {
		if until, revoked := account.Revocations[who]; revoked && fromSeconds(until).After(a.revokedUntil) {
			a.revokedUntil = fromSeconds(until)
		}
	}
	return nil
}

// decodeClaims reads a JWT of a kind and verifies its signature.
func decodeClaims[T jwt.Claims](text, kind string) (claims T, err error) {
	decoded, err := jwt.Decode(text)
	if err != nil {
		return claims, fmt.Errorf("%w: the %s token cannot be read, or its signature does not hold", ErrAccess, kind)
	}
	claims, ok := decoded.(T)
	if !ok || !strings.HasPrefix(text, jwtHeader) {
		return claims, fmt.Errorf("%w: a token of another kind stands in the place of the %s token", ErrAccess, kind)
	}
	return claims, nil
}

func fromSeconds(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// GoodAt returns an error that matches ErrExpired unless the token covers the moment at, or
// ErrRevoked if its account took it back. skew is how far the clocks of issuer and
// publisher may be apart.
func (a *Access) GoodAt(at time.Time, skew time.Duration) error {
	switch {
	case at.Before(a.Issued.Add(-skew)):
		return fmt.Errorf("%w: issued after it", ErrExpired)
	case !a.Expires.IsZero() && at.After(a.Expires):
		return fmt.Errorf("%w: it had expired", ErrExpired)
	case !a.accountExpires.IsZero() && at.After(a.accountExpires):
		return fmt.Errorf("%w: the account's token had expired", ErrExpired)
	case !a.Issued.After(a.revokedUntil):
		return fmt.Errorf("%w: the account took its access token back", ErrRevoked)
	}
	return nil
}

// String is the text that ParseAccess reads.
func (a *Access) String() string { return a.text }

// Hash names the token, so that it need not travel with every event.
func (a *Access) Hash() Hash { return accessHash(a.text) }

func accessHash(text string) Hash { return sha256.Sum256([]byte(text)) }
