package event

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"keyhall.dev/keyhall/trust"
)

// ErrTrail is the error of a trail that does not lead to its event.
var ErrTrail = fmt.Errorf("%w: its trail", ErrMalformed)

// MaxHops is the most events that an event may come out of, one out of the other.
const MaxHops = 16

const (
	trailVersion = 1
	maxLink      = 4 + maxToken + 2*signature + batchFixed + 32*maxPath
	maxTrail     = 2 + MaxHops*(2+32+maxLink)
)

// Link is one hop of a trail: an event without its body, and which access token its
// publisher had.
type Link struct {
	Event  *Event
	Access Hash
}

// Trail is what an event came out of, the first event first: each names the one before it
// as its cause, and its publisher has signed that.
type Trail []Link

// follow returns an error unless the trail leads to e: each one is the cause of the next,
// and none is much later than what came out of it.
func (t Trail) follow(e *Event, skew time.Duration) error {
	if len(t) > MaxHops {
		return fmt.Errorf("%w has more than %d hops", ErrTrail, MaxHops)
	}
	cause, before := Hash{}, time.Time{}
	for i, link := range append(t[:len(t):len(t)], Link{Event: e}) {
		switch {
		case link.Event.Cause != cause:
			return fmt.Errorf("%w breaks at hop %d: it came out of another event", ErrTrail, i)
		case link.Event.Time.Before(before.Add(-skew)):
			return fmt.Errorf("%w breaks at hop %d: it is older than what it came out of", ErrTrail, i)
		}
		cause, before = link.Event.Hash(), link.Event.Time
	}
	return nil
}

func (t Trail) encode() string {
	if len(t) == 0 {
		return ""
	}
	b := []byte{trailVersion, byte(len(t))}
	for _, link := range t {
		form := link.Event.EncodeWithheld()
		b = binary.BigEndian.AppendUint16(b, uint16(len(form))) //nolint:gosec // at most maxLink
		b = append(append(b, link.Access[:]...), form...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseTrail reads what encode writes and nothing else.
func parseTrail(text string) (Trail, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > base64.RawURLEncoding.EncodedLen(maxTrail) {
		return nil, fmt.Errorf("%w is too long", ErrTrail)
	}
	b, err := exactly(base64.RawURLEncoding, text)
	if err != nil || len(b) < 2 || b[0] != trailVersion || b[1] == 0 || b[1] > MaxHops {
		return nil, fmt.Errorf("%w cannot be read", ErrTrail)
	}
	count, rest := int(b[1]), b[2:]
	t := make(Trail, 0, count)
	for range count {
		if len(rest) < 2+32 {
			return nil, fmt.Errorf("%w is cut short", ErrTrail)
		}
		length := int(binary.BigEndian.Uint16(rest))
		if len(rest) < 2+32+length {
			return nil, fmt.Errorf("%w is cut short", ErrTrail)
		}
		e, err := DecodeAny(rest[34 : 34+length])
		if err != nil || len(e.Body) > 0 {
			return nil, fmt.Errorf("%w cannot be read", ErrTrail)
		}
		t = append(t, Link{Event: e, Access: Hash(rest[2:34])})
		rest = rest[34+length:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w is too long", ErrTrail)
	}
	return t, nil
}

// Path is the trail and its end as a person reads it, a line for each hop. name says who a
// publisher is; nil: by its keys.
func (t Trail) Path(end *Event, name func(*Event) string) string {
	if name == nil {
		name = func(e *Event) string { return e.Author.Text(trust.Account) + "/" + e.Device.Text(trust.Device) }
	}
	var b strings.Builder
	for i, link := range append(t[:len(t):len(t)], Link{Event: end}) {
		e := link.Event
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%d. %s  %s  %s on %s, %s", i+1, e.Time.Format(time.RFC3339), name(e), e.Type, e.Subject, e.ID)
	}
	return b.String()
}
