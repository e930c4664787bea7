package cli

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/natstest"
)

// object is a line of JSON output.
type object map[string]any

// objects runs a command with --json, which must succeed, and reads what it prints.
func objects(t *testing.T, home string, args ...string) []object {
	t.Helper()
	got := run(t, home, append(args, "--json")...)
	if got.status != exitOK {
		t.Fatalf("%v: status %d, said %q", args, got.status, got.err)
	}
	var all []object
	for decoder := json.NewDecoder(strings.NewReader(got.out)); ; {
		var one object
		if err := decoder.Decode(&one); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("%v: %v in %q", args, err, got.out)
		}
		all = append(all, one)
	}
}

// shape checks that a command prints objects with exactly these names.
func shape(t *testing.T, all []object, names ...string) {
	t.Helper()
	slices.Sort(names)
	if len(all) == 0 {
		t.Error("nothing was printed")
	}
	for _, one := range all {
		if got := slices.Sorted(maps.Keys(one)); !slices.Equal(got, names) {
			t.Errorf("got %v, want %v", got, names)
		}
	}
}

func TestScriptsFindTheNamesTheyRelyOn(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	a, b := alice.Profile.Dir(), bob.Profile.Dir()
	films := filepath.Join(t.TempDir(), "films")
	evil := "evil\x1b[31m\nname.txt"
	for _, name := range []string{"holiday.mp4", evil} {
		writeFile(t, filepath.Join(films, name), "content")
	}

	shape(t, objects(t, a, "whoami"), "handle", "account", "device", "fingerprint")
	shape(t, objects(t, a, "people"), "handle", "account", "known", "path")
	shape(t, objects(t, a, "stats"), "people", "devices", "rooms", "shares")
	shape(t, objects(t, a, "invite"), "code", "url", "expires")
	shape(t, objects(t, a, "verify", "bob", "--show"), "handle", "account", "words", "verified")
	shape(t, objects(t, a, "device", "list"), "name", "key", "expires", "revoked", "this")
	shape(t, objects(t, a, "catalog", "add", "films", films), "catalog", "hashed", "skipped", "problems")
	shape(t, objects(t, a, "catalog", "list"), "name", "id", "dir", "entries", "bytes", "revision")
	mustRun(t, a, "share", "films", "bob", "--expires", "1d")
	shape(t, objects(t, a, "shares"), "catalog", "to", "expires", "grant")
	shape(t, objects(t, b, "inbox"), "catalog", "from", "expires", "state")
	mustRun(t, b, "accept", "alice/films")
	shape(t, objects(t, b, "ls"), "catalog", "online")
	alice.Serving()
	listed := objects(t, b, "ls", "alice/films")
	shape(t, listed, "path", "size", "type", "modified", "root")
	if listed[0]["path"] != evil {
		t.Errorf("the path came as %q", listed[0]["path"])
	}
	if out := mustRun(t, b, "ls", "alice/films"); strings.ContainsRune(out, '\x1b') || strings.Count(out, "\n") != 3 {
		t.Errorf("a file name reached the terminal: %q", out)
	}
	got := objects(t, b, "get", "alice/films/holiday.mp4", t.TempDir())
	shape(t, got[:len(got)-1], "path", "done", "size")
	shape(t, got[len(got)-1:], "files", "bytes", "seconds")
}

func TestRoomsFromTheCommandLine(t *testing.T) {
	hall := hubtest.Start(t)
	a, b := hall.Join("alice").Profile.Dir(), hall.Join("bob").Profile.Dir()
	mustRun(t, a, "room", "create", "general")
	mustRun(t, a, "room", "grant", "General", "bob")
	mustRun(t, a, "say", "general", "hello \x1b[2J\nkeyhall:", "bob")
	shape(t, objects(t, b, "room", "list"), "id", "room", "kind", "listed", "role", "members", "unread")
	shape(t, objects(t, b, "room", "members", "general"), "handle", "account", "role")
	said := objects(t, b, "history", "general")
	shape(t, said, "room", "seq", "author", "time", "text", "id")
	if at := said[0]["time"].(string); !strings.HasSuffix(at, "Z") {
		t.Errorf("the time %s is not in UTC", at)
	}
	if out := mustRun(t, b, "history", "general"); strings.ContainsRune(out, '\x1b') || strings.Count(out, "\n") != 1 {
		t.Errorf("a message reached the terminal: %q", out)
	}
	chat := runWith(t, b, strings.NewReader("first\n\n  \nsecond\n"), "chat")
	if chat.status != exitOK || !strings.Contains(chat.out, "bob  first\n") || !strings.HasSuffix(chat.out, "bob  second\n") {
		t.Errorf("chat: %+v", chat)
	}
	mustRun(t, a, "room", "grant", "general", "bob", "--role", "reader")
	if chat := runWith(t, b, strings.NewReader("third\n"), "chat", "general"); chat.status != exitFailed {
		t.Errorf("a reader could say something: %+v", chat)
	}
}

