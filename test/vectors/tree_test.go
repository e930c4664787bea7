package vectors_test

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"testing"

	"keyhall.dev/keyhall/seal"
)

// content is the content of a size in these files: byte i is i xor i>>8 xor i>>16.
func content(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
	return data
}

type treeFile struct {
	about
	Rule    string        `json:"rule"` // of contents
	Cases   []treeCase    `json:"cases"`
	Shapes  []shapeCase   `json:"shapes"`
	Lengths []lengthCase  `json:"lengths"`
	Sizes   []sizeCase    `json:"sizes"`
	Refused []treeRefusal `json:"refused"`
}

type treeCase struct {
	Size   int64      `json:"size"`
	Leaves []octets   `json:"leaves"`
	Top    octets     `json:"top"`
	Root   octets     `json:"root"`
	Proofs [][]octets `json:"proofs"` // by block
}

// shapeCase is a tree over n leaves H(u32 i), of a content of n blocks.
type shapeCase struct {
	Leaves int    `json:"leaves"`
	Top    octets `json:"top"`
	Root   octets `json:"root"`
}

type lengthCase struct {
	Size   int64  `json:"size"`
	Index  uint32 `json:"index"`
	Hashes int    `json:"hashes"`
	Length int    `json:"length"` // of the block
}

type sizeCase struct {
	Size   int64 `json:"size"`
	Blocks int64 `json:"blocks"` // 0: no content has that size
}

type treeRefusal struct {
	refusal
	Root    octets   `json:"root"`
	Size    int64    `json:"size"`
	Index   uint32   `json:"index"`
	From    int      `json:"from"`    // the data offered is bytes from … of the content
	Length  int      `json:"length"`  // of so many bytes
	Content int      `json:"content"` // of this size
	Proof   []octets `json:"proof"`
}

// top is the tree of RFC 6962 as its page says it, with recursion.
func top(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	left := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	return hash([]byte{1}, top(leaves[:left]), top(leaves[left:]))
}

func proof(leaves [][]byte, index int) []octets {
	if len(leaves) == 1 {
		return []octets{}
	}
	left := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	if index < left {
		return append(proof(leaves[:left], index), top(leaves[left:]))
	}
	return append(proof(leaves[left:], index-left), top(leaves[:left]))
}

func rootOf(size int64, top []byte) []byte {
	head := binary.BigEndian.AppendUint64([]byte{2}, uint64(size)) //nolint:gosec // not below 0
	head = binary.BigEndian.AppendUint32(head, seal.BlockSize)
	return hash(head, top)
}

func leavesOf(data []byte) [][]byte {
	leaves := [][]byte{}
	for len(data) > seal.BlockSize {
		leaves = append(leaves, hash([]byte{0}, data[:seal.BlockSize]))
		data = data[seal.BlockSize:]
	}
	return append(leaves, hash([]byte{0}, data))
}

func makeTree(size int) treeCase {
	leaves := leavesOf(content(size))
	c := treeCase{Size: int64(size), Top: top(leaves), Proofs: [][]octets{}}
	c.Root = rootOf(c.Size, c.Top)
	for i, leaf := range leaves {
		c.Leaves = append(c.Leaves, leaf)
		c.Proofs = append(c.Proofs, proof(leaves, i))
	}
	return c
}

