package callout

import (
	"context"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/throttle"
)

// Authorizer decides who may log in, and as what. It is called concurrently. An error,
// or no grant, refuses the login; the error's text goes to the log and the Decided
// hook and never to the client. It has to return when ctx ends, which is shortly before
// the server stops waiting: until it does it takes up one of its backend's places.
type Authorizer interface {
	Authorize(ctx context.Context, request *Request) (*Grant, error)
}

// AuthorizerFunc makes an Authorizer of a function.
type AuthorizerFunc func(ctx context.Context, request *Request) (*Grant, error)

// Authorize calls the function.
func (f AuthorizerFunc) Authorize(ctx context.Context, request *Request) (*Grant, error) {
	return f(ctx, request)
}

// Backend decides the logins of one kind. Of an engine's backends the first that takes a
// login decides it, and no other is asked: what one refuses is refused.
type Backend interface {
	Authorizer

	// Name is the backend's in audit, metrics and explanations: one short word.
	Name() string

	// Takes reports, by the form of a login alone, whether it is this backend's to
	// decide. It asks nobody.
	Takes(request *Request) bool
}

// Guessable is a Backend whose secrets a person chose and somebody may guess.
type Guessable interface {
	// Guessed is whose secret a login tries: wrong ones slow down the next for the same
	// name. Empty is nobody's.
	Guessed(request *Request) string
}

// Explainer is a Backend that can say what a login would get, without one.
type Explainer interface {
	// Explain is the grant of a login that proves itself as the query says. It fails with
	// fault.NotFound for somebody who is none of the backend's.
	Explain(ctx context.Context, query Query) (*Grant, error)
}

// Query is who would log in, for Explain.
type Query struct {
	User   string         // as the user field has it, or a handle or account key on a hub
	Rooms  []string       // ids of rooms that would be joined, on a hub
	Claims map[string]any // of a bearer token, as its JSON has them; nil for none
}

// Only makes the one backend of an engine of a function: it takes every login.
func Only(name string, authorize AuthorizerFunc) Backend { return only{authorize, name} }

type only struct {
	AuthorizerFunc
	name string
}

func (o only) Name() string        { return o.name }
func (o only) Takes(*Request) bool { return true }

// ErrWrong marks the refusal of a wrong proof: a password, token or signature that does not
// hold, or nobody known by that name. Such failures slow down further ones; a right that
// ended, or a service that does not answer, do not.
var ErrWrong = throttle.ErrWrong

// Wrong is the refusal of a wrong proof. The reason goes to the audit, never to the client.
func Wrong(format string, arguments ...any) error {
	return fault.Wrap(fault.Refused, ErrWrong, format, arguments...)
}
