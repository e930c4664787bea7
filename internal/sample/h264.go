package sample

import (
	"bytes"
	"encoding/binary"
)

// A picture of the film: luma and two chroma planes of a quarter of its size each (4:2:0), in macroblocks of 16 by 16.
const (
	filmWide   = 640
	filmHigh   = 360
	blocksWide = filmWide / 16
	blocksHigh = 23 // 368 lines, of which the last eight are not shown
	codedHigh  = blocksHigh * 16
)

// frame is a picture that is coded.
type frame struct{ y, cb, cr []byte }

func newFrame() *frame {
	const size = filmWide * codedHigh
	return &frame{make([]byte, size), make([]byte, size/4), make([]byte, size/4)}
}

// The units of a stream, with the bits that say whether others refer to them.
const (
	unitPicture = 0x61
	unitWhole   = 0x65 // a picture that needs no other
	unitSPS     = 0x67
	unitPPS     = 0x68
)

// unit makes a unit of what is in it: two zeros never stand before a small byte, since that would begin another.
func unit(kind byte, content []byte) []byte {
	out := append(make([]byte, 0, len(content)+16), kind)
	for {
		at := bytes.Index(content, []byte{0, 0})
		if at < 0 || at+2 == len(content) {
			return append(out, content...)
		}
		out, content = append(out, content[:at+2]...), content[at+2:]
		if content[0] <= 3 {
			out = append(out, 3)
		}
	}
}

// prefixed is a unit with its length in front, as mp4 has it.
func prefixed(unit []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(unit))), unit...)
}

// The profile is the constrained baseline, which every decoder has, at level 3.1.
const (
	profile       = 66
	compatibility = 0xC0
	level         = 31
)

// sequence says what all pictures have in common.
func sequence() []byte {
	w := new(bitWriter)
	w.bits(profile, 8)
	w.bits(compatibility, 8)
	w.bits(level, 8)
	for _, value := range []uint64{0, 4, 2, 1} { // id, 8 bits of frame number, order as coded, one picture to refer to
		w.unsigned(value)
	}
	w.bits(0, 1)
	w.unsigned(blocksWide - 1)
	w.unsigned(blocksHigh - 1)
	w.bits(0b111, 3) // whole frames, and what is shown is less
	for _, value := range []uint64{0, 0, 0, (codedHigh - filmHigh) / 2} {
		w.unsigned(value)
	}
	w.bits(0, 1)
	return unit(unitSPS, w.end())
}

// pictures says what is left: nothing of what it could say but that the filter that smooths edges can be switched off.
func pictures() []byte {
	w := new(bitWriter)
	w.unsigned(0)
	w.unsigned(0)
	w.bits(0, 2)
	for range 3 {
		w.unsigned(0)
	}
	w.bits(0, 3)
	for range 3 {
		w.signed(0)
	}
	w.bits(0b100, 3)
	return unit(unitPPS, w.end())
}

// slice codes some rows of macroblocks of a picture.
type slice struct {
	bitWriter
	picture, before *frame // before is nil for a picture that needs no other
	first, last     int    // rows
	motion          func(row int) int
	moved           []int // motion of the blocks of this slice, in pixels; none where a block was sent whole
	skipped         uint64
}

// none is the motion of a block that has none, being sent whole.
const none = 1 << 20

// newSlice begins a slice of rows first to last; number counts pictures since the last whole one, and parity tells
// two whole ones in succession apart.
func newSlice(picture, before *frame, first, last, number, parity int) *slice {
	s := &slice{picture: picture, before: before, first: first, last: last, moved: make([]int, (last-first+1)*blocksWide)}
	s.unsigned(uint64(first * blocksWide))
	if before == nil {
		s.unsigned(7)
		s.unsigned(0)
		s.bits(0, 8)
		s.unsigned(uint64(parity))
		s.bits(0, 2)
	} else {
		s.unsigned(5)
		s.unsigned(0)
		s.bits(uint64(number), 8)
		s.bits(0, 3)
	}
	s.signed(0)
	s.unsigned(1) // no smoothing
	return s
}

// encode codes the slice; motion says by how many pixels a row has moved to the left since the picture before.
func (s *slice) encode(motion func(row int) int) []byte {
	s.motion = motion
	for row := s.first; row <= s.last; row++ {
		for column := range blocksWide {
			s.block(row, column)
		}
	}
	if s.before == nil {
		return prefixed(unit(unitWhole, s.end()))
	}
	if s.skipped > 0 {
		s.unsigned(s.skipped)
	}
	return prefixed(unit(unitPicture, s.end()))
}

