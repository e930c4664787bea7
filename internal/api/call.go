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

// TimeHeader is the header of every answer with the service's time, RFC 3339.
const TimeHeader = "Keyhall-Time"

// Call sends a request as JSON (or as it is, if it is []byte) to subject and reads the
// JSON answer into answer, a pointer. It waits ten seconds at most. Errors are faults with
// the service's code.
func Call(ctx context.Context, nc *nats.Conn, subject string, request, answer any) error {
	return CallWithin(ctx, callTime, nc, subject, request, answer)
}

// CallWithin is Call for requests that may take longer.
func CallWithin(ctx context.Context, limit time.Duration, nc *nats.Conn, subject string, request, answer any) error {
	_, err := ask(ctx, limit, nc, subject, request, answer)
	return err
}

// Ask is Call, and says what time it was at the service when it answered: the zero time if
// it did not, or did not say.
func Ask(ctx context.Context, nc *nats.Conn, subject string, request, answer any) (at time.Time, err error) {
	return ask(ctx, callTime, nc, subject, request, answer)
}

func ask(ctx context.Context, limit time.Duration, nc *nats.Conn, subject string, request, answer any) (at time.Time, err error) {
	data, raw := request.([]byte)
	if !raw {
		if data, err = json.Marshal(request); err != nil {
			return at, fmt.Errorf("encode request: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, subject, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return at, fault.Wrap(fault.Unavailable, err, "the hub's services do not answer; is the hub running?")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return at, fault.Wrap(fault.Unavailable, err, "the hub did not answer in time; try again")
	case err != nil:
		return at, fault.Wrap(fault.Unavailable, err, "the hub cannot be asked: %v", err)
	}
	at, _ = time.Parse(time.RFC3339Nano, msg.Header.Get(TimeHeader)) // the zero time where it says none
	if code := msg.Header.Get(micro.ErrorCodeHeader); code != "" {
		return at, said(fault.Code(code), msg.Header.Get(micro.ErrorHeader))
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return at, fault.Wrap(fault.Unavailable, err, "the hub answered something that cannot be read")
	}
	return at, nil
}

const maxSentence = 300 // runes of a service's sentence that are shown

// said is the error that a service answered with: a code of the protocol, and words that
// are the service's own. They fit a line.
func said(code fault.Code, sentence string) error {
	switch code {
	case fault.Malformed, fault.Refused, fault.NotFound, fault.Taken, fault.Conflict, fault.Expired, fault.TooLarge,
		fault.Unavailable, fault.Internal:
	default:
		return fault.New(fault.Unavailable, "the hub answered something that cannot be read")
	}
	if runes := []rune(sentence); len(runes) > maxSentence {
		sentence = string(runes[:maxSentence]) + "…"
	}
	return fault.New(code, "%s", sentence)
}
