package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"

	"keyhall.dev/keyhall/trust"
)

// AES-256-GCM as used in every sealed message: a random nonce before, a tag behind.
const (
	nonceSize = 12
	tagSize   = 16
)

var (
	// ErrKey is the error of text that is not a transfer key.
	ErrKey = errors.New("not a transfer key: base64 of 32 bytes")
	// ErrSealed is the error of a message that does not open: sealed with other keys,
	// for another transfer, place or counter, or changed on the way. Which of them
	// cannot be told.
	ErrSealed = errors.New("sealed message does not open")
)

// Key is the secret of one transfer, 32 random bytes that the owner makes and the answer
// carries. Its text form is base64; a Key that is printed or logged shows nothing.
type Key [32]byte

// NewKey makes a key from the system's random source.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails since Go 1.24
	return k
}

// String shows nothing of the secret.
func (Key) String() string { return "(transfer key)" }

// GoString shows nothing of the secret.
func (k Key) GoString() string { return k.String() }

// LogValue shows nothing of the secret, where slog would take the text form.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText is the secret itself, as base64.
func (k Key) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, k[:]), nil
}

// UnmarshalText reads what MarshalText gives. Its errors match ErrKey and show nothing of
// the text.
func (k *Key) UnmarshalText(text []byte) error {
	var raw [len(k) + 1]byte // the decoder wants room for what padding stands for
	if len(text) != base64.StdEncoding.EncodedLen(len(k)) {
		return ErrKey
	}
	n, err := base64.StdEncoding.Strict().Decode(raw[:], text)
	if err != nil || n != len(k) {
		return ErrKey
	}
	copy(k[:], raw[:])
	return nil
}

// Keys are the two AES-256-GCM keys of one transfer: one for what the reader sends, one for
// what the owner sends. They are safe for concurrent use.
type Keys struct {
	read  cipher.AEAD
	block cipher.AEAD
}

// DeriveKeys gives the keys of the transfer with the secret key that answers the open event
// whose hash, signature included, is hOpen.
func DeriveKeys(key, hOpen [32]byte) *Keys {
	return &Keys{read: derive(key, hOpen, "read"), block: derive(key, hOpen, "block")}
}

func derive(key, hOpen [32]byte, kind string) cipher.AEAD {
	secret, err := hkdf.Key(sha256.New, key[:], hOpen[:], string(trust.Label(kind)), len(key))
	if err != nil {
		panic(err) // only for lengths that are not these
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // 32 bytes are a key of AES-256
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the block size of GCM
	}
	return aead
}

// sealTail seals what dst holds from plaintext on, in place, and appends the tag. The
// nonce's place is right before it.
func sealTail(aead cipher.AEAD, dst []byte, plaintext int, ad []byte) []byte {
	dst = slices.Grow(dst, tagSize)
	nonce := dst[plaintext-nonceSize : plaintext]
	rand.Read(nonce) // never fails since Go 1.24
	sealed := aead.Seal(dst[plaintext:plaintext], nonce, dst[plaintext:], ad)
	return dst[:plaintext+len(sealed)]
}

// openTail appends to dst what sealTail sealed; box begins with the nonce.
func openTail(aead cipher.AEAD, dst, box, ad []byte) ([]byte, error) {
	if len(box) < nonceSize+tagSize {
		return nil, ErrSealed
	}
	opened, err := aead.Open(dst, box[:nonceSize], box[nonceSize:], ad)
	if err != nil {
		return nil, ErrSealed
	}
	return opened, nil
}
