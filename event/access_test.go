package event_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

func TestAnAccessTokenIsAChainInOneOrder(t *testing.T) {
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	signing := trust.NewKeyPair(trust.Account)
	stranger := trust.NewKeyPair(trust.Account)
	alice.claims.SigningKeys.Add(signing.String())
	hour := time.Now().Add(time.Hour)
	bySigning := alice.userToken(alice.device, signing, time.Now(), hour)
	byStranger := alice.userToken(alice.device, stranger, time.Now(), hour)
	user, account := alice.access, alice.accountToken()
	for name, row := range map[string]struct {
		text string
		good bool
	}{
		"a user token":                    {user, true},
		"with its account":                {user + " " + account, true},
		"by a signing key":                {bySigning + " " + account, true},
		"by a signing key, alone":         {bySigning, false},
		"by no key of the account":        {byStranger + " " + account, false},
		"another account's token":         {user + " " + bob.accountToken(), false},
		"the other way round":             {account + " " + user, false},
		"an account alone":                {account, false},
		"two users":                       {user + " " + bob.access, false},
		"three":                           {user + " " + account + " " + account, false},
		"endless":                         {user + strings.Repeat(" "+account, 1000), false},
		"two spaces":                      {user + "  " + account, false},
		"a space behind":                  {user + " ", false},
		"nothing":                         {"", false},
		"too long":                        {user + " " + strings.Repeat("x", event.MaxAccess), false},
		"an operator in the user's place": {operatorToken(t, company) + " " + account, false},
	} {
		t.Run(name, func(t *testing.T) {
			access, err := event.ParseAccess(row.text)
			switch {
			case row.good && err != nil:
				t.Fatal(err)
			case row.good && (access.Account != alice.account.Public() || access.Device != alice.device.Public()):
				t.Errorf("%+v", access)
			case !row.good && !errors.Is(err, event.ErrAccess):
				t.Errorf("%v", err)
			}
		})
	}
}

