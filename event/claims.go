package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"keyhall.dev/keyhall/trust"
)

const (
	jwtHeader  = `{"typ":"JWT","alg":"ed25519-nkey"}` // of every NATS JWT of version 2
	jwtVersion = 2
	maxDepth   = 32           // of the JSON in a token
	lastSecond = 253402300799 // of the year 9999
)

// claims are what a NATS JWT says: what all of them say, and what those of its kind do.
type claims struct {
	all, nats members
}

// readClaims reads a NATS JWT of version 2 and of a kind, which a key of a kind issued, and
// verifies its signature. One token has one text and one reading, here and in any other
// program: loose bits, line breaks, a member that is there twice and version 1, whose
// signature leaves the header out, are refused.
func readClaims(text, kind string, by trust.Kind) (*claims, error) {
	refuse := func(why string) error { return fmt.Errorf("%w: the %s token %s", ErrAccess, kind, why) }
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, refuse("cannot be read")
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = exactly(base64.RawURLEncoding, part); err != nil {
			return nil, refuse("cannot be read")
		}
	}
	all, err := readObject(raw[1])
	if err != nil || string(raw[0]) != jwtHeader {
		return nil, refuse("is none of version 2")
	}
	c := &claims{all: all}
	if c.nats, err = all.object("nats"); err != nil {
		return nil, refuse("is none of version 2")
	}
	version, err := c.nats.number("version")
	if err != nil || version != jwtVersion {
		return nil, refuse("is none of version 2")
	}
	if said, err := c.nats.text("type"); err != nil || said != kind {
		return nil, refuse("is of another kind")
	}
	issuer, err := all.key(by, "iss")
	if err != nil {
		return nil, refuse("is issued by another kind of key")
	}
	if !trust.Verify(issuer, []byte(parts[0]+"."+parts[1]), raw[2]) {
		return nil, refuse("has a signature that does not hold")
	}
	return c, nil
}

// members are those of a JSON object. An absent one reads as the empty or zero value.
type members map[string]any

var errMember = errors.New("a member is of another type")

func (m members) text(name string) (string, error) {
	text, ok := m[name].(string)
	if !ok && m[name] != nil {
		return "", errMember
	}
	return text, nil
}

func (m members) number(name string) (int64, error) {
	n, ok := m[name].(float64)
	if (!ok && m[name] != nil) || n != math.Trunc(n) || math.Abs(n) >= 1<<53 {
		return 0, errMember
	}
	return int64(n), nil
}

// time is a moment in seconds; the zero time for an absent one.
func (m members) time(name string) (time.Time, error) {
	seconds, err := m.number(name)
	if err != nil || seconds < 0 || seconds > lastSecond {
		return time.Time{}, errMember
	}
	if seconds == 0 {
		return time.Time{}, nil
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func (m members) object(name string) (members, error) {
	object, ok := m[name].(members)
	if !ok && m[name] != nil {
		return nil, errMember
	}
	return object, nil
}

// key is a public key in its text form, which must be there.
func (m members) key(kind trust.Kind, name string) (trust.PublicKey, error) {
	text, err := m.text(name)
	if err != nil {
		return trust.PublicKey{}, err
	}
	return trust.ParsePublicKey(kind, text)
}

// keys are those of a list, of which each is a text, or an object that has it as its key.
func (m members) keys(name string) ([]string, error) {
	list, ok := m[name].([]any)
	if !ok && m[name] != nil {
		return nil, errMember
	}
	keys := make([]string, 0, len(list))
	for _, one := range list {
		if scoped, is := one.(members); is {
			one = scoped["key"]
		}
		key, ok := one.(string)
		if !ok {
			return nil, errMember
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// readObject reads a JSON object in which no member is there twice, however deep: of two
// with one name, programs would take different ones.
func readObject(data []byte) (members, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errors.New("not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	value, err := readValue(decoder, maxDepth)
	if err != nil {
		return nil, err
	}
	object, ok := value.(members)
	if _, err := decoder.Token(); !ok || err != io.EOF { //nolint:errorlint // EOF itself
		return nil, errors.New("not a JSON object")
	}
	return object, nil
}

func readValue(decoder *json.Decoder, depth int) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	if _, deeper := token.(json.Delim); deeper && depth == 0 {
		return nil, errors.New("too deep")
	}
	switch token {
	case json.Delim('{'):
		object := make(members)
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			text, _ := name.(string)
			if _, twice := object[text]; twice {
				return nil, errors.New("a member is there twice")
			}
			if object[text], err = readValue(decoder, depth-1); err != nil {
				return nil, err
			}
		}
		_, err = decoder.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			one, err := readValue(decoder, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		_, err = decoder.Token()
		return list, err
	}
	return token, nil
}
