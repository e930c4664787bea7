package oidc_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

func claimsOf(t testing.TB, text string) map[string]any {
	t.Helper()
	claims, err := oidc.ReadObject([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return claims
}

func TestAConditionMatchesWhatItSaysAlone(t *testing.T) {
	yes, no := true, false
	const email, url = `"email_verified":true,"email":`, "https://example.com/roles"
	for _, row := range []struct {
		when    oidc.Condition
		matches []string
		misses  []string
	}{
		{
			oidc.Condition{Claim: "team", Equals: "red"},
			[]string{`{"team":"red"}`, `{"team":"r\u0065d","x":1}`},
			[]string{`{}`, `{"team":null}`, `{"team":"Red"}`, `{"team":"red "}`, `{"team":["red"]}`, `{"team":{"red":true}}`, `{"Team":"red"}`, `{"x":{"team":"red"}}`, `{"team":"redder"}`},
		},
		{
			oidc.Condition{Claim: "team", Equals: "1"}, []string{`{"team":"1"}`}, []string{`{"team":1}`, `{"team":true}`, `{"team":"1.0"}`},
		},
		{
			oidc.Condition{Claim: "groups", Contains: "admin"},
			[]string{`{"groups":["admin"]}`, `{"groups":["staff","admin","admin"]}`},
			[]string{
				`{"groups":"admin"}`, `{"groups":"staff admin"}`, `{"groups":[]}`, `{"groups":["admins"]}`, `{"groups":["Admin"]}`,
				`{"groups":["staff,admin"]}`, `{"groups":[["admin"]]}`, `{"groups":["admin",1]}`, `{"groups":["admin",null]}`, `{"groups":{"admin":true}}`, `{"groups":{"0":"admin"}}`,
			},
		},
		{
			oidc.Condition{Claim: "mfa", Is: &yes},
			[]string{`{"mfa":true}`},
			[]string{`{"mfa":false}`, `{"mfa":"true"}`, `{"mfa":1}`, `{"mfa":[true]}`, `{}`, `{"mfa":null}`},
		},
		{
			oidc.Condition{Claim: "guest", Is: &no},
			[]string{`{"guest":false}`},
			[]string{`{"guest":true}`, `{}`, `{"guest":null}`, `{"guest":0}`, `{"guest":""}`, `{"guest":"false"}`},
		},
		{
			oidc.Condition{Claim: "realm_access.roles", Contains: "x"},
			[]string{`{"realm_access":{"roles":["x"]}}`},
			[]string{`{"realm_access.roles":["x"]}`, `{"realm_access":[{"roles":["x"]}]}`, `{"realm_access":"roles"}`, `{"roles":["x"]}`, `{"realm_access":{"roles":{"x":1}}}`},
		},
		{
			oidc.Condition{Claim: url, Contains: "x"},
			[]string{`{"https://example.com/roles":["x"]}`},
			[]string{`{"https://example":{"com/roles":["x"]}}`},
		},
		{
			oidc.Condition{Claim: `kubernetes\.io.namespace`, Equals: "prod"},
			[]string{`{"kubernetes.io":{"namespace":"prod"}}`},
			[]string{`{"kubernetes":{"io":{"namespace":"prod"}}}`, `{"kubernetes.io.namespace":"prod"}`, `{"kubernetes\\.io":{"namespace":"prod"}}`},
		},
		{
			oidc.Condition{Domain: "example.com"},
			[]string{`{` + email + `"ada@example.com"}`, `{` + email + `"ada+x@EXAMPLE.com"}`},
			[]string{
				`{"email":"ada@example.com"}`, `{"email":"ada@example.com","email_verified":false}`, `{"email":"ada@example.com","email_verified":"true"}`,
				`{` + email + `"ada@example.com.evil.org"}`, `{` + email + `"ada@evil.example.com"}`, `{` + email + `"ada@evilexample.com"}`,
				`{` + email + `"@example.com"}`, `{` + email + `"example.com"}`, `{` + email + `"eve@evil.org@example.com"}`, `{` + email + `"eve@example.com@evil.org"}`,
				`{` + email + `"\"eve@evil.org\"@example.com"}`, `{` + email + `"eve@evil.org,ada@example.com"}`, `{` + email + `"ada@example.com\n"}`, `{` + email + `" ada@example.com"}`,
				`{` + email + `"ada@ex\u00e4mple.com"}`, `{` + email + `"ada@example.com."}`, `{` + email + `["ada@example.com"]}`, `{"x":{` + email + `"ada@example.com"}}`,
				`{` + email + `"ada@exam\u200bple.com"}`, `{` + email + `"ada@\u0435xample.com"}`,
			},
		},
	} {
		if err := row.when.CheckAlone(); err != nil {
			t.Errorf("%+v: %v", row.when, err)
		}
		for _, text := range row.matches {
			if !row.when.Matches(claimsOf(t, text)) {
				t.Errorf("%+v does not match %s", row.when, text)
			}
		}
		for _, text := range row.misses {
			if row.when.Matches(claimsOf(t, text)) {
				t.Errorf("%+v matches %s", row.when, text)
			}
		}
	}
}

func TestARuleNeedsAllItsConditionsAndTheFirstCounts(t *testing.T) {
	yes := true
	d := newDesk(t, func(c *oidc.Config) {
		c.Rules = []oidc.Rule{
			{When: []oidc.Condition{{Claim: "team", Equals: "red"}, {Claim: "mfa", Is: &yes}}, Role: "admin"},
			{Name: "red team", When: []oidc.Condition{{Claim: "team", Equals: "red"}}, Grant: &policy.Role{Account: "APP", Inbox: "shared"}},
			{Everyone: true, Role: "staff"},
		}
	})
	for text, want := range map[string]string{
		`{"sub":"ada","team":"red","mfa":true}`:  "rule 1",
		`{"sub":"ada","team":"red","mfa":false}`: "rule red team",
		`{"sub":"ada","team":"red"}`:             "rule red team",
		`{"sub":"ada","mfa":true}`:               "rule 3",
		`{"sub":"ada"}`:                          "rule 3",
	} {
		token := d.provider.Token(audience, "ada", claimsOf(t, text))
		if grant := d.mustLetIn(text, token); grant.Rule != want {
			t.Errorf("%s: %s, want %s", text, grant.Rule, want)
		}
	}
}

// genClaims draws claims of every type, nested too, with names that conditions are about.
func genClaims() *rapid.Generator[map[string]any] {
	name := rapid.SampledFrom([]string{"a", "b", "a.b", "groups", "email", "email_verified", "https://x/a", "sub"})
	text := rapid.SampledFrom([]string{"", "a", "b", "admin", "true", "1", "ada@example.com", "*", ">"})
	leaf := rapid.OneOf(
		rapid.Map(text, func(s string) any { return s }), rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any](false),
		rapid.Just[any](json.Number("1")), rapid.Map(rapid.SliceOfN(text, 0, 3), func(list []string) any {
			array := []any{}
			for _, s := range list {
				array = append(array, s)
			}
			return array
		}), rapid.Just[any]([]any{"admin", json.Number("1")}),
	)
	inner := rapid.Map(rapid.MapOfN(name, leaf, 0, 3), func(m map[string]any) any { return m })
	return rapid.MapOfN(name, rapid.OneOf(leaf, inner), 0, 5)
}

func genCondition() *rapid.Generator[oidc.Condition] {
	return rapid.Custom(func(t *rapid.T) oidc.Condition {
		c := oidc.Condition{Claim: rapid.SampledFrom([]string{"a", "b", "a.b", `a\.b`, "groups", "https://x/a", "a.groups", "email_verified"}).Draw(t, "claim")}
		value := rapid.SampledFrom([]string{"a", "admin", "true", "1"}).Draw(t, "value")
		truth := rapid.Bool().Draw(t, "truth")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			c.Equals = value
		case 1:
			c.Contains = value
		case 2:
			c.Is = &truth
		default:
			c = oidc.Condition{Domain: "example.com"}
		}
		return c
	})
}

