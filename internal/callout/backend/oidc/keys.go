package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys    = 100
	minRSA     = 2048 // bits
	maxRSA     = 8192 // bits: verifying with a longer one takes too long
	maxSkipped = 8    // reasons that are told
)

// kinds are the keys that an algorithm takes.
var kinds = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "EC P-256", "ES384": "EC P-384", "ES512": "EC P-521", "EdDSA": "OKP Ed25519",
}

// key is a provider's public key.
type key struct {
	id   string // empty for none
	kind string
	alg  string // the only one it is for; empty: any of its kind
	jwk  jose.JSONWebKey
	form string // its members, to tell it from another
}

func (k key) fits(alg string) bool { return kinds[alg] == k.kind && (k.alg == "" || k.alg == alg) }

// keySet is what a provider publishes.
type keySet struct {
	keys    []key
	skipped []string // why others are not used
}

// find is the key for a token: by its id, or the only one for the algorithm where the token
// has no id.
func (s keySet) find(alg, kid string) (key, bool) {
	var found []key
	for _, k := range s.keys {
		if k.fits(alg) && (kid == "" || k.id == kid) {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		return key{}, false
	}
	return found[0], true
}

// readKeys reads a JWK set. Keys that cannot be used are left out, as RFC 7517 has it.
func readKeys(data []byte) (keySet, error) {
	document, err := readObject(data)
	if err != nil {
		return keySet{}, err
	}
	list, is := document["keys"].([]any)
	if !is {
		return keySet{}, errors.New("JSON without a list of keys")
	}
	if len(list) > maxKeys {
		return keySet{}, fmt.Errorf("a list of %d keys, %d are the most", len(list), maxKeys)
	}
	var set keySet
	for i, member := range list {
		k, err := readKey(member)
		if err != nil {
			set.skip(fmt.Sprintf("key %d", i+1), err)
			continue
		}
		set.keys = append(set.keys, k)
	}
	set.dropAmbiguous()
	return set, nil
}

func (s *keySet) skip(what string, err error) {
	if len(s.skipped) < maxSkipped {
		s.skipped = append(s.skipped, what+": "+err.Error())
	}
}

// dropAmbiguous leaves out keys of one id and kind that differ: which of them counts, a
// token could choose. The same key twice is one.
func (s *keySet) dropAmbiguous() {
	forms := make(map[string]string) // by id and kind
	differ := make(map[string]bool)
	for _, k := range s.keys {
		name := k.kind + " " + k.id
		if form, there := forms[name]; there && form != k.form && k.id != "" {
			differ[name] = true
		}
		forms[name] = k.form
	}
	var kept []key
	seen := make(map[string]bool)
	for _, k := range s.keys {
		switch name := k.kind + " " + k.id; {
		case differ[name]:
			s.skip("key "+shown(k.id), errors.New("another key has its id"))
		case !seen[name+" "+k.form]:
			seen[name+" "+k.form] = true
			kept = append(kept, k)
		}
	}
	s.keys = kept
}

// readKey reads one public key for signatures.
func readKey(member any) (key, error) {
	object, is := member.(map[string]any)
	if !is {
		return key{}, errors.New("not an object")
	}
	var k key
	var err error
	for _, text := range []struct {
		name string
		to   *string
	}{{"kid", &k.id}, {"alg", &k.alg}} {
		if *text.to, err = textOf(object, text.name); err != nil {
			return key{}, err
		}
	}
	if err := checkUse(object); err != nil {
		return key{}, err
	}
	parts, err := k.readKind(object)
	if err != nil {
		return key{}, err
	}
	if k.alg != "" && kinds[k.alg] != k.kind {
		return key{}, fmt.Errorf("alg %s does not go with its type", shown(k.alg))
	}
	form, err := json.Marshal(parts)
	if err != nil {
		return key{}, err
	}
	k.form = string(form)
	if err := k.jwk.UnmarshalJSON(form); err != nil {
		return key{}, errors.New("no key of its type")
	}
	return k, k.checkJWK()
}

func (k *key) checkJWK() error {
	if !k.jwk.Valid() || !k.jwk.IsPublic() {
		return errors.New("no public key")
	}
	return nil
}

// textOf is a member that is a text, or "" if there is none.
func textOf(object map[string]any, name string) (string, error) {
	value, there := object[name]
	text, is := value.(string)
	if there && (!is || text == "" || len(text) > maxKeyID) {
		return "", fmt.Errorf("%s is no short text", name)
	}
	return text, nil
}

// checkUse leaves out keys that are not there for verifying.
func checkUse(object map[string]any) error {
	if use, there := object["use"]; there && use != "sig" {
		return fmt.Errorf("for use %s, not for signatures", shown(use))
	}
	if operations, there := object["key_ops"]; there {
		if list, is := texts(operations); !is || !contains(list, "verify") {
			return errors.New("its key_ops are not to verify")
		}
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, there := object[private]; there {
			return errors.New("published with its secret, so that anybody can sign with it")
		}
	}
	return nil
}

// readKind sorts a key and returns the members that make it, without anything else that
// came with them.
func (k *key) readKind(object map[string]any) (parts map[string]string, err error) {
	kty, err := textOf(object, "kty")
	if err != nil {
		return nil, err
	}
	names := map[string][]string{"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}}[kty]
	if names == nil {
		return nil, fmt.Errorf("type %s is not used", shown(kty))
	}
	parts = map[string]string{"kty": kty}
	for _, name := range names {
		text, is := object[name].(string)
		if !is || text == "" {
			return nil, fmt.Errorf("without %s", name)
		}
		parts[name] = text
	}
	k.kind = strings.TrimSpace(kty + " " + parts["crv"])
	if kty == "RSA" {
		return parts, checkRSA(parts)
	}
	for _, kind := range kinds {
		if kind == k.kind {
			return parts, nil
		}
	}
	return nil, fmt.Errorf("curve %s is not used", shown(parts["crv"]))
}

// checkRSA takes moduli of a length that protects and can be afforded, and exponents that
// make a signature: with 1, everybody's is one.
func checkRSA(parts map[string]string) error {
	n, err := strict.DecodeString(parts["n"])
	if err != nil {
		return errors.New("n is not base64url")
	}
	e, err := strict.DecodeString(parts["e"])
	if err != nil {
		return errors.New("e is not base64url")
	}
	e = bytes.TrimLeft(e, "\x00")
	if bits := new(big.Int).SetBytes(n).BitLen(); bits < minRSA || bits > maxRSA {
		return fmt.Errorf("RSA of %d bits, want %d to %d", bits, minRSA, maxRSA)
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 || exponent.Cmp(big.NewInt(3)) < 0 || exponent.Bit(0) == 0 {
		return errors.New("RSA with an exponent that is none")
	}
	return nil
}
