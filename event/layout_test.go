package event_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// token is the token of docs/protocol/events.md, field by field, written down by nobody's
// rules but the table's: it holds what no event may hold as well.
type token struct {
	id                      [16]byte
	author, device          [32]byte
	time, notAfter, seq     uint64
	prev, head, epoch, body [32]byte
	kind, subject, audience string
}

func (k token) bytes() []byte {
	b := slices.Concat(k.id[:], k.author[:], k.device[:])
	for _, n := range []uint64{k.time, k.notAfter, k.seq} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = slices.Concat(b, k.prev[:], k.head[:], k.epoch[:], k.body[:])
	for _, text := range []string{k.kind, k.subject, k.audience} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
	}
	return b
}

// compact is the compact form around a token.
func compact(token []byte, body []byte, signatures ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{1, byte(len(signatures))}, uint16(len(token)))
	return slices.Concat(b, token, slices.Concat(signatures...), body)
}

func signed(token []byte) []byte { return append([]byte("\xffkeyhall/event/v1\x00"), token...) }

// plain is a token that keeps every bound.
func plain() token {
	return token{
		id:     [16]byte(uuid.MustParse("019a2b3c-4d5e-7f60-8182-838485868788")),
		author: [32]byte{1}, device: [32]byte{2}, time: 1764000000123, body: sha256.Sum256([]byte("hello")),
		kind: "room.message", subject: "room.r.say.A", audience: "O",
	}
}

// events draws events with every field set or not, as Sign accepts them.
func events() *rapid.Generator[*event.Event] {
	hash := rapid.Custom(func(t *rapid.T) (h event.Hash) {
		copy(h[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
		h[0] |= 1
		return h
	})
	maybe := func(t *rapid.T, name string) event.Hash {
		if rapid.Bool().Draw(t, name) {
			return hash.Draw(t, name)
		}
		return event.Hash{}
	}
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(1, 1<<44).Draw(t, "ms")).UTC()
	})
	return rapid.Custom(func(t *rapid.T) *event.Event {
		ev := &event.Event{
			Author: trust.PublicKey(hash.Draw(t, "author")), Time: moment.Draw(t, "time"),
			Seq: rapid.Uint64().Draw(t, "seq"), Head: maybe(t, "head"), Epoch: maybe(t, "epoch"),
			Type:     rapid.StringMatching(`[a-z0-9.-]{1,64}`).Draw(t, "type"),
			Subject:  rapid.StringMatching(`[!-)+-\-/-=?-~é]{1,60}(\.[a-z0-9]{1,20}){0,4}`).Draw(t, "subject"),
			Audience: rapid.StringN(0, 32, 128).Draw(t, "audience"),
			Body:     rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
		if ev.Seq > 1 {
			ev.Prev = hash.Draw(t, "prev")
		}
		if rapid.Bool().Draw(t, "limited") {
			ev.NotAfter = moment.Draw(t, "not after")
		}
		return ev
	})
}

func TestTheCompactFormIsTheProtocols(t *testing.T) {
	device, second := trust.NewKeyPair(trust.Device), trust.NewKeyPair(trust.Device)
	rapid.Check(t, func(t *rapid.T) {
		ev := events().Draw(t, "event")
		if err := ev.Sign(device); err != nil {
			t.Fatal(err)
		}
		k := token{
			id: ev.ID, author: ev.Author, device: device.Public(), time: uint64(ev.Time.UnixMilli()), seq: ev.Seq,
			prev: ev.Prev, head: ev.Head, epoch: ev.Epoch, body: sha256.Sum256(ev.Body),
			kind: ev.Type, subject: ev.Subject, audience: ev.Audience,
		}
		if !ev.NotAfter.IsZero() {
			k.notAfter = uint64(ev.NotAfter.UnixMilli())
		}
		first := device.Sign(signed(k.bytes()))
		if got, want := ev.Encode(), compact(k.bytes(), ev.Body, first[:]); !bytes.Equal(got, want) {
			t.Fatalf("%x, want\n%x", got, want)
		}
		if n := len(k.bytes()); n != 238+len(ev.Type)+len(ev.Subject)+len(ev.Audience) {
			t.Fatalf("the token has %d bytes", n)
		}
		if got := ev.Hash(); got != sha256.Sum256(signed(k.bytes())) {
			t.Fatalf("hash %s", got)
		}
		if got := ev.SignedHash(); got != sha256.Sum256(append(signed(k.bytes()), first[:]...)) {
			t.Fatalf("signed hash %x", got)
		}
		if err := ev.CoSign(second); err != nil {
			t.Fatal(err)
		}
		other := second.Sign(signed(k.bytes()))
		if got, want := ev.Encode(), compact(k.bytes(), ev.Body, first[:], other[:]); !bytes.Equal(got, want) {
			t.Fatalf("co-signed %x, want\n%x", got, want)
		}
		if got, want := ev.EncodeWithheld(), compact(k.bytes(), nil, first[:], other[:]); !bytes.Equal(got, want) {
			t.Fatalf("withheld %x, want\n%x", got, want)
		}
	})
}

