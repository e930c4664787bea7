package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natstest"
)

// folded is what a projection digested, in the order in which it did.
type folded struct {
	mu   sync.Mutex
	seqs []uint64
}

func (f *folded) add(seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seqs = append(f.seqs, seq)
}

func (f *folded) all() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seqs)
}

// run runs a projection until the returned function is called or the test ends.
func run(t *testing.T, l *ledger.Ledger, p ledger.Projection) (stop func()) {
	t.Helper()
	return runWith(t, l, p, quiet())
}

func runWith(t *testing.T, l *ledger.Ledger, p ledger.Projection, log *slog.Logger) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, p, log)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// lockedLog is a log that is read while it is written.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// counts is a projection that notes what it folds, after what fold says of it.
func counts(name string, got *folded, fold func(ledger.Entry) error) ledger.Projection {
	return ledger.Projection{
		Name: name, Subjects: []string{"ledger.person.*"},
		Fold: func(_ context.Context, entry ledger.Entry) error {
			if fold != nil {
				if err := fold(entry); err != nil {
					return err
				}
			}
			got.add(entry.Seq)
			return nil
		},
	}
}

func wantFolded(t *testing.T, got *folded, want ...uint64) {
	t.Helper()
	natstest.Eventually(t, fmt.Sprintf("%v folded", want), func() bool { return len(got.all()) >= len(want) })
	if all := got.all(); !slices.Equal(all, want) {
		t.Fatalf("folded %v, want %v", all, want)
	}
}

// settled polls until nothing waits for an acknowledgement of the projection.
// settled waits until a projection has acknowledged the newest event that is for it. What
// the server calls pending is not to be trusted right after a consumer or an event was made.
func (s *server) settled(t *testing.T, name string) {
	t.Helper()
	stream, err := s.js.Stream(natstest.Within(t), ledger.Stream)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, name+" has acknowledged everything", func() bool {
		consumer, err := stream.Consumer(natstest.Within(t), name)
		if err != nil {
			return false
		}
		newest := uint64(0)
		for _, subject := range consumer.CachedInfo().Config.FilterSubjects {
			if msg, err := stream.GetLastMsgForSubject(natstest.Within(t), subject); err == nil {
				newest = max(newest, msg.Sequence)
			}
		}
		return newest > 0 && consumer.CachedInfo().AckFloor.Stream >= newest
	})
}

func TestAProjectionFoldsItsChainsInOrder(t *testing.T) {
	_, l := start(t)
	fill(t, l, "ledger.person.A", 0, 2) // 1, 2
	fill(t, l, "ledger.room.r", 0, 1)   // 3, of another projection
	got := new(folded)
	run(t, l, counts("people", got, nil))
	fill(t, l, "ledger.person.B", 0, 2) // 4, 5
	wantFolded(t, got, 1, 2, 4, 5)
}

func TestAProjectionGoesOnWhereItWas(t *testing.T) {
	s, l := start(t)
	got := new(folded)
	stop := run(t, l, counts("people", got, nil))
	last := fill(t, l, "ledger.person.A", 0, 3)
	wantFolded(t, got, 1, 2, 3)
	s.settled(t, "people")
	stop()
	fill(t, l, "ledger.person.A", last, 2)
	run(t, l, counts("people", got, nil))
	wantFolded(t, got, 1, 2, 3, 4, 5)
}

func TestAProjectionGoesOnAfterTheServerCameBack(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	l := s.open(t)
	got := new(folded)
	stop := run(t, l, counts("people", got, nil))
	last := fill(t, l, "ledger.person.A", 0, 3)
	wantFolded(t, got, 1, 2, 3)
	s.settled(t, "people")
	stop()
	s.stop(t)

	s = startServer(t, dir)
	l = s.open(t)
	fill(t, l, "ledger.person.A", last, 1)
	run(t, l, counts("people", got, nil))
	wantFolded(t, got, 1, 2, 3, 4)
}

func TestAProjectionGoesOnWhenItsConsumerWasDeleted(t *testing.T) {
	s, l := start(t)
	got := new(folded)
	run(t, l, counts("people", got, nil))
	last := fill(t, l, "ledger.person.A", 0, 1)
	wantFolded(t, got, 1)
	if err := s.js.DeleteConsumer(natstest.Within(t), ledger.Stream, "people"); err != nil {
		t.Fatal(err)
	}
	fill(t, l, "ledger.person.A", last, 1)
	natstest.Eventually(t, "it folds what comes", func() bool { return slices.Contains(got.all(), 2) })
}

// poisoned are the records of set-aside events by key.
func (s *server) poisoned(t *testing.T) map[string]ledger.Poison {
	t.Helper()
	records := make(map[string]ledger.Poison)
	bucket, err := s.js.KeyValue(natstest.Within(t), ledger.PoisonBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return records
	}
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bucket.Keys(natstest.Within(t))
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		t.Fatal(err)
	}
	for _, key := range keys {
		entry, err := bucket.Get(natstest.Within(t), key)
		if err != nil {
			t.Fatal(err)
		}
		var record ledger.Poison
		if err := json.Unmarshal(entry.Value(), &record); err != nil {
			t.Fatal(err)
		}
		records[key] = record
	}
	return records
}

