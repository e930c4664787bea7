package vectors_test

import (
	"crypto/ed25519"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/trust"
)

type keysFile struct {
	about
	Cases   []keyCase    `json:"cases"`
	Refused []keyRefusal `json:"refused"`
}

type keyCase struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Seed     octets `json:"seed"` // of Ed25519, or the scalar of X25519
	Public   octets `json:"public"`
	Text     string `json:"text"`
	SeedText string `json:"seedText"`
}

type keyRefusal struct {
	refusal
	Kind string `json:"kind"`
	Text string `json:"text"`
}

func makeKeys() keysFile {
	f := keysFile{about: about{"Keys in their raw and their text form. Every seed of these files is H(\"keyhall vectors: \" ‖ name).", "keys.md#keys"}}
	for _, k := range []struct {
		kind trust.Kind
		name string
	}{
		{trust.Operator, "hub operator"},
		{trust.Operator, "hub signing"},
		{trust.Account, "alice identity"},
		{trust.Account, "bob identity"},
		{trust.Device, "alice laptop"},
		{trust.Device, "bob laptop"},
	} {
		p := pair(k.kind, k.name)
		public := p.Public()
		f.Cases = append(f.Cases, keyCase{k.name, string(rune(k.kind)), secret(k.name), public[:], p.String(), string(p.Seed())})
	}
	for _, name := range []string{"alice xkey", "bob xkey"} {
		x := xkey(name)
		raw := get(nkeys.Decode(nkeys.PrefixByteCurve, []byte(x.String())))
		f.Cases = append(f.Cases, keyCase{name, "X", secret(name), raw, x.String(), string(x.Seed())})
	}
	account, x := pair(trust.Account, "alice identity").String(), xkey("alice xkey").String()
	add := func(name, kind, text, why string) {
		f.Refused = append(f.Refused, keyRefusal{refusal{name, why}, kind, text})
	}
	add("another kind", "U", account, "prefix")
	add("an xkey as an account", "A", x, "prefix")
	add("an account as an xkey", "X", account, "prefix")
	add("lower case", "A", strings.ToLower(account), "one text")
	add("a line break", "A", account[:20]+"\n"+account[20:], "one text")
	add("a line break behind", "A", account+"\n", "one text")
	add("padding", "A", account+"=", "one text")
	add("a character less", "A", account[:55], "length")
	add("a character more", "A", account+"A", "length")
	add("a changed character", "A", account[:30]+string(rune('A'+('Z'-account[30])%26))+account[31:], "checksum")
	add("empty", "A", "", "length")
	add("a seed", "A", string(pair(trust.Account, "alice identity").Seed()), "length")
	short := get(nkeys.Encode(nkeys.PrefixByteAccount, make([]byte, 31)))
	add("31 bytes", "A", string(short), "length")
	for _, raw := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		add("an xkey of small order "+raw[:4], "X", string(get(nkeys.Encode(nkeys.PrefixByteCurve, unhex(raw)))), "small order")
	}
	return f
}

func TestKeys(t *testing.T) {
	f := load[keysFile](t, "keys.json")
	for _, c := range f.Cases {
		sameBytes(t, c.Name, c.Seed, secret(c.Name))
		if c.Kind == "X" {
			x, err := trust.ParseXKeySeed([]byte(c.SeedText))
			if err != nil || x.String() != c.Text || trust.CheckXKey(c.Text) != nil {
				t.Errorf("%s: %v, %v", c.Name, x, err)
			}
			continue
		}
		p, err := trust.ParseSeed(trust.Kind(c.Kind[0]), []byte(c.SeedText))
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		same(t, c.Name, p.String(), c.Text)
		same(t, c.Name, string(p.Seed()), c.SeedText)
		same(t, c.Name, p.Public(), trust.PublicKey(c.Public))
		same(t, c.Name, p.Public(), trust.PublicKey(ed25519.NewKeyFromSeed(c.Seed).Public().(ed25519.PublicKey)))
		if read, err := trust.ParsePublicKey(trust.Kind(c.Kind[0]), c.Text); err != nil || read != p.Public() {
			t.Errorf("%s: read as %x, %v", c.Name, read, err)
		}
	}
	for _, r := range f.Refused {
		wantErr(t, r.Name, parseKey(r.Kind, r.Text), trust.ErrKey)
	}
}

func parseKey(kind, text string) error {
	if kind == "X" {
		return trust.CheckXKey(text)
	}
	_, err := trust.ParsePublicKey(trust.Kind(kind[0]), text)
	return err
}

type signaturesFile struct {
	about
	SmallOrder []octets        `json:"smallOrder"` // with any two of them as key and R, and S = 0, every message is signed
	Cases      []signatureCase `json:"cases"`
}

type signatureCase struct {
	Name      string `json:"name"`
	Key       octets `json:"key"`
	Message   octets `json:"message"`
	Signature octets `json:"signature"`
	Valid     bool   `json:"valid"`
	Why       string `json:"why"`
}

