package vectors_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyhall.dev/keyhall/seal"
)

type blocksFile struct {
	about
	Key      octets `json:"key"`
	Open     octets `json:"open"` // Hₒ
	Transfer octets `json:"transfer"`
	ReadKey  octets `json:"readKey"`
	BlockKey octets `json:"blockKey"`

	Reads    []readCase   `json:"reads"`
	Blocks   []blockCase  `json:"blocks"`
	Refusals []sealedCase `json:"refusals"`
	Plain    []plainCase  `json:"plain"`
	Window   []windowCase `json:"window"` // counters in the order they come

	RefusedReads    []readRefusal    `json:"refusedReads"`
	RefusedBlocks   []blockRefusal   `json:"refusedBlocks"`
	RefusedRefusals []sealedRefusal  `json:"refusedRefusals"`
	RefusedReplies  []messageRefusal `json:"refusedReplies"`
}

type readCase struct {
	Counter   uint64   `json:"counter"`
	Indexes   []uint32 `json:"indexes"`
	Nonce     octets   `json:"nonce"`
	Plaintext octets   `json:"plaintext"`
	Message   octets   `json:"message"`
}

type blockCase struct {
	Name     string   `json:"name"`
	Size     int64    `json:"size"` // of the content of tree.json
	Position uint8    `json:"position"`
	Index    uint32   `json:"index"`
	Nonce    octets   `json:"nonce"`
	Data     octets   `json:"ad"`
	Proof    []octets `json:"proof"`
	Root     octets   `json:"root"`
	Message  octets   `json:"message,omitempty"`
	Hash     octets   `json:"hash"` // H(message), also where the message is too long for this file
}

type sealedCase struct {
	Counter uint64 `json:"counter"`
	Code    string `json:"code"`
	Text    string `json:"text"`
	Nonce   octets `json:"nonce"`
	Data    octets `json:"ad"`
	Message octets `json:"message"`
}

type plainCase struct {
	Code    string `json:"code"`
	Text    string `json:"text"`
	Message octets `json:"message"`
}

type windowCase struct {
	Counter uint64 `json:"counter"`
	Fresh   bool   `json:"fresh"`
}

type readRefusal struct {
	refusal
	Message octets `json:"message"`
}

type blockRefusal struct {
	refusal
	Size    int64  `json:"size"`
	Index   uint32 `json:"index"`
	Message octets `json:"message"`
}

type sealedRefusal struct {
	refusal
	Counter uint64 `json:"counter"`
	Message octets `json:"message"`
}

type messageRefusal struct {
	refusal
	Message octets `json:"message"`
}

// readPlain is what a read seals.
func readPlain(counter uint64, count uint16, indexes ...uint32) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(nil, counter), count)
	for _, index := range indexes {
		b = binary.BigEndian.AppendUint32(b, index)
	}
	return b
}

func blockAD(kind byte, transfer []byte, index uint32, length int) []byte {
	ad := binary.BigEndian.AppendUint32(slices.Concat([]byte{kind}, transfer), index)
	return binary.BigEndian.AppendUint32(ad, uint32(length)) //nolint:gosec // of a block
}

func refusalAD(transfer []byte, counter uint64) []byte {
	return binary.BigEndian.AppendUint64(slices.Concat([]byte{2}, transfer), counter)
}

