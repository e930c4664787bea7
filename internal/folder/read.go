package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"keyhall.dev/keyhall/seal"
)

// pieceSize is how much of a file is read at a time: it stays in the processor's cache until
// it is hashed, and holds all that a type can depend on.
const pieceSize = seal.BlockSize / 2

// attempts is how often a file is read that changes meanwhile.
const attempts = 2

// progress counts for Options.Progress, under a lock that also keeps the calls apart.
type progress struct {
	mu sync.Mutex
	at Progress
}

func (s *scan) tell(change func(*Progress)) {
	if s.report == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.at)
	s.report(s.at)
}

// readAll does the tasks of all files. Its error is that of ctx; a file's own stays with it.
func (s *scan) readAll(ctx context.Context, files []*file) error {
	var todo []*file
	var bytes int64
	for _, f := range files {
		if f.task != done {
			todo = append(todo, f)
		}
		if f.task == digest {
			bytes += f.stamp.size
		}
	}
	s.tell(func(p *Progress) { p.ToRead, p.ToReadBytes = len(todo), bytes })
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), len(todo)) {
		group.Go(func() error {
			r := reader{scan: s, buf: make([]byte, pieceSize)}
			for i := next.Add(1) - 1; int(i) < len(todo); i = next.Add(1) - 1 {
				if err := r.file(ctx, todo[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.count(todo)
	return nil
}

// count enters into the result what became of the files.
func (s *scan) count(files []*file) {
	for _, f := range files {
		switch {
		case f.err != nil:
			s.result.skip(f.Path, f.err)
		case f.task == sniff:
			s.result.Moved++
		default:
			s.result.Hashed++
			s.result.HashedBytes += f.stamp.size
		}
	}
}

// reader is one goroutine of readAll, with what it uses again for every file.
type reader struct {
	*scan
	hasher seal.Hasher
	buf    []byte
}

// file does the task of f. Its error is that of ctx alone.
func (r *reader) file(ctx context.Context, f *file) error {
	for range attempts {
		read := int64(0)
		f.err = r.attempt(ctx, f, &read)
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if !errors.Is(f.err, ErrChanged) {
			break
		}
		r.tell(func(p *Progress) { p.ReadBytes -= read })
	}
	r.tell(func(p *Progress) { p.Read++ })
	return nil
}

// attempt opens f and reads it once, adding to read the bytes that it told as progress. What
// it finds holds only if the file was the same before and after.
func (r *reader) attempt(ctx context.Context, f *file, read *int64) error {
	opened, info, err := openRegular(r.root, f.Path)
	if err != nil {
		return err
	}
	defer opened.Close()
	before := stampOf(info)
	if err := checkSize(before.size); err != nil {
		return err
	}
	if before != f.stamp {
		f.task = digest // what moved here is not what the walk saw
	}
	if f.task == sniff {
		err = r.sniff(opened, f)
	} else if err = before.settle(ctx); err == nil {
		err = r.digest(ctx, opened, f, before.size, read)
	}
	if err != nil {
		return err
	}
	if info, err = opened.Stat(); err != nil {
		return err
	}
	if stampOf(info) != before {
		return fmt.Errorf("%w while it was read", ErrChanged)
	}
	f.stamp = before
	return nil
}

// sniff finds the type of a file that moved: its new name may say something else.
func (r *reader) sniff(opened *os.File, f *file) error {
	n, err := io.ReadFull(opened, r.buf[:sniffLen])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	f.Type = typeOf(f.Path, r.buf[:n])
	return nil
}

// digest reads the whole file, of the given size, for its type and its address.
func (r *reader) digest(ctx context.Context, opened *os.File, f *file, size int64, read *int64) error {
	r.hasher.Reset()
	f.Type = typeOf(f.Path, nil)
	for {
		n, err := opened.Read(r.buf)
		if n > 0 && *read == 0 {
			f.Type = typeOf(f.Path, r.buf[:n])
		}
		// No more than the size is hashed: a file that grows as fast as it is read would
		// never end.
		if *read+int64(n) > size {
			return fmt.Errorf("%w: it grew while it was read", ErrChanged)
		}
		*read += int64(n)
		r.tell(func(p *Progress) { p.ReadBytes += int64(n) })
		if _, err := r.hasher.Write(r.buf[:n]); err != nil {
			return err
		}
		switch {
		case err == io.EOF && *read < size:
			return fmt.Errorf("%w: it shrank while it was read", ErrChanged)
		case err == io.EOF:
			content := r.hasher.Sum()
			f.Root, f.leaves = content.Root, content.Leaves
			return nil
		case err != nil:
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
}
