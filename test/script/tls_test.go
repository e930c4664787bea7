package script_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// certificate NAME writes a certificate for a name into chain.pem, its key into key.pem, and the authority that vouches
// for it into ca.pem. Each is another.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: certificate NAME")
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: args, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
	}
	own, key := newKey(ts), newKey(ts)
	for name, of := range map[string]*x509.Certificate{"ca.pem": authority, "chain.pem": leaf} {
		subject := own
		if of == leaf {
			subject = key
		}
		der, err := x509.CreateCertificate(rand.Reader, of, authority, &subject.PublicKey, own)
		ts.Check(err)
		writePEM(ts, name, "CERTIFICATE", der)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	writePEM(ts, "key.pem", "PRIVATE KEY", der)
}

func newKey(ts *testscript.TestScript) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	return key
}

func writePEM(ts *testscript.TestScript, name, kind string, der []byte) {
	ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
