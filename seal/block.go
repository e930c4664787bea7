package seal

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// A block message is its kind, u8 position in the read, nonce, and the sealed data and
// proof with the tag.
const (
	blockPrefix = 1 + 1 + nonceSize
	// MaxBlockMessage is the length in bytes of the longest block message: capacity for
	// which a buffer serves any block without growing.
	MaxBlockMessage = blockPrefix + BlockSize + MaxProof*len(Hash{}) + tagSize
)

// BlockSpace is the empty slice of buf at the place where the data of a block lies in a
// message that occupies buf from its start. It reaches to the capacity of buf, and is nil
// where that is too small for any message.
//
// An owner appends the data of a block to it and passes the same buf, emptied, and the data
// to SealBlock; a reader passes the space of a received message to OpenBlock. Neither then
// copies the block.
func BlockSpace(buf []byte) []byte {
	if cap(buf) < blockPrefix {
		return nil
	}
	return buf[:blockPrefix][blockPrefix:]
}

// SealBlock appends to dst the message that answers the index at position (0 to 15) of a
// read with the block's data and proof. The message has 30 bytes more than data and proof
// together. Data must not overlap dst's capacity, unless it lies in BlockSpace(dst[len(dst):]).
func (k *Keys) SealBlock(dst []byte, transfer [16]byte, position uint8, index uint32, data []byte, proof []Hash) []byte {
	start := len(dst)
	dst = slices.Grow(dst, blockPrefix+len(data)+len(proof)*len(Hash{})+tagSize)
	plaintext := start + blockPrefix
	dst = dst[:plaintext+len(data)]
	dst[start], dst[start+1] = byte(KindBlock), position
	if place := dst[plaintext:]; len(data) > 0 && &place[0] != &data[0] {
		copy(place, data)
	}
	for i := range proof {
		dst = append(dst, proof[i][:]...)
	}
	ad := blockData(transfer, index, len(data))
	return sealTail(k.block, dst, plaintext, ad[:])
}

// OpenBlock opens msg, the block message for index of a content of size bytes. It appends
// the data to dst, which must not overlap msg unless it is BlockSpace(msg), and returns the
// data alone and its proof, both of the length that size and index demand. The error matches
// ErrMalformed for what is not such a message, otherwise ErrSealed, and msg is lost if it
// was to be opened in place.
//
// The data is what the owner's side of the transfer sealed. Whether it is the content is
// for Verify to say.
func (k *Keys) OpenBlock(dst []byte, transfer [16]byte, size int64, index uint32, msg []byte) (data []byte, proof []Hash, err error) {
	length, hashes := BlockLen(size, index), ProofLen(size, index)
	if int64(index) >= Blocks(size) || len(msg) != blockPrefix+length+hashes*len(Hash{})+tagSize {
		return nil, nil, fmt.Errorf("%w: a message of %d bytes for block %d of %d bytes", ErrMalformed, len(msg), index, size)
	}
	if Kind(msg[0]) != KindBlock {
		return nil, nil, fmt.Errorf("%w: not a block message", ErrMalformed)
	}
	ad := blockData(transfer, index, length)
	opened, err := openTail(k.block, dst, msg[2:], ad[:])
	if err != nil {
		return nil, nil, err
	}
	opened = opened[len(dst):]
	proof = make([]Hash, hashes)
	for i := range proof {
		copy(proof[i][:], opened[length+i*len(Hash{}):])
	}
	return opened[:length:length], proof, nil
}

// blockData is the associated data of a block: kind ‖ transfer ‖ u32 index ‖ u32 length of
// data. Refusals are sealed under the same key; the kind keeps them apart.
func blockData(transfer [16]byte, index uint32, length int) (ad [25]byte) {
	ad[0] = byte(KindBlock)
	copy(ad[1:], transfer[:])
	binary.BigEndian.PutUint32(ad[17:], index)
	binary.BigEndian.PutUint32(ad[21:], uint32(length))
	return ad
}
