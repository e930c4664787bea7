package seal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"keyhall.dev/keyhall/seal"
)

// counting is n bytes that count up from first.
func counting(first byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = first + byte(i)
	}
	return out
}

// The transfer of the vectors, made with other libraries (Python's cryptography, Node's crypto) from the page.
var (
	vectorKeys     = seal.DeriveKeys([32]byte(counting(0, 32)), [32]byte(counting(32, 32)))
	vectorTransfer = [16]byte(counting(64, 16))
)

const (
	vectorRead    = "404142434445464748494a4b4c4d4e4f505152535455565758595a5ba6bfc754c6e482836faa9a922d649263894f380479be90a89db5b45ea0e2dfc6fa6085f56267"
	vectorClose   = "404142434445464748494a4b4c4d4e4f505152535455565758595a5ba6bfc754c6e4828c6fa95fbb51ab25a595c22f7c2bef48afc948"
	vectorBlock0  = "0103505152535455565758595a5b26a9cf1dd51f64a6c15e25f0a0d1e5d07c9d3bb2c2"
	vectorBlock1  = "0100505152535455565758595a5b26a9cf1dd5ced4f941cfea0b866f6dac98dac3a659a2c5a2b912d872b1a77c6c953ca298ced92e3aecf444cc68804277be2a1879bd"
	vectorRoot1   = "c47c5eadb5252821a7679815b108f9550912bd89fa87ad149aa6530ce8ca0636"
	vectorRefusal = "02505152535455565758595a5b35eec01ede198cc04a2868e083e478c487998233c02a4e3c508f84dfbb42ead3fbb08159a74e54cc9d33e63b0aef3dcb215c6288bfe2dcf42cd9d53b1fb5e3069701934abf0e"
)

func unhex(text string) []byte {
	raw, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return raw
}

func TestMessagesOfAnotherImplementationOpen(t *testing.T) {
	read, err := vectorKeys.OpenRead(vectorTransfer, unhex(vectorRead))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(seal.Read{Counter: 7, Indexes: []uint32{0, 1, 1<<32 - 1}}, read); diff != "" {
		t.Error(diff)
	}
	if read, err = vectorKeys.OpenRead(vectorTransfer, unhex(vectorClose)); err != nil || !read.Closes() || read.Counter != 8 {
		t.Errorf("the closing read is %v, %v", read, err)
	}
	data, proof, err := vectorKeys.OpenBlock(nil, vectorTransfer, 5, 0, unhex(vectorBlock0))
	if err != nil || string(data) != "hello" || len(proof) != 0 {
		t.Errorf("block 0 is %q with %d hashes, %v", data, len(proof), err)
	}
	const size = seal.BlockSize + 5
	data, proof, err = vectorKeys.OpenBlock(nil, vectorTransfer, size, 1, unhex(vectorBlock1))
	if err != nil {
		t.Fatal(err)
	}
	root, err := seal.ParseHash(vectorRoot1)
	if err != nil {
		t.Fatal(err)
	}
	if err := seal.Verify(root, size, 1, data, proof); err != nil {
		t.Error(err)
	}
	reason, err := vectorKeys.OpenRefusal(vectorTransfer, 7, unhex(vectorRefusal))
	if err != nil || reason.Code != seal.CodeChanged || reason.Message != "the file was written to" {
		t.Errorf("the refusal is %v, %v", reason, err)
	}
}

func drawTransfer(t *rapid.T) (*seal.Keys, [16]byte) {
	bytes32 := rapid.SliceOfN(rapid.Byte(), 32, 32)
	keys := seal.DeriveKeys([32]byte(bytes32.Draw(t, "key")), [32]byte(bytes32.Draw(t, "open")))
	return keys, [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "transfer"))
}

func TestReadsRoundTripAndMutationsAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, transfer := drawTransfer(t)
		want := seal.Read{
			Counter: rapid.Uint64Min(1).Draw(t, "counter"),
			Indexes: rapid.SliceOfN(rapid.Uint32(), 0, seal.MaxIndexes).Draw(t, "indexes"),
		}
		before := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "dst")
		msg, err := keys.SealRead(bytes.Clone(before), transfer, want)
		if err != nil || !bytes.HasPrefix(msg, before) {
			t.Fatal("the message was not appended", err)
		}
		msg = msg[len(before):]
		if len(msg) > seal.MaxReadMessage {
			t.Fatalf("a message of %d bytes", len(msg))
		}
		if named, err := seal.ReadTransfer(msg); err != nil || named != transfer {
			t.Fatalf("the message names %x, %v", named, err)
		}
		got, err := keys.OpenRead(transfer, msg)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		flip(t, msg)
		if _, err := keys.OpenRead(transfer, msg); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("a changed read gives %v, want ErrSealed", err)
		}
		if named, _ := seal.ReadTransfer(msg); named != transfer {
			if _, err := keys.OpenRead(named, msg); !errors.Is(err, seal.ErrSealed) {
				t.Fatalf("a read moved to another transfer gives %v, want ErrSealed", err)
			}
		}
	})
}

