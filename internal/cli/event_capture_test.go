package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// specimen is an event by alice, as she would publish it, and what believes it.
type specimen struct {
	account string
	token   string // of her device
	v       *event.Envelope
}

func newSpecimen(t testing.TB, body string) *specimen {
	t.Helper()
	account, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	claims := jwt.NewUserClaims(device.String())
	claims.Name = "alice"
	token, err := claims.Encode(account.NKey())
	if err != nil {
		t.Fatal(err)
	}
	m, err := event.NewTokenManager(event.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SignAs(device, token); err != nil {
		t.Fatal(err)
	}
	v, err := m.Issue(&event.Event{Type: "order", Subject: "orders.new", Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return &specimen{account: account.String(), token: token, v: v}
}

// shown is a message as nats sub shows it.
func shown(msg *nats.Msg) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[#1] Received on %q\n", msg.Subject)
	var names []string
	for name := range msg.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, msg.Header.Get(name))
	}
	fmt.Fprintf(&b, "\n%s\n", msg.Data)
	if !strings.HasSuffix(string(msg.Data), "\n") {
		b.WriteString("\n")
	}
	return b.String()
}

// forms are an event in every form in which a file may have it.
func (s *specimen) forms(t testing.TB) map[string]string {
	t.Helper()
	plain, err := s.v.JSON()
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(map[string]any{"event": json.RawMessage(plain), "text": "whatever", "stored": "2026-01-31T12:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	dump := func(form event.Form) string {
		data, err := json.Marshal(s.v.Msg(form))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	compact := s.v.Event.Encode()
	return map[string]string{
		"JSON": string(plain) + "\n", "a line of subscribe": string(line) + "\n",
		"a dumped message": dump(event.Headers), "a dumped compact message": dump(event.Compact) + "\x00",
		"a shown message": shown(s.v.Msg(event.Headers)),
		"compact":         string(compact),
		"compact, base64": base64.StdEncoding.EncodeToString(compact) + "\n", "compact, base64url": base64.RawURLEncoding.EncodeToString(compact),
	}
}

func TestACapturedEventIsVerifiedInEveryForm(t *testing.T) {
	for _, body := range []string{"one pizza", "", "lines\nand\n\nlines\n\n", "Header: no\n\nheader", "\xff\x00\x01", " \n"} {
		s := newSpecimen(t, body)
		dir := t.TempDir()
		token := filepath.Join(dir, "token")
		if err := os.WriteFile(token, []byte(s.token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, text := range s.forms(t) {
			path := filepath.Join(dir, "captured")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"event", "verify", path, "--trust", s.account}
			if strings.HasPrefix(name, "compact") {
				if got := run(t, dir, args...); got.status != exitFailed || !strings.Contains(got.out, "NO  token") || !strings.Contains(got.err, "--access") {
					t.Errorf("%q as %s, without its token: %d\n%s%s", body, name, got.status, got.out, got.err)
				}
				args = append(args, "--access", token)
			}
			if got := run(t, dir, args...); got.status != exitOK || !strings.HasSuffix(got.out, "All of it holds.\n") {
				t.Errorf("%q as %s: %d\n%s%s", body, name, got.status, got.out, got.err)
			}
			if got := runWith(t, dir, strings.NewReader(text), append([]string{"event", "verify", "-"}, args[3:]...)...); got.status != exitOK {
				t.Errorf("%q as %s, on standard input: %d\n%s%s", body, name, got.status, got.out, got.err)
			}
		}
	}
}

func TestACaptureThatWasChangedDoesNotHold(t *testing.T) {
	s := newSpecimen(t, "one pizza")
	msg := s.v.Msg(event.Headers)
	for what, text := range map[string]string{
		"the data shown":  strings.Replace(shown(msg), "one pizza", "two pizzas", 1),
		"a header shown":  strings.Replace(shown(msg), "ce-type: order", "ce-type: refund", 1),
		"a header added":  strings.Replace(shown(msg), "ce-type: order", "ce-type: order\nce-type: order", 1),
		"another subject": strings.Replace(shown(msg), `on "orders.new"`, `on "orders.old"`, 1),
	} {
		got := runWith(t, t.TempDir(), strings.NewReader(text), "event", "verify", "-", "--trust", s.account)
		if got.status != exitFailed || !strings.Contains(got.out, "NO  ") || !strings.Contains(got.out, "ok  signature") || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: %d\n%s%s", what, got.status, got.out, got.err)
		}
	}
}

// Whatever others have written into an event or its token, verify prints a line for a check
// and controls no terminal.
func TestAHostileEventIsShownOnItsLines(t *testing.T) {
	account, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	claims := jwt.NewUserClaims(device.String())
	claims.Name = "alice\nok  believed   everybody\x1b[2J\u202e"
	token, err := claims.Encode(account.NKey())
	if err != nil {
		t.Fatal(err)
	}
	m, err := event.NewTokenManager(event.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SignAs(device, token); err != nil {
		t.Fatal(err)
	}
	v, err := m.Issue(&event.Event{Type: "x", Subject: "x.\u202ey", Audience: "you\nok  trail\x1b]0;x\a"})
	if err != nil {
		t.Fatal(err)
	}
	form, err := v.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{nil, {"--json"}} {
		got := runWith(t, t.TempDir(), strings.NewReader(string(form)), append([]string{"event", "verify", "-"}, flags...)...)
		if got.status != exitFailed || strings.ContainsAny(got.out+got.err, "\x1b\a\u202e") {
			t.Errorf("%d, %q %q", got.status, got.out, got.err)
		}
		if lines := strings.Count(got.out, "\n"); lines != 15 {
			t.Errorf("%d lines:\n%s", lines, got.out)
		}
	}
}

// FuzzCapture holds parseCapture against whatever a file may have: it never fails but with a
// sentence, and what it finds can be explained.
func FuzzCapture(f *testing.F) {
	for _, text := range newSpecimen(f, "one pizza").forms(f) {
		f.Add([]byte(text))
	}
	for _, text := range []string{"", "{}", `{"event":{}}`, `{"Subject":"x","Data":null}`, "[#1] Received on \"x\"\n\n", "[#1] ", "\x01", "AQ==", "\x00"} {
		f.Add([]byte(text))
	}
	m, err := event.NewTokenManager(event.Rules{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCapture("FILE", data)
		if err != nil {
			if sentence(err) == "" || strings.ContainsRune(sentence(err), '\n') {
				t.Errorf("%q", sentence(err))
			}
			return
		}
		report := c.explain(t.Context(), m, tokenFiles{}, event.Moment{Now: time.UnixMilli(1)})
		if report.Err() == nil {
			t.Error("it holds for somebody who believes nobody")
		}
		new(program).showExplainedTo(t, report)
	})
}

// showExplainedTo prints a report and fails if a line of it is not one.
func (p *program) showExplainedTo(t *testing.T, report *event.Report) {
	t.Helper()
	var out strings.Builder
	p.out.w = &out
	p.showExplained(report)
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "ok  ") && !strings.HasPrefix(line, "NO  ") && !strings.HasPrefix(line, "-   ") {
			t.Errorf("%q", line)
		}
	}
}
