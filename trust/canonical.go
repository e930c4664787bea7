package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrCanonical is the error of JSON that is not in the one form its page gives.
var ErrCanonical = errors.New("not in canonical form")

// Canonical encodes a struct as canonical JSON: members in the order of its fields, no
// white space, nothing escaped that JSON does not demand.
func Canonical(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return unescape(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))), nil
}

// unescape puts U+2028 and U+2029 back, which encoding/json escapes for the sake of
// JavaScript and JSON does not demand.
func unescape(data []byte) []byte {
	if !bytes.Contains(data, []byte(`\u202`)) {
		return data
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		switch rest := data[i:]; {
		case bytes.HasPrefix(rest, []byte(`\u2028`)):
			out, i = append(out, "\u2028"...), i+5
		case bytes.HasPrefix(rest, []byte(`\u2029`)):
			out, i = append(out, "\u2029"...), i+5
		case rest[0] == '\\' && len(rest) > 1:
			out, i = append(out, rest[:2]...), i+1
		default:
			out = append(out, rest[0])
		}
	}
	return out
}

// ParseCanonical decodes data into v, a pointer to a struct, and refuses anything that
// would not come out the same when encoded again: unknown, doubled or differently spelled
// members, other spacing, trailing bytes. Its errors match ErrCanonical.
func ParseCanonical(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrCanonical, err)
	}
	again, err := Canonical(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCanonical, err)
	}
	if !bytes.Equal(again, data) {
		return ErrCanonical
	}
	return nil
}
