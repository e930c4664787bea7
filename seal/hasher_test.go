package seal_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyhall.dev/keyhall/seal"
)

func TestHashReaderAgreesWithTheDefinition(t *testing.T) {
	const b = seal.BlockSize
	for _, n := range []int{0, 1, b - 1, b, b + 1, 2*b - 1, 2 * b, 3*b + 5, 7 * b} {
		data := pattern(n)
		got, err := seal.HashReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		leaves := leavesOf(data)
		want := seal.Content{Size: int64(n), Root: referenceRoot(int64(n), leaves), Leaves: leaves}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d bytes: %s", n, diff)
		}
	}
}

func TestContentDoesNotDependOnHowItIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := pattern(rapid.IntRange(0, 3*seal.BlockSize).Draw(t, "size"))
		var h seal.Hasher
		if rapid.Bool().Draw(t, "used before") {
			h.Write(pattern(300_000))
			h.Reset()
		}
		rest := data
		for range rapid.IntRange(0, 8).Draw(t, "pieces") {
			n := rapid.IntRange(0, len(rest)).Draw(t, "piece")
			if written, err := h.Write(rest[:n]); written != n || err != nil {
				t.Fatal(written, err)
			}
			rest = rest[n:]
			h.Sum() // asking in between changes nothing
		}
		h.Write(rest)
		want, _ := seal.HashReader(bytes.NewReader(data))
		if diff := cmp.Diff(want, h.Sum()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestSumInBetweenKeepsTheLeaves(t *testing.T) {
	data := pattern(4*seal.BlockSize + 3)
	var h seal.Hasher
	for piece := range seal.Blocks(int64(len(data))) {
		start := int(piece) * seal.BlockSize
		h.Write(data[start : start+seal.BlockLen(int64(len(data)), uint32(piece))])
		if diff := cmp.Diff(leavesOf(data[:min(len(data), start+seal.BlockSize)]), h.Sum().Leaves); diff != "" {
			t.Fatalf("after block %d: %s", piece, diff)
		}
	}
}

func TestHashReaderBearsOddReaders(t *testing.T) {
	data := pattern(seal.BlockSize + 100)
	want, _ := seal.HashReader(bytes.NewReader(data))
	readers := map[string]io.Reader{
		"half":     iotest.HalfReader(bytes.NewReader(data)),
		"data err": iotest.DataErrReader(bytes.NewReader(data)),
	}
	for name, r := range readers {
		got, err := seal.HashReader(r)
		if err != nil || got.Root != want.Root {
			t.Errorf("%s: root %v, error %v", name, got.Root, err)
		}
	}
}

func TestHashReaderReturnsTheReadersError(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := seal.HashReader(io.MultiReader(bytes.NewReader(pattern(10)), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
}
