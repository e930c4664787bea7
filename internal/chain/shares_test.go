package chain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

func TestAShareIsGrantedAcceptedAndEnded(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	catalog := trust.NewID()
	grant := alice.grants(catalog, bob)
	if g := alice.shares.Granted[grant]; g == nil || g.To != bob.account() || g.Catalog != catalog || alice.shares.Seq != 2 {
		t.Errorf("granted %v at %d", alice.shares.Granted, alice.shares.Seq)
	}
	bob.does(chain.Accept, chain.AcceptBody{Grant: grant, Owner: alice.account(), Catalog: catalog})
	if a := bob.shares.Taken[grant]; a == nil || a.Owner != alice.account() || a.Catalog != catalog {
		t.Errorf("taken %v", bob.shares.Taken)
	}
	bob.does(chain.Decline, chain.DeclineBody{Grant: grant, Owner: alice.account()})
	if len(bob.shares.Taken) != 0 {
		t.Errorf("taken %v", bob.shares.Taken)
	}
	bob.does(chain.Decline, chain.DeclineBody{Grant: grant, Owner: alice.account()}) // again, without harm
	alice.does(chain.Revoke, chain.RevokeBody{Grant: grant, To: bob.account()})
	if len(alice.shares.Granted) != 0 || alice.shares.Seq != 3 {
		t.Errorf("granted %v at %d", alice.shares.Granted, alice.shares.Seq)
	}
}

func TestOtherEventsOnlyMoveThePlaceOfShares(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	alice.adds("phone")
	if diff := cmp.Diff(&chain.Shares{Seq: 2}, alice.shares); diff != "" {
		t.Error(diff)
	}
}

func TestAWithheldShareOnlyMovesThePlace(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	ev := alice.says(chain.Grant, chain.GrantBody{Grant: trust.NewID(), Catalog: trust.NewID(), To: bob.account(), Sealed: []byte{1}})
	ev.Body = nil
	if err := alice.shares.Apply(ev, true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&chain.Shares{Seq: 2}, alice.shares); diff != "" {
		t.Error(diff)
	}
}

