// Package chaos_test breaks things while they work: it kills the programs of a hub, of an
// owner and of a reader at random moments, fills their disks, and has their clocks jump.
// Whatever was acknowledged is still there afterwards, nothing unfinished looks finished,
// and every program starts again without repair.
//
// How often it kills, and when, two flags say; `make chaos SEED=` sets them:
//
//	go test ./test/chaos -run Killed -v -kills 100 -seed 7
package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/cli"
	"keyhall.dev/keyhall/internal/folder"
)

// asKeyhall in the environment makes this test program the keyhall program.
const asKeyhall = "KEYHALL_CHAOS_IS_KEYHALL"

// patience bounds everything that is waited for; it is no measure of anything.
const patience = 90 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asKeyhall) != "" {
		os.Exit(cli.Main())
	}
	os.Exit(m.Run())
}

// program is a running keyhall.
type program struct {
	cmd  *exec.Cmd
	out  string // file of its standard output
	log  string // file of its standard error
	done chan struct{}
}

// launch runs keyhall as a process of its own, with the profile folder home.
func launch(t *testing.T, home string, args ...string) *program {
	t.Helper()
	return launchOf(t, os.Args[0], []string{asKeyhall + "=1"}, home, args...)
}

// launchOf runs another build of it, or in another environment.
func launchOf(t *testing.T, binary string, env []string, home string, args ...string) *program {
	t.Helper()
	dir := t.TempDir()
	p := &program{
		cmd: exec.Command(binary, args...), out: filepath.Join(dir, "out"), log: filepath.Join(dir, "log"),
		done: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), "KEYHALL_HOME="+home, "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir,
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	p.cmd.Env = append(p.cmd.Env, env...)
	out, err := os.Create(p.out)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // the process has its own
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // the process has its own
	p.cmd.Stdout, p.cmd.Stderr = out, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		p.judge(t)
	})
	return p
}

// judge fails the test for what no program may ever do.
func (p *program) judge(t *testing.T) {
	for _, never := range []string{"panic:", "DATA RACE", "fatal error:"} {
		if output := p.output(); strings.Contains(output, never) {
			t.Errorf("keyhall %s:\n%s", strings.Join(p.cmd.Args[1:], " "), output)
			return
		}
	}
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *program) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// end interrupts it as its user would and expects a good end.
func (p *program) end(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(os.Interrupt)
	p.mustEnd(t)
}

// mustEnd waits for its good end.
func (p *program) mustEnd(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("keyhall %s does not end:\n%s", strings.Join(p.cmd.Args[1:], " "), p.output())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("keyhall %s ended with %d:\n%s", strings.Join(p.cmd.Args[1:], " "), code, p.output())
	}
}

func (p *program) output() string { return read(p.out) + read(p.log) }

func read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// hub is a hub that is always started where it was.
type hub struct {
	t          *testing.T
	data       string
	http, nats string
	binary     string   // "" for this program
	env        []string // beside the usual
	invite     string   // for its host, from the first start
	*program
}

func newHub(t *testing.T, data string) *hub {
	return &hub{t: t, data: data, http: "127.0.0.1:0", nats: "127.0.0.1:-1"}
}

// start starts it and returns when it takes connections.
func (h *hub) start() {
	h.t.Helper()
	h.launch()
	var ready struct{ HTTP, NATS, Invite string }
	eventually(h.t, "the hub starts", func() bool {
		if !h.running() {
			h.t.Fatalf("the hub ended:\n%s", h.output())
		}
		return json.Unmarshal([]byte(read(h.out)), &ready) == nil
	})
	if h.invite == "" {
		h.invite = ready.Invite
	}
	at, err := url.Parse(ready.HTTP)
	if err != nil {
		h.t.Fatal(err)
	}
	nats, err := url.Parse(ready.NATS)
	if err != nil {
		h.t.Fatal(err)
	}
	h.http, h.nats = "127.0.0.1:"+at.Port(), nats.Host
}

func (h *hub) launch() {
	h.t.Helper()
	args := []string{"up", "--json", "--data", h.data, "--http", h.http, "--nats", h.nats}
	if h.binary == "" {
		h.program = launch(h.t, h.t.TempDir(), args...)
		return
	}
	h.program = launchOf(h.t, h.binary, h.env, h.t.TempDir(), args...)
}

// member is somebody with a profile.
type member struct {
	t    *testing.T
	name string
	home string
}

// joins makes somebody a member.
func (h *hub) joins(name, invite string) *member {
	h.t.Helper()
	m := &member{h.t, name, filepath.Join(h.t.TempDir(), name)}
	_, err := client.Join(within(h.t), m.home, client.JoinRequest{
		URL: "http://" + h.http, Invite: invite, Handle: name, Device: "laptop",
	})
	if err != nil {
		h.t.Fatalf("%s joins: %v", name, err)
	}
	return m
}

// connect connects as a program of theirs that lives in this process.
func (m *member) connect() *client.Client {
	m.t.Helper()
	profile, err := client.OpenProfile(m.home)
	if err != nil {
		m.t.Fatal(err)
	}
	c, err := client.Connect(within(m.t), profile)
	if err != nil {
		m.t.Fatalf("%s connects: %v", m.name, err)
	}
	m.t.Cleanup(c.Close)
	return c
}

// run runs a command to its end, which must be good, and returns what it printed.
func (m *member) run(args ...string) string {
	m.t.Helper()
	p := launch(m.t, m.home, args...)
	p.mustEnd(m.t)
	return read(p.out)
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// unfinished says which files below dir are not, byte for byte, those of the same name
// below want. Files under the name of a part are left out: they say what they are.
func unfinished(want, dir string) error {
	var wrong []error
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // it got its final name, or was removed, between two looks
		}
		if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, folder.PartSuffix) {
			return err
		}
		below, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		original, err := os.ReadFile(filepath.Join(want, below))
		if err != nil {
			return err
		}
		if string(got) != string(original) {
			wrong = append(wrong, fmt.Errorf("%s: %d bytes are not the %d of the original", below, len(got), len(original)))
		}
		return nil
	})
	return errors.Join(append(wrong, err)...)
}

// tally keeps what several goroutines did.
type tally[T comparable] struct {
	mu   sync.Mutex
	seen map[T]bool
}

func (c *tally[T]) add(item T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = make(map[T]bool)
	}
	c.seen[item] = true
}

func (c *tally[T]) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

func (c *tally[T]) has(item T) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[item]
}
