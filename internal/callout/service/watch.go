package service

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"keyhall.dev/keyhall/internal/fault"
)

// settleTime is how long files have to be left alone before they are read: editors and tools
// write in several steps.
const settleTime = 200 * time.Millisecond

// Run reloads the service whenever again gets a value or one of its files changes, until ctx
// ends. It then ends too, and leaves the service running.
func (s *Service) Run(ctx context.Context, again <-chan os.Signal) error {
	w := s.watcher
	settled := time.After(0) // what changed since the start
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			w.changed() // what is there now is what is being read
			s.reload(ctx, "on request")
		case event := <-w.inner.Events:
			if w.concerns(event.Name) {
				settled = time.After(settleTime)
			}
		case <-w.inner.Errors: // some events may be lost
			settled = time.After(settleTime)
		case <-settled:
			settled = nil
			if w.changed() {
				s.reload(ctx, "its files changed")
			}
		}
	}
}

// reload reloads and says what came of it.
func (s *Service) reload(ctx context.Context, why string) {
	err := s.Reload(ctx)
	switch {
	case err == nil:
		s.say("reloaded (" + why + ")")
	case ctx.Err() == nil:
		s.say("NOT reloaded, and everything is as before: " + err.Error())
	}
}

// watcher sees changes of files. It watches their folders: an editor puts a new file in the
// place of the old one, and a container's secret is a link to another folder each time.
type watcher struct {
	inner *fsnotify.Watcher

	mu      sync.Mutex
	files   map[string]stamp
	folders map[string]bool
}

// stamp tells one state of a file from another.
type stamp struct {
	size int64
	time time.Time
	real string // where links lead
}

func newWatcher() (*watcher, error) {
	inner, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the files of the configuration cannot be watched: %s", err)
	}
	return &watcher{inner: inner, files: make(map[string]stamp), folders: make(map[string]bool)}, nil
}

func (w *watcher) close() { _ = w.inner.Close() } // nothing is lost with it

// follow watches these files too, from before they are read.
func (w *watcher) follow(files []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, file := range files {
		file = filepath.Clean(file)
		if folder := filepath.Dir(file); !w.folders[folder] && w.inner.Add(folder) == nil {
			w.folders[folder] = true
		}
		if _, known := w.files[file]; !known {
			w.files[file] = stampOf(file)
		}
	}
}

// only forgets all other files.
func (w *watcher) only(files []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for file := range w.files {
		if !slices.ContainsFunc(files, func(other string) bool { return filepath.Clean(other) == file }) {
			delete(w.files, file)
		}
	}
}

// concerns reports whether a change in a folder may be one of a file.
func (w *watcher) concerns(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, own := w.files[filepath.Clean(name)]; own {
		return true
	}
	folder := filepath.Dir(name)
	for file, was := range w.files {
		if filepath.Dir(file) == folder && was.real != file {
			return true // it is reached by a link, which may lead elsewhere now
		}
	}
	return false
}

// changed reports whether some file is another than it was, and remembers what it is.
func (w *watcher) changed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := false
	for file, was := range w.files {
		now := stampOf(file)
		changed = changed || now != was
		w.files[file] = now
	}
	return changed
}

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	linked, err := filepath.EvalSymlinks(file)
	if err != nil {
		linked = file
	}
	return stamp{info.Size(), info.ModTime(), linked}
}
