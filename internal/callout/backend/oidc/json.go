package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a token's or a provider's JSON.
const maxDepth = 16

var (
	errNotJSON = errors.New("not a JSON object")
	errTwice   = errors.New("a JSON object with a member twice")
	errText    = errors.New("JSON with a text that is not Unicode")
	errDeep    = errors.New("JSON nested too deeply")
)

// readObject reads a JSON object that everybody reads alike. Numbers stay as they are
// written (json.Number). With errTwice comes the object with the first of each member.
func readObject(data []byte) (map[string]any, error) {
	if !json.Valid(data) {
		return nil, errNotJSON
	}
	r := objectReader{decoder: json.NewDecoder(bytes.NewReader(data))}
	r.decoder.UseNumber()
	value, err := r.value(0)
	if err != nil {
		return nil, err
	}
	object, is := value.(map[string]any)
	if !is {
		return nil, errNotJSON
	}
	if r.twice {
		return object, errTwice
	}
	return object, nil
}

type objectReader struct {
	decoder *json.Decoder
	twice   bool
}

func (r *objectReader) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	next, err := r.decoder.Token()
	if err != nil {
		return nil, errNotJSON
	}
	switch next := next.(type) {
	case json.Delim:
		if next == '{' {
			return r.object(depth)
		}
		return r.array(depth)
	case string:
		return next, checkUnicode(next)
	default:
		return next, nil
	}
}

func (r *objectReader) object(depth int) (any, error) {
	object := make(map[string]any)
	for r.decoder.More() {
		next, err := r.decoder.Token()
		name, is := next.(string)
		if err != nil || !is {
			return nil, errNotJSON
		}
		if err := checkUnicode(name); err != nil {
			return nil, err
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if _, there := object[name]; there {
			r.twice = true
			continue
		}
		object[name] = value
	}
	_, err := r.decoder.Token()
	return object, err
}

func (r *objectReader) array(depth int) (any, error) {
	array := []any{}
	for r.decoder.More() {
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := r.decoder.Token()
	return array, err
}

// checkUnicode refuses bytes that are no text, and half a surrogate pair. The decoder has
// replaced them: two different texts would become one.
func checkUnicode(text string) error {
	if strings.ContainsRune(text, utf8.RuneError) {
		return errText
	}
	return nil
}
