package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	newest, err := f.get(ctx, lookup{Last: "log." + room})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, err, "the room could not be looked at; try again")
	}
	return newest.Seq, nil
}

// After reads up to limit messages of room after a sequence.
func (f *Feed) After(ctx context.Context, room string, after uint64, limit int) (*api.History, error) {
	history, err := f.empty(ctx, room)
	if err != nil {
		return nil, err
	}
	if after >= history.Last {
		history.Through = after
		return history, nil
	}
	size := 0
	return history, f.each(ctx, room, after, history.Last, func(entry api.Entry) (more bool) {
		size += len(entry.Event)
		if len(history.Messages) >= limit || (size > historyPage && len(history.Messages) > 0) {
			history.Through = entry.Seq - 1
			return false
		}
		history.Messages = append(history.Messages, entry)
		return true
	})
}

// Newest reads up to limit messages at the end of a room, or below the sequence before if it
// is not 0, as many as fit one answer.
func (f *Feed) Newest(ctx context.Context, room string, before uint64, limit int) (*api.History, error) {
	history, err := f.empty(ctx, room)
	if err != nil {
		return nil, err
	}
	if before > 0 {
		history.Through = min(history.Last, before-1)
	}
	// Other rooms' messages lie between: look back further until there are enough.
	for distance := uint64(limit); ; distance *= 2 {
		after := history.Through - min(history.Through, distance)
		end := newest{limit: limit}
		if err := f.each(ctx, room, after, history.Through, end.take); err != nil {
			return nil, err
		}
		if len(end.messages) >= limit || end.full || after == 0 {
			history.Messages = append(history.Messages, end.messages...)
			return history, nil
		}
	}
}

func (f *Feed) empty(ctx context.Context, room string) (*api.History, error) {
	last, err := f.last(ctx, room)
	return &api.History{Messages: []api.Entry{}, Through: last, Last: last}, err
}

// newest keeps the end of what it takes: no more than is asked for and fits one answer,
// however large the messages before it are.
type newest struct {
	limit    int
	messages []api.Entry
	size     int
	full     bool // whether one was dropped because the answer is full
}

func (n *newest) take(entry api.Entry) (more bool) {
	n.messages, n.size = append(n.messages, entry), n.size+len(entry.Event)
	for len(n.messages) > 1 && (len(n.messages) > n.limit || n.size > historyPage) {
		n.full = n.full || n.size > historyPage
		n.size -= len(n.messages[0].Event)
		n.messages = n.messages[1:]
	}
	return true
}

// each takes the room's messages above after, up to last, for as long as take wants more.
// Each is asked for by name: a consumer would hand on headers that a publisher made up, and
// a client library takes some of them for the server's own.
func (f *Feed) each(ctx context.Context, room string, after, last uint64, take func(api.Entry) (more bool)) error {
	for at := after + 1; at <= last; {
		msg, err := f.get(ctx, lookup{From: at, Next: "log." + room})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil // the rest was deleted meanwhile
		}
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "the room could not be read to its end; try again")
		}
		at = msg.Seq + 1
		if !isMessage(room, msg.Data) {
			if err := f.stream.DeleteMsg(ctx, msg.Seq); err != nil && f.has(ctx, room, msg.Seq) {
				return fault.Wrap(fault.Unavailable, err, "the room is being cleared of what nobody said; try again")
			}
			continue // it would be met at every reading
		}
		if msg.Seq > last || !take(api.Entry{Seq: msg.Seq, Time: msg.Time.UTC(), Event: msg.Data}) {
			return nil
		}
	}
	return nil
}

// has reports whether a message of the room may still be there: another reading may have met
// it at the same time and deleted it first.
func (f *Feed) has(ctx context.Context, room string, seq uint64) bool {
	msg, err := f.get(ctx, lookup{From: seq, Next: "log." + room})
	if err != nil {
		return !errors.Is(err, jetstream.ErrMsgNotFound)
	}
	return msg.Seq == seq
}

// lookup says which message is wanted: the last of a subject, or the next from a sequence.
type lookup struct {
	From uint64 `json:"seq,omitempty"`
	Next string `json:"next_by_subj,omitempty"`
	Last string `json:"last_by_subj,omitempty"`
}

// stored is a message as the stream has it. Its headers are left alone: all of them are the
// publisher's, and they may be such that a client library reads no message for them.
type stored struct {
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	Data []byte    `json:"data"`
}

// get asks the stream for one message; the error is jetstream.ErrMsgNotFound for none.
func (f *Feed) get(ctx context.Context, which lookup) (*stored, error) {
	request, err := json.Marshal(which)
	if err != nil {
		return nil, err
	}
	msg, err := f.js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+Stream, request)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message stored              `json:"message"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return nil, fmt.Errorf("unreadable answer of the stream: %w", err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, jetstream.ErrMsgNotFound
	case answer.Error != nil:
		return nil, answer.Error
	}
	return &answer.Message, nil
}

// isMessage reports whether what is stored can be a message of the room: the stream also
// holds what its publishers, or the server in their name, put there and nobody signed.
func isMessage(room string, data []byte) bool {
	ev, err := event.Decode(data)
	return err == nil && ev.Subject == "room."+room+".say."+ev.Author.Text(trust.Account)
}
