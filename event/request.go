package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/trust"
)

// ErrReply is the error of a request whose answer would go elsewhere than to the inbox of
// who signed it.
var ErrReply = errors.New("its reply subject is not the inbox of who asks")

// ErrNoAnswer is the error of a request that nobody answered. What its context ended with
// matches as well.
var ErrNoAnswer = errors.New("there was no answer")

// ErrNoResponder is the error of a request that nobody listens to, as the server says. It
// matches ErrNoAnswer.
var ErrNoResponder = fmt.Errorf("%w: nobody listens there", ErrNoAnswer)

// The types of requests and answers. A request may say more behind a point.
const (
	requestType = "request"
	answerType  = "answer"
	refusalType = "answer.refused"

	importedReply = "_R_." // what servers put in place of the reply subject of another account
	inboxPart     = ".event."
)

// Refusal is the error of a request that its responder refused, in the responder's words.
// A Responder's handler returns one to have its reason told to who asks.
type Refusal struct {
	Reason string
	Answer *Received // that says so; nil for the handler
}

// Error is the reason.
func (r *Refusal) Error() string { return "refused: " + r.Reason }

// ReplySubject is where a request is answered: below the private inbox of the device that
// signed it (trust.InboxPrefix), under the request's id. The signature covers both.
func ReplySubject(request *Event) string {
	return trust.InboxPrefix(request.Device) + inboxPart + request.ID.String()
}

// readRequest reads a message that is to be a request, and judges what needs no key: that it
// is one, and where its answer would go.
func readRequest(msg *nats.Msg, imported bool) (*Envelope, error) {
	v, err := ReadMsg(msg)
	if err != nil {
		return nil, err
	}
	if v.Event.Type != requestType && !strings.HasPrefix(v.Event.Type, requestType+".") {
		return v, fmt.Errorf("%w: its type is %q, and it is no request", ErrNotMeant, v.Event.Type)
	}
	if msg.Reply != ReplySubject(v.Event) && !(imported && strings.HasPrefix(msg.Reply, importedReply)) {
		return v, fmt.Errorf("%w: it is %q", ErrReply, msg.Reply)
	}
	return v, nil
}

// readAnswer reads a message that is to be the answer to a request, as far as that needs no
// key. imported says that the service is in another account.
func readAnswer(msg *nats.Msg, request *Event, imported bool) (*Envelope, error) {
	there := *msg
	if e := peekSubject(msg); imported && strings.HasPrefix(e, importedReply) {
		there.Subject = e // where it was published, before the server brought it here
	}
	v, err := ReadMsg(&there)
	if err != nil {
		return nil, err
	}
	switch e := v.Event; {
	case e.Type != answerType && e.Type != refusalType:
		return v, fmt.Errorf("%w: its type is %q, and it is no answer", ErrNotMeant, e.Type)
	case e.Cause != request.Hash():
		return v, fmt.Errorf("%w: it is the answer to another request", ErrNotMeant)
	}
	return v, nil
}

// peekSubject is the subject that a message says to be an event of, "" if it is none.
func peekSubject(msg *nats.Msg) string {
	if v := readMsg(msg); v.Event != nil {
		return v.Event.Subject
	}
	return ""
}

// Answerers say who may answer: an error is why the publisher of an answer on a subject may
// not. In one account everybody is believed to be who they are, and few may answer.
type Answerers func(subject string, by *Access) error

// Devices are Answerers by their keys (U…), for all subjects.
func Devices(keys ...string) Answerers {
	return func(subject string, by *Access) error {
		if slices.Contains(keys, by.Device.Text(trust.Device)) {
			return nil
		}
		return fmt.Errorf("device %s does not answer on %s", by.Device.Text(trust.Device), subject)
	}
}

// Named are Answerers by the names in their access tokens, which are the word of their
// account: use it where accounts name nobody else so.
func Named(names ...string) Answerers {
	return func(subject string, by *Access) error {
		if by.Name != "" && slices.Contains(names, by.Name) {
			return nil
		}
		return fmt.Errorf("user %q does not answer on %s", by.Name, subject)
	}
}
