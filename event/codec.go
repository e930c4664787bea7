package event

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"keyhall.dev/keyhall/trust"
)

// Encode is the compact form of a signed event.
func (e *Event) Encode() []byte { return append(e.envelope(), e.Body...) }

// EncodeWithheld is the compact form without the body, for readers who may not have it.
func (e *Event) EncodeWithheld() []byte { return e.envelope() }

func (e *Event) envelope() []byte {
	token := e.appendToken(make([]byte, 0, e.tokenSize()), e.bodyHash)
	if e.batch != nil {
		return e.batch.appendEnvelope(make([]byte, 0, batchHead+len(token)+batchFixed+32*len(e.batch.path)+len(e.Body)), token)
	}
	b := make([]byte, 0, 4+len(token)+len(e.signatures)*signature+len(e.Body))
	b = append(b, version, byte(len(e.signatures)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(token)))
	b = append(b, token...)
	for _, sig := range e.signatures {
		b = append(b, sig[:]...)
	}
	return b
}

// Decode reads the compact form and checks its bounds. It verifies nothing: call Check.
// The event keeps parts of data. Errors match ErrMalformed.
func Decode(data []byte) (*Event, error) {
	if len(data) < 4 || len(data) > MaxEncoded {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(data))
	}
	count, length := int(data[1]), int(binary.BigEndian.Uint16(data[2:]))
	if data[0] != version || count < 1 || count > 2 {
		return nil, fmt.Errorf("%w: unknown version or number of signatures", ErrMalformed)
	}
	rest := data[4:]
	if length > maxToken || len(rest) < length+count*signature {
		return nil, fmt.Errorf("%w: cut short", ErrMalformed)
	}
	e, err := decodeToken(rest[:length])
	if err != nil {
		return nil, err
	}
	rest = rest[length:]
	for range count {
		e.signatures = append(e.signatures, [signature]byte(rest[:signature]))
		rest = rest[signature:]
	}
	e.Body = rest
	return e, e.checkBounds()
}

func decodeToken(token []byte) (*Event, error) {
	if len(token) < fixedToken {
		return nil, fmt.Errorf("%w: token cut short", ErrMalformed)
	}
	e := &Event{}
	take := func(n int) []byte {
		field := token[:n]
		token = token[n:]
		return field
	}
	e.ID = uuid.UUID(take(16))
	e.Author = trust.PublicKey(take(32))
	e.Device = trust.PublicKey(take(32))
	signedAt, notAfter := binary.BigEndian.Uint64(take(8)), binary.BigEndian.Uint64(take(8))
	if signedAt > math.MaxInt64/2 || notAfter > math.MaxInt64/2 {
		return nil, fmt.Errorf("%w: a time out of range", ErrMalformed)
	}
	e.Time, e.NotAfter = fromMillis(signedAt), fromMillis(notAfter)
	e.Seq = binary.BigEndian.Uint64(take(8))
	e.Prev, e.Head, e.Epoch = Hash(take(32)), Hash(take(32)), Hash(take(32))
	e.bodyHash = [32]byte(take(32))
	for _, text := range []*string{&e.Type, &e.Subject, &e.Audience} {
		if len(token) < 2 || len(token)-2 < int(binary.BigEndian.Uint16(token)) {
			return nil, fmt.Errorf("%w: token cut short", ErrMalformed)
		}
		*text = string(take(int(binary.BigEndian.Uint16(take(2)))))
	}
	return e, e.readExtra(token)
}

// checkBounds holds every field against its bounds; a field that keeps them has one
// encoding, so what decodes encodes to the same bytes.
func (e *Event) checkBounds() error {
	switch {
	case e.ID.Version() != 7 || e.ID.Variant() != uuid.RFC4122:
		return fmt.Errorf("%w: its id is not a UUID of version 7", ErrMalformed)
	case e.Author.IsZero() || e.Device.IsZero():
		return fmt.Errorf("%w: no author or device", ErrMalformed)
	case !validTime(e.Time):
		return fmt.Errorf("%w: its time is out of range", ErrMalformed)
	case !e.NotAfter.IsZero() && !validTime(e.NotAfter):
		return fmt.Errorf("%w: its end is out of range", ErrMalformed)
	case (e.Seq <= 1) != e.Prev.IsZero():
		return fmt.Errorf("%w: place in the chain and previous hash disagree", ErrMalformed)
	case len(e.Body) > MaxBody:
		return fmt.Errorf("%w: body of more than %d bytes", ErrMalformed, MaxBody)
	case !validType(e.Type):
		return fmt.Errorf("%w: type", ErrMalformed)
	case !validSubject(e.Subject):
		return fmt.Errorf("%w: subject", ErrMalformed)
	case len(e.Audience) > maxAudience || !utf8.ValidString(e.Audience):
		return fmt.Errorf("%w: audience", ErrMalformed)
	}
	return e.checkExtra()
}

// validTime reports whether a time has a place in a token.
func validTime(t time.Time) bool { return t.UnixMilli() > 0 && t.UnixMilli() <= math.MaxInt64/2 }

func validType(text string) bool {
	if len(text) == 0 || len(text) > maxType {
		return false
	}
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// validSubject reports whether text is a literal NATS subject of bounded length.
func validSubject(text string) bool {
	if len(text) == 0 || len(text) > maxSubject || !utf8.ValidString(text) {
		return false
	}
	for token := range strings.SplitSeq(text, ".") {
		if token == "" || token == "*" || token == ">" || strings.ContainsFunc(token, isSpaceOrControl) {
			return false
		}
	}
	return true
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }
