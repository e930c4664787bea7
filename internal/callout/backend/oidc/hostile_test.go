package oidc_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/backend/oidc/idptest"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

// attack is a token that must not log in, and the reason that the host reads.
type attack struct {
	name   string
	token  string
	reason string
	code   fault.Code
	wrong  bool // a proof that does not hold
}

// forged is refused as a wrong proof, and lacking as a token that gives no right.
func forged(name, token, reason string) attack {
	return attack{name, token, reason, fault.Refused, true}
}

func lacking(name, token, reason string) attack {
	return attack{name, token, reason, fault.Refused, false}
}

// mustRefuseAll tries attacks, each with a good login behind it.
func (d *desk) mustRefuseAll(attacks []attack) {
	d.t.Helper()
	for _, a := range attacks {
		d.mustRefuse(a.name, a.token, a.reason, a.code, a.wrong)
		d.mustLetIn("a good token after: "+a.name, d.token("ada", nil))
	}
}

// keyed is a desk whose provider has a key of each type.
func keyed(t *testing.T) (d *desk, ec, rsa, ed *idptest.Key) {
	t.Helper()
	d = newDesk(t, nil)
	ec, rsa, ed = d.provider.Key(), idptest.NewKey(t, "RS256", "rsa"), idptest.NewKey(t, "EdDSA", "ed")
	d.provider.Publish(ec, rsa, ed)
	return d, ec, rsa, ed
}

func (d *desk) claims(others map[string]any) map[string]any {
	return d.provider.Claims(audience, "ada", staff(others))
}

func TestEveryAlgorithmOfTheConfigurationLogsIn(t *testing.T) {
	all := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	d := newDesk(t, func(c *oidc.Config) { c.Algorithms = all })
	shared := idptest.NewKey(t, "RS256", "shared")
	var keys []*idptest.Key
	for _, alg := range all {
		key := shared.As(map[string]any{"kid": alg, "alg": alg})
		if alg[0] == 'E' {
			key = idptest.NewKey(t, alg, alg)
		}
		key.Alg = alg
		keys = append(keys, key)
	}
	d.provider.Publish(keys...)
	for _, key := range keys {
		d.mustLetIn(key.Alg, key.Sign(t, nil, d.claims(nil)))
	}
}

func TestForgedAlgorithmsAreRefused(t *testing.T) {
	d, ec, rsa, ed := keyed(t)
	public, err := json.Marshal(rsa.JWK)
	if err != nil {
		t.Fatal(err)
	}
	n := rsa.JWK["n"].(string) //nolint:forcetypeassert // of an RSA key
	modulus, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: modulus})
	named := map[string]any{"kid": "rsa"}
	not := func(alg string) string {
		return fmt.Sprintf("the token is signed with %q, which is not among the algorithms", alg)
	}
	absent := func(kid, alg string) string {
		return fmt.Sprintf("the token is signed with key %q for %q, which the identity provider does not publish", kid, alg)
	}
	as := func(key *idptest.Key, header map[string]any) string { return key.Sign(t, header, d.claims(nil)) }
	d.mustRefuseAll([]attack{
		forged("none", idptest.Unsigned(t, "none", d.claims(nil)), not("none")),
		forged("None", idptest.Unsigned(t, "None", d.claims(nil)), not("None")),
		forged("nOnE, with a signature", idptest.Unsigned(t, "nOnE", d.claims(nil))+"AAAA", not("nOnE")),
		forged("HS256 of the public key as JSON", idptest.HMAC(t, public, named, d.claims(nil)), not("HS256")),
		forged("HS256 of the modulus", idptest.HMAC(t, modulus, named, d.claims(nil)), not("HS256")),
		forged("HS256 of the public key as PEM", idptest.HMAC(t, asPEM, named, d.claims(nil)), not("HS256")),
		forged("HS256 of nothing", idptest.HMAC(t, nil, named, d.claims(nil)), not("HS256")),
		forged("not configured", as(rsa, map[string]any{"alg": "RS512"}), not("RS512")),
		forged("in small letters", as(rsa, map[string]any{"alg": "rs256"}), not("rs256")),
		forged("without", as(ec, map[string]any{"alg": idptest.Missing}), "the token's header names no algorithm"),
		forged("empty", as(ec, map[string]any{"alg": ""}), "the token's header names no algorithm"),
		forged("a number", as(ec, map[string]any{"alg": 256}), "the token's header names no algorithm"),
		forged("a list", as(ec, map[string]any{"alg": []string{"ES256"}}), "the token's header names no algorithm"),
		forged("RSA's for a curve's key", as(ec, map[string]any{"alg": "RS256"}), absent("first", "RS256")),
		forged("a curve's for RSA's key", as(rsa, map[string]any{"alg": "ES256"}), absent("rsa", "ES256")),
		forged("EdDSA's for another curve's", as(ec, map[string]any{"alg": "EdDSA"}), absent("first", "EdDSA")),
		forged("ES256 for an Ed25519 key", as(ed, map[string]any{"alg": "ES256"}), absent("ed", "ES256")),
		forged("PS256 for a key of RS256", as(rsa, map[string]any{"alg": "PS256"}), absent("rsa", "PS256")),
	})
}

