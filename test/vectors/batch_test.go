package vectors_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

type batchFile struct {
	about
	Batches []batchCase    `json:"batches"`
	Forms   []messageCase  `json:"forms"`   // of some of the events
	Lengths []batchLength  `json:"lengths"` // of paths
	Refused []eventRefusal `json:"refused"`
}

type batchCase struct {
	Count     uint32       `json:"count"`
	Signer    string       `json:"signer"` // seed
	Leaves    []octets     `json:"leaves"`
	Root      octets       `json:"root"`
	Signed    octets       `json:"signed"`
	Signature octets       `json:"signature"`
	Events    []batchEvent `json:"events"` // some of them
}

type batchEvent struct {
	Index      uint32   `json:"index"`
	Fields     fields   `json:"fields"`
	Body       octets   `json:"body"`
	Hash       octets   `json:"hash"`
	SignedHash octets   `json:"signedHash"`
	Path       []octets `json:"path"`
	Compact    octets   `json:"compact"`
	Withheld   octets   `json:"withheld"`
}

type batchLength struct {
	Count  uint32 `json:"count"`
	Index  uint32 `json:"index"`
	Length int    `json:"length"`
}

// inBatch is what proves that an event is one of a batch.
type inBatch struct {
	sig          []byte
	count, index uint32
	path         []octets
}

func (p *inBatch) envelope(token []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{2, byte(len(p.path))}, uint16(len(token))) //nolint:gosec // short
	b = slices.Concat(b, token, p.sig)
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, p.count), p.index)
	for _, h := range p.path {
		b = append(b, h...)
	}
	return b
}

// topOf is the tree over leaves: the left half has the largest power of two below their number.
func topOf(leaves []octets) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	half := halfOf(len(leaves))
	return hash([]byte{1}, topOf(leaves[:half]), topOf(leaves[half:]))
}

func halfOf(n int) int {
	half := 1
	for half*2 < n {
		half *= 2
	}
	return half
}

// pathOf is what stands beside the way from a leaf up.
func pathOf(leaves []octets, index int) []octets {
	if len(leaves) == 1 {
		return nil
	}
	half := halfOf(len(leaves))
	if index < half {
		return append(pathOf(leaves[:half], index), topOf(leaves[half:]))
	}
	return append(pathOf(leaves[half:], index-half), topOf(leaves[:half]))
}

func batchStatement(count uint32, root []byte) []byte {
	return append(binary.BigEndian.AppendUint32(label("events"), count), root...)
}

func makeBatches() batchFile {
	f := batchFile{about: about{"Events that were signed together: their tree, and what each has of it.", "events.md#batches"}}
	laptop := pair(trust.Device, "alice laptop")
	for _, c := range []struct {
		count   uint32
		indexes []uint32
	}{{2, []uint32{0, 1}}, {3, []uint32{0, 1, 2}}, {5, []uint32{0, 3, 4}}, {8, []uint32{0, 5, 7}}} {
		b := batchCase{Count: c.count, Signer: string(laptop.Seed())}
		all := make([]fields, c.count)
		for i := range all {
			name := fmt.Sprintf("%d of %d", i, c.count)
			all[i] = publicFields(name)
			all[i].BodyHash = hash([]byte(name))
			b.Leaves = append(b.Leaves, hash([]byte{0}, hash(signed(all[i].token()))))
		}
		b.Root = topOf(b.Leaves)
		b.Signed = batchStatement(c.count, b.Root)
		b.Signature = sigOf(laptop, b.Signed)
		for _, i := range c.indexes {
			p := &inBatch{b.Signature, c.count, i, pathOf(b.Leaves, int(i))}
			token, body := all[i].token(), fmt.Appendf(nil, "%d of %d", i, c.count)
			b.Events = append(b.Events, batchEvent{
				i, all[i], body, hash(signed(token)), hash(signed(token), p.sig), p.path, append(p.envelope(token), body...), p.envelope(token),
			})
		}
		f.Batches = append(f.Batches, b)
	}
	for _, e := range []struct{ batch, event int }{{1, 1}, {2, 2}} {
		b := f.Batches[e.batch]
		of := b.Events[e.event]
		c := messageCase{Name: string(of.Body), Access: userToken("alice identity", "alice laptop"), Fields: of.Fields, Body: of.Body}
		c.batch = &inBatch{b.Signature, b.Count, of.Index, of.Path}
		c.complete(laptop)
		f.Forms = append(f.Forms, c)
	}
	f.Lengths = []batchLength{
		{2, 1, 1},
		{3, 0, 2},
		{3, 2, 1},
		{5, 4, 1},
		{6, 5, 2},
		{7, 6, 2},
		{8, 7, 3},
		{9, 8, 1},
		{4095, 4094, 11},
		{4096, 0, 12},
		{4096, 4095, 12},
		{2049, 2048, 1},
		{2050, 2049, 2},
	}
	f.refuse(laptop)
	return f
}

