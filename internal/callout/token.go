package callout

import (
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/recent"
	"keyhall.dev/keyhall/trust"
)

const (
	tokenHeader  = `{"typ":"JWT","alg":"ed25519-nkey"}` // of every NATS JWT of version 2
	tokenVersion = 2

	maxSigners = 1024 // whose private keys are kept ready
)

var errToken = errors.New("not a token of an authorization request")

// readToken reads the JWT of an authorization request and verifies that its issuer, a
// server, signed it. Of what the jwt library takes, it takes what a server writes: one
// text for one token, of version 2.
func readToken(token string) (*jwt.AuthorizationRequestClaims, error) {
	signed, signatureText, _ := cutLast(token)
	header, payloadText, found := strings.Cut(signed, ".")
	if !found || strings.Contains(payloadText, ".") {
		return nil, errToken
	}
	said, err := decodeExactly(header)
	if err != nil || string(said) != tokenHeader {
		return nil, errToken
	}
	payload, err := decodeExactly(payloadText)
	if err != nil {
		return nil, errToken
	}
	signature, err := decodeExactly(signatureText)
	if err != nil {
		return nil, errToken
	}
	var claims struct {
		Version1 string `json:"type"` // where version 1 says of what kind it is
		jwt.AuthorizationRequestClaims
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, errToken
	}
	if claims.Version1 != "" || claims.Version != tokenVersion || claims.Type != jwt.AuthorizationRequestClaim {
		return nil, errToken
	}
	if !isKey(nkeys.PrefixByteServer, claims.Issuer) {
		return nil, errToken
	}
	issuer, err := nkeys.FromPublicKey(claims.Issuer)
	if err != nil || issuer.Verify([]byte(signed), signature) != nil {
		return nil, errors.New("the signature of the server does not hold")
	}
	return &claims.AuthorizationRequestClaims, nil
}

func cutLast(token string) (before, after string, found bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return token, "", false
	}
	return token[:i], token[i+1:], true
}

var strictBase64 = base64.RawURLEncoding.Strict()

// decodeExactly takes the one text of some bytes: the decoder skips line breaks, and the
// length gives them away.
func decodeExactly(text string) ([]byte, error) {
	raw, err := strictBase64.DecodeString(text)
	if err != nil || len(text) != strictBase64.EncodedLen(len(raw)) {
		return nil, errToken
	}
	return raw, nil
}

// signer signs JWTs. The key pairs of nkeys derive the private key anew for each signature;
// this one has it ready.
type signer struct {
	public  string
	private *trust.KeyPair
}

func newSigner(pair nkeys.KeyPair) (*signer, error) {
	public, err := pair.PublicKey()
	if err != nil {
		return nil, err
	}
	if !isKey(nkeys.PrefixByteAccount, public) {
		return nil, errors.New("not an account key")
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	private, err := trust.ParseSeed(trust.Account, seed)
	if err != nil {
		return nil, err
	}
	return &signer{public, private}, nil
}

var encodedHeader = base64.RawURLEncoding.EncodeToString([]byte(tokenHeader))

// token makes the JWT of claims, byte for byte as the jwt library would. Type and version are
// set by the caller.
func (s *signer) token(claims jwt.Claims, now time.Time) (string, error) {
	data := claims.Claims()
	data.Issuer, data.IssuedAt, data.ID = s.public, now.Unix(), ""
	general, err := json.Marshal(data)
	if err != nil {
		return "", err
	}
	sum := sha512.Sum512_256(general)
	data.ID = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	size := len(encodedHeader) + base64.RawURLEncoding.EncodedLen(len(payload)) + base64.RawURLEncoding.EncodedLen(signatureSize)
	out := make([]byte, 0, size+len(".."))
	out = append(append(out, encodedHeader...), '.')
	out = base64.RawURLEncoding.AppendEncode(out, payload)
	signature := s.private.Sign(out)
	out = append(out, '.')
	return string(base64.RawURLEncoding.AppendEncode(out, signature[:])), nil
}

// signers keep the keys with which grants were signed.
type signers struct {
	mu sync.Mutex
	by *recent.Cache[nkeys.KeyPair, *signer]
}

func newSigners() *signers {
	return &signers{by: recent.New[nkeys.KeyPair, *signer](maxSigners)}
}

func (s *signers) of(pair nkeys.KeyPair) (*signer, error) {
	if pair == nil {
		return nil, errors.New("no signing key")
	}
	if !reflect.TypeOf(pair).Comparable() { // which none of nkeys is
		return newSigner(pair)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ready, found := s.by.Get(pair); found {
		return ready, nil
	}
	ready, err := newSigner(pair)
	if err == nil {
		s.by.Put(pair, ready)
	}
	return ready, err
}
