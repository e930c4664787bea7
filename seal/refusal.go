package seal

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Code says why an owner does not serve.
type Code string

// The codes of transfers.md.
const (
	CodeRefused     Code = "refused"     // no grant, or not any more
	CodeNotFound    Code = "not-found"   // the catalog has no such entry
	CodeChanged     Code = "changed"     // the file is not what the listing said
	CodeBusy        Code = "busy"        // too much at once; later
	CodeExpired     Code = "expired"     // the transfer, or its time
	CodeMalformed   Code = "malformed"   // the request itself is wrong
	CodeUnavailable Code = "unavailable" // the file can't be read now
)

// known reports whether c is one of the codes.
func (c Code) known() bool {
	switch c {
	case CodeRefused, CodeNotFound, CodeChanged, CodeBusy, CodeExpired, CodeMalformed, CodeUnavailable:
		return true
	}
	return false
}

// Plain reports whether c may be said in the clear: what an owner that cannot tell who asks
// says to anyone.
func (c Code) Plain() bool { return c == CodeRefused || c == CodeBusy || c == CodeMalformed }

// MaxMessage bounds, in bytes, the sentence of a refusal.
const MaxMessage = 1024

// maxReason is the length of the longest encoded Reason: every byte of the sentence may
// need an escape of six.
const maxReason = 64 + 6*MaxMessage

// Reason is why something is not served: a code for programs and a sentence for people. The
// sentence is the other side's and may hold anything: escape it before showing it.
type Reason struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error is the code and the sentence, quoted, so that a Reason can be returned as the error
// it is to the reader.
func (r Reason) Error() string {
	return "the owner answers " + string(r.Code) + ": " + strconv.Quote(r.Message)
}

func (r Reason) check() error {
	if !r.Code.known() {
		return fmt.Errorf("%w: no code %q", ErrMalformed, r.Code)
	}
	if len(r.Message) > MaxMessage || !utf8.ValidString(r.Message) {
		return fmt.Errorf("%w: the message of a refusal", ErrMalformed)
	}
	return nil
}

// AppendPlain appends to dst the refusal in the clear: 0x00 ‖ JSON. The error matches
// ErrMalformed for a code that may not be said in the clear.
func (r Reason) AppendPlain(dst []byte) ([]byte, error) {
	if !r.Code.Plain() {
		return nil, fmt.Errorf("%w: %q is not said in the clear", ErrMalformed, r.Code)
	}
	return r.append(append(dst, byte(KindPlainRefusal)))
}

func (r Reason) append(dst []byte) ([]byte, error) {
	text, err := encodeBody(r)
	if err != nil {
		return nil, err
	}
	return append(dst, text...), nil
}

func parsePlain(msg []byte) (Reason, error) {
	r, err := parseBody[Reason](msg[1:], maxReason)
	if err != nil {
		return Reason{}, err
	}
	if !r.Code.Plain() {
		return Reason{}, fmt.Errorf("%w: %q in the clear", ErrMalformed, r.Code)
	}
	return r, nil
}

// A sealed refusal is its kind, nonce, and the sealed JSON with the tag.
const refusalPrefix = 1 + nonceSize

// SealRefusal appends to dst the message that refuses the read with counter. The error
// matches ErrMalformed for a reason out of bounds.
func (k *Keys) SealRefusal(dst []byte, transfer [16]byte, counter uint64, r Reason) ([]byte, error) {
	dst = slices.Grow(dst, refusalPrefix+64+len(r.Message)+tagSize)
	dst = append(dst, byte(KindRefusal))
	dst = append(dst, make([]byte, nonceSize)...)
	plaintext := len(dst)
	dst, err := r.append(dst)
	if err != nil {
		return nil, err
	}
	ad := refusalData(transfer, counter)
	return sealTail(k.block, dst, plaintext, ad[:]), nil
}

// OpenRefusal opens the message that refuses the read with counter. The error matches
// ErrMalformed or ErrSealed.
func (k *Keys) OpenRefusal(transfer [16]byte, counter uint64, msg []byte) (Reason, error) {
	if len(msg) > refusalPrefix+maxReason+tagSize || len(msg) == 0 || Kind(msg[0]) != KindRefusal {
		return Reason{}, fmt.Errorf("%w: not a sealed refusal", ErrMalformed)
	}
	ad := refusalData(transfer, counter)
	text, err := openTail(k.block, nil, msg[1:], ad[:])
	if err != nil {
		return Reason{}, err
	}
	return parseBody[Reason](text, maxReason)
}

// refusalData is the associated data of a refusal: transfer ‖ u64 counter.
func refusalData(transfer [16]byte, counter uint64) (ad [25]byte) {
	ad[0] = byte(KindRefusal)
	copy(ad[1:], transfer[:])
	binary.BigEndian.PutUint64(ad[17:], counter)
	return ad
}
