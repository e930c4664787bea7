package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/nats-io/nkeys"
)

// Key is a provider's key pair.
type Key struct {
	ID  string
	Alg string
	// JWK are the members of the public key, as it is published; tests change them.
	JWK map[string]any

	private any
}

// NewKey makes a key for an algorithm: RS256, PS256 and their longer ones, ES256, ES384,
// ES512 or EdDSA.
func NewKey(t testing.TB, alg, id string) *Key {
	t.Helper()
	switch alg {
	case "ES256":
		return newEC(t, alg, id, elliptic.P256())
	case "ES384":
		return newEC(t, alg, id, elliptic.P384())
	case "ES512":
		return newEC(t, alg, id, elliptic.P521())
	case "EdDSA":
		return newEd25519(t, id)
	default:
		return NewRSA(t, alg, id, 2048)
	}
}

// NewRSA makes an RSA key of a length in bits, of which Go allows those from 1024.
func NewRSA(t testing.TB, alg, id string, bits int) *Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return published(t, alg, id, private, jose.JSONWebKey{Key: private.Public()})
}

func newEC(t testing.TB, alg, id string, curve elliptic.Curve) *Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return published(t, alg, id, private, jose.JSONWebKey{Key: private.Public()})
}

// newEd25519 takes a seed of NATS's library, which makes such keys.
func newEd25519(t testing.TB, id string) *Key {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	x, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(public))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	_, d, err := nkeys.DecodeSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]string{"kty": "OKP", "crv": "Ed25519", "x": Encode(string(x)), "d": Encode(string(d))}
	data, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	var private jose.JSONWebKey
	if err := private.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return published(t, "EdDSA", id, private.Key, private.Public())
}

func published(t testing.TB, alg, id string, private any, public jose.JSONWebKey) *Key {
	t.Helper()
	data, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	k := &Key{ID: id, Alg: alg, JWK: make(map[string]any), private: private}
	if err := json.Unmarshal(data, &k.JWK); err != nil {
		t.Fatal(err)
	}
	k.JWK["use"], k.JWK["alg"] = "sig", alg
	if id != "" {
		k.JWK["kid"] = id
	}
	return k
}

// As is the same key, published with other members; those that are Missing are left out.
func (k *Key) As(members map[string]any) *Key {
	other := *k
	other.JWK = maps.Clone(k.JWK)
	maps.Copy(other.JWK, members)
	maps.DeleteFunc(other.JWK, func(_ string, value any) bool { return value == Missing })
	if id, is := other.JWK["kid"].(string); is {
		other.ID = id
	} else {
		other.ID = ""
	}
	return &other
}

// Set is a JWK set of keys.
func Set(keys ...*Key) map[string]any {
	list := []any{}
	for _, k := range keys {
		list = append(list, k.JWK)
	}
	return map[string]any{"keys": list}
}

// Sign makes a token of claims, a map or Raw. What header has is put into the token's own,
// or left out of it where it is Missing; a Raw header stands as it is.
func (k *Key) Sign(t testing.TB, header, claims any) string {
	t.Helper()
	whole := any(map[string]any{"alg": k.Alg, "typ": "JWT"})
	switch header := header.(type) {
	case Raw:
		whole = header
	case map[string]any:
		members := map[string]any{"alg": k.Alg, "typ": "JWT"}
		if k.ID != "" {
			members["kid"] = k.ID
		}
		maps.Copy(members, header)
		maps.DeleteFunc(members, func(_ string, value any) bool { return value == Missing })
		whole = members
	default:
		if k.ID != "" {
			whole = map[string]any{"alg": k.Alg, "typ": "JWT", "kid": k.ID}
		}
	}
	return k.SignText(t, encode(t, whole)+"."+encode(t, claims))
}

// SignText signs two encoded parts with the key and its own algorithm, whatever they say.
func (k *Key) SignText(t testing.TB, text string) string {
	t.Helper()
	return text + "." + Encode(string(k.signature(t, text)))
}

func (k *Key) signature(t testing.TB, text string) []byte {
	t.Helper()
	hash := map[string]crypto.Hash{
		"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512, "PS256": crypto.SHA256, "PS384": crypto.SHA384,
		"PS512": crypto.SHA512, "ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
	}[k.Alg]
	digest := []byte(text)
	if hash != 0 {
		h := hash.New()
		h.Write(digest)
		digest = h.Sum(nil)
	}
	if private, is := k.private.(*ecdsa.PrivateKey); is {
		r, s, err := ecdsa.Sign(rand.Reader, private, digest)
		if err != nil {
			t.Fatal(err)
		}
		return joined(private, r, s)
	}
	var options crypto.SignerOpts = hash
	if k.Alg[0] == 'P' {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	signature, err := k.private.(crypto.Signer).Sign(rand.Reader, digest, options) //nolint:forcetypeassert // made here
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func joined(private *ecdsa.PrivateKey, r, s *big.Int) []byte {
	size := (private.Curve.Params().BitSize + 7) / 8
	both := make([]byte, 2*size)
	r.FillBytes(both[:size])
	s.FillBytes(both[size:])
	return both
}

// HMAC makes a token of HS256 with a secret: who takes a public key for one believes it.
func HMAC(t testing.TB, secret []byte, header, claims map[string]any) string {
	t.Helper()
	members := map[string]any{"alg": "HS256", "typ": "JWT"}
	maps.Copy(members, header)
	text := encode(t, members) + "." + encode(t, claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + Encode(string(mac.Sum(nil)))
}

// Unsigned makes a token without a signature, of the algorithm none in any spelling.
func Unsigned(t testing.TB, alg string, claims map[string]any) string {
	t.Helper()
	return encode(t, map[string]any{"alg": alg, "typ": "JWT"}) + "." + encode(t, claims) + "."
}

// Encode is a part of a token.
func Encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
