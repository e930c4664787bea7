package backendtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/natstest"
)

// judged has a real server take the grants through a real engine. What good people may,
// they may; what is theirs, nobody may who has a clever name.
func (s Subject) judged(t *testing.T) {
	court := s.open(t)
	reached := make(map[string]bool)
	var names []string
	for _, login := range s.Good {
		grant, err := s.authorize(t, login)
		if err != nil {
			t.Errorf("%s: %v", login.Name, err)
			continue
		}
		names = append(names, grant.Name)
		nc, err := court.enter(t, grant)
		if err != nil {
			t.Errorf("%s: the server does not take the grant: %v", login.Name, err)
			continue
		}
		for what, may := range s.Private.tried(t, nc) {
			reached[what] = reached[what] || may
		}
		nc.Close()
	}
	for _, subject := range s.Private.all() {
		if !reached[subject] {
			t.Errorf("%s: allowed to nobody, and so proves nothing", subject)
		}
	}
	if s.Hostile == nil {
		return
	}
	for _, word := range HostileWords(names...) {
		s.mustNotWiden(t, court, word)
	}
}

// HostileWords are Words, and those that could be taken for one of these names.
func HostileWords(names ...string) []string {
	words := append([]string(nil), Words...)
	for _, name := range names {
		words = append(words, name+".>", name+".*", name+" ", " "+name, name+"\x00", "x."+name)
		for _, other := range []string{strings.ToUpper(name), strings.ToLower(name), strings.ToUpper(name[:1]) + name[1:]} {
			if other != name {
				words = append(words, other)
			}
		}
	}
	return words[:min(len(words), maxWords)]
}

func (s Subject) mustNotWiden(t *testing.T, court *court, word string) {
	t.Helper()
	request := s.Hostile(t, word)
	if request == nil {
		return
	}
	grant, err := s.authorize(t, Login{Name: fmt.Sprintf("%q", word), Request: *request})
	if err != nil {
		return
	}
	nc, err := court.enter(t, grant)
	if err != nil {
		return
	}
	defer nc.Close()
	for what, may := range s.Private.tried(t, nc) {
		if may {
			t.Errorf("somebody who says %q may %s", word, what)
		}
	}
}

func (p Private) all() []string {
	var all []string
	for _, subject := range p.Publish {
		all = append(all, "publish to "+subject)
	}
	for _, subject := range p.Subscribe {
		all = append(all, "subscribe to "+subject)
	}
	return all
}

// tried says of each subject whether the server lets this connection have it.
func (p Private) tried(t *testing.T, nc *nats.Conn) map[string]bool {
	t.Helper()
	may := make(map[string]bool)
	for _, subject := range p.Publish {
		err := errors.Join(nc.Publish(subject, nil), nc.Flush())
		may["publish to "+subject] = err == nil && !refused(nc, `Publish to "`+subject+`"`)
	}
	for _, subject := range p.Subscribe {
		_, err := nc.SubscribeSync(subject)
		err = errors.Join(err, nc.Flush())
		may["subscribe to "+subject] = err == nil && !refused(nc, `Subscription to "`+subject+`"`)
	}
	return may
}

// refused reports whether the last error of a connection is this refusal. It comes before
// the answer to a flush.
func refused(nc *nats.Conn, what string) bool {
	last := nc.LastError()
	return last != nil && strings.Contains(strings.ToLower(last.Error()), strings.ToLower(what))
}

// court is a real server with the accounts of a backend and a callout that hands out what
// it is told to.
type court struct {
	url      string
	sentinel string
	next     chan *callout.Grant
}

