package vectors_test

import (
	"slices"
	"testing"

	"keyhall.dev/keyhall/trust"
)

type boxFile struct {
	about
	Cases   []boxCase    `json:"cases"`
	Refused []boxRefusal `json:"refused"`
}

type boxCase struct {
	Name      string `json:"name"`
	Recipient string `json:"recipient"` // seed
	To        string `json:"to"`
	Purpose   string `json:"purpose"`
	Context   octets `json:"context"`
	Info      octets `json:"info"`
	Ephemeral octets `json:"ephemeral"` // the sender's scalar
	Plaintext octets `json:"plaintext"`
	hpkeBox
}

type boxRefusal struct {
	refusal
	Recipient string `json:"recipient"` // seed
	Purpose   string `json:"purpose"`
	Context   octets `json:"context"`
	Box       octets `json:"box"`
}

func makeBoxes() boxFile {
	f := boxFile{about: about{"What is sealed to an xkey: HPKE with a sender's key that is given, so that every byte is.", "keys.md#sealing-to-a-key"}}
	alice := xkey("alice xkey")
	owner := pair(trust.Account, "bob identity").Public()
	for _, c := range []struct {
		name, purpose      string
		context, plaintext []byte
	}{
		{"a share's sealed part", "share", slices.Concat([]byte(id("grant")), owner[:]), []byte(`{"name":"films"}`)},
		{"nothing", "share", nil, nil},
		{"an epoch key", "epoch", slices.Concat([]byte(id("room")), secret("commitment")), secret("epoch key")},
		{"a longer text", "answer", secret("open"), slices.Repeat([]byte("keyhall "), 100)},
	} {
		ephemeral := secret("ephemeral " + c.name)
		f.Cases = append(f.Cases, boxCase{
			Name: c.name, Recipient: string(alice.Seed()), To: alice.String(), Purpose: c.purpose, Context: c.context,
			Info: slices.Concat(label("box"), []byte(c.purpose), []byte{0}, c.context), Ephemeral: ephemeral, Plaintext: c.plaintext,
			hpkeBox: boxFor(alice.String(), c.purpose, c.context, ephemeral, c.plaintext),
		})
	}
	first := f.Cases[0]
	add := func(name, why, recipient, purpose string, context, box []byte) {
		f.Refused = append(f.Refused, boxRefusal{refusal{name, why}, recipient, purpose, context, box})
	}
	add("another recipient", "tag", string(xkey("bob xkey").Seed()), first.Purpose, first.Context, first.Box)
	add("another purpose", "tag", first.Recipient, "epoch", first.Context, first.Box)
	add("another context", "tag", first.Recipient, first.Purpose, first.Context[1:], first.Box)
	add("purpose and context moved", "tag", first.Recipient, first.Purpose+"\x00", nil, boxFor(first.To, first.Purpose, []byte("x"), first.Ephemeral, nil).Box)
	add("no label", "tag", first.Recipient, first.Purpose, first.Context,
		hpkeSeal(rawX(first.To), first.Ephemeral, slices.Concat([]byte(first.Purpose), []byte{0}, first.Context), first.Plaintext).Box)
	add("the top bit of enc", "tag", first.Recipient, first.Purpose, first.Context, slices.Concat(first.Box[:31], []byte{first.Box[31] ^ 0x80}, first.Box[32:]))
	add("an enc of zeros", "small order", first.Recipient, first.Purpose, first.Context, slices.Concat(make([]byte, 32), first.Box[32:]))
	add("empty", "length", first.Recipient, first.Purpose, first.Context, nil)
	add("enc alone", "length", first.Recipient, first.Purpose, first.Context, first.Box[:32])
	add("47 bytes", "length", first.Recipient, first.Purpose, first.Context, first.Box[:47])
	add("a byte less", "tag", first.Recipient, first.Purpose, first.Context, first.Box[:len(first.Box)-1])
	add("a byte more", "tag", first.Recipient, first.Purpose, first.Context, append(slices.Clone(first.Box), 0))
	return f
}

func TestBoxes(t *testing.T) {
	f := load[boxFile](t, "box.json")
	for _, c := range f.Cases {
		key, err := trust.ParseXKeySeed([]byte(c.Recipient))
		if err != nil {
			t.Fatal(err)
		}
		same(t, c.Name, key.String(), c.To)
		plaintext, err := trust.Unbox(key, c.Purpose, c.Context, c.Box)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		sameBytes(t, c.Name, plaintext, c.Plaintext)
		sealed, err := trust.Box(c.To, c.Purpose, c.Context, c.Plaintext)
		if err != nil || len(sealed) != len(c.Box) {
			t.Errorf("%s: sealed in %d bytes, %v", c.Name, len(sealed), err)
		}
	}
	for _, r := range f.Refused {
		key, err := trust.ParseXKeySeed([]byte(r.Recipient))
		if err != nil {
			t.Fatal(err)
		}
		_, err = trust.Unbox(key, r.Purpose, r.Context, r.Box)
		wantErr(t, r.Name, err, trust.ErrBox)
	}
}
