package httpd_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/natstest"
)

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, next: 1}
	text, _ := a.issue("authority", true)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	return a
}

// issue makes a certificate for a name; the first is the authority's own.
func (a *authority) issue(name string, own bool) (cert, key []byte) {
	a.t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"*." + name, name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: own, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := a.cert, a.key
	if own {
		parent, signer, a.key = template, pair, pair
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &pair.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// pem is the authority's own certificate.
func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// trusting is a transport that trusts the authority alone, and finds every name at an address.
func (a *authority) trusting(at string) *http.Transport {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return transportTo(at, pool)
}

func transportTo(at string, pool *x509.CertPool) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at)
		},
	}
}

// log is what a server logs, and where.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// secured is an origin with a certificate in files, and where it can be reached.
func secured(t *testing.T, a *authority, name string) (s *httpd.Server, files *httpd.TLS, at string, logged *log) {
	t.Helper()
	dir := t.TempDir()
	files = &httpd.TLS{Cert: filepath.Join(dir, "chain.pem"), Key: filepath.Join(dir, "key.pem"), Plain: "127.0.0.1:0"}
	put(t, a, files, name)
	o, logged := options(), new(log)
	o.TLS, o.App, o.Logger = files, built, slog.New(slog.NewTextHandler(logged, nil))
	o.WebSocket = startNATS(t).WebsocketURL()
	s = start(t, o)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	return s, files, "127.0.0.1:" + port, logged
}

func put(t *testing.T, a *authority, files *httpd.TLS, name string) {
	t.Helper()
	cert, key := a.issue(name, false)
	for path, text := range map[string][]byte{files.Key: key, files.Cert: cert} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// serial is the number of the certificate that a server shows.
func serial(t *testing.T, at string) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is looked at, and nothing is said to it
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestAnOriginWithACertificateSpeaksHTTPS(t *testing.T) {
	a := newAuthority(t)
	s, _, at, _ := secured(t, a, "hall.example.org")
	if !strings.HasPrefix(s.URL(), "https://hall.example.org:") {
		t.Errorf("it is %s", s.URL())
	}
	response := roundTrip(t, a.trusting(at), s.URL()+"/rooms")
	if response.StatusCode != http.StatusOK || response.Header.Get("Strict-Transport-Security") != "max-age=31536000" {
		t.Errorf("%s %v", response.Status, response.Header)
	}
	if _, err := (&http.Client{Transport: newAuthority(t).trusting(at)}).Get(s.URL()); err == nil {
		t.Error("somebody who trusts another authority is content")
	}
	// Whoever comes by plain HTTP is shown the way, and told nothing else.
	response = roundTrip(t, http.DefaultTransport, "http://"+s.Plain()+"/rooms?x=1")
	if response.StatusCode != http.StatusMovedPermanently || response.Header.Get("Location") != s.URL()+"/rooms?x=1" {
		t.Errorf("%s %v", response.Status, response.Header)
	}
}

func roundTrip(t *testing.T, transport http.RoundTripper, url string, headers ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.Copy(io.Discard, response.Body)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response
}

// TestTheWebSocketOfAnHTTPSOriginIsForItsOwnPages: the listener behind it knows plain HTTP only, and the page came by
// https.
func TestTheWebSocketOfAnHTTPSOriginIsForItsOwnPages(t *testing.T) {
	a := newAuthority(t)
	s, _, at, _ := secured(t, a, "hall.example.org")
	for origin, want := range map[string]int{
		s.URL(): http.StatusSwitchingProtocols, "http" + strings.TrimPrefix(s.URL(), "https"): http.StatusForbidden,
		"https://hall.example.org": http.StatusForbidden, "https://elsewhere.example": http.StatusForbidden, "null": http.StatusForbidden,
	} {
		response := roundTrip(t, a.trusting(at), s.URL()+httpd.SocketPath, "Connection", "Upgrade", "Upgrade", "websocket",
			"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", "Origin", origin)
		if response.StatusCode != want {
			t.Errorf("origin %q: %s, want %d", origin, response.Status, want)
		}
	}
}

// TestProgramsReachNATSThroughAnHTTPSOrigin: by the WebSocket, with the roots that they trust.
func TestProgramsReachNATSThroughAnHTTPSOrigin(t *testing.T) {
	a := newAuthority(t)
	s, _, at, _ := secured(t, a, "localhost")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, a.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "wss" + strings.TrimPrefix(s.URL(), "https")
	nc, err := nats.Connect(url, nats.ProxyPath(httpd.SocketPath), nats.RootCAs(ca), nats.NoReconnect())
	if err != nil {
		t.Fatalf("%s, at %s: %v", url, at, err)
	}
	defer nc.Close()
	if err := nc.Flush(); err != nil {
		t.Error(err)
	}
	if nc, err := nats.Connect(url, nats.ProxyPath(httpd.SocketPath), nats.NoReconnect()); err == nil {
		nc.Close()
		t.Error("whoever does not trust the certificate is connected")
	}
}

// TestBehindAProxyWithACertificatePagesAreTheOrigins: the hub itself speaks plain HTTP there.
func TestBehindAProxyWithACertificatePagesAreTheOrigins(t *testing.T) {
	proxies, err := httpd.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		proxies httpd.Proxies
		origin  string
		want    int
	}{
		"trusted, its page":      {proxies, "https://hall.example.org", http.StatusSwitchingProtocols},
		"trusted, a plain page":  {proxies, "http://hall.example.org", http.StatusForbidden},
		"trusted, another page":  {proxies, "https://evil.example.org", http.StatusForbidden},
		"unknown, its page":      {nil, "https://hall.example.org", http.StatusSwitchingProtocols},
		"unknown, another page":  {nil, "https://evil.example.org", http.StatusForbidden},
		"unknown, no page's":     {nil, "null", http.StatusForbidden},
		"unknown, another's app": {nil, "chrome-extension://hall.example.org", http.StatusForbidden},
	} {
		o := options()
		o.WebSocket, o.Proxies = startNATS(t).WebsocketURL(), row.proxies
		s := start(t, o)
		response := roundTrip(t, transportTo(strings.Replace(strings.TrimPrefix(s.URL(), "http://"), "localhost", "127.0.0.1", 1), nil),
			"http://hall.example.org"+httpd.SocketPath, "Connection", "Upgrade", "Upgrade", "websocket", "X-Forwarded-Proto", "https",
			"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", "Origin", row.origin)
		if response.StatusCode != row.want {
			t.Errorf("%s: %s, want %d", name, response.Status, row.want)
		}
		secure := response.Header.Get("Strict-Transport-Security") != ""
		if response.StatusCode != http.StatusSwitchingProtocols && secure != (row.proxies != nil) {
			t.Errorf("%s: secure: %v", name, secure)
		}
	}
}

