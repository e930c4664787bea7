package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Sizes in bytes. With MaxSize a block's index always fits in 32 bits.
const (
	BlockSize = 256 << 10 // of every block but the last
	MaxSize   = 1 << 50   // of a content
	MaxProof  = 32        // hashes in the proof of a block of a content of MaxSize
)

// The first byte of what is hashed keeps leaves, nodes and roots apart.
const (
	leafLabel = 0x00
	nodeLabel = 0x01
	rootLabel = 0x02
)

var (
	// ErrBlock is the error of a block that is not the content's at that place.
	ErrBlock = errors.New("block does not belong to the content")
	// ErrSize is the error of a size that a content can't have, or that does not fit
	// the number of its leaves.
	ErrSize = errors.New("not the size of a content")
)

// Blocks is the number of blocks of a content of size bytes: at least one, since an
// empty content has one empty block. It is 0 for a size outside 0 to MaxSize.
func Blocks(size int64) int64 {
	if size < 0 || size > MaxSize {
		return 0
	}
	return max(1, (size+BlockSize-1)/BlockSize)
}

// BlockLen is the length in bytes of the block at index of a content of size bytes, and 0
// for a block that the content does not have.
func BlockLen(size int64, index uint32) int {
	if int64(index) >= Blocks(size) {
		return 0
	}
	return int(min(BlockSize, size-int64(index)*BlockSize))
}

// ProofLen is the number of hashes in the proof of the block at index of a content of size
// bytes, 0 to MaxProof; 0 also for a block that the content does not have.
func ProofLen(size int64, index uint32) int {
	n := Blocks(size)
	if int64(index) >= n {
		return 0
	}
	length := 0
	for i, last := uint64(index), uint64(n-1); last > 0; i, last = i>>1, last>>1 {
		if hasSibling(i, last) {
			length++
		}
	}
	return length
}

// hasSibling reports whether the node i of a level that ends with the node last has a
// partner. The last node of an odd level has none and rises as it is, which gives the shape
// of RFC 6962 without recursion.
func hasSibling(i, last uint64) bool { return i&1 == 1 || i < last }

// Leaf is the hash of one block's data.
func Leaf(data []byte) Hash {
	var leaf Hash
	h := sha256.New()
	h.Write([]byte{leafLabel})
	h.Write(data)
	h.Sum(leaf[:0])
	return leaf
}

func node(left, right Hash) Hash {
	var in [1 + 2*sha256.Size]byte
	in[0] = nodeLabel
	copy(in[1:], left[:])
	copy(in[1+sha256.Size:], right[:])
	return sha256.Sum256(in[:])
}

func address(size int64, top Hash) Hash {
	var in [1 + 8 + 4 + sha256.Size]byte
	in[0] = rootLabel
	binary.BigEndian.PutUint64(in[1:], uint64(size))
	binary.BigEndian.PutUint32(in[9:], BlockSize)
	copy(in[13:], top[:])
	return sha256.Sum256(in[:])
}

// RootOf is the root of a content of size bytes over its leaves, without the memory of a
// Tree. The error matches ErrSize when a content of that size does not have that many blocks.
func RootOf(size int64, leaves []Hash) (Hash, error) {
	if err := checkLeaves(size, leaves); err != nil {
		return Hash{}, err
	}
	return rootOf(size, leaves), nil
}

func checkLeaves(size int64, leaves []Hash) error {
	if n := Blocks(size); n == 0 || int64(len(leaves)) != n {
		return fmt.Errorf("%w: %d bytes with %d leaves", ErrSize, size, len(leaves))
	}
	return nil
}

// rootOf keeps a stack of finished subtrees, the largest at the bottom, as a binary counter
// keeps its bits.
func rootOf(size int64, leaves []Hash) Hash {
	var stack [MaxProof + 1]Hash
	depth := 0
	for i, h := range leaves {
		for range bits.TrailingZeros(^uint(i)) {
			depth--
			h = node(stack[depth], h)
		}
		stack[depth] = h
		depth++
	}
	top := stack[depth-1]
	for depth--; depth > 0; depth-- {
		top = node(stack[depth-1], top)
	}
	return address(size, top)
}

// Tree is the block tree of one content with all its nodes, 64 bytes a block: what an owner
// needs to prove blocks. It does not change and is safe for concurrent use.
type Tree struct {
	size   int64
	levels [][]Hash // the leaves first, the top alone in the last
	root   Hash
}

// NewTree builds the tree of a content of size bytes over its leaves, in order of the
// blocks. It keeps leaves, which the caller must not change any more. The error matches
// ErrSize when a content of that size does not have that many blocks.
func NewTree(size int64, leaves []Hash) (*Tree, error) {
	if err := checkLeaves(size, leaves); err != nil {
		return nil, err
	}
	levels := [][]Hash{leaves}
	for level := leaves; len(level) > 1; {
		up := make([]Hash, (len(level)+1)/2)
		for i := range len(level) / 2 {
			up[i] = node(level[2*i], level[2*i+1])
		}
		if len(level)%2 == 1 {
			up[len(up)-1] = level[len(level)-1]
		}
		levels = append(levels, up)
		level = up
	}
	return &Tree{size: size, levels: levels, root: address(size, levels[len(levels)-1][0])}, nil
}

// Root is the content address.
func (t *Tree) Root() Hash { return t.root }

// Size is the content's length in bytes.
func (t *Tree) Size() int64 { return t.size }

// Proof lists the siblings of the block at index, from the leaf up to the top, ProofLen of
// them. The error matches ErrBlock for a block that the content does not have.
func (t *Tree) Proof(index uint32) ([]Hash, error) {
	if int64(index) >= Blocks(t.size) {
		return nil, fmt.Errorf("%w: it has no block %d", ErrBlock, index)
	}
	proof := make([]Hash, 0, len(t.levels)-1)
	i := uint64(index)
	for _, level := range t.levels[:len(t.levels)-1] {
		if hasSibling(i, uint64(len(level)-1)) {
			proof = append(proof, level[i^1])
		}
		i >>= 1
	}
	return proof, nil
}

// Verify reports, by a nil error, that data is the block at index of the content of size
// bytes that root names. Any other block, place, size or proof gives an error that matches
// ErrBlock; data of a wrong length is refused before it is hashed.
func Verify(root Hash, size int64, index uint32, data []byte, proof []Hash) error {
	if int64(index) >= Blocks(size) || len(data) != BlockLen(size, index) {
		return fmt.Errorf("%w: %d bytes as block %d of %d bytes", ErrBlock, len(data), index, size)
	}
	if len(proof) != ProofLen(size, index) {
		return fmt.Errorf("%w: a proof of %d hashes for block %d of %d bytes", ErrBlock, len(proof), index, size)
	}
	if climb(size, index, Leaf(data), proof) != root {
		return fmt.Errorf("%w: block %d", ErrBlock, index)
	}
	return nil
}

// climb gives the root that a leaf and a proof of the right length lead to.
func climb(size int64, index uint32, h Hash, proof []Hash) Hash {
	for i, last := uint64(index), uint64(Blocks(size)-1); last > 0; i, last = i>>1, last>>1 {
		if !hasSibling(i, last) {
			continue
		}
		if i&1 == 1 {
			h = node(proof[0], h)
		} else {
			h = node(h, proof[0])
		}
		proof = proof[1:]
	}
	return address(size, h)
}
