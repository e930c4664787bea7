package seal_test

import (
	"bytes"
	"testing"

	"keyhall.dev/keyhall/seal"
)

func BenchmarkHashReader(b *testing.B) {
	data := pattern(16 << 20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := seal.HashReader(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	const size, index = 1 << 30, 1234
	data, proof, _ := sealedBlock(size, index)
	b.SetBytes(seal.BlockSize)
	b.ReportAllocs()
	for b.Loop() {
		_ = seal.Verify(seal.Hash{}, size, index, data, proof)
	}
}

func BenchmarkSealBlock(b *testing.B) {
	const size, index = 1 << 30, 1234
	want, proof, _ := sealedBlock(size, index)
	buf := make([]byte, 0, seal.MaxBlockMessage)
	data := append(seal.BlockSpace(buf), want...)
	b.SetBytes(seal.BlockSize)
	b.ReportAllocs()
	for b.Loop() {
		vectorKeys.SealBlock(buf, vectorTransfer, 0, index, data, proof)
	}
}

func BenchmarkOpenBlock(b *testing.B) {
	const size, index = 1 << 30, 1234
	_, _, msg := sealedBlock(size, index)
	dst := make([]byte, 0, seal.MaxBlockMessage)
	b.SetBytes(seal.BlockSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := vectorKeys.OpenBlock(dst, vectorTransfer, size, index, msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewTree(b *testing.B) {
	const size = 4 << 30
	leaves := make([]seal.Hash, seal.Blocks(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := seal.NewTree(size, leaves); err != nil {
			b.Fatal(err)
		}
	}
}
