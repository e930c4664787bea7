package event

import (
	"encoding/binary"
	"fmt"
	"strings"
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

// validContent reports whether text is a media type of bounded length: type and subtype,
// and parameters behind semicolons, as RFC 9110 has them, but with nothing escaped.
func validContent(text string) bool {
	rest, ok := cutToken(text)
	if ok {
		rest, ok = strings.CutPrefix(rest, "/")
	}
	if ok {
		rest, ok = cutToken(rest)
	}
	for ok && rest != "" {
		rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), ";")
		if ok {
			rest, ok = cutParameter(strings.TrimLeft(rest, " "))
		}
	}
	return ok && len(text) <= maxContent
}

// cutParameter is what stands behind the parameter that text begins with.
func cutParameter(text string) (rest string, ok bool) {
	if rest, ok = cutToken(text); !ok {
		return "", false
	}
	if rest, ok = strings.CutPrefix(rest, "="); !ok {
		return "", false
	}
	quoted, is := strings.CutPrefix(rest, `"`)
	if !is {
		return cutToken(rest)
	}
	value, rest, ok := strings.Cut(quoted, `"`)
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' || c == '\\' {
			return "", false
		}
	}
	return rest, ok
}

// cutToken is what stands behind the token that text begins with.
func cutToken(text string) (rest string, ok bool) {
	end := 0
	for end < len(text) && isTokenByte(text[end]) {
		end++
	}
	return text[end:], end > 0
}

func isTokenByte(c byte) bool {
	letter := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
	return letter || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
