// Package idptest is an identity provider for tests: a real HTTP or HTTPS server with a
// discovery document and keys, which signs any token that a test can think of, and can be
// made to misbehave.
package idptest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The documents that a provider serves.
const (
	Discovery = "/.well-known/openid-configuration"
	Keys      = "/keys"
)

// Provider is an identity provider. It behaves until it is told otherwise.
type Provider struct {
	t      testing.TB
	server *httptest.Server

	mu       sync.Mutex
	keys     []*Key
	cache    string // Cache-Control of the keys
	faults   map[string]Fault
	requests map[string]int
}

// Fault answers a request instead of the provider. It returns false where the provider
// shall answer as ever.
type Fault func(w http.ResponseWriter, r *http.Request) bool

// Start starts a provider on loopback, without TLS, that publishes one key for ES256. It
// ends with the test.
func Start(t testing.TB) *Provider {
	t.Helper()
	p := unstarted(t)
	p.server.Start()
	return p
}

// StartTLS starts one that is reached by HTTPS; CAFile vouches for it.
func StartTLS(t testing.TB) *Provider {
	t.Helper()
	p := unstarted(t)
	p.server.StartTLS()
	return p
}

func unstarted(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{t: t, faults: make(map[string]Fault), requests: make(map[string]int)}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.Config.ErrorLog = quiet()
	p.Publish(NewKey(t, "ES256", "first"))
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

// Issuer is the provider's URL.
func (p *Provider) Issuer() string { return p.server.URL }

// CAFile writes the certificate of a provider with TLS into a file.
func (p *Provider) CAFile() string {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), "provider.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// Publish replaces the keys that the provider publishes, and signs with the first.
func (p *Provider) Publish(keys ...*Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

// Key is the one that the provider signs with.
func (p *Provider) Key() *Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[0]
}

// Cache sets the Cache-Control of the keys.
func (p *Provider) Cache(control string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache = control
}

// Misbehave has a fault answer requests for a document, Discovery or Keys; nil ends it.
func (p *Provider) Misbehave(path string, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[path] = fault
}

// Requests is how many there were for a document.
func (p *Provider) Requests(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path]
}

func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests[r.URL.Path]++
	fault, keys, cache := p.faults[r.URL.Path], p.keys, p.cache
	p.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	switch r.URL.Path {
	case Discovery:
		p.answer(w, p.Document())
	case Keys:
		if cache != "" {
			w.Header().Set("Cache-Control", cache)
		}
		p.answer(w, Set(keys...))
	default:
		http.NotFound(w, r)
	}
}

// Document is the provider's discovery document.
func (p *Provider) Document() map[string]any {
	issuer := p.Issuer()
	return map[string]any{
		"issuer": issuer, "jwks_uri": issuer + Keys, "authorization_endpoint": issuer + "/authorize",
		"token_endpoint": issuer + "/token", "response_types_supported": []string{"code"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
	}
}

func (p *Provider) answer(w http.ResponseWriter, document map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(document); err != nil {
		p.t.Error(err)
	}
}

// Claims are those of a good token for an audience, with others put in or, where they are
// Missing, left out.
func (p *Provider) Claims(audience, subject string, others map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{
		"iss": p.Issuer(), "aud": audience, "sub": subject, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	maps.Copy(claims, others)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == Missing })
	return claims
}

type missing struct{}

// Missing is the value of what is not there.
var Missing any = missing{}

// Token is a good token of the provider's, but for what others change in its claims.
func (p *Provider) Token(audience, subject string, others map[string]any) string {
	p.t.Helper()
	return p.Key().Sign(p.t, nil, p.Claims(audience, subject, others))
}

// encode writes JSON as a part of a token.
func encode(t testing.TB, value any) string {
	t.Helper()
	if text, is := value.(Raw); is {
		return Encode(string(text))
	}
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return Encode(string(data))
}

// Raw is JSON, or no JSON, as it is to be signed.
type Raw string

// Merge writes an object with another's members behind its own: a name in both is there
// twice.
func Merge(t testing.TB, one, other map[string]any) Raw {
	t.Helper()
	var texts []string
	for _, object := range []map[string]any{one, other} {
		data, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, strings.Trim(string(data), "{}"))
	}
	return Raw(fmt.Sprintf("{%s}", strings.Join(texts, ",")))
}
