package sample

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
)

// light is what a view of the sea is lit by: the colours of the sky from above to the horizon, of the water, of the
// clouds; the sun or moon, where it stands and how large it is; and how many stars there are.
type light struct {
	above, horizon, water, cloud, disc [3]float64
	x, y, size, glow                   float64 // parts of the width, of the height down to the horizon, of the width; strength
	clouds, stars                      float64
	seed                               int
}

// The views.
var (
	evening = light{
		above: [3]float64{48, 42, 92}, horizon: [3]float64{250, 158, 96}, water: [3]float64{38, 42, 82}, cloud: [3]float64{246, 142, 120},
		disc: [3]float64{255, 226, 170}, x: .64, y: .93, size: .045, glow: .9, clouds: 1, seed: 5,
	}
	morning = light{
		above: [3]float64{126, 168, 204}, horizon: [3]float64{252, 214, 196}, water: [3]float64{96, 132, 158}, cloud: [3]float64{255, 232, 222},
		disc: [3]float64{255, 244, 220}, x: .28, y: .82, size: .03, glow: .6, clouds: .8, seed: 23,
	}
	noon = light{
		above: [3]float64{44, 110, 190}, horizon: [3]float64{176, 212, 236}, water: [3]float64{22, 92, 128}, cloud: [3]float64{255, 255, 255},
		disc: [3]float64{255, 255, 246}, x: .78, y: .2, size: .028, glow: .7, clouds: 1, seed: 41,
	}
	night = light{
		above: [3]float64{8, 12, 30}, horizon: [3]float64{38, 52, 88}, water: [3]float64{10, 18, 38}, cloud: [3]float64{58, 66, 96},
		disc: [3]float64{236, 234, 214}, x: .36, y: .34, size: .026, glow: .35, clouds: .5, stars: 1, seed: 77,
	}
)

// horizonAt is how far down the horizon is.
const horizonAt = .62

// draw draws a view.
func (l light) draw(wide, high int) *image.RGBA {
	picture := image.NewRGBA(image.Rect(0, 0, wide, high))
	for y := range high {
		down := float64(y) / float64(high)
		line := l.sea
		if down < horizonAt {
			line = l.sky
		}
		for x, c := range line(down, wide, high) {
			picture.SetRGBA(x, y, color.RGBA{tone(c[0]), tone(c[1]), tone(c[2]), 255})
		}
	}
	return picture
}

// sky is a line of the picture above the horizon.
func (l light) sky(at float64, wide, high int) [][3]float64 {
	down := at / horizonAt
	base := mix(l.above, l.horizon, math.Pow(down, 1.4))
	clouds := noise{endless, l.seed, 6}.line(0, down*7/math.Max(.25, 1-down*.6), 5/float64(wide), wide)
	shown := l.clouds * between(.5, 1, down*2)
	line := make([][3]float64, wide)
	for i := range line {
		x, c := float64(i)/float64(wide), base
		if star := dice(int(x*900), int(down*360), l.seed); star > .9985 {
			c = mix(c, [3]float64{255, 250, 235}, l.stars*(1-down)*dice(int(x*900), int(down*360), l.seed+1))
		}
		away := math.Hypot(x-l.x, (down-l.y)*horizonAt*float64(high)/float64(wide))
		c = mix(c, l.disc, l.glow*math.Exp(-away*9)*.7)
		c = mix(c, l.disc, (l.size-away)*900)
		line[i] = mix(c, l.cloud, shown*between(0, .85, (clouds[i]-.5)*3.4))
	}
	return line
}

// sea is a line of the picture below the horizon, with the way of the light on it.
func (l light) sea(at float64, wide, _ int) [][3]float64 {
	near := (at - horizonAt) / (1 - horizonAt)
	base := mix(mix(l.horizon, l.water, .45), l.water, math.Sqrt(near))
	dark := mix(l.water, [3]float64{}, .6)
	scale := between(70, 14, near)
	waves := noise{endless, l.seed + 50, 4}.line(-scale/2, math.Pow(near, .6)*26, scale/float64(wide), wide)
	line := make([][3]float64, wide)
	for i := range line {
		x, wave := float64(i)/float64(wide), waves[i]-.5
		c := mix(base, dark, -wave*between(.6, 1.8, near))
		path := math.Exp(-math.Pow((x-l.x)/between(.03, .12, near), 2))
		line[i] = mix(c, l.disc, path*between(0, .9, (wave+.06)*6)*l.glow)
	}
	return line
}

func mix(a, b [3]float64, t float64) [3]float64 {
	for i := range a {
		a[i] = between(a[i], b[i], t)
	}
	return a
}

func tone(value float64) uint8 { return uint8(math.Max(0, math.Min(255, value+.5))) }

// JPEG draws a view as JPEG.
func JPEG(l light, wide, high int) ([]byte, error) {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, l.draw(wide, high), &jpeg.Options{Quality: 88}); err != nil {
		return nil, fmt.Errorf("make picture: %w", err)
	}
	return out.Bytes(), nil
}

// PNG draws a view as PNG.
func PNG(l light, wide, high int) ([]byte, error) {
	var out bytes.Buffer
	if err := png.Encode(&out, l.draw(wide, high)); err != nil {
		return nil, fmt.Errorf("make picture: %w", err)
	}
	return out.Bytes(), nil
}
