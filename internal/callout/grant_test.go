package callout

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"pgregory.net/rapid"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testGrant(t testing.TB) (*Grant, string) {
	t.Helper()
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return &Grant{Account: publicOf(t, account), Signer: signer, Name: "ada", Expires: testNow.Add(time.Hour)}, publicOf(t, user)
}

func publicOf(t testing.TB, pair nkeys.KeyPair) string {
	t.Helper()
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestPermissionsAreSpelledOut(t *testing.T) {
	always := `"_INBOX.\u003e","_R_.\u003e"`
	for name, c := range map[string]struct {
		change func(*Grant)
		want   string
	}{
		"nothing": {
			func(*Grant) {},
			`{"pub":{"deny":["\u003e",` + always + `]},"sub":{"deny":["\u003e",` + always + `]}}`,
		},
		"reader": {
			func(g *Grant) { g.Subscribe.Allow = []string{"feed.x"} },
			`{"pub":{"deny":["\u003e",` + always + `]},"sub":{"allow":["feed.x"],"deny":[` + always + `]}}`,
		},
		"writer": {func(g *Grant) {
			g.Publish.Allow, g.Subscribe.Allow = []string{"room.x.say.A"}, []string{"feed.x", "_INBOX_U.>"}
		}, `{"pub":{"allow":["room.x.say.A"],"deny":[` + always + `]},"sub":{"allow":["feed.x","_INBOX_U.\u003e"],"deny":[` + always + `]}}`},
		"denies of its own": {func(g *Grant) {
			g.Publish = Subjects{Allow: []string{"a.>"}, Deny: []string{"a.b"}}
		}, `{"pub":{"allow":["a.\u003e"],"deny":["a.b",` + always + `]},"sub":{"deny":["\u003e",` + always + `]}}`},
		"responses": {func(g *Grant) {
			g.Subscribe.Allow, g.Responses = []string{"ask"}, Responses{Max: 2, Within: time.Second}
		}, `{"pub":{"deny":["\u003e",` + always + `]},"sub":{"allow":["ask"],"deny":[` + always + `]},"resp":{"max":2,"ttl":1000000000}}`},
		"an inbox allowed is denied all the same": {
			func(g *Grant) { g.Subscribe.Allow = []string{"_INBOX.>"} },
			`{"pub":{"deny":["\u003e",` + always + `]},"sub":{"allow":["_INBOX.\u003e"],"deny":[` + always + `]}}`,
		},
	} {
		g, user := testGrant(t)
		c.change(g)
		claims, err := g.userClaims(user, publicOf(t, g.Signer), testNow)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := json.Marshal(claims.Permissions)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: permissions\n%s, %v, want\n%s", name, got, err, c.want)
		}
	}
}

func TestClaimsCarryTheGrant(t *testing.T) {
	g, user := testGrant(t)
	g.Tags, g.MaxPayload, g.MaxSubscriptions = []string{"Device:Phone"}, 1000, 7
	g.Expires = testNow.Add(time.Hour)
	claims, err := g.userClaims(user, publicOf(t, g.Signer), testNow)
	if err != nil {
		t.Fatal(err)
	}
	if claims.Subject != user || claims.Name != "ada" || claims.IssuerAccount != g.Account || claims.Expires != g.Expires.Unix() ||
		claims.Limits.Payload != 1000 || claims.Limits.Subs != 7 || claims.Limits.Data != jwt.NoLimit || !claims.Tags.Contains("device:phone") {
		t.Errorf("claims %+v", claims)
	}
	g.Account = publicOf(t, g.Signer) // the identity signs: no issuer account
	g.MaxPayload = 0
	if claims, err = g.userClaims(user, publicOf(t, g.Signer), testNow); err != nil || claims.IssuerAccount != "" || claims.Limits.Payload != jwt.NoLimit {
		t.Errorf("claims %+v, %v", claims, err)
	}
}

func TestAGrantThatIsUnclearIsNone(t *testing.T) {
	for name, spoil := range map[string]func(*Grant){
		"account of another kind": func(g *Grant) { g.Account = "U" + g.Account[1:] },
		"account not canonical":   func(g *Grant) { g.Account += "A" },
		"account wildcard":        func(g *Grant) { g.Account = "*" },
		"name with line break":    func(g *Grant) { g.Name = "a\nb" },
		"name too long":           func(g *Grant) { g.Name = strings.Repeat("x", 257) },
		"tag empty":               func(g *Grant) { g.Tags = []string{""} },
		"negative payload":        func(g *Grant) { g.MaxPayload = -1 },
		"negative subscriptions":  func(g *Grant) { g.MaxSubscriptions = -1 },
		"negative responses":      func(g *Grant) { g.Responses.Max = -1 },
		"responses for ever":      func(g *Grant) { g.Responses.Max = 1 },
		"expired this second":     func(g *Grant) { g.Expires = testNow },
		"without an end":          func(g *Grant) { g.Expires = time.Time{} },
		"bad publish deny":        func(g *Grant) { g.Publish.Deny = []string{"a..b"} },
		"bad subscribe deny":      func(g *Grant) { g.Subscribe.Deny = []string{"a b"} },
		"queue in a subscribe":    func(g *Grant) { g.Subscribe.Allow = []string{"a.b q"} },
	} {
		g, user := testGrant(t)
		spoil(g)
		if _, err := g.userClaims(user, publicOf(t, g.Signer), testNow); err == nil {
			t.Errorf("%s: granted", name)
		}
	}
}

func TestSubjectsAreClearOrRefused(t *testing.T) {
	for subject, want := range map[string]bool{
		">": true, "*": true, "a": true, "a.b": true, "a.*": true, "*.a": true, "a.>": true, "$JS.API.>": true, "küche.x": true, "_INBOX_U.>": true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, "a.>.b": false, ">.a": false, "a*": false, "a.b*": false, "a.>b": false,
		"a b": false, "a\tb": false, "a\nb": false, "a\x00b": false, "a\u2028b": false, "a\u00a0b": false, "a\xff": false, "a\u200bb": false,
		strings.Repeat("a", 256): false,
	} {
		if err := CheckSubject(subject); (err == nil) != want {
			t.Errorf("%q: %v, want good %t", subject, err, want)
		}
	}
}

// TestATokenNeverWidensASubject: whatever CheckToken takes is one literal token.
func TestATokenNeverWidensASubject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z.*> ]{0,4}`)).Draw(t, "token")
		if CheckToken(token) != nil {
			return
		}
		subject := jwt.Subject("room." + token + ".say")
		if subject.HasWildCards() || strings.Count(string(subject), ".") != 2 || strings.ContainsAny(token, " \t\r\n") {
			t.Fatalf("%q is not one literal token", token)
		}
		if err := CheckSubject(string(subject)); err != nil {
			t.Fatalf("%q: %v", subject, err)
		}
	})
}

func TestASecretShowsItselfToRevealAlone(t *testing.T) {
	secret := Secret("hunter2")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret)
	encoded, err := json.Marshal(map[string]any{"secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	text := log.String() + string(encoded) + fmt.Sprintf("%v %s %q %#v %+v", secret, secret, secret, secret, struct{ S Secret }{secret})
	if strings.Contains(text, "hunter2") || strings.Count(text, redacted) != 7 {
		t.Error(text)
	}
	if secret.Reveal() != "hunter2" || Secret("").String() != "" {
		t.Error("a secret does not reveal itself")
	}
}
