package seal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"keyhall.dev/keyhall/seal"
)

// pattern is n bytes of which no two blocks are alike.
func pattern(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i*31 + i/256*7 + i/65536*13)
	}
	return data
}

// leavesOf cuts data into blocks and hashes each as the page says, by hand.
func leavesOf(data []byte) []seal.Hash {
	var leaves []seal.Hash
	for {
		n := min(len(data), 262144)
		leaves = append(leaves, sha256.Sum256(append([]byte{0}, data[:n]...)))
		if data = data[n:]; len(data) == 0 {
			return leaves
		}
	}
}

// referenceTop is the definition of RFC 6962, section 2.1, word for word.
func referenceTop(leaves []seal.Hash) seal.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := referenceTop(leaves[:k]), referenceTop(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// referenceProof is the audit path of RFC 6962, section 2.1.1.
func referenceProof(m int, leaves []seal.Hash) []seal.Hash {
	if len(leaves) == 1 {
		return nil
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	if m < k {
		return append(referenceProof(m, leaves[:k]), referenceTop(leaves[k:]))
	}
	return append(referenceProof(m-k, leaves[k:]), referenceTop(leaves[:k]))
}

func referenceRoot(size int64, leaves []seal.Hash) seal.Hash {
	in := binary.BigEndian.AppendUint64([]byte{2}, uint64(size))
	in = binary.BigEndian.AppendUint32(in, 262144)
	top := referenceTop(leaves)
	return sha256.Sum256(append(in, top[:]...))
}

func mustTree(t interface{ Fatal(...any) }, size int64, leaves []seal.Hash) *seal.Tree {
	tree, err := seal.NewTree(size, leaves)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestRootsAreThoseOfAnotherImplementation(t *testing.T) {
	// Computed with Python's hashlib from the page.
	tests := []struct {
		data []byte
		root string
	}{
		{nil, "0d48b6a20f44b0b3378d194dd82857827a6fc35442a8631deceac756c52f7fb4"},
		{[]byte("hello"), "823397a005f7d99556a6168cc4964ea307f9ce5961060ed9d624ee514c68680d"},
		{pattern(262143), "bbc53d95281dda374729ba5818ed659498af5b641c8995c7a78c6de46516ee8a"},
		{pattern(262144), "a78c91b9e2904424caaf2f6c063351adb5a43b95cc1ead56682fe644c95f43bf"},
		{pattern(262145), "1ee4f88da74ab5c968a72eca75733304a066f1056834ce3a443de9c2fd7bd6b7"},
		{pattern(524288), "4e4028e3931631c8b639be1c560376805ce4e0fb41a7b2172f6a6f139fe338f8"},
		{pattern(524289), "b95030382e3d5e76e7ec3d7ddc740fef1a5952f8d470842e172a28dc12b7c35f"},
		{pattern(1310797), "3210becab7bc5b6196449c2f34a735e674262d72e2497c75c67e5f08c93ebda8"},
		{pattern(1835008), "5c630306b200a02e0ce1c9c04b864deb665284cf7f615218349b79f7c84e07b8"},
	}
	for _, tt := range tests {
		content, err := seal.HashReader(bytes.NewReader(tt.data))
		if err != nil {
			t.Fatal(err)
		}
		if got := content.Root.String(); got != tt.root {
			t.Errorf("root of %d bytes is %s, want %s", len(tt.data), got, tt.root)
		}
	}
}

func TestTreeHasTheShapeOfRFC6962(t *testing.T) {
	for n := 1; n <= 130; n++ {
		size := int64(n-1)*seal.BlockSize + 1
		leaves := make([]seal.Hash, n)
		for i := range leaves {
			leaves[i] = sha256.Sum256([]byte{byte(i), byte(n)})
		}
		tree := mustTree(t, size, leaves)
		if tree.Root() != referenceRoot(size, leaves) {
			t.Fatalf("root over %d leaves differs from the recursive definition", n)
		}
		if root, err := seal.RootOf(size, leaves); err != nil || root != tree.Root() {
			t.Fatalf("RootOf over %d leaves is %v, %v", n, root, err)
		}
		for i := range n {
			proof, err := tree.Proof(uint32(i))
			if err != nil {
				t.Fatal(err)
			}
			want := referenceProof(i, leaves)
			if len(proof) != len(want) || len(proof) != seal.ProofLen(size, uint32(i)) {
				t.Fatalf("proof of leaf %d of %d has %d hashes, want %d", i, n, len(proof), len(want))
			}
			for j := range want {
				if proof[j] != want[j] {
					t.Fatalf("proof of leaf %d of %d differs at %d", i, n, j)
				}
			}
		}
	}
}

// drawBlock makes a tree of up to 600 blocks whose other blocks exist only as leaves, and
// the data of one of them: proofs of large contents at the cost of hashing one block.
func drawBlock(t *rapid.T) (tree *seal.Tree, size int64, index uint32, data []byte) {
	n := rapid.IntRange(1, 600).Draw(t, "blocks")
	last := rapid.IntRange(1, seal.BlockSize).Draw(t, "last")
	size = int64(n-1)*seal.BlockSize + int64(last)
	index = uint32(rapid.IntRange(0, n-1).Draw(t, "index"))
	leaves := make([]seal.Hash, n)
	for i := range leaves {
		leaves[i] = sha256.Sum256([]byte{byte(i), byte(i >> 8)})
	}
	data = pattern(seal.BlockLen(size, index))
	leaves[index] = seal.Leaf(data)
	return mustTree(t, size, leaves), size, index, data
}

func TestEveryProofVerifies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, size, index, data := drawBlock(t)
		proof, err := tree.Proof(index)
		if err != nil {
			t.Fatal(err)
		}
		if err := seal.Verify(tree.Root(), size, index, data, proof); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAnyFlippedBitIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, size, index, data := drawBlock(t)
		proof, err := tree.Proof(index)
		if err != nil {
			t.Fatal(err)
		}
		root := tree.Root()
		switch what := rapid.SampledFrom([]string{"data", "proof", "index", "size", "root"}).Draw(t, "what"); {
		case what == "data":
			flip(t, data)
		case what == "proof" && len(proof) > 0:
			flip(t, proof[rapid.IntRange(0, len(proof)-1).Draw(t, "hash")][:])
		case what == "index":
			index ^= 1 << rapid.IntRange(0, 31).Draw(t, "bit")
		case what == "size":
			size ^= 1 << rapid.IntRange(0, 63).Draw(t, "bit")
		default:
			flip(t, root[:])
		}
		if err := seal.Verify(root, size, index, data, proof); !errors.Is(err, seal.ErrBlock) {
			t.Fatalf("error is %v, want ErrBlock", err)
		}
	})
}

