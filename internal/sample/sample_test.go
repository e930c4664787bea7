package sample

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPicturesAreWhatTheirNamesSay(t *testing.T) {
	for kind, draw := range map[string]func(light, int, int) ([]byte, error){"jpeg": JPEG, "png": PNG} {
		content, err := draw(evening, 160, 100)
		if err != nil {
			t.Fatal(err)
		}
		picture, got, err := image.Decode(bytes.NewReader(content))
		if err != nil || got != kind || picture.Bounds() != image.Rect(0, 0, 160, 100) {
			t.Errorf("%s: it is %s of %v: %v", kind, got, picture.Bounds(), err)
		}
		colours := make(map[[3]uint32]bool)
		for x := range 160 {
			for y := range 100 {
				r, g, b, _ := picture.At(x, y).RGBA()
				colours[[3]uint32{r >> 8, g >> 8, b >> 8}] = true
			}
		}
		if len(colours) < 500 {
			t.Errorf("%s: it has %d colours", kind, len(colours))
		}
	}
}

func TestSamplesAreTheSameWhereverTheyAreMade(t *testing.T) {
	picture, err := PNG(night, 64, 40)
	if err != nil {
		t.Fatal(err)
	}
	var film bytes.Buffer
	if _, err := (Film{Seconds: 1}).WriteTo(&film); err != nil {
		t.Fatal(err)
	}
	again := new(bytes.Buffer)
	if _, err := (Film{Seconds: 1}).WriteTo(again); err != nil || !bytes.Equal(film.Bytes(), again.Bytes()) {
		t.Errorf("the film is another the second time: %v", err)
	}
	other, err := PNG(night, 64, 40)
	if err != nil || sha256.Sum256(picture) != sha256.Sum256(other) {
		t.Errorf("the picture is another the second time: %v", err)
	}
}

func TestSoundsHoldTheirSamples(t *testing.T) {
	samples := chord(.5)
	wav := WAV(samples)
	if string(wav[:4]) != "RIFF" || int(binary.LittleEndian.Uint32(wav[4:])) != len(wav)-8 || !bytes.Equal(wav[44:], pcm(samples)) {
		t.Error("the WAV is none")
	}
	loudest := slices.Max(samples)
	if loudest < 8000 || loudest > 32000 {
		t.Errorf("the loudest sample is %d", loudest)
	}
	got := readFLAC(t, FLAC(samples))
	if !slices.Equal(got, samples) {
		t.Errorf("of %d samples %d come back", len(samples), len(got))
	}
}

// readFLAC reads what FLAC wrote, and checks every checksum.
func readFLAC(t *testing.T, file []byte) (samples []int16) {
	t.Helper()
	if string(file[:4]) != "fLaC" || binary.BigEndian.Uint32(file[4:]) != 34 || file[42] != 0x83 {
		t.Fatalf("it begins with % x", file[:43])
	}
	shortest, longest := binary.BigEndian.Uint32(file[11:])&0xFFFFFF, binary.BigEndian.Uint32(file[14:])&0xFFFFFF
	table := file[46:][:binary.BigEndian.Uint32(file[42:])&0xFFFFFF]
	frames := file[46+len(table):]
	count := int(binary.BigEndian.Uint64(file[18:]) & (1<<36 - 1))
	if rate := binary.BigEndian.Uint32(file[18:]) >> 12; rate != soundRate {
		t.Errorf("its rate is %d", rate)
	}
	sum := file[26:42]
	for rest := frames; len(samples) < count; {
		size, head := flacBlock, 5
		if rest[2]>>4 == 0b0111 {
			size, head = int(binary.BigEndian.Uint16(rest[5:]))+1, 7
		}
		if binary.BigEndian.Uint16(rest) != 0xFFF8 || crc(rest[:head], 8, 0x07) != uint32(rest[head]) || rest[head+1] != 2 {
			t.Fatalf("a frame begins with % x", rest[:head+2])
		}
		end := head + 2 + 2*size
		place := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(len(samples))), uint64(len(frames)-len(rest)))
		if want := binary.BigEndian.AppendUint16(place, uint16(size)); !bytes.Equal(table[:18], want) {
			t.Errorf("the table has % x, not % x", table[:18], want)
		}
		table = table[18:]
		if got := uint32(end + 2); got < shortest || got > longest {
			t.Errorf("a frame of %d bytes, of %d to %d", got, shortest, longest)
		}
		if crc(rest[:end], 16, 0x8005) != uint32(binary.BigEndian.Uint16(rest[end:])) {
			t.Fatal("a frame's checksum is wrong")
		}
		for at := head + 2; at < end; at += 2 {
			samples = append(samples, int16(binary.BigEndian.Uint16(rest[at:])))
		}
		rest = rest[end+2:]
	}
	if want := md5.Sum(pcm(samples)); !bytes.Equal(sum, want[:]) {
		t.Error("the sum of the samples is another")
	}
	return samples
}

// The checksums are the field's: of "123456789".
func TestChecksumsAreTheUsualOnes(t *testing.T) {
	if got := crc([]byte("123456789"), 8, 0x07); got != 0xF4 {
		t.Errorf("CRC-8 is %x", got)
	}
	if got := crc([]byte("123456789"), 16, 0x8005); got != 0xFEE8 {
		t.Errorf("CRC-16 is %x", got)
	}
}

func TestThePapersTableLeadsToItsObjects(t *testing.T) {
	file := PDF([]string{"a (line) \\"})
	if !bytes.HasPrefix(file, []byte("%PDF-1.4\n")) || !bytes.HasSuffix(file, []byte("%%EOF\n")) || !bytes.Contains(file, []byte(`(a \(line\) \\) Tj`)) {
		t.Fatalf("%s", file)
	}
	var at int
	if _, err := fmt.Sscanf(string(file[bytes.LastIndex(file, []byte("startxref\n")):]), "startxref\n%d", &at); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(file[at:]), "\n")
	for i := 1; i <= 5; i++ {
		var place int
		if _, err := fmt.Sscanf(lines[i+2], "%010d", &place); err != nil || !bytes.HasPrefix(file[place:], fmt.Appendf(nil, "%d 0 obj\n", i)) {
			t.Errorf("object %d: %v", i, err)
		}
	}
}

func TestWriteMakesAFolderOfAll(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, Size{Wide: 80, Seconds: 2}); err != nil {
		t.Fatal(err)
	}
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			rel, relErr := filepath.Rel(dir, path)
			names, err = append(names, filepath.ToSlash(rel)), relErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{FilmName, PictureName, FLACName, PaperName, TextName, "sound/a slow bell.wav"} {
		if !slices.Contains(names, name) {
			t.Errorf("there is no %s among %q", name, names)
		}
	}
	film, err := os.Open(filepath.Join(dir, filepath.FromSlash(FilmName)))
	if err != nil {
		t.Fatal(err)
	}
	defer film.Close()
	if seconds := readFilm(t, film).seconds; seconds != 2 {
		t.Errorf("the film has %d seconds", seconds)
	}
}
