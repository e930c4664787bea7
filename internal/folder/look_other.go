//go:build !linux

package folder

import (
	"context"
	"os"
	"path"
)

// look reads the names of an open folder and says of each what it is. What is known of it was
// asked for through the folder while that was read, as package os does for folders within a
// root.
func (w *walker) look(list *os.File, _ bool, each func(seen, error)) error {
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

// descend reads the folders in the one that is called name in from.
func (w *walker) descend(
	ctx context.Context, from *os.Root, name string, _ *os.File, below []subfolder, depth int,
) error {
	dir, err := from.OpenRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, next := range below {
		if err := w.enter(ctx, dir, path.Base(next.path), next, depth-1); err != nil {
			return err
		}
	}
	return nil
}
