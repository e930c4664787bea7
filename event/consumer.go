package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The headers of a dead letter, beside those that the message had.
const (
	HeaderReason   = "Keyhall-Reason"   // why it was never handled
	HeaderSubject  = "Keyhall-Subject"  // where it stood
	HeaderSequence = "Keyhall-Sequence" // in its stream
)

const (
	pullAhead  = 64                   // messages asked for before they are handled
	together   = 32                   // verified together
	thick      = time.Millisecond     // after the ones before: messages come thick
	moment     = 5 * time.Millisecond // to wait for more of them then
	retryFirst = 200 * time.Millisecond
	retryLast  = 30 * time.Second
	busyLeast  = 50 * time.Millisecond // between two words to the server that work goes on
	again      = 500 * time.Millisecond
)

// Consume handles the events of a durable consumer, one after the other, until ctx ends; it
// returns nil then. An event is acknowledged after its handler. A handler that fails is
// tried again, later each time; what is no event, or none that is to be believed, is not: it
// goes to the dead letters.
//
// A copy of an event that somebody has put into the stream is not handled again, not after
// a restart either: what the consumer handled in the last minutes is read again at first
// (twice the skew). A stream that drops what was acknowledged cannot be read again; there,
// set Memory.
func (s *Subscriber) Consume(ctx context.Context, js jetstream.JetStream, consumer jetstream.Consumer, handle Handler) error {
	info, err := consumer.Info(ctx)
	if err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	if err := s.recall(ctx, js, info); err != nil {
		return err
	}
	busy := max(info.Config.AckWait/3, busyLeast)
	queue := make(chan jetstream.Msg, pullAhead)
	over := make(chan struct{})
	defer close(over)
	pulling, err := consumer.Consume(func(msg jetstream.Msg) {
		select {
		case queue <- msg:
		case <-over:
		}
	}, jetstream.PullMaxMessages(pullAhead))
	if err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	defer pulling.Stop()
	var before time.Time
	var rest []jetstream.Msg
	for {
		select {
		case <-ctx.Done():
			handBack(pulling, queue, rest)
			return nil
		case <-pulling.Closed():
			return errors.New("consume events: the consumer is gone")
		case msg := <-queue:
			msgs := []jetstream.Msg{msg}
			if time.Since(before) < thick {
				msgs = gather(msgs, queue)
			}
			rest = append(rest, s.handleAll(ctx, drain(msgs, queue), busy, handle)...)
			before = time.Now()
		}
	}
}

// handBack has the messages that were not handled delivered again at once, to whoever
// consumes next; before that this one pulls no more, or it would get them itself.
func handBack(pulling jetstream.ConsumeContext, queue <-chan jetstream.Msg, rest []jetstream.Msg) {
	pulling.Drain()
	closed, enough := pulling.Closed(), time.After(again)
	for open := true; open; {
		select {
		case msg := <-queue:
			rest = append(rest, msg)
		case <-closed:
			open = false
		case <-enough:
			open = false
		}
	}
	for len(queue) > 0 {
		rest = append(rest, <-queue)
	}
	for _, msg := range rest {
		_ = msg.Nak() // else it is delivered again when its time is over
	}
}

// gather waits a moment for more, where messages come thick: verified together, each costs
// a third of what it costs alone.
func gather(msgs []jetstream.Msg, queue <-chan jetstream.Msg) []jetstream.Msg {
	enough := time.NewTimer(moment)
	defer enough.Stop()
	for len(msgs) < together {
		select {
		case msg := <-queue:
			msgs = append(msgs, msg)
		case <-enough.C:
			return msgs
		}
	}
	return msgs
}

// drain is what came with messages, and they themselves.
func drain(msgs []jetstream.Msg, queue <-chan jetstream.Msg) []jetstream.Msg {
	for len(msgs) < together {
		select {
		case msg := <-queue:
			msgs = append(msgs, msg)
		default:
			return msgs
		}
	}
	return msgs
}

// delivery is a message of a consumer on its way to the handler.
type delivery struct {
	msg   jetstream.Msg
	raw   *nats.Msg
	at    arrival
	tries uint64
	r     *Received
	err   error
}

