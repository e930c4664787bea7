package event

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/trust"
)

// The headers of a message that carries an event.
const (
	headerVersion = "ce-specversion"
	headerToken   = "ce-keyhalltoken"
	headerPrefix  = "ce-"
	headerAccess  = "Keyhall-Access"
	headerHash    = "Keyhall-Access-Hash"
	headerTrail   = "Keyhall-Trail"

	specVersion = "1.0"
	timeLayout  = "2006-01-02T15:04:05.999Z"
	sealedType  = "application/octet-stream"
)

// Envelope is an event with what travels beside it: the access token of its publisher, or
// only which one it is, and the trail of what it came out of.
type Envelope struct {
	Event  *Event
	Access string // the token; empty where it does not travel with this event
	Which  Hash   // names it
	Trail  Trail
}

// Form is how an event lies in a NATS message.
type Form int

// The forms. All of them carry the same token.
const (
	// Headers are those of CloudEvents 1.0 in binary mode; the payload is the body as it
	// is. Whoever knows CloudEvents reads a public event without knowing of this package.
	Headers Form = iota
	// Compact has everything in the payload: for hot paths, where parsing headers costs
	// more than all the rest.
	Compact
)

// Msg is the NATS message of an envelope.
func (v *Envelope) Msg(form Form) *nats.Msg {
	e := v.Event
	msg := nats.NewMsg(e.Subject)
	if form == Compact {
		msg.Data = e.Encode()
	} else {
		msg.Data = e.Body
		for name, value := range e.attributes() {
			msg.Header[name] = []string{value}
		}
	}
	msg.Header[nats.MsgIdHdr] = []string{e.ID.String()}
	if v.Access != "" {
		msg.Header[headerAccess] = []string{v.Access}
	} else {
		msg.Header[headerHash] = []string{v.Which.String()}
	}
	if trail := v.Trail.encode(); trail != "" {
		msg.Header[headerTrail] = []string{trail}
	}
	return msg
}

// attributes are the CloudEvents headers of an event: what its token says, in the words of
// CloudEvents, and the token.
func (e *Event) attributes() map[string]string {
	content := e.Content
	if !e.Epoch.IsZero() {
		content = sealedType
	}
	headers := map[string]string{
		headerVersion: specVersion,
		"ce-id":       e.ID.String(),
		"ce-source":   "nkey:" + e.Author.Text(trust.Account) + "/" + e.Device.Text(trust.Device),
		"ce-type":     e.Type,
		"ce-subject":  percentEncode(e.Subject),
		"ce-time":     e.Time.UTC().Format(timeLayout),
		headerToken:   base64.RawURLEncoding.EncodeToString(e.envelope()),
	}
	if content != "" {
		headers["ce-datacontenttype"] = percentEncode(content)
	}
	return headers
}

// percentEncode writes a value as the HTTP binding of CloudEvents has it, which the NATS
// binding takes over.
func percentEncode(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < '!' || c > '~' || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// ReadMsg reads a message in either form. It verifies nothing but that everything in it is
// there once and says what the event's token says. Errors match ErrMalformed, or
// ErrNotMeant for the message of another subject.
func ReadMsg(msg *nats.Msg) (*Envelope, error) { return readMsg(msg).whole() }

// reading is what can be read of something that is to be an event, and everything that is
// wrong with its form, in the order in which it was found.
type reading struct {
	Envelope // Event is nil where nothing of it can be read
	problems []error
}

func (r *reading) note(err error) {
	if err != nil {
		r.problems = append(r.problems, err)
	}
}

// whole is the envelope, if nothing is wrong with its form.
func (r *reading) whole() (*Envelope, error) {
	if len(r.problems) > 0 {
		return nil, r.problems[0]
	}
	return &r.Envelope, nil
}

func readMsg(msg *nats.Msg) *reading {
	r := new(reading)
	var err error
	if _, headers := msg.Header[headerVersion]; headers {
		r.Event, err = readHeaders(msg)
	} else {
		r.Event, err = DecodeAny(msg.Data)
	}
	r.note(err)
	if r.Event != nil {
		r.note(r.Event.checkHeaders(msg.Header))
		if r.Event.Subject != msg.Subject {
			r.note(fmt.Errorf("%w: its subject is %q", ErrNotMeant, r.Event.Subject))
		}
	}
	r.note(r.readBeside(msg.Header))
	return r
}

// readHeaders reads an event whose token is in a header. Beside an error it returns what it
// could read.
func readHeaders(msg *nats.Msg) (*Event, error) {
	token, err := once(msg.Header, headerToken)
	if err != nil {
		return nil, err
	}
	e, err := decodeEnvelope(token)
	if e == nil {
		return nil, err
	}
	e.Body = msg.Data
	if err != nil {
		return e, err
	}
	return e, e.checkBounds()
}

// checkHeaders returns an error unless the CloudEvents headers are those of the event, or
// none are there, and the id that a stream takes for deduplication is the event's.
func (e *Event) checkHeaders(header nats.Header) error {
	var want map[string]string
	if _, headers := header[headerVersion]; headers {
		want = e.attributes()
	}
	found := 0
	for name, values := range header {
		if !strings.HasPrefix(strings.ToLower(name), headerPrefix) {
			continue
		}
		value, known := want[name]
		if !known || len(values) != 1 || values[0] != value {
			return fmt.Errorf("%w: header %q is not what was signed", ErrMalformed, name)
		}
		found++
	}
	if found != len(want) {
		return fmt.Errorf("%w: a header is missing", ErrMalformed)
	}
	if id, err := once(header, nats.MsgIdHdr); err != nil || id != e.ID.String() {
		return fmt.Errorf("%w: header %q is not what was signed", ErrMalformed, nats.MsgIdHdr)
	}
	return nil
}

// readBeside reads what travels beside the event.
func (v *Envelope) readBeside(header nats.Header) error {
	_, inline := header[headerAccess]
	_, byHash := header[headerHash]
	var err error
	switch {
	case inline == byHash:
		return fmt.Errorf("%w: an access token or the hash of one, and not both", ErrMalformed)
	case inline:
		if v.Access, err = once(header, headerAccess); err != nil || v.Access == "" || len(v.Access) > MaxAccess {
			return fmt.Errorf("%w: header %q", ErrMalformed, headerAccess)
		}
		v.Which = accessHash(v.Access)
	default:
		text, err := once(header, headerHash)
		if err != nil || v.Which.UnmarshalText([]byte(text)) != nil || v.Which.IsZero() {
			return fmt.Errorf("%w: header %q", ErrMalformed, headerHash)
		}
	}
	if _, there := header[headerTrail]; there {
		text, err := once(header, headerTrail)
		if err != nil || text == "" {
			return fmt.Errorf("%w: header %q", ErrMalformed, headerTrail)
		}
		if v.Trail, err = parseTrail(text); err != nil {
			return err
		}
	}
	return v.checkTrail()
}

// checkTrail returns an error unless the event has a trail where it needs one.
func (v *Envelope) checkTrail() error {
	if v.Event != nil && v.Event.Cause.IsZero() != (len(v.Trail) == 0) {
		return fmt.Errorf("%w is not there, or is not its own", ErrTrail)
	}
	return nil
}

// once is the value of a header that is there once.
func once(header nats.Header, name string) (string, error) {
	values := header[name]
	if len(values) != 1 {
		return "", fmt.Errorf("%w: header %q is there %d times", ErrMalformed, name, len(values))
	}
	return values[0], nil
}
