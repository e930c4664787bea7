package oidc_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/backend/oidc/idptest"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const audience = "keyhall"

// desk is a backend with a provider of its own.
type desk struct {
	*oidc.Backend
	t        *testing.T
	provider *idptest.Provider
	accounts callout.Accounts
	log      *journal
}

// newDesk has a role for everybody who is of staff, and one for admins.
func newDesk(t *testing.T, change func(*oidc.Config)) *desk {
	t.Helper()
	return deskAt(t, idptest.Start(t), change)
}

func deskAt(t *testing.T, provider *idptest.Provider, change func(*oidc.Config)) *desk {
	t.Helper()
	d := &desk{t: t, provider: provider, accounts: backendtest.Accounts(t, "APP", "OPS"), log: new(journal)}
	config := oidc.Config{
		Issuer: provider.Issuer(), Audience: policy.List{audience},
		Rules: []oidc.Rule{
			{Name: "admins", When: []oidc.Condition{{Claim: "groups", Contains: "admin"}}, Role: "admin"},
			{Name: "staff", When: []oidc.Condition{{Claim: "kind", Equals: "staff"}}, Role: "staff"},
		},
		Logger: slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&config)
	}
	backend, err := oidc.New(config, d.accounts, roles())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	d.Backend = backend
	return d
}

func roles() map[string]policy.Role {
	return map[string]policy.Role{
		"admin": {Account: "OPS", Life: policy.Duration(2 * time.Hour)},
		"staff": {Account: "APP", Permissions: &policy.Permissions{
			Pub: policy.Subjects{Allow: policy.List{"desk.{{name()}}.say"}},
			Sub: policy.Subjects{Allow: policy.List{"desk.{{name()}}.>", "news"}},
		}},
	}
}

// token is a good one of somebody of staff.
func (d *desk) token(subject string, others map[string]any) string {
	d.t.Helper()
	return d.provider.Token(audience, subject, staff(others))
}

func staff(others map[string]any) map[string]any {
	claims := map[string]any{"kind": "staff"}
	for name, value := range others {
		claims[name] = value
	}
	return claims
}

func (d *desk) login(token string) (*callout.Grant, error) {
	d.t.Helper()
	return d.Authorize(natstest.Within(d.t), &callout.Request{User: "anybody", Password: callout.Secret(token)})
}

// mustLetIn is the control beside every refusal.
func (d *desk) mustLetIn(what, token string) *callout.Grant {
	d.t.Helper()
	grant, err := d.login(token)
	if err != nil {
		d.t.Fatalf("%s: %v", what, err)
	}
	return grant
}

