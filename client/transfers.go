package client

import (
	"context"
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/folder"
	"keyhall.dev/keyhall/seal"
)

// The bounds of transfers, of docs/protocol/transfers.md.
const (
	transferIdle    = time.Minute
	transferLife    = time.Hour
	transfersAtOnce = 64 // of one account
	spareBlocks     = 64 // answered beyond twice the content's
)

// newBlockBuffers keeps the buffers in which blocks are read and sealed.
func newBlockBuffers() *sync.Pool {
	return &sync.Pool{New: func() any {
		buffer := make([]byte, 0, seal.MaxBlockMessage)
		return &buffer
	}}
}

// content is what a transfer hands over.
type content interface {
	ReadBlock(index uint32, dst []byte) ([]byte, error)
	Tree() *seal.Tree
	Size() int64
	Close() error
}

// fileContent is an entry of a catalog.
type fileContent struct {
	file *folder.File
	tree *seal.Tree
	size int64
}

func (f *fileContent) ReadBlock(index uint32, dst []byte) ([]byte, error) {
	return f.file.ReadBlock(index, dst)
}
func (f *fileContent) Tree() *seal.Tree { return f.tree }
func (f *fileContent) Size() int64      { return f.size }
func (f *fileContent) Close() error     { return f.file.Close() }

// memoryContent is a listing.
type memoryContent struct {
	data []byte
	tree *seal.Tree
}

func newMemoryContent(data []byte) (*memoryContent, error) {
	var hasher seal.Hasher
	if _, err := hasher.Write(data); err != nil {
		return nil, err
	}
	sum := hasher.Sum()
	tree, err := seal.NewTree(sum.Size, sum.Leaves)
	return &memoryContent{data: data, tree: tree}, err
}

func (m *memoryContent) ReadBlock(index uint32, dst []byte) ([]byte, error) {
	length := seal.BlockLen(int64(len(m.data)), index)
	start := int(index) * seal.BlockSize
	if start+length > len(m.data) {
		return nil, seal.ErrBlock
	}
	return append(dst, m.data[start:start+length]...), nil
}
func (m *memoryContent) Tree() *seal.Tree { return m.tree }
func (m *memoryContent) Size() int64      { return int64(len(m.data)) }
func (m *memoryContent) Close() error     { return nil }

// transfer is one that the owner answers.
type transfer struct {
	id      [16]byte
	reader  string // account
	catalog string
	grant   string
	keys    *seal.Keys
	content content
	expires time.Time

	mu     sync.Mutex
	window seal.Window
	left   int64 // blocks that may still be answered
	used   time.Time
	closed bool
	active int // reads being answered
}

// transfers are those that a serving program answers.
type transfers struct {
	mu   sync.Mutex
	byID map[[16]byte]*transfer
	of   map[string]int // by account
}

func newTransfers() *transfers {
	return &transfers{byID: make(map[[16]byte]*transfer), of: make(map[string]int)}
}

// add begins to answer t; false if its reader has too many already.
func (t *transfers) add(one *transfer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[one.reader] >= transfersAtOnce {
		return false
	}
	one.left = 2*seal.Blocks(one.content.Size()) + spareBlocks
	one.used = time.Now()
	t.byID[one.id] = one
	t.of[one.reader]++
	return true
}

// get finds a transfer for a read, which must end with done.
func (t *transfers) get(id [16]byte) *transfer {
	t.mu.Lock()
	one := t.byID[id]
	t.mu.Unlock()
	if one == nil {
		return nil
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.closed {
		return nil
	}
	one.active++
	one.used = time.Now()
	return one
}

// done ends a read; a transfer that was closed meanwhile lets go of its file.
func (one *transfer) done() {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.active--
	if one.closed && one.active == 0 {
		_ = one.content.Close()
	}
}

// take counts a read of so many blocks; false where it may not be answered.
func (one *transfer) take(counter uint64, blocks int) bool {
	one.mu.Lock()
	defer one.mu.Unlock()
	if !one.window.Accept(counter) || one.left < int64(blocks) {
		return false
	}
	one.left -= int64(blocks)
	return true
}

// close ends a transfer.
func (t *transfers) close(one *transfer) {
	t.mu.Lock()
	if t.byID[one.id] == one {
		delete(t.byID, one.id)
		if t.of[one.reader]--; t.of[one.reader] == 0 {
			delete(t.of, one.reader)
		}
	}
	t.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	if !one.closed && one.active == 0 {
		_ = one.content.Close()
	}
	one.closed = true
}

func (t *transfers) all() []*transfer {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*transfer, 0, len(t.byID))
	for _, one := range t.byID {
		all = append(all, one)
	}
	return all
}

func (t *transfers) closeAll() {
	for _, one := range t.all() {
		t.close(one)
	}
}

// expire closes transfers that nobody reads any more, until ctx ends.
func (t *transfers) expire(ctx context.Context) {
	ticker := time.NewTicker(transferIdle / 6)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, one := range t.all() {
				one.mu.Lock()
				old := now.Sub(one.used) > transferIdle || now.After(one.expires)
				one.mu.Unlock()
				if old {
					t.close(one)
				}
			}
		}
	}
}
