package client

import (
	"testing"

	"keyhall.dev/keyhall/seal"
)

// Of a film of any size so many blocks are in memory, and those that are read stay.
func TestABoundedNumberOfBlocksIsInMemory(t *testing.T) {
	m := newMedia(nil, nil, seal.Entry{Path: "films/long", Size: 1000 * mediaKept * seal.BlockSize})
	data := make([]byte, seal.BlockSize)
	for index := range uint32(3 * mediaKept) {
		asked := m.ask([]uint32{index})
		if err := m.take(index, data); err != nil {
			t.Fatal(err)
		}
		<-asked[0].done
		if _, err := m.want(t.Context(), 0, 0); err != nil {
			t.Fatal(err)
		}
		if m.blocks[0] == nil || len(m.blocks) != min(int(index)+1, mediaKept) || m.kept.Len() != len(m.blocks) {
			t.Fatalf("%d blocks are known and %d in memory after %d", len(m.blocks), m.kept.Len(), index+1)
		}
	}
	if m.take(5, data[1:]) == nil {
		t.Error("a block of another length was taken")
	}
}