func TestPoisonIsSetAsideAndTheRestFolds(t *testing.T) {
	s, l := start(t)
	last := fill(t, l, "ledger.person.A", 0, 1)
	s.stray(t, "ledger.person.B", []byte("nothing"))                             // 2
	s.stray(t, "ledger.person.B", statement(t, "ledger.person.C", "x").Encode()) // 3
	fill(t, l, "ledger.person.A", last, 2)                                       // 4, 5
	got, tries := new(folded), 0
	run(t, l, counts("people", got, func(entry ledger.Entry) error {
		if entry.Seq == 4 {
			tries++
			return fmt.Errorf("%w: a bad day", ledger.ErrPoison)
		}
		return nil
	}))
	wantFolded(t, got, 1, 5)
	s.settled(t, "people")
	if tries != 1 {
		t.Errorf("poison was tried %d times", tries)
	}
	records := s.poisoned(t)
	for key, reason := range map[string]string{
		"people.2": event.ErrMalformed.Error(), "people.3": event.ErrNotMeant.Error(), "people.4": "a bad day",
	} {
		record := records[key]
		if record.Projection != "people" || fmt.Sprintf("people.%d", record.Seq) != key ||
			!strings.Contains(record.Reason, reason) || record.At.IsZero() {
			t.Errorf("%s: %+v", key, record)
		}
	}
	if len(records) != 3 {
		t.Errorf("set aside: %v", records)
	}
}

func TestATransientFailureIsTriedAgainInPlace(t *testing.T) {
	s, l := start(t)
	fill(t, l, "ledger.person.A", 0, 4)
	for what, failure := range map[string]error{"away": errors.New("the bucket is away"), "early": ledger.ErrEarly} {
		want := []uint64{1, 2, 3, 4}
		if failure == ledger.ErrEarly { //nolint:errorlint // the very one
			want = []uint64{1, 3, 4, 2} // put back, so that the one it needs can come
		}
		got, tries := new(folded), 0
		run(t, l, counts(what, got, func(entry ledger.Entry) error {
			if entry.Seq == 2 {
				if tries++; tries <= 3 {
					return fmt.Errorf("fold: %w", failure)
				}
			}
			return nil
		}))
		wantFolded(t, got, want...)
		s.settled(t, what)
		if tries != 4 {
			t.Errorf("%s: %d tries", what, tries)
		}
	}
	if records := s.poisoned(t); len(records) != 0 {
		t.Errorf("set aside: %v", records)
	}
}

func TestAProjectionThatIsStoppedInTheMiddleLeavesNothingOut(t *testing.T) {
	_, l := start(t)
	const before = 20
	for i := range before {
		fill(t, l, fmt.Sprintf("ledger.person.A%d", i), 0, 1)
	}
	got, trying := new(folded), make(chan struct{}, 100)
	stop := run(t, l, counts("people", got, func(entry ledger.Entry) error {
		if entry.Seq == 5 {
			trying <- struct{}{}
			return errors.New("not yet")
		}
		return nil
	}))
	<-trying
	stop()
	run(t, l, counts("people", got, nil))
	fill(t, l, "ledger.person.B", 0, 1)
	natstest.Eventually(t, "the newest event is folded", func() bool { return slices.Contains(got.all(), before+1) })
	var want []uint64
	for seq := range uint64(before + 1) {
		want = append(want, seq+1)
	}
	// What was acknowledged just before the stop may come again; nothing is left out.
	var first []uint64
	for _, seq := range got.all() {
		if !slices.Contains(first, seq) {
			first = append(first, seq)
		}
	}
	if !slices.Equal(first, want) {
		t.Errorf("folded %v", got.all())
	}
}

// bucketThatFills is the bucket POISON, which takes nothing until it is let.
func (s *server) bucketThatFills(t *testing.T) (let func()) {
	t.Helper()
	config := jetstream.KeyValueConfig{Bucket: ledger.PoisonBucket, History: 1, MaxValueSize: 1}
	if _, err := s.js.CreateKeyValue(natstest.Within(t), config); err != nil {
		t.Fatal(err)
	}
	return func() {
		config.MaxValueSize = -1
		if _, err := s.js.UpdateKeyValue(natstest.Within(t), config); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPoisonIsNeverFolded(t *testing.T) {
	s, l := start(t)
	let := s.bucketThatFills(t)
	s.stray(t, "ledger.person.A", []byte("nothing"))                             // 1
	s.stray(t, "ledger.person.A", statement(t, "ledger.person.B", "x").Encode()) // 2
	fill(t, l, "ledger.person.C", 0, 1)                                          // 3
	got, log := new(folded), new(lockedLog)
	runWith(t, l, counts("people", got, nil), slog.New(slog.NewTextHandler(log, nil)))
	natstest.Eventually(t, "it was tried again", func() bool { return strings.Count(log.String(), "event set aside") > 2 || len(got.all()) > 1 })
	let()
	natstest.Eventually(t, "what follows is folded", func() bool { return slices.Contains(got.all(), 3) })
	if all := got.all(); !slices.Equal(all, []uint64{3}) {
		t.Errorf("folded %v", all)
	}
}

func TestAStateThatCannotBeKeptIsPoison(t *testing.T) {
	_, l := start(t)
	view, err := l.OpenView(natstest.Within(t), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	ev := statement(t, "ledger.person.A", "x")
	ev.Seq = 1
	err = ledger.FoldEntry(natstest.Within(t), ledger.Fold[chain.DeviceFact]{
		View: view, Key: "A",
		Place: func(*chain.DeviceFact) uint64 { return 0 },
		Apply: func(d *chain.DeviceFact) error {
			d.Expires = time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)
			return nil
		},
	}, ledger.Entry{Seq: 1, Event: ev})
	if !errors.Is(err, ledger.ErrPoison) {
		t.Errorf("%v", err)
	}
}
