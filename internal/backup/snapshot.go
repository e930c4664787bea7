package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	chunkSize = 256 << 10 // of a snapshot on its way
	chunkTime = 30 * time.Second
	startTime = 5 * time.Minute // a server checks all messages of a stream first
)

// errNoStream is the error of a stream that is not there.
var errNoStream = errors.New("no such stream")

// apiError is how JetStream says no.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

const streamNotFound = 10059 // JetStream's error code

func (e *apiError) err() error {
	switch {
	case e == nil:
		return nil
	case e.ErrCode == streamNotFound:
		return errNoStream
	}
	return errors.New(e.Description)
}

// snapshot has the server check a stream and take a snapshot of it, without its consumers,
// and calls each with its bytes in order. Every chunk is acknowledged when each returns, so
// that the server never runs far ahead.
func snapshot(ctx context.Context, nc *nats.Conn, name string, each func([]byte) error) (config, state json.RawMessage, err error) {
	inbox := nc.NewInbox()
	chunks, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, nil, fmt.Errorf("snapshot of %s: %w", name, err)
	}
	defer func() { _ = chunks.Unsubscribe() }()
	var answer struct {
		Error  *apiError       `json:"error"`
		Config json.RawMessage `json:"config"`
		State  json.RawMessage `json:"state"`
	}
	request := map[string]any{"deliver_subject": inbox, "no_consumers": true, "chunk_size": chunkSize, "jsck": true}
	if err := ask(ctx, nc, startTime, "$JS.API.STREAM.SNAPSHOT."+name, request, &answer); err != nil {
		return nil, nil, fmt.Errorf("snapshot of %s: %w", name, err)
	}
	if err := answer.Error.err(); err != nil {
		return nil, nil, fmt.Errorf("snapshot of %s: %w", name, err)
	}
	for {
		chunk, err := next(ctx, chunks)
		if err != nil {
			return nil, nil, fmt.Errorf("snapshot of %s: %w", name, err)
		}
		if len(chunk.Data) == 0 {
			// The end, and how it came to it: 204, or what went wrong.
			if status := chunk.Header.Get("Status"); status != "" && status != "204" {
				return nil, nil, fmt.Errorf("snapshot of %s: %s %s", name, status, chunk.Header.Get("Description"))
			}
			return answer.Config, answer.State, nil
		}
		if err := each(chunk.Data); err != nil {
			return nil, nil, err
		}
		if chunk.Reply == "" {
			continue
		}
		if err := nc.Publish(chunk.Reply, nil); err != nil {
			return nil, nil, fmt.Errorf("snapshot of %s: %w", name, err)
		}
	}
}

func next(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTime)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// restoring is a stream that is being restored.
type restoring struct {
	nc      *nats.Conn
	name    string
	deliver string
}

// restore begins to restore a stream that is not there.
func restore(ctx context.Context, nc *nats.Conn, stream Stream) (*restoring, error) {
	var answer struct {
		Error   *apiError `json:"error"`
		Deliver string    `json:"deliver_subject"`
	}
	request := map[string]any{"config": stream.Config, "state": stream.State}
	if err := ask(ctx, nc, chunkTime, "$JS.API.STREAM.RESTORE."+stream.Name, request, &answer); err != nil {
		return nil, fmt.Errorf("restore %s: %w", stream.Name, err)
	}
	if err := answer.Error.err(); err != nil {
		return nil, fmt.Errorf("restore %s: %w", stream.Name, err)
	}
	return &restoring{nc: nc, name: stream.Name, deliver: answer.Deliver}, nil
}

// write hands over the next bytes of the snapshot.
func (r *restoring) write(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		size := min(len(data), chunkSize)
		answer, err := r.send(ctx, chunkTime, data[:size])
		if err != nil {
			return fmt.Errorf("restore %s: %w", r.name, err)
		}
		if len(answer) > 0 { // the server gave up; it says why
			return fmt.Errorf("restore %s: %w", r.name, r.verdict(answer, nil))
		}
		data = data[size:]
	}
	return nil
}

// close ends the snapshot and returns the state of the stream that it became.
func (r *restoring) close(ctx context.Context) (state streamState, err error) {
	answer, err := r.send(ctx, startTime, nil)
	if err == nil {
		err = r.verdict(answer, &state)
	}
	if err != nil {
		return state, fmt.Errorf("restore %s: %w", r.name, err)
	}
	return state, nil
}

func (r *restoring) send(ctx context.Context, limit time.Duration, data []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	msg, err := r.nc.RequestWithContext(ctx, r.deliver, data)
	if err != nil {
		return nil, err
	}
	return msg.Data, nil
}

func (r *restoring) verdict(data []byte, state *streamState) error {
	var answer struct {
		Error *apiError   `json:"error"`
		State streamState `json:"state"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return fmt.Errorf("unreadable answer: %w", err)
	}
	if state != nil {
		*state = answer.State
	}
	return answer.Error.err()
}

// streamState is what has to be the same after a restore.
type streamState struct {
	Messages uint64 `json:"messages"`
	First    uint64 `json:"first_seq"`
	Last     uint64 `json:"last_seq"`
}

// same compares two states; an empty stream has no first message.
func (s streamState) same(other streamState) bool {
	return s.Messages == other.Messages && s.Last == other.Last && (s.Messages == 0 || s.First == other.First)
}

func ask(ctx context.Context, nc *nats.Conn, limit time.Duration, subject string, request, answer any) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return err
	}
	return json.Unmarshal(msg.Data, answer)
}
