package callout_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/natstest"
)

// replica is one of several engines of a company's, at one of its servers.
type replica struct {
	*callout.Engine
	nc      *nats.Conn
	decided atomic.Int32
	hangs   atomic.Bool // from now on, with what it works on
}

func startReplica(t *testing.T, company *natstest.Company, at string) *replica {
	t.Helper()
	r := &replica{}
	var err error
	r.nc, err = nats.Connect(at, nats.UserCredentials(company.Path("auth.creds")), nats.NoReconnect(), nats.Timeout(natstest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.nc.Close)
	r.Engine, err = callout.Start(callout.Config{
		Conn: r.nc, Account: company.AUTH.ID, Issuer: company.AUTH.Identity, XKey: company.XKey, Logger: slog.New(slog.DiscardHandler),
		Backends: []callout.Backend{callout.Only("test", func(ctx context.Context, _ *callout.Request) (*callout.Grant, error) {
			time.Sleep(10 * time.Millisecond) // work, so that some of it is under way at any time
			if r.hangs.Load() {
				<-ctx.Done()
			}
			return &callout.Grant{
				Account: company.APP1.ID, Signer: company.APP1.Signer, Name: "ada", Expires: time.Now().Add(time.Hour),
			}, nil
		})},
		Decided: func(d callout.Decision) {
			if d.Allowed {
				r.decided.Add(1)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// crowd lets people log in at all servers until stop, each again and again. It tells how
// often each got in and how often nobody answered; whoever is not let in asks again, at most
// five times.
type crowd struct {
	people sync.WaitGroup
	stop   atomic.Bool
	in     [6]atomic.Int32
	again  atomic.Int32
}

func (c *crowd) start(t *testing.T, company *natstest.Company) {
	urls := strings.Split(company.URL(), ",")
	for i := range c.in {
		c.people.Go(func() {
			for !c.stop.Load() {
				if err := c.enter(urls[i%len(urls)], company.BearerSentinel); err != nil {
					t.Errorf("somebody is lost: %v", err)
					return
				}
				c.in[i].Add(1)
			}
		})
	}
}

func (c *crowd) enter(url, sentinel string) (err error) {
	for range 5 {
		var nc *nats.Conn
		nc, err = nats.Connect(url, nats.UserJWT(func() (string, error) { return sentinel, nil }, func([]byte) ([]byte, error) { return nil, nil }),
			nats.NoReconnect(), nats.IgnoreDiscoveredServers(), nats.Timeout(natstest.Patience))
		if err == nil {
			nc.Close()
			return nil
		}
		c.again.Add(1)
	}
	return fmt.Errorf("after five times: %w", err)
}

// more waits until everybody has got in so many times more.
func (c *crowd) more(t *testing.T, logins int32) {
	t.Helper()
	var before [len(c.in)]int32
	for i := range c.in {
		before[i] = c.in[i].Load()
	}
	for i := range c.in {
		natstest.Eventually(t, fmt.Sprint(logins, " more logins"), func() bool { return c.in[i].Load() >= before[i]+logins })
	}
}

// TestReplicasLoseNobody: of two engines in a cluster of three servers one is cut off in the
// middle of its work; who had no answer asks again and gets in. Then another comes, and one
// that closes in order makes nobody ask twice.
func TestReplicasLoseNobody(t *testing.T) {
	t.Parallel() // it waits most of the time
	company := natstest.StartCompany(t, natstest.CompanyOptions{
		Servers: 3, Server: func(options *server.Options) { options.AuthTimeout = 6 },
	})
	urls := strings.Split(company.URL(), ",")
	first, second := startReplica(t, company, urls[0]), startReplica(t, company, urls[1])
	company.AwaitInterest("$SYS.REQ.USER.AUTH")
	var people crowd
	people.start(t, company)
	defer people.people.Wait()
	defer people.stop.Store(true)
	people.more(t, 3)
	natstest.Eventually(t, "both have answered", func() bool { return first.decided.Load() > 0 && second.decided.Load() > 0 })

	first.hangs.Store(true)
	natstest.Eventually(t, "the first has work", func() bool { return first.UnderWay() > 0 })
	first.nc.Close() // as a process that dies: what it works on has no answer
	people.more(t, 3)
	lost := people.again.Load()
	if lost == 0 {
		t.Error("nobody was without an answer: the test says nothing")
	}
	third := startReplica(t, company, urls[2])
	people.more(t, 3)
	natstest.Eventually(t, "the third has answered", func() bool { return third.decided.Load() > 0 })
	if err := second.Close(natstest.Within(t)); err != nil {
		t.Error(err)
	}
	people.more(t, 3)
	if more := people.again.Load(); more != lost {
		t.Errorf("%d had to ask again though no engine had died", more-lost)
	}
}