func (f *batchFile) refuse(laptop *trust.KeyPair) {
	add := func(name, why string, data []byte) {
		f.Refused = append(f.Refused, eventRefusal{refusal: refusal{name, why}, Compact: data})
	}
	b := f.Batches[2] // of five
	e, last := b.Events[1], b.Events[2]
	token := e.Fields.token()
	proof := func(p inBatch) []byte { return append(p.envelope(token), e.Body...) }
	good := inBatch{b.Signature, 5, 3, e.Path}
	with := func(name, why string, change func(p *inBatch)) {
		p := good
		change(&p)
		add(name, why, proof(p))
	}
	with("a batch of none", "malformed", func(p *inBatch) { p.count = 0 })
	with("a batch of one", "malformed", func(p *inBatch) { p.count, p.index, p.path = 1, 0, nil })
	with("a batch of 4097", "malformed", func(p *inBatch) { p.count, p.path = 4097, slices.Repeat(e.Path[:1], 13) })
	with("a place behind the last", "malformed", func(p *inBatch) { p.index = 5 })
	with("a path that is shorter", "malformed", func(p *inBatch) { p.path = p.path[:2] })
	with("a path that is longer", "malformed", func(p *inBatch) { p.path = append(slices.Clone(p.path), zeros()) })
	with("the place of the last", "malformed", func(p *inBatch) { p.index = 4 })
	with("another place", "signature", func(p *inBatch) { p.index = 2 })
	with("another count", "signature", func(p *inBatch) { p.count = 6 })
	with("another path", "signature", func(p *inBatch) { p.path = f.Batches[3].Events[1].Path })
	with("the path the other way round", "signature", func(p *inBatch) { p.path = slices.Clone(p.path); slices.Reverse(p.path) })
	with("signed by another device", "signature", func(p *inBatch) { p.sig = sigOf(pair(trust.Device, "bob laptop"), b.Signed) })
	with("signed without the count", "signature", func(p *inBatch) { p.sig = sigOf(laptop, append(label("events"), b.Root...)) })
	with("the root signed as an event", "signature", func(p *inBatch) { p.sig = sigOf(laptop, append(label("event"), b.Signed[len(label("events")):]...)) })
	with("its own signature", "signature", func(p *inBatch) { p.sig = sigOf(laptop, signed(token)) })
	with("the signature of another batch", "signature", func(p *inBatch) { p.sig = f.Batches[3].Signature })
	bare := hash(signed(token)) // a leaf without its first byte
	tree := slices.Clone(b.Leaves)
	tree[3] = bare
	with("a leaf that is the hash itself", "signature", func(p *inBatch) { p.sig = sigOf(laptop, batchStatement(5, topOf(tree))) })
	add("the signature of a batch on an event alone", "signature", compact(token, e.Body, b.Signature))
	add("another body", "body", append(slices.Clone(e.Withheld), "another"...))
	add("cut short in the head", "malformed", e.Compact[:3])
	add("cut short in the token", "malformed", e.Compact[:40])
	add("cut short in the path", "malformed", e.Withheld[:len(e.Withheld)-1])
	add("version 3", "malformed", append([]byte{3}, e.Compact[1:]...))
	add("the event of another in its place", "signature", append((&inBatch{b.Signature, 5, 3, e.Path}).envelope(last.Fields.token()), last.Body...))
}

func TestBatches(t *testing.T) {
	f := load[batchFile](t, "event-batch.json")
	for _, b := range f.Batches {
		signer := get(trust.ParseSeed(trust.Device, []byte(b.Signer)))
		sig := signer.Sign(b.Signed)
		sameBytes(t, "signature", sig[:], b.Signature)
		var all []*event.Event
		for _, of := range b.Events {
			name := fmt.Sprintf("%d of %d", of.Index, b.Count)
			e, err := event.DecodeAny(of.Compact)
			if err = checkAny(e, err); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			h, signedHash := e.Hash(), e.SignedHash()
			sameBytes(t, name, h[:], of.Hash)
			sameBytes(t, name, signedHash[:], of.SignedHash)
			sameBytes(t, name, e.Encode(), of.Compact)
			sameBytes(t, name, e.EncodeWithheld(), of.Withheld)
			sameBytes(t, name, b.Leaves[of.Index], hash([]byte{0}, h[:]))
			if _, err := event.Decode(of.Compact); !isErr(err, event.ErrMalformed) {
				t.Errorf("%s where only single events are taken: %v", name, err)
			}
			all = append(all, e)
		}
		for i, err := range event.CheckAll(all) {
			if err != nil {
				t.Errorf("together, %d of %d: %v", i, b.Count, err)
			}
		}
		b.signAnew(t, signer)
	}
	for _, c := range f.Forms {
		c.meet(t)
	}
	for _, l := range f.Lengths {
		same(t, fmt.Sprintf("path of %d of %d", l.Index, l.Count), len(pathOf(make([]octets, l.Count), int(l.Index))), l.Length)
	}
	for _, r := range f.Refused {
		e, err := event.DecodeAny(r.Compact)
		wantErr(t, r.Name, checkAny(e, err), streamErrors[r.Why])
	}
}

func checkAny(e *event.Event, err error) error {
	if err != nil {
		return err
	}
	return e.Check()
}

// signAnew holds what the package signs against the file.
func (b *batchCase) signAnew(t *testing.T, signer *trust.KeyPair) {
	t.Helper()
	anew := make([]*event.Event, b.Count)
	for i := range anew {
		name := fmt.Sprintf("%d of %d", i, b.Count)
		anew[i] = fromFields(publicFields(name), []byte(name))
	}
	if err := event.SignBatch(signer, anew); err != nil {
		t.Fatal(err)
	}
	for _, of := range b.Events {
		sameBytes(t, fmt.Sprintf("%d of %d, signed anew", of.Index, b.Count), anew[of.Index].Encode(), of.Compact)
	}
}

func guardedBatches(t *testing.T) (all []guarded) {
	t.Helper()
	f := load[batchFile](t, "event-batch.json")
	for _, b := range f.Batches {
		for _, of := range b.Events {
			name := fmt.Sprintf("event %d of %d", of.Index, b.Count)
			all = append(all,
				guarded{name: name, data: of.Compact, take: func(data []byte) error { return checkAny(event.DecodeAny(data)) }},
				guarded{name: name + " withheld", data: of.Withheld, take: func(data []byte) error {
					e, err := event.DecodeAny(data)
					if err != nil {
						return err
					}
					return e.CheckWithheld()
				}})
		}
	}
	return append(all, f.Forms[0].guarded(t, f.Forms[0].Access)...)
}
