package browser_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"keyhall.dev/keyhall/internal/callout/backend/oidc/idptest"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/signin"
)

// club is a host's identity provider, which lets one browser in, always as the same person.
type club struct {
	*idptest.Provider
	t *testing.T

	mu   sync.Mutex
	sent url.Values // what the browser was sent with last
}

func newClub(t *testing.T) *club {
	t.Helper()
	c := &club{Provider: idptest.Start(t), t: t}
	c.Misbehave("/authorize", c.authorize)
	c.Misbehave("/token", c.token)
	return c
}

// authorize sends the browser back at once, with a code.
func (c *club) authorize(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = r.URL.Query()
	back := url.Values{"code": {"a code"}, "state": {c.sent.Get("state")}}
	http.Redirect(w, r, c.sent.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	return true
}

func (c *club) token(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != c.sent.Get("code_challenge") {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return true
	}
	w.Header().Set("Content-Type", "application/json")
	said := map[string]any{"nonce": c.sent.Get("nonce")}
	if err := json.NewEncoder(w).Encode(map[string]any{
		"access_token": "x", "token_type": "Bearer", "id_token": c.Token("hall", "member 7", said),
	}); err != nil {
		c.t.Error(err)
	}
	return true
}

// TestTheHostsProviderSaysWhoSomebodyIsAndBringsNoKeys: it is bound by somebody who is in, and then leads to whoever that was,
// whose keys come another way.
func TestTheHostsProviderSaysWhoSomebodyIsAndBringsNoKeys(t *testing.T) {
	_, browser := begin(t)
	provider := newClub(t)
	hosts, err := hub.Start(t.Context(), hub.Options{
		DataDir: filepath.Join(t.TempDir(), "hub"), HTTP: "localhost:0", NATS: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler),
		Provider: &signin.Provider{Issuer: provider.Issuer(), Client: "hall", Secret: "s3cret", Name: "The club"},
	})
	if err != nil {
		t.Fatal(err)
	}
	page := browser.Person(t, hosts.HTTP())
	t.Cleanup(func() {
		page.Forgive("a request to somebody else: " + provider.Issuer()) // the only one that the app makes, and only when it is told to
		_ = hosts.Close()
	})
	page.Open("/")
	page.Click("button", "Sign in with The club")
	page.See("The club let you through, but that login belongs to nobody")

	writeDown(page, join(page, "/join#"+hosts.Invite(), "clubber"))
	page.Open("/settings/signin")
	page.Click("button", "Bind my login")
	page.See("Your login there signs you in here")
	page.Click("button", "Sign out")
	page.ClickIn("dialog", "Sign out of this browser?", "button", "Sign out")
	page.Click("button", "Sign in with The club")
	page.See("The club says that you are clubber", "Your keys are not in this browser yet")
	page.Shot(pictures + "/provider.png")
}