func TestHeadersThatChangeTheMeaningAreRefused(t *testing.T) {
	d, ec, _, _ := keyed(t)
	as := func(header map[string]any) string { return ec.Sign(t, header, d.claims(nil)) }
	strange := func(name string) string {
		return "the token's header has " + name + ", which is not understood here"
	}
	ofType := func(typ string) string {
		return "the token is of type " + typ + ", and only JWT and at+jwt log in"
	}
	noID := "the token's header names a key by something that is no key id"
	d.mustRefuseAll([]attack{
		forged("crit", as(map[string]any{"crit": []string{"exp"}, "exp": 1}), strange("crit")),
		forged("crit of nothing", as(map[string]any{"crit": []string{}}), strange("crit")),
		forged("crit of b64", as(map[string]any{"crit": []string{"b64"}, "b64": true}), strange("crit")),
		forged("b64 alone", as(map[string]any{"b64": false}), strange("b64")),
		forged("nested", as(map[string]any{"cty": "JWT"}), strange("cty")),
		forged("half encrypted", as(map[string]any{"enc": "A256GCM"}), strange("enc")),
		forged("packed", as(map[string]any{"zip": "DEF"}), strange("zip")),
		forged("a logout token", as(map[string]any{"typ": "logout+jwt"}), ofType(`"logout+jwt"`)),
		forged("a security event", as(map[string]any{"typ": "secevent+jwt"}), ofType(`"secevent+jwt"`)),
		forged("a DPoP proof", as(map[string]any{"typ": "dpop+jwt"}), ofType(`"dpop+jwt"`)),
		forged("a refresh token", as(map[string]any{"typ": "rt+jwt"}), ofType(`"rt+jwt"`)),
		forged("no text for type", as(map[string]any{"typ": 1}), ofType(`"1"`)),
		forged("kid is a number", as(map[string]any{"kid": 1}), noID),
		forged("kid is empty", as(map[string]any{"kid": ""}), noID),
		forged("kid is null", as(map[string]any{"kid": nil}), noID),
		forged("kid is long", as(map[string]any{"kid": strings.Repeat("x", 257)}), noID),
	})
	for _, typ := range []any{"JWT", "jwt", "at+jwt", "application/at+jwt", "application/AT+JWT", idptest.Missing} {
		d.mustLetIn(fmt.Sprintf("of type %v", typ), as(map[string]any{"typ": typ}))
	}
}