func TestWhatWasSignedIsWhatIsRead(t *testing.T) {
	device := trust.NewKeyPair(trust.Device)
	rapid.Check(t, func(t *rapid.T) {
		ev := events().Draw(t, "event")
		if err := ev.Sign(device); err != nil {
			t.Fatal(err)
		}
		got, err := event.Decode(ev.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Check(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ev, got, cmpopts.IgnoreUnexported(event.Event{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		if got.Hash() != ev.Hash() || got.SignedHash() != ev.SignedHash() || !bytes.Equal(got.Encode(), ev.Encode()) {
			t.Fatal("it has another hash or another form")
		}
	})
}

// TestASignatureIsOfTheToken: the standard library, told the key and the bytes, says the same.
func TestASignatureIsOfTheToken(t *testing.T) {
	device := trust.NewKeyPair(trust.Device)
	k := plain()
	k.device = device.Public()
	sig := device.Sign(signed(k.bytes()))
	ev, err := event.Decode(compact(k.bytes(), []byte("hello"), sig[:]))
	if err != nil {
		t.Fatal(err)
	}
	if err := ev.Check(); err != nil {
		t.Error(err)
	}
	if !ed25519.Verify(k.device[:], signed(k.bytes()), sig[:]) {
		t.Error("the standard library disagrees")
	}
}

func TestEveryFieldHasItsBounds(t *testing.T) {
	type row struct {
		what   string
		change func(k *token)
		good   bool
	}
	check := func(rows []row) {
		for _, row := range rows {
			k := plain()
			row.change(&k)
			_, err := event.Decode(compact(k.bytes(), []byte("hello"), make([]byte, 64)))
			if row.good != (err == nil) || (err != nil && !errors.Is(err, event.ErrMalformed)) {
				t.Errorf("%s: %v", row.what, err)
			}
		}
	}
	one := [32]byte{31: 1}
	check([]row{
		{"unchanged", func(*token) {}, true},
		{"no id", func(k *token) { k.id = [16]byte{} }, false},
		{"an id of version 4", func(k *token) { k.id[6] = 0x4f }, false},
		{"an id of another variant", func(k *token) { k.id[8] = 0xc1 }, false},
		{"no author", func(k *token) { k.author = [32]byte{} }, false},
		{"no device", func(k *token) { k.device = [32]byte{} }, false},
		{"no time", func(k *token) { k.time = 0 }, false},
		{"the first moment", func(k *token) { k.time = 1 }, true},
		{"the last moment", func(k *token) { k.time = 1<<62 - 1 }, true},
		{"a moment too late", func(k *token) { k.time = 1 << 62 }, false},
		{"a time of all ones", func(k *token) { k.time = 1<<64 - 1 }, false},
		{"a limit", func(k *token) { k.notAfter = 1 }, true},
		{"a limit too late", func(k *token) { k.notAfter = 1 << 62 }, false},
		{"a limit of all ones", func(k *token) { k.notAfter = 1<<64 - 1 }, false},
		{"the first place", func(k *token) { k.seq = 1 }, true},
		{"the first place after another", func(k *token) { k.seq, k.prev = 1, one }, false},
		{"the second place", func(k *token) { k.seq, k.prev = 2, one }, true},
		{"the second place after nothing", func(k *token) { k.seq = 2 }, false},
		{"no place after another", func(k *token) { k.prev = one }, false},
		{"the last place", func(k *token) { k.seq, k.prev = 1<<64-1, one }, true},
		{"a head", func(k *token) { k.head = one }, true},
		{"an epoch", func(k *token) { k.epoch = one }, true},
		{"another body", func(k *token) { k.body = one }, true}, // Check sees that
	})
	check([]row{
		{"no type", func(k *token) { k.kind = "" }, false},
		{"a type of 64 bytes", func(k *token) { k.kind = strings.Repeat("a", 64) }, true},
		{"a type of 65 bytes", func(k *token) { k.kind = strings.Repeat("a", 65) }, false},
		{"a type of all its characters", func(k *token) { k.kind = "az09.-" }, true},
		{"a type with a capital", func(k *token) { k.kind = "Room" }, false},
		{"a type with an underscore", func(k *token) { k.kind = "a_b" }, false},
		{"a type with a space", func(k *token) { k.kind = "a b" }, false},
		{"a type beyond ascii", func(k *token) { k.kind = "é" }, false},
		{"no subject", func(k *token) { k.subject = "" }, false},
		{"a subject of 255 bytes", func(k *token) { k.subject = strings.Repeat("a", 255) }, true},
		{"a subject of 256 bytes", func(k *token) { k.subject = strings.Repeat("a", 256) }, false},
		{"a subject with a star", func(k *token) { k.subject = "a.*.b" }, false},
		{"a subject that is a star", func(k *token) { k.subject = "*" }, false},
		{"a subject with an arrow", func(k *token) { k.subject = "a.>" }, false},
		{"a subject with an arrow inside", func(k *token) { k.subject = "a.>.b" }, false},
		{"a star that is no wildcard", func(k *token) { k.subject = "a.b*" }, true},
		{"a subject with an empty token", func(k *token) { k.subject = "a..b" }, false},
		{"a subject that ends with a dot", func(k *token) { k.subject = "a." }, false},
		{"a subject that begins with a dot", func(k *token) { k.subject = ".a" }, false},
		{"a subject with a space", func(k *token) { k.subject = "a b" }, false},
		{"a subject with a tab", func(k *token) { k.subject = "a\tb" }, false},
		{"a subject with a line break", func(k *token) { k.subject = "a\r\nb" }, false},
		{"a subject with a zero byte", func(k *token) { k.subject = "a\x00b" }, false},
		{"a subject with a delete", func(k *token) { k.subject = "a\x7fb" }, false},
		{"a subject that is not utf-8", func(k *token) { k.subject = "a\xff" }, false},
		{"no audience", func(k *token) { k.audience = "" }, true},
		{"an audience of 128 bytes", func(k *token) { k.audience = strings.Repeat("a", 128) }, true},
		{"an audience of 129 bytes", func(k *token) { k.audience = strings.Repeat("a", 129) }, false},
		{"an audience that is not utf-8", func(k *token) { k.audience = "\xff" }, false},
	})
}

func TestAFormThatIsNotTheCompactOneIsRefused(t *testing.T) {
	k, sig, body := plain().bytes(), make([]byte, 64), []byte("hello")
	good := compact(k, body, sig)
	set := func(at int, b ...byte) []byte {
		changed := slices.Clone(good)
		copy(changed[at:], b)
		return changed
	}
	for what, data := range map[string][]byte{
		"nothing":                     {},
		"three bytes":                 good[:3],
		"the head alone":              good[:4],
		"half":                        good[:len(good)/2],
		"a signature cut short":       good[:len(good)-len(body)-1],
		"another version":             set(0, 2),
		"version 0":                   set(0, 0),
		"no signature":                compact(k, body),
		"three signatures":            compact(k, body, sig, sig, sig),
		"two that are not there":      compact(k, nil, sig)[:len(good)-len(body)-1],
		"a token of no bytes":         compact(nil, body, sig),
		"a token without strings":     compact(k[:232], body, sig),
		"a token cut in a length":     compact(k[:233], body, sig),
		"a token cut in a string":     compact(k[:len(k)-1], body, sig),
		"a token with a byte more":    compact(append(slices.Clone(k), 0), body, sig),
		"a length beyond the end":     set(2, 0xff, 0xff),
		"a length one short":          set(2, byte((len(k)-1)>>8), byte(len(k)-1)),
		"a string beyond the token":   set(4+232, 0xff, 0xff),
		"a body of 512 KiB and one":   compact(k, make([]byte, event.MaxBody+1), sig),
		"a body of one byte too many": compact(k, make([]byte, event.MaxBody+1), sig, sig),
		"a megabyte":                  make([]byte, 1<<20),
	} {
		if _, err := event.Decode(data); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := event.Decode(compact(k, make([]byte, event.MaxBody), sig)); err != nil {
		t.Errorf("a body of 512 KiB: %v", err)
	}
}

// fuzzSeed is the seed of a device that signs nothing but this: workers of one fuzz run share it.
const fuzzSeed = "SUAGKUKU2VKGPB5CZM4L7AS5BVONW546M3DUQHBF7JEQPIXVOAWZMYRDXE"

func FuzzDecode(f *testing.F) {
	device, err := trust.ParseSeed(trust.Device, []byte(fuzzSeed))
	if err != nil {
		f.Fatal(err)
	}
	k := plain()
	k.device = device.Public()
	sig := device.Sign(signed(k.bytes()))
	f.Add(compact(k.bytes(), []byte("hello"), sig[:]))
	f.Add(compact(k.bytes(), nil, sig[:], sig[:]))
	f.Add(compact(k.bytes()[:232], nil, sig[:]))
	k.seq, k.prev, k.notAfter, k.audience = 2, [32]byte{1}, 1, strings.Repeat("é", 64)
	f.Add(compact(k.bytes(), make([]byte, 100), sig[:]))
	f.Add([]byte{1, 1, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		ev, err := event.Decode(data)
		if err != nil {
			if !errors.Is(err, event.ErrMalformed) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		if again := ev.Encode(); !bytes.Equal(again, data) {
			t.Fatalf("%x comes out as %x", data, again)
		}
		if err := ev.Check(); err == nil && ev.Device != device.Public() {
			t.Fatalf("a forged event: %+v", ev)
		}
		withheld, err := event.Decode(ev.EncodeWithheld())
		if err != nil || withheld.Hash() != ev.Hash() {
			t.Fatalf("with its body withheld: %v", err)
		}
	})
}
