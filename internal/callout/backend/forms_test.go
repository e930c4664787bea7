// Package backend_test holds the backends of the callout beside one another.
package backend_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/callout/backend/certs"
	"keyhall.dev/keyhall/internal/callout/backend/invites"
	"keyhall.dev/keyhall/internal/callout/backend/members"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/backend/returners"
	"keyhall.dev/keyhall/internal/callout/backend/users"
	"keyhall.dev/keyhall/internal/callout/policy"
)

// TestEveryLoginIsOneBackends: in whatever order backends stand, a login is decided by the
// same one. The forms of logins do not overlap.
func TestEveryLoginIsOneBackends(t *testing.T) {
	const issuer = "https://id.example.org"
	part := base64.RawURLEncoding.EncodeToString
	token := part([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + part([]byte(`{"iss":"`+issuer+`","sub":"ada"}`)) + "." + part([]byte("signature"))
	chains := callout.TLS{Version: "1.3", Chains: [][]string{{"certificate"}}}
	backends := all(t, issuer)
	for what, row := range map[string]struct {
		request callout.Request
		want    string
	}{
		"a password":                        {callout.Request{User: "ada", Password: "x"}, "users"},
		"a password, and a certificate":     {callout.Request{User: "ada", Password: "x", TLS: chains}, "users"},
		"a password, and a sentinel's":      {callout.Request{User: "ada", Password: "x", Bearer: token, Nonce: "n", Signature: "s"}, "users"},
		"a password of three parts":         {callout.Request{User: "ada", Password: "eyJust.three words.here"}, "users"},
		"a bearer token":                    {callout.Request{Token: callout.Secret(token)}, "oidc"},
		"a bearer token, and a certificate": {callout.Request{Token: callout.Secret(token), TLS: chains}, "oidc"},
		"a bearer token as password":        {callout.Request{User: "ada", Password: callout.Secret(token)}, "oidc"},
		"a bearer token, and a password":    {callout.Request{User: "ada", Password: "x", Token: callout.Secret(token)}, "oidc"},
		"a certificate":                     {callout.Request{TLS: chains}, "certs"},
		"a certificate, and a sentinel's":   {callout.Request{TLS: chains, Bearer: token, Nonce: "n", Signature: "s"}, "certs"},
		"a device":                          {callout.Request{User: "rooms U x", Nonce: "n", Signature: "s"}, "members"},
		"a device, and a cookie":            {callout.Request{User: "rooms U x", Token: "s3ss10n", Nonce: "n", Signature: "s", TLS: chains}, "members"},
		"an invite":                         {callout.Request{User: "admit U", Nonce: "n", Signature: "s"}, "invites"},
		"a recovery code":                   {callout.Request{User: "recover U", Nonce: "n", Signature: "s"}, "returners"},
		"nothing":                           {callout.Request{}, ""},
		"a name alone":                      {callout.Request{User: "ada"}, ""},
		"a token that is no JWT":            {callout.Request{Token: "x"}, ""},
	} {
		got := ""
		for _, b := range backends {
			if b.Takes(&row.request) {
				got += b.Name()
			}
		}
		if got != row.want {
			t.Errorf("%s: taken by %q, want %q", what, got, row.want)
		}
	}
}

func all(t *testing.T, issuer string) []callout.Backend {
	t.Helper()
	accounts := backendtest.Accounts(t, "A")
	roles := map[string]policy.Role{"r": {Account: "A"}}
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	passwords, _, err := users.Load(file("users.json", []byte(`{"ada": {"pass": "x", "role": "r"}}`)), accounts, roles)
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := certs.New(certs.Config{
		CAs: policy.List{file("ca.pem", authority(t))}, Rules: []certs.Rule{{Match: certs.Match{CN: "ada"}, Role: "r"}},
	}, accounts, roles)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := oidc.New(oidc.Config{
		Issuer: issuer, Audience: policy.List{"nats"}, Rules: []oidc.Rule{{Everyone: true, Role: "r"}},
	}, accounts, roles)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tokens.Close(); err != nil {
			t.Error(err)
		}
	})
	return []callout.Backend{passwords, certificates, tokens, &members.Backend{}, &invites.Backend{}, &returners.Backend{}}
}

func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}
