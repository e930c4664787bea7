package sample

import "math"

// noise is smooth between 0 and 1, with ever finer noise upon it; it has no pattern that the eye finds, and is the same
// everywhere. Along x it begins again after period units.
type noise struct{ period, seed, depth int }

// endless is a period of noise that nobody sees the end of.
const endless = 1 << 20

// line gives the noise along a line: at count places from x on, step apart. Its cells are as long as a unit.
func (n noise) line(x, y, step float64, count int) []float64 {
	sums := make([]float64, count)
	all, weight, period := 0.0, 1.0, n.period
	for layer := range n.depth {
		all += weight
		n.add(sums, weight, x, y, step, period, n.seed+layer)
		x, y, step, period, weight = x*2, y*2, step*2, period*2, weight/2
	}
	for i := range sums {
		sums[i] /= all
	}
	return sums
}

func (n noise) add(sums []float64, weight, x, y, step float64, period, seed int) {
	top := math.Floor(y)
	down := smooth(y - top)
	corner := func(cell int) float64 {
		upper, lower := dice(wrap(cell, period), int(top), seed), dice(wrap(cell, period), int(top)+1, seed)
		return upper + (lower-upper)*down
	}
	cell := int(math.Floor(x))
	left, right := corner(cell), corner(cell+1)
	for i := range sums {
		at := x + float64(i)*step
		for at >= float64(cell+1) {
			cell++
			left, right = right, corner(cell+1)
		}
		sums[i] += weight * (left + (right-left)*smooth(at-float64(cell)))
	}
}

func smooth(t float64) float64 { return t * t * (3 - 2*t) }

func wrap(n, period int) int { return ((n % period) + period) % period }

// dice is a number from 0 to 1 that belongs to a place.
func dice(x, y, seed int) float64 {
	h := uint64(uint32(x))*0x9E3779B97F4A7C15 ^ uint64(uint32(y))*0xC2B2AE3D27D4EB4F ^ uint64(uint32(seed))*0x165667B19E3779F9
	h ^= h >> 29
	h *= 0xBF58476D1CE4E5B9
	h ^= h >> 32
	return float64(h>>40) / (1 << 24)
}

// between is a when t is 0, and b when it is 1.
func between(a, b, t float64) float64 { return a + (b-a)*math.Max(0, math.Min(1, t)) }
