package seal

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
)

// readSize is how much HashReader asks for at a time: half a block, which stays in the
// processor's cache between being read and being hashed.
const readSize = BlockSize / 2

// Content is what hashing a content gives: its length in bytes, its address, and the leaves
// that NewTree takes, one for each block.
type Content struct {
	Size   int64
	Root   Hash
	Leaves []Hash
}

// Hasher is a writer that names what is written to it. It holds no data, only the leaves:
// 32 bytes for every block. The zero Hasher is ready to use; it is not safe for concurrent
// use.
type Hasher struct {
	block  hash.Hash // of the block that is being written, its label included
	filled int       // bytes of that block so far
	size   int64
	leaves []Hash
}

// Reset makes h ready for another content and keeps what it has allocated for itself.
func (h *Hasher) Reset() {
	h.filled, h.size, h.leaves = 0, 0, nil
	h.begin()
}

// Write takes the next bytes of the content. Its only error matches ErrSize: more than
// MaxSize bytes.
func (h *Hasher) Write(p []byte) (int, error) {
	if int64(len(p)) > MaxSize-h.size {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrSize, int64(MaxSize))
	}
	if h.block == nil {
		h.begin()
	}
	written := len(p)
	for len(p) > 0 {
		// A full block is closed only when more comes: a content never ends with an
		// empty block unless it is empty altogether.
		if h.filled == BlockSize {
			h.leaves = append(h.leaves, h.leaf())
			h.begin()
		}
		part := p[:min(len(p), BlockSize-h.filled)]
		h.block.Write(part)
		h.filled += len(part)
		p = p[len(part):]
	}
	h.size += int64(written)
	return written, nil
}

// Sum is the content of what was written so far. More may be written afterwards.
func (h *Hasher) Sum() Content {
	if h.block == nil {
		h.begin()
	}
	leaves := append(h.leaves[:len(h.leaves):len(h.leaves)], h.leaf())
	return Content{Size: h.size, Root: rootOf(h.size, leaves), Leaves: leaves}
}

func (h *Hasher) begin() {
	if h.block == nil {
		h.block = sha256.New()
	}
	h.block.Reset()
	h.block.Write([]byte{leafLabel})
	h.filled = 0
}

func (h *Hasher) leaf() Hash {
	var leaf Hash
	h.block.Sum(leaf[:0])
	return leaf
}

// HashReader reads r to its end, once, and names what it read. It holds one buffer and the
// leaves. An error of r is returned as it is; more than MaxSize bytes give an error that
// matches ErrSize.
func HashReader(r io.Reader) (Content, error) {
	var h Hasher
	buf := make([]byte, readSize)
	for {
		n, err := r.Read(buf)
		if _, tooLong := h.Write(buf[:n]); tooLong != nil {
			return Content{}, tooLong
		}
		if err == io.EOF {
			return h.Sum(), nil
		}
		if err != nil {
			return Content{}, err
		}
	}
}