func TestReadOutOfBoundsIsNotSealed(t *testing.T) {
	for _, r := range []seal.Read{{Counter: 0}, {Counter: 1, Indexes: make([]uint32, seal.MaxIndexes+1)}} {
		if _, err := vectorKeys.SealRead(nil, vectorTransfer, r); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("read %v: error is %v, want ErrMalformed", r, err)
		}
	}
}

// sealedBlock is block index of a content of size bytes, sealed by the vector's owner.
func sealedBlock(size int64, index uint32) (data []byte, proof []seal.Hash, msg []byte) {
	data = pattern(seal.BlockLen(size, index))
	for i := range seal.ProofLen(size, index) {
		proof = append(proof, seal.Leaf([]byte{byte(i)}))
	}
	return data, proof, vectorKeys.SealBlock(nil, vectorTransfer, 0, index, data, proof)
}

func TestBlocksRoundTripAndMutationsAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 40).Draw(t, "blocks before the last")
		size := n*seal.BlockSize + rapid.Int64Range(0, 2000).Draw(t, "last")
		index := uint32(seal.Blocks(size) - 1)
		data, proof, _ := sealedBlock(size, index)
		keys, transfer := drawTransfer(t)
		position := uint8(rapid.IntRange(0, 15).Draw(t, "position"))
		msg := keys.SealBlock(nil, transfer, position, index, data, proof)

		reply, err := seal.ParseReply(msg)
		if err != nil || reply.Kind != seal.KindBlock || reply.Position != position {
			t.Fatalf("the message is taken for %v, %v", reply, err)
		}
		gotData, gotProof, err := keys.OpenBlock([]byte("dst"), transfer, size, index, msg)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(gotData, data) {
			t.Fatal("other data came out")
		}
		if diff := cmp.Diff(proof, gotProof, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		i := rapid.IntRange(0, len(msg)-1).Draw(t, "byte")
		if i == 1 {
			return // the position is not sealed: it only says where to look for the index
		}
		msg[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		_, _, err = keys.OpenBlock(nil, transfer, size, index, msg)
		if !errors.Is(err, seal.ErrSealed) && !(i == 0 && errors.Is(err, seal.ErrMalformed)) {
			t.Fatalf("a message changed at %d gives %v", i, err)
		}
	})
}

func TestBlockIsRefusedAtAnotherPlace(t *testing.T) {
	const size = 6 * seal.BlockSize
	_, _, msg := sealedBlock(size, 2)
	other := vectorTransfer
	other[0]++
	if _, _, err := vectorKeys.OpenBlock(nil, other, size, 2, msg); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("in another transfer: %v, want ErrSealed", err)
	}
	if _, _, err := vectorKeys.OpenBlock(nil, vectorTransfer, size, 3, msg); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("as another index: %v, want ErrSealed", err)
	}
	if _, _, err := vectorKeys.OpenBlock(nil, vectorTransfer, size, 6, msg); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("as a block that is not there: %v, want ErrMalformed", err)
	}
	keys := seal.DeriveKeys([32]byte{1}, [32]byte(counting(32, 32)))
	if _, _, err := keys.OpenBlock(nil, vectorTransfer, size, 2, msg); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("with another key: %v, want ErrSealed", err)
	}
	keys = seal.DeriveKeys([32]byte(counting(0, 32)), [32]byte{1})
	if _, _, err := keys.OpenBlock(nil, vectorTransfer, size, 2, msg); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("for another open: %v, want ErrSealed", err)
	}
}

func TestBlockIsSealedAndOpenedWhereItLies(t *testing.T) {
	const size, index = 3 * seal.BlockSize, 1
	want, proof, _ := sealedBlock(size, index)
	buf := make([]byte, 0, seal.MaxBlockMessage)
	data := append(seal.BlockSpace(buf), want...)
	msg := vectorKeys.SealBlock(buf, vectorTransfer, 0, index, data, proof)
	if &msg[0] != &buf[:1][0] {
		t.Error("sealing took another buffer")
	}
	if bytes.Contains(msg, want[:64]) {
		t.Error("the message holds the data in the clear")
	}
	got, _, err := vectorKeys.OpenBlock(seal.BlockSpace(msg), vectorTransfer, size, index, msg)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("other data came out: %v", err)
	}
	if &got[0] != &seal.BlockSpace(msg)[:1][0] {
		t.Error("opening took another buffer")
	}
}

func TestBlockIsSealedWhateverTheBuffer(t *testing.T) {
	data := []byte("some data")
	for room := range 80 {
		for _, before := range []string{"", "before"} {
			dst := append(make([]byte, 0, len(before)+room), before...)
			msg := vectorKeys.SealBlock(dst, vectorTransfer, 1, 0, data, nil)
			got, _, err := vectorKeys.OpenBlock(nil, vectorTransfer, int64(len(data)), 0, msg[len(before):])
			if err != nil || string(got) != string(data) || !strings.HasPrefix(string(msg), before) {
				t.Fatalf("with room for %d after %q: %q, %v", room, before, got, err)
			}
		}
	}
	if seal.BlockSpace(make([]byte, 3)) != nil {
		t.Error("a tiny buffer has space for a block")
	}
}

