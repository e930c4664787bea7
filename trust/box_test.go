package trust_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/trust"
)

func TestAnXKeyComesBackFromItsSeed(t *testing.T) {
	key := trust.NewXKey()
	again, err := trust.ParseXKeySeed(key.Seed())
	if err != nil || again.String() != key.String() || !bytes.Equal(again.Seed(), key.Seed()) {
		t.Errorf("another key came back, %v", err)
	}
	if err := trust.CheckXKey(key.String()); err != nil {
		t.Error(err)
	}
	public, err := nkeys.FromSeed(key.Seed())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := public.PublicKey(); err != nil || text != key.String() {
		t.Errorf("for the nkeys library it is %s, %v", text, err)
	}
}

func TestASeedThatIsNoXKeysIsRefused(t *testing.T) {
	seed := trust.NewXKey().Seed()
	for name, wrong := range map[string][]byte{
		"a device's":   trust.NewKeyPair(trust.Device).Seed(),
		"a public key": []byte(trust.NewXKey().String()),
		"cut short":    seed[:40],
		"nothing":      nil,
	} {
		if _, err := trust.ParseXKeySeed(wrong); !errors.Is(err, trust.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func mustBox(t *testing.T, to *trust.XKey, purpose, context, plaintext string) []byte {
	t.Helper()
	box, err := trust.Box(to.String(), purpose, []byte(context), []byte(plaintext))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestABoxOpensForItsKeyPurposeAndContext(t *testing.T) {
	key := trust.NewXKey()
	for _, plaintext := range []string{"", "x", "a sentence that is longer than one block of the cipher"} {
		box := mustBox(t, key, "share", "context", plaintext)
		if len(box) != len(plaintext)+48 {
			t.Errorf("%d bytes seal to %d", len(plaintext), len(box))
		}
		got, err := trust.Unbox(key, "share", []byte("context"), box)
		if err != nil || string(got) != plaintext {
			t.Errorf("%q, %v; want %q", got, err, plaintext)
		}
	}
	if bytes.Equal(mustBox(t, key, "share", "c", "m"), mustBox(t, key, "share", "c", "m")) {
		t.Error("two boxes of one text are equal")
	}
}

func TestABoxDoesNotOpenForAnythingElse(t *testing.T) {
	key := trust.NewXKey()
	box := mustBox(t, key, "share", "context", "secret")
	rows := map[string]struct {
		key              *trust.XKey
		purpose, context string
		box              []byte
	}{
		"another key":                {trust.NewXKey(), "share", "context", box},
		"another purpose":            {key, "epoch", "context", box},
		"another context":            {key, "share", "contexT", box},
		"no context":                 {key, "share", "", box},
		"purpose and context joined": {key, "sharecontext", "", box},
		"one byte less":              {key, "share", "context", box[:len(box)-1]},
		"one byte more":              {key, "share", "context", append(slices.Clone(box), 0)},
		"the key share alone":        {key, "share", "context", box[:32]},
		"nothing":                    {key, "share", "context", nil},
	}
	for name, row := range rows {
		if _, err := trust.Unbox(row.key, row.purpose, []byte(row.context), row.box); !errors.Is(err, trust.ErrBox) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryByteOfABoxCounts but for the highest bit of the key share, which X25519 ignores
// when it multiplies: HPKE takes the share into its context as it came, and so refuses it.
func TestEveryByteOfABoxCounts(t *testing.T) {
	key := trust.NewXKey()
	box := mustBox(t, key, "open", "context", "secret")
	for i := range box {
		for _, bit := range []byte{0x01, 0x80} {
			changed := slices.Clone(box)
			changed[i] ^= bit
			if _, err := trust.Unbox(key, "open", []byte("context"), changed); !errors.Is(err, trust.ErrBox) {
				t.Errorf("byte %d ^ %#x: %v", i, bit, err)
			}
		}
	}
}

// lowOrder are points on which X25519 gives zero whatever the secret
// (https://cr.yp.to/ecdh.html#validate); Go and HPKE refuse that result.
var lowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func TestWhatPassesForAnXKeyCanBeSealedTo(t *testing.T) {
	for _, raw := range lowOrder {
		text, err := nkeys.Encode(nkeys.PrefixByteCurve, unhex(t, raw))
		if err != nil {
			t.Fatal(err)
		}
		checked := trust.CheckXKey(string(text))
		if _, err := trust.Box(string(text), "epoch", nil, []byte("key")); err != nil && checked == nil {
			t.Errorf("%s passes for an xkey, and sealing to it fails: %v", raw, err)
		}
	}
}

// TestABoxIsTheProtocols opens a box by RFC 9180 and docs/protocol/keys.md, written out.
func TestABoxIsTheProtocols(t *testing.T) {
	key := trust.NewXKey()
	box := mustBox(t, key, "share", "context", "secret")
	_, raw, err := nkeys.DecodeSeed(key.Seed())
	if err != nil {
		t.Fatal(err)
	}
	got, err := openByHand(raw, []byte("\xffkeyhall/box/v1\x00share\x00context"), box)
	if err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
}

func openByHand(private, info, box []byte) ([]byte, error) {
	own, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, err
	}
	share, err := ecdh.X25519().NewPublicKey(box[:32])
	if err != nil {
		return nil, err
	}
	dh, err := own.ECDH(share)
	if err != nil {
		return nil, err
	}
	const kem, suite = "KEM\x00\x20", "HPKE\x00\x20\x00\x01\x00\x02"
	shared := expand(extract("", kem, "eae_prk", dh), kem, "shared_secret", slices.Concat(box[:32], own.PublicKey().Bytes()), 32)
	context := slices.Concat([]byte{0}, extract("", suite, "psk_id_hash", nil), extract("", suite, "info_hash", info))
	secret := extract(string(shared), suite, "secret", nil)
	block, err := aes.NewCipher(expand(secret, suite, "key", context, 32))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, expand(secret, suite, "base_nonce", context, 12), box[32:], nil)
}

// extract and expand are LabeledExtract and LabeledExpand of RFC 9180, section 4.
func extract(salt, suite, label string, ikm []byte) []byte {
	prk, err := hkdf.Extract(sha256.New, append([]byte("HPKE-v1"+suite+label), ikm...), []byte(salt))
	if err != nil {
		panic(err)
	}
	return prk
}

func expand(prk []byte, suite, label string, info []byte, length int) []byte {
	labeled := binary.BigEndian.AppendUint16(nil, uint16(length))
	labeled = append(append(labeled, "HPKE-v1"+suite+label...), info...)
	key, err := hkdf.Expand(sha256.New, prk, string(labeled), length)
	if err != nil {
		panic(err)
	}
	return key
}
