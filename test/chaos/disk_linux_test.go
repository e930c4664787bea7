package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
)

// withMounts in the environment says that this is the process with mounts of its own.
const withMounts = "KEYHALL_CHAOS_MOUNTS"

// inOwnMounts runs the test once more in a process that can mount a small disk, which
// nobody else sees and which is gone with it. It returns true in that process.
func inOwnMounts(t *testing.T) bool {
	if os.Getenv(withMounts) != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), withMounts+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	output, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("this system lets nobody mount a disk of their own: ", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Fatalf("it did not run:\n%s", output)
	}
	return false
}

// disk is a small disk.
type disk struct {
	t   *testing.T
	dir string
}

func newDisk(t *testing.T, bytes int) *disk {
	t.Helper()
	d := &disk{t, filepath.Join(t.TempDir(), "disk")}
	err := errors.Join(os.Mkdir(d.dir, 0o700), syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) })
	return d
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

// leave fills the disk but for some bytes.
func (d *disk) leave(bytes int64) {
	d.t.Helper()
	_ = os.Remove(d.path("ballast"))
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &stat); err != nil {
		d.t.Fatal(err)
	}
	size := int64(stat.Bavail)*stat.Bsize - bytes
	if err := os.WriteFile(d.path("ballast"), make([]byte, max(0, size)), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// empty makes room again.
func (d *disk) empty() {
	d.t.Helper()
	if err := os.Remove(d.path("ballast")); err != nil {
		d.t.Fatal(err)
	}
}

func TestAHubWhoseDiskIsFullLosesNothing(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	d := newDisk(t, 64<<20)
	h := newHub(t, d.path("hub"))
	h.start()
	alice := h.joins("alice", h.invite)
	c := alice.connect()
	if _, err := c.CreateRoom(within(t), "general", client.RoomOptions{}); err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	say := func(text string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := c.Say(ctx, "general", text)
		if err == nil {
			acknowledged = append(acknowledged, text)
		}
		return err
	}
	d.leave(300 << 10)
	long := strings.Repeat("x", 8<<10) // all of them fit one history
	for n := 0; ; n++ {
		if err := say(fmt.Sprintf("%d %s", n, long)); err != nil {
			break
		}
		if n == 1000 {
			t.Fatal("the disk does not fill")
		}
	}
	if len(acknowledged) == 0 {
		t.Fatal("nothing was said before the disk was full")
	}
	eventually(t, "the hub says that it stops", func() bool { return strings.Contains(read(h.log), "is stopped until there is room") })
	if text := read(h.log); !strings.Contains(text, "no space left on device") {
		t.Errorf("the hub says:\n%s", text)
	}

	// whoever ends it and starts it again meanwhile reads why it does not work
	h.end(t)
	d.leave(0)
	h.launch()
	eventually(t, "the hub ends", func() bool { return !h.running() })
	if code, text := h.cmd.ProcessState.ExitCode(), read(h.log); code != 1 || !strings.Contains(text, "no space left on device") {
		t.Errorf("a hub on a full disk ends with %d:\n%s", code, text)
	}
	d.empty()
	h.start()
	d.leave(128 << 10)
	for say(long) == nil {
	}
	eventually(t, "the hub stops again", func() bool { return strings.Contains(read(h.log), "is stopped until there is room") })
	d.empty()
	eventually(t, "it goes on by itself", func() bool { return say("there is room") == nil })

	messages, skipped, err := c.History(within(t), "general", historyOf)
	if err != nil || len(skipped) > 0 {
		t.Fatal(err, skipped)
	}
	there := make(map[string]bool)
	for _, message := range messages {
		there[message.Text] = true
	}
	for _, text := range acknowledged {
		if !there[text] {
			t.Errorf("%.20q was acknowledged and is gone", text)
		}
	}
	alice.run("ledger", "verify", "--data", h.data)
	h.end(t)
}

func TestAReaderWhoseDiskIsFullGoesOnWhenThereIsRoom(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	d := newDisk(t, 32<<20)
	h := newHub(t, filepath.Join(t.TempDir(), "hub"))
	h.start()
	alice, bob := owning(t, h, t.TempDir())
	launch(t, alice.home, "serve")
	films := filepath.Join(filepath.Dir(alice.home), "films")
	dest := d.path("got")
	bob.home = moved(t, bob.home, d.path("bob"))

	d.leave(2 << 20)
	p := launch(t, bob.home, "get", "alice/films", dest)
	eventually(t, "the get ends", func() bool { return !p.running() })
	if code, text := p.cmd.ProcessState.ExitCode(), read(p.log); code != 3 && code != 1 || !strings.Contains(text, "no space left on device") {
		t.Errorf("a get on a full disk ends with %d:\n%s", code, text)
	}
	if err := unfinished(films, filepath.Join(dest, "films")); err != nil {
		t.Error(err)
	}

	// what bob knows of the others does not fit either: nothing of it breaks
	d.empty()
	d.leave(0)
	for _, args := range [][]string{{"say", "general", "hello"}, {"history", "general"}, {"inbox"}, {"get", "alice/films", dest}} {
		p := launch(t, bob.home, args...)
		eventually(t, "the command ends", func() bool { return !p.running() })
		if code, text := p.cmd.ProcessState.ExitCode(), read(p.log); code != 0 && !strings.Contains(text, "no space left on device") {
			t.Errorf("keyhall %v on a full disk ends with %d:\n%s", args, code, text)
		}
	}
	d.empty()
	bob.run("say", "general", "hello")
	bob.run("get", "alice/films", dest)
	if err := unfinished(films, filepath.Join(dest, "films")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dest, "films", "long")); err != nil {
		t.Error(err)
	}
	h.end(t)
}

