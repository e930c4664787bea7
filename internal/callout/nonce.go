package callout

import (
	"encoding/base64"
	"errors"

	"github.com/nats-io/nkeys"
)

const (
	minNonce = 8   // bytes; a NATS server's has 15
	maxNonce = 128 // bytes

	signatureSize = 64 // bytes of an Ed25519 signature
)

// The ways in which a nonce's signature can be wrong.
var (
	ErrNoSignature  = errors.New("no signature over the server's nonce")
	ErrBadNonce     = errors.New("the server's nonce is not printable text")
	ErrBadKey       = errors.New("not a user public key")
	ErrBadSignature = errors.New("the signature over the server's nonce does not hold")
)

// VerifyNonce checks that the holder of a user key (U…: a device, an invite) signed
// the nonce that the server sent to this connection. sig is 64 bytes in unpadded
// base64url, in its one canonical form. A nonce is printable ASCII without spaces:
// whatever else a device signs begins with the byte 0xFF, so that no login can be
// passed off as something else, nor the other way round.
func VerifyNonce(publicKey, nonce, sig string) error {
	if sig == "" || nonce == "" {
		return ErrNoSignature
	}
	if !printableNonce(nonce) {
		return ErrBadNonce
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sig)
	// The decoder skips line breaks; the length of the text gives them away.
	if err != nil || len(raw) != signatureSize || len(sig) != base64.RawURLEncoding.EncodedLen(signatureSize) {
		return ErrBadSignature
	}
	if !isKey(nkeys.PrefixByteUser, publicKey) {
		return ErrBadKey
	}
	key, err := nkeys.FromPublicKey(publicKey)
	if err != nil {
		return ErrBadKey
	}
	if err := key.Verify([]byte(nonce), raw); err != nil {
		return ErrBadSignature
	}
	return nil
}

func printableNonce(nonce string) bool {
	if len(nonce) < minNonce || len(nonce) > maxNonce {
		return false
	}
	for i := range len(nonce) {
		if nonce[i] <= ' ' || nonce[i] > '~' {
			return false
		}
	}
	return true
}
