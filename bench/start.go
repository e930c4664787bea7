//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	startLimit = 1               // seconds
	idleLimit  = 60              // MB
	idleAfter  = 3 * time.Second // since the start: what it took has been given back or not
	pollEvery  = time.Millisecond
)

// coldStart is the time from keyhall up to the first connection that both ports accept, on a
// new folder and on one that is there, and the memory of the hub that then has nothing to do.
func coldStart(ctx context.Context, s *stage) ([]Result, error) {
	note(s.log, "cold-start, hub-idle: starting hubs")
	data := s.path("cold")
	var first, again, resident []float64
	for range s.runs {
		if err := os.RemoveAll(data); err != nil {
			return nil, err
		}
		took, _, err := startHub(ctx, s, data, 0)
		if err != nil {
			return nil, err
		}
		first = append(first, took)
		took, memory, err := startHub(ctx, s, data, idleAfter)
		if err != nil {
			return nil, err
		}
		again, resident = append(again, took), append(resident, memory)
	}
	return []Result{
		bounded("cold-start", "s", first, median(first), startLimit),
		bounded("cold-start-again", "s", again, median(again), startLimit),
		bounded("hub-idle", "MB", resident, median(resident), idleLimit),
	}, nil
}

// startHub starts a hub, waits until it is ready and idle for so long, and stops it.
func startHub(ctx context.Context, s *stage, data string, idle time.Duration) (seconds, resident float64, err error) {
	httpPort, natsPort, err := freePorts()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	hub, err := start(ctx, nil, s.binary, upArgs(data, httpPort, natsPort)...)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, hub.stop()) }()
	if err := accepted(ctx, hub, httpPort, natsPort); err != nil {
		return 0, 0, err
	}
	seconds = time.Since(began).Seconds()
	if _, err := hub.firstLine(ctx); err != nil { // only then it is to be stopped
		return 0, 0, err
	}
	select {
	case <-time.After(idle):
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	resident, err = memory(hub.cmd.Process.Pid, "VmRSS")
	return seconds, resident, err
}

// freePorts are two addresses on which nobody listens.
func freePorts() (first, second string, err error) {
	var addresses [2]string
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer listener.Close() //nolint:errcheck // it has no other use
		addresses[i] = listener.Addr().String()
	}
	return addresses[0], addresses[1], nil
}

// accepted waits until the NATS port greets and the HTTP origin serves its page.
func accepted(ctx context.Context, hub *process, httpPort, natsPort string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for _, ready := range []func() error{
		func() error { return greeted(natsPort) },
		func() error { return served(ctx, httpPort) },
	} {
		for ready() != nil {
			select {
			case <-hub.ended:
				return fmt.Errorf("the hub ended: %w: %s", hub.err, hub.errors.String())
			case <-ctx.Done():
				return fmt.Errorf("the hub accepts nobody: %w", ctx.Err())
			case <-time.After(pollEvery):
			}
		}
	}
	return nil
}

func greeted(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "INFO ") {
		err = fmt.Errorf("no NATS server at %s", address)
	}
	return err
}

func served(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the hub answers %s", response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
