package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/callout/service"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

// startCallout runs a callout on its own for a company, with an audit; blind leaves it
// without a user of the system account.
func startCallout(t *testing.T, blind bool) *natstest.Company {
	t.Helper()
	c := natstest.StartCompany(t, natstest.CompanyOptions{JetStream: true, Account: func(name string, claims *jwt.AccountClaims) {
		if name == "AUTH" {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
				MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
			}
		}
	}})
	said := service.Config{
		NATS: []string{c.URL()}, Creds: c.Path("auth.creds"), Issuer: c.Path("AUTH.nk"), XKey: c.Path("auth.xk"),
		Sentinel: c.Path("sentinel.creds"), Users: c.Path("users.json"), AuthJWT: c.Path("AUTH.jwt"),
		Accounts: []service.AccountKey{
			{Name: "APP1", ID: c.APP1.ID, Key: c.Path("APP1.nk")}, {Name: "APP2", ID: c.APP2.ID, Key: c.Path("APP2.nk")},
		},
	}
	file := filepath.Join(t.TempDir(), "callout.yaml")
	if err := os.WriteFile(file, []byte("audit:\n  creds: "+c.Path("auth.creds")+"\n  max_age: 1h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !blind {
		said.SystemCreds = c.User(c.SYS, "registry", func(claims *jwt.UserClaims) {
			claims.Permissions.Pub.Allow.Add(registry.SystemPublishes...)
			claims.Permissions.Sub.Allow.Add(registry.SystemSubscribes...)
			claims.Permissions.Sub.Allow.Add("_INBOX_registry.>")
		})
	}
	s, err := service.Start(natstest.Within(t), service.Options{
		Source: service.Source{File: file, Flags: said, Env: func(string) string { return "" }},
		Logger: slog.New(slog.DiscardHandler), Say: func(string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

func logIn(c *natstest.Company, user, password, program string) (*nats.Conn, error) {
	return c.Connect(c.Path("sentinel.creds"), nats.UserInfo(user, password), nats.Name(program))
}

// place are the flags that name the company's callout.
func place(c *natstest.Company) []string {
	return []string{"--nats", c.URL(), "--creds", c.Path("auth.creds")}
}

func TestTheHostOfACalloutListsAndClosesConnections(t *testing.T) {
	c := startCallout(t, false)
	alice, err := logIn(c, "alice", "alice", "till")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := logIn(c, "bob", "bob", "evil\x1b[2J\nalice  2026-01-01  host  N/1")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	listed := run(t, home, append([]string{"callout", "sessions"}, place(c)...)...)
	lines := strings.Split(strings.TrimSuffix(listed.out, "\n"), "\n")
	if listed.status != exitOK || len(lines) != 3 || strings.Contains(listed.out, "\x1b") || listed.err != "" {
		t.Errorf("status %d, said %q %q", listed.status, listed.out, listed.err)
	}
	one := run(t, home, append([]string{"callout", "sessions", "--user", "alice", "--json"}, place(c)...)...)
	var session calloutSession
	if err := json.Unmarshal([]byte(one.out), &session); err != nil || session.Name != "alice" || session.Client != "till" ||
		session.Backend != "users" || session.Session == "" || session.Account != c.APP1.ID {
		t.Errorf("%s, %v", one.out, err)
	}
	closed := run(t, home, append([]string{"callout", "revoke", "alice", "--for", "1h", "--why", "a test"}, place(c)...)...)
	if closed.status != exitOK || !strings.Contains(closed.out, "1 connection closed") || !strings.Contains(closed.out, "refused until") {
		t.Errorf("status %d, said %q %q", closed.status, closed.out, closed.err)
	}
	natstest.Eventually(t, "her connection is closed", alice.IsClosed)
	if bob.IsClosed() {
		t.Error("his is closed too")
	}
	if _, err := logIn(c, "alice", "alice", "till"); err == nil {
		t.Error("she comes back")
	}
	if typo := run(t, home, append([]string{"callout", "revoke", "alcie"}, place(c)...)...); typo.status != exitOK ||
		!strings.Contains(typo.err, "nobody was connected like that") {
		t.Errorf("status %d, said %q %q", typo.status, typo.out, typo.err)
	}
	door := run(t, home, "callout", "sessions", "--nats", c.URL(), "--creds", c.Path("sentinel.creds"))
	if door.status != exitFailed || !strings.Contains(door.err, "name another file with creds") {
		t.Errorf("status %d, said %q", door.status, door.err)
	}
	if none := run(t, home, append([]string{"callout", "sessions", "--user", "alice"}, place(c)...)...); !strings.Contains(none.out, "Nobody is connected") {
		t.Errorf("said %q", none.out)
	}
	if wrong := run(t, home, append([]string{"callout", "revoke", "alice"}, "--nats", c.URL(), "--creds", c.Path("app1.creds"))...); wrong.status != exitFailed ||
		!strings.Contains(wrong.err, "no callout answers") {
		t.Errorf("status %d, said %q", wrong.status, wrong.err)
	}
}

func TestWhoAsksNoCalloutIsToldHow(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	c := natstest.StartCompany(t, natstest.CompanyOptions{TLS: true})
	for _, row := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"callout", "sessions"}, exitFailed, "a callout on its own is asked with --creds FILE"},
		{[]string{"callout", "sessions", "--data", t.TempDir()}, exitFailed, "name its folder with --data"},
		{[]string{"audit", "--ca", c.Path("ca.pem")}, exitUsage, "--ca goes with --creds"},
		{append([]string{"audit"}, place(c)...), exitFailed, "name the file with its authority as --ca"},
		{append([]string{"callout", "sessions", "--ca", c.Path("none.pem")}, place(c)...), exitFailed, "the file named as --ca cannot be used"},
		{append([]string{"callout", "sessions", "--ca", c.Path("ca.pem")}, place(c)...), exitFailed, "no callout answers in this account"},
		{[]string{"callout", "--in-flight", "many"}, exitUsage, `invalid argument "many" for "--in-flight" flag: it is a number`},
	} {
		got := run(t, t.TempDir(), row.args...)
		if got.status != row.status || !strings.Contains(got.err, row.says) || strings.Contains(got.err, "--login") {
			t.Errorf("%q: status %d, said %q, want %q", row.args, got.status, got.err, row.says)
		}
		if hint := "--creds FILE"; row.says == "name its folder with --data" && strings.Contains(got.err, hint) {
			t.Errorf("who named a hub is told of %s: %q", hint, got.err)
		}
	}
	// What servers send who waits for a callout that does not run.
	waiting := outsideRefusal(errors.New("nats: expected 'PONG', got 'PING'"), c.URL(), "sentinel.creds")
	if !fault.Is(waiting, fault.Refused) || !strings.Contains(waiting.Error(), "does not let you in with sentinel.creds") {
		t.Errorf("said %v", waiting)
	}
}

func TestACalloutThatCanCloseNothingSaysSo(t *testing.T) {
	c := startCallout(t, true)
	alice, err := logIn(c, "alice", "alice", "till")
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, t.TempDir(), append([]string{"callout", "revoke", "alice"}, place(c)...)...)
	if got.status != exitPartly || !strings.Contains(got.err, "1 connection stays open") || alice.IsClosed() {
		t.Errorf("status %d, said %q %q", got.status, got.out, got.err)
	}
	if got := run(t, t.TempDir(), append([]string{"callout", "sessions"}, place(c)...)...); !strings.Contains(got.err, "can close nothing") {
		t.Errorf("said %q", got.err)
	}
}

