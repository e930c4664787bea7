//go:build windows

package natsd

import (
	"errors"

	"golang.org/x/sys/windows"
)

// checkPrivate has nothing to look at: on Windows a profile folder is private by its
// inherited access list, which file modes do not show.
func checkPrivate(string) error { return nil }

// syncFolder has nothing to do: folders cannot be flushed on Windows.
func syncFolder(string) error { return nil }

func addressInUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }
