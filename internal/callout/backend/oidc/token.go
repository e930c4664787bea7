package oidc

import (
	"encoding/base64"
	"errors"
	"strings"

	"keyhall.dev/keyhall/internal/callout"
)

const (
	maxToken = 16 << 10 // bytes
	maxKeyID = 256      // bytes
)

// token is a JWT as somebody sent it: read, and not believed.
type token struct {
	raw    string
	alg    string
	kid    string // empty for none
	claims map[string]any
}

// strict takes one text for a sequence of bytes and no other.
var strict = base64.RawURLEncoding.Strict()

// presented is the token of a login: what stands in its token field, or else its password.
func presented(request *callout.Request) string {
	if token := request.Token.Reveal(); isJWT(token) {
		return token
	}
	return request.Password.Reveal()
}

// isJWT tells by the form, and by the header that names an algorithm.
func isJWT(text string) bool {
	if len(text) > maxToken || strings.Count(text, ".") != 2 {
		return false
	}
	head, _, _ := strings.Cut(text, ".")
	header, err := readPart(head)
	if err != nil && header == nil {
		return false
	}
	alg, named := header["alg"].(string)
	return named && !isNATS(alg)
}

// peek reads what chooses the backend of a token: the issuer that it names. Of a member that
// is there twice the first counts: somebody has to refuse it.
func peek(text string) (issuer string, is bool) {
	if !isJWT(text) {
		return "", false
	}
	parts := strings.Split(text, ".")
	claims, err := readPart(parts[1])
	if err != nil && claims == nil {
		return "", false
	}
	if _, err := strict.DecodeString(parts[2]); err != nil {
		return "", false
	}
	issuer, is = claims["iss"].(string)
	return issuer, is
}

// isNATS tells the JWTs of NATS itself, which are no login here.
func isNATS(alg string) bool { return alg == "ed25519-nkey" || alg == "ed25519" }

func readPart(part string) (map[string]any, error) {
	data, err := strict.DecodeString(part)
	if err != nil {
		return nil, err
	}
	return readObject(data)
}

// readToken reads a token that may be verified: everything but its signature and its claims'
// meaning is judged.
func readToken(raw string) (token, error) {
	if len(raw) > maxToken {
		return token{}, callout.Wrong("the token has more than %d bytes", maxToken)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return token{}, callout.Wrong("not a token of three parts")
	}
	if _, err := strict.DecodeString(parts[2]); err != nil {
		return token{}, callout.Wrong("the token's signature is not base64url")
	}
	header, err := readPart(parts[0])
	if err != nil {
		return token{}, callout.Wrong("the token's header is %s", formOf(err))
	}
	claims, err := readPart(parts[1])
	if err != nil {
		return token{}, callout.Wrong("the token's claims are %s", formOf(err))
	}
	t := token{raw: raw, claims: claims}
	return t, t.readHeader(header)
}

// formOf is what is wrong with the form of a part. A decoder's own error is not repeated: it
// may quote what it read.
func formOf(err error) string {
	for _, known := range []error{errNotJSON, errTwice, errText, errDeep} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "not base64url"
}

func (t *token) readHeader(header map[string]any) error {
	for _, name := range []string{"crit", "b64", "cty", "enc", "zip"} {
		if _, there := header[name]; there {
			return callout.Wrong("the token's header has %s, which is not understood here", name)
		}
	}
	if err := checkType(header["typ"]); err != nil {
		return err
	}
	alg, is := header["alg"].(string)
	if !is || alg == "" {
		return callout.Wrong("the token's header names no algorithm")
	}
	t.alg = alg
	kid, there := header["kid"]
	if !there {
		return nil
	}
	id, is := kid.(string)
	if !is || id == "" || len(id) > maxKeyID {
		return callout.Wrong("the token's header names a key by something that is no key id")
	}
	t.kid = id
	return nil
}

// checkType takes ID tokens and access tokens (RFC 9068), by their media type or the short
// form of it, and tokens that do not say.
func checkType(typ any) error {
	if typ == nil {
		return nil
	}
	text, is := typ.(string)
	short := strings.TrimPrefix(strings.ToLower(text), "application/")
	if !is || short != "jwt" && short != "at+jwt" {
		return callout.Wrong("the token is of type %s, and only JWT and at+jwt log in", shown(typ))
	}
	return nil
}
