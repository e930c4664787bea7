package oidc_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/backend/oidc/idptest"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

func document(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestKeysThatAreNotForSigningAreNotUsed(t *testing.T) {
	rsa, ec := idptest.NewKey(t, "RS256", "bad"), idptest.NewKey(t, "ES256", "bad")
	leaked := idptest.NewKey(t, "ES256", "bad").As(map[string]any{"d": "AAAA"})
	offCurve := ec.As(map[string]any{"y": ec.JWK["x"]})
	for _, row := range []struct {
		name string
		key  *idptest.Key
		why  string
	}{
		{"weak", idptest.NewRSA(t, "RS256", "bad", 1024), "RSA of 1024 bits, want 2048 to 8192"},
		{"huge", rsa.As(map[string]any{"n": strings.Repeat("_w", 700)}), "RSA of 8400 bits, want 2048 to 8192"},
		{"exponent one", rsa.As(map[string]any{"e": "AQ"}), "RSA with an exponent that is none"},
		{"even exponent", rsa.As(map[string]any{"e": "BA"}), "RSA with an exponent that is none"},
		{"endless exponent", rsa.As(map[string]any{"e": strings.Repeat("_w", 40)}), "RSA with an exponent that is none"},
		{"no exponent", rsa.As(map[string]any{"e": idptest.Missing}), "without e"},
		{"no modulus", rsa.As(map[string]any{"n": ""}), "without n"},
		{"no base64", rsa.As(map[string]any{"n": "+/+/"}), "n is not base64url"},
		{"for encryption", rsa.As(map[string]any{"use": "enc"}), `for use "enc", not for signatures`},
		{"for something", ec.As(map[string]any{"use": nil}), "for use (none), not for signatures"},
		{"to encrypt", ec.As(map[string]any{"use": idptest.Missing, "key_ops": []string{"encrypt", "sign"}}), "its key_ops are not to verify"},
		{"to do something", ec.As(map[string]any{"key_ops": "verify"}), "its key_ops are not to verify"},
		{"another's alg", rsa.As(map[string]any{"alg": "ES256"}), `alg "ES256" does not go with its type`},
		{"alg for encryption", rsa.As(map[string]any{"alg": "RSA-OAEP"}), `alg "RSA-OAEP" does not go with its type`},
		{"alg none", ec.As(map[string]any{"alg": "none"}), `alg "none" does not go with its type`},
		{"published with its secret", leaked, "published with its secret, so that anybody can sign with it"},
		{"symmetric", ec.As(map[string]any{"kty": "oct", "k": "c2VjcmV0"}), "published with its secret, so that anybody can sign with it"},
		{"of an unknown type", ec.As(map[string]any{"kty": "XYZ"}), `type "XYZ" is not used`},
		{"of no type", ec.As(map[string]any{"kty": idptest.Missing}), "type \"\" is not used"},
		{"on another curve", ec.As(map[string]any{"crv": "secp256k1"}), `curve "secp256k1" is not used`},
		{"to agree on keys", ec.As(map[string]any{"kty": "OKP", "crv": "X25519"}), `curve "X25519" is not used`},
		{"on no curve", ec.As(map[string]any{"crv": idptest.Missing}), "without crv"},
		{"not on its curve", offCurve, "no key of its type"},
		{"on a longer curve", ec.As(map[string]any{"crv": "P-384"}), "alg \"ES256\" does not go with its type"},
		{"with a number for an id", ec.As(map[string]any{"kid": 1}), "kid is no short text"},
	} {
		good := idptest.NewKey(t, "ES256", "good")
		ids, skipped, err := oidc.PublishedKeys(document(t, idptest.Set(row.key, good)))
		if err != nil || !slices.Equal(ids, []string{"good"}) || !slices.Equal(skipped, []string{"key 1: " + row.why}) {
			t.Errorf("%s: uses %q, not %q, %v", row.name, ids, skipped, err)
		}
	}
	// Each of the two that are refused by a member alone is good without it.
	ids, skipped, err := oidc.PublishedKeys(document(t, idptest.Set(rsa, ec.As(map[string]any{"kid": "ec", "key_ops": []string{"verify"}}))))
	if err != nil || len(ids) != 2 || len(skipped) != 0 {
		t.Errorf("uses %q, not %q, %v", ids, skipped, err)
	}
}

func TestATokenOfAKeyThatIsNotUsedIsRefused(t *testing.T) {
	d := newDesk(t, nil)
	good := d.provider.Key()
	weak, enc := idptest.NewRSA(t, "RS256", "weak", 1024), idptest.NewKey(t, "RS256", "enc").As(map[string]any{"use": "enc"})
	one, two := idptest.NewKey(t, "ES256", "double"), idptest.NewKey(t, "ES256", "double")
	d.provider.Publish(good, weak, enc, one, two)
	absent := func(kid, alg string) string {
		return fmt.Sprintf("the token is signed with key %q for %q, which the identity provider does not publish", kid, alg)
	}
	d.mustRefuseAll([]attack{
		forged("a weak key", weak.Sign(t, nil, d.claims(nil)), absent("weak", "RS256")),
		forged("a key for encryption", enc.Sign(t, nil, d.claims(nil)), absent("enc", "RS256")),
		forged("one of two with one id", one.Sign(t, nil, d.claims(nil)), absent("double", "ES256")),
		forged("the other of them", two.Sign(t, nil, d.claims(nil)), absent("double", "ES256")),
	})
	if log := d.log.String(); !strings.Contains(log, "RSA of 1024 bits") || !strings.Contains(log, "another key has its id") {
		t.Errorf("the host is not told why keys are not used: %s", log)
	}
}

func TestKeysOfOneID(t *testing.T) {
	rsa, ec := idptest.NewKey(t, "RS256", "same"), idptest.NewKey(t, "ES256", "same")
	other := idptest.NewKey(t, "ES256", "same")
	none := map[string]any{"kid": idptest.Missing}
	for what, row := range map[string]struct {
		keys []*idptest.Key
		kid  string
		want bool
	}{
		"of another type, for any alg": {[]*idptest.Key{rsa.As(map[string]any{"alg": idptest.Missing})}, "same", false},
		"for any alg of its type":      {[]*idptest.Key{ec.As(map[string]any{"alg": idptest.Missing})}, "same", true},
		"of two types":                 {[]*idptest.Key{rsa, ec}, "same", true},
		"the same key twice":           {[]*idptest.Key{ec, ec}, "same", true},
		"two keys":                     {[]*idptest.Key{ec, other}, "same", false},
		"two keys, three times":        {[]*idptest.Key{ec, other, ec}, "same", false},
		"no id asked, one key":         {[]*idptest.Key{rsa, ec}, "", true},
		"no id asked, two keys":        {[]*idptest.Key{ec, other.As(map[string]any{"kid": "other"})}, "", false},
		"no id asked, two without":     {[]*idptest.Key{ec.As(none), other.As(none)}, "", false},
		"no id asked, one without":     {[]*idptest.Key{ec.As(none)}, "", true},
		"an id asked, one without":     {[]*idptest.Key{ec.As(none)}, "same", false},
		"another id asked":             {[]*idptest.Key{ec}, "Same", false},
		"the one for encryption aside": {[]*idptest.Key{ec, other.As(map[string]any{"use": "enc"})}, "same", true},
	} {
		if got := oidc.Finds(document(t, idptest.Set(row.keys...)), "ES256", row.kid); got != row.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}

func TestATokenWithoutAKeyIDIsOfTheOnlyKey(t *testing.T) {
	d := newDesk(t, nil)
	d.Impatient(natstest.Patience)
	bare := func(key *idptest.Key) string {
		return key.Sign(t, map[string]any{"kid": idptest.Missing}, d.claims(nil))
	}
	first := d.provider.Key()
	d.mustLetIn("of the only key", bare(first))
	second := idptest.NewKey(t, "ES256", "")
	d.provider.Publish(second)
	d.mustLetIn("of the only key, which is another now", bare(second))
	d.mustRefuse("of the key before", bare(first), "the token's signature does not hold", fault.Refused, true)
	d.provider.Publish(second, idptest.NewKey(t, "ES256", "third"))
	d.mustLetIn("of a key that is known still", bare(second))
	d.mustRefuse("of the key before", bare(first), "the token's signature does not hold", fault.Refused, true)
	natstest.Eventually(t, "two keys are known", func() bool { _, err := d.login(bare(second)); return err != nil })
	d.mustRefuse("of a stranger, among two keys", bare(first),
		`the token names no key, and the identity provider does not publish one alone for "ES256" that fits`, fault.Refused, true)
}