func TestRefusalsRoundTripAndMutationsAreRefused(t *testing.T) {
	codes := []seal.Code{seal.CodeRefused, seal.CodeNotFound, seal.CodeChanged, seal.CodeBusy, seal.CodeExpired, seal.CodeMalformed, seal.CodeUnavailable}
	rapid.Check(t, func(t *rapid.T) {
		keys, transfer := drawTransfer(t)
		want := seal.Reason{
			Code:    rapid.SampledFrom(codes).Draw(t, "code"),
			Message: rapid.StringN(0, -1, seal.MaxMessage).Draw(t, "message"),
		}
		counter := rapid.Uint64().Draw(t, "counter")
		msg, err := keys.SealRefusal([]byte("dst"), transfer, counter, want)
		if err != nil {
			t.Fatal(err)
		}
		msg = bytes.TrimPrefix(msg, []byte("dst"))
		if reply, err := seal.ParseReply(msg); err != nil || reply.Kind != seal.KindRefusal {
			t.Fatalf("the message is taken for %v, %v", reply, err)
		}
		if got, err := keys.OpenRefusal(transfer, counter, msg); err != nil || got != want {
			t.Fatalf("%v came out, %v", got, err)
		}
		if _, err := keys.OpenRefusal(transfer, counter+1, msg); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("for another read: %v, want ErrSealed", err)
		}
		i := rapid.IntRange(0, len(msg)-1).Draw(t, "byte")
		msg[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		_, err = keys.OpenRefusal(transfer, counter, msg)
		if !errors.Is(err, seal.ErrSealed) && !(i == 0 && errors.Is(err, seal.ErrMalformed)) {
			t.Fatalf("a message changed at %d gives %v", i, err)
		}
	})
}

func TestInTheClearOnlySomeCodesAreSaid(t *testing.T) {
	for _, code := range []seal.Code{seal.CodeRefused, seal.CodeBusy, seal.CodeMalformed} {
		want := seal.Reason{Code: code, Message: "no"}
		msg, err := want.AppendPlain(nil)
		if err != nil {
			t.Fatal(err)
		}
		if text := "\x00" + `{"code":"` + string(code) + `","message":"no"}`; string(msg) != text {
			t.Errorf("the message is %q, want %q", msg, text)
		}
		reply, err := seal.ParseReply(msg)
		if err != nil || reply.Kind != seal.KindPlainRefusal || reply.Reason != want {
			t.Errorf("the reply is %v, %v", reply, err)
		}
		if _, reason, err := seal.ParseAnswerMessage(msg); err != nil || *reason != want {
			t.Errorf("the answer is %v, %v", reason, err)
		}
	}
	for _, code := range []seal.Code{seal.CodeNotFound, seal.CodeChanged, seal.CodeExpired, seal.CodeUnavailable, "", "else"} {
		if _, err := (seal.Reason{Code: code}).AppendPlain(nil); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("%q is said in the clear: %v", code, err)
		}
		msg := "\x00" + `{"code":"` + string(code) + `","message":""}`
		if _, err := seal.ParseReply([]byte(msg)); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("%q is heard in the clear: %v", code, err)
		}
	}
}

func TestRepliesAreToldApart(t *testing.T) {
	if reply, err := seal.ParseReply(nil); err != nil || reply.Kind != seal.KindEnd {
		t.Errorf("the empty message is %v, %v", reply, err)
	}
	refused := []string{
		"\x00", "\x00{}", "\x00null", "\x03" + strings.Repeat("x", 60), "\xff",
		"\x01\x00", "\x01\x10" + strings.Repeat("x", 60), "\x02" + strings.Repeat("x", 27),
		"\x02" + strings.Repeat("x", 10<<10), "\x01\x00" + strings.Repeat("x", seal.MaxBlockMessage),
		"\x00" + `{"code":"busy","message":""} `,
		"\x00" + `{"code":"busy","message":"` + strings.Repeat("x", seal.MaxMessage+1) + `"}`,
	}
	for _, msg := range refused {
		if reply, err := seal.ParseReply([]byte(msg)); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("%.40q is taken for %v, %v", msg, reply, err)
		}
	}
}

func TestAnswerIsABoxOrAReason(t *testing.T) {
	box, reason, err := seal.ParseAnswerMessage(seal.AppendAnswerMessage(nil, []byte("box")))
	if err != nil || reason != nil || string(box) != "box" {
		t.Errorf("the answer is %q, %v, %v", box, reason, err)
	}
	for _, msg := range []string{"", "\x01", "\x00", "\x02xxxx", "\x00{}"} {
		if _, _, err := seal.ParseAnswerMessage([]byte(msg)); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("%q: error is %v, want ErrMalformed", msg, err)
		}
	}
}

func TestKeysMaySealAtTheSameTime(t *testing.T) {
	done := make(chan error)
	for range 4 {
		go func() {
			var err error
			for range 50 {
				msg := vectorKeys.SealBlock(nil, vectorTransfer, 0, 0, []byte("hello"), nil)
				if _, _, e := vectorKeys.OpenBlock(nil, vectorTransfer, 5, 0, msg); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
