package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"keyhall.dev/keyhall/seal"
)

// ErrChanged is the error of a file that is not, or not any more, what the index says or
// what it was a moment ago: written to, truncated, or replaced.
var ErrChanged = errors.New("file has changed")

// File is a listed file, open for reading blocks. It is safe for concurrent use.
type File struct {
	file  *os.File
	entry Entry
}

// Open opens the file of entry below root. It does not follow symlinks and never leaves
// root. The error matches ErrChanged when the file is not the one that was scanned,
// otherwise it is that of the system; a file that is gone matches fs.ErrNotExist.
func Open(root *os.Root, entry Entry) (*File, error) {
	file, _, err := openRegular(root, entry.Path)
	if err != nil {
		return nil, fmt.Errorf("open entry: %w", err)
	}
	f := &File{file: file, entry: entry}
	if err := f.check(); err != nil {
		file.Close()
		return nil, err
	}
	return f, nil
}

// Entry is what Open was given.
func (f *File) Entry() Entry { return f.entry }

// ReadBlock appends the block at index to dst, as many bytes as seal.BlockLen says. The
// error matches seal.ErrBlock for a block that the entry does not have, ErrChanged for a
// file that has another size or time of change than the entry, otherwise it is that of the
// system.
func (f *File) ReadBlock(index uint32, dst []byte) ([]byte, error) {
	if int64(index) >= seal.Blocks(f.entry.Size) {
		return nil, fmt.Errorf("%w: no block %d", seal.ErrBlock, index)
	}
	start, length := len(dst), seal.BlockLen(f.entry.Size, index)
	dst = slices.Grow(dst, length)[:start+length]
	n, err := f.file.ReadAt(dst[start:], int64(index)*seal.BlockSize)
	if n < length && err != io.EOF {
		return nil, fmt.Errorf("read block %d: %w", index, err)
	}
	// Asked after the read, so that it also tells of a change during it; a read that came
	// short found the file truncated, whatever its times say.
	if err := f.check(); err != nil {
		return nil, err
	}
	if n < length {
		return nil, fmt.Errorf("%w: block %d is short", ErrChanged, index)
	}
	return dst, nil
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

func (f *File) check() error {
	info, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("stat entry: %w", err)
	}
	if now := stampOf(info); now.size != f.entry.Size || now.modified != f.entry.stamp.modified {
		return fmt.Errorf("%w since it was scanned", ErrChanged)
	}
	return nil
}

// openRegular opens a file below root that is a regular file and no symlink to one. What is
// swapped between looking and opening gives ErrChanged.
func openRegular(root *os.Root, path string) (*os.File, fs.FileInfo, error) {
	name := filepath.FromSlash(path)
	looked, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !looked.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%w: it is no regular file", ErrChanged)
	}
	file, err := root.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(looked, info) {
		err = fmt.Errorf("%w: it was replaced", ErrChanged)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}
