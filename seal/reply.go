package seal

import "fmt"

// Kind is the first byte of a message from the owner; an empty message has none and ends
// the reply.
type Kind byte

// The kinds of messages on the reply subject of a read.
const (
	KindPlainRefusal Kind = 0x00
	KindBlock        Kind = 0x01
	KindRefusal      Kind = 0x02
	KindEnd          Kind = 0xFF // never on the wire
)

// kindAnswer is the first byte of an answer to an open; its refusal is KindPlainRefusal.
const kindAnswer = 0x01

// Reply is what one message on the reply subject of a read claims to be. Nothing of it is
// verified: a block is to be opened with OpenBlock, a sealed refusal with OpenRefusal.
type Reply struct {
	Kind     Kind
	Position uint8  // KindBlock: the place in the read, 0 to 15, of the index it answers
	Reason   Reason // KindPlainRefusal: a hint from whoever answered
}

// ParseReply tells which kind of message msg is. The error matches ErrMalformed for what is
// none.
func ParseReply(msg []byte) (Reply, error) {
	if len(msg) == 0 {
		return Reply{Kind: KindEnd}, nil
	}
	switch kind := Kind(msg[0]); {
	case kind == KindPlainRefusal:
		reason, err := parsePlain(msg)
		if err != nil {
			return Reply{}, err
		}
		return Reply{Kind: kind, Reason: reason}, nil
	case kind == KindBlock && len(msg) >= blockPrefix+tagSize && len(msg) <= MaxBlockMessage && msg[1] < MaxIndexes:
		return Reply{Kind: kind, Position: msg[1]}, nil
	case kind == KindRefusal && len(msg) >= refusalPrefix+tagSize && len(msg) <= refusalPrefix+maxReason+tagSize:
		return Reply{Kind: kind}, nil
	}
	return Reply{}, fmt.Errorf("%w: a reply of %d bytes that begins with %#02x", ErrMalformed, len(msg), msg[0])
}

// AppendAnswerMessage appends to dst the message that answers an open with box: the signed answer
// or refusal event, boxed for the reader's single-use xkey.
func AppendAnswerMessage(dst, box []byte) []byte {
	return append(append(dst, kindAnswer), box...)
}

// ParseAnswerMessage splits what came back for an open into the box to be opened or the reason
// given in the clear; exactly one of them is not nil. The box aliases msg. The error matches
// ErrMalformed for what is neither.
func ParseAnswerMessage(msg []byte) (box []byte, reason *Reason, err error) {
	switch {
	case len(msg) > 1 && msg[0] == kindAnswer:
		return msg[1:], nil, nil
	case len(msg) > 1 && Kind(msg[0]) == KindPlainRefusal:
		r, err := parsePlain(msg)
		if err != nil {
			return nil, nil, err
		}
		return nil, &r, nil
	}
	return nil, nil, fmt.Errorf("%w: an answer of %d bytes", ErrMalformed, len(msg))
}
