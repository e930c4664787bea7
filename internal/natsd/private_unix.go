//go:build unix

package natsd

import (
	"errors"
	"os"
	"syscall"

	"keyhall.dev/keyhall/internal/fault"
)

// checkPrivate refuses what group or others may read or change. It is not repaired in
// silence: who could read a key may have copied it, and the host should know.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return unreadable(path, err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	private := "600"
	if info.IsDir() {
		private = "700"
	}
	return fault.New(fault.Refused, "%s is open to other users of this machine (mode %o): "+
		"run chmod %s on it, and if they are strangers treat the hub's keys as stolen", path, info.Mode().Perm(), private)
}

// syncFolder makes a rename in dir outlive a power failure.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func addressInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
