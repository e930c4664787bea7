package seal

// WindowSize is how far below the highest counter a read is still taken.
const WindowSize = 1024

// The seen counters are bits in a ring of words (RFC 6479): words that the window leaves
// behind are cleared when it moves, never one bit at a time. The ring has to hold
// WindowSize+1 counters at any alignment, and is a power of two above that.
const (
	wordBits    = 64
	windowWords = 2 * WindowSize / wordBits
)

// Window takes each counter of a transfer once: the owner's guard against reads that are
// sent again. The zero Window has seen none. It is not safe for concurrent use.
type Window struct {
	highest uint64
	seen    [windowWords]uint64
}

// Accept takes counter and reports true if it is new: above 0, not below the highest by
// more than WindowSize, and not taken before. Ask only after OpenRead succeeded, or anybody
// could move the window.
func (w *Window) Accept(counter uint64) bool {
	if counter == 0 {
		return false
	}
	if counter > w.highest {
		w.advance(counter)
	} else if w.highest-counter > WindowSize {
		return false
	}
	word, bit := &w.seen[counter/wordBits%windowWords], uint64(1)<<(counter%wordBits)
	fresh := *word&bit == 0
	*word |= bit
	return fresh
}

func (w *Window) advance(counter uint64) {
	from, to := w.highest/wordBits, counter/wordBits
	for i := range min(to-from, windowWords) {
		w.seen[(to-i)%windowWords] = 0
	}
	w.highest = counter
}
