package event

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"keyhall.dev/keyhall/trust"
)

// ErrNoKey is the error of a sealed event whose epoch key the reader does not have.
var ErrNoKey = errors.New("no key for this event")

// ErrSealed is the error of a sealed body that its key does not open.
var ErrSealed = errors.New("sealed body does not open")

// ErrCommitment is the error of an epoch key that is not the one its epoch committed to.
var ErrCommitment = errors.New("key is not the one its epoch announced")

// EpochKey seals the bodies of one epoch of a room, or of another private stream.
type EpochKey struct {
	secret [32]byte
	aead   cipher.AEAD
}

// NewEpochKey makes a key from the system's random source.
func NewEpochKey() *EpochKey {
	var secret [32]byte
	rand.Read(secret[:])
	return newEpochKey(secret)
}

func newEpochKey(secret [32]byte) *EpochKey {
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // 32 bytes are an AES-256 key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size GCM wants
	}
	return &EpochKey{secret: secret, aead: aead}
}

// Commitment binds the key to a room: AES-GCM alone would let one ciphertext open to two
// texts under two keys.
func (k *EpochKey) Commitment(room string) [32]byte {
	statement := append(trust.Label("epoch"), room...)
	return sha256.Sum256(append(statement, k.secret[:]...))
}

// BoxFor seals the key to a member's person xkey.
func (k *EpochKey) BoxFor(xkey, room string) ([]byte, error) {
	return trust.Box(xkey, "epoch", epochContext(room, k.Commitment(room)), k.secret[:])
}

// OpenEpochKey opens a member's box and holds the key against the epoch's commitment.
func OpenEpochKey(own *trust.XKey, room string, commitment [32]byte, box []byte) (*EpochKey, error) {
	secret, err := trust.Unbox(own, "epoch", epochContext(room, commitment), box)
	if err != nil || len(secret) != 32 {
		return nil, fmt.Errorf("epoch key: %w", trust.ErrBox)
	}
	key := newEpochKey([32]byte(secret))
	if got := key.Commitment(room); subtle.ConstantTimeCompare(got[:], commitment[:]) != 1 {
		return nil, ErrCommitment
	}
	return key, nil
}

// Bytes are the secret, for a store that only its owner can read.
func (k *EpochKey) Bytes() []byte { return append([]byte(nil), k.secret[:]...) }

// EpochKeyFrom is the key with the given secret of 32 bytes.
func EpochKeyFrom(secret []byte) (*EpochKey, error) {
	if len(secret) != 32 {
		return nil, fmt.Errorf("epoch key: %d bytes instead of 32", len(secret))
	}
	return newEpochKey([32]byte(secret)), nil
}

// Seal sets the event's body to plaintext sealed under key, in the epoch that the event
// named epoch began, by the device that will sign. All other fields but the id and the
// time must be set before; then Sign it.
func (e *Event) Seal(key *EpochKey, epoch Hash, device trust.PublicKey, plaintext []byte) error {
	e.Epoch = epoch
	if err := e.Stamp(device); err != nil {
		return err
	}
	e.Body = key.aead.Seal(nil, nil, plaintext, e.sealData())
	return nil
}

// Open is the plaintext of a sealed body.
func (e *Event) Open(key *EpochKey) ([]byte, error) {
	plaintext, err := key.aead.Open(nil, nil, e.Body, e.sealData())
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

func (e *Event) sealData() []byte {
	return e.statement("sealed", [32]byte{})
}

// SealName seals a room's name under its epoch key.
func (k *EpochKey) SealName(room, name string) []byte {
	return k.aead.Seal(nil, nil, []byte(name), nameData(room))
}

// OpenName opens what SealName sealed.
func (k *EpochKey) OpenName(room string, sealed []byte) (string, error) {
	name, err := k.aead.Open(nil, nil, sealed, nameData(room))
	if err != nil {
		return "", ErrSealed
	}
	return string(name), nil
}

func nameData(room string) []byte { return append(trust.Label("room-name"), room...) }

func epochContext(room string, commitment [32]byte) []byte {
	return append([]byte(room), commitment[:]...)
}