func TestSharesRefuseWhatCannotBe(t *testing.T) {
	h := newHall(t)
	alice, bob, carol := h.joins("alice"), h.joins("bob"), h.joins("carol")
	catalog := trust.NewID()
	grant := alice.grants(catalog, bob)
	loose := strings.Repeat("a", 25) + "b"
	with := func(c func(b *chain.GrantBody)) *event.Event {
		body := chain.GrantBody{Grant: trust.NewID(), Catalog: catalog, To: bob.account(), Sealed: []byte{1}}
		c(&body)
		return alice.says(chain.Grant, body)
	}
	says := alice.says
	rows := map[string]*event.Event{
		"a grant without an id":        with(func(b *chain.GrantBody) { b.Grant = "" }),
		"a grant with loose bits":      with(func(b *chain.GrantBody) { b.Grant = loose }),
		"no catalog":                   with(func(b *chain.GrantBody) { b.Catalog = "" }),
		"a catalog with a wildcard":    with(func(b *chain.GrantBody) { b.Catalog = ">" }),
		"to nobody":                    with(func(b *chain.GrantBody) { b.To = "" }),
		"to a device":                  with(func(b *chain.GrantBody) { b.To = bob.laptop.String() }),
		"to oneself":                   with(func(b *chain.GrantBody) { b.To = alice.account() }),
		"nothing sealed":               with(func(b *chain.GrantBody) { b.Sealed = nil }),
		"an empty seal":                with(func(b *chain.GrantBody) { b.Sealed = []byte{} }),
		"more than 4096 bytes sealed":  with(func(b *chain.GrantBody) { b.Sealed = make([]byte, 4097) }),
		"an end in the past":           with(func(b *chain.GrantBody) { b.Expires = h.now.Add(-time.Hour) }),
		"an end at its beginning":      with(func(b *chain.GrantBody) { b.Expires = h.now.Add(time.Second) }),
		"an end in milliseconds":       with(func(b *chain.GrantBody) { b.Expires = h.now.Add(time.Hour + time.Millisecond) }),
		"an end that is not in UTC":    with(func(b *chain.GrantBody) { b.Expires = h.now.Add(day).In(time.FixedZone("", 3600)) }),
		"an id in use, for another":    with(func(b *chain.GrantBody) { b.Grant, b.To = grant, carol.account() }),
		"an id in use, another folder": with(func(b *chain.GrantBody) { b.Grant, b.Catalog = grant, trust.NewID() }),
		"a grant with more":            says(chain.Grant, `{"grant":"`+grant+`","more":1}`),
		"to end what nobody has":       says(chain.Revoke, chain.RevokeBody{Grant: trust.NewID(), To: bob.account()}),
		"to end it for another":        says(chain.Revoke, chain.RevokeBody{Grant: grant, To: carol.account()}),
		"an end with more":             says(chain.Revoke, `{"grant":"`+grant+`","to":"`+bob.account()+`","x":1}`),
		"to accept no grant":           says(chain.Accept, chain.AcceptBody{Owner: bob.account(), Catalog: catalog}),
		"to accept of nobody":          says(chain.Accept, chain.AcceptBody{Grant: grant, Catalog: catalog}),
		"to accept no catalog":         says(chain.Accept, chain.AcceptBody{Grant: grant, Owner: bob.account()}),
		"to accept a wildcard":         says(chain.Accept, chain.AcceptBody{Grant: grant, Owner: "*", Catalog: catalog}),
		"to accept without a form":     says(chain.Accept, "[]"),
		"to decline no grant":          says(chain.Decline, chain.DeclineBody{Owner: bob.account()}),
		"to decline of nobody":         says(chain.Decline, chain.DeclineBody{Grant: grant}),
		"to decline with a space":      says(chain.Decline, `{"grant":"`+grant+`", "owner":"`+bob.account()+`"}`),
	}
	for what, ev := range rows {
		before := copied(t, alice.shares)
		wantRefusal(t, what, alice.shares.Apply(ev, false), chain.ErrContent)
		if diff := cmp.Diff(before, alice.shares, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: a refused event changed %s", what, diff)
		}
	}
}

func TestTheSameGrantAgainReplacesItsEnd(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	catalog := trust.NewID()
	grant := alice.grants(catalog, bob)
	until := h.now.Add(day)
	alice.does(chain.Grant, chain.GrantBody{Grant: grant, Catalog: catalog, To: bob.account(), Expires: until, Sealed: []byte{2}})
	if g := alice.shares.Granted[grant]; len(alice.shares.Granted) != 1 || !g.Expires.Equal(until) || g.Sealed[0] != 2 {
		t.Errorf("granted %v", alice.shares.Granted)
	}
}

// shareEvent is an unsigned event: Shares folds what a Person has verified.
func shareEvent(t *testing.T, author *member, kind string, body any) *event.Event {
	t.Helper()
	return &event.Event{Author: author.identity.Public(), Type: kind, Seq: author.shares.Seq + 1, Time: author.hall.now, Body: author.hall.body(body)}
}

