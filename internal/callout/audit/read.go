package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// maxSeen bounds the memory of a reader that follows: copies of older entries show as entries.
const maxSeen = 1 << 20

// Record is what stands at one place of the stream.
type Record struct {
	Seq    uint64
	Stored time.Time // by the stream's clock
	// Missing is how many places before this one are empty: something was removed.
	Missing uint64
	// Err says why it is no entry of the callout's; the rest below is then empty.
	Err error

	Signed time.Time // when the callout signed it
	Device string    // U…, which of the callouts
	// One of these is set.
	Login  *Entry
	Closed *Closed
	Gap    *Gap
}

// Reader reads entries and verifies them.
type Reader struct {
	Conn *nats.Conn // in the account that has the stream
	// Devices (U…) are the callouts whose signature counts. That an account vouches for a
	// device is not enough: the sentinel is of the same account.
	Devices []string
	Since   time.Time // when the first entry was stored, or later; zero: all
	Follow  bool      // go on with what comes, until ctx ends
}

// Read hands over every record in order, each once. An error of do ends it.
func (r *Reader) Read(ctx context.Context, do func(*Record) error) error {
	js, err := jetstream.New(r.Conn)
	if err != nil {
		return fmt.Errorf("read the audit: %w", err)
	}
	stream, err := js.Stream(ctx, Stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), err != nil && noJetStream(err):
		return fault.Wrap(fault.NotFound, err, "there is no stream %s in this account: no callout has written its audit here", Stream)
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "the audit cannot be read: %v", err)
	}
	state := stream.CachedInfo().State
	if !r.Follow && (state.Msgs == 0 || state.LastTime.Before(r.Since)) {
		return nil
	}
	config := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
	if !r.Since.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &r.Since
	}
	consumer, err := stream.OrderedConsumer(ctx, config)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the audit cannot be read: %v", err)
	}
	return r.consume(ctx, consumer, state.LastSeq, do)
}

func (r *Reader) consume(ctx context.Context, consumer jetstream.Consumer, last uint64, do func(*Record) error) error {
	messages, err := consumer.Messages()
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the audit cannot be read: %v", err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	seen, before := make(map[uuid.UUID]bool), uint64(0)
	for {
		message, err := messages.Next()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // its reader has seen enough
		}
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "the audit cannot be read: %v", err)
		}
		meta, err := message.Metadata()
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "the audit cannot be read: %v", err)
		}
		record, id := r.record(&nats.Msg{Subject: message.Subject(), Header: message.Headers(), Data: message.Data()})
		record.Seq, record.Stored = meta.Sequence.Stream, meta.Timestamp
		if before > 0 {
			record.Missing = record.Seq - before - 1
		}
		before = record.Seq
		if record.Err == nil && seen[id] {
			record = &Record{Seq: record.Seq, Stored: record.Stored, Missing: record.Missing, Err: errCopy}
		}
		if seen[id] = true; len(seen) > maxSeen {
			clear(seen)
		}
		if err := do(record); err != nil {
			return err
		}
		if !r.Follow && record.Seq >= last {
			return nil
		}
	}
}

var (
	errCopy     = errors.New("a copy of an earlier entry")
	errStranger = errors.New("signed by somebody who is no callout")
	errKind     = errors.New("an event that belongs elsewhere")
)

// record reads and verifies one message.
func (r *Reader) record(message *nats.Msg) (*Record, uuid.UUID) {
	v, err := event.ReadMsg(message)
	if err != nil {
		return &Record{Err: err}, uuid.Nil
	}
	e := v.Event
	device := e.Device.Text(trust.Device)
	record := &Record{Signed: e.Time, Device: device}
	switch {
	case !slices.Contains(r.Devices, device):
		err = errStranger
	case e.Meant(e.Type, message.Subject, "") != nil:
		err = errKind
	default:
		err = e.Check()
	}
	if err == nil {
		err = record.fill(e)
	}
	if err != nil {
		return &Record{Err: err}, uuid.Nil
	}
	return record, e.ID
}

// fill reads the body of an event that holds.
func (r *Record) fill(e *event.Event) error {
	switch {
	case e.Subject == LoginSubject && e.Type == loginType:
		r.Login = new(Entry)
		return json.Unmarshal(e.Body, r.Login)
	case e.Subject == ClosedSubject && e.Type == closedType:
		r.Closed = new(Closed)
		return json.Unmarshal(e.Body, r.Closed)
	case e.Subject == GapSubject && e.Type == gapType:
		r.Gap = new(Gap)
		return json.Unmarshal(e.Body, r.Gap)
	}
	return errKind
}
