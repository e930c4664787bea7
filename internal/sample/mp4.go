package sample

import "encoding/binary"

// mediaHeader is how many bytes stand before the media in their box, whose length has 64 bits.
const mediaHeader = 16

// box is a box of an mp4 file (ISO 14496-12).
func box(kind string, parts ...[]byte) []byte {
	size := 8
	for _, part := range parts {
		size += len(part)
	}
	out := binary.BigEndian.AppendUint32(make([]byte, 0, size), uint32(size))
	out = append(out, kind...)
	for _, part := range parts {
		out = append(out, part...)
	}
	return out
}

// numbers are 32 bits each; a box with a version and flags begins with one.
func numbers(values ...uint32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, value := range values {
		out = binary.BigEndian.AppendUint32(out, value)
	}
	return out
}

// unity is the matrix that leaves a picture as it is.
var unity = numbers(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)

// index is all of a film's file that comes before its media: what there is, and where, if the first second begins
// at a place.
func index(offsets []int64, sizes []uint32, at int64) []byte {
	duration := uint32(len(sizes))
	table := box("stbl",
		box("stsd", numbers(0, 1), entry()),
		box("stts", numbers(0, 1, duration, 1)),
		box("stss", numbers(0, uint32(len(offsets))), wholeOnes(len(offsets))),
		box("stsc", numbers(0, 1, 1, perSecond, 1)),
		box("stsz", numbers(0, 0, duration), numbers(sizes...)),
		box("co64", numbers(0, uint32(len(offsets))), places(offsets, at)))
	track := box("trak",
		box("tkhd", numbers(3, 0, 0, 1, 0, duration, 0, 0, 0, 0), unity, numbers(filmWide<<16, filmHigh<<16)),
		box("mdia",
			box("mdhd", numbers(0, 0, 0, perSecond, duration, 0x55C40000)),
			box("hdlr", numbers(0, 0), []byte("vide"), numbers(0, 0, 0), []byte("evening\x00")),
			box("minf", box("vmhd", numbers(1, 0, 0)), box("dinf", box("dref", numbers(0, 1), box("url ", numbers(1)))), table)))
	header := box("mvhd", numbers(0, 0, 0, perSecond, duration, 0x10000, 0x01000000, 0, 0), unity, numbers(0, 0, 0, 0, 0, 0, 2))
	return append(box("ftyp", []byte("isom"), numbers(0x200), []byte("isomiso2avc1mp41")), box("moov", header, track)...)
}

// entry says how the pictures are coded.
func entry() []byte {
	sps, pps := sequence(), pictures()
	config := []byte{1, profile, compatibility, level, 0xFF, 0xE1}
	config = append(binary.BigEndian.AppendUint16(config, uint16(len(sps))), sps...)
	config = append(binary.BigEndian.AppendUint16(append(config, 1), uint16(len(pps))), pps...)
	return box("avc1",
		numbers(0, 1, 0, 0, 0, 0, filmWide<<16|filmHigh, 72<<16, 72<<16, 0, 1<<16), make([]byte, 30),
		[]byte{0, 24, 0xFF, 0xFF}, box("avcC", config))
}

// wholeOnes are the numbers of the pictures that need no other: the first of each second.
func wholeOnes(seconds int) []byte {
	var out []byte
	for second := range seconds {
		out = binary.BigEndian.AppendUint32(out, uint32(second*perSecond+1))
	}
	return out
}

func places(offsets []int64, at int64) []byte {
	var out []byte
	for _, offset := range offsets {
		out = binary.BigEndian.AppendUint64(out, uint64(at+offset))
	}
	return out
}
