package service_test

import (
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/callout/backend/oidc/idptest"
	"keyhall.dev/keyhall/internal/natstest"
)

// One file has an identity provider, certificates and passwords, each for those who come
// with theirs.
func TestEveryKindOfLoginFromOneFile(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{TLS: true})
	provider := idptest.Start(t)
	p.said.CA = p.Path("ca.pem")
	config := fmt.Sprintf(`
roles:
  ops: {account: APP1, permissions: {pub: {allow: ["ops.{{name()}}.>"]}}}
  machine: {account: APP2}
oidc:
- issuer: %s
  audience: [nats]
  rules:
  - {name: staff, when: [{claim: groups, contains: ops}], role: ops}
certificates:
  ca: [ca.pem]
  rules:
  - {match: {cn: "*"}, role: machine}
`, provider.Issuer())
	p.env["KEYHALL_CALLOUT_CONFIG"] = p.write("callout.yaml", config, 0o600)
	s := p.start()

	token := provider.Token("nats", "carol", map[string]any{"groups": []string{"ops"}})
	enter := func(options ...nats.Option) error {
		_, err := p.Connect(p.Path("sentinel.creds"), options...)
		return err
	}
	certificate := p.Certificate("machine-7", func(*x509.Certificate) {})
	stranger := provider.Token("nats", "dave", map[string]any{"groups": []string{"sales"}})
	for _, login := range []struct {
		what    string
		options []nats.Option
		let     bool
	}{
		{"a token", []nats.Option{nats.Token(token)}, true},
		{"a token that no rule matches", []nats.Option{nats.Token(stranger)}, false},
		{"a token of nobody's", []nats.Option{nats.Token(token[:len(token)-4] + "AAAA")}, false},
		{"a certificate", []nats.Option{nats.Secure(p.TLSConfig(certificate))}, true},
		{"a password", []nats.Option{nats.UserInfo("alice", "alice")}, true},
		{"nothing", nil, false},
	} {
		if err := enter(login.options...); (err == nil) != login.let {
			t.Errorf("%s: %v", login.what, err)
		}
	}

	asked := provider.Requests("/.well-known/openid-configuration")
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := enter(nats.Token(token)); err != nil {
		t.Errorf("a token after a reload: %v", err)
	}
	if again := provider.Requests("/.well-known/openid-configuration"); again != asked || asked == 0 {
		t.Errorf("a reload that changes nothing asked the provider anew: %d, %d", asked, again)
	}
}

// A provider that does not answer keeps nobody else out.
func TestAProviderThatIsAwayIsAWarning(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	p.env["KEYHALL_CALLOUT_CONFIG"] = p.write("callout.yaml",
		"oidc:\n- {issuer: \"http://127.0.0.1:1\", audience: [nats], rules: [{everyone: true, grant: {account: APP1}}]}\n", 0o600)
	p.start()
	p.mustTell("its tokens are refused until it answers")
	p.mustEnter("alice", "alice")
}
