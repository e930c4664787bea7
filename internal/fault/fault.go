// Package fault is the application's error: a code that programs test, a sentence
// that people read, and the cause that only logs and errors.Is see.
//
// A fault is made where the meaning of a failure is known and handled once, at the
// edge: the command line prints its sentence, a service answers with its code. The
// sentence never holds a secret.
package fault

import (
	"errors"
	"fmt"
)

// Code says what kind of failure it was. The codes are those of the hub API
// (docs/protocol/subjects.md); they travel between programs.
type Code string

// The codes of the hub API.
const (
	Malformed   Code = "malformed"   // the request itself is wrong
	Refused     Code = "refused"     // understood, and not allowed
	NotFound    Code = "not-found"   // what was named does not exist
	Taken       Code = "taken"       // a name is in use
	Conflict    Code = "conflict"    // something changed meanwhile: look again, try again
	Expired     Code = "expired"     // its time is over
	TooLarge    Code = "too-large"   // a bound was passed
	Unavailable Code = "unavailable" // not now: a server or a peer does not answer
	Internal    Code = "internal"    // our own defect or the machine's
)

// Error is a coded error. Its text is the sentence for people; the cause stays
// behind it for errors.Is and for logs.
type Error struct {
	Code    Code
	Message string
	Cause   error
}

// New makes a fault with a formatted sentence. As with fmt.Errorf, %w keeps the
// operand as the cause (and shows its text).
func New(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	cause := errors.Unwrap(err)
	if _, several := err.(interface{ Unwrap() []error }); several { //nolint:errorlint // what Errorf made
		cause = err
	}
	return &Error{Code: code, Message: err.Error(), Cause: cause}
}

// Wrap makes a fault that hides its cause from people and keeps it for logs.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// Error is the sentence for people.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause, or nil.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf is the code of the nearest fault in err's chain, Internal for an error
// without one, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var f *Error
	if errors.As(err, &f) {
		return f.Code
	}
	return Internal
}

// Is reports whether err carries code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }
