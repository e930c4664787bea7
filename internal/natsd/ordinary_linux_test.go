package natsd_test

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// asOrdinaryUser runs f with a folder of its own as a user whom file modes bind. Root
// is not bound, so as root f runs on a thread whose file access is another user's;
// the thread ends with f, because it is never unlocked.
func asOrdinaryUser(t *testing.T, f func(dir string)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "natsd-ordinary-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 {
			const nobody = 65534
			if err := os.Chown(dir, nobody, nobody); err != nil {
				t.Error(err)
				return
			}
			runtime.LockOSThread()
			if err := syscall.Setfsuid(nobody); err != nil {
				t.Error(err)
				return
			}
		}
		f(dir)
	}()
	<-done
	makeWritable(dir)
}