func TestAKeyThatATokenBringsAlongIsNotUsed(t *testing.T) {
	d, ec, _, _ := keyed(t)
	eve := idptest.Start(t) // whose keys anybody could fetch
	evil := idptest.NewKey(t, "ES256", "first")
	eve.Publish(evil)
	broken := "the token's signature does not hold"
	sign := func(header map[string]any) string { return evil.Sign(t, header, d.claims(nil)) }
	at := eve.Issuer() + idptest.Keys
	d.mustRefuseAll([]attack{
		forged("another key with the id", sign(nil), broken),
		forged("jwk", sign(map[string]any{"jwk": evil.JWK}), broken),
		forged("jku", sign(map[string]any{"jku": at}), broken),
		forged("x5u", sign(map[string]any{"x5u": at}), broken),
		forged("kid as an address", sign(map[string]any{"kid": at}),
			fmt.Sprintf("the token is signed with key %q for \"ES256\", which the identity provider does not publish", at)),
		forged("kid as a path", sign(map[string]any{"kid": "../../../dev/null"}),
			"the token is signed with key \"../../../dev/null\" for \"ES256\", which the identity provider does not publish"),
	})
	if eve.Requests(idptest.Keys)+eve.Requests(idptest.Discovery) != 0 {
		t.Error("the attacker's keys were fetched")
	}
	d.mustLetIn("a good token that brings its key along", ec.Sign(t, map[string]any{"jku": at, "x5u": at, "jwk": evil.JWK}, d.claims(nil)))
}

func TestTokensThatCanBeReadInTwoWaysAreRefused(t *testing.T) {
	d, ec, _, _ := keyed(t)
	good := d.token("ada", nil)
	parts := strings.Split(good, ".")
	issuer := d.provider.Issuer()
	body := func(format string, values ...any) string {
		return ec.Sign(t, nil, idptest.Raw(fmt.Sprintf(format, values...)))
	}
	head := func(text string) string { return ec.Sign(t, idptest.Raw(text), d.claims(nil)) }
	flipped := parts[0] + "." + idptest.Encode(strings.Replace(decoded(t, parts[1]), "ada", "eve", 1)) + "." + parts[2]
	const notJSON, twice, noText = "not a JSON object", "a JSON object with a member twice", "JSON with a text that is not Unicode"
	d.mustRefuseAll([]attack{
		forged("claims twice", ec.Sign(t, nil, idptest.Merge(t, d.claims(nil), map[string]any{"sub": "root"})), "the token's claims are "+twice),
		forged("claims twice, inside", body(`{"iss":%q,"x":{"a":1,"a":2}}`, issuer), "the token's claims are "+twice),
		forged("claims twice, escaped", body(`{"iss":%q,"sub":"a","s\u0075b":"b"}`, issuer), "the token's claims are "+twice),
		forged("header twice", head(`{"alg":"none","alg":"ES256","kid":"first"}`), "the token's header is "+twice),
		forged("something behind", body(`{"iss":%q} {}`, issuer), "the token's claims are "+notJSON),
		forged("a list", body(`[{"iss":%q}]`, issuer), "the token's claims are "+notJSON),
		forged("a header that is a text", head(`"alg"`), "the token's header is "+notJSON),
		forged("no JSON", body(`{'iss':%q}`, issuer), "the token's claims are "+notJSON),
		forged("a comment", body(`{"iss":%q /* */}`, issuer), "the token's claims are "+notJSON),
		forged("bytes that are no text", body("{\"iss\":%q,\"sub\":\"\xff\"}", issuer), "the token's claims are JSON with a text that is not Unicode"),
		forged("half a pair", body(`{"iss":%q,"sub":"\ud800"}`, issuer), "the token's claims are "+noText),
		forged("deep", body(`{"iss":%q,"x":%s1%s}`, issuer, strings.Repeat("[", 99), strings.Repeat("]", 99)), "the token's claims are JSON nested too deeply"),
		forged("padded", parts[0]+"=."+parts[1]+"."+parts[2], "the token's header is not base64url"),
		forged("the other alphabet", parts[0]+"."+parts[1]+"."+strings.Repeat("+", len(parts[2])), "the token's signature is not base64url"),
		forged("bits to spare", parts[0]+"."+parts[1]+"."+spare(parts[2]), "the token's signature is not base64url"),
		forged("a line end", good[:len(good)-1]+"\n", "the token's signature is not base64url"),
		forged("two parts", parts[0]+"."+parts[1], "not a token of three parts"),
		forged("four parts", good+".AAAA", "not a token of three parts"),
		forged("encrypted", "eyJhbGciOiJSU0EtT0FFUCJ9.AA.AA.AA.AA", "not a token of three parts"),
		forged("the JSON form", `{"payload":"`+parts[1]+`"}`, "not a token of three parts"),
		forged("nothing", "", "not a token of three parts"),
		forged("huge", d.token("ada", map[string]any{"x": strings.Repeat("x", 16<<10)}), "the token has more than 16384 bytes"),
		forged("changed claims", flipped, "the token's signature does not hold"),
		forged("another's signature", parts[0]+"."+parts[1]+"."+strings.Split(d.token("bob", nil), ".")[2], "the token's signature does not hold"),
		forged("no signature", parts[0]+"."+parts[1]+".", "the token's signature does not hold"),
		forged("a signature of zeros", parts[0]+"."+parts[1]+"."+strings.Repeat("A", 86), "the token's signature does not hold"),
		forged("half a signature", parts[0]+"."+parts[1]+"."+parts[2][:40], "the token's signature does not hold"),
	})
}

