package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"keyhall.dev/keyhall/seal"
)

const (
	foldersEach = 64  // folders of one depth for each processor that are enough to share
	foldersDeep = 64  // folders in one another that are open at a time
	filesAtOnce = 128 // for which there is room at a time
)

// subfolder is a folder yet to be read, as it was when its parent was.
type subfolder struct {
	path string // empty for the top
	seen seen
}

// seen is a name in a folder, and what it is.
type seen struct {
	name  string
	mode  fs.FileMode // its type alone: 0 is a regular file
	stamp stamp
	info  fs.FileInfo // nil where the stamp alone tells files apart
}

// is reports whether what was opened meanwhile is what was seen.
func (s *seen) is(now fs.FileInfo) bool {
	if s.info != nil {
		return os.SameFile(now, s.info)
	}
	other := stampOf(now)
	return other.device == s.stamp.device && other.inode == s.stamp.inode
}

// walk finds the regular files, in no particular order: the folders of one depth in parallel,
// then those in them. Only the top folder's errors end it.
func (s *scan) walk(ctx context.Context) ([]*file, error) {
	var found []*file
	for level := []subfolder{{}}; len(level) > 0; {
		walkers, err := s.walkLevel(ctx, level)
		if err != nil {
			return nil, err
		}
		level = nil
		for _, w := range walkers {
			found, level = append(found, w.files...), append(level, w.folders...)
			s.result.leftOut(&w.result)
		}
	}
	return found, nil
}

// walkLevel reads folders, one for each processor that Go may use at a time. Where there are
// enough of them to share, each is read with what is below it.
func (s *scan) walkLevel(ctx context.Context, level []subfolder) ([]*walker, error) {
	walkers := make([]*walker, min(runtime.GOMAXPROCS(0), len(level)))
	depth := 0
	if len(level) >= foldersEach*len(walkers) {
		depth = foldersDeep
	}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for i := range walkers {
		w := &walker{scan: s}
		walkers[i] = w
		group.Go(func() error {
			for i := next.Add(1) - 1; int(i) < len(level); i = next.Add(1) - 1 {
				if err := w.enter(ctx, w.root, level[i].path, level[i], depth); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return walkers, group.Wait()
}

// walker reads folders, one after the other, and keeps what it finds to itself.
type walker struct {
	*scan
	files   []*file
	folders []subfolder // yet to be read
	result  Result      // what was left out
	room    []file      // for the next files
	names   []byte      // room for a piece of a folder
}

// enter reads the folder that is called name in from, and those below it down to depth. Its
// error ends the walk.
func (w *walker) enter(ctx context.Context, from *os.Root, name string, next subfolder, depth int) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if next.path == "" {
		name = "."
	}
	return w.read(ctx, next, w.folder(ctx, from, filepath.FromSlash(name), next, depth))
}

// read notes that a folder could not be read. It returns what ends the walk.
func (w *walker) read(ctx context.Context, next subfolder, err error) error {
	if err != nil && (next.path == "" || ctx.Err() != nil) {
		return err
	}
	if err != nil {
		w.result.skip(next.path, err)
	}
	return nil
}

// folder reads the folder that is called name in from, which has to be the one that next
// describes, and those below it down to depth: one step from each, however deep they are, and
// no symlink to pass on the way.
func (w *walker) folder(ctx context.Context, from *os.Root, name string, next subfolder, depth int) error {
	list, err := from.OpenFile(name, openFlags, 0)
	if err != nil {
		return err
	}
	defer list.Close()
	if next.path != "" {
		now, err := list.Stat()
		if err != nil {
			return err
		}
		if !next.seen.is(now) {
			return fmt.Errorf("%w: another folder took its place", ErrChanged)
		}
	}
	below, err := w.list(ctx, next.path, depth, func(each func(seen, error)) error { return w.look(list, depth == 0, each) })
	if err != nil || len(below) == 0 {
		return err
	}
	return w.descend(ctx, from, name, list, below, depth)
}

// list takes in every name of a folder that look finds there. The folders among them it
// gives, where they are to be read next; at depth 0 they are left to others.
func (w *walker) list(
	ctx context.Context, path string, depth int, look func(each func(seen, error)) error,
) (below []subfolder, err error) {
	files, folders := len(w.files), len(w.folders)
	defer func() { w.tell(func(p *Progress) { p.Found += len(w.files) - files }) }()
	if err := errors.Join(look(func(at seen, err error) { w.name(path, at, err) }), context.Cause(ctx)); err != nil {
		return nil, err
	}
	if depth > 0 {
		below = slices.Clone(w.folders[folders:])
		w.folders = w.folders[:folders]
	}
	return below, nil
}

// name takes in one name of a folder, or that it could not be looked at.
func (w *walker) name(folder string, at seen, err error) {
	path := at.name
	if folder != "" {
		path = folder + "/" + at.name
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return // gone since the folder was read
	case err != nil:
		w.result.skip(path, err)
		return
	case at.mode == fs.ModeSymlink:
		w.result.Symlinks++
		return
	case at.mode != fs.ModeDir && at.mode != 0:
		w.result.Special++
		return
	case at.mode == 0 && strings.HasSuffix(at.name, PartSuffix):
		w.result.Parts++
		return
	}
	if err := seal.ValidPath(path); err != nil {
		w.result.skip(path, err)
		return
	}
	if at.mode == fs.ModeDir {
		w.folders = append(w.folders, subfolder{path, at})
		return
	}
	if err := checkSize(at.stamp.size); err != nil {
		w.result.skip(path, err)
		return
	}
	if len(w.room) == 0 {
		w.room = make([]file, filesAtOnce)
	}
	f := &w.room[0]
	w.room = w.room[1:]
	f.Path, f.stamp, f.task = path, at.stamp, digest
	w.files = append(w.files, f)
}
