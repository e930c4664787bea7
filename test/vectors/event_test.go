package vectors_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// eventID is the id of an event of these files: a UUID of version 7.
func eventID(name string) uuid.UUID {
	raw := [16]byte(secret("event " + name)[:16])
	copy(raw[:6], []byte{0x01, 0x9a, 0xab, 0xcd, 0xef, 0x01})
	raw[6], raw[8] = raw[6]&0x0f|0x70, raw[8]&0x3f|0x80
	return raw
}

// fields are the token of an event, as its page lists them.
type fields struct {
	ID       octets `json:"id"`
	Author   octets `json:"author"`
	Device   octets `json:"device"`
	Time     uint64 `json:"time,string"`
	NotAfter uint64 `json:"notAfter,string"`
	Seq      uint64 `json:"seq,string"`
	Prev     octets `json:"prev"`
	Head     octets `json:"head"`
	Epoch    octets `json:"epoch"`
	BodyHash octets `json:"bodyHash"`
	Type     string `json:"type"`
	Subject  string `json:"subject"`
	Audience string `json:"audience"`

	Cause   octets `json:"cause,omitempty"`
	Digest  uint8  `json:"digest,omitempty"` // 1: SHA-512/256
	Content string `json:"content,omitempty"`
	Receipt string `json:"receipt,omitempty"`
}

func (f fields) token() []byte {
	b := slices.Concat(f.ID, f.Author, f.Device)
	for _, n := range []uint64{f.Time, f.NotAfter, f.Seq} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = slices.Concat(b, f.Prev, f.Head, f.Epoch, f.BodyHash)
	for _, text := range []string{f.Type, f.Subject, f.Audience} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...) //nolint:gosec // short
	}
	for _, further := range []struct {
		tag   byte
		value []byte
	}{{1, f.Cause}, {2, bytes.Trim([]byte{f.Digest}, "\x00")}, {3, []byte(f.Content)}, {4, []byte(f.Receipt)}} {
		if len(further.value) > 0 {
			b = append(b, furtherField(further.tag, further.value)...)
		}
	}
	return b
}

func furtherField(tag byte, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{tag}, uint16(len(value))), value...) //nolint:gosec // short
}

// bodyHash is the hash of a body by the digest that the token names.
func (f fields) bodyHash(body []byte) []byte {
	if f.Digest == 1 {
		sum := sha512.Sum512_256(body)
		return sum[:]
	}
	return hash(body)
}

func compact(token, body []byte, signatures ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{1, byte(len(signatures))}, uint16(len(token))) //nolint:gosec // short
	return slices.Concat(b, token, slices.Concat(signatures...), body)
}

func signed(token []byte) []byte { return slices.Concat(label("event"), token) }

type eventsFile struct {
	about
	Cases   []eventCase    `json:"cases"`
	Refused []eventRefusal `json:"refused"`
	Meant   []meantCase    `json:"meant"`
	Fresh   []freshCase    `json:"fresh"`
}

type eventCase struct {
	Name       string   `json:"name"`
	Signer     string   `json:"signer"`             // seed
	CoSigner   string   `json:"cosigner,omitempty"` // seed
	Fields     fields   `json:"fields"`
	Body       octets   `json:"body"`
	Token      octets   `json:"token"`
	Signed     octets   `json:"signed"`
	Signatures []octets `json:"signatures"`
	Hash       octets   `json:"hash"`
	SignedHash octets   `json:"signedHash"`
	Compact    octets   `json:"compact"`
	Withheld   octets   `json:"withheld"`
}

type eventRefusal struct {
	refusal         // why: malformed, body, signature or co-signature
	CoSigner string `json:"cosigner,omitempty"` // public key
	Compact  octets `json:"compact"`
}

type meantCase struct {
	Event    string `json:"event"` // name of a case
	Type     string `json:"type"`
	Subject  string `json:"subject"`
	Audience string `json:"audience"`
	Meant    bool   `json:"meant"`
}

type freshCase struct {
	Name     string `json:"name"`
	Time     int64  `json:"time"`
	NotAfter int64  `json:"notAfter"`
	Now      int64  `json:"now"`
	Fresh    bool   `json:"fresh"`
}