func makeTrees() treeFile {
	const block = seal.BlockSize
	f := treeFile{
		about: about{"Contents, their trees and the proofs of their blocks.", "transfers.md#content-address"},
		Rule:  "byte i of every content is (i ^ i>>8 ^ i>>16) & 0xff",
	}
	for _, size := range []int{0, 1, block - 1, block, block + 1, 2 * block, 2*block + 1, 3 * block, 4*block + 7, 5 * block, 7*block - 1} {
		f.Cases = append(f.Cases, makeTree(size))
	}
	for n := 1; n <= 18; n++ {
		leaves := [][]byte{}
		for i := range n {
			leaves = append(leaves, hash(binary.BigEndian.AppendUint32(nil, uint32(i))))
		}
		t := top(leaves)
		f.Shapes = append(f.Shapes, shapeCase{n, t, rootOf(int64(n)*block, t)})
	}
	f.Lengths = []lengthCase{
		{0, 0, 0, 0},
		{block, 0, 0, block},
		{3 * block, 2, 1, block},
		{5*block - 1, 4, 1, block - 1},
		{7 * block, 6, 2, block},
		{seal.MaxSize, 0, 32, block},
		{seal.MaxSize, 1<<32 - 1, 32, block},
		{seal.MaxSize - block + 1, 1<<32 - 1, 32, 1},
		{seal.MaxSize - block, 1<<32 - 2, 31, block},
		{1<<40 + 1, 1 << 22, 1, 1},
	}
	f.Sizes = []sizeCase{{-1, 0}, {0, 1}, {1, 1}, {block, 1}, {block + 1, 2}, {seal.MaxSize, 1 << 32}, {seal.MaxSize + 1, 0}}

	three := makeTree(3 * block)
	five := makeTree(5 * block)
	add := func(name, why string, c treeCase, size int64, index uint32, from, length int, proof []octets) {
		f.Refused = append(f.Refused, treeRefusal{refusal{name, why}, c.Root, size, index, from, length, int(c.Size), proof})
	}
	add("another block", "root", three, three.Size, 0, block, block, three.Proofs[0])
	add("another place", "root", three, three.Size, 1, 0, block, three.Proofs[0])
	add("a place beyond the end", "index", three, three.Size, 3, 0, block, three.Proofs[0])
	add("another size of the same number of blocks", "length", three, three.Size-1, 2, 2*block, block, three.Proofs[2])
	add("another size, data cut to it", "root", three, three.Size-1, 2, 2*block, block-1, three.Proofs[2])
	add("a size of more blocks", "proof length", three, 5*block, 2, 2*block, block, three.Proofs[2])
	add("no proof", "proof length", three, three.Size, 0, 0, block, []octets{})
	add("a hash too few", "proof length", five, five.Size, 0, 0, block, five.Proofs[0][:2])
	add("a hash too many", "proof length", five, five.Size, 0, 0, block, append(five.Proofs[0][:3:3], octets(zeros())))
	add("a changed hash", "root", five, five.Size, 0, 0, block, []octets{flipped(five.Proofs[0][0], 0), five.Proofs[0][1], five.Proofs[0][2]})
	add("hashes in another order", "root", five, five.Size, 0, 0, block, []octets{five.Proofs[0][1], five.Proofs[0][0], five.Proofs[0][2]})
	add("a byte less", "length", five, five.Size, 0, 0, block-1, five.Proofs[0])
	add("no data", "length", five, five.Size, 0, 0, 0, five.Proofs[0])
	leaf := makeTree(1)
	leaf.Root = leaf.Top
	add("the top as a root", "root", leaf, 1, 0, 0, 1, []octets{})
	add("a size that is none", "size", three, -1, 0, 0, block, three.Proofs[0])
	return f
}

func hashes(list []octets) []seal.Hash {
	out := make([]seal.Hash, len(list))
	for i := range list {
		out[i] = seal.Hash(list[i])
	}
	return out
}

func TestTrees(t *testing.T) {
	f := load[treeFile](t, "tree.json")
	for _, c := range f.Cases {
		data := content(int(c.Size))
		got, err := seal.HashReader(bytes.NewReader(data))
		if err != nil || got.Size != c.Size {
			t.Fatal(got, err)
		}
		same(t, "root", got.Root, seal.Hash(c.Root))
		same(t, "blocks", seal.Blocks(c.Size), int64(len(c.Leaves)))
		tree, err := seal.NewTree(c.Size, hashes(c.Leaves))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "root", tree.Root(), seal.Hash(c.Root))
		for i := range c.Leaves {
			index := uint32(i) //nolint:gosec // a few
			block := data[i*seal.BlockSize:][:seal.BlockLen(c.Size, index)]
			same(t, "leaf", seal.Leaf(block), seal.Hash(c.Leaves[i]))
			same(t, "leaf", got.Leaves[i], seal.Hash(c.Leaves[i]))
			proof, err := tree.Proof(index)
			if err != nil || len(proof) != len(c.Proofs[i]) {
				t.Fatal(proof, err)
			}
			for j, h := range proof {
				same(t, "sibling", h, seal.Hash(c.Proofs[i][j]))
			}
			if err := seal.Verify(seal.Hash(c.Root), c.Size, index, block, hashes(c.Proofs[i])); err != nil {
				t.Errorf("block %d of %d bytes: %v", i, c.Size, err)
			}
		}
	}
	for _, c := range f.Shapes {
		var leaves []seal.Hash
		for i := range c.Leaves {
			leaves = append(leaves, seal.Hash(hash(binary.BigEndian.AppendUint32(nil, uint32(i))))) //nolint:gosec // a few
		}
		root, err := seal.RootOf(int64(c.Leaves)*seal.BlockSize, leaves)
		if err != nil || root != seal.Hash(c.Root) {
			t.Errorf("over %d leaves: %s, %v", c.Leaves, root, err)
		}
	}
	for _, c := range f.Lengths {
		if got := seal.ProofLen(c.Size, c.Index); got != c.Hashes {
			t.Errorf("block %d of %d bytes: %d hashes", c.Index, c.Size, got)
		}
		if got := seal.BlockLen(c.Size, c.Index); got != c.Length {
			t.Errorf("block %d of %d bytes: it has %d", c.Index, c.Size, got)
		}
	}
	for _, c := range f.Sizes {
		same(t, "blocks", seal.Blocks(c.Size), c.Blocks)
	}
	for _, r := range f.Refused {
		data := content(r.Content)[r.From:][:r.Length]
		wantErr(t, r.Name, seal.Verify(seal.Hash(r.Root), r.Size, r.Index, data, hashes(r.Proof)), seal.ErrBlock)
	}
}
