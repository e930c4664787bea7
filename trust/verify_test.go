package trust_test

import (
	"encoding/hex"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"keyhall.dev/keyhall/trust"
)

// smallOrder are all 14 encodings of the eight points of small order, among them those
// that RFC 8032 calls malformed ("It's 255:19AM", https://hdevalence.ca/blog/2020-10-04-its-25519am).
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000", // the identity
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

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// With A and R of small order and S = 0 the equation 8SB = 8R + 8kA holds for any message.
func TestSmallOrderSignaturesHoldAsZIP215Says(t *testing.T) {
	for _, a := range smallOrder {
		for _, r := range smallOrder {
			sig := append(unhex(t, r), make([]byte, 32)...)
			if !trust.Verify(trust.PublicKey(unhex(t, a)), []byte("any message"), sig) {
				t.Errorf("A %s, R %s: refused", a, r)
			}
		}
	}
}

// TestSIsBelowTheGroupOrder: S and S+L satisfy the same equation, so one of them has to
// be refused, or everybody could make a second signature of one that exists.
func TestSIsBelowTheGroupOrder(t *testing.T) {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	pair := trust.NewKeyPair(trust.Device)
	for i := range 8 {
		message := []byte{byte(i)}
		sig := pair.Sign(message)
		if !trust.Verify(pair.Public(), message, sig[:]) {
			t.Fatal("an honest signature is refused")
		}
		s := slices.Clone(sig[32:])
		slices.Reverse(s)
		more := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
		slices.Reverse(more)
		if trust.Verify(pair.Public(), message, append(slices.Clone(sig[:32]), more...)) {
			t.Error("S + L is accepted")
		}
	}
	exactly := order.FillBytes(make([]byte, 32))
	slices.Reverse(exactly)
	identity := unhex(t, smallOrder[0])
	if trust.Verify(trust.PublicKey(identity), nil, append(slices.Clone(identity), exactly...)) {
		t.Error("S = L is accepted")
	}
}

func TestAKeyThatIsNoPointSignsNothing(t *testing.T) {
	key := trust.PublicKey{0: 2} // y = 2 is not on the curve
	if trust.Verify(key, nil, append(unhex(t, smallOrder[0]), make([]byte, 32)...)) {
		t.Error("accepted")
	}
}

func TestASignatureIsOfOneKeyAndOneMessage(t *testing.T) {
	pair, other := trust.NewKeyPair(trust.Device), trust.NewKeyPair(trust.Device)
	sig := pair.Sign([]byte("yes"))
	changed := sig
	changed[40] ^= 1
	rows := map[string]struct {
		key     trust.PublicKey
		message string
		sig     []byte
		want    bool
	}{
		"as signed":        {pair.Public(), "yes", sig[:], true},
		"another message":  {pair.Public(), "no", sig[:], false},
		"another key":      {other.Public(), "yes", sig[:], false},
		"a changed byte":   {pair.Public(), "yes", changed[:], false},
		"cut short":        {pair.Public(), "yes", sig[:63], false},
		"one byte more":    {pair.Public(), "yes", append(sig[:], 0), false},
		"nothing":          {pair.Public(), "yes", nil, false},
		"all zero, no key": {trust.PublicKey{}, "yes", make([]byte, 63), false},
	}
	for name, row := range rows {
		if got := trust.Verify(row.key, []byte(row.message), row.sig); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}

// Whatever is said of a signature alone is said of it in a batch, also of those that only
// ZIP-215 takes.
func TestABatchIsJudgedAsItsSignatures(t *testing.T) {
	type signed struct {
		key     trust.PublicKey
		message []byte
		sig     []byte
	}
	pairs := []*trust.KeyPair{trust.NewKeyPair(trust.Device), trust.NewKeyPair(trust.Device), trust.NewKeyPair(trust.Account)}
	one := rapid.Custom(func(t *rapid.T) signed {
		pair := rapid.SampledFrom(pairs).Draw(t, "key")
		message := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "message")
		sig := pair.Sign(message)
		s := signed{pair.Public(), message, sig[:]}
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			s.sig[rapid.IntRange(0, 63).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 1:
			s.key = pairs[0].Public()
		case 2:
			a, r := rapid.SampledFrom(smallOrder).Draw(t, "A"), rapid.SampledFrom(smallOrder).Draw(t, "R")
			raw, _ := hex.DecodeString(a + r)
			s.key, s.sig = trust.PublicKey(raw[:32]), append(raw[32:], make([]byte, 32)...)
		case 3:
			s.sig = s.sig[:rapid.IntRange(0, 64).Draw(t, "length")]
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		var batch trust.Batch
		want := true
		for _, s := range rapid.SliceOfN(one, 0, 8).Draw(t, "signatures") {
			batch.Add(s.key, s.message, s.sig)
			want = want && trust.Verify(s.key, s.message, s.sig)
		}
		if got := batch.Verify(); got != want {
			t.Fatalf("together %t, one by one %t", got, want)
		}
		if got := batch.Verify(); got != want {
			t.Fatal("a second look says something else")
		}
	})
}

// Two false signatures that make up for one another in the plain sum do not in a batch.
func TestFalseSignaturesDoNotMakeUpForOneAnother(t *testing.T) {
	pair := trust.NewKeyPair(trust.Device)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	shifted := func(sig [64]byte, by int64) []byte {
		s := slices.Clone(sig[32:])
		slices.Reverse(s)
		moved := new(big.Int).Add(new(big.Int).SetBytes(s), big.NewInt(by))
		raw := moved.Mod(moved, order).FillBytes(make([]byte, 32))
		slices.Reverse(raw)
		return append(slices.Clone(sig[:32]), raw...)
	}
	first, second := pair.Sign([]byte("one")), pair.Sign([]byte("two"))
	for range 64 {
		var batch trust.Batch
		batch.Add(pair.Public(), []byte("one"), shifted(first, 1))
		batch.Add(pair.Public(), []byte("two"), shifted(second, -1))
		if batch.Verify() {
			t.Fatal("accepted")
		}
	}
}
