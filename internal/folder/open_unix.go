//go:build unix

package folder

import (
	"os"
	"syscall"
)

// openFlags make opening return at once should a pipe have taken a file's place.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// syncDir makes a rename inside dir survive a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