func zeros() []byte { return make([]byte, 32) }

// plainFields is a token that keeps every bound.
func plainFields(name string, body []byte) fields {
	author, device := pair(trust.Account, "alice identity").Public(), pair(trust.Device, "alice laptop").Public()
	uid := eventID(name)
	return fields{
		ID: uid[:], Author: author[:], Device: device[:], Time: uint64(start.UnixMilli()) + 123, //nolint:gosec // after 1970
		Prev: zeros(), Head: zeros(), Epoch: zeros(), BodyHash: hash(body),
		Type: "room.message", Subject: "room." + id("room") + ".say." + pair(trust.Account, "alice identity").String(), Audience: hubID(),
	}
}

func makeEvents() eventsFile {
	f := eventsFile{about: about{"Signed events: token, signature, hash and compact form. Hashes of nothing are zeros.", "events.md"}}
	laptop, invite := pair(trust.Device, "alice laptop"), pair(trust.Device, "bob laptop")
	for _, c := range []struct {
		name   string
		body   string
		change func(f *fields)
		second bool
	}{
		{"on no chain", `{"text":"hello"}`, nil, false},
		{"with an empty body", ``, nil, false},
		{"first on its chain", `{}`, func(f *fields) { f.Type, f.Seq = "room.create", 1 }, false},
		{"later on its chain", `{}`, func(f *fields) { f.Type, f.Seq, f.Prev, f.Head = "room.leave", 2, secret("prev"), secret("head") }, false},
		{"with an end", `{}`, func(f *fields) { f.Type, f.NotAfter = "transfer.open", f.Time+30000 }, false},
		{"in an epoch", "sealed", func(f *fields) { f.Epoch = secret("epoch") }, false},
		{"with every field", "body", func(f *fields) {
			f.NotAfter, f.Seq, f.Prev, f.Head, f.Epoch = f.Time, 1<<64-1, secret("prev"), secret("head"), secret("epoch")
		}, false},
		{"with a co-signature", `{}`, func(f *fields) { f.Type, f.Seq = "person.admit", 1 }, true},
		{"with its longest strings", "\x00\xff", func(f *fields) {
			f.Type, f.Subject, f.Audience = strings.Repeat("a", 64), strings.Repeat("é", 127)+"*", strings.Repeat("é", 64)
		}, false},
		{"with its shortest strings", "", func(f *fields) { f.Type, f.Subject, f.Audience = "-", "a", "" }, false},
		{"at the last moment", "", func(f *fields) { f.Time, f.NotAfter = 1<<62-1, 1<<62-1 }, false},
		{"at the first moment", "", func(f *fields) { f.Time, f.NotAfter = 1, 1 }, false},
		{"out of another", "body", func(f *fields) { f.Cause = secret("cause") }, false},
		{"under another digest", "body", func(f *fields) { f.Digest = 1 }, false},
		{"under another digest, with an empty body", "", func(f *fields) { f.Digest = 1 }, false},
		{"of a media type", "body", func(f *fields) { f.Content = "text/plain; charset=utf-8" }, false},
		{"that wants a receipt", "body", func(f *fields) { f.Receipt = "receipts.alice" }, false},
		{"with every further field", "body", func(f *fields) {
			f.Cause, f.Digest, f.Content, f.Receipt = secret("cause"), 1, "a/b", "a"
		}, false},
		{"with its longest further fields", "", func(f *fields) {
			f.Content, f.Receipt = "a/"+strings.Repeat("b", 98), strings.Repeat("é", 127)+"*"
		}, false},
	} {
		e := eventCase{Name: c.name, Signer: string(laptop.Seed()), Fields: plainFields(c.name, []byte(c.body)), Body: octets(c.body)}
		if c.change != nil {
			c.change(&e.Fields)
		}
		e.Fields.BodyHash = e.Fields.bodyHash(e.Body)
		e.Token = e.Fields.token()
		e.Signed = signed(e.Token)
		e.Signatures = []octets{sigOf(laptop, e.Signed)}
		all := [][]byte{e.Signatures[0]}
		if c.second {
			e.CoSigner = string(invite.Seed())
			e.Signatures = append(e.Signatures, sigOf(invite, e.Signed))
			all = append(all, e.Signatures[1])
		}
		e.Hash, e.SignedHash = hash(e.Signed), hash(e.Signed, e.Signatures[0])
		e.Compact, e.Withheld = compact(e.Token, e.Body, all...), compact(e.Token, nil, all...)
		f.Cases = append(f.Cases, e)
	}
	f.Refused = refusedEvents(laptop, invite)
	first := f.Cases[0].Fields
	f.Meant = []meantCase{
		{"on no chain", first.Type, first.Subject, first.Audience, true},
		{"on no chain", "room.create", first.Subject, first.Audience, false},
		{"on no chain", first.Type, first.Subject + "x", first.Audience, false},
		{"on no chain", first.Type, first.Subject, "", false},
		{"with its shortest strings", "-", "a", "", true},
	}
	now := start.UnixMilli()
	f.Fresh = []freshCase{
		{"now", now, 0, now, true},
		{"long ago, without an end", 1, 0, now, true},
		{"ten minutes ahead", now + 600000, 0, now, true},
		{"more than ten minutes ahead", now + 600001, 0, now, false},
		{"at its end", now - 30000, now, now, true},
		{"after its end", now - 30000, now - 1, now, false},
	}
	return f
}

