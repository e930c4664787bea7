package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/folder"
	"keyhall.dev/keyhall/seal"
)

const (
	filesAtOnce = 8
	maxFetch    = 1 << 40 // bytes of a file: what it is said to have takes memory before anything comes
)

// ErrPartly is the error of a folder of which some files could not be fetched.
var ErrPartly = errors.New("some files could not be fetched")

// Progress is how far a file is, in bytes.
type Progress struct {
	Path string `json:"path"`
	Done int64  `json:"done"`
	Size int64  `json:"size"`
}

// Fetched is what was fetched. Files that were there already count as files and not as
// bytes.
type Fetched struct {
	Files   int     `json:"files"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// Get fetches a file or a folder, OWNER/NAME[/PATH], to dest: into it if it is a folder,
// as it otherwise. Every block is verified before it is written, and the whole file
// before it gets its name. What an interrupted Get left is taken up again; a file of the
// same content is left alone, another one is never overwritten. progress may be nil.
//
// If single files of a folder fail, the others are fetched all the same, and the error
// matches ErrPartly.
func (c *Client) Get(ctx context.Context, ref, dest string, progress func(Progress)) (Fetched, error) {
	began := time.Now()
	listing, share, err := c.list(ctx, ref)
	if err != nil {
		return Fetched{}, err
	}
	g := &getter{c: c, share: share, progress: progress}
	plan, err := g.plan(ref, dest, listing)
	if err != nil {
		return Fetched{}, err
	}
	defer g.root.Close() //nolint:errcheck // nothing is written through it any more
	err = c.whyGone(ctx, share, g.run(ctx, plan))
	g.fetched.Seconds = time.Since(began).Seconds()
	return g.fetched, err
}

// getter fetches files into one folder, which nothing can lead out of.
type getter struct {
	c        *Client
	share    *InboxItem
	root     *os.Root
	progress func(Progress)

	mu      sync.Mutex
	fetched Fetched
	failed  []error
}

// wanted is an entry and where it goes, relative to the getter's folder.
type wanted struct {
	entry  seal.Entry
	target string
}

// plan decides where everything goes and opens the folder.
func (g *getter) plan(ref, dest string, listing *Listing) ([]wanted, error) {
	_, name, below, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	single := len(listing.Entries) == 1 && listing.Entries[0].Path == below
	into, rename := dest, ""
	info, err := os.Stat(dest)
	isDir := err == nil && info.IsDir()
	if single && !isDir && !strings.HasSuffix(dest, string(filepath.Separator)) {
		into, rename = filepath.Split(dest)
		if into == "" {
			into = "."
		}
	}
	if err := os.MkdirAll(into, 0o777); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the folder %s cannot be made: %v", into, errors.Unwrap(err))
	}
	if g.root, err = os.OpenRoot(into); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the folder %s cannot be used: %v", into, errors.Unwrap(err))
	}
	plan := make([]wanted, 0, len(listing.Entries))
	for _, entry := range listing.Entries {
		target := rename
		if target == "" {
			target = targetOf(entry.Path, name, below, single)
		}
		plan = append(plan, wanted{entry, filepath.FromSlash(target)})
	}
	return plan, nil
}

// targetOf is where an entry goes: a single file under its own name, a folder under its
// name with everything in it, a catalog under the catalog's name.
func targetOf(entry, name, below string, single bool) string {
	switch {
	case single:
		return path.Base(entry)
	case below == "":
		return path.Join(name, entry)
	}
	return path.Join(path.Base(below), strings.TrimPrefix(entry, below))
}

func (g *getter) run(ctx context.Context, plan []wanted) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(filesAtOnce)
	for _, one := range plan {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return g.one(ctx, one, len(plan) == 1) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil && len(g.failed) == 0 && g.fetched.Files < len(plan) {
		return err
	}
	if len(g.failed) > 0 {
		return fault.Wrap(fault.Unavailable, errors.Join(append([]error{ErrPartly}, g.failed...)...),
			"%d of %d files could not be fetched: %v", len(g.failed), len(plan), g.failed[0])
	}
	return nil
}

// one fetches a file. What goes wrong with it alone is noted; that the owner is gone, or
// the member gave up, ends everything.
func (g *getter) one(ctx context.Context, w wanted, only bool) error {
	bytes, err := g.fetch(ctx, w)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.fetched.Files++
		g.fetched.Bytes += bytes
		return nil
	case only, errors.Is(err, ErrOffline), errors.Is(err, context.Canceled), fault.Is(err, fault.Refused):
		return err
	}
	g.failed = append(g.failed, err)
	return nil
}

func (g *getter) fetch(ctx context.Context, w wanted) (int64, error) {
	if w.entry.Size > maxFetch {
		return 0, fault.New(fault.TooLarge, "%q is said to have %d bytes; at most %d are fetched", w.entry.Path, w.entry.Size, int64(maxFetch))
	}
	if there, err := g.there(w); there || err != nil {
		return 0, err
	}
	if dir := filepath.Dir(w.target); dir != "." {
		if err := g.root.MkdirAll(dir, 0o777); err != nil {
			return 0, g.writeError(w, err)
		}
	}
	part, err := g.openPart(w)
	if err != nil {
		return 0, err
	}
	defer part.file.Close() //nolint:errcheck // closed with a check before it gets its name
	if err := g.fill(ctx, w, part); err != nil {
		if part.done == 0 {
			_ = g.root.Remove(part.name) // there is nothing in it to be taken up again
		}
		return 0, err
	}
	return part.fetched, g.finish(w, part)
}

// there reports whether the file is there already; another one of that name is an error.
func (g *getter) there(w wanted) (bool, error) {
	info, err := g.root.Lstat(w.target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, g.writeError(w, err)
	}
	if info.Mode().IsRegular() && info.Size() == w.entry.Size {
		file, err := g.root.Open(w.target)
		if err != nil {
			return false, g.writeError(w, err)
		}
		defer file.Close() //nolint:errcheck // only read
		if sum, err := seal.HashReader(file); err == nil && sum.Root == w.entry.Root {
			return true, nil
		}
	}
	return false, fault.New(fault.Taken, "%q is there already and is not the same; move it away first", w.target)
}

func (g *getter) writeError(w wanted, err error) error {
	cause := err
	for next := errors.Unwrap(cause); next != nil; next = errors.Unwrap(next) {
		cause = next
	}
	return fault.Wrap(fault.Internal, err, "%q cannot be written: %v", w.target, cause)
}

// part is a file that is not finished: its name says so, and it is never taken for the
// real one.
type part struct {
	name    string
	file    *os.File
	leaves  []seal.Hash
	have    []bool
	fetched int64

	mu   sync.Mutex
	done int64
}

// openPart opens the unfinished file, and takes up the blocks that are in it: each is
// hashed, and whether they belong is seen when the whole tree is checked.
func (g *getter) openPart(w wanted) (*part, error) {
	sum := sha256.Sum256([]byte(w.target + "\x00" + w.entry.Root.String()))
	name := filepath.Join(filepath.Dir(w.target), "."+hex.EncodeToString(sum[:12])+folder.PartSuffix)
	file, err := g.openOwn(name)
	if err != nil {
		return nil, g.writeError(w, err)
	}
	blocks := seal.Blocks(w.entry.Size)
	p := &part{name: name, file: file, leaves: make([]seal.Hash, blocks), have: make([]bool, blocks)}
	if err := p.takeUp(w.entry.Size); err != nil {
		_ = file.Close()
		return nil, g.writeError(w, err)
	}
	return p, nil
}

// openOwn opens what the member has left under a name, or a new file. Anything else that has
// the name, such as a link that somebody put there, goes; what it leads to is not touched.
func (g *getter) openOwn(name string) (file *os.File, err error) {
	for range 3 { // another program of the member's may be making it
		left, err := g.root.Lstat(name)
		if err == nil && left.Mode().IsRegular() && isOwn(left) {
			if file, err = g.root.OpenFile(name, os.O_RDWR, 0); err != nil {
				return nil, err
			}
			if now, err := file.Stat(); err == nil && os.SameFile(left, now) {
				return file, nil
			}
			_ = file.Close() // it was replaced meanwhile
		}
		if err := g.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		file, err = g.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
	}
	return nil, err
}

// takeUp hashes what an interrupted fetch left. Blocks are written in no order; one that
// was never written is zeros, or beyond the end.
func (p *part) takeUp(size int64) error {
	info, err := p.file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	buffer := make([]byte, seal.BlockSize)
	for i := range p.leaves {
		length := seal.BlockLen(size, uint32(i)) //nolint:gosec // fewer than 2³² blocks
		offset := int64(i) * seal.BlockSize
		if length == 0 || offset+int64(length) > info.Size() {
			continue
		}
		block := buffer[:length]
		if _, err := p.file.ReadAt(block, offset); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if allZero(block) {
			continue
		}
		p.leaves[i], p.have[i] = seal.Leaf(block), true
		p.done += int64(length)
	}
	return nil
}

func allZero(block []byte) bool {
	for _, b := range block {
		if b != 0 {
			return false
		}
	}
	return true
}

func (p *part) missing() []uint32 {
	var indexes []uint32
	for i, have := range p.have {
		if !have {
			indexes = append(indexes, uint32(i)) //nolint:gosec // fewer than 2³² blocks
		}
	}
	return indexes
}

// forget drops what was taken up.
func (p *part) forget() {
	clear(p.have)
	p.done = 0
}

// fill pulls what is missing, and everything if what was there does not belong.
func (g *getter) fill(ctx context.Context, w wanted, p *part) error {
	from := &source{c: g.c, share: g.share, entry: w.entry.Path, root: w.entry.Root}
	for range 2 {
		if missing := p.missing(); len(missing) > 0 {
			opened, err := from.openSized(ctx, w.entry.Size)
			if err != nil {
				return err
			}
			pulling := &download{source: from, take: func(index uint32, data []byte) error { return g.write(w, p, index, data) }}
			if err := pulling.run(ctx, opened, missing); err != nil {
				return err
			}
		}
		tree, err := seal.NewTree(w.entry.Size, p.leaves)
		if err == nil && tree.Root() == w.entry.Root {
			return nil
		}
		p.forget() // a leftover of another time, or a disk that changed it
	}
	return fault.New(fault.Internal, "%q does not read back from the disk as it was written", w.target)
}

// write writes a verified block.
func (g *getter) write(w wanted, p *part, index uint32, data []byte) error {
	if _, err := p.file.WriteAt(data, int64(index)*seal.BlockSize); err != nil {
		return g.writeError(w, err)
	}
	leaf := seal.Leaf(data)
	p.mu.Lock()
	p.leaves[index], p.have[index] = leaf, true
	p.done += int64(len(data))
	p.fetched += int64(len(data))
	done := p.done
	p.mu.Unlock()
	if g.progress != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.progress(Progress{Path: w.entry.Path, Done: done, Size: w.entry.Size})
	}
	return nil
}

// finish gives the file its name: after it is whole, and on the disk.
func (g *getter) finish(w wanted, p *part) error {
	err := errors.Join(p.file.Truncate(w.entry.Size), p.file.Chmod(0o644), p.file.Sync(), p.file.Close())
	if err != nil {
		return g.writeError(w, err)
	}
	if _, err := g.root.Lstat(w.target); err == nil {
		return fault.New(fault.Taken, "%q appeared meanwhile; it was left alone", w.target)
	}
	if err := g.root.Rename(p.name, w.target); err != nil {
		return g.writeError(w, err)
	}
	if err := g.root.Chtimes(w.target, time.Time{}, w.entry.Modified); err != nil {
		return fmt.Errorf("set time of %q: %w", w.target, err)
	}
	return nil
}
