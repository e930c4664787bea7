//go:build !linux

package folder

import "os"

// look reads the names of an open folder and says of each what it is. What is known of it was
// asked for through the folder while that was read, as package os does for folders within a
// root.
func look(list *os.File, each func(seen, error)) error {
	entries, err := list.ReadDir(-1)
	for _, entry := range entries {
		at := seen{name: entry.Name()}
		info, infoErr := entry.Info()
		if infoErr == nil {
			at.info, at.stamp, at.mode = info, stampOf(info), info.Mode().Type()
		}
		each(at, infoErr)
	}
	return err
}
