package ledger_test

import (
	"context"
	"slices"
	"testing"

	"keyhall.dev/keyhall/internal/chaintest"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

// tallying is a projection that keeps a view.
func tallying(view *ledger.View, got *folded) ledger.Projection {
	return ledger.Projection{
		Name: "tally", Subjects: []string{"ledger.person.*"}, Bucket: "TEST",
		Fold: func(ctx context.Context, e ledger.Entry) error {
			got.add(e.Seq)
			return ledger.FoldEntry(ctx, tallies(view, e, nil), e)
		},
	}
}

func TestAViewIsRebuiltToTheSameBytes(t *testing.T) {
	s, l := start(t)
	h := chaintest.New(t, s.Keys().OperatorJWT, s.Keys().OperatorSigner)
	alice, admitted := h.Admits("alice")
	last := uint64(0)
	for _, ev := range []*event.Event{admitted, alice.Says("a", chain.LeaveRoomBody{}), alice.Says("b", chain.LeaveRoomBody{})} {
		seq, err := l.Append(natstest.Within(t), ev, last)
		if err != nil {
			t.Fatal(err)
		}
		last = seq
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := new(folded)
	ps := l.Start(ctx, quiet(), tallying(openView(t, l), got), counts("other", new(folded), nil))
	t.Cleanup(ps.Wait)
	t.Cleanup(cancel)
	if names := ps.Names(); !slices.Equal(names, []string{"tally"}) {
		t.Errorf("with a view: %v", names)
	}
	s.settled(t, "tally")
	before, err := l.Digest(natstest.Within(t), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	if err := ps.Rebuild(natstest.Within(t), ctx, "tally"); err != nil {
		t.Fatal(err)
	}
	after, err := l.Digest(natstest.Within(t), "TEST")
	if err != nil || before != after {
		t.Errorf("digest %s, then %s, %v", before, after, err)
	}
	if all := got.all(); !slices.Equal(all, []uint64{1, 2, 3, 1, 2, 3}) {
		t.Errorf("folded %v", all)
	}
	for _, name := range []string{"other", "nothing"} { // one without a view, one that is not
		if err := ps.Rebuild(natstest.Within(t), ctx, name); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADigestIsOfKeysAndBytes(t *testing.T) {
	_, l := start(t)
	view, ctx := openView(t, l), natstest.Within(t)
	seen := make(map[string]string)
	note := func(what string) {
		t.Helper()
		digest, err := l.Digest(ctx, "TEST")
		if err != nil || seen[digest] != "" {
			t.Errorf("%s has the digest of %q, %v", what, seen[digest], err)
		}
		seen[digest] = what
	}
	note("nothing")
	for what, key := range map[string]string{"one": "a", "two": "b", "another": "ab"} {
		if err := view.Set(ctx, key, "v"); err != nil {
			t.Fatal(err)
		}
		note(what)
	}
	if err := view.Set(ctx, "a", "w"); err != nil {
		t.Fatal(err)
	}
	note("another value")
	if _, err := l.Digest(ctx, "NOTHING"); err == nil {
		t.Error("a bucket that is not has a digest")
	}
}

// append appends events each as the next of its chain.
func appendAll(t *testing.T, l *ledger.Ledger, events ...*event.Event) {
	t.Helper()
	last := make(map[string]uint64)
	for _, ev := range events {
		seq, err := l.Append(natstest.Within(t), ev, last[ev.Subject])
		if err != nil {
			t.Fatal(err)
		}
		last[ev.Subject] = seq
	}
}

func TestALedgerThatHoldsIsVerified(t *testing.T) {
	s, l := start(t)
	h := chaintest.New(t, s.Keys().OperatorJWT, s.Keys().OperatorSigner)
	invite := h.Invites()
	alice, admitsAlice := h.Admits("alice")
	bob, admitsBob := h.Admits("bob")
	room := trust.NewID()
	appendAll(t, l, invite, admitsAlice, admitsBob,
		alice.Says(chain.AddDevice, chain.DeviceBody{Token: alice.Token(trust.NewKeyPair(trust.Device), "phone")}),
		alice.SaysIn(room, chain.CreateRoom, chain.CreateRoomBody{Room: room, Kind: chain.Open, Name: "lobby"}),
		alice.SaysIn(room, chain.GrantRoom, chain.GrantRoomBody{Grant: trust.NewID(), Account: bob.Account(), Role: chain.Moderator}),
		bob.SaysIn(room, chain.LeaveRoom, chain.LeaveRoomBody{}))
	report, err := l.Verify(natstest.Within(t), h.Hub)
	if err != nil {
		t.Fatal(err)
	}
	if report.Events != 7 || report.People != 2 || report.Rooms != 1 || len(report.Problems) != 0 {
		t.Errorf("%+v", report)
	}
}

func TestWhatDoesNotHoldInALedgerIsNamed(t *testing.T) {
	s, l := start(t)
	h := chaintest.New(t, s.Keys().OperatorJWT, s.Keys().OperatorSigner)
	invite := h.Invites()
	alice, admitsAlice := h.Admits("alice")
	bob, admitsBob := h.Admits("bob")
	stranger, _ := h.Admits("stranger") // who is never appended
	room, other := trust.NewID(), trust.NewID()
	bad := bob.Says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: alice.Laptop.String()})
	appendAll(t, l, invite, admitsAlice, admitsBob, bad, // 1 to 4
		bob.Says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: bob.Laptop.String()}),
		alice.SaysIn(room, chain.CreateRoom, chain.CreateRoomBody{Room: room, Kind: chain.Open, Name: "lobby"}),
		bob.SaysIn(room, chain.LeaveRoom, chain.LeaveRoomBody{}), // 7: whether his chain allows it, nobody can say
		stranger.SaysIn(other, chain.CreateRoom, chain.CreateRoomBody{Room: other, Kind: chain.Open, Name: "hole"}))
	s.stray(t, "ledger.person.X", []byte("nothing"))
	s.stray(t, "ledger.person.Y", admitsAlice.Encode())
	report, err := l.Verify(natstest.Within(t), h.Hub)
	if err != nil {
		t.Fatal(err)
	}
	if report.Events != 4 || report.People != 2 || report.Rooms != 1 || report.Unjudged != 1 {
		t.Errorf("%+v", report)
	}
	want := map[uint64]ledger.Problem{
		4:  {Seq: 4, Subject: bad.Subject, Type: chain.RevokeDevice, After: 1},
		8:  {Seq: 8, Subject: chain.RoomSubject(other), Type: chain.CreateRoom},
		9:  {Seq: 9, Subject: "ledger.person.X"},
		10: {Seq: 10, Subject: "ledger.person.Y", Type: chain.Admit},
	}
	for _, got := range report.Problems {
		if got.Reason == "" {
			t.Errorf("%d: no reason", got.Seq)
		}
		if got.Reason = ""; got != want[got.Seq] {
			t.Errorf("%+v, want %+v", got, want[got.Seq])
		}
		delete(want, got.Seq)
	}
	if len(want) != 0 {
		t.Errorf("not named: %v", want)
	}
}
