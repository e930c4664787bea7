//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	stormClients = 10_000
	stormDialers = 64
	stormJitter  = 10 * time.Second // of the clients: by how much they spread themselves
	stormWait    = 2 * time.Second  // and by how much each waits at least: the callout comes first
	stormTime    = 3 * time.Minute  // in which all have to be back
)

// calloutStorm is the time after a restart of the server until 10,000 clients are back, each
// through the callout, beside as many with user JWTs of their own; and how many were refused.
// Both crowds have a server of their own, and come again and again.
func calloutStorm(ctx context.Context, s *stage) (results []Result, err error) {
	note(s.log, "callout-storm: %d × %d clients come back", s.runs, stormClients)
	ours, err := openStorm(ctx, s, "engine", calloutUser)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	plain, err := openStorm(ctx, s, "", "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.close()) }()
	values, err := turns(ctx, s.runs, ours.run, plain.run)
	if err != nil {
		return nil, err
	}
	const none = 0.5 // of a login
	return []Result{
		compared("callout-storm", "s", values[0], values[1], true, noLimit),
		bounded("callout-storm-refused", "logins", ours.refused, slices.Max(ours.refused), none),
	}, nil
}

// storm is a crowd of clients at a server, which is restarted under them.
type storm struct {
	stage   *stage
	company *company
	parts   []*process // the server, the crowd, and a callout
	refused []float64  // logins, by run
}

// openStorm starts a server, a callout of a kind if there is to be one, and the crowd.
func openStorm(ctx context.Context, s *stage, kind, user string) (st *storm, err error) {
	st = &storm{stage: s, parts: make([]*process, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.close())
		}
	}()
	if st.company, err = newCompany(s.path("storm-" + kind + ".json")); err != nil {
		return st, err
	}
	if st.parts[0], err = st.company.startServer(ctx, s); err != nil {
		return st, err
	}
	if kind != "" {
		service, err := st.company.startPart(ctx, s, calloutServiceCommand, kind, st.company.file)
		if err != nil {
			return st, err
		}
		st.parts = append(st.parts, service)
	}
	if st.parts[1], err = start(ctx, nil, s.self, crowdCommand, st.company.file, user); err == nil {
		_, err = st.parts[1].line(ctx)
	}
	return st, err
}

func (st *storm) close() error {
	var errs []error
	for _, part := range slices.Backward(st.parts) {
		if part != nil {
			errs = append(errs, part.stop())
		}
	}
	return errors.Join(errs...)
}

// run restarts the server, and is the time until all are back.
func (st *storm) run(ctx context.Context) (seconds float64, err error) {
	crowd := st.parts[1]
	if err := crowd.cmd.Process.Signal(syscall.SIGUSR1); err != nil { // from now on it counts
		return 0, err
	}
	if _, err := crowd.line(ctx); err != nil {
		return 0, err
	}
	if err := st.parts[0].stop(); err != nil {
		return 0, err
	}
	if st.parts[0], err = st.company.startServer(ctx, st.stage); err != nil {
		return 0, err
	}
	began := time.Now()
	text, err := crowd.line(ctx)
	if err != nil {
		return 0, err
	}
	seconds = time.Since(began).Seconds()
	refused, err := strconv.ParseFloat(text, 64)
	st.refused = append(st.refused, refused)
	return seconds, err
}

// line waits for what the program says next, for as long as a storm may take.
func (p *process) line(ctx context.Context) (string, error) {
	select {
	case line := <-p.lines:
		return line, nil
	case <-p.ended:
		return "", fmt.Errorf("%s ended: %w: %s", p.cmd.Path, p.err, p.errors.String())
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(stormTime):
		return "", fmt.Errorf("not all are back after %s", stormTime)
	}
}

// crowdCommand makes this program 10,000 clients of a company and nothing else. It says
// "here" when all are connected; then, at each SIGUSR1, "waiting", and when all have lost
// their connections and have come back, how many logins were refused on the way.
const crowdCommand = "callout-crowd"

func crowdMain(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bench callout-crowd FILE USER")
	}
	c, err := readCompany(args[0])
	if err != nil {
		return err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	var returned, refused atomic.Int64
	options := append(c.login(args[1]),
		nats.MaxReconnects(-1), nats.ReconnectWait(stormWait), nats.ReconnectJitter(stormJitter, stormJitter),
		nats.Timeout(companyPatience+10*time.Second), nats.IgnoreAuthErrorAbort(), nats.RetryOnFailedConnect(false),
		nats.ReconnectHandler(func(*nats.Conn) { returned.Add(1) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if strings.Contains(strings.ToLower(err.Error()), "authorization") || errors.Is(err, nats.ErrAuthorization) {
				refused.Add(1)
			}
		}))
	options = append(options, func(o *nats.Options) error { o.AllowReconnect = true; return nil })
	crowd, err := gather(ctx, c.url(), options)
	defer func() {
		for _, nc := range crowd {
			nc.Close()
		}
	}()
	if err != nil {
		return err
	}
	fmt.Println("here")
	for {
		select {
		case <-asked:
		case <-ctx.Done():
			return nil
		}
		returned.Store(0)
		refused.Store(0)
		fmt.Println("waiting")
		for returned.Load() < stormClients {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return nil
			}
		}
		fmt.Println(refused.Load())
	}
}

// gather connects the crowd.
func gather(ctx context.Context, url string, options []nats.Option) (crowd []*nats.Conn, err error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for range stormDialers {
		all.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				enough := len(crowd) >= stormClients || err != nil
				if !enough {
					crowd = append(crowd, nil)
				}
				at := len(crowd) - 1
				mu.Unlock()
				if enough {
					return
				}
				nc, failed := nats.Connect(url, options...)
				mu.Lock()
				crowd[at], err = nc, errors.Join(err, failed)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return crowd, errors.Join(err, ctx.Err())
}
