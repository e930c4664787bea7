package event

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrReplay is the error of an event that was handled before, or whose place in its
// publisher's chain another one had.
var ErrReplay = errors.New("event was there before")

// ErrGap is told, and the event is handled all the same: events of its publisher on its
// subject are missing before it.
var ErrGap = errors.New("events are missing")

// ErrNoAccess is the error of an access token that could not be found yet: it travelled
// with an earlier event, and nobody who was asked has it.
var ErrNoAccess = errors.New("access token was not found")

// Received is a verified event.
type Received struct {
	*Event
	Data   []byte    // the body, opened where it was sealed
	Access *Access   // who made it
	Trail  Trail     // what it came out of
	Stored time.Time // by the stream's clock; zero on core NATS

	StreamSeq uint64 // in the stream; 0 on core NATS
	which     Hash
	hash      Hash
}

// Origin is the first event of the trail, which is the event itself if it came out of none.
func (r *Received) Origin() *Event {
	if len(r.Trail) == 0 {
		return r.Event
	}
	return r.Trail[0].Event
}

// Handler handles a verified event. On a stream, an error has it delivered again.
type Handler func(ctx context.Context, r *Received) error

// Failure is an event, or something that was to be one, that was not handled.
type Failure struct {
	Err   error // says why; matches an error of this package, or is the handler's
	Msg   *nats.Msg
	Event *Event // nil if the message is none

	StreamSeq uint64 // in the stream; 0 on core NATS
	// Final says that it will not be tried again.
	Final bool
}

// Memory remembers which events were handled, beyond a restart and for several subscribers.
type Memory interface {
	// First reports whether an event is there for the first time. at is its sequence in
	// its stream, 0 on core NATS: the one that was there at the same sequence is the same.
	First(ctx context.Context, e *Event, at uint64) (bool, error)
}

// SubscriberOptions say how a Subscriber reads.
type SubscriberOptions struct {
	Access AccessSource // finds access tokens by their hashes; nil: each event has to carry its own
	Ring   *Ring        // opens the events of a private stream
	// Keys, if set, is the stream that has the keys of Ring: what came there meanwhile is
	// read when an event does not open.
	Keys jetstream.Stream
	// Memory, if set, remembers beyond this process which events were handled. Without
	// it, a durable consumer reads again what it has handled within twice the skew, and
	// a subscription on core NATS forgets with the process.
	Memory Memory
	// Failed, if set, is told of everything that is not handled, with the reason.
	Failed func(context.Context, *Failure)
	// DeadLetter is the subject to which a durable consumer moves what it will never
	// handle, with the reason; "": nowhere.
	DeadLetter string
	// MaxDeliver is how often a handler is tried on one event; 5 if 0.
	MaxDeliver uint64
	// Acts says that events are acted on when they come, so that their end counts. It is
	// so on core NATS; a stream is also read by who is late.
	Acts bool
}

const (
	maxDeliver = 5
	flushTime  = 10 * time.Second
	maxSeen    = 1 << 20 // events remembered; beyond it, what comes is refused

	keepUnhandled = time.Hour // far more than a try and the wait after it take
)

// Subscriber gives verified events to handlers, and nothing else: what fails goes to
// Failed. It is safe for concurrent use.
type Subscriber struct {
	nc *nats.Conn
	m  *TokenManager
	o  SubscriberOptions

	mu     sync.Mutex
	seen   map[Hash]sighting
	swept  time.Time
	chains map[string]link // by device and subject
}

// sighting is where an event was seen, and until when one like it would be taken.
type sighting struct {
	seq     uint64
	until   time.Time
	handled bool
	kept    time.Time // what was not handled may be delivered again until then, by the clock here
}

// NewSubscriber makes a subscriber on a connection, which stays its caller's.
func NewSubscriber(nc *nats.Conn, m *TokenManager, o SubscriberOptions) *Subscriber {
	if o.MaxDeliver == 0 {
		o.MaxDeliver = maxDeliver
	}
	return &Subscriber{nc: nc, m: m, o: o, seen: make(map[Hash]sighting), chains: make(map[string]link)}
}

