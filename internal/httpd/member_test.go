package httpd_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/httpd"
)

// startMember serves the app before a hub.
func startMember(t *testing.T, hub string) *httpd.Server {
	t.Helper()
	s, err := httpd.StartMember(httpd.MemberOptions{Address: "127.0.0.1:0", Hub: hub, App: built, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// seen is what a hub saw of a request.
func seen(t *testing.T) (hub string, last func() *http.Request) {
	t.Helper()
	requests := make(chan *http.Request, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		h := w.Header()
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Content-Security-Policy": "default-src *", "Service-Worker-Allowed": "/", "Clear-Site-Data": `"*"`,
			"Access-Control-Allow-Origin": "*", "Link": "</evil.js>; rel=preload", "Refresh": "0; url=/evil", "Retry-After": "7", "Cache-Control": "no-store",
		} {
			h.Set(name, value)
		}
		switch r.URL.Path {
		case "/api/page":
			h.Set("Content-Type", "text/html")
		case "/api/script":
			h.Set("Content-Type", "text/javascript")
		case "/api/elsewhere":
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "keyhall_session", Value: "v", Path: "/", Domain: "example.org", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
		_, _ = io.WriteString(w, `{"answer":true}`)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() *http.Request { return <-requests }
}

func TestAMembersProgramServesItsOwnApp(t *testing.T) {
	hub := startApp(t) // whose app would be another's
	s, err := httpd.StartMember(httpd.MemberOptions{
		Address: "localhost:0", Hub: hub.URL(), Logger: slog.New(slog.DiscardHandler),
		App: fstest.MapFS{"index.html": {Data: []byte("mine")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for path, want := range map[string]string{"/": "mine", "/rooms/x": "mine", "/worker.js": "404 page not found\n", "/download/": "404 page not found\n"} {
		response, body := ask(t, http.MethodGet, s.URL()+path)
		if body != want || !strings.Contains(response.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %s %q", path, response.Status, body)
		}
	}
}

func TestAMembersProgramHandsRequestsOnAsTheHubsOwn(t *testing.T) {
	hub, last := seen(t)
	s := startMember(t, hub)
	port := s.URL()[strings.LastIndex(s.URL(), ":")+1:]
	response, body := ask(t, http.MethodPost, s.URL()+"/api/session?a=b", "Origin", s.URL(), "Sec-Fetch-Site", "same-origin",
		"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Host", "evil", "Referer", s.URL()+"/rooms",
		"Cookie", "other=secret; web"+port+"-keyhall_session=mine; web1-keyhall_session=another")
	r := last()
	if response.StatusCode != http.StatusOK || body != `{"answer":true}` || r.Method != http.MethodPost || r.URL.RequestURI() != "/api/session?a=b" {
		t.Errorf("%s %q, asked %s %s", response.Status, body, r.Method, r.URL)
	}
	if got := r.Header.Get("Origin"); got != hub || r.Host != strings.TrimPrefix(hub, "http://") || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		t.Errorf("the hub saw host %s, origin %s", r.Host, got)
	}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "Referer", "Forwarded"} {
		if r.Header.Get(name) != "" {
			t.Errorf("the hub saw %s: %s", name, r.Header.Get(name))
		}
	}
	if got := r.Header.Get("Cookie"); got != "keyhall_session=mine" {
		t.Errorf("the hub saw the cookies %q", got)
	}
	if got := response.Header.Get("Set-Cookie"); got != "web"+port+"-keyhall_session=v; Path=/; HttpOnly; SameSite=Strict" {
		t.Errorf("the browser gets %q", got)
	}
}

// TestAHubsAnswersAreDataInAMembersBrowser: a hub that means harm sends pages, scripts, headers and redirects.
func TestAHubsAnswersAreDataInAMembersBrowser(t *testing.T) {
	hub, _ := seen(t)
	s := startMember(t, hub)
	response, _ := ask(t, http.MethodGet, s.URL()+"/api/data")
	if response.StatusCode != http.StatusOK || response.Header.Get("Retry-After") != "7" || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", response.Status, response.Header)
	}
	for _, name := range []string{"Service-Worker-Allowed", "Clear-Site-Data", "Access-Control-Allow-Origin", "Link", "Refresh"} {
		if got := response.Header.Get(name); got != "" {
			t.Errorf("it comes with %s: %s", name, got)
		}
	}
	if got := response.Header.Values("Content-Security-Policy"); len(got) != 1 || strings.Contains(got[0], "*") {
		t.Errorf("policy %q", got)
	}
	for _, path := range []string{"/api/page", "/api/script", "/api/elsewhere", "/api/oidc/start"} {
		if response, body := ask(t, http.MethodGet, s.URL()+path); response.StatusCode < 400 || strings.Contains(body, `"answer"`) {
			t.Errorf("%s: %s %q", path, response.Status, body)
		}
	}
}

// TestNamesThatLeadHereAreNotTheMembersProgram: a page elsewhere whose name was made to lead to this machine (DNS
// rebinding), and pages of other programs on it.
func TestNamesThatLeadHereAreNotTheMembersProgram(t *testing.T) {
	hub, _ := seen(t)
	s := startMember(t, hub)
	port := s.URL()[strings.LastIndex(s.URL(), ":")+1:]
	for name, row := range map[string]struct {
		host, origin string
		want         int
	}{
		"by its name":              {"localhost:" + port, "", http.StatusOK},
		"by its address":           {"127.0.0.1:" + port, "http://127.0.0.1:" + port, http.StatusOK},
		"by another's name":        {"evil.example:" + port, "", http.StatusMisdirectedRequest},
		"without a port":           {"localhost", "", http.StatusMisdirectedRequest},
		"at another port":          {"localhost:1", "", http.StatusMisdirectedRequest},
		"a name that ends alike":   {"evil-localhost:" + port, "", http.StatusMisdirectedRequest},
		"from another's page":      {"localhost:" + port, "http://evil.example", http.StatusMisdirectedRequest},
		"from another port's page": {"localhost:" + port, "http://localhost:1", http.StatusMisdirectedRequest},
		"from nobody's page":       {"localhost:" + port, "null", http.StatusMisdirectedRequest},
	} {
		for _, path := range []string{"/", "/api/data"} {
			headers := []string{"Host", row.host}
			if row.origin != "" {
				headers = append(headers, "Origin", row.origin)
			}
			if response, _ := ask(t, http.MethodGet, s.URL()+path, headers...); response.StatusCode != row.want {
				t.Errorf("%s, %s: %s, want %d", name, path, response.Status, row.want)
			}
		}
	}
}

func TestAMembersProgramCarriesTheWebSocket(t *testing.T) {
	o := options()
	o.WebSocket = startNATS(t).WebsocketURL()
	s := startMember(t, start(t, o).URL())
	nc, err := through(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Error(err)
	}
	// A browser says where its page is from, which the hub holds against its own name.
	response := roundTrip(t, http.DefaultTransport, s.URL()+httpd.SocketPath, "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", "Origin", s.URL())
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("%s", response.Status)
	}
}

func TestAMembersProgramIsForThisMachineAlone(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "hall.example.org:8421", "8421"} {
		_, err := httpd.StartMember(httpd.MemberOptions{Address: address, Hub: "http://localhost:1", App: built})
		if !fault.Is(err, fault.Malformed) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, hub := range []string{"", "ftp://x", "localhost"} {
		if _, err := httpd.StartMember(httpd.MemberOptions{Address: "localhost:0", Hub: hub, App: built}); !fault.Is(err, fault.Malformed) {
			t.Errorf("%q: %v", hub, err)
		}
	}
	if _, err := httpd.StartMember(httpd.MemberOptions{Address: "localhost:0", Hub: "http://localhost:1", App: fstest.MapFS{}}); !fault.Is(err, fault.NotFound) {
		t.Errorf("without an app: %v", err)
	}
	// A hub that is away is said to be.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	s := startMember(t, "http://"+address)
	if response, body := ask(t, http.MethodGet, s.URL()+"/api/session"); response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "does not answer") {
		t.Errorf("%s %q", response.Status, body)
	}
}