// A condition depends on the claim that it names and on nothing else, and a claim of another
// type never matches.
func TestConditionsLookAtTheirClaimAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims, condition := genClaims().Draw(t, "claims"), genCondition().Draw(t, "condition")
		if err := condition.CheckAlone(); err != nil {
			t.Fatal(err)
		}
		got := condition.Matches(claims)
		if want := expected(condition, claims); got != want {
			t.Fatalf("%+v matches %v: %t, want %t", condition, claims, got, want)
		}
		top := []string{"email", "email_verified"}
		if condition.Domain == "" {
			top = oidc.PathOf(condition.Claim)[:1]
		}
		others := maps.Clone(claims)
		maps.DeleteFunc(others, func(name string, _ any) bool { return !slices.Contains(top, name) })
		if condition.Matches(others) != got {
			t.Fatalf("%+v looks at other claims of %v", condition, claims)
		}
	})
}

// expected is what a condition says, spelled out in another way: by what the one value
// would have to be.
func expected(c oidc.Condition, claims map[string]any) bool {
	if c.Domain != "" {
		return claims["email"] == "ada@example.com" && claims["email_verified"] == true
	}
	value := any(claims)
	for _, name := range map[string][]string{
		"a": {"a"}, "b": {"b"}, "a.b": {"a", "b"}, `a\.b`: {"a.b"}, "groups": {"groups"}, "https://x/a": {"https://x/a"},
		"a.groups": {"a", "groups"}, "email_verified": {"email_verified"},
	}[c.Claim] {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	switch {
	case c.Is != nil:
		return value == any(*c.Is)
	case c.Equals != "":
		return reflect.DeepEqual(value, c.Equals)
	default:
		array, _ := value.([]any)
		return slices.Contains(array, any(c.Contains)) && !slices.Contains(array, any(json.Number("1")))
	}
}

// Whatever somebody's claims are, what is granted is what the role says with plain tokens
// in it.
func TestNoClaimWidensAGrant(t *testing.T) {
	d := newDesk(t, func(c *oidc.Config) {
		c.Rules = []oidc.Rule{{Everyone: true, Grant: &policy.Role{Account: "APP", Permissions: &policy.Permissions{
			Pub: policy.Subjects{Allow: policy.List{"desk.{{name()}}.{{claim(team)}}"}},
		}}}}
	})
	word := rapid.OneOf(rapid.SampledFrom(backendtest.Words), rapid.String())
	let := 0
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		name, team := strings.ToValidUTF8(word.Draw(t, "name"), "?"), strings.ToValidUTF8(word.Draw(t, "team"), "?")
		grant, err := d.Judge(map[string]any{
			"iss": d.provider.Issuer(), "aud": audience, "sub": name, "team": team, "iat": float64(now.Unix()), "exp": float64(now.Unix() + 60),
		}, now)
		if err != nil {
			if !fault.Is(err, fault.Refused) {
				t.Fatal(err)
			}
			return
		}
		let++
		tokens := strings.Split(grant.Publish.Allow[0], ".")
		if len(grant.Publish.Allow) != 1 || len(tokens) != 3 || tokens[1] != name || tokens[2] != team || strings.ContainsAny(name+team, "*>. \t\n") ||
			len(grant.Subscribe.Allow) != 0 || strings.ContainsAny(grant.Inbox, "*>. ") {
			t.Fatalf("%q of %q is granted %+v", name, team, grant)
		}
	})
	if let == 0 {
		t.Error("nobody was let in, and so nothing is proved")
	}
}

func TestWordsForSubjectsAreTextsWithOneMeaning(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`{"a":"x","b":1,"c":["x"],"d":null,"e":true}`:    {"a": "x"},
		`{"a":{"b":"x","c":{"d":"y"}}}`:                  {"a.b": "x", "a.c.d": "y"},
		`{"a":{"b":"x"},"a.b":"y","c":"z"}`:              {"c": "z"},
		`{"email":"ada@example.com"}`:                    {},
		`{"email":"ada","email_verified":"true"}`:        {"email_verified": "true"},
		`{"email":"ada","email_verified":true,"sub":""}`: {"email": "ada", "sub": ""},
	} {
		if got := oidc.WordsOf(claimsOf(t, text)); !maps.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
