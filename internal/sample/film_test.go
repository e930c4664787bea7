package sample

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// filmFile is what a player reads of a film's file before it plays.
type filmFile struct {
	seconds int
	chunks  []int64
	sizes   []uint32
	whole   []uint32 // pictures that need no other
	size    int64
}

// readFilm reads the boxes of a film, and checks that its media lie where the index says.
func readFilm(t *testing.T, file io.ReadSeeker) filmFile {
	t.Helper()
	var f filmFile
	var order []string
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	f.size = end
	for at := int64(0); at < end; {
		head := readAt(t, file, at, 16)
		kind, size := string(head[4:8]), int64(binary.BigEndian.Uint32(head))
		if size == 1 {
			size = int64(binary.BigEndian.Uint64(head[8:]))
		}
		if order = append(order, kind); kind == "moov" {
			f.readIndex(t, readAt(t, file, at+8, size-8))
		}
		if kind == "mdat" && (f.chunks[0] != at+16 || at+size != end) {
			t.Errorf("the media begin at %d and end at %d of %d; the index says %d", at+16, at+size, end, f.chunks[0])
		}
		at += size
	}
	if len(order) != 3 || order[0] != "ftyp" || order[1] != "moov" || order[2] != "mdat" {
		t.Fatalf("the boxes are %q", order)
	}
	return f
}

func readAt(t *testing.T, file io.ReadSeeker, at, size int64) []byte {
	t.Helper()
	content := make([]byte, size)
	if _, err := file.Seek(at, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(file, content); err != nil {
		t.Fatal(err)
	}
	return content
}

// inner are the boxes in which other boxes are.
var inner = map[string]bool{"trak": true, "mdia": true, "minf": true, "stbl": true}

func (f *filmFile) readIndex(t *testing.T, boxes []byte) {
	t.Helper()
	for len(boxes) > 0 {
		size := binary.BigEndian.Uint32(boxes)
		kind, content := string(boxes[4:8]), boxes[8:size]
		words := make([]uint32, len(content)/4)
		for i := range words {
			words[i] = binary.BigEndian.Uint32(content[4*i:])
		}
		switch {
		case inner[kind]:
			f.readIndex(t, content)
		case kind == "mvhd":
			f.seconds = int(words[4] / words[3])
		case kind == "stss":
			f.whole = words[2:]
		case kind == "stsz":
			f.sizes = words[3:]
		case kind == "co64":
			for i := 2; i < len(words); i += 2 {
				f.chunks = append(f.chunks, int64(words[i])<<32|int64(words[i+1]))
			}
		}
		boxes = boxes[size:]
	}
}

func TestAFilmHasAWholePictureEverySecondWhereItsIndexSays(t *testing.T) {
	const seconds = 3
	var out bytes.Buffer
	film := Film{Seconds: seconds}
	written, err := film.WriteTo(&out)
	if err != nil || written != film.Size() || written != int64(out.Len()) {
		t.Fatalf("%d bytes are written, %d are there, it says %d: %v", written, out.Len(), film.Size(), err)
	}
	f := readFilm(t, bytes.NewReader(out.Bytes()))
	if f.seconds != seconds || len(f.chunks) != seconds || len(f.whole) != seconds || len(f.sizes) != seconds*perSecond {
		t.Fatalf("it has %d seconds, %d chunks, %d whole pictures, %d pictures", f.seconds, len(f.chunks), len(f.whole), len(f.sizes))
	}
	for second, at := range f.chunks {
		if f.whole[second] != uint32(second*perSecond+1) {
			t.Errorf("second %d: its whole picture is %d", second, f.whole[second])
		}
		for i, size := range f.sizes[second*perSecond : (second+1)*perSecond] {
			picture := out.Bytes()[at : at+int64(size)]
			want := byte(unitPicture)
			if i == 0 {
				want = unitWhole
			}
			if kinds := units(t, picture); len(kinds) != 2 || kinds[0] != want || kinds[1] != want {
				t.Errorf("second %d, picture %d: units % x", second, i, kinds)
			}
			at += int64(size)
		}
	}
}

// units are the kinds of the units of a picture. No unit begins inside another.
func units(t *testing.T, picture []byte) (kinds []byte) {
	t.Helper()
	for len(picture) > 0 {
		size := binary.BigEndian.Uint32(picture)
		content := picture[4 : 4+size]
		for i := 2; i < len(content); i++ {
			if content[i-2] == 0 && content[i-1] == 0 && content[i] <= 2 {
				t.Errorf("a unit holds % x", content[i-2:i+1])
			}
		}
		kinds = append(kinds, content[0])
		picture = picture[4+size:]
	}
	return kinds
}

func TestAFilmIsAsLargeAsItIsWanted(t *testing.T) {
	const want = 1 << 20
	if size := FilmOf(want).Size(); size < want || size > want+1<<20 {
		t.Errorf("it has %d bytes, want %d", size, want)
	}
}

// A file for tests of long films takes no more space than what is shown.
func TestAFilmWithGapsIsLargeAndTakesLittle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long.mp4")
	film := Film{Seconds: 2, Gap: 2 << 30}
	if err := film.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := readFilm(t, file)
	if f.size != film.Size() || f.size < 4<<30 {
		t.Errorf("it has %d bytes, it says %d", f.size, film.Size())
	}
	for second, at := range f.chunks {
		if head := readAt(t, file, at, 5); head[4] != unitWhole {
			t.Errorf("second %d begins with % x", second, head)
		}
	}
	var plain bytes.Buffer
	if _, err := (Film{Seconds: 2}).WriteTo(&plain); err != nil {
		t.Fatal(err)
	}
	if plain.Len() > 4<<20 {
		t.Errorf("without gaps it has %d bytes", plain.Len())
	}
}
