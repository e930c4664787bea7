package oidc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/backend/oidc/idptest"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

// What anybody may send as a token. One that is read has one text, and it is read as what
// chose its backend.
func FuzzReadToken(f *testing.F) {
	key := idptest.NewKey(f, "ES256", "first")
	claims := map[string]any{"iss": "https://id.example.com", "sub": "ada", "aud": []string{"a", "b"}, "exp": 1e9}
	good := key.Sign(f, nil, claims)
	for _, text := range []string{
		good, "", "..", "a.b.c", "eyJ.eyJ.", good + ".", good + "=", good[:len(good)-1], strings.Replace(good, ".", "..", 1), idptest.Unsigned(f, "none", claims),
		key.Sign(f, map[string]any{"crit": []string{"x"}}, claims), key.Sign(f, nil, idptest.Merge(f, claims, claims)), key.Sign(f, nil, idptest.Raw("[]")),
		key.Sign(f, map[string]any{"kid": idptest.Missing, "typ": "at+jwt"}, claims), key.Sign(f, nil, idptest.Raw(`{"iss":"\ud800"}`)),
		"eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.e30.",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		issuer, is := oidc.Peek(text)
		alg, kid, claims, err := oidc.Read(text)
		if err != nil {
			if !errors.Is(err, callout.ErrWrong) || !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Fatalf("refused as %q", err)
			}
			return
		}
		if alg == "" || claims == nil || len(kid) > 256 || strings.Count(text, ".") != 2 || len(text) > 16<<10 {
			t.Fatalf("%q is read as alg %q, kid %q", text, alg, kid)
		}
		if is && claims["iss"] != issuer {
			t.Fatalf("%q is of %q, and was taken for %q's", text, claims["iss"], issuer)
		}
		for i, part := range strings.Split(text, ".") {
			if strings.ContainsAny(part, "=+/ \n") {
				t.Fatalf("part %d of %q has another text", i, text)
			}
		}
	})
}