// block codes a macroblock in the cheapest of three ways: as what stands to be expected, as moved, or whole.
func (s *slice) block(row, column int) {
	at := (row-s.first)*blocksWide + column
	if s.before == nil {
		s.unsigned(25)
		s.whole(row, column)
		return
	}
	expected := s.expected(row, column)
	if still := s.unmoved(row, column, expected); s.fits(row, column, still) {
		s.moved[at] = still
		s.skipped++
		return
	}
	s.unsigned(s.skipped)
	s.skipped = 0
	if by := s.motion(row); s.fits(row, column, by) {
		s.moved[at] = by
		s.unsigned(0)
		s.signed(4 * (by - expected)) // a vector counts quarters of pixels
		s.signed(0)
		s.unsigned(0) // and nothing is left over
		return
	}
	s.moved[at] = none
	s.unsigned(30)
	s.whole(row, column)
}

// neighbour is the motion of a block of this slice; there is none outside.
func (s *slice) neighbour(row, column int) (motion int, there bool) {
	if row < s.first || column < 0 || column >= blocksWide {
		return none, false
	}
	return s.moved[(row-s.first)*blocksWide+column], true
}

// expected is the motion that a decoder expects of a block, from those to the left, above, and above to the right
// (H.264, 8.4.1.3).
func (s *slice) expected(row, column int) int {
	left, isLeft := s.neighbour(row, column-1)
	above, isAbove := s.neighbour(row-1, column)
	corner, isCorner := s.neighbour(row-1, column+1)
	if !isCorner {
		corner, isCorner = s.neighbour(row-1, column-1)
	}
	if isLeft && !isAbove && !isCorner {
		above, corner = left, left
	}
	var known []int
	for _, motion := range []int{left, above, corner} {
		if motion != none {
			known = append(known, motion)
		}
	}
	switch len(known) {
	case 0:
		return 0
	case 1:
		return known[0]
	case 2:
		known = append(known, 0)
	}
	return max(min(known[0], known[1]), min(max(known[0], known[1]), known[2]))
}

// unmoved is the motion of a block that is skipped (8.4.1.1).
func (s *slice) unmoved(row, column, expected int) int {
	left, isLeft := s.neighbour(row, column-1)
	above, isAbove := s.neighbour(row-1, column)
	if !isLeft || !isAbove || left == 0 || above == 0 {
		return 0
	}
	return expected
}

// fits reports whether a block is what was before, moved to the left by some pixels.
func (s *slice) fits(row, column, by int) bool {
	x := column*16 + by
	if x < 0 || x+16 > filmWide {
		return false
	}
	for line := row * 16; line < row*16+16; line++ {
		at := line * filmWide
		if !bytes.Equal(s.picture.y[at+column*16:at+column*16+16], s.before.y[at+x:at+x+16]) {
			return false
		}
	}
	for line := row * 8; line < row*8+8; line++ {
		at := line * filmWide / 2
		for _, plane := range [][2][]byte{{s.picture.cb, s.before.cb}, {s.picture.cr, s.before.cr}} {
			now := plane[0][at+column*8 : at+column*8+8]
			if !bytes.Equal(now, plane[1][at+x/2:at+x/2+8]) {
				return false
			}
			// Half a pixel of chroma lies between two, and is one of them only where they are the same.
			if by%2 != 0 && (now[7] != plane[1][at+min(x/2+8, filmWide/2-1)] || !uniform(now)) {
				return false
			}
		}
	}
	return true
}

func uniform(line []byte) bool { return bytes.Equal(line[1:], line[:len(line)-1]) }

// whole writes the pixels of a block.
func (s *slice) whole(row, column int) {
	s.align()
	for line := row * 16; line < row*16+16; line++ {
		s.bytes = append(s.bytes, s.picture.y[line*filmWide+column*16:][:16]...)
	}
	for _, plane := range [][]byte{s.picture.cb, s.picture.cr} {
		for line := row * 8; line < row*8+8; line++ {
			s.bytes = append(s.bytes, plane[line*filmWide/2+column*8:][:8]...)
		}
	}
}
