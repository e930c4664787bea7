package event_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
)

// known are the errors that say which check failed.
var known = []error{
	event.ErrMalformed, event.ErrBody, event.ErrSignature, event.ErrNotMeant, event.ErrTime, event.ErrAccess,
	event.ErrUntrusted, event.ErrRevoked, event.ErrDigest, event.ErrReplay, event.ErrNoKey, event.ErrSealed,
	event.ErrCommitment, event.ErrTrail, event.ErrNoAccess,
}

func typed(err error) bool {
	return slices.ContainsFunc(known, func(one error) bool { return errors.Is(err, one) })
}

// subjects of a mutation: an event of each kind, and another one to take parts from.
func specimens(t *testing.T, alice, bob *person) map[string]*event.Envelope {
	t.Helper()
	m := alice.manager()
	issue := func(e *event.Event) *event.Envelope {
		v, err := m.Issue(e)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	plain := issue(&event.Event{Type: "order", Subject: "orders.new", Content: "text/plain", Body: []byte("one")})
	chained := issue(&event.Event{Type: "order", Subject: "orders.new", Seq: 2, Prev: plain.Event.Hash(), Body: []byte("two"), Audience: bob.account.String()})
	derived := issue(&event.Event{Type: "paid", Subject: "orders.new", Cause: plain.Event.Hash(), Receipt: "receipts.a", Body: []byte("three")})
	derived.Trail = event.Trail{{Event: plain.Event, Access: plain.Which}}
	batch := []*event.Event{
		{Author: alice.account.Public(), Type: "order", Subject: "orders.new", Body: []byte("four")},
		{Author: alice.account.Public(), Type: "order", Subject: "orders.new", Body: []byte("five")},
		{Author: alice.account.Public(), Type: "order", Subject: "orders.new", Body: []byte("six")},
	}
	if err := event.SignBatch(alice.device, batch); err != nil {
		t.Fatal(err)
	}
	return map[string]*event.Envelope{
		"plain": plain, "chained": chained, "derived": derived,
		"of a batch": {Event: batch[1], Access: alice.access, Which: plain.Which},
	}
}

// verdict is what a reader who believes alice says of a message.
func verdict(t *testing.T, m *event.TokenManager, msg *nats.Msg) error {
	t.Helper()
	v, err := event.ReadMsg(msg)
	if err != nil {
		return err
	}
	return m.Verify(t.Context(), v, event.Moment{Stored: time.Now()}, tokens{})
}

// tokens is a source of access tokens that has none: those of trails are known already.
type tokens struct{}

func (tokens) FindAccess(context.Context, event.Hash) (string, error) { return "", event.ErrNoAccess }

func clone(msg *nats.Msg) *nats.Msg {
	other := &nats.Msg{Subject: msg.Subject, Header: make(nats.Header), Data: slices.Clone(msg.Data)}
	for name, values := range msg.Header {
		other.Header[name] = slices.Clone(values)
	}
	return other
}

func TestOtherManagersRefuseAndSayWhich(t *testing.T) {
	company := newCompany(t)
	alice, bob, carol := company.hire(), company.hire(), company.hire()
	accounts := []string{alice.account.String()}
	now := time.Now()
	issued := func(rules event.Rules, e *event.Event) *event.Envelope {
		e.Type, e.Subject, e.Body = "order", "orders.new", []byte("x")
		v, err := alice.managerWith(rules).Issue(e)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for name, row := range map[string]struct {
		issue event.Rules
		e     event.Event
		check event.Rules
		at    event.Moment
		want  error
	}{
		"the same rules":   {check: event.Rules{Accounts: accounts}, at: event.Moment{Stored: now}},
		"other keys":       {check: event.Rules{Accounts: []string{carol.account.String()}}, want: event.ErrUntrusted},
		"no keys":          {check: event.Rules{}, want: event.ErrUntrusted},
		"another digest":   {issue: event.Rules{Digest: event.SHA512x256}, check: event.Rules{Accounts: accounts}, want: event.ErrDigest},
		"its digest":       {issue: event.Rules{Digest: event.SHA512x256}, check: event.Rules{Accounts: accounts, Digest: event.SHA512x256}},
		"too long a life":  {issue: event.Rules{Life: time.Hour}, check: event.Rules{Accounts: accounts, Life: time.Minute}, want: event.ErrTime},
		"no end":           {check: event.Rules{Accounts: accounts, Life: time.Minute}, want: event.ErrTime},
		"past its end":     {issue: event.Rules{Life: time.Second}, check: event.Rules{Accounts: accounts}, at: event.Moment{Now: now.Add(time.Minute), Acts: true}, want: event.ErrTime},
		"late, to read it": {issue: event.Rules{Life: time.Second}, check: event.Rules{Accounts: accounts}, at: event.Moment{Now: now.Add(24 * time.Hour), Stored: now}},
		"of tomorrow":      {e: event.Event{Time: now.Add(20 * time.Minute)}, check: event.Rules{Accounts: accounts}, at: event.Moment{Now: now}, want: event.ErrTime},
		"backdated":        {check: event.Rules{Accounts: accounts}, at: event.Moment{Now: now.Add(time.Hour), Stored: now.Add(20 * time.Minute)}, want: event.ErrTime},
		"old, no stream":   {check: event.Rules{Accounts: accounts}, at: event.Moment{Now: now.Add(time.Hour)}, want: event.ErrTime},
		"less skew":        {e: event.Event{Time: now.Add(3 * time.Second)}, check: event.Rules{Accounts: accounts, Skew: time.Second}, at: event.Moment{Now: now, Stored: now}, want: event.ErrTime},
		"for somebody":     {issue: event.Rules{Audience: "the till"}, check: event.Rules{Accounts: accounts}, want: event.ErrNotMeant},
		"for this one":     {issue: event.Rules{Audience: "the till"}, check: event.Rules{Accounts: accounts, Is: []string{"the till"}}},
		"not allowed":      {check: event.Rules{Accounts: accounts, Allow: func(*event.Access) error { return errors.New("no") }}, want: event.ErrUntrusted},
		"by an operator":   {check: event.Rules{Operators: []string{company.operator.String()}}, want: event.ErrUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			e := row.e
			v := issued(row.issue, &e)
			err := bob.managerWith(row.check).Verify(t.Context(), v, row.at, nil)
			if !errors.Is(err, row.want) {
				t.Errorf("%v, want %v", err, row.want)
			}
		})
	}
}