func TestSharesAreBounded(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	var grants [chain.MaxShares]chain.GrantBody
	for i := range grants {
		grants[i] = chain.GrantBody{Grant: trust.NewID(), Catalog: trust.NewID(), To: bob.account(), Sealed: []byte{1}}
		h.must(alice.shares.Apply(shareEvent(t, alice, chain.Grant, grants[i]), false))
		accept := chain.AcceptBody{Grant: grants[i].Grant, Owner: bob.account(), Catalog: grants[i].Catalog}
		h.must(alice.shares.Apply(shareEvent(t, alice, chain.Accept, accept), false))
	}
	more := chain.GrantBody{Grant: trust.NewID(), Catalog: trust.NewID(), To: bob.account(), Sealed: []byte{1}}
	another := chain.AcceptBody{Grant: more.Grant, Owner: bob.account(), Catalog: more.Catalog}
	wantRefusal(t, "one grant more", alice.shares.Apply(shareEvent(t, alice, chain.Grant, more), false), chain.ErrContent)
	wantRefusal(t, "one accepted share more", alice.shares.Apply(shareEvent(t, alice, chain.Accept, another), false), chain.ErrContent)

	again := chain.AcceptBody{Grant: grants[0].Grant, Owner: bob.account(), Catalog: grants[0].Catalog}
	for what, ev := range map[string]*event.Event{
		"a grant renewed":      shareEvent(t, alice, chain.Grant, grants[0]),
		"a share taken again":  shareEvent(t, alice, chain.Accept, again),
		"a grant that ends":    shareEvent(t, alice, chain.Revoke, chain.RevokeBody{Grant: grants[1].Grant, To: bob.account()}),
		"a share that is left": shareEvent(t, alice, chain.Decline, chain.DeclineBody{Grant: grants[1].Grant, Owner: bob.account()}),
	} {
		if err := alice.shares.Apply(ev, false); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	h.must(alice.shares.Apply(shareEvent(t, alice, chain.Grant, more), false))
	h.must(alice.shares.Apply(shareEvent(t, alice, chain.Accept, another), false))
}

func TestAGrantStandsForOnePersonOneCatalogAndItsTime(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	catalog, until := trust.NewID(), h.now.Add(day)
	forever, limited := alice.grants(catalog, bob), trust.NewID()
	alice.does(chain.Grant, chain.GrantBody{Grant: limited, Catalog: catalog, To: bob.account(), Expires: until, Sealed: []byte{1}})
	for _, row := range []struct {
		what, grant, catalog, to string
		at                       time.Time
		want                     bool
	}{
		{"without an end", forever, catalog, bob.account(), h.now.Add(50 * year), true},
		{"before its end", limited, catalog, bob.account(), until.Add(-1), true},
		{"at its end", limited, catalog, bob.account(), until, false},
		{"another catalog", forever, trust.NewID(), bob.account(), h.now, false},
		{"another person", forever, catalog, alice.account(), h.now, false},
		{"another grant", trust.NewID(), catalog, bob.account(), h.now, false},
	} {
		if got := alice.shares.Standing(row.grant, row.catalog, row.to, row.at); got != row.want {
			t.Errorf("%s: %v", row.what, got)
		}
	}
	alice.does(chain.Revoke, chain.RevokeBody{Grant: forever, To: bob.account()})
	if alice.shares.Standing(forever, catalog, bob.account(), h.now) {
		t.Error("it stands after its end")
	}
}

func TestAShareConcernsTwoPeople(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	id := trust.NewID()
	for kind, body := range map[string]any{
		chain.Grant:   chain.GrantBody{Grant: id, Catalog: id, To: bob.account(), Sealed: []byte{1}},
		chain.Revoke:  chain.RevokeBody{Grant: id, To: bob.account()},
		chain.Accept:  chain.AcceptBody{Grant: id, Owner: bob.account(), Catalog: id},
		chain.Decline: chain.DeclineBody{Grant: id, Owner: bob.account()},
	} {
		if got := chain.ShareWith(alice.says(kind, body)); got != bob.account() {
			t.Errorf("%s concerns %q", kind, got)
		}
		if got := chain.ShareWith(alice.says(kind, "no body")); got != "" {
			t.Errorf("%s without a body concerns %q", kind, got)
		}
	}
	if got := chain.ShareWith(alice.says(chain.AddDevice, "{}")); got != "" {
		t.Errorf("another kind concerns %q", got)
	}
}

func TestParsingSaysWhatIsWrong(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	_, err := chain.Parse[chain.DeclineBody](alice.says(chain.Decline, `{"owner":"","grant":""}`))
	if !errors.Is(err, chain.ErrContent) || !errors.Is(err, trust.ErrCanonical) || !strings.Contains(err.Error(), chain.Decline) {
		t.Errorf("%v", err)
	}
}
