package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natstest"
)

func openView(t *testing.T, l *ledger.Ledger) *ledger.View {
	t.Helper()
	view, err := l.OpenView(natstest.Within(t), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	return view
}

func TestAViewIsWrittenByCompareAndSet(t *testing.T) {
	_, l := start(t)
	view, ctx := openView(t, l), natstest.Within(t)
	var got string
	if _, found, err := view.Get(ctx, "a.b", &got); found || err != nil {
		t.Fatalf("found %v, %v", found, err)
	}
	if err := view.Put(ctx, "a.b", "first", 0); err != nil {
		t.Fatal(err)
	}
	revision, found, err := view.Get(ctx, "a.b", &got)
	if !found || err != nil || got != "first" {
		t.Fatalf("%q, %v, %v", got, found, err)
	}
	if err := view.Put(ctx, "a.b", "second", revision); err != nil {
		t.Fatal(err)
	}
	for what, stale := range map[string]uint64{"as if there was none": 0, "on an old revision": revision} {
		if err := view.Put(ctx, "a.b", "third", stale); err == nil || errors.Is(err, ledger.ErrPoison) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := view.Get(ctx, "a.b", &got); err != nil || got != "second" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestIndexEntriesComeAndGo(t *testing.T) {
	_, l := start(t)
	view, ctx := openView(t, l), natstest.Within(t)
	keys := func(pattern string, want ...string) {
		t.Helper()
		got, err := view.Keys(ctx, pattern)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", pattern, got, err, want)
		}
	}
	keys("handle.*")
	for _, key := range []string{"handle.bob", "handle.alice", "device.x"} {
		for range 2 { // a second time is no error
			if err := view.Set(ctx, key, "A"); err != nil {
				t.Fatal(err)
			}
		}
	}
	keys("handle.*", "handle.alice", "handle.bob")
	for range 2 {
		if err := view.Delete(ctx, "handle.bob"); err != nil {
			t.Fatal(err)
		}
	}
	keys("handle.*", "handle.alice")
	if _, found, err := view.Get(ctx, "handle.bob", new(string)); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if err := view.Put(ctx, "handle.bob", "B", 0); err != nil {
		t.Errorf("again after its end: %v", err)
	}
}

// TestAListOfKeysIsWholeOrFails, whenever it is given up.
func TestAListOfKeysIsWholeOrFails(t *testing.T) {
	const count = 1000
	_, l := start(t)
	view := openView(t, l)
	for i := range count {
		if err := view.Set(natstest.Within(t), fmt.Sprintf("key.%d", i), "A"); err != nil {
			t.Fatal(err)
		}
	}
	for patience := time.Duration(0); ; patience += 500 * time.Microsecond {
		ctx, cancel := context.WithTimeout(natstest.Within(t), patience)
		keys, err := view.Keys(ctx, "key.*")
		cancel()
		if err == nil && len(keys) != count {
			t.Fatalf("given %v, %d keys of %d, and no error", patience, len(keys), count)
		}
		if err == nil {
			return
		}
	}
}

func TestAViewThatCannotBeReadIsAnError(t *testing.T) {
	s, l := start(t)
	view, ctx := openView(t, l), natstest.Within(t)
	if err := view.Set(ctx, "a", "text"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := view.Get(ctx, "a", new(int)); err == nil {
		t.Error("text was read as a number")
	}
	for what, err := range map[string]error{
		"put": view.Put(ctx, "b", make(chan int), 0), "set": view.Set(ctx, "b", make(chan int)),
	} {
		if err == nil {
			t.Errorf("%s: a channel was written", what)
		}
	}
	s.nc.Close()
	if _, _, err := view.Get(ctx, "a", new(string)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a server: %v", err)
	}
	if _, err := view.Keys(ctx, ">"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a server: %v", err)
	}
	if view.Set(ctx, "a", "x") == nil || view.Delete(ctx, "a") == nil {
		t.Error("without a server it is written")
	}
	if _, err := l.OpenView(ctx, "OTHER"); err == nil {
		t.Error("without a server it opens")
	}
}

// tally is the state of a chain: what its events said.
type tally struct {
	Place uint64   `json:"place"`
	Said  []string `json:"said"`
}

// tallies folds an entry into the snapshot at key.
func tallies(view *ledger.View, entry ledger.Entry, index func(*tally) error) ledger.Fold[tally] {
	f := ledger.Fold[tally]{
		View: view, Key: "chain." + entry.Event.Subject[len("ledger."):],
		Place: func(s *tally) uint64 { return s.Place },
		Apply: func(s *tally) error {
			if string(entry.Event.Body) == "bad" {
				return errors.New("it cannot be")
			}
			s.Place, s.Said = entry.Event.Seq, append(s.Said, string(entry.Event.Body))
			return nil
		},
	}
	if index != nil {
		f.Index = func(_ context.Context, s *tally) error { return index(s) }
	}
	return f
}

// entry is an event at a place of a chain and of the stream.
func entry(t *testing.T, place, seq uint64, body string) ledger.Entry {
	t.Helper()
	ev := statement(t, "ledger.person.A", body)
	ev.Seq = place
	return ledger.Entry{Seq: seq, Event: ev}
}

func TestAFoldTakesEachEventOnceAndInOrder(t *testing.T) {
	_, l := start(t)
	view, ctx := openView(t, l), natstest.Within(t)
	want := func(seq uint64, said ...string) {
		t.Helper()
		var got ledger.Snapshot[tally]
		if _, _, err := view.Get(ctx, "chain.person.A", &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tally{uint64(len(said)), said}, got.State); diff != "" || got.Seq != seq {
			t.Errorf("up to event %d: %s", got.Seq, diff)
		}
	}
	fold := func(place, seq uint64, body string) error {
		e := entry(t, place, seq, body)
		return ledger.FoldEntry(ctx, tallies(view, e, nil), e)
	}
	if err := fold(2, 8, "b"); !errors.Is(err, ledger.ErrEarly) {
		t.Errorf("the second before the first: %v", err)
	}
	if err := errors.Join(fold(1, 7, "a"), fold(2, 8, "b")); err != nil {
		t.Fatal(err)
	}
	want(8, "a", "b")
	if err := errors.Join(fold(1, 7, "a"), fold(2, 8, "b")); err != nil {
		t.Errorf("again: %v", err)
	}
	want(8, "a", "b")
	if err := fold(5, 11, "e"); !errors.Is(err, ledger.ErrEarly) || errors.Is(err, ledger.ErrPoison) {
		t.Errorf("a gap: %v", err)
	}
	want(8, "a", "b")
}

func TestAChainEndsAtItsPoison(t *testing.T) {
	_, l := start(t)
	view, ctx := openView(t, l), natstest.Within(t)
	fold := func(place, seq uint64, body string) error {
		e := entry(t, place, seq, body)
		return ledger.FoldEntry(ctx, tallies(view, e, nil), e)
	}
	if err := fold(1, 7, "a"); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		place, seq uint64
		body       string
	}{{2, 8, "bad"}, {2, 8, "bad"}, {2, 9, "b"}, {3, 10, "c"}} {
		if err := fold(row.place, row.seq, row.body); !errors.Is(err, ledger.ErrPoison) || errors.Is(err, ledger.ErrEarly) {
			t.Errorf("event %d: %v", row.seq, err)
		}
	}
	var got ledger.Snapshot[tally]
	if _, _, err := view.Get(ctx, "chain.person.A", &got); err != nil || got.Seq != 7 || !slices.Equal(got.State.Said, []string{"a"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheIndexIsWrittenBeforeTheSnapshot(t *testing.T) {
	_, l := start(t)
	view, ctx := openView(t, l), natstest.Within(t)
	e := entry(t, 1, 1, "a")
	broken := errors.New("broken")
	err := ledger.FoldEntry(ctx, tallies(view, e, func(*tally) error { return broken }), e)
	if _, found, _ := view.Get(ctx, "chain.person.A", new(ledger.Snapshot[tally])); !errors.Is(err, broken) || found {
		t.Errorf("%v, a snapshot: %v", err, found)
	}
	indexed := 0
	index := func(s *tally) error {
		if indexed++; s.Place != 1 {
			t.Errorf("the index is of place %d", s.Place)
		}
		return nil
	}
	for range 2 {
		if err := ledger.FoldEntry(ctx, tallies(view, e, index), e); err != nil {
			t.Error(err)
		}
	}
	if indexed != 1 {
		t.Errorf("indexed %d times", indexed)
	}
}

func TestASnapshotThatSomebodyElseWroteIsReadAgain(t *testing.T) {
	_, l := start(t)
	view, ctx := openView(t, l), natstest.Within(t)
	e := entry(t, 1, 1, "mine")
	err := ledger.FoldEntry(ctx, tallies(view, e, func(*tally) error {
		return view.Set(ctx, "chain.person.A", ledger.Snapshot[tally]{Seq: 1, State: tally{1, []string{"theirs"}}})
	}), e)
	if err == nil || errors.Is(err, ledger.ErrPoison) {
		t.Errorf("%v", err)
	}
	if err := ledger.FoldEntry(ctx, tallies(view, e, nil), e); err != nil {
		t.Error(err)
	}
	var got ledger.Snapshot[tally]
	if _, _, err := view.Get(ctx, "chain.person.A", &got); err != nil || !slices.Equal(got.State.Said, []string{"theirs"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSettlingWaitsForTheSnapshot(t *testing.T) {
	_, l := start(t)
	view := openView(t, l)
	done := make(chan error, 1)
	go func() { done <- view.Settle(natstest.Within(t), "chain.person.A", 2) }()
	for place := uint64(1); place <= 2; place++ {
		e := entry(t, place, place, "x")
		if err := ledger.FoldEntry(natstest.Within(t), tallies(view, e, nil), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := view.Settle(ctx, "chain.person.A", 3); !fault.Is(err, fault.Unavailable) {
		t.Errorf("what does not come: %v", err)
	}
}

func TestABucketIsOpenedWhereItIs(t *testing.T) {
	s, _ := start(t)
	for range 2 {
		bucket, err := ledger.OpenBucket(natstest.Within(t), s.js, "TEST")
		if err != nil || bucket.Bucket() != "TEST" {
			t.Fatal(err)
		}
	}
	if _, err := ledger.OpenBucket(natstest.Within(t), s.js, "no bucket"); !errors.Is(err, jetstream.ErrInvalidBucketName) {
		t.Errorf("%v", err)
	}
}
