package folder

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// look reads the names of an open folder and says of each what it is, as package os does for
// folders within a root, but keeps only what is needed: this is most of what a scan costs
// when nothing has changed.
func look(list *os.File, each func(seen, error)) error {
	names, err := list.Readdirnames(-1)
	conn, connErr := list.SyscallConn()
	if connErr != nil {
		return connErr
	}
	connErr = conn.Control(func(fd uintptr) {
		for _, name := range names {
			each(lookAt(int(fd), name)) //nolint:gosec // a file descriptor
		}
	})
	if connErr != nil {
		return connErr
	}
	return err
}

func lookAt(folder int, name string) (seen, error) {
	var stat unix.Stat_t
	err := unix.Fstatat(folder, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	for err == unix.EINTR {
		err = unix.Fstatat(folder, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	}
	at := seen{name: name}
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
