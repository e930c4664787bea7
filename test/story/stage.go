//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The addresses that the README names.
const (
	defaultHTTP = "localhost:8420"
	defaultNATS = "127.0.0.1:4222"
)

const (
	startTime = time.Minute // of the hub, which make run builds first
	stopTime  = 15 * time.Second
)

// stage is a place for the story: a home folder, a work folder in which bin and data stand
// as in a clone, and the hub's addresses.
type stage struct {
	repository string
	dir        string
	home, work string
	http, nats string
}

func newStage() (*stage, error) {
	repository, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "keyhall-story-")
	if err != nil {
		return nil, err
	}
	s := &stage{
		repository: repository, dir: dir, home: filepath.Join(dir, "home"), work: filepath.Join(dir, "work"),
		http: defaultHTTP, nats: defaultNATS,
	}
	err = errors.Join(
		os.Mkdir(s.home, 0o700), os.Mkdir(s.work, 0o700), film(filepath.Join(s.home, "Videos")),
		os.Symlink(filepath.Join(repository, "bin"), filepath.Join(s.work, "bin")),
		s.chooseAddresses(),
	)
	if err != nil {
		s.clear()
		return nil, err
	}
	return s, nil
}

func (s *stage) clear() { _ = os.RemoveAll(s.dir) }

// chooseAddresses takes the README's addresses, or free ones where those are in use.
func (s *stage) chooseAddresses() error {
	for _, address := range []*string{&s.http, &s.nats} {
		if listener, err := net.Listen("tcp", *address); err == nil {
			_ = listener.Close()
			continue
		}
		host, _, _ := net.SplitHostPort(*address)
		listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		_ = listener.Close()
		fmt.Printf("story: %s is in use; taking port %s instead\n", *address, port)
		*address = net.JoinHostPort(host, port)
	}
	return nil
}

// translate puts the hub's address into a block, where it is not the README's.
func (s *stage) translate(block string) string { return strings.ReplaceAll(block, defaultHTTP, s.http) }

// environment is what the story's programs see: the hub's settings for make run, a home of
// their own for the people.
func (s *stage) environment(dir string) []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "KEYHALL_") && !strings.HasPrefix(entry, "MAKE") {
			env = append(env, entry)
		}
	}
	if dir == s.repository {
		return append(env, "HUB_DATA="+filepath.Join(s.work, "data"), "HUB_HTTP="+s.http, "HUB_NATS="+s.nats)
	}
	return append(env, "HOME="+s.home)
}

// process is a shell that runs a block, with everything that it starts.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    string
	exited chan error
}

// start runs a block in a shell that stops at the first failure.
func (s *stage) start(_ context.Context, name, block, dir string) (*process, error) {
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the shell has its own
	// Not CommandContext: it would end the shell and leave what the shell started.
	cmd := exec.Command("bash", "-v", "-eu", "-o", "pipefail", "-c", block)
	cmd.Dir, cmd.Env = dir, s.environment(dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: log.Name(), exited: make(chan error, 1)}
	go func() { p.exited <- cmd.Wait() }()
	return p, nil
}

// wait waits for the shell's end.
func (p *process) wait(ctx context.Context) error {
	select {
	case err := <-p.exited:
		p.exited <- err
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kill ends the shell and all that it started: they are one process group.
func (p *process) kill() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// stop asks for an end, as a service manager does, and checks that it comes.
func (p *process) stop() error {
	defer p.kill()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if errors.Is(p.wait(ctx), context.DeadlineExceeded) {
		return fmt.Errorf("the %s does not stop when it is asked to", p.name)
	}
	return nil
}

func (p *process) output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// ready waits until the hub answers.
func (s *stage) ready(ctx context.Context, hub *process) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if response, err := http.Get("http://" + s.http + "/"); err == nil {
			_ = response.Body.Close()
			return nil
		}
		select {
		case err := <-hub.exited:
			hub.exited <- err
			return fmt.Errorf("the hub did not start (%v):\n%s", err, hub.output())
		case <-ctx.Done():
			return fmt.Errorf("the hub does not answer at %s:\n%s", s.http, hub.output())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