func operatorToken(t *testing.T, c *company) string {
	t.Helper()
	text, err := jwt.NewOperatorClaims(c.operator.String()).Encode(c.operator.NKey())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAnOperatorsWordCountsForItsAccounts(t *testing.T) {
	company, other := newCompany(t), newCompany(t)
	alice := company.hire()
	signing := trust.NewKeyPair(trust.Account)
	alice.claims.SigningKeys.Add(signing.String())
	byOperator := event.Rules{Operators: []string{company.operator.String()}}
	check := func(access string, rules event.Rules) error {
		m, err := event.NewTokenManager(event.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.SignAs(alice.device, access); err != nil {
			t.Fatal(err)
		}
		v, err := m.Issue(&event.Event{Type: "x", Subject: "x", Body: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		reader, err := event.NewTokenManager(rules)
		if err != nil {
			t.Fatal(err)
		}
		return reader.Verify(t.Context(), v, event.Moment{}, nil)
	}
	countersigned := alice.access + " " + alice.accountToken()
	if err := check(countersigned, byOperator); err != nil {
		t.Errorf("countersigned: %v", err)
	}
	if err := check(alice.access, byOperator); !errors.Is(err, event.ErrUntrusted) {
		t.Errorf("without the operator's word: %v", err)
	}
	bySigning := alice.userToken(alice.device, signing, time.Now(), time.Now().Add(time.Hour))
	if err := check(bySigning+" "+alice.accountToken(), byOperator); err != nil {
		t.Errorf("by a signing key: %v", err)
	}
	// Whoever makes an account token of their own for alice's account, with a signing key
	// of theirs in it, is not believed by those who believe alice's account.
	forged := *alice
	forged.company = other
	if err := check(bySigning+" "+forged.accountToken(), event.Rules{Accounts: []string{alice.account.String()}}); !errors.Is(err, event.ErrUntrusted) {
		t.Errorf("a signing key by another operator's word: %v", err)
	}
	if err := check(bySigning+" "+forged.accountToken(), byOperator); !errors.Is(err, event.ErrUntrusted) {
		t.Errorf("another operator: %v", err)
	}
}

func TestAnAccessTokenIsJudgedAtTheTimeOfTheEvent(t *testing.T) {
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	issued, err := alice.manager().Issue(&event.Event{Type: "x", Subject: "x", Body: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	reader := bob.manager(alice)
	now := time.Now()
	// a consumer that was busy for a day, when the access token has long expired
	if err := reader.Verify(t.Context(), issued, event.Moment{Now: now.Add(24 * time.Hour), Stored: now}, nil); err != nil {
		t.Errorf("a day later: %v", err)
	}
	for name, at := range map[string]time.Time{"before it was issued": now.Add(-time.Hour), "after it had expired": now.Add(2 * time.Hour)} {
		e := &event.Event{Author: alice.account.Public(), Type: "x", Subject: "x", Time: at, Body: []byte("x")}
		if err := e.Sign(alice.device); err != nil {
			t.Fatal(err)
		}
		v := &event.Envelope{Event: e, Access: issued.Access, Which: issued.Which}
		if err := reader.Verify(t.Context(), v, event.Moment{Now: at, Stored: at}, nil); !errors.Is(err, event.ErrExpired) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := alice.manager().SignAs(bob.device, alice.access); !errors.Is(err, event.ErrAccess) {
		t.Errorf("with another's token: %v", err)
	}
}

func TestRevokedKeysSignNothingNewAndEverythingOldHolds(t *testing.T) {
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	now := time.Now()
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	event1 := func(signed time.Time, seq uint64, prev event.Hash) *event.Envelope {
		e := &event.Event{Author: alice.account.Public(), Type: "x", Subject: "x", Time: signed, Seq: seq, Prev: prev, Body: []byte("x")}
		if err := e.Sign(alice.device); err != nil {
			t.Fatal(err)
		}
		access, err := event.ParseAccess(alice.access)
		if err != nil {
			t.Fatal(err)
		}
		return &event.Envelope{Event: e, Access: alice.access, Which: access.Hash()}
	}
	reader := bob.manager(alice)
	reader.Revoke(alice.device.Public(), event.Revocation{After: at(20)})
	for name, row := range map[string]struct {
		signed, stored time.Time
		want           error
	}{
		"before":                      {at(10), at(10), nil},
		"in flight":                   {at(20), at(21), nil},
		"after":                       {at(21), at(21), event.ErrRevoked},
		"backdated, put there later":  {at(19), at(40), event.ErrRevoked},
		"backdated within the skew":   {at(25), at(25), event.ErrRevoked},
		"an old one, read much later": {at(1), at(1), nil},
	} {
		moment := event.Moment{Now: at(1000), Stored: row.stored}
		if err := reader.Verify(t.Context(), event1(row.signed, 0, event.Hash{}), moment, nil); !errors.Is(err, row.want) || (row.want == nil) != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// where the last good place of a chain is known, no clock decides
	first := event1(at(10), 1, event.Hash{})
	second := event1(at(11), 2, first.Event.Hash())
	forged := event1(at(11), 2, event.Hash{7})
	third := event1(at(9), 3, second.Event.Hash())
	reader.Revoke(alice.device.Public(), event.Revocation{After: at(30), Last: map[string]event.Place{"x": {Seq: 2, Hash: second.Event.Hash()}}})
	for name, row := range map[string]struct {
		v    *event.Envelope
		want error
	}{"first": {first, nil}, "last": {second, nil}, "another in its place": {forged, event.ErrRevoked}, "beyond": {third, event.ErrRevoked}} {
		err := reader.Verify(t.Context(), row.v, event.Moment{Now: at(1000), Stored: row.v.Event.Time}, nil)
		if !errors.Is(err, row.want) || (row.want == nil) != (err == nil) {
			t.Errorf("chain, %s: %v", name, err)
		}
	}

	// an account token says which of its users are revoked, too
	alice.claims.Revoke(alice.device.String())
	v, err := alice.manager().Issue(&event.Event{Type: "x", Subject: "x", Body: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	v.Access = alice.access + " " + alice.accountToken()
	access, err := event.ParseAccess(v.Access)
	if err != nil {
		t.Fatal(err)
	}
	v.Which = access.Hash()
	if err := bob.manager(alice).Verify(t.Context(), v, event.Moment{}, nil); !errors.Is(err, event.ErrRevoked) {
		t.Errorf("revoked by its account: %v", err)
	}
}

func TestAPublisherRenewsItsKeysAndNothingIsLost(t *testing.T) {
	b := startBus(t)
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	nc := b.connect()
	in := newInbox(t)
	subscribe(t, event.NewSubscriber(nc, bob.manager(alice), event.SubscriberOptions{Failed: in.fail}), "x", in)
	m := alice.manager()
	pub := event.NewPublisher(nc, m, event.PublisherOptions{})
	for i := range 3 {
		device := trust.NewKeyPair(trust.Device)
		if err := m.SignAs(device, alice.userToken(device, alice.account, time.Now(), time.Now().Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		if _, err := pub.Publish(natstest.Within(t), "x", []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if got := in.next(); got.Device != device.Public() || got.Data[0] != byte(i) {
			t.Errorf("%+v", got)
		}
	}
}
