package callout_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

// passwords is a backend of names and passwords: the password is the name backwards.
type passwords struct {
	callout.Backend
	asked atomic.Int32
}

func newPasswords(h *hall) *passwords {
	p := &passwords{}
	p.Backend = callout.Only("passwords", func(_ context.Context, r *callout.Request) (*callout.Grant, error) {
		p.asked.Add(1)
		want := []byte(r.User)
		slices.Reverse(want)
		if string(want) != r.Password.Reveal() {
			return nil, callout.Wrong("not the password")
		}
		return h.grant(newDevice(h.t).public), nil
	})
	return p
}

func (p *passwords) Guessed(r *callout.Request) string { return r.User }

func TestALoginEndsWithOneOutcome(t *testing.T) {
	h := newHall(t)
	var decisions journal
	cases := map[callout.Outcome]func(r *callout.Request) (*callout.Grant, error){
		callout.Allowed:   func(*callout.Request) (*callout.Grant, error) { return h.grant(newDevice(t).public), nil },
		callout.Refused:   func(*callout.Request) (*callout.Grant, error) { return nil, fault.New(fault.Refused, "no") },
		callout.Disproved: func(*callout.Request) (*callout.Grant, error) { return nil, callout.Wrong("no") },
		callout.Failed:    func(*callout.Request) (*callout.Grant, error) { return nil, fault.New(fault.Unavailable, "away") },
	}
	config := h.config(func(_ context.Context, r *callout.Request) (*callout.Grant, error) {
		return cases[callout.Outcome(r.User)](r)
	})
	config.Decided = decisions.add
	h.run(config)
	for outcome := range cases {
		if _, err := h.dial(nats.UserInfo(string(outcome), "")); (err == nil) != (outcome == callout.Allowed) {
			t.Errorf("%s: %v", outcome, err)
		}
		d := decisions.await(t, func(d callout.Decision) bool { return d.User == string(outcome) })
		if d.Outcome != outcome || d.Allowed != (outcome == callout.Allowed) || d.Backend != "test" || d.Duration < d.Waited || d.Waited < 0 {
			t.Errorf("%s: decision %+v", outcome, d)
		}
	}
}

func TestAGuesserIsHeldUpAndWhoWasThereIsNot(t *testing.T) {
	h := newHall(t)
	var decisions journal
	backend := newPasswords(h)
	config := h.config(nil)
	config.Backends = []callout.Backend{backend}
	config.Decided = decisions.add
	now := time.Now()
	config.Throttle = callout.Throttle{NameTries: 3, AddressTries: 6, Now: func() time.Time { return now }}
	h.run(config)
	h.mustEnterAs("ada", "ada") // the positive control: a password that reads alike both ways
	for i := range 20 {
		h.mustRefuse("a guess", nats.UserInfo("bob", fmt.Sprint(i)))
	}
	if asked := backend.asked.Load(); asked != 1+3 {
		t.Errorf("%d of 21 were looked at", asked)
	}
	h.mustRefuse("the right password too soon", nats.UserInfo("bob", "bob"))
	for i := range 20 {
		h.mustRefuse("another name", nats.UserInfo(fmt.Sprint("x", i), "wrong"))
	}
	if asked := backend.asked.Load(); asked != 1+3+3 {
		t.Errorf("%d of 42 were looked at", asked)
	}
	h.mustEnterAs("ada", "ada")
	const throttled = 17 + 1 + 17
	eventually(t, func() error {
		n := 0
		for _, d := range decisions.list() {
			if d.Outcome != callout.Throttled {
				continue
			}
			n++
			if d.Client.Host == "" || d.Backend != "passwords" || !strings.Contains(d.Reason, "too many wrong tries") {
				t.Errorf("decision %+v", d)
			}
		}
		if n != throttled {
			return fmt.Errorf("%d decisions tell of a try too soon, not %d", n, throttled)
		}
		return nil
	})
}

func (h *hall) mustEnterAs(user, password string) {
	h.t.Helper()
	if _, err := h.dial(nats.UserInfo(user, password)); err != nil {
		h.t.Errorf("%s: %v", user, err)
	}
}

func TestAServerWithAKnownHoleIsRefusedByName(t *testing.T) {
	h := newHall(t)
	var decisions journal
	config := h.config(h.byDevice)
	config.Decided = decisions.add
	config.CheckServer = func(s callout.Server) error {
		if s.Name == "" || callout.CheckServerVersion(s.Version) != nil {
			t.Errorf("server %+v", s)
		}
		return callout.CheckServerVersion("2.15.0")
	}
	h.run(config)
	ada := newDevice(t)
	h.mustRefuse("a login at an old server", ada.options(h, "rooms "+ada.public+" kitchen")...)
	d := decisions.await(t, func(callout.Decision) bool { return true })
	if d.Outcome != callout.Refused || !strings.Contains(d.Reason, d.Server.ID) || d.Server.ID == "" || !strings.Contains(d.Reason, "2.15.0") || d.Backend != "" {
		t.Errorf("decision %+v", d)
	}
}

