package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// The JSON form of an event has these members, in this order: its id; the body in base64;
// the access token; the token of the event with its signatures, in base64url without
// padding; and the trail, where there is one.
var jsonMembers = []string{"id", "data", "jwt", "event_auth", "trail"}

// MaxJSON is the most bytes the JSON form of an event has.
const MaxJSON = 2*MaxAccess + 2*MaxBody + 4*maxTrail

// JSON is the envelope as one JSON object, for logs, files and other transports. It needs
// the access token itself. Of an event that came with its hash only, Access has to be set.
func (v *Envelope) JSON() ([]byte, error) {
	if v.Access == "" {
		return nil, fmt.Errorf("%w: the JSON form carries the token itself", ErrAccess)
	}
	values := []string{
		v.Event.ID.String(), base64.StdEncoding.EncodeToString(v.Event.Body), v.Access,
		base64.RawURLEncoding.EncodeToString(v.Event.envelope()), v.Trail.encode(),
	}
	b := []byte{'{'}
	for i, value := range values {
		if value == "" && jsonMembers[i] == "trail" {
			continue
		}
		if i > 0 {
			b = append(b, ',')
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode event: %w", err)
		}
		b = append(append(append(b, '"'), jsonMembers[i]...), `":`...)
		b = append(b, text...)
	}
	return append(b, '}'), nil
}

// ReadJSON reads the JSON form. As ReadMsg, it verifies nothing but that everything is
// there once and agrees. Errors match ErrMalformed.
func ReadJSON(data []byte) (*Envelope, error) { return readJSON(data).whole() }

func readJSON(data []byte) *reading {
	r := new(reading)
	members := readMembers(data, r.note)
	if _, said := members["data"]; !said {
		r.note(fmt.Errorf("%w: no data", ErrMalformed))
	}
	if trail, said := members["trail"]; said && trail == "" {
		r.note(fmt.Errorf("%w: a trail of nothing", ErrMalformed))
	}
	e, err := decodeEnvelope(members["event_auth"])
	r.note(err)
	if e != nil {
		body, err := exactly(base64.StdEncoding, members["data"])
		r.note(err)
		r.Event, e.Body = e, body
		if members["id"] != e.ID.String() {
			r.note(fmt.Errorf("%w: its id is not the one that was signed", ErrMalformed))
		}
	}
	if r.Access = members["jwt"]; r.Access != "" {
		r.Which = accessHash(r.Access)
	}
	r.Trail, err = parseTrail(members["trail"])
	r.note(err)
	if r.Access == "" || len(r.Access) > MaxAccess {
		r.note(fmt.Errorf("%w: jwt", ErrMalformed))
	}
	if err == nil {
		r.note(r.checkTrail())
	}
	if r.Event != nil && len(r.problems) == 0 {
		r.note(r.Event.checkBounds())
	}
	return r
}

// decodeEnvelope reads the text of an event's form without its body.
func decodeEnvelope(text string) (*Event, error) {
	if len(text) > base64.RawURLEncoding.EncodedLen(maxLink) {
		return nil, fmt.Errorf("%w: token too long", ErrMalformed)
	}
	form, err := exactly(base64.RawURLEncoding, text)
	if err != nil {
		return nil, err
	}
	e, err := DecodeAny(form)
	if err == nil && len(e.Body) > 0 {
		err = fmt.Errorf("%w: token too long", ErrMalformed)
	}
	return e, err
}

// exactly decodes text that is the one encoding of its bytes: Go's decoders pass over line
// breaks and loose bits.
func exactly(encoding *base64.Encoding, text string) ([]byte, error) {
	data, err := encoding.DecodeString(text)
	if err != nil || encoding.EncodeToString(data) != text {
		return nil, fmt.Errorf("%w: base64", ErrMalformed)
	}
	return data, nil
}

// readMembers reads an object of strings in which each of our members may be once, and no
// other is: of two with one name, readers would take different ones. It notes what is wrong
// and goes on where it can.
func readMembers(data []byte, note func(error)) map[string]string {
	if len(data) > MaxJSON {
		note(fmt.Errorf("%w: %d bytes", ErrMalformed, len(data)))
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		note(fmt.Errorf("%w: not a JSON object", ErrMalformed))
		return nil
	}
	members := make(map[string]string)
	for decoder.More() {
		var value any
		token, err := decoder.Token()
		if err == nil {
			err = decoder.Decode(&value)
		}
		name, _ := token.(string)
		text, isText := value.(string)
		_, twice := members[name]
		switch {
		case err != nil:
			note(fmt.Errorf("%w: not a JSON object", ErrMalformed))
			return members
		case !slices.Contains(jsonMembers, name):
			note(fmt.Errorf("%w: unknown member %.40q", ErrMalformed, name))
		case !isText || twice:
			note(fmt.Errorf("%w: member %q", ErrMalformed, name))
		default:
			members[name] = text
		}
	}
	if end, err := decoder.Token(); err != nil || end != json.Delim('}') {
		note(fmt.Errorf("%w: not a JSON object", ErrMalformed))
	} else if _, err := decoder.Token(); err != io.EOF { //nolint:errorlint // EOF itself
		note(fmt.Errorf("%w: something follows the JSON object", ErrMalformed))
	}
	return members
}
