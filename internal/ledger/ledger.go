package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
)

// Stream is the name of the ledger's stream, in account HUB.
const Stream = "LEDGER"

const forgetTime = 5 * time.Second // to delete a consumer

const (
	fetchMost = uint64(256) // events of one fetch
	fetchTime = 5 * time.Second
)

// ErrMoved is the error of an append to a chain (or a ledger) that has moved on meanwhile.
var ErrMoved = errors.New("the chain has moved on")

// Ledger appends to and reads from the ledger stream.
type Ledger struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// Entry is an event at its place in the stream.
type Entry struct {
	Seq   uint64    // stream sequence
	Time  time.Time // the stream's timestamp: the hub's word
	Event *event.Event
	Err   error // in what Follow sees: why these bytes are no event of their chain; Event is nil then
}

// Open connects to the ledger over nc (in account HUB) and creates its stream where there
// is none. replicas is how many servers hold a copy: 1 for a single server.
func Open(ctx context.Context, nc *nats.Conn, replicas int) (*Ledger, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        Stream,
		Description: "Keyhall: signed facts, in order",
		Subjects:    []string{"ledger.>"},
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		DenyDelete:  true,
		DenyPurge:   true,
		MaxMsgSize:  event.MaxEncoded,
		Duplicates:  2 * time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("open ledger stream: %w", err)
	}
	return &Ledger{js: js, stream: stream}, nil
}

// Attach connects to a ledger that somebody else opened, over nc, and waits for it: for
// readers that may not create streams.
func Attach(ctx context.Context, nc *nats.Conn) (*Ledger, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("attach to ledger: %w", err)
	}
	for {
		stream, err := js.Stream(ctx, Stream)
		if err == nil {
			return &Ledger{js: js, stream: stream}, nil
		}
		if ctx.Err() != nil || !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fmt.Errorf("attach to ledger: %w", err)
		}
		pause(ctx, retryFirst)
	}
}

// Append stores ev as the next of its chain, whose newest event has stream sequence after
// (0: the chain is new), and returns its stream sequence. It waits for the stream's
// acknowledgement. If the chain has moved on, the error matches ErrMoved; an event that was
// stored before is acknowledged again.
func (l *Ledger) Append(ctx context.Context, ev *event.Event, after uint64) (uint64, error) {
	return l.append(ctx, ev, jetstream.WithExpectLastSequencePerSubject(after))
}

// AppendAt stores ev only if the whole ledger's newest event has stream sequence last: for
// facts that touch several chains, such as who has a handle.
func (l *Ledger) AppendAt(ctx context.Context, ev *event.Event, last uint64) (uint64, error) {
	return l.append(ctx, ev, jetstream.WithExpectLastSequence(last))
}

func (l *Ledger) append(ctx context.Context, ev *event.Event, expect jetstream.PublishOpt) (uint64, error) {
	ack, err := l.js.Publish(ctx, ev.Subject, ev.Encode(), jetstream.WithMsgID(ev.ID.String()), expect)
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == lostRace):
		if seq, found := l.isThere(ctx, ev); found {
			return seq, nil
		}
		return 0, fault.Wrap(fault.Conflict, ErrMoved, "something changed meanwhile; look again and try again")
	case err != nil:
		return 0, fault.Wrap(fault.Unavailable, err, "the hub could not write that down; try again")
	case ack.Duplicate && !l.isAt(ctx, ev, ack.Sequence):
		return 0, fault.New(fault.Refused, "another event has this one's id; make it again with one of its own")
	}
	return ack.Sequence, nil
}

// isAt reports whether an event is the one at a stream sequence: what has the same id as one
// before is acknowledged with the place of that one, and may be another.
func (l *Ledger) isAt(ctx context.Context, ev *event.Event, seq uint64) bool {
	msg, err := l.stream.GetMsg(ctx, seq)
	return err == nil && bytes.Equal(msg.Data, ev.Encode())
}

// lostRace is the code of a lost compare-and-set while the winner is still being copied to
// other servers.
const lostRace = 10164

// isThere finds an event that was stored before, as the newest of its chain: its
// acknowledgement was lost.
func (l *Ledger) isThere(ctx context.Context, ev *event.Event) (uint64, bool) {
	newest, err := l.stream.GetLastMsgForSubject(ctx, ev.Subject)
	if err != nil || !bytes.Equal(newest.Data, ev.Encode()) {
		return 0, false
	}
	return newest.Sequence, true
}

// Last is the stream sequence of the newest event, 0 in an empty ledger.
func (l *Ledger) Last(ctx context.Context) (uint64, error) {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look at ledger: %w", err)
	}
	return info.State.LastSeq, nil
}

// ReadChain calls each with the events of one chain in order, until there are no more or
// each returns false.
func (l *Ledger) ReadChain(ctx context.Context, subject string, each func(Entry) (more bool, err error)) error {
	newest, err := l.newest(ctx, []string{subject})
	if err != nil || newest == 0 {
		return err
	}
	consumer, err := l.js.OrderedConsumer(ctx, Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return fmt.Errorf("read chain: %w", err)
	}
	defer l.forget(consumer)
	left := consumer.CachedInfo().NumPending
	for at := uint64(0); at < newest; {
		size := min(max(left, 1), fetchMost)
		batch, err := consumer.Fetch(int(size), jetstream.FetchMaxWait(fetchTime)) //nolint:gosec // at most fetchMost
		if err != nil {
			return fmt.Errorf("read chain: %w", err)
		}
		before := at
		more := true
		for msg := range batch.Messages() { // to its end: a batch that is left ends only with its time
			if err != nil || !more {
				continue
			}
			var entry Entry
			if entry, err = toEntry(msg); err == nil {
				at = entry.Seq
				more, err = each(entry)
			}
		}
		switch {
		case err != nil || !more:
			return err
		case at == before:
			return fmt.Errorf("read chain: events did not come: %w", batch.Error())
		}
		left -= min(left, size)
	}
	return nil
}

// forget deletes the consumer of a reading that is over. The server would keep it for five
// minutes, and a stream has room for a thousand: busy readers would shut everybody out.
func (l *Ledger) forget(consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), forgetTime)
	defer cancel()
	_ = l.stream.DeleteConsumer(ctx, consumer.CachedInfo().Name) // it ends by itself, only later
}

// Follow calls each with every event from the first on, in order, as they come, until ctx
// ends or each fails.
func (l *Ledger) Follow(ctx context.Context, each func(Entry) error) error {
	consumer, err := l.js.OrderedConsumer(ctx, Stream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("follow ledger: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("follow ledger: %w", err)
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()
	for {
		msg, err := messages.Next()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow ledger: %w", err)
		}
		entry, err := toEntry(msg)
		if err != nil {
			entry.Event, entry.Err = nil, err
		}
		if err := each(entry); err != nil {
			return err
		}
	}
}

// toEntry takes place and time from the stream's own metadata, never from headers.
func toEntry(msg jetstream.Msg) (Entry, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return Entry{}, fmt.Errorf("read ledger: %w", err)
	}
	entry := Entry{Seq: meta.Sequence.Stream, Time: meta.Timestamp.UTC()}
	entry.Event, err = event.Decode(msg.Data())
	if err != nil {
		return entry, fmt.Errorf("event %d of the ledger: %w", entry.Seq, err)
	}
	if entry.Event.Subject != msg.Subject() {
		return entry, fmt.Errorf("event %d of the ledger: %w", entry.Seq, event.ErrNotMeant)
	}
	return entry, nil
}
