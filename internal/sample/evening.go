package sample

import (
	"fmt"
	"math"
)

// The evening of the film: clouds drift over a low sun, waves come nearer, and on the shore stands how late it is.
// What moves does so by whole pixels, and has a colour that is the same along its line, so that a decoder needs
// nothing but to move it. After period seconds it begins again; the time goes on.
const (
	perSecond  = 24
	period     = 50 // seconds; even, since two whole pictures in succession are told apart
	cloudRows  = 10
	seaRow     = 14
	shoreRow   = 20
	sceneRows  = shoreRow
	cloudEvery = 2 // pictures until the clouds move by a pixel
)

// waveEvery is, for each row of the sea, after how many pictures it moves by a pixel.
var waveEvery = [shoreRow - seaRow]int{4, 3, 2, 2, 1, 1}

// scene holds all that the film shows, wider than it shows it.
type scene struct {
	texture [codedHigh][]byte // luma, as wide as what comes round
	cb, cr  [codedHigh / 2]byte
	still   *frame // what does not move
}

// motion is by how many pixels a row moved to the left up to a picture.
func motion(row, picture int) int {
	switch {
	case row < cloudRows:
		return picture / cloudEvery
	case row >= seaRow && row < shoreRow:
		return picture / waveEvery[row-seaRow]
	}
	return 0
}

func newScene() *scene {
	s := &scene{still: newFrame()}
	for line := range codedHigh {
		wide := motion(line/16, period*perSecond)
		if wide == 0 {
			continue
		}
		s.texture[line] = luma(line, wide)
	}
	for line := range codedHigh / 2 {
		cb, cr := chroma(float64(2*line) / filmHigh)
		s.cb[line], s.cr[line] = byte(cb), byte(cr)
	}
	s.drawStill()
	return s
}

// luma is a line of what moves, once round.
func luma(line, wide int) []byte {
	out := make([]byte, wide)
	down := float64(line)
	if line < cloudRows*16 {
		shown := 78 * between(.25, 1, down/90) * between(0, 1, (cloudRows*16-down)/50)
		for x, cloud := range (noise{4, 7, 5}).line(0, down/44, 4/float64(wide), wide) {
			out[x] = byte(sky(down) + shown*between(0, 1, (cloud-.5)*3.2))
		}
		return out
	}
	depth := (down - seaRow*16) / float64((shoreRow-seaRow)*16)
	many := int(between(40, 12, depth)) // whole waves, so that they come round
	waves := noise{many, 31 + line/16, 3}.line(0, down/between(1.6, 6, depth), float64(many)/float64(wide), wide)
	for x, wave := range waves {
		out[x] = byte(between(118, 62, depth) + between(20, 70, depth)*(wave-.5))
	}
	return out
}

// sky is the brightness of an evening, from above down to the horizon.
func sky(down float64) float64 { return between(52, 150, math.Pow(down/(seaRow*16), 1.3)) }

// chroma of a line, from violet above to orange at the horizon, and of the sea below.
func chroma(down float64) (cb, cr float64) {
	const horizon = seaRow * 16.0 / filmHigh
	if down < horizon {
		t := down / horizon
		return between(152, 92, t*t), between(136, 172, t)
	}
	t := (down - horizon) / (1 - horizon)
	return between(110, 150, math.Sqrt(t)), between(154, 116, math.Sqrt(t))
}

// drawStill draws the sun with its glow, and the shore.
func (s *scene) drawStill() {
	const sunX, sunY, radius = 430.0, seaRow*16 + 6.0, 38.0
	for line := range codedHigh {
		if s.texture[line] != nil {
			continue
		}
		sand := noise{endless, 3, 1}.line(0, float64(line)/3, 1./9, filmWide)
		for x := range filmWide {
			glow := 46 * math.Exp(-math.Hypot(float64(x)-sunX, 1.6*(float64(line)-sunY))/90)
			value := sky(float64(line)) + glow*smooth(between(0, 1, (float64(line)-cloudRows*16)/50))
			if away := math.Hypot(float64(x)-sunX, float64(line)-sunY); away < radius+1 {
				value = between(226, value, away-radius)
			}
			if line >= shoreRow*16 {
				value = 34 + 8*sand[x]
			}
			s.still.y[line*filmWide+x] = byte(value)
		}
	}
	for line := range codedHigh / 2 {
		for x := range filmWide / 2 {
			cb, cr := float64(s.cb[line]), float64(s.cr[line])
			if away := math.Hypot(float64(2*x)-sunX, float64(2*line)-sunY); away < radius && line < seaRow*8 {
				cb, cr = 84, 158
			}
			if line >= shoreRow*8 {
				cb, cr = 130, 131
			}
			s.still.cb[line*filmWide/2+x], s.still.cr[line*filmWide/2+x] = byte(cb), byte(cr)
		}
	}
}

// draw draws a picture of the scene without the time.
func (s *scene) draw(into *frame, picture int) {
	copy(into.y, s.still.y)
	copy(into.cb, s.still.cb)
	copy(into.cr, s.still.cr)
	for line, texture := range s.texture {
		if texture == nil {
			continue
		}
		at := into.y[line*filmWide : (line+1)*filmWide]
		for done, from := 0, motion(line/16, picture)%len(texture); done < filmWide; from = 0 {
			done += copy(at[done:], texture[from:])
		}
	}
}

// digits are five wide and seven high, a line of bits each.
var digits = map[rune][7]byte{
	'0': {0x0E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E}, '1': {0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E},
	'2': {0x0E, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1F}, '3': {0x0E, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0E},
	'4': {0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02}, '5': {0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E},
	'6': {0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E}, '7': {0x1F, 0x01, 0x02, 0x04, 0x04, 0x08, 0x08},
	'8': {0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E}, '9': {0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C},
	':': {0x00, 0x04, 0x04, 0x00, 0x04, 0x04, 0x00},
}

// The time stands in the middle of the shore, in squares of pixels.
const (
	square   = 4
	timeLine = shoreRow*16 + 6
)

// drawTime writes how late it is in the film.
func drawTime(into *frame, second int) {
	text := fmt.Sprintf("%d:%02d:%02d", second/3600, second/60%60, second%60)
	left := (filmWide - len(text)*6*square + square) / 2
	for i, r := range text {
		for line, row := range digits[r] {
			for column := range 5 {
				if row>>(4-column)&1 == 1 {
					fill(into, left+(i*6+column)*square, timeLine+line*square)
				}
			}
		}
	}
}

func fill(into *frame, left, top int) {
	for line := top; line < top+square; line++ {
		for x := left; x < left+square; x++ {
			into.y[line*filmWide+x] = 208
		}
	}
}