// handleAll handles messages, and returns those that it did not come to.
func (s *Subscriber) handleAll(ctx context.Context, msgs []jetstream.Msg, busy time.Duration, handle Handler) []jetstream.Msg {
	deliveries := make([]*delivery, 0, len(msgs))
	for _, msg := range msgs {
		d := &delivery{msg: msg, raw: &nats.Msg{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()}}
		meta, err := msg.Metadata()
		if err != nil {
			d.err = fmt.Errorf("%w: not from a stream", ErrMalformed)
		} else {
			d.at = arrival{stored: meta.Timestamp, seq: meta.Sequence.Stream, acts: s.o.Acts}
			d.tries = meta.NumDelivered
		}
		deliveries = append(deliveries, d)
	}
	defer keepAlive(deliveries, busy)()
	s.verifyAll(ctx, deliveries)
	for i, d := range deliveries {
		if ctx.Err() != nil {
			return msgs[i:]
		}
		s.handle(ctx, d, handle)
	}
	return nil
}

// keepAlive tells the server again and again that messages are being worked on, until the
// returned function is called.
func keepAlive(deliveries []*delivery, busy time.Duration) (stop func()) {
	var mu sync.Mutex
	var ended bool
	var again *time.Timer
	mu.Lock()
	defer mu.Unlock()
	again = time.AfterFunc(busy, func() {
		mu.Lock()
		defer mu.Unlock()
		if ended {
			return
		}
		for _, d := range deliveries {
			_ = d.msg.InProgress() // one that was acknowledged needs none
		}
		again.Reset(busy)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		again.Stop()
	}
}

// verifyAll verifies what came together; the signatures among it as one.
func (s *Subscriber) verifyAll(ctx context.Context, deliveries []*delivery) {
	var events []*Event
	var access []*Access
	var judged []*delivery
	for _, d := range deliveries {
		if d.err != nil {
			continue
		}
		v, err := ReadMsg(d.raw)
		if err != nil {
			d.err = err
			continue
		}
		d.r = s.received(v, d.at)
		token, err := s.m.resolve(ctx, v.Access, v.Which, s.o.Access)
		if err != nil {
			d.err = err
			continue
		}
		events, access, judged = append(events, v.Event), append(access, token), append(judged, d)
	}
	for i, err := range s.m.checkAll(events, access, func(i int) Moment { return judged[i].at.moment() }) {
		d := judged[i]
		if d.err = err; err == nil {
			d.err = s.m.verifyTrail(ctx, &Envelope{Event: d.r.Event, Trail: d.r.Trail}, s.o.Access)
		}
	}
}

// handle takes a message to its end: acknowledged, to be delivered again, or given up.
func (s *Subscriber) handle(ctx context.Context, d *delivery, handle Handler) {
	err := d.err
	if err == nil && s.handled(d) {
		_ = d.msg.Ack() // the first acknowledgement was lost
		return
	}
	if err == nil {
		err = s.accept(ctx, d.r, d.at)
	}
	if err == nil {
		if err = handle(ctx, d.r); err == nil {
			s.markHandled(d)
			_ = d.msg.Ack() // what is not acknowledged is delivered again, and then known
			return
		}
	}
	if ctx.Err() != nil {
		return
	}
	failure := &Failure{Err: err, Msg: d.raw, Event: eventOf(d.r), StreamSeq: d.at.seq}
	failure.Final = permanent(err) || d.tries >= s.o.MaxDeliver || s.shutOut(d.r, err)
	s.fail(ctx, failure)
	switch {
	case !failure.Final:
		_ = d.msg.NakWithDelay(backOff(d.tries))
	case s.bury(ctx, failure) != nil:
		_ = d.msg.NakWithDelay(retryLast) // it must not get lost
	default:
		s.markHandled(d)
		_ = d.msg.TermWithReason(reason(err))
	}
}

// shutOut reports whether an event is sealed for others for good: its epoch is known.
func (s *Subscriber) shutOut(r *Received, err error) bool {
	return errors.Is(err, ErrNoKey) && r != nil && s.o.Ring != nil && s.o.Ring.Knows(r.Epoch)
}

func (s *Subscriber) handled(d *delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, seen := s.seen[d.r.hash]
	return seen && before.handled && before.seq == d.at.seq
}

func (s *Subscriber) markHandled(d *delivery) {
	if d.r == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := d.r.hash
	if one, seen := s.seen[hash]; seen && one.seq == d.at.seq {
		one.handled = true
		s.seen[hash] = one
	}
}

// backOff is how long to wait before the next try.
func backOff(tries uint64) time.Duration {
	wait := retryFirst
	for ; tries > 1 && wait < retryLast; tries-- {
		wait *= 2
	}
	return min(wait, retryLast)
}

// bury moves a message to the dead letters.
func (s *Subscriber) bury(ctx context.Context, f *Failure) error {
	if s.o.DeadLetter == "" {
		return nil
	}
	letter := nats.NewMsg(s.o.DeadLetter)
	letter.Data = f.Msg.Data
	letter.Header = maps.Clone(f.Msg.Header)
	if letter.Header == nil {
		letter.Header = nats.Header{}
	}
	for name := range letter.Header {
		if strings.HasPrefix(strings.ToLower(name), "nats-") {
			delete(letter.Header, name) // they were for the stream that it came from
		}
	}
	letter.Header[HeaderReason] = []string{reason(f.Err)}
	letter.Header[HeaderSubject] = []string{f.Msg.Subject}
	letter.Header[HeaderSequence] = []string{strconv.FormatUint(f.StreamSeq, 10)}
	if err := s.nc.PublishMsg(letter); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime) // a flush without a deadline is none
	defer cancel()
	return s.nc.FlushWithContext(ctx)
}

