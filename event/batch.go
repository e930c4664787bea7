package event

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"keyhall.dev/keyhall/trust"
)

// MaxBatch is the most events that one signature covers.
const MaxBatch = 4096

const (
	batchVersion = 2
	maxPath      = 12 // of a batch of MaxBatch
	batchHead    = 4  // version, length of the path, length of the token
	batchFixed   = signature + 4 + 4
)

// proof is an event's share of a signature over a batch: the tree of docs/protocol/events.md
// has a leaf for each event, and path holds what stands beside the way from this one's leaf
// to the root.
type proof struct {
	sig          [signature]byte
	count, index uint32
	path         [][32]byte
}

// SignBatch signs events with one signature; each carries what proves that it is one of
// them. They must be complete: those that have no id or time are given one. Signing and
// verifying hundreds costs little more than one, and all of them have to wait for the last.
func SignBatch(key *trust.KeyPair, events []*Event) error {
	if len(events) == 0 || len(events) > MaxBatch {
		return fmt.Errorf("%w: a batch has 1 to %d events", ErrMalformed, MaxBatch)
	}
	if len(events) == 1 {
		return events[0].Sign(key)
	}
	level := make([][32]byte, len(events))
	for i, e := range events {
		if err := e.Stamp(key.Public()); err != nil {
			return err
		}
		e.bodyHash = e.Digest.sum(e.Body)
		if err := e.checkBounds(); err != nil {
			return err
		}
		e.signatures, e.batch = nil, &proof{count: uint32(len(events)), index: uint32(i)} //nolint:gosec // at most MaxBatch
		level[i] = e.leaf()
	}
	for at := uint32(0); len(level) > 1; at++ {
		for _, e := range events {
			if beside := e.batch.index>>at ^ 1; int(beside) < len(level) {
				e.batch.path = append(e.batch.path, level[beside])
			}
		}
		level = above(level)
	}
	sig := key.Sign(signedRoot(uint32(len(events)), level[0])) //nolint:gosec // at most MaxBatch
	for _, e := range events {
		e.batch.sig = sig
	}
	return nil
}

// above is the next level of a tree; what has nothing beside it moves up as it is.
func above(level [][32]byte) [][32]byte {
	next := make([][32]byte, 0, (len(level)+1)/2)
	for i := 0; i < len(level); i += 2 {
		if i+1 == len(level) {
			return append(next, level[i])
		}
		next = append(next, node(level[i], level[i+1]))
	}
	return next
}

func (e *Event) leaf() [32]byte {
	hash := e.Hash()
	return sha256.Sum256(append([]byte{0}, hash[:]...))
}

func node(left, right [32]byte) [32]byte {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

func signedRoot(count uint32, root [32]byte) []byte {
	return append(binary.BigEndian.AppendUint32(trust.Label("events"), count), root[:]...)
}

// root is the root that the proof leads to from e, false if it leads nowhere.
func (p *proof) root(e *Event) (root [32]byte, ok bool) {
	root = e.leaf()
	index, width, path := p.index, p.count, p.path
	for width > 1 {
		if beside := index ^ 1; beside < width {
			if len(path) == 0 {
				return root, false
			}
			if index&1 == 0 {
				root = node(root, path[0])
			} else {
				root = node(path[0], root)
			}
			path = path[1:]
		}
		index, width = index>>1, (width+1)/2
	}
	return root, len(path) == 0
}

func (p *proof) check(e *Event) error {
	root, ok := p.root(e)
	if !ok || !trust.Verify(e.Device, signedRoot(p.count, root), p.sig[:]) {
		return ErrSignature
	}
	return nil
}

// pathLength is how many nodes stand beside the way from a leaf.
func pathLength(count, index uint32) (length int) {
	for ; count > 1; index, count = index>>1, (count+1)/2 {
		if index^1 < count {
			length++
		}
	}
	return length
}

// appendEnvelope is the form of an event of a batch up to its body.
func (p *proof) appendEnvelope(b, token []byte) []byte {
	b = append(b, batchVersion, byte(len(p.path)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(token))) //nolint:gosec // at most maxToken
	b = append(append(b, token...), p.sig[:]...)
	b = binary.BigEndian.AppendUint32(b, p.count)
	b = binary.BigEndian.AppendUint32(b, p.index)
	for _, hash := range p.path {
		b = append(b, hash[:]...)
	}
	return b
}

// DecodeAny is Decode for events that may have been signed in a batch too.
func DecodeAny(data []byte) (*Event, error) {
	if len(data) < batchHead || data[0] != batchVersion {
		return Decode(data)
	}
	length, steps := int(binary.BigEndian.Uint16(data[2:])), int(data[1])
	rest := data[batchHead:]
	if length > maxToken || steps > maxPath || len(rest) < length+batchFixed+steps*32 {
		return nil, fmt.Errorf("%w: cut short", ErrMalformed)
	}
	e, err := decodeToken(rest[:length])
	if err != nil {
		return nil, err
	}
	rest = rest[length:]
	p := &proof{
		sig:   [signature]byte(rest),
		count: binary.BigEndian.Uint32(rest[signature:]), index: binary.BigEndian.Uint32(rest[signature+4:]),
	}
	rest = rest[batchFixed:]
	if p.count < 2 || p.count > MaxBatch || p.index >= p.count || pathLength(p.count, p.index) != steps {
		return nil, fmt.Errorf("%w: its place in the batch", ErrMalformed)
	}
	for range steps {
		p.path = append(p.path, [32]byte(rest))
		rest = rest[32:]
	}
	e.batch, e.Body = p, rest
	return e, e.checkBounds()
}

// CheckAll is Check for many events, in less time than one after the other: errs has one
// for each, nil where it holds.
func CheckAll(events []*Event) (errs []error) {
	if len(events) == 1 {
		return []error{events[0].Check()}
	}
	errs = make([]error, len(events))
	var batch trust.Batch
	roots := make(map[rootKey]bool)
	for i, e := range events {
		if e.Digest.sum(e.Body) != e.bodyHash {
			errs[i] = ErrBody
			continue
		}
		errs[i] = e.collect(&batch, roots)
	}
	if batch.Verify() {
		return errs
	}
	for i, e := range events { // one of them does not hold: which?
		if errs[i] == nil {
			errs[i] = e.CheckWithheld()
		}
	}
	return errs
}

// rootKey is a signature over a batch, and who is said to have made it over what.
type rootKey struct {
	device trust.PublicKey
	root   [32]byte
	count  uint32
	sig    [signature]byte
}

// collect adds what is to be verified of an event, unless it is there already.
func (e *Event) collect(batch *trust.Batch, roots map[rootKey]bool) error {
	switch {
	case e.batch != nil:
		root, ok := e.batch.root(e)
		if !ok {
			return ErrSignature
		}
		key := rootKey{e.Device, root, e.batch.count, e.batch.sig}
		if !roots[key] {
			roots[key] = true
			batch.Add(e.Device, signedRoot(key.count, root), e.batch.sig[:])
		}
	case len(e.signatures) > 0:
		batch.Add(e.Device, e.signed(), e.signatures[0][:])
	default:
		return ErrSignature
	}
	return nil
}