// mustRefuse holds a refusal to its reason, and to what it is.
func (d *desk) mustRefuse(what, token, reason string, code fault.Code, wrong bool) {
	d.t.Helper()
	grant, err := d.login(token)
	if grant != nil || err == nil {
		d.t.Errorf("%s: let in as %+v", what, grant)
		return
	}
	if err.Error() != reason || fault.CodeOf(err) != code || errors.Is(err, callout.ErrWrong) != wrong {
		d.t.Errorf("%s:\n got %q (%s, wrong: %t)\nwant %q (%s, wrong: %t)",
			what, err, fault.CodeOf(err), errors.Is(err, callout.ErrWrong), reason, code, wrong)
	}
}

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(data []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(data)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func TestATokenGetsTheRoleOfItsFirstRule(t *testing.T) {
	d := newDesk(t, nil)
	now := time.Now()
	grant := d.mustLetIn("staff", d.token("ada", map[string]any{"exp": now.Add(10 * time.Minute).Unix()}))
	account, err := d.accounts.Find("APP")
	if err != nil {
		t.Fatal(err)
	}
	if grant.Account != account.ID || grant.Name != "ada" || grant.Rule != "rule staff" || grant.Inbox != "_INBOX_ada" ||
		strings.Join(grant.Publish.Allow, " ") != "desk.ada.say" || strings.Join(grant.Subscribe.Allow, " ") != "desk.ada.> news" {
		t.Errorf("%+v", grant)
	}
	if want := now.Add(10 * time.Minute).Unix(); grant.Expires.Unix() != want {
		t.Errorf("ends at %v, and its token at %v", grant.Expires.Unix(), want)
	}
	admin := d.mustLetIn("both rules match", d.token("ada", map[string]any{"groups": []string{"staff", "admin"}, "exp": now.Add(20 * time.Hour).Unix()}))
	if admin.Rule != "rule admins" || admin.Account == grant.Account {
		t.Errorf("%+v", admin)
	}
	if life := admin.Expires.Sub(now); life > 2*time.Hour+natstest.Patience {
		t.Errorf("lives for %s, and its role for two hours", life)
	}
	d.mustRefuse("no rule", d.token("eve", map[string]any{"kind": "guest"}),
		"the token is good, and no rule gives its bearer a role", fault.Refused, false)
}

func TestATokenComesAsPasswordOrAsToken(t *testing.T) {
	d := newDesk(t, nil)
	good := callout.Secret(d.token("ada", nil))
	other := callout.Secret(d.token("bob", nil))
	for what, row := range map[string]struct {
		request callout.Request
		name    string
	}{
		"password":                   {callout.Request{User: "eve", Password: good}, "ada"},
		"password without user":      {callout.Request{Password: good}, "ada"},
		"token":                      {callout.Request{Token: good}, "ada"},
		"token and user":             {callout.Request{User: "eve", Token: good}, "ada"},
		"token before password":      {callout.Request{Token: good, Password: other}, "ada"},
		"password beside a cookie":   {callout.Request{Token: "a session's cookie", Password: other}, "bob"},
		"token beside a password":    {callout.Request{Token: good, Password: "a password"}, "ada"},
		"the sentinel's own is none": {callout.Request{Bearer: string(other), Token: good}, "ada"},
	} {
		if !d.Takes(&row.request) {
			t.Errorf("%s: not taken", what)
		}
		grant, err := d.Authorize(natstest.Within(t), &row.request)
		if err != nil || grant.Name != row.name {
			t.Errorf("%s: %+v, %v", what, grant, err)
		}
	}
}

func TestATokenIsTakenByItsIssuersBackendAlone(t *testing.T) {
	one, other := newDesk(t, nil), newDesk(t, nil)
	nkeyJWT := "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ"
	stranger := idptest.NewKey(t, "ES256", "x")
	mine := one.provider.Claims(audience, "ada", nil)
	for what, row := range map[string]struct {
		token        string
		first, other bool
	}{
		"its own":               {one.token("ada", nil), true, false},
		"the other's":           {other.token("ada", nil), false, true},
		"forged, of its issuer": {stranger.Sign(t, nil, mine), true, false},
		"unsigned":              {idptest.Unsigned(t, "none", mine), true, false},
		"of nobody":             {stranger.Sign(t, nil, map[string]any{"iss": "https://nobody.example", "sub": "ada"}), false, false},
		"without issuer":        {stranger.Sign(t, nil, map[string]any{"sub": "ada"}), false, false},
		"issuer of two":         {stranger.Sign(t, nil, map[string]any{"iss": []string{one.provider.Issuer(), other.provider.Issuer()}}), false, false},
		"issuer twice":          {stranger.Sign(t, nil, idptest.Merge(t, mine, map[string]any{"iss": other.provider.Issuer()})), true, false},
		"issuer, almost":        {stranger.Sign(t, nil, map[string]any{"iss": one.provider.Issuer() + "/"}), false, false},
		"Issuer in capitals":    {stranger.Sign(t, nil, map[string]any{"ISS": one.provider.Issuer()}), false, false},
		"a JWT of NATS":         {nkeyJWT + "." + idptest.Encode(`{"iss":"`+one.provider.Issuer()+`"}`) + ".AAAA", false, false},
		"a password":            {"correct horse battery staple", false, false},
		"nothing":               {"", false, false},
		"dots":                  {"..", false, false},
		"encrypted, five parts": {"eyJhbGciOiJSU0EtT0FFUCJ9.AA.AA.AA.AA", false, false},
		"longer than any":       {one.token("ada", map[string]any{"x": strings.Repeat("x", 16<<10)}), false, false},
	} {
		for _, request := range []callout.Request{{User: "x", Password: callout.Secret(row.token)}, {Token: callout.Secret(row.token)}} {
			if got := one.Takes(&request); got != row.first {
				t.Errorf("%s: taken by its own: %t", what, got)
			}
			if got := other.Takes(&request); got != row.other {
				t.Errorf("%s: taken by the other: %t", what, got)
			}
		}
	}
}

func TestAnIssuerBehindHTTPSIsHeldToItsCertificate(t *testing.T) {
	provider := idptest.StartTLS(t)
	trusting := deskAt(t, provider, func(c *oidc.Config) { c.CAFile = provider.CAFile() })
	trusting.mustLetIn("vouched for by its CA file", trusting.token("ada", nil))
	other := strangersCA(t)
	for what, change := range map[string]func(*oidc.Config){
		"nobody vouches for it":        nil,
		"another authority is trusted": func(c *oidc.Config) { c.CAFile = other },
	} {
		wary := deskAt(t, provider, change)
		_, err := wary.login(wary.token("ada", nil))
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// strangersCA is the file of an authority that vouches for nobody.
func strangersCA(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadySaysWhatIsWrongWithAProvider(t *testing.T) {
	d := newDesk(t, nil)
	d.Impatient(natstest.Patience)
	d.provider.Misbehave(idptest.Discovery, idptest.Status(404))
	err := d.Ready(natstest.Within(t))
	want := "identity provider " + d.provider.Issuer() + ": its discovery document: answered with HTTP 404"
	if !fault.Is(err, fault.Unavailable) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	d.provider.Misbehave(idptest.Discovery, nil)
	natstest.Eventually(t, "the provider is ready", func() bool { return d.Ready(natstest.Within(t)) == nil })
	asked := d.provider.Requests(idptest.Keys)
	d.mustLetIn("with the keys that are there", d.token("ada", nil))
	if err := d.Ready(natstest.Within(t)); err != nil || d.provider.Requests(idptest.Keys) != asked {
		t.Errorf("asked again: %v", err)
	}
}

func TestAnExplanationFollowsTheRules(t *testing.T) {
	d := newDesk(t, nil)
	explain := func(claims map[string]any) (*callout.Grant, error) {
		return d.Explain(natstest.Within(t), callout.Query{Claims: claims})
	}
	grant, err := explain(map[string]any{"sub": "ada", "kind": "staff"})
	if err != nil || grant.Name != "ada" || grant.Rule != "rule staff" || grant.Publish.Allow[0] != "desk.ada.say" {
		t.Errorf("%+v, %v", grant, err)
	}
	grant, err = explain(map[string]any{"sub": "ada", "groups": []any{"admin"}, "exp": float64(time.Now().Add(time.Minute).Unix())})
	if err != nil || grant.Rule != "rule admins" || time.Until(grant.Expires) > time.Minute {
		t.Errorf("%+v, %v", grant, err)
	}
	for what, row := range map[string]struct {
		claims map[string]any
		code   fault.Code
		text   string
	}{
		"no claims": {nil, fault.NotFound, "the identity provider's people are known by their claims alone: give those of a token"},
		"another's": {map[string]any{"iss": "https://other.example", "sub": "ada"}, fault.NotFound, `issuer "https://other.example" is another identity provider's`},
		"no rule": {
			map[string]any{"sub": "ada", "kind": "guest", "groups": "admin"},
			fault.Refused,
			`no rule gives a role: rule admins wants groups to be a list with "admin"; rule staff wants kind to be the text "staff"`,
		},
		"no name":        {map[string]any{"kind": "staff"}, fault.Refused, "the token does not say who somebody is (sub)"},
		"for another":    {map[string]any{"sub": "ada", "kind": "staff", "aud": "other"}, fault.Refused, `the token is for "other"`},
		"a wild name":    {map[string]any{"sub": "*", "kind": "staff"}, fault.Refused, "name() cannot stand in a subject or a tag: wildcard within a token"},
		"expired before": {map[string]any{"sub": "ada", "kind": "staff", "exp": float64(1), "iat": float64(0.5)}, fault.Refused, "the token does not say when it was issued (iat)"},
	} {
		grant, err := explain(row.claims)
		if grant != nil || err == nil || err.Error() != row.text || fault.CodeOf(err) != row.code {
			t.Errorf("%s: %+v, %v (%s)", what, grant, err, fault.CodeOf(err))
		}
	}
	if asked := d.provider.Requests(idptest.Discovery); asked != 0 {
		t.Errorf("%d requests for explanations", asked)
	}
}

func TestABackendConforms(t *testing.T) {
	d := newDesk(t, nil)
	login := func(name, token string, claims map[string]any) backendtest.Login {
		l := backendtest.Login{Name: name, Request: callout.Request{User: "x", Password: callout.Secret(token)}}
		if claims != nil {
			l.Query = &callout.Query{Claims: claims}
		}
		return l
	}
	stranger := idptest.NewKey(t, "ES256", "first")
	ada, bob := d.token("ada", nil), d.token("bob", nil)
	cookie := login("bob, by cookie", bob, nil)
	cookie.Request = callout.Request{Token: callout.Secret(bob)}
	backendtest.Run(t, backendtest.Subject{
		Backend: d.Backend, Accounts: d.accounts, Log: d.log.String,
		Good: []backendtest.Login{
			login("ada", ada, map[string]any{"sub": "ada", "kind": "staff", "exp": float64(time.Now().Add(10 * time.Minute).Unix())}),
			login("bob", bob, nil), cookie,
		},
		Wrong: []backendtest.Login{
			login("another's key", stranger.Sign(t, nil, d.provider.Claims(audience, "ada", staff(nil))), nil),
			login("no signature", idptest.Unsigned(t, "none", d.provider.Claims(audience, "ada", staff(nil))), nil),
			login("for somebody else", d.provider.Token("other", "ada", staff(nil)), nil),
		},
		Refused: []backendtest.Login{
			login("no rule", d.provider.Token(audience, "eve", nil), nil),
			login("expired", d.token("ada", map[string]any{"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(-10 * time.Minute).Unix()}), nil),
		},
		Foreign: []backendtest.Login{
			login("a password", "secret", nil), login("another provider's", newDesk(t, nil).token("ada", nil), nil),
		},
		Hostile: func(t *testing.T, word string) *callout.Request {
			t.Helper()
			return &callout.Request{Token: callout.Secret(d.token(strings.ToValidUTF8(word, "\ufffd"), nil))}
		},
		Private: backendtest.Private{Publish: []string{"desk.ada.say", "desk.bob.say"}, Subscribe: []string{"desk.ada.x", "_INBOX_ada.x", "desk.bob.x"}},
	})
}

func TestLoginsAreDecidedAtOnceWhenNobodyWaits(t *testing.T) {
	d := newDesk(t, nil)
	good := d.token("ada", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.provider.Misbehave(idptest.Discovery, idptest.Hang(nil))
	_, err := d.Authorize(ctx, &callout.Request{Token: callout.Secret(good)})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}