func refusedEvents(laptop, invite *trust.KeyPair) []eventRefusal {
	var refused []eventRefusal
	body := []byte(`{"text":"hello"}`)
	add := func(name, why string, data []byte) {
		refused = append(refused, eventRefusal{refusal: refusal{name, why}, Compact: data})
	}
	with := func(name string, change func(f *fields)) {
		f := plainFields(name, body)
		change(&f)
		token := f.token()
		add(name, "malformed", compact(token, body, sigOf(laptop, signed(token))))
	}
	with("no id", func(f *fields) { f.ID = make([]byte, 16) })
	with("an id of version 4", func(f *fields) { f.ID[6] = f.ID[6]&0x0f | 0x40 })
	with("an id of another variant", func(f *fields) { f.ID[8] |= 0xc0 })
	with("no author", func(f *fields) { f.Author = zeros() })
	with("no device", func(f *fields) { f.Device = zeros() })
	with("no time", func(f *fields) { f.Time = 0 })
	with("a time of 2^62", func(f *fields) { f.Time = 1 << 62 })
	with("a time of all ones", func(f *fields) { f.Time = 1<<64 - 1 })
	with("an end of 2^62", func(f *fields) { f.NotAfter = 1 << 62 })
	with("no place after another", func(f *fields) { f.Prev = secret("prev") })
	with("the first place after another", func(f *fields) { f.Seq, f.Prev = 1, secret("prev") })
	with("the second place after nothing", func(f *fields) { f.Seq = 2 })
	with("no type", func(f *fields) { f.Type = "" })
	with("a type of 65 bytes", func(f *fields) { f.Type = strings.Repeat("a", 65) })
	with("a type in capitals", func(f *fields) { f.Type = "Room" })
	with("a type with an underscore", func(f *fields) { f.Type = "a_b" })
	with("no subject", func(f *fields) { f.Subject = "" })
	with("a subject of 256 bytes", func(f *fields) { f.Subject = strings.Repeat("a", 256) })
	with("a subject with a star", func(f *fields) { f.Subject = "a.*.b" })
	with("a subject with an arrow", func(f *fields) { f.Subject = "a.>" })
	with("a subject with an empty token", func(f *fields) { f.Subject = "a..b" })
	with("a subject that ends with a dot", func(f *fields) { f.Subject = "a." })
	with("a subject with a space", func(f *fields) { f.Subject = "a b" })
	with("a subject with a line break", func(f *fields) { f.Subject = "a\nb" })
	with("a subject with a delete", func(f *fields) { f.Subject = "a\x7f" })
	with("a subject that is not UTF-8", func(f *fields) { f.Subject = "a\xff" })
	with("an audience of 129 bytes", func(f *fields) { f.Audience = strings.Repeat("a", 129) })
	with("an audience that is not UTF-8", func(f *fields) { f.Audience = "\xff" })

	good := plainFields("refused", body)
	token := good.token()
	sig := sigOf(laptop, signed(token))
	whole := compact(token, body, sig)
	set := func(at int, b ...byte) []byte {
		data := slices.Clone(whole)
		copy(data[at:], b)
		return data
	}
	add("empty", "malformed", nil)
	add("the head alone", "malformed", whole[:4])
	add("a signature cut short", "malformed", whole[:4+len(token)+63])
	add("version 0", "malformed", set(0, 0))
	add("version 2", "malformed", set(0, 2))
	add("no signature", "malformed", compact(token, body))
	add("three signatures", "malformed", compact(token, body, sig, sig, sig))
	add("a token of no bytes", "malformed", compact(nil, body, sig))
	add("a token without strings", "malformed", compact(token[:232], body, sig))
	add("a token cut in a string", "malformed", compact(token[:len(token)-1], body, sig))
	add("a token with a byte more", "malformed", compact(append(slices.Clone(token), 0), body, sig))
	add("a token length beyond the end", "malformed", set(2, 0xff, 0xff))
	add("a string beyond the token", "malformed", set(4+232, 0xff, 0xff))
	more := func(name string, further ...[]byte) {
		longer := slices.Concat(token, slices.Concat(further...))
		add(name, "malformed", compact(longer, body, sigOf(laptop, signed(longer))))
	}
	cause, content := furtherField(1, secret("cause")), furtherField(3, []byte("a/b"))
	more("a further field cut short", cause[:len(cause)-1])
	more("a further field without a length", []byte{1, 0})
	more("an empty further field", furtherField(3, nil))
	more("a further field of kind 0", furtherField(0, []byte("x")))
	more("a further field of kind 5", furtherField(5, []byte("x")))
	more("a further field twice", content, content)
	more("further fields in another order", content, cause)
	more("a cause of 31 bytes", furtherField(1, secret("cause")[:31]))
	more("a cause of zeros", furtherField(1, zeros()))
	more("the usual digest, said", furtherField(2, []byte{0}))
	more("a digest that there is none of", furtherField(2, []byte{2}))
	more("a digest of two bytes", furtherField(2, []byte{0, 1}))
	for _, text := range []string{
		"text", "text/", "/plain", "text/plain ", " text/plain", "text/plain;", "text/plain; a", "text/plain; a=", "text/plain; a=\"b",
		"text/\x7f", "text/pl\u00e4in", "text/a b", "a/b/c", "text/plain;; a=b", "a/" + strings.Repeat("b", 99),
	} {
		more(fmt.Sprintf("the media type %.30q", text), furtherField(3, []byte(text)))
	}
	more("a receipt on a wildcard", furtherField(4, []byte("receipts.*")))
	more("a receipt on a subject of 256 bytes", furtherField(4, []byte(strings.Repeat("a", 256))))
	other := good
	other.Digest = 1
	add("the hash of the body by another digest", "body", compact(other.token(), body, sigOf(laptop, signed(other.token()))))
	add("another body", "body", compact(token, []byte(`{"text":"hullo"}`), sig))
	add("no body", "body", compact(token, nil, sig))
	add("a byte more", "body", append(slices.Clone(whole), 0))
	add("signed by another device", "signature", compact(token, body, sigOf(invite, signed(token))))
	add("signed without its label", "signature", compact(token, body, sigOf(laptop, token)))
	add("another signature", "signature", compact(token, body, flipped(sig, 40)))
	add("the second signature first", "signature", compact(token, body, sigOf(invite, signed(token)), sig))
	co := func(name string, data []byte) {
		refused = append(refused, eventRefusal{refusal{name, "co-signature"}, invite.String(), data})
	}
	co("no co-signature", whole)
	co("the first signature twice", compact(token, body, sig, sig))
	co("a changed co-signature", compact(token, body, sig, flipped(sigOf(invite, signed(token)), 40)))
	return refused
}

