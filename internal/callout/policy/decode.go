package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// List is a list of texts. A text alone is a list of one.
type List []string

var errNoList = errors.New("want a text or a list of texts")

// UnmarshalJSON reads either.
func (l *List) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*l = List{one}
		return nil
	}
	var several []*string
	if err := json.Unmarshal(data, &several); err != nil || slices.Contains(several, nil) {
		return errNoList
	}
	*l = nil
	for _, one := range several {
		*l = append(*l, *one)
	}
	return nil
}

// UnmarshalYAML reads either in YAML.
func (l *List) UnmarshalYAML(decode func(any) error) error {
	var one string
	if decode(&one) == nil {
		*l = List{one}
		return nil
	}
	var several []string
	if err := decode(&several); err != nil {
		return errNoList
	}
	*l = several
	return nil
}

// roleFields is Role without its methods, to be decoded by the library.
type roleFields Role

// UnmarshalJSON refuses fields that a role does not have: one that is written wrong would
// otherwise be a right or a restriction that nobody has.
func (r *Role) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*roleFields)(r))
}

// UnmarshalYAML reads what the same text would be in JSON.
func (r *Role) UnmarshalYAML(decode func(any) error) error {
	var value map[string]any
	if err := decode(&value); err != nil {
		return err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("a role has names and texts, lists and numbers: %w", err)
	}
	return r.UnmarshalJSON(data)
}

// Duration is written as a number of nanoseconds or as a text: 90m, 24h.
type Duration time.Duration

// UnmarshalText reads a text like 90m, or a number of nanoseconds.
func (d *Duration) UnmarshalText(text []byte) error {
	if nanoseconds, err := strconv.ParseInt(string(text), 10, 64); err == nil && nanoseconds >= 0 {
		*d = Duration(nanoseconds)
		return nil
	}
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return fmt.Errorf("%.40q is no duration; write it like 90s, 15m or 24h", text)
	}
	*d = Duration(parsed)
	return nil
}

// UnmarshalJSON reads either in JSON.
func (d *Duration) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		return d.UnmarshalText([]byte(text))
	}
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	return d.UnmarshalText(data)
}
