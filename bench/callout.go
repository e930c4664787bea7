//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/argon2"
	"golang.org/x/sys/unix"
)

const (
	connectFloor  = 0.5
	slowFloor     = 0.85
	cpuFloor      = 1.25
	passwordFloor = 0.85

	dialers      = 64
	connects     = 1500 // of a run
	cpuDialers   = 16
	cpuConnects  = 1000
	passwords    = 48 // of a run
	passwordSpan = 16 // dialers
)

// calloutConnect is how many clients a second get in at 64 parallel dialers: through the
// callout, encrypted, beside the same clients with user JWTs of their own; and through a
// backend that takes 20 ms beside one that takes none.
func calloutConnect(ctx context.Context, s *stage) (results []Result, err error) {
	note(s.log, "callout-connect, callout-slow: %d × %d logins by %d at a time", s.runs, connects, dialers)
	c, leave, err := openCompany(ctx, s, "engine")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	latencies := make(map[string]*quantiles)
	through := func(name string) side {
		latencies[name] = &quantiles{}
		return func(ctx context.Context) (float64, error) {
			rate, took, err := c.connectAll(ctx, connects, dialers, name)
			latencies[name].add(took)
			return rate, err
		}
	}
	values, err := turns(ctx, s.runs, through(calloutUser), through(""), through(calloutSlow), through(calloutSentinel))
	if err != nil {
		return nil, err
	}
	ours, plain := latencies[calloutUser], latencies[""]
	return []Result{
		compared("callout-connect", "1/s", values[0], values[1], false, connectFloor),
		compared("callout-connect-p50", "ms", ours.p50, plain.p50, true, noLimit),
		compared("callout-connect-p99", "ms", ours.p99, plain.p99, true, noLimit),
		compared("callout-connect-sentinel", "1/s", values[3], values[1], false, noLimit),
		compared("callout-slow", "1/s", values[2], values[0], false, slowFloor),
	}, nil
}

// quantiles are those of the runs of one side, in milliseconds.
type quantiles struct{ p50, p99 []float64 }

func (q *quantiles) add(took []float64) {
	if len(took) > 0 {
		q.p50, q.p99 = append(q.p50, quantile(took, 0.5)), append(q.p99, quantile(took, 0.99))
	}
}

// openCompany starts a company's server and a callout of a kind.
func openCompany(ctx context.Context, s *stage, kind string) (c *company, leave func() error, err error) {
	c, _, leave, err = openCompanyOf(ctx, s, kind)
	return c, leave, err
}

func openCompanyOf(ctx context.Context, s *stage, kind string) (*company, *process, func() error, error) {
	c, err := newCompany(s.path("callout-" + kind + ".json"))
	if err != nil {
		return nil, nil, nil, err
	}
	server, err := c.startServer(ctx, s)
	if err != nil {
		return nil, nil, nil, err
	}
	service, err := c.startPart(ctx, s, calloutServiceCommand, kind, c.file)
	if err != nil {
		return nil, nil, nil, errors.Join(err, server.stop())
	}
	return c, service, func() error { return errors.Join(service.stop(), server.stop()) }, nil
}

// connectAll lets clients log in and leave, and says how many a second did, and how many
// milliseconds each took. One that is refused ends it.
func (c *company) connectAll(ctx context.Context, count, atATime int, name string) (rate float64, took []float64, err error) {
	var all sync.WaitGroup
	var next atomic.Int64
	took = make([]float64, count)
	errs := make([]error, atATime)
	began := time.Now()
	for i := range atATime {
		all.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= count {
					return
				}
				dialed := time.Now()
				nc, err := nats.Connect(c.url(), c.login(name)...)
				if err != nil {
					errs[i] = fmt.Errorf("login of %q: %w", name, err)
					return
				}
				took[n] = time.Since(dialed).Seconds() * 1000
				nc.Close()
			}
		})
	}
	all.Wait()
	return float64(count) / time.Since(began).Seconds(), took, errors.Join(append(errs, ctx.Err())...)
}

// calloutCPU is the processor time of the whole callout process for one login: ours beside
// one that is written with the libraries alone and answers one request after the other.
func calloutCPU(ctx context.Context, s *stage) (results []Result, err error) {
	note(s.log, "callout-cpu: %d × %d logins", s.runs, cpuConnects)
	ours, oursProcess, leave, err := openCompanyOf(ctx, s, "engine")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	plain, plainProcess, leavePlain, err := openCompanyOf(ctx, s, "plain")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leavePlain()) }()
	costs := func(c *company, callout *process) side {
		return func(ctx context.Context) (float64, error) {
			before, err := processorTimeOf(callout.cmd.Process.Pid)
			if err != nil {
				return 0, err
			}
			if _, _, err := c.connectAll(ctx, cpuConnects, cpuDialers, calloutUser); err != nil {
				return 0, err
			}
			after, err := processorTimeOf(callout.cmd.Process.Pid)
			return float64((after - before).Microseconds()) / cpuConnects, err
		}
	}
	values, err := turns(ctx, s.runs, costs(ours, oursProcess), costs(plain, plainProcess))
	if err != nil {
		return nil, err
	}
	return []Result{compared("callout-cpu", "µs", values[0], values[1], true, cpuFloor)}, nil
}

// processorTimeOf is what another process has used: the number of its clock is made of its
// own as clock_getcpuclockid(3) does.
func processorTimeOf(pid int) (time.Duration, error) {
	const scheduled = 2
	var used unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|scheduled), &used) //nolint:gosec // pids are smaller
	return time.Duration(used.Nano()), err
}

// calloutPasswords is how many logins with a password a second get in, beside as many
// hashes of passwords, at the same cost and on all processors, and nothing else.
func calloutPasswords(ctx context.Context, s *stage) (results []Result, err error) {
	note(s.log, "callout-password: %d × %d passwords", s.runs, passwords)
	c, leave, err := openCompany(ctx, s, "users")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	values, err := turns(ctx, s.runs,
		func(ctx context.Context) (float64, error) {
			rate, _, err := c.connectAll(ctx, passwords, passwordSpan, calloutUser)
			return rate, err
		},
		func(context.Context) (float64, error) { return hashAll(), nil })
	if err != nil {
		return nil, err
	}
	return []Result{compared("callout-password", "1/s", values[0], values[1], false, passwordFloor)}, nil
}

// hashAll hashes as many passwords as a run has, at the cost of keyhall callout passwd: 64
// MiB, three passes, one lane.
func hashAll() float64 {
	var all sync.WaitGroup
	var next atomic.Int64
	salt := make([]byte, 16)
	_, _ = rand.Read(salt)
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for next.Add(1) <= passwords {
				_ = argon2.IDKey([]byte(calloutPassword), salt, 3, 64<<10, 1, 32)
			}
		})
	}
	all.Wait()
	return passwords / time.Since(began).Seconds()
}
