package event

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// ResponderOptions say how a Responder answers.
type ResponderOptions struct {
	Access AccessSource // finds access tokens by their hashes; nil: each request has to carry its own
	Form   Form         // of the answers
	// Memory, if set, remembers beyond this process which requests were handled. It is
	// needed where several responders share a queue group: each of them takes a request once.
	Memory Memory
	// Imported says that the service is exported to other accounts, whose requests come with
	// reply subjects that the server made.
	Imported bool
	// Failed, if set, is told of every request that was refused without an answer, with the
	// reason, and of every error of the handler.
	Failed func(context.Context, *Failure)
}

// couldNot is what who asks is told of an error that is for the responder alone.
const couldNot = "the request could not be handled"

// RequestHandler handles a verified request and returns the body of the answer. A *Refusal
// is told to who asks. Of any other error they learn only that there was one; Failed is told
// which.
type RequestHandler func(ctx context.Context, r *Received) ([]byte, error)

// Responder answers signed requests of those whom its manager believes, each request once,
// and nowhere but in the private inbox of the key that signed it: whoever else names a reply
// subject is refused. Its connection needs the right to subscribe to the service's subject
// and allow_responses, and nothing else. It is safe for concurrent use.
type Responder struct {
	nc *nats.Conn
	s  *Subscriber
	p  *Publisher
	o  ResponderOptions
}

// NewResponder makes a responder on a connection, which stays its caller's. m checks the
// requests and issues the answers (TokenManager.SignAs).
func NewResponder(nc *nats.Conn, m *TokenManager, o ResponderOptions) *Responder {
	return &Responder{
		nc: nc, o: o, p: NewPublisher(nc, m, PublisherOptions{Form: o.Form, Type: answerType}),
		s: NewSubscriber(nc, m, SubscriberOptions{Access: o.Access, Memory: o.Memory, Failed: o.Failed}),
	}
}

// Respond handles the requests on a subject, one after the other, until ctx ends or the
// subscription does. queue shares them with other subscriptions; "": every one gets each.
// Who wants several handled at a time calls it again with the same queue. It returns when
// the server knows of it.
func (r *Responder) Respond(ctx context.Context, subject, queue string, handle RequestHandler) (*nats.Subscription, error) {
	sub, err := r.nc.QueueSubscribe(subject, queue, func(msg *nats.Msg) {
		if ctx.Err() != nil {
			return
		}
		if request, err := r.respond(ctx, msg, handle); err != nil {
			r.s.fail(ctx, &Failure{Err: err, Msg: msg, Event: eventOf(request), Final: true})
		}
	})
	if err == nil {
		err = r.nc.FlushTimeout(flushTime)
	}
	if err != nil {
		return nil, fmt.Errorf("respond to requests: %w", err)
	}
	return sub, nil
}

// respond verifies a request, handles and answers it. What it returns beside an error has
// the event, where there is one.
func (r *Responder) respond(ctx context.Context, msg *nats.Msg, handle RequestHandler) (*Received, error) {
	request, err := r.receive(ctx, msg)
	if err != nil {
		return request, err
	}
	data, err := handle(ctx, request)
	kind := Type(answerType)
	if err != nil {
		var refusal *Refusal
		if reason := couldNot; !errors.As(err, &refusal) {
			data = []byte(reason)
		} else {
			data, err = []byte(refusal.Reason), nil
		}
		kind = Type(refusalType)
	}
	if _, failed := r.p.Publish(ctx, msg.Reply, data, kind, From(request)); failed != nil {
		err = errors.Join(err, fmt.Errorf("answer: %w", failed))
	}
	return request, err
}

// receive verifies a request, and that it is there for the first time. Where its answer
// would go is judged first: a copy that wants it elsewhere takes nobody's place.
func (r *Responder) receive(ctx context.Context, msg *nats.Msg) (*Received, error) {
	v, err := readRequest(msg, r.o.Imported)
	if v == nil {
		return nil, err
	}
	at := arrival{acts: true}
	request := r.s.received(v, at)
	if err != nil {
		return request, err
	}
	if err := r.s.m.Verify(ctx, v, at.moment(), r.o.Access); err != nil {
		return request, err
	}
	return request, r.s.accept(ctx, request, at)
}
