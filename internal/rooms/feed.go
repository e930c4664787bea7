package rooms

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/api"
)

// Stream is the name of the stream of room messages, in account ROOMS.
const Stream = "ROOMS"

const (
	MaxMessage  = 64 << 10 // bytes of a stored message: event and headers
	historyMost = 500      // messages in one answer
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
	if last <= after {
		return history, nil
	}
	consumer, err := f.from(ctx, room, after+1)
	if err != nil {
		return nil, err
	}
	return history, f.read(consumer, history, limit, historyPage)
}

// Newest reads up to limit messages at the end of a room.
func (f *Feed) Newest(ctx context.Context, room string, limit int) (*api.History, error) {
	last, err := f.last(ctx, room)
	if err != nil {
		return nil, err
	}
	history := &api.History{Messages: []api.Entry{}, Through: last, Last: last}
	if last == 0 {
		return history, nil
	}
	// Other rooms' messages lie between: look back further until there are enough.
	for distance := uint64(limit); ; distance *= 2 {
		start := uint64(1)
		if last >= distance {
			start = last - distance + 1
		}
		consumer, err := f.from(ctx, room, start)
		if err != nil {
			return nil, err
		}
		pending := consumer.CachedInfo().NumPending
		if pending < uint64(limit) && start > 1 {
			continue
		}
		if err := f.read(consumer, history, int(min(pending, 1<<20)), math.MaxInt); err != nil {
			return nil, err
		}
		history.Messages = newest(history.Messages, limit)
		return history, nil
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

func (f *Feed) from(ctx context.Context, room string, start uint64) (jetstream.Consumer, error) {
	consumer, err := f.js.OrderedConsumer(ctx, Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"log." + room}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: start,
	})
	if err != nil {
		return nil, fmt.Errorf("read room: %w", err)
	}
	return consumer, nil
}

// read fills history up to its Last, or up to limit messages or page bytes.
func (f *Feed) read(consumer jetstream.Consumer, history *api.History, limit, page int) error {
	size := 0
	for len(history.Messages) < limit {
		batch, err := consumer.Fetch(min(limit-len(history.Messages), 256), jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return fmt.Errorf("read room: %w", err)
		}
		received := 0
		for msg := range batch.Messages() {
			received++
			meta, err := msg.Metadata()
			if err != nil {
				return fmt.Errorf("read room: %w", err)
			}
			if size += len(msg.Data()); size > page && len(history.Messages) > 0 {
				return nil
			}
			history.Messages = append(history.Messages, api.Entry{
				Seq: meta.Sequence.Stream, Time: meta.Timestamp.UTC(), Event: msg.Data(),
			})
			history.Through = meta.Sequence.Stream
			if history.Through >= history.Last {
				return nil
			}
		}
		if received == 0 { // the rest was deleted meanwhile
			history.Through = history.Last
			return batch.Error()
		}
	}
	return nil
}
