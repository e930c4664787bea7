package signin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

// clock is a time that tests set.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func TestAChallengeIsTakenOnceForItsPurposeAndForTwoMinutes(t *testing.T) {
	c := newClock()
	tickets := newTickets(c.read)
	good := tickets.challenge("session")
	if err := tickets.check("session", good[:]); err != nil {
		t.Fatal(err)
	}
	if tickets.check("passkey", good[:]) == nil || tickets.check("session", good[:31]) == nil {
		t.Error("it is good for something else, or in part")
	}
	for at := range good {
		changed := good
		changed[at] ^= 1
		if tickets.check("session", changed[:]) == nil {
			t.Errorf("byte %d can be another", at)
		}
	}
	if newTickets(c.read).check("session", good[:]) == nil {
		t.Error("another hub takes it")
	}
	if tickets.use(good[:]) != nil || !fault.Is(tickets.use(good[:]), fault.Expired) {
		t.Error("it is not taken once")
	}
	late := tickets.challenge("session")
	c.now = c.now.Add(challengeLife)
	if err := tickets.check("session", late[:]); err != nil {
		t.Errorf("at the end of its time: %v", err)
	}
	c.now = c.now.Add(time.Millisecond)
	if !fault.Is(tickets.check("session", late[:]), fault.Expired) {
		t.Error("it is good after its time")
	}
	fresh := tickets.challenge("session")
	c.now = c.now.Add(-time.Hour)
	if tickets.check("session", fresh[:]) == nil {
		t.Error("one of tomorrow is good")
	}
	c.now = c.now.Add(2 * time.Hour)
	if err := tickets.use(tickets.made("session")); err != nil || len(tickets.used) != 1 {
		t.Errorf("%d are remembered for ever, %v", len(tickets.used), err)
	}
}

// made is a challenge as bytes.
func (t *tickets) made(purpose string) []byte {
	c := t.challenge(purpose)
	return c[:]
}

func TestALinkIsForTenMinutesFromWhenSomebodyAsked(t *testing.T) {
	c := newClock()
	l := newLinks(c.read)
	if err := l.respond("a", []byte("answer")); !fault.Is(err, fault.Expired) {
		t.Errorf("an answer to nothing: %v", err)
	}
	if err := l.put("a", []byte("ask"), "home"); err != nil {
		t.Fatal(err)
	}
	if err := l.put("a", []byte("other"), "evil"); !fault.Is(err, fault.Taken) {
		t.Errorf("a second asker: %v", err)
	}
	if got := l.asked(t.Context(), "a"); string(got) != "ask" {
		t.Errorf("it is asked %q", got)
	}
	c.now = c.now.Add(linkLife - time.Second)
	if err := l.respond("a", []byte("answer")); err != nil {
		t.Fatal(err)
	}
	if err := l.respond("a", []byte("another")); !fault.Is(err, fault.Taken) {
		t.Errorf("a second answer: %v", err)
	}
	if got, err := l.await(t.Context(), "a"); err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
	c.now = c.now.Add(time.Second)
	if _, err := l.await(t.Context(), "a"); !fault.Is(err, fault.Expired) {
		t.Errorf("after its time: %v", err)
	}
	if err := l.respond("a", []byte("answer")); !fault.Is(err, fault.Expired) {
		t.Errorf("an answer after its time: %v", err)
	}
	if err := l.put("a", []byte("ask"), "home"); err != nil {
		t.Errorf("the same code again: %v", err)
	}
}

// TestNobodyTakesAllPlacesOfLinks: a customer has as many IPv6 networks as there are places.
func TestNobodyTakesAllPlacesOfLinks(t *testing.T) {
	c := newClock()
	l := newLinks(c.read)
	if err := l.put("alice", []byte("ask"), "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(time.Second)
	const site = "2001:db8:1::/48"
	for i := range maxLinks - 1 {
		l.places[fmt.Sprint(i)] = &place{from: fmt.Sprintf("2001:db8:1:%x::", i), site: site, until: c.now.Add(linkLife)}
	}
	c.now = c.now.Add(time.Second)
	for i := range 20 {
		if err := l.put(fmt.Sprint("more", i), []byte("x"), fmt.Sprintf("2001:db8:1:f%03x::", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.put("bob", []byte("ask"), "2001:db8:2::"); err != nil {
		t.Errorf("bob cannot link: %v", err)
	}
	for _, id := range []string{"alice", "bob", "more19"} {
		if err := l.respond(id, []byte("answer")); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if len(l.places) != maxLinks {
		t.Errorf("there are %d places", len(l.places))
	}
}

func TestWhoWaitsAtALinkIsToldAtOnce(t *testing.T) {
	l := newLinks(time.Now)
	heard := make(chan string)
	go func() { heard <- string(l.asked(context.Background(), "a")) }()
	if err := errors.Join(l.put("b", []byte("another"), "x"), l.put("a", []byte("ask"), "x")); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "ask" {
		t.Errorf("it is asked %q", got)
	}
	go func() {
		answer, _ := l.await(context.Background(), "a")
		heard <- string(answer)
	}()
	if err := l.respond("a", []byte("answer")); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "answer" {
		t.Errorf("the answer is %q", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got := l.asked(ended, "c"); got != nil {
		t.Errorf("nobody asked %q", got)
	}
	if got, err := l.await(ended, "b"); got != nil || err != nil {
		t.Errorf("nobody answered %q, %v", got, err)
	}
}

func TestAnAddressThatWaitsTooOftenIsTurnedAway(t *testing.T) {
	p := newPaces()
	home, away := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var leaves []func()
	for range maxWaits {
		leave, ok := p.wait(home)
		if !ok {
			t.Fatal("it may not wait at all")
		}
		leaves = append(leaves, leave)
	}
	if _, ok := p.wait(home); ok {
		t.Error("it may wait without end")
	}
	if _, ok := p.wait(away); !ok {
		t.Error("another may not")
	}
	leaves[0]()
	if _, ok := p.wait(home); !ok {
		t.Error("it may not after it left")
	}
	for range paceBurst {
		if wait := p.take(home); wait != 0 {
			t.Fatalf("it has to wait for %s", wait)
		}
	}
	if wait := p.take(home); wait <= 0 || p.take(home) > 2*wait {
		t.Errorf("the wait is %s", wait)
	}
	if p.take(away) != 0 {
		t.Error("another has to wait")
	}
	network := netip.MustParseAddr("2001:db8::1")
	for range paceBurst {
		p.take(network)
	}
	if p.take(netip.MustParseAddr("2001:db8::2")) == 0 {
		t.Error("a neighbour in the same network need not wait")
	}
}