// smallOrder are the encodings of the points of order 1, 2, 4 and 8, with those in which y is
// not below p or x = 0 has a sign.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func makeSignatures() signaturesFile {
	f := signaturesFile{about: about{"Which Ed25519 signatures hold: the rules of ZIP-215, 8SB = 8R + 8kA with S below the group's order and any encoding of a point.", "keys.md#signatures"}}
	for _, text := range smallOrder {
		f.SmallOrder = append(f.SmallOrder, unhex(text))
	}
	message := []byte("\xffkeyhall/vector/v1\x00a statement")
	p := pair(trust.Device, "alice laptop")
	public, signed := p.Public(), p.Sign(message)
	sig := signed[:]
	add := func(name string, key, message, sig []byte, valid bool, why string) {
		f.Cases = append(f.Cases, signatureCase{name, key, message, sig, valid, why})
	}
	add("an honest signature", public[:], message, sig, true, "RFC 8032")
	add("of an empty message", public[:], nil, sigOf(p, nil), true, "RFC 8032")
	for _, m := range []struct {
		name      string
		key, r    bool
		otherwise string
	}{
		{"R of mixed order", false, true, "the equation without the cofactor does not hold"},
		{"a key of mixed order", true, false, "the equation without the cofactor does not hold"},
		{"key and R of mixed order", true, true, "the equation without the cofactor does not hold"},
	} {
		key, sig := mixedSignature(secret("mixed"), message, m.key, m.r)
		add(m.name, key, message, sig, true, "8SB = 8R + 8kA; "+m.otherwise)
	}
	more := new(big.Int).Add(number(sig[32:]), groupL)
	identity := unhex(smallOrder[0])
	add("S + L", public[:], message, slices.Concat(sig[:32], little(more)), false, "S is not below the order")
	add("S = L", identity, message, slices.Concat(identity, little(groupL)), false, "S is not below the order")
	add("S of all ones", identity, message, slices.Concat(identity, slices.Repeat([]byte{0xff}, 32)), false, "S is not below the order")
	add("another message", public[:], flipped(message, -1), sig, false, "equation")
	add("a changed R", public[:], message, flipped(sig, 0), false, "equation, or no point")
	add("a changed S", public[:], message, flipped(sig, 32), false, "equation")
	other := pair(trust.Device, "bob laptop").Public()
	add("another key", other[:], message, sig, false, "equation")
	add("a key that is no point", append([]byte{2}, make([]byte, 31)...), message, slices.Concat(identity, make([]byte, 32)), false, "y = 2 is on no point")
	add("an R that is no point", identity, message, slices.Concat([]byte{2}, make([]byte, 63)), false, "y = 2 is on no point")
	add("63 bytes", public[:], message, sig[:63], false, "length")
	add("65 bytes", public[:], message, slices.Concat(sig, []byte{0}), false, "length")
	add("no bytes", public[:], message, nil, false, "length")
	return f
}

func sigOf(p *trust.KeyPair, message []byte) []byte {
	sig := p.Sign(message)
	return sig[:]
}

func TestSignatures(t *testing.T) {
	f := load[signaturesFile](t, "signatures.json")
	for _, c := range f.Cases {
		if trust.Verify(trust.PublicKey(c.Key), c.Message, c.Signature) != c.Valid {
			t.Errorf("%s: not %v", c.Name, c.Valid)
		}
	}
	if len(f.SmallOrder) != 14 {
		t.Errorf("%d encodings", len(f.SmallOrder))
	}
	for _, key := range f.SmallOrder {
		for _, r := range f.SmallOrder {
			if !trust.Verify(trust.PublicKey(key), []byte("any message"), slices.Concat(r, make([]byte, 32))) {
				t.Errorf("key %x, R %x: refused", key, r)
			}
		}
	}
}

// The standard library refuses signatures that hold: what makes one rule necessary.
func TestStrictVerifiersRefuseSomeThatHold(t *testing.T) {
	f := load[signaturesFile](t, "signatures.json")
	apart := 0
	for _, c := range f.Cases {
		if len(c.Signature) != 64 {
			continue
		}
		strict := ed25519.Verify([]byte(c.Key), c.Message, c.Signature)
		if strict && !c.Valid {
			t.Errorf("%s: holds for the standard library alone", c.Name)
		}
		if strict != c.Valid {
			apart++
		}
	}
	if apart != 3 {
		t.Errorf("they disagree about %d cases, not 3", apart)
	}
}

type idsFile struct {
	about
	Cases   []idCase    `json:"cases"`
	Refused []idRefusal `json:"refused"`
}

type idCase struct {
	Raw  octets `json:"raw"`
	Text string `json:"text"`
}

type idRefusal struct {
	refusal
	Text string `json:"text"`
}

func makeIDs() idsFile {
	f := idsFile{about: about{"Ids of rooms, catalogs, grants, transfers and serving nodes.", "keys.md#ids"}}
	for _, raw := range [][]byte{make([]byte, 16), slices.Repeat([]byte{0xff}, 16), secret("room")[:16]} {
		f.Cases = append(f.Cases, idCase{raw, base32Text.EncodeToString(raw)})
	}
	text := f.Cases[2].Text
	add := func(name, text, why string) { f.Refused = append(f.Refused, idRefusal{refusal{name, why}, text}) }
	add("empty", "", "length")
	add("25 characters", text[:25], "length")
	add("27 characters", text+"a", "length")
	add("24 characters, which are 15 bytes", text[:24], "length")
	add("capitals", strings.ToUpper(text), "alphabet")
	add("a 1", "1"+text[1:], "alphabet")
	add("an 8", "8"+text[1:], "alphabet")
	add("padding", text+"======", "alphabet")
	add("a line break", text[:13]+"\n"+text[13:], "alphabet")
	add("a line break behind", text+"\r\n", "alphabet")
	for _, c := range "bcd" {
		add("loose bits "+string(c), strings.Repeat("a", 25)+string(c), "unused bits")
	}
	return f
}

func TestIDs(t *testing.T) {
	f := load[idsFile](t, "ids.json")
	for _, c := range f.Cases {
		same(t, "id", trust.FormatID([16]byte(c.Raw)), c.Text)
		if raw, err := trust.ParseID(c.Text); err != nil || raw != [16]byte(c.Raw) {
			t.Errorf("%s: %x, %v", c.Text, raw, err)
		}
	}
	for _, r := range f.Refused {
		_, err := trust.ParseID(r.Text)
		wantErr(t, r.Name, err, trust.ErrID)
	}
}
