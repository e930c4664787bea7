//go:build !windows

package client

import (
	"io/fs"
	"os"
	"syscall"
)

const unixPermissions = true

// isOwn reports whether a file is the member's, and has one name only.
func isOwn(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || (int(stat.Uid) == os.Geteuid() && stat.Nlink == 1)
}
