package trust

import (
	"crypto/rand"
	"crypto/sha512"

	"filippo.io/edwards25519"
)

// Batch verifies many signatures together by the rule of Verify: the equation is that of
// ZIP-215 with a random factor for each signature, so that a false one is not made up for by
// another. The signatures of one key share most of the work. The zero Batch is empty.
type Batch struct {
	keys    map[PublicKey]int // its place among the points
	points  []*edwards25519.Point
	scalars []*edwards25519.Scalar
	base    *edwards25519.Scalar // of the base point, negated
	broken  bool                 // something in it can be no signature
}

// Add adds a signature to be verified.
func (b *Batch) Add(key PublicKey, message, sig []byte) {
	if b.broken = b.broken || len(sig) != 64; b.broken {
		return
	}
	if b.keys == nil {
		b.keys, b.base = make(map[PublicKey]int), edwards25519.NewScalar()
	}
	r, errR := new(edwards25519.Point).SetBytes(sig[:32])
	s, errS := edwards25519.NewScalar().SetCanonicalBytes(sig[32:])
	at, errA := b.place(key)
	if b.broken = errR != nil || errS != nil || errA != nil; b.broken {
		return
	}
	hash := sha512.New()
	hash.Write(sig[:32])
	hash.Write(key[:])
	hash.Write(message)
	k, err := edwards25519.NewScalar().SetUniformBytes(hash.Sum(nil))
	if err != nil {
		panic(err) // SHA-512 has 64 bytes
	}
	z := randomFactor()
	b.base.MultiplyAdd(z, s, b.base)
	b.points, b.scalars = append(b.points, r), append(b.scalars, z)
	b.scalars[at].MultiplyAdd(z, k, b.scalars[at])
}

// place is where a key's point is, with the sum of its factors.
func (b *Batch) place(key PublicKey) (int, error) {
	if at, known := b.keys[key]; known {
		return at, nil
	}
	point, err := new(edwards25519.Point).SetBytes(key[:])
	if err != nil {
		return 0, err
	}
	b.keys[key] = len(b.points)
	b.points, b.scalars = append(b.points, point), append(b.scalars, edwards25519.NewScalar())
	return b.keys[key], nil
}

// randomFactor is a scalar of 128 random bits.
func randomFactor() *edwards25519.Scalar {
	var bytes [32]byte
	_, _ = rand.Read(bytes[:16]) // never fails
	z, err := edwards25519.NewScalar().SetCanonicalBytes(bytes[:])
	if err != nil {
		panic(err) // 128 bits are below the order
	}
	return z
}

// Verify reports whether every signature holds; an empty batch does. Which one does not,
// the function Verify says of each.
func (b *Batch) Verify() bool {
	if b.broken || len(b.points) == 0 {
		return !b.broken
	}
	points := append(b.points, edwards25519.NewGeneratorPoint())
	scalars := append(b.scalars, edwards25519.NewScalar().Negate(b.base))
	sum := new(edwards25519.Point).VarTimeMultiScalarMult(scalars, points)
	return sum.MultByCofactor(sum).Equal(edwards25519.NewIdentityPoint()) == 1
}
