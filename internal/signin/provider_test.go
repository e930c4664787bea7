package signin_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"keyhall.dev/keyhall/internal/callout/backend/oidc/idptest"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/signin"
)

// provider is the host's identity provider: whoever comes to it is let in as who it is told.
type provider struct {
	*idptest.Provider
	t *testing.T

	mu    sync.Mutex
	codes map[string]code
	// change changes the claims of the next tokens.
	change map[string]any
}

// code is what a login at the provider leads to.
type code struct{ subject, nonce, challenge, back string }

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{Provider: idptest.Start(t), t: t, codes: make(map[string]code)}
	p.Misbehave("/token", p.token)
	return p
}

// login is somebody who signs in at the provider, where a browser was sent: it returns where
// the browser is sent back to.
func (p *provider) login(at, subject string) string {
	p.t.Helper()
	to, err := url.Parse(at)
	must(p.t, err)
	query := to.Query()
	if query.Get("client_id") != "hall" || query.Get("response_type") != "code" || query.Get("code_challenge_method") != "S256" || query.Get("scope") != "openid" {
		p.t.Errorf("it is asked %v", query)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	name := "code of " + subject + " " + query.Get("state")
	p.codes[name] = code{subject, query.Get("nonce"), query.Get("code_challenge"), query.Get("redirect_uri")}
	return query.Get("redirect_uri") + "?" + url.Values{"code": {name}, "state": {query.Get("state")}}.Encode()
}

// token is the provider's token endpoint: a code is for who began, and once.
func (p *provider) token(w http.ResponseWriter, r *http.Request) bool {
	p.mu.Lock()
	name := r.PostFormValue("code")
	found, known := p.codes[name]
	delete(p.codes, name)
	change := p.change
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	user, secret, _ := r.BasicAuth()
	if !known || b64(sum[:]) != found.challenge || r.PostFormValue("redirect_uri") != found.back || user != "hall" || secret != "s3cret" {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return true
	}
	claims := map[string]any{"nonce": found.nonce}
	for name, value := range change {
		claims[name] = value
	}
	w.Header().Set("Content-Type", "application/json")
	must(p.t, json.NewEncoder(w).Encode(map[string]any{
		"access_token": "x", "token_type": "Bearer", "id_token": p.Token("hall", found.subject, claims),
	}))
	return true
}

// with has the next tokens say something else.
func (p *provider) with(change map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = change
}

type whoAnswer struct {
	Account string `json:"account,omitempty"`
	Handle  string `json:"handle,omitempty"`
}

func leaves(t *testing.T, b *hubtest.Browser, to string) string {
	t.Helper()
	answer := b.Get("/api/oidc/start?to=" + url.QueryEscape(to))
	if answer.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	return answer.Header.Get("Location")
}

// returns follows the way back, which leads to a page.
func returns(t *testing.T, b *hubtest.Browser, at, to string) {
	t.Helper()
	answer := b.Get(at)
	if answer.Status != http.StatusSeeOther || answer.Header.Get("Location") != to {
		t.Errorf("it is sent to %q (%d), want %q", answer.Header.Get("Location"), answer.Status, to)
	}
}

func hallWithProvider(t *testing.T) (*hubtest.Hall, *provider) {
	t.Helper()
	p := newProvider(t)
	return hubtest.StartWith(t, func(o *hub.Options) {
		o.Provider = &signin.Provider{Issuer: p.Issuer(), Client: "hall", Secret: "s3cret", Name: "the club"}
	}), p
}

func TestTheHostsProviderSaysWhoSomebodyIs(t *testing.T) {
	hall, p := hallWithProvider(t)
	alice := hall.Join("alice")
	b := alice.Browser("firefox")
	if config := b.Get("/api/config"); string(config.Body) != `{"oidc":"the club"}`+"\n" {
		t.Errorf("%s", config.Body)
	}
	stranger := hall.Browser()
	returns(t, stranger, p.login(leaves(t, stranger, "/signin"), "sub-1"), "/signin")
	if who := hubtest.Read[whoAnswer](t, stranger.Post("/api/oidc/who", struct{}{})); *who != (whoAnswer{}) {
		t.Errorf("nobody's login is %+v", who)
	}
	want(t, "once more", stranger.Post("/api/oidc/who", struct{}{}), 410, fault.Expired)

	returns(t, b, p.login(leaves(t, b, "/settings?x=1#y"), "sub-1"), "/settings?x=1#y")
	want(t, "binding", b.Post("/api/oidc/bind", struct{}{}), 200, "")
	if got := string(b.Get("/api/oidc/bound").Body); got != `{"bound":true}`+"\n" {
		t.Errorf("%s", got)
	}
	returns(t, stranger, p.login(leaves(t, stranger, ""), "sub-1"), "/")
	if who := hubtest.Read[whoAnswer](t, stranger.Post("/api/oidc/who", struct{}{})); who.Handle != "alice" || who.Account != alice.Profile.Settings.Account {
		t.Errorf("it is %+v's", who)
	}
	want(t, "it is no session", stranger.Get("/api/session"), 401, fault.Refused)

	bob := hall.Join("bob").Browser("firefox")
	returns(t, bob, p.login(leaves(t, bob, "/"), "sub-1"), "/")
	want(t, "alice's login, bound by bob", bob.Post("/api/oidc/bind", struct{}{}), 409, fault.Taken)
	returns(t, b, p.login(leaves(t, b, "/"), "sub-2"), "/")
	want(t, "a second one", b.Post("/api/oidc/bind", struct{}{}), 409, fault.Conflict)
	want(t, "it is unbound", b.Delete("/api/oidc/bound", struct{}{}), 200, "")
	if got := string(b.Get("/api/oidc/bound").Body); got != `{"bound":false}`+"\n" {
		t.Errorf("%s", got)
	}
	returns(t, bob, p.login(leaves(t, bob, "/"), "sub-1"), "/")
	want(t, "bob binds it now", bob.Post("/api/oidc/bind", struct{}{}), 200, "")
}

func TestALoginAtTheProviderIsForTheBrowserThatBeganItAndForNothingElse(t *testing.T) {
	hall, p := hallWithProvider(t)
	hall.Join("alice")
	victim, mallory := hall.Browser(), hall.Browser()
	nobody := func(what string, b *hubtest.Browser) {
		t.Helper()
		want(t, what, b.Post("/api/oidc/who", struct{}{}), 410, fault.Expired)
	}
	// Mallory signs in there, and has the victim's browser follow the way back.
	back := p.login(leaves(t, mallory, "/mine"), "mallory")
	returns(t, victim, back, "/")
	nobody("another browser's login", victim)
	// The victim has begun one too: the state is another.
	leaves(t, victim, "/page")
	returns(t, victim, back, "/page")
	nobody("a login with another state", victim)

	returns(t, victim, strings.Replace(p.login(leaves(t, victim, "/page"), "sub"), "state=", "state=x", 1), "/page")
	nobody("a changed state", victim)
	at := p.login(leaves(t, victim, "/page"), "sub")
	returns(t, victim, at, "/page")
	returns(t, victim, at, "/")
	if who := hubtest.Read[whoAnswer](t, victim.Post("/api/oidc/who", struct{}{})); *who != (whoAnswer{}) {
		t.Errorf("the positive control: %+v", who)
	}
	for name, change := range map[string]map[string]any{
		"another nonce":    {"nonce": "another"},
		"no nonce":         {"nonce": idptest.Missing},
		"another audience": {"aud": "another"},
		"another issuer":   {"iss": "https://evil.example"},
		"an expired token": {"exp": 1},
	} {
		p.with(change)
		returns(t, victim, p.login(leaves(t, victim, "/page"), "sub"), "/page")
		nobody(name, victim)
	}
	p.with(nil)
	returns(t, victim, strings.SplitN(p.login(leaves(t, victim, "/page"), "sub"), "?", 2)[0]+"?error=access_denied", "/page")
	nobody("a no", victim)
	for _, to := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "evil", "/a b", "/\t/evil.example", "javascript:x"} {
		want(t, "to "+to, victim.Get("/api/oidc/start?to="+url.QueryEscape(to)), 400, fault.Malformed)
	}
	victim.SetCookie("keyhall_provider", "invented")
	nobody("an invented cookie", victim)
	want(t, "binding without a session", victim.Post("/api/oidc/bind", struct{}{}), 401, fault.Refused)

	away := hubtest.StartWith(t, func(o *hub.Options) {
		o.Provider = &signin.Provider{Issuer: "http://127.0.0.1:1", Client: "hall", Name: "the club"}
	}).Browser()
	for range 2 {
		want(t, "a provider that does not answer", away.Get("/api/oidc/start?to=/"), 503, fault.Unavailable)
	}
	plain := hubtest.Start(t).Browser()
	want(t, "a hub without a provider", plain.Get("/api/oidc/start?to=/"), 404, fault.NotFound)
	want(t, "a hub without a provider", plain.Post("/api/oidc/who", struct{}{}), 404, fault.NotFound)
}
