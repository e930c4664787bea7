package seal_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"keyhall.dev/keyhall/seal"
)

func TestWindowTakesEachCounterOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w seal.Window
		taken := map[uint64]bool{}
		highest := uint64(0)
		base := rapid.SampledFrom([]uint64{0, 1 << 20, math.MaxUint64 - 1<<14}).Draw(t, "base")
		for range rapid.IntRange(1, 400).Draw(t, "reads") {
			var counter uint64
			switch rapid.IntRange(0, 3).Draw(t, "where") {
			case 0: // the next one
				counter = highest + 1
			case 1: // a jump
				counter = base + rapid.Uint64Range(0, 1<<13).Draw(t, "jump")
			default: // around the lower edge and the present
				counter = highest - min(highest, rapid.Uint64Range(0, 1100).Draw(t, "back"))
			}
			want := counter != 0 && !taken[counter] && (counter > highest || highest-counter <= seal.WindowSize)
			if got := w.Accept(counter); got != want {
				t.Fatalf("counter %d below highest %d: accepted is %v, want %v", counter, highest, got, want)
			}
			if want {
				taken[counter] = true
				highest = max(highest, counter)
			}
		}
	})
}

func TestWindowReachesExactlyItsSize(t *testing.T) {
	for offset := range uint64(130) {
		var w seal.Window
		top := 5000 + offset
		if !w.Accept(top) || w.Accept(top-seal.WindowSize-1) || !w.Accept(top-seal.WindowSize) || w.Accept(top-seal.WindowSize) {
			t.Fatalf("the window below %d has other edges", top)
		}
	}
}

func TestWindowRefusesZero(t *testing.T) {
	var w seal.Window
	if w.Accept(0) {
		t.Error("counter 0 was accepted")
	}
}
