package seal_test

import (
	"fmt"
	"log"
	"strings"

	"keyhall.dev/keyhall/seal"
)

// One block on its way from the owner's file to the reader's. The open and its answer,
// which gave both sides the key, the hash of the open, the root and the size, came before.
func Example() {
	const file = "a film, or at least five words of one"
	var (
		key      = seal.NewKey()        // from the answer
		hOpen    = seal.Hash{}          // hash of the signed open event
		transfer = [16]byte{'t', '1'}   // from the answer
		content  seal.Content           // the owner's scan; the root is in the listing
		replies  = make(chan []byte, 2) // the reader's inbox
		err      error
	)
	if content, err = seal.HashReader(strings.NewReader(file)); err != nil {
		log.Fatal(err)
	}

	// The reader asks for block 0 ...
	reader := seal.DeriveKeys(key, hOpen)
	ask, err := reader.SealRead(nil, transfer, seal.Read{Counter: 1, Indexes: []uint32{0}})
	if err != nil {
		log.Fatal(err)
	}

	// ... the owner takes the read once, and seals the block with its proof ...
	owner := seal.DeriveKeys(key, hOpen)
	var window seal.Window
	read, err := owner.OpenRead(transfer, ask)
	if err != nil || !window.Accept(read.Counter) {
		log.Fatal("refused: ", err)
	}
	tree, err := seal.NewTree(content.Size, content.Leaves)
	if err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 0, seal.MaxBlockMessage)
	for position, index := range read.Indexes {
		proof, err := tree.Proof(index)
		if err != nil {
			log.Fatal(err)
		}
		data := append(seal.BlockSpace(buf), file...) // a real owner reads the file into it
		replies <- owner.SealBlock(buf, transfer, uint8(position), index, data, proof)
	}
	replies <- nil

	// ... and the reader writes nothing that does not belong to the listed root.
	for msg := range replies {
		reply, err := seal.ParseReply(msg)
		if err != nil {
			log.Fatal(err)
		}
		if reply.Kind == seal.KindEnd {
			break
		}
		index := read.Indexes[reply.Position]
		data, proof, err := reader.OpenBlock(seal.BlockSpace(msg), transfer, content.Size, index, msg)
		if err != nil {
			log.Fatal(err)
		}
		if err := seal.Verify(content.Root, content.Size, index, data, proof); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("block %d: %s\n", index, data)
	}
	// Output: block 0: a film, or at least five words of one
}

func ExampleHashReader() {
	content, err := seal.HashReader(strings.NewReader("hello"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(content.Size, len(content.Leaves), content.Root)
	// Output: 5 1 823397a005f7d99556a6168cc4964ea307f9ce5961060ed9d624ee514c68680d
}