func TestVerifyWithoutATerminal(t *testing.T) {
	hall := hubtest.Start(t)
	a, b := hall.Join("alice").Profile.Dir(), hall.Join("bob").Profile.Dir()
	words := objects(t, a, "verify", "bob", "--show")[0]["words"].(string)
	if got := run(t, b, "verify", "alice", "--words", "legal winner thank year wave sausage worth useful"); got.status != exitFailed {
		t.Errorf("other words: %+v", got)
	}
	if got := run(t, b, "verify", "alice"); got.status != exitUsage {
		t.Errorf("nobody to ask: %+v", got)
	}
	mustRun(t, b, "verify", "alice", "--words", strings.ToUpper(words))
	if known := objects(t, b, "people")[0]["known"]; known != "verified" {
		t.Errorf("alice is %v", known)
	}
}

func TestCredsAreForTheirOwnerAlone(t *testing.T) {
	hall := hubtest.Start(t)
	home := hall.Join("alice").Profile.Dir()
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	made := objects(t, home, "creds", "Console", "--context", "hall")
	shape(t, made, "device", "creds", "context", "url", "inbox_prefix", "expires")
	for _, path := range []string{filepath.Join(home, "creds", "console.creds"), filepath.Join(config, "nats", "context", "hall.json")} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	nc, err := nats.Connect(made[0]["url"].(string),
		nats.UserCredentials(made[0]["creds"].(string)), nats.CustomInboxPrefix(made[0]["inbox_prefix"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if answer, err := nc.Request("hub.stats.get", []byte("{}"), hubtest.Patience); err != nil || !json.Valid(answer.Data) {
		t.Errorf("a NATS program with these creds: %v, %v", answer, err)
	}
	if got := run(t, home, "creds", "console"); got.status != exitFailed {
		t.Errorf("made twice: %+v", got)
	}
	if devices := objects(t, home, "device", "list"); len(devices) != 2 {
		t.Errorf("devices: %v", devices)
	}
}

// TestReissuedCredsEndTheOldOnes: whoever has the old creds is put out and not let in again,
// whatever is done with the file.
func TestReissuedCredsEndTheOldOnes(t *testing.T) {
	hall := hubtest.Start(t)
	home := hall.Join("alice").Profile.Dir()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	if got := run(t, home, "creds", "console", "--again"); got.status != exitFailed || !strings.Contains(got.err, "no device called console") {
		t.Errorf("creds of no device: %+v", got)
	}
	old := objects(t, home, "creds", "console", "--context", "hall")[0]
	stolen := filepath.Join(t.TempDir(), "stolen.creds")
	content, err := os.ReadFile(old["creds"].(string))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, stolen, string(content))
	login := func(creds string, made object) (*nats.Conn, error) {
		return nats.Connect(made["url"].(string), nats.UserCredentials(creds), nats.CustomInboxPrefix(made["inbox_prefix"].(string)), nats.NoReconnect())
	}
	live, err := login(stolen, old)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()

	made := objects(t, home, "creds", "console", "--again", "--context", "hall", "--expires", "1h")[0]
	if made["creds"] != old["creds"] || made["inbox_prefix"] == old["inbox_prefix"] || made["expires"].(string) >= old["expires"].(string) {
		t.Errorf("%v, and then %v", old, made)
	}
	natstest.Eventually(t, "the live connection is closed", live.IsClosed)
	if nc, err := login(stolen, old); err == nil {
		nc.Close()
		t.Error("the old creds are let in")
	}
	nc, err := login(made["creds"].(string), made)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if answer, err := nc.Request("hub.stats.get", []byte("{}"), hubtest.Patience); err != nil || !json.Valid(answer.Data) {
		t.Errorf("the new creds: %v, %v", answer, err)
	}
	if devices := objects(t, home, "device", "list"); len(devices) != 3 || devices[1]["revoked"] != true || devices[2]["revoked"] != false {
		t.Errorf("devices: %v", devices)
	}
	if got := run(t, home, "creds", "other", "--expires", "2y"); got.status != exitUsage {
		t.Errorf("two years: %+v", got)
	}
	if got := run(t, home, "creds", "other", "--expires", "400d"); got.status != exitUsage {
		t.Errorf("400 days: %+v", got)
	}
}

func TestUpSaysWhereItIsAndStopsWhenAsked(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	status := make(chan int)
	data := filepath.Join(t.TempDir(), "data")
	go func() {
		status <- Run(ctx, System{
			Args: []string{"up", "--json", "--data", data, "--http", "127.0.0.1:0", "--nats", "127.0.0.1:-1"},
			In:   strings.NewReader(""), Out: in, Err: os.Stderr, Env: func(string) string { return "" },
		})
	}()
	var ready upReady
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	home := filepath.Join(t.TempDir(), "alice")
	if got := runWith(t, home, strings.NewReader(ready.Invite), "join", ready.HTTP, "--invite", "-", "--handle", "alice"); got.status != exitOK {
		t.Errorf("join: %+v", got)
	}
	if got := run(t, home, "doctor"); got.status != exitOK {
		t.Errorf("doctor: %+v", got)
	}
	shape(t, objects(t, home, "invite", "--admin", "--data", data), "code", "url", "expires")
	stop()
	if got := <-status; got != exitOK {
		t.Errorf("up ended with %d", got)
	}
	if got := run(t, home, "doctor"); got.status != exitFailed || !strings.Contains(got.out, "no hub answers") {
		t.Errorf("doctor without a hub: %+v", got)
	}
}

func mustRun(t *testing.T, home string, args ...string) (out string) {
	t.Helper()
	got := run(t, home, args...)
	if got.status != exitOK {
		t.Fatalf("%v: status %d, said %q", args, got.status, got.err)
	}
	return got.out
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
