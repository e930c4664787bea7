package throttle

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/recent"
)

// outcome is how a try ended.
type outcome string

const (
	allowed   outcome = "allowed"
	disproved outcome = "wrong"
	throttled outcome = "throttled"
)

// gate is a throttle with a clock of its own and one right password for everybody.
type gate struct {
	t     *testing.T
	now   time.Time
	asked int // how often the proof was looked at
	*Throttle
}

func newGate(t *testing.T, settings Settings) *gate {
	t.Helper()
	g := &gate{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	settings.Now = func() time.Time { return g.now }
	settings = settings.WithDefaults()
	if err := settings.Check(); err != nil {
		t.Fatal(err)
	}
	g.Throttle = New(settings)
	return g
}

// try is one login: how it ends, and whether anybody was asked.
func (g *gate) try(name, host string, right bool) outcome {
	guess := NewGuess("users", name, host)
	err := g.Look(guess)
	if err == nil {
		err = g.Begin(guess)
	}
	if err != nil {
		if !errors.Is(err, ErrTooSoon) {
			g.t.Error(err)
		}
		return throttled
	}
	g.asked++
	if !right {
		g.End(guess, ErrWrong)
		return disproved
	}
	g.End(guess, nil)
	return allowed
}

func (g *gate) want(outcome outcome, name, host string, right bool) {
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
	g := newGate(t, Settings{})
	g.want(allowed, "ada", home, true)
	for range 24 * 3600 { // a day, once a second
		g.try("ada", evil, false)
		g.now = g.now.Add(time.Second)
	}
	if g.asked > 1+5+6+24*60 {
		t.Errorf("%d passwords were tried in a day", g.asked)
	}
	g.want(throttled, "ada", evil, true) // not even the right one
	g.want(throttled, "ada", office, true)
	g.want(allowed, "ada", home, true) // who got in from there before
}

func TestTheDelayGrowsAndComingTooSoonDoesNotProlongIt(t *testing.T) {
	g := newGate(t, Settings{})
	for range 5 {
		g.want(disproved, "ada", evil, false)
	}
	for _, wait := range []time.Duration{1, 2, 4, 8, 16} {
		wait *= time.Second
		for range 20 {
			g.want(throttled, "ada", evil, false)
		}
		g.now = g.now.Add(wait - time.Millisecond)
		g.want(throttled, "ada", evil, false)
		g.now = g.now.Add(time.Millisecond)
		g.want(disproved, "ada", evil, false)
	}
	for range 30 {
		g.now = g.now.Add(time.Minute) // the longest
		g.want(disproved, "ada", evil, false)
	}
}

func TestOneNameFromManyAddressesIsSlow(t *testing.T) {
	g := newGate(t, Settings{})
	g.want(allowed, "ada", home, true)
	g.want(allowed, "bob", office, true)
	for i := range 10_000 {
		g.try("ada", fmt.Sprintf("10.0.%d.%d", i/256, i%256), false)
	}
	if g.asked > 2+6 {
		t.Errorf("%d passwords were tried at once", g.asked)
	}
	g.want(allowed, "ada", home, true)
	g.want(allowed, "bob", office, true)
	g.want(allowed, "bob", "10.0.0.1", true) // another name from an address of the attack
}

func TestManyNamesFromOneAddressAreSlow(t *testing.T) {
	g := newGate(t, Settings{})
	g.want(allowed, "ada", office, true)
	for i := range 10_000 {
		g.try(fmt.Sprintf("user%d", i), office, false)
	}
	if g.asked > 1+21 {
		t.Errorf("%d names were tried at once", g.asked)
	}
	g.want(throttled, "bob", office, true) // who was never there, and waits a while
	g.want(allowed, "ada", office, true)   // who was there before
	g.want(allowed, "bob", home, true)
	g.now = g.now.Add(time.Minute)
	g.want(allowed, "bob", office, true)
	g.want(allowed, "bob", office, true)
}

func TestSomebodyWhoWasThereIsHeldUpByTheirOwnWrongTriesAlone(t *testing.T) {
	g := newGate(t, Settings{})
	g.want(allowed, "ada", office, true)
	for range 5 {
		g.want(disproved, "ada", office, false)
	}
	g.want(throttled, "ada", office, true)
	g.now = g.now.Add(time.Second)
	g.want(allowed, "ada", office, true)
	for range 5 {
		g.want(disproved, "ada", office, false) // and they begin anew
	}
}

func TestALoginClearsItsNameAndNotItsAddress(t *testing.T) {
	g := newGate(t, Settings{})
	for range 4 {
		g.want(disproved, "ada", home, false)
	}
	g.want(allowed, "ada", home, true)
	for range 4 {
		g.want(disproved, "ada", office, false)
	}
	g.want(allowed, "ada", office, true)
	for i := range 21 { // an own account does not make an address trustworthy
		g.try(fmt.Sprintf("user%d", i), evil, false)
		g.try("mallory", evil, true)
	}
	g.want(throttled, "bob", evil, false)
}

func TestAnIPv6SubscriberIsOneAddress(t *testing.T) {
	g := newGate(t, Settings{})
	for i := range 1000 {
		g.try(fmt.Sprintf("user%d", i), fmt.Sprintf("2001:db8:0:1::%x", i), false)
	}
	if g.asked > 21 {
		t.Errorf("%d tries from one subscriber", g.asked)
	}
	g.want(disproved, "x", "2001:db8:0:2::1", false)
	if NewGuess("b", "n", "::ffff:192.0.2.1") != NewGuess("b", "n", "192.0.2.1") {
		t.Error("an IPv4 address in IPv6 form is another")
	}
	if NewGuess("b", "n", "fe80::1%eth0") != NewGuess("b", "n", "fe80::2%eth1") {
		t.Error("a zone makes another address")
	}
}

func TestWrongTriesAreForgottenWithTime(t *testing.T) {
	g := newGate(t, Settings{})
	for range 100 {
		g.try("ada", evil, false)
		g.now = g.now.Add(time.Second)
	}
	g.now = g.now.Add(24 * time.Hour)
	for range 5 {
		g.want(disproved, "ada", evil, false)
	}
}

func TestManyAtOnceTakeOneTurnOnceThereWereWrongOnes(t *testing.T) {
	g := newGate(t, Settings{})
	for range 5 {
		g.want(disproved, "ada", evil, false)
	}
	g.now = g.now.Add(time.Second)
	guess, begun := NewGuess("users", "ada", evil), 0
	for range 100 { // none has ended yet
		if g.Look(guess) == nil && g.Begin(guess) == nil {
			begun++
		}
	}
	if begun != 1 {
		t.Errorf("%d began at once", begun)
	}
}

func TestWhatIsNotAGuessIsNotHeldUp(t *testing.T) {
	g := newGate(t, Settings{})
	for range 100 {
		g.want(disproved, "", evil, false)  // nobody's secret
		g.want(disproved, "ada", "", false) // from inside the process
	}
	for _, err := range []error{errors.New("away"), fault.New(fault.Unavailable, "away"), fault.New(fault.Refused, "a right that ended")} {
		for range 100 {
			guess := NewGuess("users", "bob", evil)
			if held := errors.Join(g.Look(guess), g.Begin(guess)); held != nil {
				t.Fatalf("after %v: %v", err, held)
			}
			g.End(guess, err)
		}
	}
	off := newGate(t, Settings{Off: true})
	for range 100 {
		off.want(disproved, "ada", evil, false)
	}
}

func TestTheThrottlesMemoryIsBounded(t *testing.T) {
	g := newGate(t, Settings{Remember: 100})
	for i := range 1000 {
		g.try(fmt.Sprintf("user%d", i), fmt.Sprintf("10.1.%d.%d", i/256, i%256), i%2 == 0)
	}
	for _, r := range []*recent.Cache[uint64, *tries]{g.names, g.addresses, g.known} {
		if n := r.Len(); n > 100 {
			t.Errorf("%d are remembered", n)
		}
	}
}

func TestAThrottleWithoutSenseIsRefused(t *testing.T) {
	for _, settings := range []Settings{{NameTries: -1}, {AddressTries: -1}, {First: -1}, {First: time.Hour}, {Most: -1}, {Remember: -1}} {
		if settings.WithDefaults().Check() == nil {
			t.Errorf("taken: %+v", settings)
		}
	}
}
