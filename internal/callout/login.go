package callout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/throttle"
)

// answerTime is how long before its server's deadline a login that is still undecided is
// refused: the refusal has to get there.
const answerTime = 100 * time.Millisecond

// lateBy is how much later than a deadline in whole seconds the server may really give up.
const lateBy = time.Second

// The refusals that are neither the backend's nor the client's doing.
var (
	errDefect   = errors.New("defect")             // a failure of our own or of an Authorizer
	errShed     = errors.New("too many logins")    // for the time there is
	errLate     = errors.New("the time is over")   // that the server waits
	errReplayed = errors.New("asked once already") // for the connection of a request
)

// login is one login on its way from the request to the answer.
type login struct {
	message  *nats.Msg
	heard    time.Time
	began    time.Time // when it had waited
	request  *Request
	backend  Backend
	at       int            // of the engine's backends, which one
	guess    throttle.Guess // whose secret it tries
	decision Decision
}

// answerBy is when the login has to be decided.
func (l *login) answerBy() time.Time { return l.request.Expires.Add(-answerTime) }

// answer is what to send back and how the login ended. A nil Data with Send is the
// refusal that needs no key: the server takes an empty answer as one at once. Without
// Send nobody waits any more.
type answer struct {
	Data     []byte
	Send     bool
	Decision Decision
	Err      error
}

// respondent answers requests, away from any connection and any waiting line. A request is
// received, waits for its turn, and is decided; or it is refused before.
type respondent struct {
	account     string // A…, whose callout this is
	issuer      *signer
	boxes       *boxes
	signers     *signers
	origin      *Origin // nil without a proxy of our own
	checkServer func(Server) error
	replays     *replays
	throttle    *throttle.Throttle
	logger      *slog.Logger
	maxAnswer   int // bytes
}

// receive reads a request and finds who decides it. An error with a login is its refusal;
// without one there is nobody to answer by name.
func (r *respondent) receive(backends []Backend, header nats.Header, data []byte) (*login, error) {
	request, err := r.open(header, data)
	if err != nil {
		return nil, err
	}
	placed := r.origin.place(request)
	l := &login{request: request, decision: newDecision(request)}
	if placed != nil {
		return l, placed
	}
	if err := r.mayAsk(request.Server); err != nil {
		return l, err
	}
	if !r.replays.first(request.UserKey, request.Expires, time.Now()) {
		return l, fault.Wrap(fault.Malformed, errReplayed, "this request was answered before")
	}
	if err := r.place(l, backends); err != nil {
		return l, err
	}
	return l, r.throttle.Look(l.guess)
}

// open reads a request; hostile bytes can only come from a server or a user of this
// account, and still must not end the process.
func (r *respondent) open(header nats.Header, data []byte) (request *Request, err error) {
	defer r.contain("open a request", &err)
	request, err = openRequest(r.boxes, r.account, header, data)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "not a login request: %s", err)
	}
	return request, nil
}

// mayAsk refuses servers that are not to be answered, by name.
func (r *respondent) mayAsk(server Server) (err error) {
	defer r.contain("check a server", &err)
	if err := r.checkServer(server); err != nil {
		return fault.Wrap(fault.Refused, err, "the server %s (%s) may not ask: %s", server.ID, cut(server.Name), err)
	}
	return nil
}

// place finds the first backend that takes the login, and whose secret it tries there.
func (r *respondent) place(l *login, backends []Backend) (err error) {
	defer r.contain("choose a backend", &err)
	for i, backend := range backends {
		if !backend.Takes(l.request) {
			continue
		}
		l.backend, l.at, l.decision.Backend = backend, i, backend.Name()
		if guessable, is := backend.(Guessable); is {
			l.guess = throttle.NewGuess(l.decision.Backend, guessable.Guessed(l.request), l.request.Client.Host)
		}
		return nil
	}
	return fault.New(fault.Malformed, "nobody decides logins of this form")
}

// decide asks the backend and makes the answer.
func (r *respondent) decide(ctx context.Context, l *login) answer {
	l.began = time.Now()
	ctx, cancel := context.WithDeadline(ctx, l.answerBy())
	defer cancel()
	if err := r.throttle.Begin(l.guess); err != nil {
		return r.refuse(l, err)
	}
	grant, err := r.authorize(ctx, l)
	r.throttle.End(l.guess, err)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) || err == nil && !time.Now().Before(l.request.Expires) {
		return r.refuse(l, tooLate(err))
	}
	var userJWT string
	if err == nil {
		userJWT, err = r.issue(l.request, grant)
	}
	var sealed []byte
	if err == nil {
		sealed, err = r.seal(l.request, userJWT)
	}
	if err != nil {
		return r.refuse(l, err)
	}
	l.decision.allow(grant)
	return answer{Data: sealed, Send: true, Decision: l.decision}
}

// authorize asks the backend, unless the time is over.
func (r *respondent) authorize(ctx context.Context, l *login) (grant *Grant, err error) {
	defer r.contain("authorize a login", &err)
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.Wrap(fault.Expired, err, "it had waited until then")
	case err != nil:
		return nil, fault.Wrap(fault.Unavailable, err, "the callout closes")
	}
	grant, err = l.backend.Authorize(ctx, l.request)
	if err == nil && grant == nil {
		err = fault.New(fault.Refused, "no grant")
	}
	return grant, err
}

func tooLate(err error) error {
	if err == nil {
		err = errLate
	}
	return fault.Wrap(fault.Expired, errors.Join(errLate, err), "too late for the server (%s)", err)
}

func shed() error {
	return fault.Wrap(fault.Unavailable, errShed, "more logins wait than can be decided in time")
}

// refuse makes the answer of a login that is refused for a reason.
func (r *respondent) refuse(l *login, why error) answer {
	if l == nil {
		var d Decision
		d.refuse(why)
		return answer{Send: true, Decision: d, Err: why}
	}
	l.decision.refuse(why)
	a := answer{Send: true, Decision: l.decision, Err: why}
	switch {
	case errors.Is(why, errReplayed): // no second answer that a connection could use
	case time.Now().After(l.request.Expires.Add(lateBy)):
		a.Send = false
	default:
		sealed, err := r.seal(l.request, "")
		a.Data, a.Err = sealed, errors.Join(why, err)
	}
	return a
}

// contain turns a panic into the refusal of one login. The value of a panic may hold
// anything, so only the runtime's own texts are logged.
func (r *respondent) contain(what string, err *error) {
	value := recover()
	if value == nil {
		return
	}
	text := fmt.Sprintf("%T", value)
	if runtimeError, ok := value.(runtime.Error); ok {
		text = runtimeError.Error()
	}
	r.logger.Error("panic in the callout", "while", what, "panic", text, "stack", string(debug.Stack()))
	*err = fault.Wrap(fault.Internal, errDefect, "panic: %s", text)
}