func TestANewCertificateIsTakenWithoutARestart(t *testing.T) {
	a := newAuthority(t)
	_, files, at, logged := secured(t, a, "hall.example.org")
	first := serial(t, at)
	put(t, a, files, "hall.example.org")
	natstest.Eventually(t, "it shows the new one", func() bool { return serial(t, at) == a.next })
	if a.next == first {
		t.Fatal("there was no new one")
	}

	// One that is of no use changes nothing, and is told once.
	good := a.next
	if err := os.WriteFile(files.Cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := serial(t, at); got != good {
			t.Errorf("it shows %d, want %d", got, good)
		}
	}
	if count := strings.Count(logged.String(), "level=WARN"); count != 1 || strings.Contains(logged.String(), "PRIVATE") {
		t.Errorf("it says %d times: %s", count, logged)
	}
	put(t, a, files, "hall.example.org")
	natstest.Eventually(t, "it shows the next one", func() bool { return serial(t, at) == a.next })
}

func TestACertificateThatIsNoneStopsTheStart(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	files := &httpd.TLS{Cert: filepath.Join(dir, "chain.pem"), Key: filepath.Join(dir, "key.pem")}
	for what, spoil := range map[string]func(){
		"nothing there": func() {},
		"another's key": func() {
			put(t, a, files, "hall.example.org")
			_, key := a.issue("other.example.org", false)
			if err := os.WriteFile(files.Key, key, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		spoil()
		o := options()
		o.TLS = files
		if _, err := httpd.Start(o); !fault.Is(err, fault.Malformed) || !strings.Contains(err.Error(), files.Key) {
			t.Errorf("%s: %v", what, err)
		}
		_ = os.Remove(files.Cert)
	}
	for _, domain := range []string{"localhost", "192.0.2.1", "https://hall.example.org", "*.example.org", "hall.example.org:443", ""} {
		o := options()
		o.TLS = &httpd.TLS{ACME: &httpd.ACME{Domains: []string{domain}, Cache: dir}}
		if _, err := httpd.Start(o); !fault.Is(err, fault.Malformed) {
			t.Errorf("%q: %v", domain, err)
		}
	}
}
