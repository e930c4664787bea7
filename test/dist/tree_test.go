package dist_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds what is waited for; it is no measure of anything.
const patience = 3 * time.Minute

// TestTheToolchainsSourceTreeArrivesByteForByte shares over 10,000 real files, the Go
// toolchain's own, and fetches them as a folder: with the program that is given to people,
// a process for each of hub, owner and reader.
func TestTheToolchainsSourceTreeArrivesByteForByte(t *testing.T) {
	here := copied(t, "keyhall")
	build(t, here, thisBinary(), nil)
	p := &people{t: t, binary: filepath.Join(here, "bin", "dist", thisBinary()), dir: t.TempDir()}
	source := filepath.Join(goEnv(t, "GOROOT"), "src")

	var hub struct{ HTTP, Invite string }
	p.background("hub", &hub, "up", "--json", "--data", filepath.Join(p.dir, "hub"), "--http", "127.0.0.1:0", "--nats", "127.0.0.1:-1")
	p.run("alice", "join", hub.HTTP, "--invite", hub.Invite, "--handle", "alice")
	p.run("bob", "join", hub.HTTP, "--invite", strings.TrimSpace(p.run("alice", "invite")), "--handle", "bob")
	p.run("alice", "catalog", "add", "go", source)
	p.run("alice", "share", "go", "bob")
	p.background("alice", nil, "serve", "--quiet")
	p.run("bob", "accept", "alice/go")
	dest := filepath.Join(p.dir, "got")
	p.run("bob", "get", "alice/go", dest)
	if count := sameTree(t, source, filepath.Join(dest, "go")); count < 10_000 {
		t.Errorf("%d files are there, want over 10,000", count)
	}
}

func thisBinary() string { return "keyhall-" + goos + "-" + goarch }

// people are a hub and members, each with a folder of their own.
type people struct {
	t      *testing.T
	binary string
	dir    string
}

func (p *people) command(who string, args ...string) *exec.Cmd {
	cmd := exec.Command(p.binary, args...)
	cmd.Env = append(os.Environ(), "KEYHALL_HOME="+filepath.Join(p.dir, who))
	return cmd
}

// run runs a command to its good end and gives what it printed.
func (p *people) run(who string, args ...string) string {
	p.t.Helper()
	var stderr strings.Builder
	cmd := p.command(who, args...)
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%s: keyhall %s: %v\n%s", who, strings.Join(args, " "), err, stderr.String())
	}
	return string(output)
}

// background runs a command until the test ends. It returns when the command has printed
// its first line, of which it reads JSON into ready, if that is not nil.
func (p *people) background(who string, ready any, args ...string) {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), "output")
	output, err := os.Create(path)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := p.command(who, args...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			p.t.Errorf("keyhall %s: %v\n%s", args[0], err, read(p.t, path))
		}
		_ = output.Close()
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		line, _, found := bytes.Cut(read(p.t, path), []byte("\n"))
		if found && (ready == nil || json.Unmarshal(line, ready) == nil) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("keyhall %s says only %q", args[0], line)
		}
	}
}

// sameTree compares every regular file of one folder with the other, and that there are
// no more. It gives how many there are.
func sameTree(t *testing.T, want, have string) (count int) {
	t.Helper()
	err := filepath.WalkDir(want, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		count++
		rel, err := filepath.Rel(want, path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(have, rel))
		if err != nil || !bytes.Equal(read(t, path), got) {
			t.Errorf("%s is not the same: %v", rel, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir(have, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			found++
		}
		return err
	})
	if err != nil || found != count {
		t.Errorf("%d files arrived of %d: %v", found, count, err)
	}
	return count
}
