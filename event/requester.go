package event

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/trust"
)

// RequesterOptions say how a Requester asks.
type RequesterOptions struct {
	// Answerers say who may answer. They are needed: nil believes nobody.
	Answerers Answerers
	Form      Form
	// Wait is how long to wait for an answer where the context has no end; 10 seconds if 0.
	Wait time.Duration
	// Imported says that services may be those of other accounts, whose answers the server
	// brings here under another subject than they were published on.
	Imported bool
	// Failed, if set, is told of everything that comes to the inbox and is no answer.
	Failed func(context.Context, *Failure)
}

const (
	answerTime = 10 * time.Second
	maxReason  = 1024 // bytes of a refusal that are shown
)

// Requester asks services by signed requests, and takes the answers of those who may answer
// to the very request. Its connection must be allowed to subscribe to the private inbox of
// the key that signs, trust.InboxPrefix. It is safe for concurrent use.
type Requester struct {
	nc *nats.Conn
	m  *TokenManager
	p  *Publisher
	o  RequesterOptions

	mu      sync.Mutex
	closed  bool
	inboxes map[trust.PublicKey]*nats.Subscription
	waiting map[uuid.UUID]*question
}

// question is a request that waits for its answer.
type question struct {
	request *Event
	answer  chan *Received // of length 1; closed where nobody listens
}

// NewRequester makes a requester on a connection, which stays its caller's. m issues the
// requests (TokenManager.SignAs) and checks the answers.
func NewRequester(nc *nats.Conn, m *TokenManager, o RequesterOptions) (*Requester, error) {
	if o.Answerers == nil {
		return nil, fmt.Errorf("new requester: %w: it does not say who may answer", ErrUntrusted)
	}
	if o.Wait == 0 {
		o.Wait = answerTime
	}
	return &Requester{
		nc: nc, m: m, o: o, p: NewPublisher(nc, m, PublisherOptions{Form: o.Form, Type: requestType}),
		inboxes: make(map[trust.PublicKey]*nats.Subscription), waiting: make(map[uuid.UUID]*question),
	}, nil
}

// Close stops listening for answers. Requests that wait for one end with ErrNoAnswer when
// their context does.
func (r *Requester) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for device, sub := range r.inboxes {
		errs = append(errs, sub.Unsubscribe())
		delete(r.inboxes, device)
	}
	return errors.Join(errs...)
}

// Request asks on a subject and returns the verified answer. Options are those of Publish;
// a Type has to begin with "request.", and a request that came out of another event says so
// with From. The error is a *Refusal where the answer is one; it matches ErrNoAnswer where
// none came before ctx ended.
func (r *Requester) Request(ctx context.Context, subject string, data []byte, options ...PublishOption) (*Received, error) {
	if _, ends := ctx.Deadline(); !ends {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.o.Wait)
		defer cancel()
	}
	v := r.p.draft(subject, data, options)
	if err := r.p.finish(v, data); err != nil {
		return nil, err
	}
	if err := r.listen(v.Event.Device); err != nil {
		return nil, err
	}
	asked := r.await(v.Event)
	defer r.forget(v.Event)
	msg := v.Msg(r.o.Form)
	msg.Reply = ReplySubject(v.Event)
	if _, err := readRequest(msg, false); err != nil {
		return nil, fmt.Errorf("request: %w", err) // what no responder would take
	}
	if err := r.nc.PublishMsg(msg); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	select {
	case answer := <-asked.answer:
		return concluded(answer)
	case <-ctx.Done():
		return nil, r.silence(ctx)
	}
}

// concluded is what an answer says.
func concluded(answer *Received) (*Received, error) {
	switch {
	case answer == nil:
		return nil, ErrNoResponder
	case answer.Type == refusalType:
		return nil, &Refusal{Reason: inALine(answer.Data), Answer: answer}
	}
	return answer, nil
}

// inALine is a reason as it can stand in a log: one line of bounded length.
func inALine(reason []byte) string {
	text := strings.ToValidUTF8(string(reason[:min(len(reason), maxReason)]), "\uFFFD")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// silence is the error of a request that got no answer.
func (r *Requester) silence(ctx context.Context) error {
	if err := r.nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w: %w; the server refused something: %w", ErrNoAnswer, ctx.Err(), err)
	}
	return fmt.Errorf("%w: %w", ErrNoAnswer, ctx.Err())
}

// listen subscribes to the inbox of a device, once.
func (r *Requester) listen(device trust.PublicKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("request: the requester was closed")
	}
	if r.inboxes[device] != nil {
		return nil
	}
	sub, err := r.nc.Subscribe(trust.InboxPrefix(device)+inboxPart+"*", r.arrived)
	if err != nil {
		return fmt.Errorf("listen for answers: %w", err)
	}
	r.inboxes[device] = sub
	return nil
}

func (r *Requester) await(request *Event) *question {
	asked := &question{request: request, answer: make(chan *Received, 1)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[request.ID] = asked
	return asked
}

func (r *Requester) forget(request *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, request.ID)
}

// arrived takes a message of an inbox.
func (r *Requester) arrived(msg *nats.Msg) {
	answer, err := r.take(msg)
	if err != nil && r.o.Failed != nil {
		r.o.Failed(context.Background(), &Failure{Err: err, Msg: msg, Event: eventOf(answer), Final: true})
	}
}

// take verifies an answer and hands it to who waits for it. What it returns beside an error
// has the event, where there is one.
func (r *Requester) take(msg *nats.Msg) (*Received, error) {
	asked := r.asked(msg.Subject)
	if asked == nil {
		return nil, fmt.Errorf("%w: nobody waits for it, or not any more", ErrNotMeant)
	}
	if len(msg.Data) == 0 && msg.Header.Get("Status") == "503" { // the server's word
		r.conclude(asked, nil)
		return nil, nil
	}
	v, err := readAnswer(msg, asked.request, r.o.Imported)
	if v == nil {
		return nil, err
	}
	answer := &Received{Event: v.Event, Data: v.Event.Body, Trail: v.Trail, which: v.Which, hash: v.Event.Hash()}
	if err == nil {
		answer.Access, err = r.verify(v, asked.request.Subject)
	}
	if err != nil {
		return answer, err
	}
	if !r.conclude(asked, answer) {
		return answer, ErrReplay
	}
	return answer, nil
}

// verify judges an answer, and that its publisher may answer. Of its trail, which is what
// this requester said itself, it judges that it leads there.
func (r *Requester) verify(v *Envelope, subject string) (*Access, error) {
	access, err := r.m.resolve(context.Background(), v.Access, v.Which, nil)
	if err != nil {
		return nil, err
	}
	if err := r.m.Check(v.Event, access, Moment{Acts: true}); err != nil {
		return nil, err
	}
	if err := v.Trail.follow(v.Event, r.m.rules.Skew); err != nil {
		return nil, err
	}
	if !v.Event.Epoch.IsZero() {
		return nil, fmt.Errorf("%w: a sealed answer", ErrNotMeant)
	}
	if err := r.o.Answerers(subject, access); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return access, nil
}

// asked is the request that waits for its answer on a subject; nil: none does.
func (r *Requester) asked(subject string) *question {
	id, err := uuid.Parse(subject[strings.LastIndexByte(subject, '.')+1:])
	if err != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.waiting[id]
	if asked == nil || ReplySubject(asked.request) != subject {
		return nil
	}
	return asked
}

// conclude ends the wait for an answer. It reports whether this one is the first.
func (r *Requester) conclude(asked *question, answer *Received) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[asked.request.ID] != asked {
		return false
	}
	delete(r.waiting, asked.request.ID)
	asked.answer <- answer
	return true
}
