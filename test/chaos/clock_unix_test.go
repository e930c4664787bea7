//go:build unix

package chaos_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
)

// clockFile in the environment of the program that buildWithClock makes is a file of
// eight bytes: by how many seconds its clock is wrong at the moment.
const clockFile = "KEYHALL_CHAOS_CLOCK"

// jumpSource is added to Go's own package time.
const jumpSource = `package time

import (
	"syscall"
	"unsafe"
)

var jump *int64

func init() {
	name, set := syscall.Getenv("` + clockFile + `")
	if !set {
		return
	}
	file, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic("no clock: " + err.Error())
	}
	data, err := syscall.Mmap(file, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("no clock: " + err.Error())
	}
	jump = (*int64)(unsafe.Pointer(&data[0]))
}

func jumped() int64 {
	if jump == nil {
		return 0
	}
	return *jump
}
`

// buildWithClock builds the program as it is, on a Go whose clock can be set: nothing in
// the program knows of it. Timers go on as they do when a machine's clock is set.
func buildWithClock(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("there is no Go to build with: ", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	const now, jumpingNow = "sec, nsec, mono := runtimeNow()\n", "sec, nsec, mono := runtimeNow()\n\tsec += jumped()\n"
	text := read(filepath.Join(source, "time.go"))
	if strings.Count(text, now) != 1 {
		t.Fatal("time.Now of this Go is made otherwise; see how it reads the clock, and adapt this test")
	}
	patched, added, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "jump.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(source, "time.go"): patched, filepath.Join(source, "jump.go"): added,
	}})
	err = errors.Join(err, os.WriteFile(patched, []byte(strings.Replace(text, now, jumpingNow, 1)), 0o600),
		os.WriteFile(added, []byte(jumpSource), 0o600), os.WriteFile(overlay, replace, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "keyhall")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", binary, "../../cmd/keyhall")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return binary
}

// clock is the clock of some programs.
type clock struct {
	t    *testing.T
	path string
}

func newClock(t *testing.T) *clock {
	c := &clock{t, filepath.Join(t.TempDir(), "clock")}
	c.jump(0)
	return c
}

func (c *clock) env() []string { return []string{clockFile + "=" + c.path} }

// jump makes the clock wrong by so much.
func (c *clock) jump(by time.Duration) {
	c.t.Helper()
	file, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(by/time.Second))), 0) //nolint:gosec // two's complement
	if err := errors.Join(err, file.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// apart is what a person reads whose clock is not the hub's.
const apart = "the clocks of this machine and of the hub are 24h0m0s apart"

func TestAClockThatJumps(t *testing.T) {
	binary := buildWithClock(t)
	hubClock, bobClock := newClock(t), newClock(t)
	h := newHub(t, filepath.Join(t.TempDir(), "hub"))
	h.binary, h.env = binary, hubClock.env()
	h.start()
	alice, bob := owning(t, h, t.TempDir())
	served := launch(t, alice.home, "serve")
	eventually(t, "alice serves", func() bool { return strings.Contains(read(served.out), "Serving") })
	talking := enter(t, alice)

	dest := filepath.Join(t.TempDir(), "got")
	said := 0
	run := func(who *member, args ...string) (status int, text string) {
		p := launchOf(t, binary, bobClock.env(), who.home, args...)
		eventually(t, "keyhall "+args[0]+" ends", func() bool { return !p.running() })
		return p.cmd.ProcessState.ExitCode(), p.output()
	}
	// everything says that the clocks are apart, does nothing, and what was there is there
	refused := func(who *member, commands ...[]string) {
		t.Helper()
		for _, args := range commands {
			if status, text := run(who, args...); status != 1 || !strings.Contains(text, apart) {
				t.Errorf("%s: keyhall %v ended with %d:\n%s", who.name, args, status, text)
			}
		}
		if status, text := run(who, "history", "general", "--json"); status != 0 || strings.Count(text, "\n") != said {
			t.Errorf("%s reads, with %d, not the %d messages:\n%s", who.name, status, said, text)
		}
	}
	// everything works, and alice, who never left the room, hears it
	works := func() {
		t.Helper()
		for _, who := range []*member{alice, bob} {
			said++
			for _, args := range [][]string{{"say", "general", fmt.Sprintf("%s %d", who.name, said)}, {"invite"}} {
				if status, text := run(who, args...); status != 0 {
					t.Errorf("%s: keyhall %v ended with %d:\n%s", who.name, args, status, text)
				}
			}
			hears(t, talking, fmt.Sprintf("%s %d", who.name, said))
		}
		got := filepath.Join(dest, fmt.Sprint(said))
		if status, text := run(bob, "get", "alice/films/short-1", got); status != 0 {
			t.Errorf("get ended with %d:\n%s", status, text)
		}
	}
	works()
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		bobClock.jump(by)
		refused(bob, []string{"say", "general", "x"}, []string{"invite"}, []string{"decline", "alice/films"})
		status, text := run(bob, "get", "alice/films/short-1", filepath.Join(dest, "never"))
		if status != 1 || !strings.Contains(text, "check the clocks on both sides") {
			t.Errorf("get ended with %d:\n%s", status, text)
		}
		bobClock.jump(0)
		works()

		hubClock.jump(by)
		refused(bob, []string{"say", "general", "x"}, []string{"invite"}, []string{"room", "leave", "general"})
		refused(alice, []string{"say", "general", "x"}, []string{"room", "revoke", "general", "bob"})
		// between owner and reader the hub's clock is nothing
		if status, text := run(bob, "get", "alice/films/short-2", filepath.Join(dest, fmt.Sprint("meanwhile", said))); status != 0 {
			t.Errorf("get ended with %d:\n%s", status, text)
		}
		hubClock.jump(0)
		works()
	}
	alice.run("ledger", "verify", "--data", h.data)
	h.end(t)
	h.start()
	eventually(t, "alice is back", func() bool {
		status, _ := run(bob, "get", "alice/films/short-3", filepath.Join(dest, "back"))
		return status == 0
	})
	works()
	h.end(t)
}

// enter has somebody listen in the room general.
func enter(t *testing.T, who *member) *client.Session {
	t.Helper()
	session, err := who.connect().Enter(within(t), 0, "general")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return session
}

// hears expects a message as the next one.
func hears(t *testing.T, session *client.Session, text string) {
	t.Helper()
	select {
	case message := <-session.Messages():
		if message.Text != text {
			t.Errorf("heard %q, not %q", message.Text, text)
		}
	case <-time.After(patience):
		t.Errorf("%q is never heard", text)
	}
}