func fromFields(f fields, body []byte) *event.Event {
	ev := &event.Event{
		ID: uuid.UUID(f.ID), Author: trust.PublicKey(f.Author), Device: trust.PublicKey(f.Device),
		Time: time.UnixMilli(int64(f.Time)).UTC(), Seq: f.Seq, //nolint:gosec // below 2^62
		Prev: event.Hash(f.Prev), Head: event.Hash(f.Head), Epoch: event.Hash(f.Epoch),
		Type: f.Type, Subject: f.Subject, Audience: f.Audience, Body: body,
	}
	ev.Digest, ev.Content, ev.Receipt = event.Digest(f.Digest), f.Content, f.Receipt
	copy(ev.Cause[:], f.Cause)
	if f.NotAfter != 0 {
		ev.NotAfter = time.UnixMilli(int64(f.NotAfter)).UTC() //nolint:gosec // below 2^62
	}
	return ev
}

func TestEvents(t *testing.T) {
	f := load[eventsFile](t, "event.json")
	byName := make(map[string]*event.Event)
	for _, c := range f.Cases {
		signer := get(trust.ParseSeed(trust.Device, []byte(c.Signer)))
		made := fromFields(c.Fields, c.Body)
		if err := made.Sign(signer); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		ev, err := event.Decode(c.Compact)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		byName[c.Name] = ev
		if err := ev.Check(); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if c.CoSigner != "" {
			second := get(trust.ParseSeed(trust.Device, []byte(c.CoSigner)))
			if err := made.CoSign(second); err != nil {
				t.Fatal(err)
			}
			if err := ev.CheckCoSignature(second.Public()); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
		read := fromFields(c.Fields, c.Body)
		if ev.ID != read.ID || ev.Author != read.Author || ev.Device != read.Device || !ev.Time.Equal(read.Time) ||
			!ev.NotAfter.Equal(read.NotAfter) || ev.Seq != read.Seq || ev.Prev != read.Prev || ev.Head != read.Head ||
			ev.Cause != read.Cause || ev.Digest != read.Digest || ev.Content != read.Content || ev.Receipt != read.Receipt ||
			ev.Epoch != read.Epoch || ev.Type != read.Type || ev.Subject != read.Subject || ev.Audience != read.Audience {
			t.Errorf("%s: read as %+v", c.Name, ev)
		}
		h := ev.Hash()
		sameBytes(t, c.Name, h[:], c.Hash)
		signedHash := ev.SignedHash()
		sameBytes(t, c.Name, signedHash[:], c.SignedHash)
		sameBytes(t, c.Name, made.Encode(), c.Compact)
		sameBytes(t, c.Name, ev.Encode(), c.Compact)
		sameBytes(t, c.Name, ev.EncodeWithheld(), c.Withheld)
		withheld, err := event.Decode(c.Withheld)
		if err != nil || withheld.CheckWithheld() != nil || withheld.Hash() != ev.Hash() {
			t.Errorf("%s withheld: %v", c.Name, err)
		}
	}
	for _, r := range f.Refused {
		wantErr(t, r.Name, checkEvent(r.Compact, r.CoSigner), eventErrors[r.Why])
	}
	for _, m := range f.Meant {
		if err := byName[m.Event].Meant(m.Type, m.Subject, m.Audience); m.Meant != (err == nil) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	for _, c := range f.Fresh {
		ev := &event.Event{Time: time.UnixMilli(c.Time)}
		if c.NotAfter != 0 {
			ev.NotAfter = time.UnixMilli(c.NotAfter)
		}
		if err := ev.Fresh(time.UnixMilli(c.Now)); c.Fresh != (err == nil) {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

var eventErrors = map[string]error{
	"malformed": event.ErrMalformed, "body": event.ErrBody, "signature": event.ErrSignature, "co-signature": event.ErrSignature,
	"not-meant": event.ErrNotMeant, "time": event.ErrTime,
}

// checkEvent judges the compact form of an event, and its co-signature where one is due.
func checkEvent(data []byte, coSigner string) error {
	ev, err := event.Decode(data)
	if err != nil {
		return err
	}
	if err := ev.Check(); err != nil {
		return err
	}
	if coSigner == "" {
		return nil
	}
	key, err := trust.ParsePublicKey(trust.Device, coSigner)
	if err != nil {
		return err
	}
	return ev.CheckCoSignature(key)
}