// open starts the server: an operator, an account for the callout, and the backend's.
func (s Subject) open(t *testing.T) *court {
	t.Helper()
	operator, auth, user, xkey := pair(t, nkeys.PrefixByteOperator), pair(t, nkeys.PrefixByteAccount), pair(t, nkeys.PrefixByteUser), curve(t)
	resolver := new(server.MemAccResolver)
	authClaims := jwt.NewAccountClaims(natstest.PublicKey(t, auth))
	authClaims.Limits.DisallowBearer = false
	authClaims.Authorization.AuthUsers.Add(natstest.PublicKey(t, user))
	authClaims.Authorization.XKey = natstest.PublicKey(t, xkey)
	for _, account := range s.Accounts {
		authClaims.Authorization.AllowedAccounts.Add(account.ID)
		store(t, resolver, operator, s.accountClaims(t, account))
	}
	store(t, resolver, operator, authClaims)
	system := jwt.NewAccountClaims(natstest.PublicKey(t, pair(t, nkeys.PrefixByteAccount)))
	store(t, resolver, operator, system)
	operatorClaims := jwt.NewOperatorClaims(natstest.PublicKey(t, operator))
	running := natstest.Start(t, &server.Options{
		TrustedOperators: []*jwt.OperatorClaims{operatorClaims}, AccountResolver: resolver, AuthTimeout: natstest.Patience.Seconds(),
		SystemAccount: system.Subject, // a server asks the callout over it
	})
	c := &court{url: running.ClientURL(), next: make(chan *callout.Grant, 1)}
	sentinel := jwt.NewUserClaims(natstest.PublicKey(t, pair(t, nkeys.PrefixByteUser)))
	sentinel.BearerToken = true
	sentinel.Pub.Deny.Add(">")
	sentinel.Sub.Deny.Add(">")
	c.sentinel = natstest.Encode(t, sentinel, auth)
	c.hear(t, auth, user, xkey)
	return c
}

func (s Subject) accountClaims(t *testing.T, account callout.Account) *jwt.AccountClaims {
	t.Helper()
	claims := jwt.NewAccountClaims(account.ID)
	signer := natstest.PublicKey(t, account.Signer)
	if signer != account.ID {
		claims.SigningKeys.Add(signer)
	}
	for _, scope := range s.Scopes {
		if scope.Key == signer {
			claims.SigningKeys.AddScopedSigner(scope)
		}
	}
	return claims
}

// hear runs the callout, which gives out the grants of enter.
func (c *court) hear(t *testing.T, auth, user, xkey nkeys.KeyPair) {
	t.Helper()
	claims := jwt.NewUserClaims(natstest.PublicKey(t, user))
	token := natstest.Encode(t, claims, auth)
	nc, err := nats.Connect(c.url, nats.UserJWT(func() (string, error) { return token, nil }, user.Sign), nats.Timeout(natstest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	engine, err := callout.Start(callout.Config{
		Conn: nc, Account: natstest.PublicKey(t, auth), Issuer: auth, XKey: xkey, Logger: slog.New(slog.DiscardHandler),
		Backends: []callout.Backend{callout.Only("given", func(context.Context, *callout.Request) (*callout.Grant, error) {
			return <-c.next, nil
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
		defer cancel()
		if err := engine.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// enter connects somebody with a grant.
func (c *court) enter(t *testing.T, grant *callout.Grant) (*nats.Conn, error) {
	t.Helper()
	c.next <- grant
	nc, err := nats.Connect(c.url, nats.NoReconnect(), nats.Timeout(natstest.Patience), nats.Name(strconv.Quote(grant.Name)),
		nats.UserJWT(func() (string, error) { return c.sentinel, nil }, func([]byte) ([]byte, error) { return nil, nil }),
		nats.UserInfo("given", ""), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	select {
	case <-c.next: // nobody asked for it
		return nil, errors.Join(err, errors.New("the server did not ask"))
	default:
	}
	if err == nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

func pair(t testing.TB, kind nkeys.PrefixByte) nkeys.KeyPair {
	t.Helper()
	made, err := nkeys.CreatePair(kind)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func curve(t *testing.T) nkeys.KeyPair {
	t.Helper()
	made, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func store(t *testing.T, resolver server.AccountResolver, operator nkeys.KeyPair, claims *jwt.AccountClaims) {
	t.Helper()
	if err := resolver.Store(claims.Subject, natstest.Encode(t, claims, operator)); err != nil {
		t.Fatal(err)
	}
}

// Accounts makes accounts of these names with a signing key each, for the backend under
// test.
func Accounts(t testing.TB, names ...string) callout.Accounts {
	t.Helper()
	var accounts callout.Accounts
	for _, name := range names {
		accounts = append(accounts, callout.Account{
			Name: name, ID: natstest.PublicKey(t, pair(t, nkeys.PrefixByteAccount)), Signer: pair(t, nkeys.PrefixByteAccount),
		})
	}
	return accounts
}
