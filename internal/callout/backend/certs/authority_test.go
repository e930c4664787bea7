package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/callout"
)

// authority signs certificates of clients.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // ca.pem
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.key, a.cert = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.write(toPEM(a.cert.Raw))
	return a
}

func (a *authority) write(content string) {
	a.t.Helper()
	if err := os.WriteFile(a.file, []byte(content), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func toPEM(raw []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

// sign signs a certificate, which holds now unless it says otherwise; by itself, as long as
// there is no authority.
func (a *authority) sign(template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.t.Fatal(err)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, parentKey := template, key
	if a.cert != nil {
		parent, parentKey = a.cert, a.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

// client is a template of a client's certificate.
func client(name string, change ...func(*x509.Certificate)) *x509.Certificate {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, one := range change {
		one(template)
	}
	return template
}

func emails(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.EmailAddresses = list }
}

func hosts(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = list }
}

func uris(t *testing.T, list ...string) func(*x509.Certificate) {
	t.Helper()
	return func(c *x509.Certificate) {
		for _, text := range list {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
}

// login is what a server would say of a client with a certificate.
func (a *authority) login(template *x509.Certificate) callout.Request {
	a.t.Helper()
	_, cert := a.sign(template)
	return verified(cert, a.cert)
}

func verified(chain ...*x509.Certificate) callout.Request {
	var texts []string
	for _, cert := range chain {
		texts = append(texts, toPEM(cert.Raw))
	}
	return callout.Request{TLS: callout.TLS{Version: "1.3", Chains: [][]string{texts}}}
}

// issue is a certificate with its key, for a real connection.
func (a *authority) issue(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, cert := a.sign(template)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}
