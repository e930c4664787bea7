package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrHash is the error of text that is not a hash.
var ErrHash = errors.New("not a hash: 64 hex digits in lower case")

// Hash is a SHA-256 hash: of a block, a node, a whole content, or an open event. Its
// text form is 64 hex digits in lower case.
type Hash [sha256.Size]byte

// ParseHash reads the text form of a hash; only one text stands for a hash.
func ParseHash(text string) (Hash, error) {
	var h Hash
	err := h.UnmarshalText([]byte(text))
	return h, err
}

// String is the text form.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is the absent hash; JSON leaves it out where a page allows.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText is the text form.
func (h Hash) MarshalText() ([]byte, error) {
	return hex.AppendEncode(make([]byte, 0, 2*len(h)), h[:]), nil
}

// UnmarshalText reads the text form. Its errors match ErrHash.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("%w: it has %d bytes", ErrHash, len(text))
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ErrHash
		}
	}
	_, err := hex.Decode(h[:], text)
	return err
}
