package signin

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"keyhall.dev/keyhall/internal/browsers"
)

// Where a browser is sent back to is a page of this origin, whatever was asked for.
func FuzzSafePath(f *testing.F) {
	for _, seed := range []string{
		"", "/", "/rooms?x=1#y", "//evil.example", `/\\evil.example`, "https://evil.example", "/a b", "/%2f/evil", "/..//evil", "/\t/evil.example",
	} {
		f.Add(seed)
	}
	base, err := url.Parse("https://hall.example/api/oidc/callback")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		to, err := safePath(text)
		if err != nil {
			return
		}
		at, err := base.Parse(to)
		if err != nil || at.Scheme != "https" || at.Host != "hall.example" || at.User != nil || strings.ContainsAny(to, "\\\r\n\t ") {
			t.Fatalf("%q leads to %v, %v", text, at, err)
		}
	})
}

func FuzzPasskeyName(f *testing.F) {
	for _, seed := range []string{"", "My stick", " a ", "a\nb", strings.Repeat("x", 65), "\u202eevil", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := passkeyName(text)
		if err == nil && (name == "" || !utf8.ValidString(name) || strings.ContainsAny(name, "\n\r\x1b\u202e") || utf8.RuneCountInString(name) > 64) {
			t.Fatalf("%q is called %q", text, name)
		}
	})
}

// nobodyThere is a front behind which nothing is.
type nobodyThere struct{}

func (nobodyThere) From(*http.Request) netip.Addr   { return netip.AddrFrom4([4]byte{192, 0, 2, 1}) }
func (nobodyThere) IsSecure(*http.Request) bool     { return false }
func (nobodyThere) SameOrigin(r *http.Request) bool { return r.Header.Get("Origin") == "" }

// No request that says something wrong reaches what would do it, and none is answered by
// anything but what the page says. (The service has no hub behind it: what got that far would panic.)
func FuzzRequest(f *testing.F) {
	routes := []string{
		"/api/login/begin", "/api/login/finish", "/api/passkey/begin", "/api/passkey/finish", "/api/oidc/who", "/api/session/challenge",
		"/api/session", "/api/session/revoked", "/api/link/ask", "/api/link/answer",
	}
	for i := range routes {
		for _, body := range []string{"", "{}", "null", "[]", `{"name":1}`, `{"more":1}`, `{}{}`, `{"credential":{}}`, `{"token":"x","challenge":"","signature":""}`, `{"link":"x","ask":"eA=="}`} {
			f.Add(i, "application/json", "same-origin", body)
		}
		f.Add(i, "text/plain", "same-origin", "{}")
		f.Add(i, "application/json", "cross-site", "{}")
	}
	f.Fuzz(func(t *testing.T, route int, kind, site, body string) {
		s := New(Service{Browsers: &browsers.Sessions{Cookie: "c"}, Front: nobodyThere{}, Logger: slog.New(slog.DiscardHandler)})
		path := routes[(route%len(routes)+len(routes))%len(routes)]
		if strings.HasPrefix(path, "/api/login/") && (strings.Contains(body, "name") || strings.Contains(body, "NAME") || len(body) > 10) {
			return // it would look for somebody
		}
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		request.Header["Content-Type"], request.Header["Sec-Fetch-Site"] = []string{kind}, []string{site}
		answer := httptest.NewRecorder()
		defer func() {
			if path == "/api/login/begin" || path == "/api/login/finish" {
				_ = recover() // it has looked for nobody, who is not there
			}
		}()
		s.Handler().ServeHTTP(answer, request)
		if site != "same-origin" && answer.Code != http.StatusForbidden {
			t.Fatalf("from %q: %d", site, answer.Code)
		}
		if answer.Code == http.StatusInternalServerError || answer.Header().Get("Set-Cookie") != "" && path != "/api/oidc/who" {
			t.Fatalf("%s %q: %d %s", path, body, answer.Code, answer.Body)
		}
	})
}

// A sealed cookie is read once, by who made it, for its purpose and in its time.
func FuzzOpenNote(f *testing.F) {
	now := time.Now()
	tickets := newTickets(func() time.Time { return now })
	good := sealNote(tickets, "a", time.Minute, came{"who"})
	for _, seed := range []string{good, good[1:], "", "AAAA", sealNote(tickets, "b", time.Minute, came{"who"}), sealNote(tickets, "a", -time.Minute, came{"who"})} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := openNote[came](tickets, "a", text)
		if err == nil && (text != good || got.Who != "who") {
			t.Fatalf("%q says %+v", text, got)
		}
		if _, err := openNote[came](tickets, "a", text); err == nil {
			t.Fatalf("%q is read twice", text)
		}
	})
}
