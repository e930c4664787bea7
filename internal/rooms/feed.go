package rooms

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// Stream is the name of the stream of room messages, in account ROOMS.
const Stream = "ROOMS"

const (
	MaxMessage  = 256 << 10 // bytes of a stored message: event and headers
	historyMost = 500       // messages in one answer
	historyPage = 512 << 10
)

// Feed is the stream of room messages.
type Feed struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// OpenFeed connects to the stream over nc (in account ROOMS) and creates it where there
// is none: room.<room>.say.<A> is stored as log.<room> and republished to feed.<room>.
func OpenFeed(ctx context.Context, nc *nats.Conn, replicas int) (*Feed, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open rooms: %w", err)
	}
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:             Stream,
		Description:      "Keyhall: room messages, sealed",
		Subjects:         []string{"room.*.say.*"},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: "room.*.say.*", Destination: "log.{{wildcard(1)}}"},
		RePublish:        &jetstream.RePublish{Source: "log.*", Destination: "feed.{{wildcard(1)}}"},
		Storage:          jetstream.FileStorage,
		Replicas:         replicas,
		MaxMsgSize:       MaxMessage,
		Duplicates:       2 * time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("open rooms stream: %w", err)
	}
	return &Feed{js: js, stream: stream}, nil
}

// last is the newest sequence of a room, 0 in an empty one.
func (f *Feed) last(ctx context.Context, room string) (uint64, error) {
	msg, err := f.stream.GetLastMsgForSubject(ctx, "log."+room)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look at room: %w", err)
	}
	return msg.Sequence, nil
}

// After reads up to limit messages of room after a sequence.
func (f *Feed) After(ctx context.Context, room string, after uint64, limit int) (*api.History, error) {
	last, err := f.last(ctx, room)
	if err != nil {
		return nil, err
	}
	history := &api.History{Messages: []api.Entry{}, Through: max(after, last), Last: last}
	if after >= last {
		return history, nil
	}
	return history, f.read(ctx, room, after, history, limit, historyPage)
}

// Newest reads up to limit messages at the end of a room.
func (f *Feed) Newest(ctx context.Context, room string, limit int) (*api.History, error) {
	last, err := f.last(ctx, room)
	if err != nil {
		return nil, err
	}
	// Other rooms' messages lie between: look back further until there are enough.
	for distance := uint64(limit); ; distance *= 2 {
		history := &api.History{Messages: []api.Entry{}, Through: last, Last: last}
		after := last - min(last, distance)
		if err := f.read(ctx, room, after, history, math.MaxInt, math.MaxInt); err != nil {
			return nil, err
		}
		if len(history.Messages) >= limit || after == 0 {
			history.Messages = newest(history.Messages, limit)
			return history, nil
		}
	}
}

// newest is the end of messages that fits one answer.
func newest(messages []api.Entry, limit int) []api.Entry {
	size, first := 0, len(messages)
	for first > 0 && len(messages)-first < limit {
		if size += len(messages[first-1].Event); size > historyPage {
			break
		}
		first--
	}
	return messages[first:]
}

// read fills history with the room's messages above after, up to its Last, or up to limit
// messages or page bytes. Each is asked for by name: a consumer would hand on headers that
// a publisher made up, and a client library takes some of them for the server's own.
func (f *Feed) read(ctx context.Context, room string, after uint64, history *api.History, limit, page int) error {
	size := 0
	for next := after + 1; next <= history.Last; {
		msg, err := f.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject("log."+room))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil // the rest was deleted meanwhile
		}
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "the room could not be read to its end; try again")
		}
		next = msg.Sequence + 1
		if !isMessage(room, msg.Data) {
			if err := f.stream.DeleteMsg(ctx, msg.Sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
				return fault.Wrap(fault.Unavailable, err, "the room is being cleared of what nobody said; try again")
			}
			continue // it would be met at every reading
		}
		if size += len(msg.Data); len(history.Messages) >= limit || (size > page && len(history.Messages) > 0) {
			history.Through = msg.Sequence - 1
			return nil
		}
		history.Messages = append(history.Messages, api.Entry{Seq: msg.Sequence, Time: msg.Time.UTC(), Event: msg.Data})
	}
	return nil
}

// isMessage reports whether what is stored can be a message of the room: the stream also
// holds what its publishers, or the server in their name, put there and nobody signed.
func isMessage(room string, data []byte) bool {
	ev, err := event.Decode(data)
	return err == nil && ev.Subject == "room."+room+".say."+ev.Author.Text(trust.Account)
}
