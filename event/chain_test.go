package event

import (
	"errors"
	"math/rand/v2"
	"testing"

	"keyhall.dev/keyhall/trust"
)

// aChain is a chain of n events.
func aChain(t *testing.T, n int) []*Event {
	t.Helper()
	device, prev := trust.NewKeyPair(trust.Device), Hash{}
	events := make([]*Event, n)
	for i := range events {
		e := &Event{Author: trust.PublicKey{1}, Type: "x", Subject: "x", Seq: uint64(i + 1), Prev: prev} //nolint:gosec // small
		if err := e.Sign(device); err != nil {
			t.Fatal(err)
		}
		events[i], prev = e, e.Hash()
	}
	return events
}

func newFollower() *Subscriber { return NewSubscriber(nil, nil, SubscriberOptions{}) }

// What was handled and forgotten long ago is not handled again because the stream's host says
// that it stands before what came since: a chain needs no word of it.
func TestAHostShowsNoEventOfAChainTwice(t *testing.T) {
	s, events := newFollower(), aChain(t, 5)
	for i, e := range events {
		if gap, err := s.follow(e, e.Hash(), arrival{seq: uint64(i + 10)}); gap != nil || err != nil { //nolint:gosec // small
			t.Fatal(gap, err)
		}
	}
	for i, e := range events {
		for _, seq := range []uint64{1, uint64(i + 10), 100, 0} { //nolint:gosec // small
			if _, err := s.follow(e, e.Hash(), arrival{seq: seq}); !errors.Is(err, ErrReplay) {
				t.Errorf("place %d, as sequence %d: %v", e.Seq, seq, err)
			}
		}
	}
}

// In whatever order the events of a chain come, each is taken once, and no other one in its
// place.
func TestEventsOfAChainThatComeInAnyOrderAreTakenOnce(t *testing.T) {
	for range 200 {
		s, events := newFollower(), aChain(t, 12)
		came := make(map[uint64]bool)
		for _, i := range rand.Perm(len(events)) {
			e := events[i]
			// another event in the same place, whose neighbours are known
			if came[e.Seq-1] || came[e.Seq+1] {
				forged := *e
				forged.Prev, forged.Type = Hash{9}, "forged"
				if _, err := s.follow(&forged, forged.Hash(), arrival{seq: 1}); !errors.Is(err, ErrReplay) {
					t.Fatalf("forged at %d, beside what came: %v", e.Seq, err)
				}
			}
			if _, err := s.follow(e, e.Hash(), arrival{seq: e.Seq}); err != nil {
				t.Fatalf("%d, after %v: %v", e.Seq, came, err)
			}
			came[e.Seq] = true
			if _, err := s.follow(e, e.Hash(), arrival{seq: e.Seq}); !errors.Is(err, ErrReplay) {
				t.Fatalf("%d once more: %v", e.Seq, err)
			}
		}
	}
}

// On core NATS nothing is delivered late: what is before the first that came is old.
func TestWithoutAStreamNothingBeforeTheFirstIsTaken(t *testing.T) {
	s, events := newFollower(), aChain(t, 3)
	if _, err := s.follow(events[2], events[2].Hash(), arrival{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.follow(events[1], events[1].Hash(), arrival{}); !errors.Is(err, ErrReplay) {
		t.Errorf("%v", err)
	}
}
