package callout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
)

// refusalText is all that a refused client's server is told.
const refusalText = "login refused"

// errDefect marks failures of our own or of an Authorizer: not the client's doing.
var errDefect = errors.New("defect")

// Authorizer decides who may log in, and as what. It is called concurrently. An error,
// or no grant, refuses the login; the error's text goes to the log and the Decided
// hook and never to the client. It has to return when ctx ends, which is when the
// server stops waiting: until it does it takes up one of the engine's InFlight places.
type Authorizer interface {
	Authorize(ctx context.Context, request *Request) (*Grant, error)
}

// AuthorizerFunc makes an Authorizer of a function.
type AuthorizerFunc func(ctx context.Context, request *Request) (*Grant, error)

// Authorize calls the function.
func (f AuthorizerFunc) Authorize(ctx context.Context, request *Request) (*Grant, error) {
	return f(ctx, request)
}

// respondent answers requests, away from any connection.
type respondent struct {
	account   string // A…, whose callout this is
	issuer    nkeys.KeyPair
	issuerKey string
	xkey      nkeys.KeyPair
	origin    *Origin // nil without a proxy of our own
	backends  []Backend
	logger    *slog.Logger
	maxAnswer int // bytes
}

// answer is what to send back and how the login ended. A nil Data with Send is the
// refusal that needs no key: the server takes an empty answer as one at once. Without
// Send nobody waits any more.
type answer struct {
	Data     []byte
	Send     bool
	Decision Decision
	Err      error
}

// answer works on one request from its bytes to the bytes of the answer.
func (r *respondent) answer(ctx context.Context, header nats.Header, data []byte) answer {
	request, err := r.open(header, data)
	if err != nil {
		d := newDecision(nil)
		d.Reason = err.Error()
		return answer{Send: true, Decision: d, Err: err}
	}
	placed := r.origin.place(request)
	d := newDecision(request)
	ctx, cancel := context.WithDeadline(ctx, request.Expires)
	defer cancel()
	backend, err := r.backendFor(request)
	if placed != nil {
		err = placed
	}
	var grant *Grant
	if err == nil {
		d.Backend = backend.Name()
		grant, err = r.authorize(ctx, backend, request)
	}
	var userJWT string
	if err == nil {
		userJWT, err = r.issue(request, grant)
	}
	if !time.Now().Before(request.Expires) {
		d.Reason = tooLate(err).Error()
		return answer{Decision: d, Err: tooLate(err)}
	}
	var sealed []byte
	if err == nil {
		sealed, err = r.seal(request, userJWT)
	}
	if err != nil {
		d.Reason = err.Error()
		sealed, sealErr := r.seal(request, "")
		return answer{Data: sealed, Send: true, Decision: d, Err: errors.Join(err, sealErr)}
	}
	d.Allowed, d.Name, d.Rule, d.Account, d.Expires = true, grant.Name, grant.Rule, grant.Account, grant.Expires
	return answer{Data: sealed, Send: true, Decision: d}
}

func tooLate(err error) error {
	if err != nil {
		return fault.Wrap(fault.Expired, err, "too late for the server (%s)", err)
	}
	return fault.New(fault.Expired, "too late for the server")
}

// open reads a request; hostile bytes can only come from a server or a user of this
// account, and still must not end the process.
func (r *respondent) open(header nats.Header, data []byte) (request *Request, err error) {
	defer r.contain("open a request", &err)
	request, err = openRequest(r.xkey, r.account, header, data)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "not a login request: %s", err)
	}
	return request, nil
}

// backendFor is the first that takes the login.
func (r *respondent) backendFor(request *Request) (backend Backend, err error) {
	defer r.contain("choose a backend", &err)
	for _, backend := range r.backends {
		if backend.Takes(request) {
			return backend, nil
		}
	}
	return nil, fault.New(fault.Malformed, "nobody decides logins of this form")
}

// authorize asks the backend, unless the server has stopped waiting.
func (r *respondent) authorize(ctx context.Context, backend Backend, request *Request) (grant *Grant, err error) {
	defer r.contain("authorize a login", &err)
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Expired, err, "the time for this login is over")
	}
	grant, err = backend.Authorize(ctx, request)
	if err == nil && grant == nil {
		err = fault.New(fault.Refused, "no grant")
	}
	return grant, err
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

// issue makes the user JWT for the connection's own key.
func (r *respondent) issue(request *Request, grant *Grant) (string, error) {
	claims, err := grant.userClaims(request.UserKey, time.Now())
	if err != nil {
		return "", fault.Wrap(fault.Internal, errDefect, "the authorizer's grant cannot be issued: %s", err)
	}
	results := jwt.CreateValidationResults()
	claims.Validate(results)
	if len(results.Issues) > 0 { // the server takes none, not even a warning
		return "", fault.Wrap(fault.Internal, errDefect, "the authorizer's grant cannot be issued: %s", results.Issues[0].Description)
	}
	token, err := claims.Encode(grant.Signer)
	if err != nil {
		return "", fault.Wrap(fault.Internal, errDefect, "the authorizer's grant cannot be signed: %s", err)
	}
	return token, nil
}

// seal makes the answer to a request: signed for the account, sealed to the server. An
// empty JWT makes a refusal.
func (r *respondent) seal(request *Request, userJWT string) ([]byte, error) {
	claims := jwt.NewAuthorizationResponseClaims(request.UserKey)
	claims.Audience = request.Server.ID
	claims.Jwt = userJWT
	if userJWT == "" {
		claims.Error = refusalText
	}
	if r.issuerKey != r.account {
		claims.IssuerAccount = r.account
	}
	token, err := claims.Encode(r.issuer)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, errDefect, "the answer cannot be signed: %s", err)
	}
	sealed, err := r.xkey.Seal([]byte(token), request.Server.xkey)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, errDefect, "the answer cannot be sealed: %s", err)
	}
	if len(sealed) > r.maxAnswer {
		return nil, fault.New(fault.TooLarge, "the answer has %d bytes, the server takes %d", len(sealed), r.maxAnswer)
	}
	return sealed, nil
}
