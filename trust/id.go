package trust

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
)

// ErrID is the error of text that is not an id.
var ErrID = errors.New("not an id: 26 characters of a-z and 2-7")

var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID makes a random id of 16 bytes in its text form of 26 characters.
func NewID() string {
	var raw [16]byte
	rand.Read(raw[:])
	return FormatID(raw)
}

// FormatID is the text form of an id.
func FormatID(raw [16]byte) string { return idText.EncodeToString(raw[:]) }

// ParseID reads the text form of an id; only one text stands for an id.
func ParseID(text string) ([16]byte, error) {
	var id [16]byte
	raw, err := idText.DecodeString(text)
	if err != nil || len(raw) != len(id) || idText.EncodeToString(raw) != text {
		return id, ErrID
	}
	copy(id[:], raw)
	return id, nil
}