func decoded(t *testing.T, part string) string {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// spare sets bits of the last letter that stand for nothing: a lenient reader sees the same
// bytes.
func spare(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + alphabet[last|1:last|1+1]
}

func TestTokensOfAndForSomebodyElseAreRefused(t *testing.T) {
	d, ec, _, _ := keyed(t)
	issuer := d.provider.Issuer()
	as := func(claims map[string]any) string { return ec.Sign(t, nil, d.claims(claims)) }
	upper := strings.Replace(issuer, "http", "HTTP", 1)
	noAudience, no := "the token does not say for whom it is (aud)", idptest.Missing
	d.mustRefuseAll([]attack{
		forged("another issuer", as(map[string]any{"iss": "https://other.example"}), `the token is of issuer "https://other.example"`),
		forged("a slash more", as(map[string]any{"iss": issuer + "/"}), fmt.Sprintf("the token is of issuer %q", issuer+"/")),
		forged("in capitals", as(map[string]any{"iss": upper}), fmt.Sprintf("the token is of issuer %q", upper)),
		forged("no issuer", as(map[string]any{"iss": no}), "the token is of issuer (none)"),
		forged("a list of issuers", as(map[string]any{"iss": []string{"x"}}), `the token is of issuer "[\"x\"]"`),
		forged("for another", as(map[string]any{"aud": "other"}), `the token is for "other"`),
		forged("for others", as(map[string]any{"aud": []string{"other", "third"}}), `the token is for "[\"other\",\"third\"]"`),
		forged("for almost us", as(map[string]any{"aud": "Keyhall"}), `the token is for "Keyhall"`),
		forged("for nobody", as(map[string]any{"aud": no}), noAudience),
		forged("for an empty list", as(map[string]any{"aud": []string{}}), noAudience),
		forged("for a number", as(map[string]any{"aud": 1}), noAudience),
		forged("for a number among texts", as(map[string]any{"aud": []any{audience, 1}}), noAudience),
		forged("for an object", as(map[string]any{"aud": map[string]any{audience: true}}), noAudience),
		forged("for several, of no client", as(map[string]any{"aud": []string{audience, "other"}}),
			"the token is for several, and does not say on whose request (azp)"),
		forged("for several, of another client", as(map[string]any{"aud": []string{audience, "other"}, "azp": "other"}),
			`the token was made for client "other" (azp)`),
		forged("for several, azp is null", as(map[string]any{"aud": []string{audience, "other"}, "azp": nil}),
			"the token was made for client (none) (azp)"),
		forged("a logout token", as(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}),
			"the token has the claim events and is no bearer's login"),
		forged("bound to a key", as(map[string]any{"cnf": map[string]any{"jkt": "x"}}), "the token has the claim cnf and is no bearer's login"),
	})
	d.mustLetIn("a list of one", as(map[string]any{"aud": []string{audience}}))
	d.mustLetIn("for several, of us", as(map[string]any{"aud": []string{"other", audience}, "azp": audience}))
	d.mustLetIn("for us, made by any client", as(map[string]any{"azp": "a web page"}))
}

