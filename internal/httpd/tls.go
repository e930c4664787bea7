package httpd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/time/rate"

	"keyhall.dev/keyhall/internal/fault"
)

// TLS says how the origin shows browsers that it is who they asked for: by a certificate in files, or by one that
// it gets itself.
type TLS struct {
	Cert, Key string // PEM files; they are read again when they change
	ACME      *ACME
	// Plain is the address at which plain HTTP is answered with the way to https, and an ACME authority with what it
	// asks for; empty for none.
	Plain string
}

// ACME says which certificates to get, and where.
type ACME struct {
	Domains   []string
	Email     string // for what the authority has to say; may be empty
	Directory string // URL of the authority; Let's Encrypt if empty
	CA        string // PEM file with what vouches for the authority's own server; the system's if empty
	Cache     string // folder for certificates and their keys
}

// certificates are what a TLS listener needs.
type certificates struct {
	config *tls.Config
	name   string                          // that of the origin
	plain  func(http.Handler) http.Handler // answers an authority on the plain address, and leaves the rest
	fetch  func()                          // gets the certificates that are not there yet
}

func (t *TLS) open(life context.Context, log *slog.Logger) (*certificates, error) {
	if t.ACME != nil {
		return t.ACME.open(life, log)
	}
	files := &certFiles{cert: t.Cert, key: t.Key, log: log}
	first, err := files.load()
	if err != nil {
		return nil, err
	}
	return &certificates{
		config: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.get}, name: nameOf(first.Leaf),
		plain: func(next http.Handler) http.Handler { return next }, fetch: func() {},
	}, nil
}

// nameOf is the name by which members know an origin with this certificate.
func nameOf(leaf *x509.Certificate) string {
	for _, name := range leaf.DNSNames {
		if !strings.HasPrefix(name, "*.") {
			return name
		}
	}
	if len(leaf.IPAddresses) > 0 {
		return leaf.IPAddresses[0].String()
	}
	return "localhost"
}

// certFiles are a certificate and its key as files that somebody renews.
type certFiles struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	stamps [2]stamp
}

// stamp is what changes about a file when its content does.
type stamp struct {
	modified time.Time
	size     int64
}

func (f *certFiles) stat() (stamps [2]stamp) {
	for i, path := range []string{f.cert, f.key} {
		if info, err := os.Stat(path); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// get looks at the files at every handshake. New ones that are of no use, or not there as a pair yet, change nothing.
func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.stat(); now != f.stamps {
		if _, err := f.read(now); err != nil {
			f.log.Warn("the new TLS certificate cannot be used; the one before stays", "error", err)
		}
	}
	return f.loaded, nil
}

func (f *certFiles) load() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read(f.stat())
}

func (f *certFiles) read(stamps [2]stamp) (*tls.Certificate, error) {
	f.stamps = stamps
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err,
			"the certificate %s and the key %s cannot be used (%v); name a PEM file with the whole chain and one with its key", f.cert, f.key, innermost(err))
	}
	f.loaded = &pair
	return f.loaded, nil
}

func (a *ACME) open(life context.Context, log *slog.Logger) (*certificates, error) {
	for _, domain := range a.Domains {
		if net.ParseIP(domain) != nil || !strings.Contains(domain, ".") || strings.ContainsAny(domain, "/:*@ ") {
			return nil, fault.New(fault.Malformed, "%q is no name that a certificate can be got for; name the hub's own, like hall.example.org", domain)
		}
	}
	outward, err := a.client(life)
	if err != nil {
		return nil, err
	}
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(a.Cache), HostPolicy: autocert.HostWhitelist(a.Domains...),
		Client: &acme.Client{DirectoryURL: a.Directory, HTTPClient: outward, UserAgent: "keyhall"}, Email: a.Email,
	}
	config := manager.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	seldom := rate.Sometimes{First: 1, Interval: time.Minute}
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		got, err := manager.GetCertificate(hello)
		if err != nil && slices.Contains(a.Domains, strings.ToLower(hello.ServerName)) && life.Err() == nil {
			seldom.Do(func() { log.Warn("there is no certificate", "domain", hello.ServerName, "error", err) })
		}
		return got, err
	}
	return &certificates{
		config: config, name: a.Domains[0],
		plain: func(next http.Handler) http.Handler { return withoutPort(manager.HTTPHandler(next)) }, fetch: func() {
			for _, domain := range a.Domains {
				_, _ = config.GetCertificate(helloFor(domain)) // it is logged, and tried again when somebody comes
			}
		},
	}, nil
}

// withoutPort lets a handler see the name alone by which it is asked: an authority of one's own may ask at another port
// than 80.
func withoutPort(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = host
		}
		next.ServeHTTP(w, r)
	})
}

// helloFor is what a browser of today says to a server.
func helloFor(domain string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName: domain, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	}
}

// client asks the authority, for as long as the origin lives.
func (a *ACME) client(life context.Context) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	context.AfterFunc(life, transport.CloseIdleConnections)
	if a.CA != "" {
		text, err := os.ReadFile(a.CA)
		roots := x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(text) {
			return nil, fault.Wrap(fault.Malformed, errors.Join(err), "%s holds no certificate in PEM, with which the ACME authority could be checked", a.CA)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: lifelong{life, transport}, Timeout: time.Minute}, nil
}

// lifelong makes requests that end with a life.
type lifelong struct {
	life context.Context
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (l lifelong) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := l.life.Err(); err != nil {
		return nil, err
	}
	return l.next.RoundTrip(r)
}

// toHTTPS sends whoever comes by plain HTTP to the origin itself.
func toHTTPS(origin func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "this hub speaks https: "+origin(), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, origin()+r.URL.RequestURI(), http.StatusMovedPermanently)
	})
}
