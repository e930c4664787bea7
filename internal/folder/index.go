package folder

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"keyhall.dev/keyhall/seal"
)

var (
	// ErrNoEntry is the error of a path that the index does not have.
	ErrNoEntry = errors.New("no such entry")
	// ErrTooLarge is the error of a folder whose listing would have more than
	// seal.MaxListing bytes.
	ErrTooLarge = errors.New("folder has too many files for a listing")
)

// Entry is one file: what a listing says of it, and by what to know it again on disk.
type Entry struct {
	seal.Entry
	stamp  stamp
	leaves []seal.Hash // of every block
}

// Index is what a scan found, and what its owner said about it. It does not change and is
// safe for concurrent use.
type Index struct {
	revision     uint64
	entries      []Entry           // in bytewise order of path
	descriptions map[string]string // by path, also of files that are gone
}

// Revision numbers the contents of the folder, from 1: two indexes made from one another
// have the same revision exactly when their listings are the same but for the catalog's
// name and this number.
func (x *Index) Revision() uint64 { return x.revision }

// Len is the number of entries.
func (x *Index) Len() int { return len(x.entries) }

// All gives the entries in bytewise order of path.
func (x *Index) All() iter.Seq[Entry] { return slices.Values(x.entries) }

// Lookup finds the entry at path.
func (x *Index) Lookup(path string) (Entry, bool) {
	i, found := x.find(path)
	if !found {
		return Entry{}, false
	}
	return x.entries[i], true
}

func (x *Index) find(path string) (int, bool) {
	return slices.BinarySearchFunc(x.entries, path, func(e Entry, path string) int {
		return strings.Compare(e.Path, path)
	})
}

// Tree is the block tree of the entry at path, from the leaves of the index; it hashes about
// as many nodes as the file has blocks, and reads no file. The error matches ErrNoEntry.
func (x *Index) Tree(path string) (*seal.Tree, error) {
	e, ok := x.Lookup(path)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoEntry, path)
	}
	return seal.NewTree(e.Size, e.leaves)
}

// Listing is the listing of docs/protocol/transfers.md under the name of the catalog: JSON
// lines, to be sealed before anybody gets them. The error matches ErrTooLarge, or
// seal.ErrMalformed for a name that is none.
func (x *Index) Listing(catalog string) ([]byte, error) {
	header := seal.ListingHeader{Catalog: catalog, Revision: x.revision, Entries: len(x.entries)}
	listing, err := seal.AppendHeader(nil, header)
	for i := 0; i < len(x.entries) && err == nil; i++ {
		if listing, err = seal.AppendEntry(listing, x.entries[i].Entry); len(listing) > seal.MaxListing {
			return nil, ErrTooLarge
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list folder: %w", err)
	}
	return listing, nil
}

// Describe gives an index in which text describes the entry at path, or nothing does if text
// is empty. The description stays with the path through later scans. The error matches
// ErrNoEntry, or seal.ErrMalformed for text that is too long or not UTF-8.
func (x *Index) Describe(path, text string) (*Index, error) {
	if err := seal.CheckDescription(text); err != nil {
		return nil, err
	}
	i, found := x.find(path)
	if !found && (text != "" || x.descriptions[path] == "") {
		return nil, fmt.Errorf("%w: %q", ErrNoEntry, path)
	}
	descriptions := maps.Clone(x.descriptions)
	if descriptions == nil {
		descriptions = map[string]string{}
	}
	descriptions[path] = text
	if text == "" {
		delete(descriptions, path)
	}
	entries := x.entries
	if found {
		entries = slices.Clone(entries)
		entries[i].Description = text
	}
	return successor(x, entries, descriptions), nil
}

// successor is the index that follows previous (nil: none) with these entries, in order. It
// has the next revision if its listing is another.
func successor(previous *Index, entries []Entry, descriptions map[string]string) *Index {
	next := &Index{revision: 1, entries: entries, descriptions: descriptions}
	if previous != nil {
		next.revision = previous.revision
		if !slices.EqualFunc(previous.entries, entries, func(a, b Entry) bool { return a.Entry == b.Entry }) {
			next.revision++
		}
	}
	return next
}