// A client names itself and its user as it likes: no line of the audit is forged by that, and
// what nobody signed is shown as such.
func TestTheAuditIsReadLineByLineWhateverClientsCallThemselves(t *testing.T) {
	c := startCallout(t, false)
	if _, err := logIn(c, "alice", "alice", "till"); err != nil {
		t.Fatal(err)
	}
	hostile := "eve\n2026-01-01T00:00:00.000Z  allowed    alice\x1b]0;owned\x07\u202e"
	if _, err := logIn(c, hostile, "secret-of-eve", hostile); err == nil {
		t.Fatal("eve is let in")
	}
	if _, err := c.Connect(c.Path("sentinel.creds")); err == nil {
		t.Fatal("the sentinel alone is let in")
	}
	home := t.TempDir()
	read := func(args ...string) outcome {
		return run(t, home, append(append([]string{"audit"}, args...), place(c)...)...)
	}
	natstest.Eventually(t, "all are written", func() bool { return strings.Count(read("--json").out, "\n") == 3 })
	all := read()
	lines := strings.Split(strings.TrimSuffix(all.out, "\n"), "\n")
	if all.status != exitOK || len(lines) != 3 || !strings.Contains(all.out, "  allowed    alice  ") || !strings.Contains(all.out, "  wrong ") ||
		!strings.Contains(all.out, "  refused    -  from ") {
		t.Errorf("status %d: %q %q", all.status, all.out, all.err)
	}
	if strings.ContainsAny(all.out, "\x1b\x07\u202e") || strings.Contains(all.out, "secret-of-eve") {
		t.Errorf("said %q", all.out)
	}
	for _, row := range []struct {
		args string
		want int
	}{{"--user alice", 1}, {"--outcome wrong", 1}, {"--outcome shed", 0}, {"--since 1h", 3}, {"--user bob", 0}} {
		if got := read(append(strings.Fields(row.args), "--json")...); strings.Count(got.out, "\n") != row.want || got.status != exitOK {
			t.Errorf("%s: status %d, said %q", row.args, got.status, got.out)
		}
	}
	var line auditLine
	if got := read("--outcome", "wrong", "--json"); json.Unmarshal([]byte(got.out), &line) != nil || line.Entry.User != hostile[:min(len(hostile), 256)] {
		t.Errorf("said %q", got.out)
	}
	// Somebody who can write there signs nothing as the callout.
	other, err := c.Connect(c.Path("auth.creds"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Request("audit.login", []byte(`{"outcome":"allowed","name":"mallory"}`), natstest.Patience); err != nil {
		t.Fatal(err)
	}
	forged := read()
	if forged.status != exitPartly || !strings.Contains(forged.out, "NOT THE CALLOUT'S") || strings.Contains(forged.out, "mallory") {
		t.Errorf("status %d, said %q %q", forged.status, forged.out, forged.err)
	}
}

func TestTheAuditShowsWhatIsMissing(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	record := &audit.Record{Seq: 9, Missing: 2, Stored: at, Signed: at, Gap: &audit.Gap{Lost: 5, From: at, To: at.Add(time.Second)}}
	var text, objects bytes.Buffer
	people, programs := &program{out: printer{w: &text}}, &program{json: true, out: printer{w: &objects}}
	f := &auditFlags{user: "alice", outcome: "allowed"} // what is missing may have been about her
	people.showRecord(f, record)
	programs.showRecord(f, record)
	for _, want := range []string{"MISSING", "2 entries before 9", "gap", "5 entries lost, from 2026-01-02T03:04:05.000Z to 2026-01-02T03:04:06.000Z"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("said %q, want %q", text.String(), want)
		}
	}
	var line auditLine
	if err := json.Unmarshal(objects.Bytes(), &line); err != nil || line.Missing != 2 || line.Gap == nil || line.Gap.Lost != 5 {
		t.Errorf("%s, %v", objects.String(), err)
	}
}