func makeBlocks() blocksFile {
	f := blocksFile{
		about: about{"Reads of a transfer and what answers them, with nonces that are given. Contents are those of tree.json.", "transfers.md#3-read"},
		Key:   secret("transfer key"), Open: secret("open"), Transfer: secret("transfer")[:16],
	}
	f.ReadKey = hkdfKey(f.Key, f.Open, label("read"))
	f.BlockKey = hkdfKey(f.Key, f.Open, label("block"))
	nonce := func(name string) []byte { return secret("nonce " + name)[:12] }
	read := func(nonce, plaintext []byte) []byte {
		return slices.Concat(f.Transfer, aesGCM(f.ReadKey, nonce, plaintext, f.Transfer))
	}
	for _, r := range []readCase{
		{Counter: 1, Indexes: []uint32{0}},
		{Counter: 2, Indexes: []uint32{5, 4, 4, 1<<32 - 1}},
		{Counter: 3, Indexes: []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
		{Counter: 1<<53 - 1, Indexes: []uint32{}},
	} {
		r.Plaintext = readPlain(r.Counter, uint16(len(r.Indexes)), r.Indexes...) //nolint:gosec // at most 16
		r.Nonce = nonce("read " + string(r.Plaintext))
		r.Message = read(r.Nonce, r.Plaintext)
		f.Reads = append(f.Reads, r)
	}
	refuseRead := func(name, why string, msg []byte) {
		f.RefusedReads = append(f.RefusedReads, readRefusal{refusal{name, why}, msg})
	}
	first := f.Reads[0]
	refuseRead("empty", "malformed", nil)
	refuseRead("a byte less", "malformed", first.Message[:len(first.Message)-1])
	refuseRead("an index less than is sealed", "sealed", first.Message[:len(first.Message)-4])
	refuseRead("17 indexes", "malformed", read(first.Nonce, readPlain(1, 17, make([]uint32, 17)...)))
	refuseRead("another transfer", "sealed", slices.Concat(secret("another transfer")[:16], first.Message[16:]))
	refuseRead("sealed with the block key", "sealed", slices.Concat(f.Transfer, aesGCM(f.BlockKey, first.Nonce, first.Plaintext, f.Transfer)))
	refuseRead("sealed without the transfer", "sealed", slices.Concat(f.Transfer, aesGCM(f.ReadKey, first.Nonce, first.Plaintext, nil)))
	refuseRead("counter 0", "malformed", read(first.Nonce, readPlain(0, 1, 0)))
	refuseRead("a count too high", "malformed", read(first.Nonce, readPlain(1, 2, 0)))
	refuseRead("a count too low", "malformed", read(first.Nonce, readPlain(1, 0, 0)))

	block := func(kind byte, position uint8, index uint32, nonce, data []byte, proof []octets, ad []byte) []byte {
		plain := bytes.Clone(data)
		for _, h := range proof {
			plain = append(plain, h...)
		}
		return slices.Concat([]byte{kind, position}, aesGCM(f.BlockKey, nonce, plain, ad))
	}
	const size = seal.BlockSize
	for _, c := range []blockCase{
		{Name: "an empty content", Size: 0},
		{Name: "one byte", Size: 1, Position: 15},
		{Name: "a whole block", Size: size},
		{Name: "a last block of one byte", Size: size + 1, Position: 3, Index: 1},
		{Name: "a last block of seven bytes", Size: 4*size + 7, Position: 1, Index: 4},
	} {
		data := content(int(c.Size))[int(c.Index)*size:]
		data = data[:min(len(data), size)]
		tree := makeTree(int(c.Size))
		c.Proof, c.Root = tree.Proofs[c.Index], tree.Root
		c.Nonce = nonce(c.Name)
		c.Data = blockAD(1, f.Transfer, c.Index, len(data))
		msg := block(1, c.Position, c.Index, c.Nonce, data, c.Proof, c.Data)
		c.Hash = hash(msg)
		if len(msg) < 1000 {
			c.Message = msg
		}
		f.Blocks = append(f.Blocks, c)
	}
	refuseBlock := func(name, why string, size int64, index uint32, msg []byte) {
		f.RefusedBlocks = append(f.RefusedBlocks, blockRefusal{refusal{name, why}, size, index, msg})
	}
	last, one := f.Blocks[3], f.Blocks[1]
	data := content(size + 1)[size:]
	refuseBlock("another index", "malformed", last.Size, 0, last.Message)
	refuseBlock("an index beyond the end", "malformed", last.Size, 2, last.Message)
	refuseBlock("another size", "malformed", 1, 0, last.Message)
	refuseBlock("sealed for another index", "sealed", last.Size, 1, block(1, 3, 1, last.Nonce, data, last.Proof, blockAD(1, f.Transfer, 0, 1)))
	refuseBlock("sealed for another length", "sealed", last.Size, 1, block(1, 3, 1, last.Nonce, data, last.Proof, blockAD(1, f.Transfer, 1, 2)))
	refuseBlock("sealed for another transfer", "sealed", 1, 0, block(1, 0, 0, one.Nonce, content(1), nil, blockAD(1, secret("another transfer")[:16], 0, 1)))
	refuseBlock("sealed as a refusal", "sealed", 1, 0, block(1, 0, 0, one.Nonce, content(1), nil, blockAD(2, f.Transfer, 0, 1)))
	refuseBlock("of another kind", "malformed", 1, 0, block(2, 0, 0, one.Nonce, content(1), nil, blockAD(1, f.Transfer, 0, 1)))
	refuseBlock("another byte, sealed well", "root", 1, 0, block(1, 0, 0, one.Nonce, []byte{7}, nil, blockAD(1, f.Transfer, 0, 1)))
	refuseBlock("another proof, sealed well", "root", last.Size, 1, block(1, 3, 1, last.Nonce, data, []octets{zeros()}, last.Data))
	refuseBlock("a hash less", "malformed", last.Size, 1, block(1, 3, 1, last.Nonce, data, nil, last.Data))
	refuseBlock("a changed tag", "sealed", 1, 0, flipped(one.Message, -1))
	refuseBlock("a byte less", "malformed", 1, 0, one.Message[:len(one.Message)-1])
	refuseBlock("empty", "malformed", 1, 0, nil)

	refused := func(counter uint64, kind byte, text string, ad []byte) []byte {
		return slices.Concat([]byte{kind}, aesGCM(f.BlockKey, nonce("refusal"), []byte(text), ad))
	}
	for _, c := range []sealedCase{{Counter: 1, Code: "changed", Text: `the file "x" was written to`}, {Counter: 1<<53 - 1, Code: "expired"}} {
		c.Nonce, c.Data = nonce("refusal"), refusalAD(f.Transfer, c.Counter)
		c.Message = refused(c.Counter, 2, `{"code":"`+c.Code+`","message":`+quoted(c.Text)+`}`, c.Data)
		f.Refusals = append(f.Refusals, c)
	}
	refuse := func(name, why string, counter uint64, msg []byte) {
		f.RefusedRefusals = append(f.RefusedRefusals, sealedRefusal{refusal{name, why}, counter, msg})
	}
	ad := refusalAD(f.Transfer, 1)
	refuse("of another read", "sealed", 2, f.Refusals[0].Message)
	refuse("sealed as a block", "sealed", 1, refused(1, 2, `{"code":"busy","message":""}`, blockAD(1, f.Transfer, 0, 1)))
	refuse("of another kind", "malformed", 1, refused(1, 1, `{"code":"busy","message":""}`, ad))
	refuse("a code that nobody knows", "malformed", 1, refused(1, 2, `{"code":"tired","message":""}`, ad))
	refuse("no message", "malformed", 1, refused(1, 2, `{"code":"busy"}`, ad))
	refuse("white space", "malformed", 1, refused(1, 2, `{"code":"busy", "message":""}`, ad))
	refuse("too short to be sealed", "sealed", 1, append([]byte{2}, make([]byte, 27)...))

	for _, code := range []string{"refused", "busy", "malformed"} {
		f.Plain = append(f.Plain, plainCase{code, "later", octets("\x00" + `{"code":"` + code + `","message":"later"}`)})
	}
	reply := func(name, why string, msg []byte) {
		f.RefusedReplies = append(f.RefusedReplies, messageRefusal{refusal{name, why}, msg})
	}
	reply("a code that is not said in the clear", "code", []byte("\x00"+`{"code":"changed","message":""}`))
	reply("no JSON in the clear", "form", []byte{0})
	reply("position 16", "position", slices.Concat([]byte{1, 16}, one.Message[2:]))
	reply("a kind that nobody knows", "kind", slices.Concat([]byte{3}, one.Message[1:]))
	reply("a block without a tag", "length", one.Message[:20])
	reply("a refusal without a tag", "length", f.Refusals[0].Message[:20])

	f.Window = []windowCase{
		{0, false},
		{1, true},
		{1, false},
		{3, true},
		{2, true},
		{2, false},
		{1027, true},
		{3, false},
		{4, true},
		{1028, true},
		{4, false},
		{5000, true},
		{3976, true},
		{3975, false},
		{3976, false},
		{4999, true},
		{1 << 53, true},
		{5000, false},
	}
	return f
}

func (f *blocksFile) keys() (*seal.Keys, [16]byte) {
	return seal.DeriveKeys([32]byte(f.Key), [32]byte(f.Open)), [16]byte(f.Transfer)
}

var sealErrors = map[string]error{"malformed": seal.ErrMalformed, "sealed": seal.ErrSealed, "root": seal.ErrBlock}

// openBlock opens a block message and proves what is in it.
func openBlock(keys *seal.Keys, transfer [16]byte, root []byte, size int64, index uint32, msg []byte) ([]byte, error) {
	data, proof, err := keys.OpenBlock(nil, transfer, size, index, msg)
	if err != nil {
		return nil, err
	}
	return data, seal.Verify(seal.Hash(root), size, index, data, proof)
}

func TestBlocks(t *testing.T) {
	f := load[blocksFile](t, "blocks.json")
	keys, transfer := f.keys()
	for _, c := range f.Reads {
		got, err := keys.OpenRead(transfer, c.Message)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(seal.Read{Counter: c.Counter, Indexes: c.Indexes}, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		anew := get(keys.SealRead(nil, transfer, got))
		sameBytes(t, "sealed anew", anew[16:], aesGCM(f.ReadKey, anew[16:28], c.Plaintext, f.Transfer))
	}
	for _, c := range f.Blocks {
		plain := content(int(c.Size))[int(c.Index)*seal.BlockSize:]
		plain = plain[:seal.BlockLen(c.Size, c.Index)]
		message := c.Message
		if message == nil {
			whole := bytes.Clone(plain)
			for _, h := range c.Proof {
				whole = append(whole, h...)
			}
			message = slices.Concat([]byte{1, c.Position}, aesGCM(f.BlockKey, c.Nonce, whole, c.Data))
		}
		sameBytes(t, c.Name, hash(message), c.Hash)
		if reply, err := seal.ParseReply(message); err != nil || reply.Kind != seal.KindBlock || reply.Position != c.Position {
			t.Errorf("%s: %+v, %v", c.Name, reply, err)
		}
		data, err := openBlock(keys, transfer, c.Root, c.Size, c.Index, bytes.Clone(message))
		if err != nil || !bytes.Equal(data, plain) {
			t.Errorf("%s: %d bytes, %v", c.Name, len(data), err)
		}
		anew := keys.SealBlock(nil, transfer, c.Position, c.Index, plain, hashes(c.Proof))
		if len(anew) != len(message) || !bytes.Equal(anew[:2], message[:2]) {
			t.Errorf("%s: sealed anew in %d bytes", c.Name, len(anew))
		}
	}
	for _, c := range f.Refusals {
		reason, err := keys.OpenRefusal(transfer, c.Counter, c.Message)
		if err != nil || string(reason.Code) != c.Code || reason.Message != c.Text {
			t.Errorf("%+v, %v", reason, err)
		}
		anew := get(keys.SealRefusal(nil, transfer, c.Counter, reason))
		same(t, "length of a refusal", len(anew), len(c.Message))
	}
	for _, c := range f.Plain {
		reply, err := seal.ParseReply(c.Message)
		if err != nil || reply.Kind != seal.KindPlainRefusal || string(reply.Reason.Code) != c.Code || reply.Reason.Message != c.Text {
			t.Errorf("%+v, %v", reply, err)
		}
	}
	for _, r := range f.RefusedReads {
		_, err := keys.OpenRead(transfer, r.Message)
		wantErr(t, r.Name, err, sealErrors[r.Why])
	}
	roots := map[int64]octets{f.Blocks[1].Size: f.Blocks[1].Root, f.Blocks[3].Size: f.Blocks[3].Root}
	for _, r := range f.RefusedBlocks {
		_, err := openBlock(keys, transfer, roots[r.Size], r.Size, r.Index, bytes.Clone(r.Message))
		wantErr(t, r.Name, err, sealErrors[r.Why])
	}
	for _, r := range f.RefusedRefusals {
		_, err := keys.OpenRefusal(transfer, r.Counter, r.Message)
		wantErr(t, r.Name, err, sealErrors[r.Why])
	}
	for _, r := range f.RefusedReplies {
		_, err := seal.ParseReply(r.Message)
		wantErr(t, r.Name, err, seal.ErrMalformed)
	}
	window := new(seal.Window)
	for _, c := range f.Window {
		same(t, "counter", window.Accept(c.Counter), c.Fresh)
	}
}