// reason is an error in one line that a header can hold.
func reason(err error) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error())
}

// recall reads what the consumer handled not long ago, so that copies of it are known.
func (s *Subscriber) recall(ctx context.Context, js jetstream.JetStream, info *jetstream.ConsumerInfo) error {
	floor := info.AckFloor.Stream
	if floor == 0 {
		return nil
	}
	stream, err := js.Stream(ctx, info.Stream)
	if err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	since := time.Now()
	last, err := stream.GetMsg(ctx, floor)
	if err == nil {
		since = last.Time
	} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("consume events: %w", err)
	}
	since = since.Add(-2 * s.m.rules.Skew)
	filters := info.Config.FilterSubjects
	if info.Config.FilterSubject != "" {
		filters = []string{info.Config.FilterSubject}
	}
	past, err := js.OrderedConsumer(ctx, info.Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: filters, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	})
	if err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	return s.recallUpTo(ctx, past, floor)
}

func (s *Subscriber) recallUpTo(ctx context.Context, past jetstream.Consumer, floor uint64) error {
	for {
		batch, err := past.Fetch(pullAhead, jetstream.FetchMaxWait(again))
		if err != nil {
			return fmt.Errorf("consume events: %w", err)
		}
		some := false
		for msg := range batch.Messages() {
			some = true
			meta, err := msg.Metadata()
			if err != nil || meta.Sequence.Stream > floor {
				return nil //nolint:nilerr // that was the last one that was handled
			}
			s.recallOne(ctx, msg, meta)
			if meta.Sequence.Stream == floor {
				return nil
			}
		}
		if err := batch.Error(); err != nil {
			return fmt.Errorf("consume events: %w", err)
		}
		if !some {
			return ctx.Err()
		}
	}
}

// recallOne notes an event as handled, if it is one.
func (s *Subscriber) recallOne(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata) {
	at := arrival{stored: meta.Timestamp, seq: meta.Sequence.Stream}
	v, err := ReadMsg(&nats.Msg{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()})
	if err != nil || s.m.Verify(ctx, v, at.moment(), s.o.Access) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := v.Event.Hash()
	if _, seen := s.seen[hash]; seen || len(s.seen) >= maxSeen {
		return
	}
	if _, err := s.follow(v.Event, hash, arrival{}); err == nil {
		s.seen[hash] = sighting{seq: at.seq, until: s.lastMoment(v.Event, at), handled: true}
	}
}