func TestWhereAClientIsConfiguredItsTokensAloneCount(t *testing.T) {
	d := newDesk(t, func(c *oidc.Config) { c.ClientID = "web" })
	as := func(claims map[string]any) string { return d.token("ada", claims) }
	d.mustRefuseAll([]attack{
		forged("another client", as(map[string]any{"azp": "phone"}), `the token was made for client "phone" (azp)`),
		forged("no text", as(map[string]any{"azp": []string{"web"}}), `the token was made for client "[\"web\"]" (azp)`),
		forged("another client, of an access token", as(map[string]any{"client_id": "phone"}), `the token was made for client "phone" (client_id)`),
		forged("two clients", as(map[string]any{"azp": "web", "client_id": "phone"}), `the token was made for client "phone" (client_id)`),
		forged("for several", as(map[string]any{"aud": []string{audience, "x"}, "azp": audience}), `the token was made for client "keyhall" (azp)`),
	})
	d.mustLetIn("the client's", as(map[string]any{"azp": "web", "client_id": "web"}))
	d.mustLetIn("for several, the client's", as(map[string]any{"aud": []string{audience, "x"}, "azp": "web"}))
}

func TestTokensOfAnotherTimeAreRefused(t *testing.T) {
	d := newDesk(t, func(c *oidc.Config) { c.Skew, c.MaxLife = policy.Duration(2*time.Minute), policy.Duration(time.Hour) })
	now := time.Now()
	at := func(offset time.Duration) int64 { return now.Add(offset).Unix() }
	said := func(offset time.Duration) string { return now.Add(offset).UTC().Format(time.RFC3339) }
	as := func(claims map[string]any) string { return d.token("ada", claims) }
	noExp, noIat := "the token does not say when it expires (exp)", "the token does not say when it was issued (iat)"
	expired := func(after time.Duration) attack {
		return attack{
			"expired for " + after.String(), as(map[string]any{"iat": at(-30 * time.Minute), "exp": at(-after)}),
			"the token expired at " + said(-after), fault.Expired, false,
		}
	}
	d.mustRefuseAll([]attack{
		expired(10 * time.Minute), expired(3 * time.Minute), expired(2 * time.Minute),
		lacking("without expiry", as(map[string]any{"exp": idptest.Missing}), noExp),
		lacking("expiry is null", as(map[string]any{"exp": nil}), noExp),
		lacking("expiry is a text", as(map[string]any{"exp": fmt.Sprint(at(time.Minute))}), noExp),
		lacking("expiry is a truth", as(map[string]any{"exp": true}), noExp),
		lacking("expiry is negative", as(map[string]any{"exp": -1}), noExp),
		lacking("expiry in milliseconds", as(map[string]any{"exp": now.Add(time.Minute).UnixMilli()}), noExp),
		lacking("expiry is endless", as(map[string]any{"exp": 1e300}), noExp),
		lacking("without a time of issue", as(map[string]any{"iat": idptest.Missing}), noIat),
		lacking("time of issue is a text", as(map[string]any{"iat": "now"}), noIat),
		lacking("issued in the future", as(map[string]any{"iat": at(5 * time.Minute)}), "the token was issued in the future, at "+said(5*time.Minute)),
		lacking("expired before it was issued", as(map[string]any{"iat": at(time.Minute), "exp": at(0)}), "the token expires before it was issued"),
		lacking("lives too long", as(map[string]any{"iat": at(0), "exp": at(61 * time.Minute)}),
			"the token lives for 1h1m0s, and 1h0m0s is the most (max_life)"),
		lacking("not yet valid", as(map[string]any{"nbf": at(5 * time.Minute)}), "the token is not valid before "+said(5*time.Minute)),
		lacking("valid from a text on", as(map[string]any{"nbf": "0"}), "the token does not say clearly from when it is valid (nbf)"),
		lacking("valid from null on", as(map[string]any{"nbf": nil}), "the token does not say clearly from when it is valid (nbf)"),
	})
	d.mustLetIn("issued by a clock that goes before", as(map[string]any{"iat": at(time.Minute), "nbf": at(time.Minute)}))
	d.mustLetIn("a fraction of a second", as(map[string]any{"iat": float64(at(-time.Minute)) + 0.25, "exp": float64(at(time.Minute)) + 0.5}))
	late := d.mustLetIn("expired within the skew", as(map[string]any{"iat": at(-10 * time.Minute), "exp": at(0)}))
	if late.Expires.Unix() != at(2*time.Minute) {
		t.Errorf("ends at %v, want the end of the skew", late.Expires)
	}
}

