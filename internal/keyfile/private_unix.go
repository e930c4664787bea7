//go:build unix

package keyfile

import (
	"os"
	"syscall"

	"keyhall.dev/keyhall/internal/fault"
)

// CheckPrivate refuses a file that others than its user may read or change, and says how to
// close it. A group may read a file of somebody else's: so containers are handed secrets.
func CheckPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	open := info.Mode().Perm() & 0o077
	if system, ok := info.Sys().(*syscall.Stat_t); ok && int(system.Uid) != os.Geteuid() {
		open &^= 0o040
	}
	if open == 0 {
		return nil
	}
	return fault.New(fault.Refused, "%s is open to other users of this machine (mode %o): run chmod 600 %s, "+
		"and if they are strangers make a new key", path, info.Mode().Perm(), path)
}
