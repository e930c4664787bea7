package browser_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/chromiumtest"
	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/hub"
)

// TestAHubElsewhereIsForBrowsersByHTTPS: with a certificate a newcomer is in as on one's own machine; without one the page
// says what is missing, and to whom.
func TestAHubElsewhereIsForBrowsersByHTTPS(t *testing.T) {
	h, _ := begin(t)
	files, known := certificate(t, "hall.example.org")
	secured, err := hub.Start(t.Context(), hub.Options{
		DataDir: filepath.Join(t.TempDir(), "hub"), HTTP: "127.0.0.1:0", NATS: "127.0.0.1:-1", TLS: files,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := secured.Close(); err != nil {
			t.Error(err)
		}
	})
	// A browser that finds the names of others on this machine, and trusts this one certificate.
	browser, err := chromiumtest.Launch("host-resolver-rules=MAP *.example.org 127.0.0.1", "ignore-certificate-errors-spki-list="+known)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(browser.Close)

	page := browser.Person(t, secured.HTTP())
	code := join(page, client.InviteURL(secured.HTTP(), secured.Invite()), "faraway")
	writeDown(page, code)
	page.Reload()
	page.Find("link", "Settings")

	_, port, err := net.SplitHostPort(strings.TrimPrefix(h.HTTP(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	plain := browser.Person(t, "http://plain.example.org:"+port)
	plain.Open("/")
	plain.See("plain http", "https")
	plain.Lacks("button", "Sign in")
	plain.Forgive("Cross-Origin-Opener-Policy") // which the browser ignores there, and says so
}

// certificate is one for a name, and the hash of its key.
func certificate(t *testing.T, name string) (files *httpd.TLS, known string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files = &httpd.TLS{Cert: filepath.Join(dir, "chain.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(public)
	return files, base64.StdEncoding.EncodeToString(sum[:])
}
