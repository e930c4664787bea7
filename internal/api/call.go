package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"keyhall.dev/keyhall/internal/fault"
)

const callTime = 10 * time.Second

// Call sends a request as JSON (or as it is, if it is []byte) to subject and reads the
// JSON answer into answer, a pointer. It waits ten seconds at most. Errors are faults with
// the service's code.
func Call(ctx context.Context, nc *nats.Conn, subject string, request, answer any) error {
	return CallWithin(ctx, callTime, nc, subject, request, answer)
}

// CallWithin is Call for requests that may take longer.
func CallWithin(ctx context.Context, limit time.Duration, nc *nats.Conn, subject string, request, answer any) error {
	data, raw := request.([]byte)
	if !raw {
		var err error
		if data, err = json.Marshal(request); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, subject, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fault.Wrap(fault.Unavailable, err, "the hub's services do not answer; is the hub running?")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fault.Wrap(fault.Unavailable, err, "the hub did not answer in time; try again")
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "the hub cannot be asked: %v", err)
	}
	if code := msg.Header.Get(micro.ErrorCodeHeader); code != "" {
		return fault.New(fault.Code(code), "%s", msg.Header.Get(micro.ErrorHeader))
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the hub answered something that cannot be read")
	}
	return nil
}
