package callout

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

// gate is a throttle with a clock of its own and one right password for everybody.
type gate struct {
	t     *testing.T
	now   time.Time
	asked int // how often the proof was looked at
	*throttle
}

func newGate(t *testing.T, settings Throttle) *gate {
	t.Helper()
	g := &gate{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	settings.Now = func() time.Time { return g.now }
	settings = settings.withDefaults()
	if err := settings.check(); err != nil {
		t.Fatal(err)
	}
	g.throttle = newThrottle(settings)
	return g
}

// try is one login: how it ends, and whether anybody was asked.
func (g *gate) try(name, host string, right bool) Outcome {
	guess := newGuess("users", name, host)
	err := g.look(guess)
	if err == nil {
		err = g.begin(guess)
	}
	if err != nil {
		return outcomeOf(err)
	}
	g.asked++
	if !right {
		g.end(guess, Wrong("no"))
		return Disproved
	}
	g.end(guess, nil)
	return Allowed
}

func (g *gate) want(outcome Outcome, name, host string, right bool) {
	g.t.Helper()
	if got := g.try(name, host, right); got != outcome {
		g.t.Errorf("%s from %s: %s, want %s", name, host, got, outcome)
	}
}

const (
	home   = "192.0.2.1"
	office = "198.51.100.7"
	evil   = "203.0.113.9"
)

func TestGuessingANameIsSlow(t *testing.T) {
	g := newGate(t, Throttle{})
	g.want(Allowed, "ada", home, true)
	for range 24 * 3600 { // a day, once a second
		g.try("ada", evil, false)
		g.now = g.now.Add(time.Second)
	}
	if g.asked > 1+5+6+24*60 {
		t.Errorf("%d passwords were tried in a day", g.asked)
	}
	g.want(Throttled, "ada", evil, true) // not even the right one
	g.want(Throttled, "ada", office, true)
	g.want(Allowed, "ada", home, true) // who got in from there before
}

func TestTheDelayGrowsAndComingTooSoonDoesNotProlongIt(t *testing.T) {
	g := newGate(t, Throttle{})
	for range 5 {
		g.want(Disproved, "ada", evil, false)
	}
	for _, wait := range []time.Duration{1, 2, 4, 8, 16} {
		wait *= time.Second
		for range 20 {
			g.want(Throttled, "ada", evil, false)
		}
		g.now = g.now.Add(wait - time.Millisecond)
		g.want(Throttled, "ada", evil, false)
		g.now = g.now.Add(time.Millisecond)
		g.want(Disproved, "ada", evil, false)
	}
	for range 30 {
		g.now = g.now.Add(time.Minute) // the longest
		g.want(Disproved, "ada", evil, false)
	}
}

func TestOneNameFromManyAddressesIsSlow(t *testing.T) {
	g := newGate(t, Throttle{})
	g.want(Allowed, "ada", home, true)
	g.want(Allowed, "bob", office, true)
	for i := range 10_000 {
		g.try("ada", fmt.Sprintf("10.0.%d.%d", i/256, i%256), false)
	}
	if g.asked > 2+6 {
		t.Errorf("%d passwords were tried at once", g.asked)
	}
	g.want(Allowed, "ada", home, true)
	g.want(Allowed, "bob", office, true)
	g.want(Allowed, "bob", "10.0.0.1", true) // another name from an address of the attack
}

func TestManyNamesFromOneAddressAreSlow(t *testing.T) {
	g := newGate(t, Throttle{})
	g.want(Allowed, "ada", office, true)
	for i := range 10_000 {
		g.try(fmt.Sprintf("user%d", i), office, false)
	}
	if g.asked > 1+21 {
		t.Errorf("%d names were tried at once", g.asked)
	}
	g.want(Throttled, "bob", office, true) // who was never there, and waits a while
	g.want(Allowed, "ada", office, true)   // who was there before
	g.want(Allowed, "bob", home, true)
	g.now = g.now.Add(time.Minute)
	g.want(Allowed, "bob", office, true)
	g.want(Allowed, "bob", office, true)
}

func TestSomebodyWhoWasThereIsHeldUpByTheirOwnWrongTriesAlone(t *testing.T) {
	g := newGate(t, Throttle{})
	g.want(Allowed, "ada", office, true)
	for range 5 {
		g.want(Disproved, "ada", office, false)
	}
	g.want(Throttled, "ada", office, true)
	g.now = g.now.Add(time.Second)
	g.want(Allowed, "ada", office, true)
	for range 5 {
		g.want(Disproved, "ada", office, false) // and they begin anew
	}
}

func TestALoginClearsItsNameAndNotItsAddress(t *testing.T) {
	g := newGate(t, Throttle{})
	for range 4 {
		g.want(Disproved, "ada", home, false)
	}
	g.want(Allowed, "ada", home, true)
	for range 4 {
		g.want(Disproved, "ada", office, false)
	}
	g.want(Allowed, "ada", office, true)
	for i := range 21 { // an own account does not make an address trustworthy
		g.try(fmt.Sprintf("user%d", i), evil, false)
		g.try("mallory", evil, true)
	}
	g.want(Throttled, "bob", evil, false)
}

func TestAnIPv6SubscriberIsOneAddress(t *testing.T) {
	g := newGate(t, Throttle{})
	for i := range 1000 {
		g.try(fmt.Sprintf("user%d", i), fmt.Sprintf("2001:db8:0:1::%x", i), false)
	}
	if g.asked > 21 {
		t.Errorf("%d tries from one subscriber", g.asked)
	}
	g.want(Disproved, "x", "2001:db8:0:2::1", false)
	if newGuess("b", "n", "::ffff:192.0.2.1") != newGuess("b", "n", "192.0.2.1") {
		t.Error("an IPv4 address in IPv6 form is another")
	}
	if newGuess("b", "n", "fe80::1%eth0") != newGuess("b", "n", "fe80::2%eth1") {
		t.Error("a zone makes another address")
	}
}

func TestWrongTriesAreForgottenWithTime(t *testing.T) {
	g := newGate(t, Throttle{})
	for range 100 {
		g.try("ada", evil, false)
		g.now = g.now.Add(time.Second)
	}
	g.now = g.now.Add(24 * time.Hour)
	for range 5 {
		g.want(Disproved, "ada", evil, false)
	}
}

func TestManyAtOnceTakeOneTurnOnceThereWereWrongOnes(t *testing.T) {
	g := newGate(t, Throttle{})
	for range 5 {
		g.want(Disproved, "ada", evil, false)
	}
	g.now = g.now.Add(time.Second)
	guess, begun := newGuess("users", "ada", evil), 0
	for range 100 { // none has ended yet
		if g.look(guess) == nil && g.begin(guess) == nil {
			begun++
		}
	}
	if begun != 1 {
		t.Errorf("%d began at once", begun)
	}
}

func TestWhatIsNotAGuessIsNotHeldUp(t *testing.T) {
	g := newGate(t, Throttle{})
	for range 100 {
		g.want(Disproved, "", evil, false)  // nobody's secret
		g.want(Disproved, "ada", "", false) // from inside the process
	}
	for _, err := range []error{errors.New("away"), fault.New(fault.Unavailable, "away"), fault.New(fault.Refused, "a right that ended")} {
		for range 100 {
			guess := newGuess("users", "bob", evil)
			if held := errors.Join(g.look(guess), g.begin(guess)); held != nil {
				t.Fatalf("after %v: %v", err, held)
			}
			g.end(guess, err)
		}
	}
	off := newGate(t, Throttle{Off: true})
	for range 100 {
		off.want(Disproved, "ada", evil, false)
	}
}

func TestTheThrottlesMemoryIsBounded(t *testing.T) {
	g := newGate(t, Throttle{Remember: 100})
	for i := range 1000 {
		g.try(fmt.Sprintf("user%d", i), fmt.Sprintf("10.1.%d.%d", i/256, i%256), i%2 == 0)
	}
	for _, r := range []*recent[uint64, *tries]{g.names, g.addresses, g.known} {
		if n := r.order.Len(); n > 100 || n != len(r.by) {
			t.Errorf("%d of %d are remembered", n, len(r.by))
		}
	}
}

func TestAThrottleWithoutSenseIsRefused(t *testing.T) {
	for _, settings := range []Throttle{{NameTries: -1}, {AddressTries: -1}, {First: -1}, {First: time.Hour}, {Most: -1}, {Remember: -1}} {
		if settings.withDefaults().check() == nil {
			t.Errorf("taken: %+v", settings)
		}
	}
}
