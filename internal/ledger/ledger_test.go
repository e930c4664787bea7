package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a real embedded server; a second one on the same folder finds what was there.
type server struct {
	*natsd.Server
	nc *nats.Conn
	js jetstream.JetStream
}

func startServer(t *testing.T, dir string) *server {
	t.Helper()
	running, err := natsd.Start(natstest.Within(t), natsd.Options{
		DataDir: dir, NATS: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Server: running}
	t.Cleanup(func() { s.stop(t) })
	if s.nc, err = running.Connect(running.Keys().HubUser, nats.MaxReconnects(-1)); err != nil {
		t.Fatal(err)
	}
	if s.js, err = jetstream.New(s.nc); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	if s.nc != nil {
		s.nc.Close()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func (s *server) open(t *testing.T) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(natstest.Within(t), s.nc, 1)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start is a fresh server with an open ledger.
func start(t *testing.T) (*server, *ledger.Ledger) {
	t.Helper()
	s := startServer(t, t.TempDir())
	return s, s.open(t)
}

// quiet is a log that says nothing.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// statement is an event for a chain; the ledger does not judge what it says.
func statement(t *testing.T, subject, body string) *event.Event {
	t.Helper()
	ev := &event.Event{Author: trust.PublicKey{1}, Type: "person.test", Subject: subject, Body: []byte(body)}
	if err := ev.Sign(trust.NewKeyPair(trust.Device)); err != nil {
		t.Fatal(err)
	}
	return ev
}

// fill appends n events to a chain and returns the stream sequence of the last.
func fill(t *testing.T, l *ledger.Ledger, subject string, after uint64, n int) uint64 {
	t.Helper()
	for i := range n {
		seq, err := l.Append(natstest.Within(t), statement(t, subject, strconv.Itoa(i)), after)
		if err != nil {
			t.Fatal(err)
		}
		after = seq
	}
	return after
}

// wantMoved fails unless err tells the caller to look again.
func wantMoved(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, ledger.ErrMoved) || !fault.Is(err, fault.Conflict) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	s, l := start(t)
	ctx := natstest.Within(t)
	if last, err := l.Last(ctx); err != nil || last != 0 {
		t.Fatalf("an empty ledger ends at %d, %v", last, err)
	}
	first, other := statement(t, "ledger.person.A", "1"), statement(t, "ledger.person.B", "2")
	for i, ev := range []*event.Event{first, other} {
		seq, err := l.Append(ctx, ev, 0)
		if err != nil || seq != uint64(i+1) {
			t.Fatalf("at %d, %v", seq, err)
		}
	}
	second := statement(t, "ledger.person.A", "3")
	if seq, err := l.Append(ctx, second, 1); err != nil || seq != 3 {
		t.Fatalf("at %d, %v", seq, err)
	}
	var got []ledger.Entry
	read := func(entry ledger.Entry) (bool, error) { got = append(got, entry); return true, nil }
	if err := l.ReadChain(ctx, "ledger.person.A", read); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Seq != 1 || got[1].Seq != 3 || got[0].Time.IsZero() || got[0].Time.Location() != time.UTC {
		t.Fatalf("read %+v", got)
	}
	if !bytes.Equal(got[0].Event.Encode(), first.Encode()) || !bytes.Equal(got[1].Event.Encode(), second.Encode()) {
		t.Error("another event was read")
	}
	if last, err := l.Last(ctx); err != nil || last != 3 {
		t.Errorf("it ends at %d, %v", last, err)
	}
	again := s.open(t) // opening it again changes nothing
	if last, err := again.Last(ctx); err != nil || last != 3 {
		t.Errorf("opened again it ends at %d, %v", last, err)
	}
}

func TestOfWritersForOnePlaceOneWins(t *testing.T) {
	_, l := start(t)
	ctx := natstest.Within(t)
	const writers = 20
	results := make(chan error, writers)
	var ready sync.WaitGroup
	ready.Add(writers)
	for range writers {
		ev := statement(t, "ledger.person.A", "mine")
		go func() {
			ready.Done()
			ready.Wait()
			_, err := l.Append(ctx, ev, 0)
			results <- err
		}()
	}
	won := 0
	for range writers {
		if err := <-results; err == nil {
			won++
		} else {
			wantMoved(t, "a loser", err)
		}
	}
	if last, err := l.Last(ctx); won != 1 || last != 1 || err != nil {
		t.Errorf("%d writers won, the ledger ends at %d, %v", won, last, err)
	}
}

func TestAnAppendBehindTheHeadIsRefused(t *testing.T) {
	_, l := start(t)
	ctx := natstest.Within(t)
	last := fill(t, l, "ledger.person.A", 0, 2)
	for what, after := range map[string]uint64{"as the first": 0, "as the second": 1, "after what is not there": 9} {
		_, err := l.Append(ctx, statement(t, "ledger.person.A", "x"), after)
		wantMoved(t, what, err)
	}
	if seq, err := l.Append(ctx, statement(t, "ledger.person.A", "x"), last); err != nil || seq != last+1 {
		t.Errorf("at %d, %v", seq, err)
	}
}

func TestAnEventThatIsThereIsAcknowledgedAgain(t *testing.T) {
	_, l := start(t)
	ctx := natstest.Within(t)
	ev := statement(t, "ledger.person.A", "x")
	seq, err := l.Append(ctx, ev, 0)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, l, "ledger.person.A", seq, 1)
	if again, err := l.Append(ctx, ev, 2); err != nil || again != seq {
		t.Errorf("on its chain: at %d, %v", again, err)
	}
	if again, err := l.AppendAt(ctx, ev, 2); err != nil || again != seq {
		t.Errorf("on the ledger: at %d, %v", again, err)
	}
	if last, err := l.Last(ctx); err != nil || last != 2 {
		t.Errorf("it ends at %d, %v", last, err)
	}
}

func TestTheSameAppendAgainIsAcknowledgedAgain(t *testing.T) {
	_, l := start(t)
	ctx := natstest.Within(t)
	ev := statement(t, "ledger.person.A", "x")
	for range 2 {
		if seq, err := l.Append(ctx, ev, 0); err != nil || seq != 1 {
			t.Errorf("at %d, %v", seq, err)
		}
	}
	other := statement(t, "ledger.person.B", "x")
	for range 2 {
		if seq, err := l.AppendAt(ctx, other, 1); err != nil || seq != 2 {
			t.Errorf("at %d, %v", seq, err)
		}
	}
}

func TestAppendAtHoldsTheWholeLedger(t *testing.T) {
	_, l := start(t)
	ctx := natstest.Within(t)
	if seq, err := l.AppendAt(ctx, statement(t, "ledger.person.A", "x"), 0); err != nil || seq != 1 {
		t.Fatalf("at %d, %v", seq, err)
	}
	fill(t, l, "ledger.person.B", 0, 1)
	_, err := l.AppendAt(ctx, statement(t, "ledger.person.C", "x"), 1)
	wantMoved(t, "another chain moved on", err)
	if seq, err := l.AppendAt(ctx, statement(t, "ledger.person.C", "x"), 2); err != nil || seq != 3 {
		t.Errorf("at %d, %v", seq, err)
	}
}

func TestWithoutAServerNothingIsWrittenDown(t *testing.T) {
	s, l := start(t)
	s.nc.Close()
	if _, err := l.Append(natstest.Within(t), statement(t, "ledger.person.A", "x"), 0); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	if _, err := l.Last(natstest.Within(t)); err == nil {
		t.Error("it says where it ends")
	}
	if _, err := ledger.Open(natstest.Within(t), s.nc, 1); err == nil {
		t.Error("it opens")
	}
}

func TestNothingIsTakenOutOfTheLedger(t *testing.T) {
	s, l := start(t)
	ctx := natstest.Within(t)
	fill(t, l, "ledger.person.A", 0, 1)
	stream, err := s.js.Stream(ctx, ledger.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(ctx, 1); err == nil {
		t.Error("an event was deleted")
	}
	if err := stream.Purge(ctx); err == nil {
		t.Error("the ledger was purged")
	}
	if last, err := l.Last(ctx); err != nil || last != 1 {
		t.Errorf("it ends at %d, %v", last, err)
	}
}

func TestAReaderWaitsForTheLedger(t *testing.T) {
	s := startServer(t, t.TempDir())
	type attached struct {
		l   *ledger.Ledger
		err error
	}
	done := make(chan attached, 1)
	go func() {
		l, err := ledger.Attach(natstest.Within(t), s.nc)
		done <- attached{l, err}
	}()
	fill(t, s.open(t), "ledger.person.A", 0, 1)
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	if last, err := got.l.Last(natstest.Within(t)); err != nil || last != 1 {
		t.Errorf("it ends at %d, %v", last, err)
	}
}

func TestAReaderStopsWaiting(t *testing.T) {
	s := startServer(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ledger.Attach(ctx, s.nc); err == nil {
		t.Error("it attached to a ledger that is not")
	}
}

func TestAChainIsReadWholeAndInOrder(t *testing.T) {
	_, l := start(t)
	ctx := natstest.Within(t)
	const events = 300 // more than one batch
	last := uint64(0)
	for i := range events {
		seq, err := l.Append(ctx, statement(t, "ledger.person.A", strconv.Itoa(i)), last)
		if err != nil {
			t.Fatal(err)
		}
		if last = seq; i%10 == 0 {
			fill(t, l, "ledger.room.r"+strconv.Itoa(i), 0, 1) // others lie between
		}
	}
	next := 0
	err := l.ReadChain(ctx, "ledger.person.A", func(entry ledger.Entry) (bool, error) {
		if string(entry.Event.Body) != strconv.Itoa(next) {
			t.Fatalf("%s instead of %d", entry.Event.Body, next)
		}
		next++
		return true, nil
	})
	if err != nil || next != events {
		t.Errorf("%d events, %v", next, err)
	}
	if err := l.ReadChain(ctx, "ledger.person.B", func(ledger.Entry) (bool, error) { return true, errors.New("an event") }); err != nil {
		t.Errorf("an empty chain: %v", err)
	}
}

func TestReadingAChainStopsWhereTheReaderWants(t *testing.T) {
	_, l := start(t)
	fill(t, l, "ledger.person.A", 0, 10)
	read, broken := 0, errors.New("broken")
	err := l.ReadChain(natstest.Within(t), "ledger.person.A", func(ledger.Entry) (bool, error) { read++; return read < 4, nil })
	if err != nil || read != 4 {
		t.Errorf("%d events, %v", read, err)
	}
	err = l.ReadChain(natstest.Within(t), "ledger.person.A", func(ledger.Entry) (bool, error) { read++; return true, broken })
	if !errors.Is(err, broken) || read != 5 {
		t.Errorf("%d events, %v", read, err)
	}
}

// A stream has room for so many consumers, and the server keeps one that nobody uses for
// minutes: a reader leaves none behind.
func TestAReaderLeavesNothingBehind(t *testing.T) {
	s, l := start(t)
	fill(t, l, "ledger.person.A", 0, 10)
	broken := errors.New("broken")
	for what, each := range map[string]func(ledger.Entry) (bool, error){
		"who reads all":  func(ledger.Entry) (bool, error) { return true, nil },
		"who stops":      func(ledger.Entry) (bool, error) { return false, nil },
		"who can't read": func(ledger.Entry) (bool, error) { return true, broken },
	} {
		if err := l.ReadChain(natstest.Within(t), "ledger.person.A", each); err != nil && !errors.Is(err, broken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	stream, err := s.js.Stream(natstest.Within(t), ledger.Stream)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "no consumer is left", func() bool {
		info, err := stream.Info(natstest.Within(t))
		return err == nil && info.State.Consumers == 0
	})
}

// stray puts something into the ledger's stream that Append would not.
func (s *server) stray(t *testing.T, subject string, data []byte) {
	t.Helper()
	if _, err := s.js.Publish(natstest.Within(t), subject, data); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoEventOfTheChainIsAnError(t *testing.T) {
	s, l := start(t)
	s.stray(t, "ledger.person.A", []byte("nothing"))
	s.stray(t, "ledger.person.B", statement(t, "ledger.person.A", "x").Encode())
	each := func(ledger.Entry) (bool, error) { return true, errors.New("it was handed on") }
	if err := l.ReadChain(natstest.Within(t), "ledger.person.A", each); !errors.Is(err, event.ErrMalformed) {
		t.Errorf("no event: %v", err)
	}
	if err := l.ReadChain(natstest.Within(t), "ledger.person.B", each); !errors.Is(err, event.ErrNotMeant) {
		t.Errorf("an event of another chain: %v", err)
	}
	// A follower is told, and goes on: what somebody wrote there past everybody stops nobody.
	var reasons []error
	stop := errors.New("enough")
	err := l.Follow(natstest.Within(t), func(entry ledger.Entry) error {
		if reasons = append(reasons, entry.Err); entry.Event != nil {
			t.Errorf("event %d was handed on", entry.Seq)
		}
		if len(reasons) == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || !errors.Is(reasons[0], event.ErrMalformed) || !errors.Is(reasons[1], event.ErrNotMeant) {
		t.Errorf("followed: %v, reasons %v", err, reasons)
	}
}

func TestAFollowerSeesWhatWasAndWhatComes(t *testing.T) {
	_, l := start(t)
	fill(t, l, "ledger.person.A", 0, 3)
	ctx, cancel := context.WithCancel(natstest.Within(t))
	defer cancel()
	seen := make(chan uint64, 100)
	done := make(chan error, 1)
	go func() {
		done <- l.Follow(ctx, func(entry ledger.Entry) error { seen <- entry.Seq; return nil })
	}()
	for want := uint64(1); want <= 6; want++ {
		if want == 4 {
			fill(t, l, "ledger.room.r", 0, 3)
		}
		if got := <-seen; got != want {
			t.Fatalf("event %d instead of %d", got, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAFollowerThatFailsIsDone(t *testing.T) {
	_, l := start(t)
	fill(t, l, "ledger.person.A", 0, 3)
	broken := errors.New("broken")
	seen := 0
	err := l.Follow(natstest.Within(t), func(ledger.Entry) error {
		if seen++; seen == 2 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || seen != 2 {
		t.Errorf("after %d events: %v", seen, err)
	}
}

func TestFollowingEndsWithoutAnError(t *testing.T) {
	_, l := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Follow(ctx, func(ledger.Entry) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestAnotherEventUnderAnIdThatWasUsedIsRefused(t *testing.T) {
	_, l := start(t)
	first := statement(t, "ledger.person.A", "first")
	at, err := l.Append(natstest.Within(t), first, 0)
	if err != nil {
		t.Fatal(err)
	}
	second := &event.Event{ID: first.ID, Author: first.Author, Type: first.Type, Subject: first.Subject, Body: []byte("second")}
	if err := second.Sign(trust.NewKeyPair(trust.Device)); err != nil {
		t.Fatal(err)
	}
	if seq, err := l.Append(natstest.Within(t), second, at); !fault.Is(err, fault.Refused) {
		t.Errorf("another event under the id of the first: %d, %v", seq, err)
	}
	if seq, err := l.AppendAt(natstest.Within(t), second, at); !fault.Is(err, fault.Refused) {
		t.Errorf("another event under the id of the first, anywhere: %d, %v", seq, err)
	}
	if seq, err := l.Append(natstest.Within(t), first, 0); err != nil || seq != at {
		t.Errorf("the first once more: %d, %v", seq, err)
	}
}
