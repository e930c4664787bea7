//go:build unix

package natsd

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockExclusive takes flock(2): unlike fcntl locks it also keeps out a second hub in
// the same process, and is not lost when some other code closes the file.
func lockExclusive(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
