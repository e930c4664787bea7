package trust

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
)

// Wrap is a wrapping key: it seals what is kept for a person at a hub and opened without a
// device, under a password or a passkey (docs/protocol/web.md). Printing one shows nothing.
type Wrap struct {
	key  [32]byte
	kind string // label of what it seals
	tail []byte // what the associated data ends with
}

// Seal seals plaintext for an account at the hub with the given id. The result is 28 bytes
// longer than plaintext.
func (w *Wrap) Seal(hubID string, account PublicKey, plaintext []byte) []byte {
	return sealed(w.key[:]).Seal(nil, nil, plaintext, w.data(hubID, account))
}

// Open opens what Seal sealed with the same key for the same account and hub. Any failure is
// ErrBackup.
func (w *Wrap) Open(hubID string, account PublicKey, blob []byte) ([]byte, error) {
	plaintext, err := sealed(w.key[:]).Open(nil, nil, blob, w.data(hubID, account))
	if err != nil {
		return nil, ErrBackup
	}
	return plaintext, nil
}

// String shows that there is a key, and nothing of it.
func (w *Wrap) String() string { return "a wrapping key" }

// GoString keeps the key out of %#v.
func (w *Wrap) GoString() string { return w.String() }

// data binds a blob to its hub and to whom it is of.
func (w *Wrap) data(hubID string, account PublicKey) []byte {
	data := append(Label(w.kind), hubID...)
	data = append(data, 0)
	data = append(data, account[:]...)
	return append(data, w.tail...)
}

// NewPasskeyWrap is the wrapping key of a passkey, from what its PRF gives for PasskeyInput.
// credential is the raw id of the credential.
func NewPasskeyWrap(hubID string, output, credential []byte) *Wrap {
	w := &Wrap{kind: "passkey", tail: append([]byte{}, credential...)}
	copy(w.key[:], derived(hubID, output, "passkey-wrap", len(w.key)))
	return w
}

// PasskeyInput is what the PRF of a passkey is asked for.
func PasskeyInput() []byte { return Label("passkey") }

// derived is a key of length bytes for a purpose at a hub.
func derived(hubID string, secret []byte, purpose string, length int) []byte {
	salt := Fingerprint(hubID)
	key, err := hkdf.Key(sha256.New, secret, salt[:], string(Label(purpose)), length)
	if err != nil {
		panic(err) // the length is far below the limit of HKDF
	}
	return key
}

// sealed is AES-256-GCM with random nonces in front of what it seals.
func sealed(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size
	}
	return aead
}
