package script_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// task is a program in the background. Unlike testscript's own it can be looked at while
// it runs: its output goes to files.
type task struct {
	name string
	cmd  *exec.Cmd
	out  string // path of its standard output
	err  string
	in   io.Writer
	done chan struct{} // closed when it has ended
}

// launch starts a program with the script's environment, from the script's folder.
func launch(ts *testscript.TestScript, name string, args []string) *task {
	s := stageOf(ts)
	if running := s.tasks[name]; running != nil {
		ts.Fatalf("%s is running already", name)
	}
	ts.Check(os.MkdirAll(s.path(".log"), 0o700))
	t := &task{name: name, out: s.path(".log", name+".out"), err: s.path(".log", name+".err"), done: make(chan struct{})}
	program, err := exec.LookPath(args[0])
	ts.Check(err)
	t.cmd = exec.Command(program, args[1:]...)
	t.cmd.Dir, t.cmd.Env = ts.MkAbs("."), environment(ts)
	stdout, err := os.Create(t.out)
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(t.err)
	ts.Check(err)
	defer stderr.Close()
	t.cmd.Stdout, t.cmd.Stderr = stdout, stderr
	t.openInput(ts)
	ts.Check(t.cmd.Start())
	go func() {
		_ = t.cmd.Wait() // its state says what became of it
		close(t.done)
	}()
	s.tasks[name] = t
	ts.Defer(t.kill)
	return t
}

// openInput leaves a program's standard input open for as long as it runs: a chat ends
// with its input.
func (t *task) openInput(ts *testscript.TestScript) {
	input, err := t.cmd.StdinPipe()
	ts.Check(err)
	ts.Defer(func() { _ = input.Close() })
	t.in = input
}

// tell is `tell NAME LINE`.
func tell(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "tell")
	need(ts, args, 2, 2, "tell NAME LINE")
	_, err := io.WriteString(taskOf(ts, args[0]).in, args[1]+"\n")
	ts.Check(err)
}

// environment is what the script's own commands get.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		env = append(env, name+"="+ts.Getenv(name))
	}
	for _, name := range []string{homeVariable, "HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR", "HUB", "TZ", "GORACE", "NATS_URL", "SENTINEL", "FROM"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

func (t *task) running() bool {
	select {
	case <-t.done:
		return false
	default:
		return true
	}
}

func (t *task) kill() {
	if t.running() {
		_ = t.cmd.Process.Kill() // it may have ended meanwhile
	}
	<-t.done
}

// interrupt asks it to end, as Ctrl-C does, and waits.
func (t *task) interrupt() error {
	if !t.running() {
		return fmt.Errorf("%s had ended by itself", t.name)
	}
	if err := t.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return t.wait()
}

func (t *task) wait() error {
	if eventually(func() bool { return !t.running() }) {
		return nil
	}
	t.kill()
	return fmt.Errorf("%s did not end", t.name)
}

func (t *task) output() string { return read(t.out) + read(t.err) }

func read(path string) string {
	data, _ := os.ReadFile(path) // not there yet is empty
	return string(data)
}

// startCommand is `start NAME COMMAND...`.
func startCommand(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "start")
	need(ts, args, 2, -1, "start NAME COMMAND...")
	launch(ts, args[0], args[1:])
}

// await is `await NAME PATTERN`.
func await(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "await")
	need(ts, args, 2, 2, "await NAME PATTERN")
	t := taskOf(ts, args[0])
	want := pattern(ts, args[1])
	seen := eventually(func() bool { return want.MatchString(t.output()) || !t.running() })
	if !seen || !want.MatchString(t.output()) {
		ts.Fatalf("%s never said %q; it said:\n%s", t.name, args[1], t.output())
	}
}

// capture is `capture VAR NAME PATTERN`.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "capture")
	need(ts, args, 3, 3, "capture VAR NAME PATTERN")
	t, want := taskOf(ts, args[1]), pattern(ts, args[2])
	var found []string
	eventually(func() bool {
		found = want.FindStringSubmatch(t.output())
		return found != nil || !t.running()
	})
	if len(found) < 2 {
		ts.Fatalf("%s never said %q; it said:\n%s", t.name, args[2], t.output())
	}
	ts.Setenv(args[0], found[1])
}

// finish is `finish [-kill] NAME [STATUS]`.
func finish(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "finish")
	killed := len(args) > 0 && args[0] == "-kill"
	if killed {
		args = args[1:]
	}
	need(ts, args, 1, 2, "finish [-kill] NAME [STATUS]")
	t := taskOf(ts, args[0])
	if killed {
		t.kill()
	} else {
		ts.Check(t.interrupt())
	}
	t.conclude(ts, args[1:], killed)
}

// ended is `ended NAME [STATUS]`.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "ended")
	need(ts, args, 1, 2, "ended NAME [STATUS]")
	t := taskOf(ts, args[0])
	if err := t.wait(); err != nil {
		ts.Fatalf("%v; it said:\n%s", err, t.output())
	}
	t.conclude(ts, args[1:], false)
}

// conclude checks how a task ended and makes its output the script's newest.
func (t *task) conclude(ts *testscript.TestScript, status []string, killed bool) {
	delete(stageOf(ts).tasks, t.name)
	_, _ = ts.Stdout().Write([]byte(read(t.out)))
	_, _ = ts.Stderr().Write([]byte(read(t.err)))
	want := 0
	if len(status) > 0 {
		var err error
		want, err = strconv.Atoi(status[0])
		ts.Check(err)
	}
	if got := t.cmd.ProcessState.ExitCode(); !killed && got != want {
		ts.Fatalf("%s ended with status %d, want %d:\n%s", t.name, got, want, t.output())
	}
}

func taskOf(ts *testscript.TestScript, name string) *task {
	t := stageOf(ts).tasks[name]
	if t == nil {
		ts.Fatalf("nothing called %s is running", name)
	}
	return t
}

// exits is `exits STATUS COMMAND...`.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "exits")
	need(ts, args, 2, -1, "exits STATUS COMMAND...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := status(ts, ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

func status(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Fatalf("run: %v", err)
	return -1
}

// until is `until [-within TIME] [!] COMMAND...`. What counts is when the run that brought it
// was begun, not how long it took.
func until(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "until")
	within := patience
	if len(args) > 1 && args[0] == "-within" {
		var err error
		within, err = time.ParseDuration(args[1])
		ts.Check(err)
		args = args[2:]
	}
	fails := len(args) > 0 && args[0] == "!"
	if fails {
		args = args[1:]
	}
	need(ts, args, 1, -1, "until [-within TIME] [!] COMMAND...")
	began, last := time.Now(), time.Duration(0)
	came := eventually(func() bool {
		last = time.Since(began)
		return (status(ts, ts.Exec(args[0], args[1:]...)) != 0) == fails
	})
	if !came || last > within {
		ts.Fatalf("it came to that after %s, not within %s", last, within)
	}
}
