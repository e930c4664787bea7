package folder

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"keyhall.dev/keyhall/seal"
)

// PartSuffix ends the names of files that Keyhall has not finished writing. They are never
// part of a catalog.
const PartSuffix = ".keyhall-part"

// Options of a scan. The zero Options are good.
type Options struct {
	// Progress, if set, is told how far the scan is: after each folder, and after each
	// piece of a file, of a block at most. It is called by one goroutine at a time and
	// should return at once.
	Progress func(Progress)
}

// Progress is how far a scan is. Files are known only when the walk is over: ToRead and
// ToReadBytes stay 0 until then.
type Progress struct {
	Found       int   // regular files
	ToRead      int   // those of them that have to be read
	ToReadBytes int64 // their sizes, summed up
	Read        int   // files read so far, skipped ones included
	ReadBytes   int64 // bytes read so far
}

// Result is what a scan did.
type Result struct {
	Hashed      int    // files read and hashed
	HashedBytes int64  // their sizes, summed up
	Kept        int    // files at the same place, unchanged, not read
	Moved       int    // files found at another place, not hashed again
	Symlinks    int    // left out
	Special     int    // sockets, devices, pipes and the like, left out
	Parts       int    // unfinished files of Keyhall's own, left out
	Skipped     []Skip // left out for a reason, in order of path
}

// Skip is a file or folder that a scan left out, and why: seal.ErrPath, ErrChanged,
// seal.ErrSize or what the system said. Path may hold anything, even bytes that are not
// UTF-8.
type Skip struct {
	Path string
	Err  error
}

// Scan finds the regular files below dir and gives an index of them. With the previous index
// of the same folder, or nil, it hashes only what is new or has changed, in parallel, one
// file for each processor that Go may use. The index has the next revision if its listing is
// another, and is previous itself where nothing at all has changed.
//
// Files that have to be left out are in the result; an error means that there is no index:
// dir can't be read, or ctx ended. The error of a folder that is gone matches
// fs.ErrNotExist.
func Scan(ctx context.Context, dir string, previous *Index, options Options) (*Index, Result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, Result{}, fmt.Errorf("scan folder: %w", err)
	}
	defer root.Close()
	s := &scan{root: root, report: options.Progress}
	found, err := s.walk(ctx)
	if err != nil {
		return nil, Result{}, fmt.Errorf("scan folder: %w", err)
	}
	files := s.compare(found, previous)
	if err := s.readAll(ctx, files); err != nil {
		return nil, Result{}, fmt.Errorf("scan folder: %w", err)
	}
	slices.SortFunc(s.result.Skipped, func(a, b Skip) int { return strings.Compare(a.Path, b.Path) })
	return s.index(files, previous), s.result, nil
}

// scan is one scan on its way.
type scan struct {
	root   *os.Root
	report func(Progress)
	result Result
	progress
}

// task says what is still to be found out about a file.
type task uint8

const (
	done   task = iota // nothing: its entry is complete
	sniff              // its type: it moved, and its name may say something else now
	digest             // its address and its type
)

// file is a regular file of the folder on its way to being an entry.
type file struct {
	Entry
	task task
	err  error // why it is left out
}

// compare takes over from previous what is known of each file. It sorts found.
func (s *scan) compare(found []*file, previous *Index) []*file {
	slices.SortFunc(found, func(a, b *file) int { return strings.Compare(a.Path, b.Path) })
	// A folder that changes while it is read may give a name twice.
	found = slices.CompactFunc(found, func(a, b *file) bool { return a.Path == b.Path })
	if previous == nil {
		return found
	}
	gone := matchInPlace(found, previous.entries)
	for _, f := range found {
		if f.task == done {
			s.result.Kept++
			continue
		}
		id, ok := f.stamp.identity()
		if old := gone[id]; ok && old != nil {
			f.Root, f.leaves, f.task = old.Root, old.leaves, sniff
		}
	}
	return found
}

// matchInPlace completes the files that are unchanged where they were, and gives the entries
// whose files are no longer there. Both lists are in order of path.
//
// An entry whose inode is still at its path is not gone, even if it is changed: else a file
// that was written to and given its old time again would be taken for its own old self.
func matchInPlace(found []*file, entries []Entry) map[identity]*Entry {
	gone := map[identity]*Entry{}
	i := 0
	for e := range entries {
		old := &entries[e]
		for i < len(found) && found[i].Path < old.Path {
			i++
		}
		here := i < len(found) && found[i].Path == old.Path
		if here && found[i].stamp.unchanged(old.stamp) {
			f := found[i]
			f.Type, f.Root, f.leaves, f.task = old.Type, old.Root, old.leaves, done
			continue
		}
		id, ok := old.stamp.identity()
		if ok && !(here && found[i].stamp.inode == old.stamp.inode) {
			gone[id] = old
		}
	}
	return gone
}

// index makes the index out of the files that were not left out.
func (s *scan) index(files []*file, previous *Index) *Index {
	var descriptions map[string]string
	if previous != nil {
		descriptions = previous.descriptions
	}
	files = slices.DeleteFunc(files, func(f *file) bool { return f.err != nil })
	for _, f := range files {
		f.Size, f.Modified, f.Description = f.stamp.size, listed(f.stamp.modified), descriptions[f.Path]
	}
	if previous != nil && slices.EqualFunc(files, previous.entries, sameEntry) {
		return previous // nobody has to store it again
	}
	entries := make([]Entry, 0, len(files))
	for _, f := range files {
		entries = append(entries, f.Entry)
	}
	return successor(previous, entries, descriptions)
}

// sameEntry reports whether a file is what an entry says, down to what is known of it on disk.
func sameEntry(f *file, e Entry) bool { return f.Entry.Entry == e.Entry && f.stamp == e.stamp }

// skip notes that path is left out.
func (r *Result) skip(path string, err error) { r.Skipped = append(r.Skipped, Skip{path, err}) }

// leftOut adds what a part of the walk left out.
func (r *Result) leftOut(part *Result) {
	r.Symlinks += part.Symlinks
	r.Special += part.Special
	r.Parts += part.Parts
	r.Skipped = append(r.Skipped, part.Skipped...)
}

// checkSize refuses what is too large to have an address.
func checkSize(size int64) error {
	if seal.Blocks(size) == 0 {
		return fmt.Errorf("%w: %d bytes", seal.ErrSize, size)
	}
	return nil
}
