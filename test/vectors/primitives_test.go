package vectors_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/binary"
	"math/big"
	"slices"

	"github.com/nats-io/nkeys"
)

// aesGCM seals with a nonce that the vector names.
func aesGCM(key, nonce, plaintext, data []byte) []byte {
	aead := get(cipher.NewGCM(get(aes.NewCipher(key))))
	return aead.Seal(bytes.Clone(nonce), nonce, plaintext, data)
}

func hkdfKey(secret, salt, info []byte) []byte {
	return get(hkdf.Key(sha256.New, secret, salt, string(info), 32))
}

// hpkeBox is one sealing of RFC 9180 (base mode, X25519, HKDF-SHA256, AES-256-GCM) with a
// sender key that the vector names, and what comes out on the way.
type hpkeBox struct {
	Enc          octets `json:"enc"`
	SharedSecret octets `json:"sharedSecret"`
	Key          octets `json:"key"`
	BaseNonce    octets `json:"baseNonce"`
	Box          octets `json:"box"`
}

var (
	kemSuite  = []byte{'K', 'E', 'M', 0x00, 0x20}
	hpkeSuite = []byte{'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x02}
)

func labeledExtract(suite []byte, salt []byte, label string, ikm []byte) []byte {
	return get(hkdf.Extract(sha256.New, slices.Concat([]byte("HPKE-v1"), suite, []byte(label), ikm), salt))
}

func labeledExpand(suite, prk []byte, label string, info []byte, length int) []byte {
	full := binary.BigEndian.AppendUint16(nil, uint16(length)) //nolint:gosec // at most 32
	full = slices.Concat(full, []byte("HPKE-v1"), suite, []byte(label), info)
	return get(hkdf.Expand(sha256.New, prk, string(full), length))
}

func hpkeSeal(recipient, ephemeral, info, plaintext []byte) hpkeBox {
	sender := get(ecdh.X25519().NewPrivateKey(ephemeral))
	enc := sender.PublicKey().Bytes()
	shared := get(sender.ECDH(get(ecdh.X25519().NewPublicKey(recipient))))
	b := hpkeBox{Enc: enc}
	prk := labeledExtract(kemSuite, nil, "eae_prk", shared)
	b.SharedSecret = labeledExpand(kemSuite, prk, "shared_secret", slices.Concat(enc, recipient), 32)
	context := slices.Concat([]byte{0}, labeledExtract(hpkeSuite, nil, "psk_id_hash", nil), labeledExtract(hpkeSuite, nil, "info_hash", info))
	secret := labeledExtract(hpkeSuite, b.SharedSecret, "secret", nil)
	b.Key = labeledExpand(hpkeSuite, secret, "key", context, 32)
	b.BaseNonce = labeledExpand(hpkeSuite, secret, "base_nonce", context, 12)
	b.Box = slices.Concat(enc, aesGCM(b.Key, b.BaseNonce, plaintext, nil)[12:])
	return b
}

// boxFor seals for an xkey in its text form.
func boxFor(to, purpose string, context, ephemeral, plaintext []byte) hpkeBox {
	raw := get(nkeys.Decode(nkeys.PrefixByteCurve, []byte(to)))
	return hpkeSeal(raw, ephemeral, slices.Concat(label("box"), []byte(purpose), []byte{0}, context), plaintext)
}

var base32Text = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// The curve edwards25519, slowly: for signatures that no library makes.
var (
	fieldP  = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	groupL  = get2(new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10))
	curveD  = modP(new(big.Int).Mul(big.NewInt(-121665), inverse(big.NewInt(121666))))
	basePt  = point{get2(new(big.Int).SetString("15112221349535400772501151409588531511454012693041857206046113283949847762202", 10)), get2(new(big.Int).SetString("46316835694926478169428394003475163141307993866256225615783033603165251855960", 10))}
	torsion = point{get2(new(big.Int).SetString("14399317868200118260347934320527232580618823971194345261214217575416788799818", 10)), get2(new(big.Int).SetString("55188659117513257062467267217118295137698188065244968500265048394206261417927", 10))}
)

type point struct{ x, y *big.Int }

func get2(v *big.Int, ok bool) *big.Int {
	if !ok {
		panic("not a number")
	}
	return v
}

func modP(v *big.Int) *big.Int { return v.Mod(v, fieldP) }

func inverse(v *big.Int) *big.Int { return new(big.Int).ModInverse(v, fieldP) }

func mul(v ...*big.Int) *big.Int {
	out := big.NewInt(1)
	for _, f := range v {
		out = modP(out.Mul(out, f))
	}
	return out
}

func (p point) add(q point) point {
	k := mul(curveD, p.x, q.x, p.y, q.y)
	one := big.NewInt(1)
	x := new(big.Int).Add(mul(p.x, q.y), mul(p.y, q.x))
	y := new(big.Int).Add(mul(p.y, q.y), mul(p.x, q.x))
	return point{
		mul(modP(x), inverse(modP(new(big.Int).Add(one, k)))),
		mul(modP(y), inverse(modP(new(big.Int).Sub(one, k)))),
	}
}

func (p point) times(n *big.Int) point {
	sum := point{big.NewInt(0), big.NewInt(1)}
	for i := n.BitLen() - 1; i >= 0; i-- {
		if sum = sum.add(sum); n.Bit(i) == 1 {
			sum = sum.add(p)
		}
	}
	return sum
}

func (p point) bytes() []byte {
	out := little(p.y)
	out[31] |= byte(p.x.Bit(0) << 7)
	return out
}

func little(n *big.Int) []byte {
	out := n.FillBytes(make([]byte, 32))
	slices.Reverse(out)
	return out
}

func number(little []byte) *big.Int {
	big := slices.Clone(little)
	slices.Reverse(big)
	return newInt(big)
}

func newInt(raw []byte) *big.Int { return new(big.Int).SetBytes(raw) }

// mixedSignature is one that 8SB = 8R + 8kA holds for and SB = R + kA does not: to the key,
// to R, or to both a point of order 8 was added.
func mixedSignature(seed, message []byte, mixKey, mixR bool) (key, sig []byte) {
	expanded := sha512.Sum512(seed)
	expanded[0] &= 248
	expanded[31] = expanded[31]&127 | 64
	a, r := number(expanded[:32]), new(big.Int).Mod(newInt(hash(expanded[32:], message)), groupL)
	public, nonce := basePt.times(a), basePt.times(r)
	if mixKey {
		public = public.add(torsion)
	}
	if mixR {
		nonce = nonce.add(torsion)
	}
	challenge := sha512.Sum512(slices.Concat(nonce.bytes(), public.bytes(), message))
	k := number(challenge[:])
	s := new(big.Int).Mul(k, a)
	s.Mod(s.Add(s, r), groupL)
	return public.bytes(), slices.Concat(nonce.bytes(), little(s))
}

func rawX(text string) []byte { return get(nkeys.Decode(nkeys.PrefixByteCurve, []byte(text))) }