func TestAnOwnerWhoseDiskIsFullKeepsServing(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	d := newDisk(t, 32<<20)
	h := newHub(t, filepath.Join(t.TempDir(), "hub"))
	h.start()
	alice, bob := owning(t, h, t.TempDir())
	films := filepath.Join(filepath.Dir(alice.home), "films")
	alice.home = moved(t, alice.home, d.path("alice"))
	served := launch(t, alice.home, "serve")
	eventually(t, "alice serves", func() bool { return strings.Contains(read(served.out), "Serving") })

	bob.run("ls", "alice/films") // whom alice has seen, she need not write down
	d.leave(0)
	if err := os.WriteFile(filepath.Join(films, "newer"), []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	scan := launch(t, alice.home, "catalog", "scan", "films")
	eventually(t, "the scan ends", func() bool { return !scan.running() })
	if code, text := scan.cmd.ProcessState.ExitCode(), read(scan.log); code != 1 || !strings.Contains(text, "no space left on device") {
		t.Errorf("a scan on a full disk ends with %d:\n%s", code, text)
	}
	dest := filepath.Join(t.TempDir(), "got")
	bob.run("get", "alice/films/long", dest+string(filepath.Separator))
	if !served.running() {
		t.Errorf("serving has ended:\n%s", served.output())
	}
	served.kill()

	d.empty()
	alice.run("catalog", "scan", "films")
	launch(t, alice.home, "serve")
	eventually(t, "bob fetches what is new", func() bool {
		p := launch(t, bob.home, "get", "alice/films/newer", dest+string(filepath.Separator))
		<-p.done
		return p.cmd.ProcessState.ExitCode() == 0
	})
	if err := unfinished(films, dest); err != nil {
		t.Error(err)
	}
	h.end(t)
}

// owning makes alice, who shares films (the folder beside her profile), and bob, who took
// it; both are in the room general.
func owning(t *testing.T, h *hub, dir string) (alice, bob *member) {
	t.Helper()
	alice = h.joins("alice", h.invite)
	c := alice.connect()
	invite, err := c.Invite(within(t), 1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	bob = h.joins("bob", invite.Code)
	alice.home = moved(t, alice.home, filepath.Join(dir, "alice"))
	films := filepath.Join(dir, "films")
	err = errors.Join(os.Mkdir(films, 0o700),
		os.WriteFile(filepath.Join(films, "long"), []byte(strings.Repeat("a long film ", 1<<20)), 0o600))
	for i := range 10 {
		err = errors.Join(err, os.WriteFile(filepath.Join(films, fmt.Sprintf("short-%d", i)), []byte(strings.Repeat("short ", 20_000)), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	alice.run("catalog", "add", "films", films)
	alice.run("share", "films", "bob")
	alice.run("room", "create", "general")
	alice.run("room", "grant", "general", "bob")
	bob.run("accept", "alice/films")
	return alice, bob
}

// moved moves a profile.
func moved(t *testing.T, from, to string) string {
	t.Helper()
	if err := errors.Join(os.CopyFS(to, os.DirFS(from)), os.Chmod(to, 0o700)); err != nil {
		t.Fatal(err)
	}
	return to
}
