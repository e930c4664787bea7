package users

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

// maxHashing is the memory of all hashes that run at a time, in KiB.
const maxHashing = 1 << 20

// Backend decides logins by a users file. It never changes: a file that did is loaded anew.
type Backend struct {
	accounts callout.Accounts
	users    map[string]user
	costs    []cost // each that is in the file, once
	salt     []byte // of the hashes that are made only to take their time
	places   chan struct{}
	derive   func(c cost, password string, salt []byte) []byte
}

// user is one entry.
type user struct {
	role   policy.Role
	person policy.Person
	plain  [sha256.Size]byte // of a password that stands in the file as it is
	hash   *hash             // nil for such a one
}

func newBackend(accounts callout.Accounts, users map[string]user) *Backend {
	b := &Backend{accounts: accounts, users: users, salt: make([]byte, defaultSalt), derive: cost.derive}
	most := uint32(1)
	for _, u := range users {
		if u.hash != nil && !slices.Contains(b.costs, u.hash.cost) {
			b.costs = append(b.costs, u.hash.cost)
			most = max(most, u.hash.cost.memory)
		}
	}
	b.places = make(chan struct{}, max(1, min(runtime.GOMAXPROCS(0), maxHashing/int(most))))
	return b
}

// Name is users.
func (b *Backend) Name() string { return "users" }

// Places is how many logins are decided at a time: as many as may hash.
func (b *Backend) Places() int { return cap(b.places) }

// String keeps what is in the file out of formatted text.
func (b *Backend) String() string { return fmt.Sprintf("users file with %d users", len(b.users)) }

// GoString does so for %#v.
func (b *Backend) GoString() string { return b.String() }

// Takes logins with a user and a password and no token. A password that has the form of a
// bearer token is none. Certificates and signatures do not matter: a server that verifies
// certificates has one of everybody, and a sentinel with a seed signs.
func (b *Backend) Takes(request *callout.Request) bool {
	return request.User != "" && request.Password != "" && request.Token == "" && !looksBearer(request.Password)
}

// looksBearer reports whether a text has the form of a JWT: three parts in base64url, of
// which the first begins as a JSON object does.
func looksBearer(text callout.Secret) bool {
	parts := strings.Split(text.Reveal(), ".")
	if len(parts) != 3 || !strings.HasPrefix(parts[0], "eyJ") {
		return false
	}
	return !slices.ContainsFunc(parts, func(part string) bool {
		return strings.ContainsFunc(part, func(r rune) bool {
			letter := r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
			return !letter && r != '-' && r != '_'
		})
	})
}

// Guessed is the name: passwords of people can be guessed.
func (b *Backend) Guessed(request *callout.Request) string {
	if !b.Takes(request) {
		return ""
	}
	return request.User
}

// Authorize lets in who says the password. It fails with callout.ErrWrong for nobody of the
// file as for a wrong password, after the same time.
func (b *Backend) Authorize(ctx context.Context, request *callout.Request) (*callout.Grant, error) {
	if !b.Takes(request) || len(request.Password) > maxPassword {
		return nil, wrong()
	}
	u, known := b.users[request.User]
	right, err := b.proves(ctx, u, request.Password.Reveal())
	if err != nil {
		return nil, err
	}
	if !known || !right {
		return nil, wrong()
	}
	return u.role.Grant(b.accounts, u.person, time.Now())
}

func wrong() error { return callout.Wrong("the user or the password is wrong") }

// Explain is the grant of the user of that name.
func (b *Backend) Explain(_ context.Context, query callout.Query) (*callout.Grant, error) {
	u, known := b.users[query.User]
	if !known {
		return nil, fault.New(fault.NotFound, "the users file has no user of that name")
	}
	return u.role.Grant(b.accounts, u.person, time.Now())
}

// proves reports whether a password is the user's. It makes one hash of each cost, for
// whomever: of the zero user, nobody, all of them for nothing.
func (b *Backend) proves(ctx context.Context, u user, password string) (bool, error) {
	sum := sha256.Sum256([]byte(password))
	right := u.hash == nil && subtle.ConstantTimeCompare(sum[:], u.plain[:]) == 1
	for _, c := range b.costs {
		salt, own := b.salt, u.hash != nil && u.hash.cost == c
		if own {
			salt = u.hash.salt
		}
		key, err := b.hashed(ctx, c, password, salt)
		if err != nil {
			return false, err
		}
		if own {
			right = u.hash.equal(key)
		}
	}
	return right, nil
}

// hashed waits for a place and hashes there.
func (b *Backend) hashed(ctx context.Context, c cost, password string, salt []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, waited(err)
	}
	select {
	case b.places <- struct{}{}:
		defer func() { <-b.places }()
		return b.derive(c, password, salt), nil
	case <-ctx.Done():
		return nil, waited(ctx.Err())
	}
}

func waited(err error) error {
	return fault.Wrap(fault.Unavailable, err, "more passwords wait to be checked than can be in time")
}
