//go:build !race

// What is tried here one byte after another is tried by one goroutine: the race detector
// finds nothing in it and takes ten times as long. make test runs it without.

package vectors_test

import (
	"bytes"
	"sync"
	"testing"

	"keyhall.dev/keyhall/trust"
)

func TestEveryFlippedByteOfAVectorIsRefused(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	excuses := make(map[string]int)
	t.Run("vectors", func(t *testing.T) {
		for _, g := range allGuarded(t) {
			t.Run(g.name, func(t *testing.T) {
				t.Parallel()
				for excuse := range g.flip(t) {
					mu.Lock()
					excuses[excuse]++
					mu.Unlock()
				}
			})
		}
	})
	// These and no others; each was met.
	for _, excuse := range []string{excuseCase, excuseDash, excusePosition, excuseSealed} {
		if excuses[excuse] == 0 {
			t.Errorf("nothing needs %q", excuse)
		}
		delete(excuses, excuse)
	}
	for excuse := range excuses {
		t.Errorf("%q is an excuse of its own", excuse)
	}
}

// Each event is offered in its own place, where everything else about it would be right.
func TestEveryFlippedByteOfALedgerIsRefused(t *testing.T) {
	t.Parallel()
	f := load[chainFile](t, "chain.json")
	w := newWorld(get(trust.ParseHub(f.Hub)))
	for _, e := range f.Ledger {
		for at := range e.Event {
			data := bytes.Clone(e.Event)
			data[at] ^= 1 << (at % 8)
			if w.apply(data) == nil {
				t.Fatalf("%s: byte %d: taken", e.Name, at)
			}
		}
		if err := w.apply(e.Event); err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
	}
	got, want := encode(w.state()), encode(f.State)
	if !bytes.Equal(got, want) {
		t.Error("something that was refused has changed the ledger")
	}
}
