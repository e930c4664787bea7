package event

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyhall.dev/keyhall/trust"
)

// ErrAccess is the error of an access token that does not hold, or is not the one that an
// event needs.
var ErrAccess = errors.New("access token does not hold")

// ErrExpired is the error of an access token at a moment that it does not cover. It matches
// ErrAccess as well.
var ErrExpired = fmt.Errorf("%w: not at that time", ErrAccess)

// everyUser stands for all users in the revocations of an account.
const everyUser = "*"

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
	hash           Hash
	direct         bool      // issued by the account itself, not by a signing key of it
	issued         time.Time // when the user JWT says so; Issued may be later
	accountExpires time.Time
	revoked        bool // by its account
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
	user, err := readClaims(parts[0], "user", trust.Account)
	if err != nil {
		return nil, err
	}
	a := &Access{text: text, hash: accessHash(text)}
	if err := a.takeUser(user); err != nil {
		return nil, err
	}
	if len(parts) == 2 {
		return a, a.takeAccount(user, parts[1])
	}
	if !a.direct {
		return nil, fmt.Errorf("%w: a signing key issued it, and the account's own token is not there", ErrAccess)
	}
	return a, nil
}

func (a *Access) takeUser(user *claims) (err error) {
	if a.Device, err = user.all.key(trust.Device, "sub"); err != nil {
		return fmt.Errorf("%w: not about a user", ErrAccess)
	}
	issuer, err := user.all.key(trust.Account, "iss")
	if err != nil {
		return fmt.Errorf("%w: not by an account", ErrAccess)
	}
	a.Account = issuer
	if by, err := user.nats.text("issuer_account"); err != nil || by != "" {
		if a.Account, err = user.nats.key(trust.Account, "issuer_account"); err != nil {
			return fmt.Errorf("%w: not by an account", ErrAccess)
		}
	}
	a.direct = issuer == a.Account
	var begins time.Time
	for name, at := range map[string]*time.Time{"iat": &a.Issued, "exp": &a.Expires, "nbf": &begins} {
		if *at, err = user.all.time(name); err != nil {
			return fmt.Errorf("%w: a time of the user token", ErrAccess)
		}
	}
	a.issued = a.Issued
	if begins.After(a.Issued) {
		a.Issued = begins
	}
	if a.Name, err = user.all.text("name"); err != nil {
		return fmt.Errorf("%w: the name in the user token", ErrAccess)
	}
	return nil
}

// takeAccount reads the account's own token, which says which keys sign for it.
func (a *Access) takeAccount(user *claims, text string) error {
	account, err := readClaims(text, "account", trust.Operator)
	if err != nil {
		return err
	}
	if whose, err := account.all.key(trust.Account, "sub"); err != nil || whose != a.Account {
		return fmt.Errorf("%w: the account token is another account's", ErrAccess)
	}
	signing, err := account.nats.keys("signing_keys")
	if err != nil {
		return fmt.Errorf("%w: the signing keys of the account", ErrAccess)
	}
	if issuer, _ := user.all.text("iss"); !a.direct && !slices.Contains(signing, issuer) {
		return fmt.Errorf("%w: issued by a key that is none of the account's", ErrAccess)
	}
	if a.Operator, err = account.all.key(trust.Operator, "iss"); err != nil {
		return fmt.Errorf("%w: the account token is not by an operator", ErrAccess)
	}
	if a.accountExpires, err = account.all.time("exp"); err != nil {
		return fmt.Errorf("%w: a time of the account token", ErrAccess)
	}
	return a.takeRevocations(account)
}

// takeRevocations reads which of its users the account has revoked: user tokens that were
// issued up to a moment.
func (a *Access) takeRevocations(account *claims) error {
	revoked, err := account.nats.object("revocations")
	if err != nil {
		return fmt.Errorf("%w: the revocations of the account", ErrAccess)
	}
	for _, who := range []string{a.Device.Text(trust.Device), everyUser} {
		until, err := revoked.time(who)
		if err != nil {
			return fmt.Errorf("%w: the revocations of the account", ErrAccess)
		}
		if _, there := revoked[who]; there && !a.issued.After(until) {
			a.revoked = true
		}
	}
	return nil
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
	case a.revoked:
		return fmt.Errorf("%w: the account took its access token back", ErrRevoked)
	}
	return nil
}

// String is the text that ParseAccess reads.
func (a *Access) String() string { return a.text }

// Hash names the token, so that it need not travel with every event.
func (a *Access) Hash() Hash { return a.hash }

func accessHash(text string) Hash { return sha256.Sum256([]byte(text)) }
