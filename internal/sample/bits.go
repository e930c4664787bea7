package sample

import "math/bits"

// bitWriter writes bits, the highest first, as H.264 counts them.
type bitWriter struct {
	bytes []byte
	held  uint64 // bits that are no whole byte yet
	count uint
}

func (w *bitWriter) bits(value uint64, count uint) {
	w.held = w.held<<count | value&(1<<count-1)
	for w.count += count; w.count >= 8; w.count -= 8 {
		w.bytes = append(w.bytes, byte(w.held>>(w.count-8)))
	}
	w.held &= 1<<w.count - 1
}

// unsigned is an Exp-Golomb code, ue(v).
func (w *bitWriter) unsigned(value uint64) {
	length := uint(bits.Len64(value + 1))
	w.bits(0, length-1)
	w.bits(value+1, length)
}

// signed is a signed Exp-Golomb code, se(v).
func (w *bitWriter) signed(value int) {
	if value > 0 {
		w.unsigned(uint64(2*value - 1))
		return
	}
	w.unsigned(uint64(-2 * value))
}

// align fills the byte with zeros.
func (w *bitWriter) align() {
	if w.count > 0 {
		w.bits(0, 8-w.count)
	}
}

// end writes the bit that ends a unit, and fills its byte.
func (w *bitWriter) end() []byte {
	w.bits(1, 1)
	w.align()
	return w.bytes
}
