package trust

import (
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"
)

// ErrBox is the error of a box that does not open: another key, another purpose or
// context, or changed bytes. Which of them cannot be told.
var ErrBox = errors.New("box does not open")

// Box seals plaintext to the public xkey to (X…) with HPKE (RFC 9180: X25519,
// HKDF-SHA256, AES-256-GCM), for one purpose and context of docs/protocol/keys.md.
// The result is 48 bytes longer than plaintext.
func Box(to, purpose string, context, plaintext []byte) ([]byte, error) {
	recipient, err := parseXKey(to)
	if err != nil {
		return nil, err
	}
	public, err := hpke.NewDHKEMPublicKey(recipient)
	if err != nil {
		return nil, fmt.Errorf("seal to %s: %w", to, err)
	}
	return hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), boxInfo(purpose, context), plaintext)
}

// Unbox opens what Box sealed to key for the same purpose and context. Any failure is ErrBox.
func Unbox(key *XKey, purpose string, context, box []byte) ([]byte, error) {
	private, err := hpke.NewDHKEMPrivateKey(ecdh.KeyExchanger(key.private))
	if err != nil {
		return nil, fmt.Errorf("open box: %w", err)
	}
	plaintext, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), boxInfo(purpose, context), box)
	if err != nil {
		return nil, ErrBox
	}
	return plaintext, nil
}

func boxInfo(purpose string, context []byte) []byte {
	info := append(Label("box"), purpose...)
	info = append(info, 0)
	return append(info, context...)
}
