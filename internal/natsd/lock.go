package natsd

import (
	"errors"
	"os"
	"path/filepath"

	"keyhall.dev/keyhall/internal/fault"
)

const lockFile = "hub.lock"

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked by another process")

// folderLock keeps a second hub out of a data folder. The operating system holds it
// and lets go when the process ends, however it ends; the file itself stays, since
// removing it would let two hubs lock two files of one name.
type folderLock struct{ file *os.File }

func lockFolder(dataDir string) (*folderLock, error) {
	path := filepath.Join(dataDir, lockFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the hub cannot open %s (%s): run it as the owner of the folder", path, reason(err))
	}
	err = lockExclusive(file)
	if err == nil {
		return &folderLock{file: file}, nil
	}
	err = errors.Join(err, file.Close())
	if !errors.Is(err, errLocked) {
		return nil, fault.Wrap(fault.Internal, err, "the folder %s cannot be locked: keep a hub's data on a local disk", dataDir)
	}
	if run, readErr := ReadRun(dataDir); readErr == nil {
		return nil, fault.Wrap(fault.Unavailable, err, "a hub is already running in %s (process %d): "+
			"stop it first, or choose another folder with --data", dataDir, run.PID)
	}
	return nil, fault.Wrap(fault.Unavailable, err, "a hub is already running in %s: "+
		"stop it first, or choose another folder with --data", dataDir)
}

// release lets another hub in. Closing the file drops the lock.
func (l *folderLock) release() error { return l.file.Close() }
