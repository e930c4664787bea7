package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
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
	data := unescape(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
	if data == nil {
		return nil, fmt.Errorf("%w: text that is not UTF-8", ErrCanonical)
	}
	return data, nil
}

// unescape puts U+2028 and U+2029 back, which encoding/json escapes for the sake of
// JavaScript and JSON does not demand. It is nil for text that was not UTF-8, which
// encoding/json writes as an escaped U+FFFD.
func unescape(data []byte) []byte {
	if !bytes.Contains(data, []byte(`\u202`)) && !bytes.Contains(data, []byte(`\ufffd`)) {
		return data
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		switch rest := data[i:]; {
		case bytes.HasPrefix(rest, []byte(`\u2028`)):
			out, i = append(out, "\u2028"...), i+5
		case bytes.HasPrefix(rest, []byte(`\u2029`)):
			out, i = append(out, "\u2029"...), i+5
		case bytes.HasPrefix(rest, []byte(`\ufffd`)):
			return nil
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
	if !bytes.Equal(again, data) || hasNull(data) || !plainTimes(reflect.ValueOf(v)) {
		return ErrCanonical
	}
	return nil
}

// hasNull reports whether the JSON says null somewhere: absent members are left out.
func hasNull(data []byte) bool {
	inText := false
	for i := 0; i < len(data); i++ {
		switch {
		case inText && data[i] == '\\':
			i++
		case data[i] == '"':
			inText = !inText
		case !inText && data[i] == 'n':
			return true
		}
	}
	return false
}

// plainTimes reports whether every time in v is in UTC and in whole milliseconds: other
// texts say the same moment.
func plainTimes(v reflect.Value) bool {
	if v.IsValid() && v.CanInterface() {
		if at, isTime := v.Interface().(time.Time); isTime {
			return at.Location() == time.UTC && at.Equal(at.Truncate(time.Millisecond))
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return v.IsNil() || plainTimes(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && !plainTimes(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return true
		}
		for i := range v.Len() {
			if !plainTimes(v.Index(i)) {
				return false
			}
		}
	}
	return true
}
