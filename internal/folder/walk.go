package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"keyhall.dev/keyhall/seal"
)

// namesAtOnce is how many names of a folder are held at a time.
const namesAtOnce = 1024

// subfolder is a folder yet to be read, as it was when its parent was.
type subfolder struct {
	path string // empty for the top
	info fs.FileInfo
}

// walk finds the regular files, in no particular order. Only the top folder's errors end it.
func (s *scan) walk(ctx context.Context) ([]file, error) {
	var found []file
	for todo := []subfolder{{}}; len(todo) > 0; {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		w := walker{scan: s, path: next.path}
		err := w.folder(ctx, next.info)
		switch {
		case err == nil:
		case next.path == "" || ctx.Err() != nil:
			return nil, err
		default:
			s.skip(next.path, err)
		}
		found, todo = append(found, w.files...), append(todo, w.folders...)
		s.found(len(found))
	}
	return found, nil
}

// walker reads one folder.
type walker struct {
	*scan
	path    string
	files   []file
	folders []subfolder
}

// folder reads the folder, which has to be the one that info describes (nil: the top).
//
// It goes through a root of its own: one step to each name, however deep the folder is, and
// no symlink to pass on the way.
func (w *walker) folder(ctx context.Context, info fs.FileInfo) error {
	dir := w.root
	if info != nil {
		sub, err := w.root.OpenRoot(filepath.FromSlash(w.path))
		if err != nil {
			return err
		}
		defer sub.Close()
		now, err := sub.Stat(".")
		if err != nil {
			return err
		}
		if !os.SameFile(now, info) {
			return fmt.Errorf("%w: another folder took its place", ErrChanged)
		}
		dir = sub
	}
	list, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer list.Close()
	for {
		names, err := list.ReadDir(namesAtOnce)
		for _, name := range names {
			w.name(dir, name.Name())
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err = errors.Join(err, context.Cause(ctx)); err != nil {
			return err
		}
	}
}

// name looks at one name of the folder dir.
func (w *walker) name(dir *os.Root, name string) {
	path := name
	if w.path != "" {
		path = w.path + "/" + name
	}
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return // gone since the folder was read
	case err != nil:
		w.skip(path, err)
		return
	}
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		w.result.Symlinks++
		return
	case !mode.IsDir() && !mode.IsRegular():
		w.result.Special++
		return
	case mode.IsRegular() && strings.HasSuffix(name, PartSuffix):
		w.result.Parts++
		return
	}
	if err := seal.ValidPath(path); err != nil {
		w.skip(path, err)
		return
	}
	if mode.IsDir() {
		w.folders = append(w.folders, subfolder{path, info})
		return
	}
	if err := checkSize(info.Size()); err != nil {
		w.skip(path, err)
		return
	}
	w.files = append(w.files, file{Entry: Entry{Entry: seal.Entry{Path: path}, stamp: stampOf(info)}, task: digest})
}