// TestAReplayIsRefused: the same bytes twice, as an intruder at the subject could send them.
func TestAReplayIsRefused(t *testing.T) {
	h := newHall(t)
	var decisions journal
	config := h.config(func(context.Context, *callout.Request) (*callout.Grant, error) {
		return h.grant(newDevice(t).public, "kitchen"), nil
	})
	config.Decided = decisions.add
	h.run(config)
	nc, forged := h.stranger(), newForger(t, h)
	message := &nats.Msg{Subject: "ask", Data: forged.seal(t, forged.token(t, nil)), Header: forged.header(forged.xkey.public)}
	for i, want := range []callout.Outcome{callout.Allowed, callout.Malformed, callout.Malformed} {
		answer, err := nc.RequestMsg(message, natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		decisions.await(t, func(callout.Decision) bool { return len(decisions.list()) == i+1 })
		d := decisions.list()[i]
		if d.Outcome != want || (len(answer.Data) > 0) != d.Allowed || d.UserKey == "" {
			t.Errorf("time %d: answered %d bytes, decision %+v", i+1, len(answer.Data), d)
		}
	}
	if asked := len(decisions.list()); asked != 3 {
		t.Errorf("%d decisions", asked)
	}
	// Another request of the same server's is none.
	message.Data = forged.seal(t, forged.token(t, nil))
	if answer, err := nc.RequestMsg(message, natstest.Patience); err != nil || len(answer.Data) == 0 {
		t.Errorf("another request: %v, %v", answer, err)
	}
}

// TestReplacedBackendsFinishWhatTheyBegan: one login is under way, others are heard all the
// time, and none of them fails.
func TestReplacedBackendsFinishWhatTheyBegan(t *testing.T) {
	h := newHall(t)
	named := func(name string, wait <-chan struct{}) callout.Backend {
		return callout.Only(name, func(context.Context, *callout.Request) (*callout.Grant, error) {
			<-wait
			return h.grant(name), nil
		})
	}
	var decisions journal
	release, open := make(chan struct{}), make(chan struct{})
	close(open)
	config := h.config(nil)
	config.Backends, config.Decided, config.InFlight = []callout.Backend{named("first", release)}, decisions.add, 1
	engine := h.run(config)
	var old sync.WaitGroup
	for range 3 { // of which one is worked on, and two wait
		old.Go(func() { h.mustEnterAs("old", "") })
	}
	h.awaitHeard(engine, 3)
	if err := engine.Replace([]callout.Backend{named("second", open)}); err != nil {
		t.Fatal(err)
	}
	h.mustEnterAs("new", "")
	for i := range 20 {
		if err := engine.Replace([]callout.Backend{named(fmt.Sprint("next", i), open)}); err != nil {
			t.Fatal(err)
		}
		h.mustEnterAs("new", "")
	}
	close(release)
	old.Wait()
	decisions.await(t, func(callout.Decision) bool { return len(decisions.list()) == 24 })
	for _, d := range decisions.list() {
		if !d.Allowed || (d.User == "old") != (d.Backend == "first") || d.Name != d.Backend {
			t.Errorf("decision %+v", d)
		}
	}
	for _, none := range [][]callout.Backend{nil, {}, {nil}, {named("x", open), nil}} {
		if engine.Replace(none) == nil {
			t.Errorf("replaced by %v", none)
		}
	}
	h.mustEnterAs("still there", "")
}

// TestABackendThatHangsStallsNoOther, however many ask it.
func TestABackendThatHangsStallsNoOther(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := newHall(t)
	hangs := formBackend{callout.Only("hangs", func(ctx context.Context, _ *callout.Request) (*callout.Grant, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}), "hangs"}
	config := h.config(nil)
	config.Backends, config.InFlight = []callout.Backend{hangs, callout.Only("works", h.byDevice)}, 8
	engine := h.run(config)
	var stuck sync.WaitGroup
	defer stuck.Wait()
	for range 40 {
		stuck.Go(func() { _, _ = h.dial(nats.UserInfo("hangs", "")) })
	}
	h.awaitHeard(engine, 40)
	for range 10 {
		if _, err := newDevice(t).enter(h, "kitchen"); err != nil {
			t.Error(err)
		}
	}
}

// formBackend takes the logins of one user.
type formBackend struct {
	callout.Backend
	user string
}

func (f formBackend) Takes(r *callout.Request) bool { return r.User == f.user }

// awaitHeard waits until so many logins wait or are worked on.
func (h *hall) awaitHeard(engine *callout.Engine, logins int) {
	h.t.Helper()
	eventually(h.t, func() error {
		if n := engine.UnderWay(); n < logins {
			return fmt.Errorf("%d logins are under way", n)
		}
		return nil
	})
}
