package audit

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
)

// openStream makes the stream, or makes it as it is wanted now. Servers reserve what a stream
// may become: where there is no room for that, it becomes less.
func (l *Log) openStream(ctx context.Context, js jetstream.JetStream) error {
	for limit := l.o.MaxBytes; ; limit /= 4 {
		err := l.openStreamOf(ctx, js, limit)
		if limit/4 < leastBytes || !noRoom(err) {
			if err == nil && limit < l.o.MaxBytes {
				l.o.Logger.Warn("there is no room for an audit of the size that it may have", "wanted", l.o.MaxBytes, "bytes", limit)
			}
			return err
		}
	}
}

const leastBytes = 1 << 20

// noRoom reports whether servers do not have the storage that a stream may need.
func noRoom(err error) bool {
	const insufficient, storage, peers jetstream.ErrorCode = 10023, 10047, 10005
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == insufficient || api.ErrorCode == storage || api.ErrorCode == peers)
}

func (l *Log) openStreamOf(ctx context.Context, js jetstream.JetStream, limit int64) error {
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: Stream, Description: "what the callout decided", Subjects: []string{"audit.>"},
		Storage: jetstream.FileStorage, Compression: jetstream.S2Compression, Replicas: l.o.Replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxAge: l.o.MaxAge, MaxBytes: limit, DenyDelete: true, DenyPurge: true,
	})
	return err
}

// noJetStream tells an account without JetStream from servers that are not well.
func noJetStream(err error) bool {
	return errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) ||
		errors.Is(err, nats.ErrNoResponders)
}

// events are the entries as events that nobody has signed yet.
func (l *Log) events(items []item, gap *Gap) ([]*event.Event, error) {
	events := make([]*event.Event, 0, len(items)+1)
	add := func(subject, kind string, value any) error {
		body, err := json.Marshal(value)
		if err != nil {
			return err
		}
		events = append(events, &event.Event{
			Author: l.account, Type: kind, Subject: subject, Content: "application/json", Body: body,
		})
		return nil
	}
	var errs error
	if gap != nil {
		errs = add(GapSubject, gapType, gap)
	}
	for _, i := range items {
		if i.decision != nil {
			errs = errors.Join(errs, add(LoginSubject, loginType, newEntry(i.decision, i.at, i.more)))
		} else {
			errs = errors.Join(errs, add(ClosedSubject, closedType, i.closed))
		}
	}
	return events, errs
}

// writeLines writes unsigned lines.
func (l *Log) writeLines(events []*event.Event) error {
	for _, e := range events {
		line, err := json.Marshal(struct {
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		}{e.Type, e.Body})
		if err == nil {
			_, err = l.o.Lines.Write(append(line, '\n'))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// store signs events and has the stream store them, however long that takes: until the log
// is given up. An event that had to be sent twice is stored once.
func (l *Log) store(events []*event.Event) error {
	if err := event.SignBatch(l.device, events); err != nil {
		return err
	}
	messages := make([]*nats.Msg, len(events))
	for i, e := range events {
		messages[i] = (&event.Envelope{Event: e, Access: l.o.Identity.Token}).Msg(event.Headers)
	}
	for wait, said := firstRetry, false; ; wait = min(2*wait, lastRetry) {
		var err error
		if messages, err = l.send(messages); err == nil {
			return nil
		}
		if !said {
			said = true
			l.o.Logger.Warn("the audit waits: NATS does not take its entries", "entries", len(messages), "error", err)
		}
		if errors.Is(err, nats.ErrDisconnected) {
			wait = firstRetry // nobody is asked
		}
		select {
		case <-l.ctx.Done():
			return err
		case <-time.After(wait):
		}
		if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
			l.reopen()
		}
	}
}

// reopen makes the stream again if somebody has removed it.
func (l *Log) reopen() {
	ctx, cancel := context.WithTimeout(l.ctx, ackTime)
	defer cancel()
	if err := l.openStream(ctx, l.js); err != nil {
		l.o.Logger.Warn("the stream of the audit cannot be opened", "error", err)
	}
}

// send sends messages and returns those that were not stored.
func (l *Log) send(messages []*nats.Msg) (left []*nats.Msg, err error) {
	if !l.o.Conn.IsConnected() { // sent now they would pile up in the client
		return messages, nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(l.ctx, ackTime)
	defer cancel()
	acks := make([]jetstream.PubAckFuture, len(messages))
	var failed error
	for i, message := range messages {
		message.Reply = "" // of the time before
		if acks[i], err = l.js.PublishMsgAsync(message); err != nil {
			failed = err
		}
	}
	for i, ack := range acks {
		if ack == nil {
			left = append(left, messages[i])
		} else if err := stored(ctx, ack); err != nil {
			left, failed = append(left, messages[i]), err
		}
	}
	return left, failed
}

// stored waits until a message is stored, or ctx ends and it is not.
func stored(ctx context.Context, ack jetstream.PubAckFuture) error {
	select {
	case <-ack.Ok():
		return nil
	case err := <-ack.Err():
		return err
	case <-ctx.Done():
	}
	select {
	case <-ack.Ok():
		return nil
	default:
		return ctx.Err()
	}
}