func flip(t *rapid.T, data []byte) {
	data[rapid.IntRange(0, len(data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
}

func TestProofOfAnotherLengthIsRefused(t *testing.T) {
	data := pattern(3*seal.BlockSize + 9)
	tree := mustTree(t, int64(len(data)), leavesOf(data))
	proof, err := tree.Proof(3)
	if err != nil {
		t.Fatal(err)
	}
	block := data[3*seal.BlockSize:]
	for _, wrong := range [][]seal.Hash{nil, proof[:1], append(proof[:2:2], seal.Hash{})} {
		if err := seal.Verify(tree.Root(), int64(len(data)), 3, block, wrong); !errors.Is(err, seal.ErrBlock) {
			t.Errorf("a proof of %d hashes gives %v, want ErrBlock", len(wrong), err)
		}
	}
}

func TestEmptyContentHasOneEmptyBlock(t *testing.T) {
	tree := mustTree(t, 0, []seal.Hash{seal.Leaf(nil)})
	proof, err := tree.Proof(0)
	if err != nil || len(proof) != 0 {
		t.Fatalf("proof is %v, %v", proof, err)
	}
	if err := seal.Verify(tree.Root(), 0, 0, nil, nil); err != nil {
		t.Error(err)
	}
	if err := seal.Verify(tree.Root(), 0, 1, nil, nil); !errors.Is(err, seal.ErrBlock) {
		t.Errorf("a second block gives %v, want ErrBlock", err)
	}
}

func TestTreeRefusesLeavesThatDoNotFitTheSize(t *testing.T) {
	tests := []struct {
		size   int64
		leaves int
	}{
		{-1, 1}, {0, 0}, {0, 2}, {1, 0}, {seal.BlockSize, 2}, {seal.BlockSize + 1, 1}, {seal.MaxSize + 1, 1},
	}
	for _, tt := range tests {
		if _, err := seal.NewTree(tt.size, make([]seal.Hash, tt.leaves)); !errors.Is(err, seal.ErrSize) {
			t.Errorf("%d bytes with %d leaves: error is %v, want ErrSize", tt.size, tt.leaves, err)
		}
		if _, err := seal.RootOf(tt.size, make([]seal.Hash, tt.leaves)); !errors.Is(err, seal.ErrSize) {
			t.Errorf("root of %d bytes with %d leaves: error is %v, want ErrSize", tt.size, tt.leaves, err)
		}
	}
}

func TestProofOfABlockThatIsNotThereIsRefused(t *testing.T) {
	tree := mustTree(t, 5, []seal.Hash{seal.Leaf([]byte("hello"))})
	for _, index := range []uint32{1, 2, 1<<32 - 1} {
		if _, err := tree.Proof(index); !errors.Is(err, seal.ErrBlock) {
			t.Errorf("proof of block %d: error is %v, want ErrBlock", index, err)
		}
	}
}

func TestBlocksCoverTheContent(t *testing.T) {
	tests := []struct {
		size   int64
		blocks int64
		last   int
	}{
		{0, 1, 0},
		{1, 1, 1},
		{seal.BlockSize - 1, 1, seal.BlockSize - 1},
		{seal.BlockSize, 1, seal.BlockSize},
		{seal.BlockSize + 1, 2, 1},
		{seal.MaxSize, 1 << 32, seal.BlockSize},
	}
	for _, tt := range tests {
		if got := seal.Blocks(tt.size); got != tt.blocks {
			t.Errorf("%d bytes have %d blocks, want %d", tt.size, got, tt.blocks)
		}
		if got := seal.BlockLen(tt.size, uint32(tt.blocks-1)); got != tt.last {
			t.Errorf("the last block of %d bytes has %d, want %d", tt.size, got, tt.last)
		}
		if tt.blocks < 1<<32 && seal.BlockLen(tt.size, uint32(tt.blocks)) != 0 {
			t.Errorf("%d bytes have a block %d", tt.size, tt.blocks)
		}
	}
	for _, size := range []int64{-1, seal.MaxSize + 1, -1 << 63, 1<<63 - 1} {
		if seal.Blocks(size) != 0 || seal.BlockLen(size, 0) != 0 || seal.ProofLen(size, 0) != 0 {
			t.Errorf("%d bytes are taken for a content", size)
		}
	}
	if got := seal.ProofLen(seal.MaxSize, 1<<32-1); got != seal.MaxProof {
		t.Errorf("the longest proof has %d hashes, want %d", got, seal.MaxProof)
	}
}
