//go:build !linux

package natsd_test

import (
	"os"
	"runtime"
	"testing"
)

// asOrdinaryUser runs f with a folder of its own, where file modes bind this user.
func asOrdinaryUser(t *testing.T, f func(dir string)) {
	t.Helper()
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("file modes do not bind this user")
	}
	dir := t.TempDir()
	f(dir)
	makeWritable(dir)
}
