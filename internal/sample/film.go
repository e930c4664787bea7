package sample

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Film is an evening by the sea in which every second says which one it is, as mp4.
type Film struct {
	Seconds int // how long it is
	// Gap is how many bytes of nothing stand after each second. They belong to the file and to nobody's picture, and
	// in a file that WriteFile writes they take no space on the disk.
	Gap int64
}

// FilmOf is a film of at least so many bytes, without gaps; a minute is some 26 MB.
func FilmOf(bytes int64) Film {
	one := newReel(Film{Seconds: 1}).size(0)
	return Film{Seconds: int(bytes/one) + 1}
}

// Size is how many bytes the film has.
func (f Film) Size() int64 { return newReel(f).end() }

// WriteTo writes the film, its index first.
func (f Film) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: bufio.NewWriterSize(w, 1<<20)}
	err := newReel(f).write(out, func(n int64) error {
		_, err := io.CopyN(out, nothing{}, n)
		return err
	})
	return out.n, errors.Join(err, out.w.Flush())
}

// WriteFile writes the film into a new file, with holes for its gaps.
func (f Film) WriteFile(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make film: %w", err)
	}
	out := &counter{w: bufio.NewWriterSize(file, 1<<20)}
	reel := newReel(f)
	err = reel.write(out, func(n int64) error {
		if err := out.w.Flush(); err != nil {
			return err
		}
		_, err := file.Seek(n, io.SeekCurrent)
		return err
	})
	if err = errors.Join(err, out.w.Flush()); err == nil {
		err = file.Truncate(reel.end())
	}
	return errors.Join(err, file.Close())
}

// counter counts what is written.
type counter struct {
	w *bufio.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// nothing is zeros without end.
type nothing struct{}

// Read implements io.Reader.
func (nothing) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// reel makes the pictures of a film. Of each second, what is not the time is made once and comes again.
type reel struct {
	film   Film
	scene  *scene
	cached [period][][]byte  // slices of the scene, by second and picture
	shore  *frame            // the last rows, where the time stands
	stills [perSecond][]byte // slices of the shore while the time stays
}

func newReel(f Film) *reel {
	return &reel{film: f, scene: newScene(), shore: newFrame()}
}

// second gives the pictures of a second as they stand in the file: the scene, and the shore with the time.
func (r *reel) second(second int) [perSecond][2][]byte {
	var pictures [perSecond][2][]byte
	scene := r.scenes(second % period)
	r.scene.draw(r.shore, 0)
	drawTime(r.shore, second)
	for i := range pictures {
		pictures[i][0] = scene[i]
		if i == 0 {
			s := newSlice(r.shore, nil, shoreRow, blocksHigh-1, 0, second%2)
			pictures[0][1] = s.encode(nil)
			continue
		}
		if r.stills[i] == nil {
			s := newSlice(r.shore, r.shore, shoreRow, blocksHigh-1, i, 0)
			r.stills[i] = s.encode(nil)
		}
		pictures[i][1] = r.stills[i]
	}
	return pictures
}

// scenes are the slices of the scene in one second.
func (r *reel) scenes(second int) [][]byte {
	if r.cached[second] != nil {
		return r.cached[second]
	}
	now, before := newFrame(), newFrame()
	slices := make([][]byte, perSecond)
	for i := range slices {
		picture := second*perSecond + i
		now, before = before, now
		r.scene.draw(now, picture)
		if i == 0 {
			slices[0] = newSlice(now, nil, 0, sceneRows-1, 0, second%2).encode(nil)
			continue
		}
		slices[i] = newSlice(now, before, 0, sceneRows-1, i, 0).encode(func(row int) int {
			return motion(row, picture) - motion(row, picture-1)
		})
	}
	r.cached[second] = slices
	return slices
}

// size is how many bytes the pictures of a second have.
func (r *reel) size(second int) (sum int64) {
	for _, picture := range r.second(second) {
		sum += int64(len(picture[0]) + len(picture[1]))
	}
	return sum
}

// layout is where each second of the film begins, counted from the first, and how large each picture is.
func (r *reel) layout() (offsets []int64, sizes []uint32, all int64) {
	for second := range r.film.Seconds {
		offsets = append(offsets, all)
		for _, picture := range r.second(second) {
			size := len(picture[0]) + len(picture[1])
			sizes = append(sizes, uint32(size))
			all += int64(size)
		}
		all += r.film.Gap
	}
	return offsets, sizes, all
}

func (r *reel) end() int64 {
	offsets, sizes, all := r.layout()
	return int64(len(index(offsets, sizes, 0))) + mediaHeader + all
}

// write writes the index, and then the seconds one after the other; skip leaves a gap.
func (r *reel) write(w io.Writer, skip func(int64) error) error {
	offsets, sizes, all := r.layout()
	head := index(offsets, sizes, 0) // as long whatever stands in it
	head = index(offsets, sizes, int64(len(head))+mediaHeader)
	head = binary.BigEndian.AppendUint32(head, 1)
	head = append(head, "mdat"...)
	head = binary.BigEndian.AppendUint64(head, uint64(all)+mediaHeader)
	if _, err := w.Write(head); err != nil {
		return err
	}
	for second := range r.film.Seconds {
		for _, picture := range r.second(second) {
			for _, slice := range picture {
				if _, err := w.Write(slice); err != nil {
					return err
				}
			}
		}
		if r.film.Gap > 0 {
			if err := skip(r.film.Gap); err != nil {
				return err
			}
		}
	}
	return nil
}