// Subscribe handles the events on a subject of core NATS, one after the other, until ctx
// ends or the subscription does. It returns when the server knows of it.
func (s *Subscriber) Subscribe(ctx context.Context, subject string, handle Handler) (*nats.Subscription, error) {
	sub, err := s.nc.Subscribe(subject, func(msg *nats.Msg) {
		if ctx.Err() != nil {
			return
		}
		r, err := s.receive(ctx, msg, arrival{acts: true})
		if err == nil {
			err = handle(ctx, r)
		}
		if err != nil {
			s.fail(ctx, &Failure{Err: err, Msg: msg, Event: eventOf(r), Final: true})
		}
	})
	if err == nil {
		err = s.nc.FlushTimeout(flushTime)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	return sub, nil
}

func eventOf(r *Received) *Event {
	if r == nil {
		return nil
	}
	return r.Event
}

// arrival is how a message came.
type arrival struct {
	stored time.Time // zero on core NATS
	seq    uint64
	acts   bool
}

func (a arrival) moment() Moment { return Moment{Now: time.Now(), Stored: a.stored, Acts: a.acts} }

// receive verifies a message, and that it is there for the first time. What it returns
// beside an error has the event, where there is one.
func (s *Subscriber) receive(ctx context.Context, msg *nats.Msg, at arrival) (*Received, error) {
	v, err := ReadMsg(msg)
	if err != nil {
		return nil, err
	}
	r := s.received(v, at)
	if err := s.m.Verify(ctx, v, at.moment(), s.o.Access); err != nil {
		return r, err
	}
	return r, s.accept(ctx, r, at)
}

func (s *Subscriber) received(v *Envelope, at arrival) *Received {
	return &Received{Event: v.Event, Trail: v.Trail, Stored: at.stored, StreamSeq: at.seq, which: v.Which, hash: v.Event.Hash()}
}

// accept goes on with an event that was verified: it is not there again, and it opens.
func (s *Subscriber) accept(ctx context.Context, r *Received, at arrival) error {
	r.Access = s.m.knownAccess(r.which)
	if s.o.Memory != nil {
		first, err := s.o.Memory.First(ctx, r.Event, at.seq)
		if err != nil {
			return err
		}
		if !first {
			return ErrReplay
		}
	}
	if err := s.first(ctx, r, at); err != nil {
		return err
	}
	return s.open(ctx, r)
}

func (s *Subscriber) open(ctx context.Context, r *Received) (err error) {
	if r.Epoch.IsZero() {
		if s.o.Ring != nil {
			return fmt.Errorf("%w: an event that is not sealed, on a private stream", ErrNotMeant)
		}
		r.Data = r.Body
		return nil
	}
	if s.o.Ring == nil {
		return fmt.Errorf("%w: this subscriber has no ring", ErrNoKey)
	}
	r.Data, err = s.o.Ring.Open(r.Event)
	if !errors.Is(err, ErrNoKey) || s.o.Keys == nil {
		return err
	}
	if err := s.o.Ring.Sync(ctx, s.o.Keys); err != nil {
		return err
	}
	r.Data, err = s.o.Ring.Open(r.Event)
	return err
}

// first refuses an event that was seen before, and follows its chain.
func (s *Subscriber) first(ctx context.Context, r *Received, at arrival) error {
	hash := r.hash
	s.mu.Lock()
	s.sweep(at)
	before, seen := s.seen[hash]
	if seen {
		s.mu.Unlock()
		if before.seq == at.seq && at.seq != 0 {
			return nil // the stream delivers it again
		}
		return ErrReplay
	}
	if len(s.seen) >= maxSeen {
		s.mu.Unlock()
		return fmt.Errorf("%w: more events at once than are remembered", ErrTime)
	}
	gap, err := s.follow(r.Event, hash, at)
	if err == nil {
		s.seen[hash] = sighting{seq: at.seq, until: s.lastMoment(r.Event, at), kept: time.Now().Add(keepUnhandled)}
	}
	s.mu.Unlock()
	if err == nil && gap != nil {
		s.fail(ctx, &Failure{Err: gap, Event: r.Event, StreamSeq: at.seq})
	}
	return err
}

// lastMoment is until when another copy of an event would be taken.
func (s *Subscriber) lastMoment(e *Event, at arrival) time.Time {
	until := e.Time.Add(2 * s.m.rules.Skew)
	if at.stored.IsZero() && e.NotAfter.After(until) {
		return e.NotAfter
	}
	return until
}

// sweep forgets what would not be taken any more. s.mu is held.
func (s *Subscriber) sweep(at arrival) {
	now := at.stored
	if now.IsZero() {
		now = time.Now()
	}
	if now.Sub(s.swept) < s.m.rules.Skew/4 {
		return
	}
	s.swept = now
	clock := time.Now()
	for hash, one := range s.seen {
		pending := one.seq != 0 && !one.handled && clock.Before(one.kept)
		if now.After(one.until) && !pending {
			delete(s.seen, hash)
		}
	}
}

func (s *Subscriber) fail(ctx context.Context, f *Failure) {
	if s.o.Failed != nil {
		s.o.Failed(ctx, f)
	}
}

// permanent reports whether an error is one that another try does not change.
func permanent(err error) bool {
	for _, one := range []error{
		ErrMalformed, ErrBody, ErrSignature, ErrNotMeant, ErrTime, ErrAccess, ErrUntrusted, ErrRevoked, ErrDigest,
		ErrReplay, ErrSealed, ErrCommitment,
	} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}
