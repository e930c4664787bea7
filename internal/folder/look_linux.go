package folder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// Here a folder below another is opened by its name in that one, and never by way of a
// symlink, so it needs no second look to know it again; and the system says what a name is
// together with it. When nothing has changed, these calls are most of what a scan costs.

// A name as getdents64 gives it: inode, offset and length of the record, what it is, and
// the name up to a zero.
const (
	recordLength = 16 // where two bytes of it are
	recordType   = 18
	recordName   = 19
	namesRoom    = 64 << 10
)

// look reads the names of an open folder and says of each what it is: of a file always all
// that tells it apart, of a folder if stamps says so.
func (w *walker) look(list *os.File, stamps bool, each func(seen, error)) (err error) {
	conn, err := list.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(conn.Control(func(fd uintptr) {
		err = w.lookIn(int(fd), stamps, each) //nolint:gosec // a file descriptor
	}), err)
}

func (w *walker) lookIn(folder int, stamps bool, each func(seen, error)) error {
	if w.names == nil {
		w.names = make([]byte, namesRoom)
	}
	for {
		n, err := again(func() (int, error) { return unix.Getdents(folder, w.names) })
		if err != nil {
			return &fs.PathError{Op: "read", Path: ".", Err: err}
		}
		if n <= 0 {
			return nil
		}
		for records := w.names[:n]; len(records) > recordName; {
			length := int(binary.NativeEndian.Uint16(records[recordLength:]))
			if length <= recordName || length > len(records) {
				return &fs.PathError{Op: "read", Path: ".", Err: unix.EIO}
			}
			name, _, _ := bytes.Cut(records[recordName:length], []byte{0})
			if text := string(name); text != "." && text != ".." {
				each(lookAt(folder, text, records[recordType], stamps))
			}
			records = records[length:]
		}
	}
}

// lookAt says what a name is. Some file systems don't say with the name.
func lookAt(folder int, name string, kind byte, stamps bool) (seen, error) {
	if kind == unix.DT_DIR && !stamps {
		return seen{name: name, mode: fs.ModeDir}, nil
	}
	at := seen{name: name}
	var stat unix.Stat_t
	_, err := again(func() (int, error) { return 0, unix.Fstatat(folder, name, &stat, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return at, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	at.stamp = stamp{
		size: stat.Size, modified: nanos(time.Unix(stat.Mtim.Unix())), changed: nanos(time.Unix(stat.Ctim.Unix())),
		device: uint64(stat.Dev), inode: stat.Ino,
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		at.mode = fs.ModeDir
	case unix.S_IFLNK:
		at.mode = fs.ModeSymlink
	default:
		at.mode = fs.ModeIrregular
	}
	return at, nil
}

// descend reads the folders in an open one.
func (w *walker) descend(
	ctx context.Context, _ *os.Root, _ string, list *os.File, below []subfolder, depth int,
) (err error) {
	conn, err := list.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(conn.Control(func(fd uintptr) {
		err = w.descendIn(ctx, int(fd), below, depth) //nolint:gosec // a file descriptor
	}), err)
}

func (w *walker) descendIn(ctx context.Context, folder int, below []subfolder, depth int) error {
	for _, next := range below {
		err := context.Cause(ctx)
		if err == nil {
			err = w.read(ctx, next, w.folderIn(ctx, folder, next, depth-1))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// folderIn reads a folder in an open one, and those below it down to depth.
func (w *walker) folderIn(ctx context.Context, parent int, next subfolder, depth int) error {
	name := path.Base(next.path)
	folder, err := again(func() (int, error) {
		return unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%w: something else took its place", ErrChanged)
	case err != nil:
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(folder) //nolint:errcheck // only read
	below, err := w.list(ctx, next.path, depth, func(each func(seen, error)) error { return w.lookIn(folder, depth == 0, each) })
	if err != nil {
		return err
	}
	return w.descendIn(ctx, folder, below, depth)
}

// again calls until no signal interrupts the call.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR { //nolint:errorlint // an errno
			return n, err
		}
	}
}
