package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// The bounds of a service.
const (
	requestTime = 8 * time.Second // less than callers wait
	inFlight    = 128             // requests of one service at a time
	perCaller   = 32              // of them those of one member
	maxAnswer   = 1000 << 10      // bytes; a NATS message has at most 1 MiB with its headers
)

// Handler answers one request of caller (the second token of the subject) with a value
// that becomes JSON, or with an error whose code and sentence the caller gets.
type Handler func(ctx context.Context, caller string, data []byte) (any, error)

// Service is a group of verbs.
type Service struct {
	Name        string // as in the subject: people, rooms, …
	Description string
	Prefix      string // subject in front of the verb; "hub.*.<name>" if empty
	// Reply says which reply subjects of a caller are answered; those of the service
	// import if it is nil. An answer goes out with the service's rights, so a caller that
	// chose its subject freely could have it sent to JetStream's API, or to somebody else.
	Reply func(caller, reply string) bool
	Verbs map[string]Handler
	Time  time.Duration // how long a request may take; ten seconds if 0
}

// Serve offers the service on nc until ctx ends, when requests in flight are
// finished first. Replicas share the work through a queue group.
func Serve(ctx context.Context, nc *nats.Conn, s Service, log *slog.Logger) (wait func(), err error) {
	service, err := micro.AddService(nc, micro.Config{
		Name: "keyhall-" + s.Name, Version: "1.0.0", Description: s.Description, QueueGroup: "keyhall",
	})
	if err != nil {
		return nil, fmt.Errorf("offer service %s: %w", s.Name, err)
	}
	prefix := s.Prefix
	if prefix == "" {
		prefix = "hub.*." + s.Name
	}
	if s.Time == 0 {
		s.Time = requestTime
	}
	mayReply := s.Reply
	if mayReply == nil {
		mayReply = imported
	}
	slots, asking, members := make(chan struct{}, inFlight), new(callers), s.Reply == nil
	group := service.AddGroup(prefix)
	for verb, handle := range s.Verbs {
		name := s.Name + "." + verb // what may be logged: the subject names the caller
		call := func(req micro.Request) {
			if !mayReply(callerOf(req.Subject()), req.Reply()) {
				log.Warn("request with a foreign reply subject dropped", "verb", name)
				return
			}
			caller := callerOf(req.Subject())
			if members && !asking.enter(caller) {
				refuse(req, fault.Unavailable, "you ask for too much at once; try again in a moment")
				return
			}
			slots <- struct{}{}
			go func() {
				defer func() {
					<-slots
					if members {
						asking.leave(caller)
					}
				}()
				answer(ctx, req, handle, s.Time, log.With("verb", name))
			}()
		}
		if err := group.AddEndpoint(verb, micro.HandlerFunc(call)); err != nil {
			_ = service.Stop()
			return nil, fmt.Errorf("offer %s.%s: %w", s.Name, verb, err)
		}
	}
	if err := nc.FlushTimeout(requestTime); err != nil { // from here on whoever asks is heard
		_ = service.Stop()
		return nil, fmt.Errorf("offer service %s: %w", s.Name, err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		_ = service.Stop() // drains; a connection that is gone needs none
		for range inFlight {
			slots <- struct{}{}
		}
	}()
	return func() { <-stopped }, nil
}

// imported are the reply subjects that the server makes for requests through an import:
// whatever the caller chose stays in the caller's account.
func imported(_, reply string) bool { return strings.HasPrefix(reply, "_R_.") }

// OwnInbox are the private inboxes of connections that ask within account HUB: caller is
// the key that the connection proved.
func OwnInbox(caller, reply string) bool { return strings.HasPrefix(reply, "_INBOX_"+caller+".") }

// AnyInbox are the private inboxes of the hub's own services.
func AnyInbox(_, reply string) bool { return strings.HasPrefix(reply, "_INBOX_U") }

func answer(ctx context.Context, req micro.Request, handle Handler, limit time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	result, err := safely(ctx, req, handle)
	var data []byte
	if err == nil {
		data, err = json.Marshal(result)
	}
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("an answer of %d bytes", len(data))
	}
	if err == nil {
		_ = req.Respond(data, micro.WithHeaders(micro.Headers{TimeHeader: {now()}})) // a caller that is gone needs no answer
		return
	}
	code, sentence := publicError(err)
	if code == fault.Internal || code == fault.Unavailable {
		log.Error("request failed", "code", code, "error", describe(err))
	}
	refuse(req, code, sentence)
}

// refuse answers with an error. It does what req.Error does, but for its note in req, which
// the framework reads as soon as the handler has handed the request over.
func refuse(req micro.Request, code fault.Code, sentence string) {
	_ = req.Respond(nil, micro.WithHeaders(micro.Headers{
		micro.ErrorCodeHeader: {string(code)}, micro.ErrorHeader: {sentence}, TimeHeader: {now()},
	}))
}

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// describe adds a fault's hidden cause, for logs.
func describe(err error) string {
	if cause := errors.Unwrap(err); cause != nil {
		return err.Error() + ": " + cause.Error()
	}
	return err.Error()
}

// safely turns a panic of one request into one failed request.
func safely(ctx context.Context, req micro.Request, handle Handler) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return handle(ctx, callerOf(req.Subject()), req.Data())
}

func callerOf(subject string) string {
	_, rest, _ := strings.Cut(subject, ".")
	caller, _, _ := strings.Cut(rest, ".")
	return caller
}

// publicError is what a caller may know of an error.
func publicError(err error) (fault.Code, string) {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f.Code, f.Message
	case errors.Is(err, chain.ErrPlace):
		return fault.Conflict, "something changed meanwhile; look again and try again"
	case errors.Is(err, event.ErrMalformed), errors.Is(err, chain.ErrContent), errors.Is(err, trust.ErrCanonical):
		return fault.Malformed, err.Error()
	case errors.Is(err, chain.ErrRefused), errors.Is(err, event.ErrSignature), errors.Is(err, event.ErrBody),
		errors.Is(err, event.ErrNotMeant), errors.Is(err, event.ErrTime):
		return fault.Refused, err.Error()
	}
	return fault.Internal, "the hub failed at this; its log says more"
}

// Decode reads a JSON request.
func Decode[T any](data []byte) (*T, error) {
	request := new(T)
	if len(data) > 0 {
		if err := json.Unmarshal(data, request); err != nil {
			return nil, fault.New(fault.Malformed, "the request is not the JSON it should be")
		}
	}
	return request, nil
}

// DecodeEvent reads an event that its author appends in person and now.
func DecodeEvent(caller string, data []byte) (*event.Event, error) {
	ev, err := event.Decode(data)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := ev.Fresh(now); err != nil {
		return nil, err
	}
	if ev.Time.Before(now.Add(-trust.ClockSkew)) {
		return nil, fmt.Errorf("%w: it was signed more than %s ago; check both clocks", event.ErrTime, trust.ClockSkew)
	}
	if ev.Author.Text(trust.Account) != caller {
		return nil, fmt.Errorf("%w: you are not its author", chain.ErrRefused)
	}
	return ev, nil
}
