//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	stopTime    = 15 * time.Second      // to end when asked to; then it is killed
	startTime   = 30 * time.Second      // to say the first line
	memoryEvery = 20 * time.Millisecond // the peak is read this often: it is gone with the process
)

// process is a program that was started and will be ended.
type process struct {
	cmd    *exec.Cmd
	lines  chan string // what it prints, as long as somebody receives
	errors bytes.Buffer
	ended  chan struct{}
	err    error
}

// start starts a program in the background. It ends with stop, or with ctx.
func start(ctx context.Context, env []string, name string, args ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{cmd: command(ctx, env, name, args...), lines: make(chan string, 1), ended: make(chan struct{})}
	p.cmd.Stderr = &p.errors
	output, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer cancel()
		p.pass(output)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// command is a program that is asked to end when ctx ends, and killed if it does not.
func command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	return cmd
}

// pass hands the first lines over and drops the rest.
func (p *process) pass(output io.Reader) {
	for lines := bufio.NewScanner(output); lines.Scan(); {
		select {
		case p.lines <- lines.Text():
		default:
		}
	}
}

// firstLine waits for what the program says first.
func (p *process) firstLine(ctx context.Context) (string, error) {
	select {
	case line := <-p.lines:
		return line, nil
	case <-p.ended:
		return "", fmt.Errorf("%s ended: %w: %s", p.cmd.Path, p.err, p.errors.String())
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(startTime):
		return "", fmt.Errorf("%s says nothing", p.cmd.Path)
	}
}

// stop asks the program to end and waits until it has.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		return errors.Join(fmt.Errorf("%s does not end when asked to", p.cmd.Path), p.cmd.Process.Kill())
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) && exit.ExitCode() == -1 {
		return nil // ended by the signal
	}
	if p.err != nil {
		return fmt.Errorf("%s ended: %w: %s", p.cmd.Path, p.err, p.errors.String())
	}
	return nil
}

// finished is a program that has run to its end.
type finished struct {
	output string
	took   time.Duration
	peak   float64 // of its memory, in MB
}

// finish runs a program to its end.
func finish(ctx context.Context, env []string, name string, args ...string) (*finished, error) {
	cmd := command(ctx, env, name, args...)
	var output, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &problems
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done, peak := make(chan struct{}), make(chan float64)
	go watchPeak(cmd.Process.Pid, done, peak)
	err := cmd.Wait()
	took := time.Since(began)
	close(done)
	result := &finished{output: output.String(), took: took, peak: <-peak}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, problems.String())
	}
	return result, nil
}

// watchPeak follows a process's peak memory until done. The peak can only grow, and what is
// read last is at most memoryEvery old when the process ends.
func watchPeak(pid int, done <-chan struct{}, peak chan<- float64) {
	highest := 0.0
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	for {
		if now, err := memory(pid, "VmHWM"); err == nil {
			highest = max(highest, now)
		}
		select {
		case <-done:
			peak <- highest
			return
		case <-ticker.C:
		}
	}
}

// memory is a figure of /proc/PID/status, in MB: VmHWM, the peak of resident memory, or
// VmRSS, what is resident now.
func memory(pid int, field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if name != field {
			continue
		}
		kibibytes, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		return kibibytes * 1024 / mega, err
	}
	return 0, fmt.Errorf("process %d has no %s", pid, field)
}
