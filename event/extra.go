package event

import (
	"encoding/binary"
	"fmt"
	"mime"
)

// The fields that a token has beyond the fixed ones, in this order, each only where it says
// something: what it is, how long, and its value.
const (
	extraCause   = 1
	extraDigest  = 2
	extraContent = 3
	extraReceipt = 4

	maxExtra = 4*3 + 32 + 1 + maxContent + maxSubject
)

func (e *Event) appendExtra(b []byte) []byte {
	field := func(kind byte, value []byte) {
		b = binary.BigEndian.AppendUint16(append(b, kind), uint16(len(value))) //nolint:gosec // its bounds are checked
		b = append(b, value...)
	}
	if !e.Cause.IsZero() {
		field(extraCause, e.Cause[:])
	}
	if e.Digest != SHA256 {
		field(extraDigest, []byte{byte(e.Digest)})
	}
	if e.Content != "" {
		field(extraContent, []byte(e.Content))
	}
	if e.Receipt != "" {
		field(extraReceipt, []byte(e.Receipt))
	}
	return b
}

// readExtra reads what appendExtra writes and nothing else.
func (e *Event) readExtra(token []byte) error {
	for before := byte(0); len(token) > 0; {
		if len(token) < 3 || len(token)-3 < int(binary.BigEndian.Uint16(token[1:])) {
			return fmt.Errorf("%w: token cut short", ErrMalformed)
		}
		kind, length := token[0], int(binary.BigEndian.Uint16(token[1:]))
		value := token[3 : 3+length]
		token = token[3+length:]
		switch {
		case kind <= before || length == 0:
			return fmt.Errorf("%w: the token's further fields", ErrMalformed)
		case kind == extraCause && length == len(e.Cause):
			e.Cause = Hash(value)
			if e.Cause.IsZero() {
				return fmt.Errorf("%w: a cause that is none", ErrMalformed)
			}
		case kind == extraDigest && length == 1 && Digest(value[0]) == SHA512x256:
			e.Digest = SHA512x256
		case kind == extraContent:
			e.Content = string(value)
		case kind == extraReceipt:
			e.Receipt = string(value)
		default:
			return fmt.Errorf("%w: the token's further fields", ErrMalformed)
		}
		before = kind
	}
	return nil
}

func (e *Event) checkExtra() error {
	switch {
	case e.Digest > SHA512x256:
		return fmt.Errorf("%w: digest", ErrMalformed)
	case e.Content != "" && !validContent(e.Content):
		return fmt.Errorf("%w: content type", ErrMalformed)
	case e.Receipt != "" && !validSubject(e.Receipt):
		return fmt.Errorf("%w: subject for the receipt", ErrMalformed)
	}
	return nil
}

// validContent reports whether text is a media type, of visible ASCII and bounded length.
func validContent(text string) bool {
	if len(text) > maxContent {
		return false
	}
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	_, _, err := mime.ParseMediaType(text)
	return err == nil
}
