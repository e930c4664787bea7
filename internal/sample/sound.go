package sample

import (
	"crypto/md5"
	"encoding/binary"
	"math"
	"slices"
)

// soundRate is how many samples of a sound make a second: one channel of 16 bits.
const soundRate = 22050

// chord is some seconds of three chords that come and go.
func chord(seconds float64) []int16 {
	chords := [][]float64{{220, 261.63, 329.63}, {174.61, 220, 261.63}, {196, 246.94, 293.66, 392}}
	each := seconds / float64(len(chords))
	return sound(seconds, func(t float64) (sum float64) {
		at := int(t/each) % len(chords)
		swell := math.Pow(math.Sin(math.Pi*math.Mod(t, each)/each), .7)
		for i, tone := range chords[at] {
			for part := 1.0; part <= 3; part++ {
				sum += math.Sin(2*math.Pi*tone*part*t+float64(i)) / (part * part)
			}
		}
		return sum * swell / 6
	})
}

// bell is a bell that is struck three times.
func bell(seconds float64) []int16 {
	return sound(seconds, func(t float64) (sum float64) {
		t = math.Mod(t, seconds/3)
		for i, part := range []float64{1, 2, 2.4, 3, 4.5, 5.3} {
			sum += math.Sin(2*math.Pi*196*part*t) * math.Exp(-t*(1+.7*float64(i))) / float64(i+2)
		}
		return sum * math.Min(1, t*200) * .8
	})
}

func sound(seconds float64, wave func(t float64) float64) []int16 {
	samples := make([]int16, int(seconds*soundRate))
	for i := range samples {
		samples[i] = int16(28000 * math.Max(-1, math.Min(1, wave(float64(i)/soundRate))))
	}
	return samples
}

// WAV writes a sound as it is.
func WAV(samples []int16) []byte {
	data := pcm(samples)
	out := append([]byte("RIFF"), little32(uint32(36+len(data)))...)
	out = append(out, "WAVEfmt "...)
	out = append(out, little32(16)...)
	out = append(out, 1, 0, 1, 0) // PCM, one channel
	out = append(append(out, little32(soundRate)...), little32(2*soundRate)...)
	out = append(out, 2, 0, 16, 0)
	out = append(append(out, "data"...), little32(uint32(len(data)))...)
	return append(out, data...)
}

func little32(value uint32) []byte { return binary.LittleEndian.AppendUint32(nil, value) }

func pcm(samples []int16) []byte {
	out := make([]byte, 0, 2*len(samples))
	for _, sample := range samples {
		out = binary.LittleEndian.AppendUint16(out, uint16(sample))
	}
	return out
}

// flacBlock is how many samples a frame of FLAC has; the last may have fewer.
const flacBlock = 4096

// FLAC writes a sound as FLAC (RFC 9639), in frames that hold the samples as they are, with a table of their places:
// players that search without one lose their way.
func FLAC(samples []int16) []byte {
	var frames, places [][]byte
	at, shortest, longest := 0, math.MaxInt, 0
	for number := 0; number*flacBlock < len(samples); number++ {
		block := samples[number*flacBlock : min(len(samples), (number+1)*flacBlock)]
		frame, place := flacFrame(number, block), new(bitWriter)
		place.bits(uint64(number*flacBlock), 64)
		place.bits(uint64(at), 64)
		place.bits(uint64(len(block)), 16)
		frames, places, at = append(frames, frame), append(places, place.bytes), at+len(frame)
		shortest, longest = min(shortest, len(frame)), max(longest, len(frame))
	}
	info, table := new(bitWriter), slices.Concat(places...)
	info.bits(0, 8)
	info.bits(34, 24)
	info.bits(flacBlock, 16)
	info.bits(flacBlock, 16)
	info.bits(uint64(shortest), 24)
	info.bits(uint64(longest), 24)
	info.bits(soundRate, 20)
	info.bits(0, 3)
	info.bits(15, 5)
	info.bits(uint64(len(samples)), 36)
	sum := md5.Sum(pcm(samples))                                            //nolint:gosec // the format wants it
	seek := binary.BigEndian.AppendUint32(nil, 0x83<<24|uint32(len(table))) // the last block of metadata
	return slices.Concat([]byte("fLaC"), info.bytes, sum[:], seek, table, slices.Concat(frames...))
}

func flacFrame(number int, block []int16) []byte {
	w := new(bitWriter)
	w.bits(0xFFF8, 16)
	size := uint64(0b1100) // flacBlock
	if len(block) != flacBlock {
		size = 0b0111 // said below
	}
	w.bits(size, 4)
	w.bits(0b0110, 4) // soundRate
	w.bits(0, 4)      // one channel
	w.bits(0b1000, 4)
	w.bytes = append(w.bytes, string(rune(number))...) // counted as UTF-8 does
	if size == 0b0111 {
		w.bits(uint64(len(block)-1), 16)
	}
	w.bytes = append(w.bytes, byte(crc(w.bytes, 8, 0x07)))
	w.bits(0b00000010, 8) // as it is
	for _, sample := range block {
		w.bits(uint64(uint16(sample)), 16)
	}
	return binary.BigEndian.AppendUint16(w.bytes, uint16(crc(w.bytes, 16, 0x8005)))
}

// crc is a checksum of some bits with a polynomial.
func crc(data []byte, width uint, polynomial uint32) (sum uint32) {
	for _, b := range data {
		sum ^= uint32(b) << (width - 8)
		for range 8 {
			top := sum >> (width - 1) & 1
			sum = sum << 1 & (1<<width - 1)
			if top == 1 {
				sum ^= polynomial
			}
		}
	}
	return sum
}