func TestNamesThatAreNoneAreRefused(t *testing.T) {
	d := newDesk(t, func(c *oidc.Config) {
		c.Rules = []oidc.Rule{{Everyone: true, Grant: &policy.Role{Account: "APP"}}}
	})
	as := func(sub any) string { return d.token("x", map[string]any{"sub": sub}) }
	none, line := "the token does not say who somebody is (sub)", "what the token calls somebody (sub) is not a line of plain text"
	d.mustRefuseAll([]attack{
		lacking("without", as(idptest.Missing), none), lacking("empty", as(""), none), lacking("a number", as(7), none), lacking("a list", as([]string{"ada"}), none),
		lacking("two lines", as("ada\nlogin allowed name=root"), line), lacking("a zero byte", as("ada\x00"), line),
		lacking("written backwards", as("ada\u202etoor"), line), lacking("nothing to see", as("ada\u200b"), line),
		lacking("space around it", as(" ada"), "what the token calls somebody (sub) is text with space around it"),
		lacking("long", as(strings.Repeat("x", 257)), "what the token calls somebody (sub) is longer than 256 bytes"),
	})
	if grant := d.mustLetIn("in any script", as("Åda O'Neil|auth0.7")); grant.Name != "Åda O'Neil|auth0.7" || !strings.HasPrefix(grant.Inbox, "_INBOX_x") {
		t.Errorf("%+v", grant)
	}
}

func TestAnotherNameClaimStillNeedsAGoodName(t *testing.T) {
	d := newDesk(t, func(c *oidc.Config) { c.NameClaim, c.NamePrefix = "email", "staff:" })
	as := func(claims map[string]any) string { return d.token("7", claims) }
	unverified := "the token names somebody by an e-mail address that nobody verified"
	for _, a := range []attack{
		lacking("no address", as(nil), "the token does not say who somebody is (email)"),
		lacking("not verified", as(map[string]any{"email": "ada@example.com"}), unverified),
		lacking("said not to be", as(map[string]any{"email": "ada@example.com", "email_verified": false}), unverified),
		lacking("verified by a text", as(map[string]any{"email": "ada@example.com", "email_verified": "true"}), unverified),
		lacking("without sub", as(map[string]any{"email": "ada@example.com", "email_verified": true, "sub": idptest.Missing}),
			"the token does not say who somebody is (sub)"),
	} {
		d.mustRefuse(a.name, a.token, a.reason, a.code, a.wrong)
	}
	grant := d.mustLetIn("verified", as(map[string]any{"email": "ada", "email_verified": true}))
	if grant.Name != "staff:ada" || grant.Publish.Allow[0] != "desk.staff:ada.say" {
		t.Errorf("%+v", grant)
	}
}