// What a token or a provider may have for JSON: a reader that is not strict must not see
// anything else in what the strict one takes.
func FuzzReadObject(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":1}`, `{"a":{"b":[1,"x",null,true]}}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `[]`, `"x"`, `{} {}`, `{"a":"\ud800"}`, "{\"\xff\":1}", `{"a":1e999}`,
		`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, `{"a":}`, `{"a",1}`, `{"a":1,}`, "\ufeff{}", "null", "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := oidc.ReadObject(data)
		if err != nil {
			if got != nil && !errors.Is(err, oidc.ErrTwice) {
				t.Fatalf("%q: %v and %v", data, got, err)
			}
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want map[string]any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("%q is taken, and is no JSON object: %v", data, err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("%q has something behind it", data)
		}
		one, _ := json.Marshal(got) //nolint:errcheck // compared
		other, err := json.Marshal(want)
		if err != nil || !bytes.Equal(one, other) {
			t.Fatalf("%q is read as %s, and by others as %s", data, one, other)
		}
	})
}

// What a provider may publish as keys: at most one is the one for an algorithm and an id.
func FuzzReadKeys(f *testing.F) {
	rsa, ec, ed := idptest.NewKey(f, "RS256", "a"), idptest.NewKey(f, "ES256", "a"), idptest.NewKey(f, "EdDSA", "b")
	for _, set := range []any{
		idptest.Set(rsa, ec, ed), idptest.Set(ec, ec, idptest.NewKey(f, "ES256", "a")), idptest.Set(),
		map[string]any{"keys": []any{1, nil, map[string]any{}}},
		idptest.Set(ec.As(map[string]any{"kty": "oct", "k": "AAAA"}), ed.As(map[string]any{"x": "AA"}), rsa.As(map[string]any{"e": ""})),
		[]any{},
		idptest.Set(ec.As(map[string]any{"x5c": []string{"!"}, "x5u": "::"}), ed.As(map[string]any{"kid": idptest.Missing, "use": idptest.Missing})),
	} {
		data, err := json.Marshal(set)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, skipped, err := oidc.PublishedKeys(data)
		if err != nil && len(ids)+len(skipped) > 0 || len(ids) > 100 || len(skipped) > 16 {
			t.Fatalf("%q: %q, %q, %v", data, ids, skipped, err)
		}
		for _, alg := range []string{"none", "HS256", "", "RSA"} {
			for _, id := range append(ids, "") {
				if oidc.Finds(data, alg, id) {
					t.Fatalf("%q has a key for %q", data, alg)
				}
			}
		}
	})
}

// What the claims of a good token may be: they are judged without a panic, and what comes
// out is a grant that the rules have, or a refusal that tells one line.
func FuzzClaims(f *testing.F) {
	yes := true
	config := oidc.Config{
		Issuer: "https://id.example.com", Audience: policy.List{"keyhall"},
		Rules: []oidc.Rule{
			{When: []oidc.Condition{{Claim: "a.b", Contains: "x"}, {Claim: "mfa", Is: &yes}}, Role: "admin"},
			{When: []oidc.Condition{{Domain: "example.com"}}, Role: "staff"},
			{Everyone: true, Role: "staff"},
		},
	}
	const now = 1_700_000_000
	const base = `"iss":"https://id.example.com","aud":"keyhall","sub":"ada","iat":1700000000,"exp":1700000600`
	for _, text := range []string{
		`{` + base + `}`, `{` + base + `,"a":{"b":["x"]},"mfa":true}`, `{` + base + `,"email":"a@example.com","email_verified":true}`,
		`{` + base + `,"nbf":"x"}`, `{` + base + `,"azp":null,"cnf":1}`, `{"iss":1,"aud":[[]],"sub":{}}`, `{}`,
		`{"iss":"https://id.example.com","aud":["keyhall","x"],"azp":"keyhall","sub":"*","iat":1.7e9,"exp":1700000600.5}`,
		`{"iss":"https://id.example.com","aud":"keyhall","sub":"a\nb","iat":1e308,"exp":-1e308}`,
	} {
		f.Add([]byte(text))
	}
	backend, err := oidc.New(config, accountsOf(f), roles())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := backend.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		claims, err := oidc.ReadObject(data)
		if err != nil {
			return
		}
		grant, err := backend.Judge(claims, time.Unix(now, 0))
		if err != nil {
			if code := fault.CodeOf(err); code != fault.Refused && code != fault.Expired || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Fatalf("%q: %q (%s)", data, err, code)
			}
			return
		}
		if grant.Name != claims["sub"] || grant.Rule == "" || !grant.Expires.After(time.Unix(now, 0)) || grant.Expires.After(time.Unix(now, 0).Add(2*time.Hour)) {
			t.Fatalf("%q is granted %+v", data, grant)
		}
		for _, subject := range grant.Publish.Allow {
			if subject != ">" && strings.Count(subject, ".") != 2 {
				t.Fatalf("%q may publish to %q", data, subject)
			}
		}
	})
}

// accountsOf makes the accounts of roles, of keys alone.
func accountsOf(f *testing.F) (accounts callout.Accounts) {
	f.Helper()
	for _, name := range []string{"APP", "OPS"} {
		signer, err := nkeys.CreateAccount()
		if err != nil {
			f.Fatal(err)
		}
		public, err := signer.PublicKey()
		if err != nil {
			f.Fatal(err)
		}
		accounts = append(accounts, callout.Account{Name: name, ID: public, Signer: signer})
	}
	return accounts
}

// What a provider may say of how long its keys are fresh.
func FuzzFreshness(f *testing.F) {
	for _, line := range []string{"", "max-age=60", "public, max-age=\"60\"", "no-store", "max-age=-1", "max-age=999999999999", ",,=,max-age", "max-age=1,max-age=2"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if fresh := oidc.Freshness(line); fresh < 0 {
			t.Fatalf("%q: %s", line, fresh)
		}
	})
}
