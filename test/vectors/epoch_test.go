package vectors_test

import (
	"slices"
	"testing"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

type epochFile struct {
	about
	Room       string `json:"room"`
	Key        octets `json:"key"`
	Commitment octets `json:"commitment"`

	Member    string `json:"member"` // seed of the xkey
	Context   octets `json:"context"`
	Ephemeral octets `json:"ephemeral"`
	Box       octets `json:"box"`

	Name      string `json:"name"`
	NameNonce octets `json:"nameNonce"`
	NameData  octets `json:"nameAd"`
	NameBox   octets `json:"nameSealed"`

	Signer    string `json:"signer"` // seed
	Fields    fields `json:"fields"` // of a message
	Data      octets `json:"ad"`
	Nonce     octets `json:"nonce"`
	Plaintext string `json:"plaintext"`
	Body      octets `json:"body"`
	Compact   octets `json:"compact"`

	RefusedKeys   []epochKeyRefusal  `json:"refusedKeys"`
	RefusedNames  []epochNameRefusal `json:"refusedNames"`
	RefusedBodies []eventRefusal     `json:"refusedBodies"` // good signatures around bodies that do not open
}

type epochKeyRefusal struct {
	refusal
	Room       string `json:"room"`
	Commitment octets `json:"commitment"`
	Box        octets `json:"box"`
}

type epochNameRefusal struct {
	refusal
	Room   string `json:"room"`
	Sealed octets `json:"sealed"`
}

func makeEpoch() epochFile {
	f := epochFile{
		about: about{"The key of an epoch: its commitment, its box for a member, and what it seals.", "rooms.md#epochs"},
		Room:  id("room"), Key: secret("epoch key"), Member: string(xkey("alice xkey").Seed()), Ephemeral: secret("epoch ephemeral"),
		Name: "hall", NameNonce: secret("name nonce")[:12], Signer: string(pair(trust.Device, "alice laptop").Seed()),
		Nonce: secret("message nonce")[:12], Plaintext: `{"text":"hello"}`,
	}
	to := xkey("alice xkey").String()
	f.Commitment = hash(label("epoch"), []byte(f.Room), f.Key)
	f.Context = slices.Concat([]byte(f.Room), f.Commitment)
	f.Box = boxFor(to, "epoch", f.Context, f.Ephemeral, f.Key).Box
	f.NameData = slices.Concat(label("room-name"), []byte(f.Room))
	f.NameBox = aesGCM(f.Key, f.NameNonce, []byte(f.Name), f.NameData)

	laptop := pair(trust.Device, "alice laptop")
	f.Fields = plainFields("sealed message", nil)
	f.Fields.Epoch, f.Fields.Head = secret("epoch event"), secret("room head")
	seal := func(m fields, key, data []byte) (fields, octets, octets) {
		m.BodyHash = zeros()
		if data == nil {
			data = slices.Concat(label("sealed"), m.token())
		}
		body := aesGCM(key, f.Nonce, []byte(f.Plaintext), data)
		m.BodyHash = hash(body)
		return m, data, body
	}
	f.Fields, f.Data, f.Body = seal(f.Fields, f.Key, nil)
	sign := func(m fields, body []byte) []byte {
		return compact(m.token(), body, sigOf(laptop, signed(m.token())))
	}
	f.Compact = sign(f.Fields, f.Body)

	other := id("another room")
	key := func(name, why, room string, commitment, box []byte) {
		f.RefusedKeys = append(f.RefusedKeys, epochKeyRefusal{refusal{name, why}, room, commitment, box})
	}
	wrong := secret("another key")
	key("of another room", "box", other, f.Commitment, f.Box)
	key("of another commitment", "box", f.Room, flipped(f.Commitment, 0), f.Box)
	key("a key that does not meet the commitment", "commitment", f.Room, f.Commitment, boxFor(to, "epoch", f.Context, f.Ephemeral, wrong).Box)
	key("a commitment without its label", "commitment", f.Room, hash([]byte(f.Room), f.Key),
		boxFor(to, "epoch", slices.Concat([]byte(f.Room), hash([]byte(f.Room), f.Key)), f.Ephemeral, f.Key).Box)
	key("31 bytes", "length", f.Room, f.Commitment, boxFor(to, "epoch", f.Context, f.Ephemeral, f.Key[:31]).Box)
	key("33 bytes", "length", f.Room, f.Commitment, boxFor(to, "epoch", f.Context, f.Ephemeral, append(slices.Clone(f.Key), 0)).Box)
	key("for another purpose", "box", f.Room, f.Commitment, boxFor(to, "share", f.Context, f.Ephemeral, f.Key).Box)
	key("for another member", "box", f.Room, f.Commitment, boxFor(xkey("bob xkey").String(), "epoch", f.Context, f.Ephemeral, f.Key).Box)

	name := func(name, room string, sealed []byte) {
		f.RefusedNames = append(f.RefusedNames, epochNameRefusal{refusal{name, "sealed"}, room, sealed})
	}
	name("of another room", other, f.NameBox)
	name("under another key", f.Room, aesGCM(wrong, f.NameNonce, []byte(f.Name), f.NameData))
	name("a message as a name", f.Room, f.Body)
	name("27 bytes", f.Room, f.NameBox[:27])
	name("empty", f.Room, nil)

	body := func(name string, m fields, data []byte) {
		f.RefusedBodies = append(f.RefusedBodies, eventRefusal{refusal: refusal{name, "sealed"}, Compact: sign(m, data)})
	}
	m, _, sealed := seal(f.Fields, wrong, nil)
	body("under another key", m, sealed)
	m, _, sealed = seal(f.Fields, f.Key, label("sealed"))
	body("bound to nothing", m, sealed)
	for _, change := range []struct {
		name string
		set  func(m *fields)
	}{
		{"sealed by another author", func(m *fields) { p := pair(trust.Account, "bob identity").Public(); m.Author = p[:] }},
		{"sealed for another subject", func(m *fields) { m.Subject += "x" }},
		{"sealed for another epoch", func(m *fields) { m.Epoch = secret("prev") }},
		{"sealed under another id", func(m *fields) { u := eventID("another"); m.ID = u[:] }},
		{"sealed at another time", func(m *fields) { m.Time++ }},
		{"sealed under another head", func(m *fields) { m.Head = secret("prev") }},
	} {
		other := f.Fields
		change.set(&other)
		_, _, sealed := seal(other, f.Key, nil)
		m := f.Fields
		m.BodyHash = hash(sealed)
		body(change.name, m, sealed)
	}
	m = f.Fields
	m.BodyHash = hash([]byte(f.Plaintext))
	body("not sealed", m, []byte(f.Plaintext))
	m.BodyHash = hash(nil)
	body("empty", m, nil)
	return f
}

func TestEpochKey(t *testing.T) {
	f := load[epochFile](t, "epoch-key.json")
	key, err := event.EpochKeyFrom(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	commitment := key.Commitment(f.Room)
	sameBytes(t, "commitment", commitment[:], f.Commitment)
	own, err := trust.ParseXKeySeed([]byte(f.Member))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := event.OpenEpochKey(own, f.Room, [32]byte(f.Commitment), f.Box)
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, "key", opened.Bytes(), f.Key)
	if name, err := opened.OpenName(f.Room, f.NameBox); err != nil || name != f.Name {
		t.Errorf("name %q, %v", name, err)
	}
	named := key.SealName(f.Room, f.Name)
	sameBytes(t, "name sealed anew", named, aesGCM(f.Key, named[:12], []byte(f.Name), f.NameData))

	ev, err := event.Decode(f.Compact)
	if err != nil || ev.Check() != nil {
		t.Fatal(err, ev.Check())
	}
	if plaintext, err := ev.Open(opened); err != nil || string(plaintext) != f.Plaintext {
		t.Errorf("message %q, %v", plaintext, err)
	}
	anew := fromFields(f.Fields, nil)
	if err := anew.Seal(key, anew.Epoch, anew.Device, []byte(f.Plaintext)); err != nil {
		t.Fatal(err)
	}
	sameBytes(t, "message sealed anew", anew.Body, aesGCM(f.Key, anew.Body[:12], []byte(f.Plaintext), f.Data))

	for _, r := range f.RefusedKeys {
		_, err := event.OpenEpochKey(own, r.Room, [32]byte(r.Commitment), r.Box)
		want := trust.ErrBox
		if r.Why == "commitment" {
			want = event.ErrCommitment
		}
		wantErr(t, r.Name, err, want)
	}
	for _, r := range f.RefusedNames {
		_, err := key.OpenName(r.Room, r.Sealed)
		wantErr(t, r.Name, err, event.ErrSealed)
	}
	for _, r := range f.RefusedBodies {
		ev, err := event.Decode(r.Compact)
		if err != nil || ev.Check() != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		_, err = ev.Open(key)
		wantErr(t, r.Name, err, event.ErrSealed)
	}
}
