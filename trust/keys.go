package trust

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/hdevalence/ed25519consensus"
	"github.com/nats-io/nkeys"
)

// Kind says what a key is for; it is the key's first letter in text form.
type Kind byte

// The kinds of signing keys.
const (
	Operator Kind = 'O' // a hub, or its signing key
	Account  Kind = 'A' // a person's identity, or a server account
	Device   Kind = 'U' // a device, or an invite
)

func (k Kind) prefix() nkeys.PrefixByte {
	switch k {
	case Operator:
		return nkeys.PrefixByteOperator
	case Account:
		return nkeys.PrefixByteAccount
	default:
		return nkeys.PrefixByteUser
	}
}

// ErrKey is the error of text or bytes that are not the key they should be.
var ErrKey = errors.New("not a valid key")

// PublicKey is a raw Ed25519 public key. Which kind it is, its place says.
type PublicKey [32]byte

// Text is the nkey text form of the key, as a key of the given kind.
func (p PublicKey) Text(kind Kind) string {
	text, err := nkeys.Encode(kind.prefix(), p[:])
	if err != nil {
		panic(err) // 32 bytes and a known prefix always encode
	}
	return string(text)
}

// IsZero reports whether p is the absent key.
func (p PublicKey) IsZero() bool { return p == PublicKey{} }

// ParsePublicKey reads the text form of a key of the given kind. Its errors match ErrKey.
func ParsePublicKey(kind Kind, text string) (PublicKey, error) {
	raw, err := nkeys.Decode(kind.prefix(), []byte(text))
	if err != nil || len(raw) != 32 {
		return PublicKey{}, fmt.Errorf("%w of kind %c", ErrKey, kind)
	}
	p := PublicKey(raw)
	if p.Text(kind) != text { // one key, one text
		return PublicKey{}, fmt.Errorf("%w of kind %c", ErrKey, kind)
	}
	return p, nil
}

// KeyPair is a signing key with its seed. It signs without deriving the key anew.
type KeyPair struct {
	kind    Kind
	private ed25519.PrivateKey
	public  PublicKey
}

// NewKeyPair makes a key pair from the system's random source.
func NewKeyPair(kind Kind) *KeyPair {
	var seed [32]byte
	rand.Read(seed[:]) // never fails since Go 1.24
	return keyPairFrom(kind, seed[:])
}

func keyPairFrom(kind Kind, seed []byte) *KeyPair {
	private := ed25519.NewKeyFromSeed(seed)
	return &KeyPair{kind: kind, private: private, public: PublicKey(private.Public().(ed25519.PublicKey))}
}

// ParseSeed reads the seed of a key pair (S…) in its nkey text form. Its errors match
// ErrKey and never show the seed.
func ParseSeed(kind Kind, seed []byte) (*KeyPair, error) {
	prefix, raw, err := nkeys.DecodeSeed(seed)
	if err != nil || prefix != kind.prefix() || len(raw) != 32 {
		return nil, fmt.Errorf("%w: not a seed of kind %c", ErrKey, kind)
	}
	return keyPairFrom(kind, raw), nil
}

// Seed is the secret in its nkey text form (S…).
func (k *KeyPair) Seed() []byte {
	seed, err := nkeys.EncodeSeed(k.kind.prefix(), k.private.Seed())
	if err != nil {
		panic(err) // the kind and the length are our own
	}
	return seed
}

// Public is the raw public key.
func (k *KeyPair) Public() PublicKey { return k.public }

// String is the public key's text; a key pair that is printed shows no secret.
func (k *KeyPair) String() string { return k.public.Text(k.kind) }

// Sign signs message as it is. Statements of Keyhall begin with Label; the one thing
// that does not is a NATS nonce.
func (k *KeyPair) Sign(message []byte) [64]byte {
	return [64]byte(ed25519.Sign(k.private, message))
}

// NKey is the same key for libraries that speak nkeys.
func (k *KeyPair) NKey() nkeys.KeyPair {
	pair, err := nkeys.FromSeed(k.Seed())
	if err != nil {
		panic(err) // our own encoding
	}
	return pair
}

// Verify reports whether sig is a signature of key on message under the ZIP-215 rules,
// which accept or refuse the same signatures in every implementation. What the standard
// library accepts, they accept as well, and it is faster; its no is asked again.
func Verify(key PublicKey, message, sig []byte) bool {
	return len(sig) == 64 && (ed25519.Verify(key[:], message, sig) || ed25519consensus.Verify(key[:], message, sig))
}

// Label is what the bytes of every Keyhall statement of a kind begin with:
// 0xFF, "keyhall/<kind>/v1", 0x00.
func Label(kind string) []byte { return AppendLabel(nil, kind) }

// AppendLabel appends Label to b.
func AppendLabel(b []byte, kind string) []byte {
	b = append(append(b, "\xffkeyhall/"...), kind...)
	return append(b, "/v1\x00"...)
}

// XKey is an X25519 key pair that opens boxes.
type XKey struct {
	private *ecdh.PrivateKey
}

// NewXKey makes an xkey from the system's random source.
func NewXKey() *XKey {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // the system's source does not fail
	}
	return &XKey{private}
}

// ParseXKeySeed reads the seed of an xkey (SX…).
func ParseXKeySeed(seed []byte) (*XKey, error) {
	prefix, raw, err := nkeys.DecodeSeed(seed)
	if err != nil || prefix != nkeys.PrefixByteCurve {
		return nil, fmt.Errorf("%w: not the seed of an xkey", ErrKey)
	}
	private, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: not the seed of an xkey", ErrKey)
	}
	return &XKey{private}, nil
}

// Seed is the secret in its nkey text form (SX…).
func (x *XKey) Seed() []byte {
	seed, err := nkeys.EncodeSeed(nkeys.PrefixByteCurve, x.private.Bytes())
	if err != nil {
		panic(err) // the kind and the length are our own
	}
	return seed
}

// String is the public key's text (X…).
func (x *XKey) String() string {
	text, err := nkeys.Encode(nkeys.PrefixByteCurve, x.private.PublicKey().Bytes())
	if err != nil {
		panic(err) // 32 bytes and a known prefix always encode
	}
	return string(text)
}

// parseXKey reads the text of a public xkey.
func parseXKey(text string) (*ecdh.PublicKey, error) {
	raw, err := nkeys.Decode(nkeys.PrefixByteCurve, []byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w of kind X", ErrKey)
	}
	if again, err := nkeys.Encode(nkeys.PrefixByteCurve, raw); err != nil || string(again) != text {
		return nil, fmt.Errorf("%w of kind X", ErrKey) // one key, one text
	}
	return ecdh.X25519().NewPublicKey(raw)
}

// CheckXKey returns an error that matches ErrKey unless text is a public xkey (X…) to which
// something can be sealed: points of small order give the same secret to everybody.
func CheckXKey(text string) error {
	public, err := parseXKey(text)
	if err == nil {
		_, err = NewXKey().private.ECDH(public)
	}
	if err != nil {
		return fmt.Errorf("%w of kind X", ErrKey)
	}
	return nil
}
