package seal

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// MaxIndexes is the number of blocks one read may ask for.
const MaxIndexes = 16

// A read message is the transfer, nonce, and the sealed u64 counter ‖ u16 count ‖ count ×
// u32 index with the tag.
const (
	readPrefix = 16 + nonceSize
	readFixed  = 8 + 2
	// MaxReadMessage is the length in bytes of the longest read message.
	MaxReadMessage = readPrefix + readFixed + MaxIndexes*4 + tagSize
)

// Read is what a reader asks for: up to MaxIndexes blocks, answered in this order, an index
// as often as it stands there. Without indexes it closes the transfer. Counter rises by one
// with each read of a transfer, from 1.
type Read struct {
	Counter uint64
	Indexes []uint32
}

// Closes reports whether the read ends the transfer.
func (r Read) Closes() bool { return len(r.Indexes) == 0 }

// SealRead appends to dst the message that asks for r in transfer. The error matches
// ErrMalformed for a counter of 0 or too many indexes.
func (k *Keys) SealRead(dst []byte, transfer [16]byte, r Read) ([]byte, error) {
	if r.Counter == 0 || len(r.Indexes) > MaxIndexes {
		return nil, fmt.Errorf("%w: read %d of %d blocks", ErrMalformed, r.Counter, len(r.Indexes))
	}
	dst = slices.Grow(dst, readPrefix+readFixed+4*len(r.Indexes)+tagSize)
	dst = append(dst, transfer[:]...)
	dst = append(dst, make([]byte, nonceSize)...)
	plaintext := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, r.Counter)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.Indexes)))
	for _, index := range r.Indexes {
		dst = binary.BigEndian.AppendUint32(dst, index)
	}
	return sealTail(k.read, dst, plaintext, transfer[:]), nil
}

// ReadTransfer is the transfer that a read message names: by it an owner finds the keys to
// open the message with. Until then it is anybody's word. The error matches ErrMalformed for
// what can't be a read message.
func ReadTransfer(msg []byte) (transfer [16]byte, err error) {
	sealed := len(msg) - readPrefix - readFixed - tagSize
	if sealed < 0 || sealed > MaxIndexes*4 || sealed%4 != 0 {
		return transfer, fmt.Errorf("%w: a read message of %d bytes", ErrMalformed, len(msg))
	}
	copy(transfer[:], msg)
	return transfer, nil
}

// OpenRead opens a read message of transfer. The error matches ErrMalformed or ErrSealed.
// Whether the counter is a new one is for a Window to say, and whether the content has those
// blocks for Blocks.
func (k *Keys) OpenRead(transfer [16]byte, msg []byte) (Read, error) {
	named, err := ReadTransfer(msg)
	if err != nil {
		return Read{}, err
	}
	if named != transfer {
		return Read{}, ErrSealed
	}
	var space [readFixed + MaxIndexes*4]byte
	opened, err := openTail(k.read, space[:0], msg[len(transfer):], transfer[:])
	if err != nil {
		return Read{}, err
	}
	r := Read{Counter: binary.BigEndian.Uint64(opened)}
	count := int(binary.BigEndian.Uint16(opened[8:]))
	indexes := opened[readFixed:]
	if r.Counter == 0 || len(indexes) != 4*count {
		return Read{}, fmt.Errorf("%w: read %d of %d blocks in %d bytes", ErrMalformed, r.Counter, count, len(indexes))
	}
	for ; len(indexes) > 0; indexes = indexes[4:] {
		r.Indexes = append(r.Indexes, binary.BigEndian.Uint32(indexes))
	}
	return r, nil
}
