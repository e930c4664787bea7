package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
)

// maxCapture is the most bytes that a captured event has in any form.
const maxCapture = 2*event.MaxJSON + event.MaxEncoded

// capture is an event as somebody put it into a file, in one of these forms.
type capture struct {
	json    []byte
	msg     *nats.Msg
	compact []byte

	// loose says that line ends may have been added behind the data of msg.
	loose  bool
	stored string // when a stream stored it, as whoever captured it says
}

// readCapture reads a file with an event; - is standard input.
func (p *program) readCapture(path string) (*capture, error) {
	data, err := p.readInput(path, maxCapture)
	if errors.Is(err, errTooMuch) {
		return nil, fault.New(fault.TooLarge, "%s is larger than any event", path)
	}
	if err != nil {
		return nil, err
	}
	return parseCapture(path, data)
}

func (p *program) readInput(path string, most int64) ([]byte, error) {
	if path == "-" {
		return readAll(p.sys.In, most)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, most)
}

// parseCapture finds out in which form a file has its event.
func parseCapture(path string, data []byte) (*capture, error) {
	// What nats sub --dump - prints ends with a zero byte.
	text := bytes.TrimRight(bytes.TrimSpace(data), "\x00")
	switch {
	case len(text) == 0:
		return nil, fault.New(fault.Malformed, "%s is empty", path)
	case text[0] == '{':
		return parseObject(text), nil
	case bytes.HasPrefix(text, []byte("[#")):
		if c := parseShown(data); c != nil {
			return c, nil
		}
	case data[0] == 1 || data[0] == 2:
		return &capture{compact: data}, nil
	default:
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			if raw, err := encoding.DecodeString(string(text)); err == nil {
				return &capture{compact: raw}, nil
			}
		}
	}
	return nil, fault.New(fault.Malformed, "%s holds no event in a form that is known; keyhall event verify --help lists them", path)
}

// parseObject tells JSON objects apart: the JSON form, a line of keyhall event subscribe
// --json, and a message as nats sub --dump writes it.
func parseObject(text []byte) *capture {
	var line struct {
		Event  json.RawMessage `json:"event"`
		Stored string          `json:"stored"`
	}
	if json.Unmarshal(text, &line) == nil && len(line.Event) > 0 {
		return &capture{json: line.Event, stored: line.Stored}
	}
	var names map[string]json.RawMessage
	if json.Unmarshal(text, &names) == nil && names["Subject"] != nil && names["event_auth"] == nil {
		var dumped struct {
			Subject string
			Header  nats.Header
			Data    []byte
		}
		if json.Unmarshal(text, &dumped) == nil {
			return &capture{msg: &nats.Msg{Subject: dumped.Subject, Header: dumped.Header, Data: dumped.Data}}
		}
	}
	return &capture{json: text}
}

// shownHead is the first line of a message as nats sub shows it.
var shownHead = regexp.MustCompile(`^\[#\d+\] Received on ("(?:[^"\\]|\\.)*")`)

// parseShown reads a message as nats sub shows it; nil if it is none.
func parseShown(data []byte) *capture {
	head, rest, _ := bytes.Cut(bytes.TrimLeft(data, "\r\n\t "), []byte("\n"))
	found := shownHead.FindSubmatch(head)
	if found == nil {
		return nil
	}
	subject, err := strconv.Unquote(string(found[1]))
	if err != nil {
		return nil
	}
	msg := nats.NewMsg(subject)
	for {
		line, after, more := bytes.Cut(rest, []byte("\n"))
		rest = after
		name, value, is := strings.Cut(strings.TrimRight(string(line), "\r"), ": ")
		if !is || !more {
			break
		}
		msg.Header[name] = append(msg.Header[name], value)
	}
	msg.Data = rest
	return &capture{msg: msg, loose: true}
}

// envelope is the event, if everything in it is there and agrees. Tokens are those that may
// be of the compact form.
func (c *capture) envelope(tokens tokenFiles) (*event.Envelope, error) {
	switch {
	case c.json != nil:
		return event.ReadJSON(c.json)
	case c.msg != nil:
		return event.ReadMsg(c.msg)
	}
	e, err := event.DecodeAny(c.compact)
	if err != nil {
		return nil, err
	}
	text := tokens.of(e)
	access, err := event.ParseAccess(text)
	if err != nil {
		return nil, fmt.Errorf("%w: name it with --access", event.ErrNoAccess)
	}
	return &event.Envelope{Event: e, Access: text, Which: access.Hash()}, nil
}

// of is the token of an event's device; any, if there is but one; else none.
func (t tokenFiles) of(e *event.Event) (text string) {
	for _, one := range t {
		access, err := event.ParseAccess(one)
		if err != nil {
			continue
		}
		if (e != nil && access.Device == e.Device) || len(t) == 1 {
			text = one
		}
	}
	return text
}

// explain judges the event.
func (c *capture) explain(ctx context.Context, m *event.TokenManager, tokens tokenFiles, at event.Moment) *event.Report {
	switch {
	case c.json != nil:
		return m.ExplainJSON(ctx, c.json, at, tokens)
	case c.compact != nil:
		e, _ := event.DecodeAny(c.compact) //nolint:errcheck // Explain says what is wrong
		return m.ExplainCompact(ctx, c.compact, tokens.of(e), at)
	}
	report := m.ExplainMsg(ctx, c.msg, at, tokens)
	for range addedEnds {
		if !c.loose || !bodyFails(report) || !bytes.HasSuffix(c.msg.Data, []byte("\n")) {
			break
		}
		c.msg.Data = c.msg.Data[:len(c.msg.Data)-1]
		report = m.ExplainMsg(ctx, c.msg, at, tokens)
	}
	return report
}

// addedEnds is how many line ends nats sub adds behind data: one, and another one behind
// data that do not end a line.
const addedEnds = 2

func bodyFails(r *event.Report) bool {
	for _, f := range r.Findings {
		if f.Check == event.CheckBody && f.Err != nil {
			return true
		}
	}
	return false
}
