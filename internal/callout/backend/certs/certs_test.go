package certs_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/callout/backend/certs"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func roles() map[string]policy.Role {
	mine := policy.List{"people.{{name()}}.>"}
	all := policy.List{"work.>"}
	return map[string]policy.Role{
		"own":    {Account: "APP1", Permissions: &policy.Permissions{Pub: policy.Subjects{Allow: mine}, Sub: policy.Subjects{Allow: mine}}},
		"worker": {Account: "APP2", Permissions: &policy.Permissions{Pub: policy.Subjects{Allow: all}}},
		"scoped": {Account: "SCOPED"},
	}
}

func TestConformance(t *testing.T) {
	accounts := backendtest.Accounts(t, "APP1", "APP2", "SCOPED")
	accounts[2].Scoped = true
	scope := jwt.NewUserScope()
	scope.Key = natstest.PublicKey(t, accounts[2].Signer)
	scope.Template.Permissions.Pub.Allow.Add("scoped.{{name()}}.>")
	scope.Template.Permissions.Sub.Allow.Add("_INBOX_{{name()}}.>")
	ours, theirs := newAuthority(t), newAuthority(t)
	b, err := certs.New(certs.Config{CAs: []string{ours.file}, Rules: []certs.Rule{
		{Match: certs.Match{Email: "*@example.org"}, Role: "worker"},
		{Match: certs.Match{DNS: "*.scoped.example.org"}, Name: "cn", Role: "scoped"},
		{Match: certs.Match{CN: "*", URI: "spiffe://example.org/own/*"}, Name: "cn", Role: "own"},
		{Match: certs.Match{CN: "plain.*"}, Role: "worker"},
	}}, accounts, roles())
	if err != nil {
		t.Fatal(err)
	}
	own := uris(t, "spiffe://example.org/own/1")
	query := func(text string) *callout.Query { return &callout.Query{User: text} }
	both := ours.login(client("ada", own))
	both.TLS.Chains = append([][]string{{"garbage"}}, both.TLS.Chains...)
	withUser := ours.login(client("ada", own))
	withUser.User = "ada"
	withToken := ours.login(client("ada", own))
	withToken.Token = "x"
	backendtest.Run(t, backendtest.Subject{
		Backend: b, Accounts: accounts, Scopes: []*jwt.UserScope{scope},
		Good: []backendtest.Login{
			{Name: "ada", Request: ours.login(client("ada", own)), Query: query("cn=ada uri=spiffe://example.org/own/1")},
			{Name: "bob, by an address", Request: ours.login(client("x", emails("bob@EXAMPLE.org"))), Query: query("bob@example.org")},
			{Name: "carol, with a scope", Request: ours.login(client("carol", hosts("h1.scoped.example.org"))), Query: query("cn=carol dns=h1.scoped.example.org")},
			{Name: "a worker", Request: ours.login(client("plain.worker")), Query: query("plain.worker")},
			{Name: "a chain that cannot be read beside one that can", Request: both},
		},
		Wrong: []backendtest.Login{
			{Name: "another authority's", Request: theirs.login(client("ada", own))},
			{Name: "a server's", Request: ours.login(client("ada", own, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }))},
			{Name: "no certificate", Request: callout.Request{TLS: callout.TLS{Chains: [][]string{{"x"}}}}},
			{Name: "an empty chain", Request: callout.Request{TLS: callout.TLS{Chains: [][]string{{}}}}},
			{Name: "signed by a client", Request: signedByAClient(t, ours, own)},
		},
		Refused: []backendtest.Login{
			{Name: "no rule", Request: ours.login(client("ada"))},
			{Name: "expired", Request: ours.login(client("ada", own, expired))},
			{Name: "two addresses", Request: ours.login(client("x", emails("a@example.org", "b@example.org")))},
			{Name: "two names", Request: ours.login(client("", own, func(c *x509.Certificate) {
				c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 3}, Value: "ada"}, {Type: []int{2, 5, 4, 3}, Value: "bob"}}
			}))},
		},
		Foreign: []backendtest.Login{
			{Name: "a user beside a certificate", Request: withUser},
			{Name: "a token beside a certificate", Request: withToken},
			{Name: "a password", Request: callout.Request{User: "ada", Password: "x"}},
			{Name: "a token", Request: callout.Request{Token: "x"}},
			{Name: "a device", Request: callout.Request{User: "rooms U", Nonce: "n", Signature: "s"}},
		},
		Hostile: func(_ *testing.T, word string) *callout.Request {
			template := client(strings.ToValidUTF8(word, "?"), own)
			if word == "carol.>" || word == "CAROL" {
				template = client(word, hosts("h2.scoped.example.org"))
			}
			request := ours.login(template)
			return &request
		},
		Private: backendtest.Private{
			Publish:   []string{"people.ada.x", "scoped.carol.x", "work.x"},
			Subscribe: []string{"people.ada.x", "_INBOX_ada.x", "_INBOX_carol.x"},
		},
	})
}

// signedByAClient is a certificate that a client made, as if it were an authority.
func signedByAClient(t *testing.T, a *authority, own func(*x509.Certificate)) callout.Request {
	t.Helper()
	key, mallory := a.sign(client("mallory"))
	pretended := &authority{t: t, key: key, cert: mallory}
	_, cert := pretended.sign(client("ada", own))
	return verified(cert, mallory, a.cert)
}

func TestAGrantEndsWithItsCertificate(t *testing.T) {
	a := newAuthority(t)
	accounts := backendtest.Accounts(t, "APP1", "APP2")
	b, err := certs.New(certs.Config{CAs: []string{a.file}, Rules: []certs.Rule{{Match: certs.Match{CN: "*"}, Role: "own"}}}, accounts, roles())
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	request := a.login(client("ada", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), soon }))
	grant, err := b.Authorize(natstest.Within(t), &request)
	if err != nil || !grant.Expires.Equal(soon) {
		t.Errorf("%+v, %v, want it to end at %s", grant, err, soon)
	}
}

// TestRulesMatchWholeNames: what a rule does not say in so many words it does not match.
func TestRulesMatchWholeNames(t *testing.T) {
	a := newAuthority(t)
	accounts := backendtest.Accounts(t, "APP1", "APP2")
	_, ada := a.sign(client("ada"))
	sum := sha256.Sum256(ada.Raw)
	colons := strings.ToUpper(hex.EncodeToString(sum[:1])) + ":" + hex.EncodeToString(sum[1:])
	for what, row := range map[string]struct {
		match certs.Match
		name  string
		good  []callout.Request
		bad   []callout.Request
	}{
		"a name": {
			match: certs.Match{CN: "ada"}, good: []callout.Request{a.login(client("ada"))},
			bad: []callout.Request{a.login(client("Ada")), a.login(client("ada.x")), a.login(client("adam")), a.login(client("ada ")), a.login(client("", hosts("ada")))},
		},
		"any name of a group": {
			match: certs.Match{CN: "*.workers"}, good: []callout.Request{a.login(client("w1.workers"))},
			bad: []callout.Request{
				a.login(client("workers")), a.login(client(".workers")), a.login(client("a.b.workers")), a.login(client("*.workers")),
				a.login(client("w1.workers.x")), a.login(client("a b\n.workers")), a.login(client(">.workers")),
			},
		},
		"a host": {
			match: certs.Match{DNS: "*.Example.org"}, good: []callout.Request{a.login(client("x", hosts("H1.example.org")))},
			bad: []callout.Request{
				a.login(client("x", hosts("example.org"))), a.login(client("x", hosts("a.b.example.org"))), a.login(client("x", hosts("*.example.org"))),
				a.login(client("x", hosts("h1.example.org.evil.com"))), a.login(client("h1.example.org")), a.login(client("x", hosts("h1.example.com"))),
			},
		},
		"an address": {
			match: certs.Match{Email: "*@example.org"}, good: []callout.Request{a.login(client("x", emails("ada@Example.org")))},
			bad: []callout.Request{
				a.login(client("x", emails("@example.org"))), a.login(client("x", emails("ada@sub.example.org"))), a.login(client("x", emails("ada@evil.com@example.org"))),
				a.login(client("x", emails("ada@example.org.evil.com"))), a.login(client("x", emails("*@example.org"))), a.login(client("x", emails("a b\t@example.org"))),
			},
		},
		"a workload": {
			match: certs.Match{URI: "spiffe://example.org/*/web"}, good: []callout.Request{a.login(client("x", uris(t, "spiffe://example.org/eu/web")))},
			bad: []callout.Request{
				a.login(client("x", uris(t, "spiffe://example.org/web"))), a.login(client("x", uris(t, "spiffe://example.org//web"))),
				a.login(client("x", uris(t, "spiffe://example.org/eu/de/web"))), a.login(client("x", uris(t, "spiffe://evil.com/eu/web"))),
				a.login(client("x", uris(t, "https://example.org/eu/web"))), a.login(client("x", uris(t, "spiffe://example.org/eu/web?x"))),
				a.login(client("x", uris(t, "spiffe://u@example.org/eu/web"))), a.login(client("x", uris(t, "spiffe://example.org/*/web"))),
			},
		},
		"one certificate": {
			match: certs.Match{Fingerprint: colons}, name: "cn", good: []callout.Request{verified(ada, a.cert)}, bad: []callout.Request{a.login(client("ada"))},
		},
		"two kinds": {
			match: certs.Match{CN: "*", DNS: "h1.example.org"}, name: "dns", good: []callout.Request{a.login(client("x", hosts("h1.example.org", "other.example.org")))},
			bad: []callout.Request{a.login(client("x.y", hosts("h1.example.org"))), a.login(client("x"))},
		},
	} {
		b, err := certs.New(certs.Config{CAs: []string{a.file}, Rules: []certs.Rule{{Match: row.match, Name: row.name, Role: "worker"}}}, accounts, roles())
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for i, request := range row.good {
			if _, err := b.Authorize(natstest.Within(t), &request); err != nil {
				t.Errorf("%s, good %d: %v", what, i, err)
			}
		}
		for i, request := range row.bad {
			if grant, err := b.Authorize(natstest.Within(t), &request); !fault.Is(err, fault.Refused) || errors.Is(err, callout.ErrWrong) {
				t.Errorf("%s, bad %d: %+v, %v", what, i, grant, err)
			}
		}
	}
}

func TestWhatIsWrongInTheConfigurationIsSaid(t *testing.T) {
	a := newAuthority(t)
	accounts := backendtest.Accounts(t, "APP1", "APP2")
	good := certs.Rule{Match: certs.Match{CN: "ada"}, Role: "own"}
	one := func(r certs.Rule) certs.Config {
		return certs.Config{CAs: []string{a.file}, Rules: []certs.Rule{good, r}}
	}
	matching := func(m certs.Match) certs.Config { return one(certs.Rule{Match: m, Role: "own"}) }
	bad, open, key := newAuthority(t), newAuthority(t), newAuthority(t)
	_, leaf := a.sign(client("ada"))
	bad.write(toPEM(leaf.Raw))
	if err := os.Chmod(open.file, 0o666); err != nil {
		t.Fatal(err)
	}
	key.write("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	garbage, empty := newAuthority(t), newAuthority(t)
	garbage.write(toPEM(a.cert.Raw) + "garbage")
	empty.write("")
	only := func(file string) certs.Config { return certs.Config{CAs: []string{file}, Rules: []certs.Rule{good}} }
	for want, config := range map[string]certs.Config{
		"name the files":                {Rules: []certs.Rule{good}},
		"without a rule nobody":         {CAs: []string{a.file}},
		"cannot be read":                only(a.file + "x"),
		"is no authority's":             only(bad.file),
		"can be changed by other":       only(open.file),
		"PRIVATE KEY":                   only(key.file),
		garbage.file + " is not a list": only(garbage.file),
		empty.file + " is not a list":   only(empty.file),
		"rule 2: it matches nothing":    matching(certs.Match{}),
		"rule 2: there is no role":      one(certs.Rule{Match: certs.Match{CN: "x"}, Role: "none"}),
		"role broken":                   one(certs.Rule{Match: certs.Match{CN: "x"}, Role: "broken"}),
		"name is \"surname\"":           one(certs.Rule{Match: certs.Match{CN: "x"}, Role: "own", Name: "surname"}),
		"say by name":                   matching(certs.Match{CN: "x", DNS: "x"}),
		"fingerprint is who it is":      matching(certs.Match{CN: "x", Email: "a@b"}),
		`cn "a*"`:                       matching(certs.Match{CN: "a*"}),
		`cn "a..b"`:                     matching(certs.Match{CN: "a..b"}),
		`dns "**"`:                      matching(certs.Match{DNS: "**"}),
		`dns "a b"`:                     matching(certs.Match{DNS: "a b"}),
		`email "example.org"`:           matching(certs.Match{Email: "example.org"}),
		`email "*"`:                     matching(certs.Match{Email: "*"}),
		`uri "example.org/x"`:           matching(certs.Match{URI: "example.org/x"}),
		`uri "spiffe://*/x"`:            matching(certs.Match{URI: "spiffe://*/x"}),
		`fingerprint "00ff"`:            matching(certs.Match{Fingerprint: "00ff"}),
	} {
		all := roles()
		all["broken"] = policy.Role{Account: "NONE"}
		b, err := certs.New(config, accounts, all)
		if b != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something of %s", err, want)
		}
	}
}

// TestCertificatesOnARealServer: the server asks for certificates, and trusts an authority
// more than the backend does.
func TestCertificatesOnARealServer(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	company := natstest.StartCompany(t, natstest.CompanyOptions{
		TLS: true, DefaultSentinel: true,
		Server: func(o *server.Options) {
			o.TLSConfig.ClientCAs.AddCert(ours.cert)
			o.TLSConfig.ClientCAs.AddCert(theirs.cert)
		},
	})
	accounts := callout.Accounts{{Name: "APP1", ID: company.APP1.ID, Signer: company.APP1.Signer}, {Name: "APP2", ID: company.APP2.ID, Signer: company.APP2.Signer}}
	b, err := certs.New(certs.Config{CAs: []string{ours.file}, Rules: []certs.Rule{{Match: certs.Match{CN: "*"}, Role: "own"}}}, accounts, roles())
	if err != nil {
		t.Fatal(err)
	}
	backendtest.Serve(t, company, b)
	enter := func(cert tls.Certificate) (*nats.Conn, error) {
		return company.Connect("", nats.Secure(&tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, RootCAs: pool(t, company.Path("ca.pem")),
		}), nats.CustomInboxPrefix("_INBOX_ada"))
	}
	ada, err := enter(ours.issue(client("ada")))
	if err != nil {
		t.Fatal(err)
	}
	heard, err := ada.SubscribeSync("people.ada.x")
	if err = errors.Join(err, ada.Publish("people.ada.x", []byte("hello")), ada.Flush()); err != nil {
		t.Fatal(err)
	}
	if message, err := heard.NextMsg(natstest.Patience); err != nil || string(message.Data) != "hello" || ada.LastError() != nil {
		t.Errorf("ada hears %v, %v, %v", message, err, ada.LastError())
	}
	for what, cert := range map[string]tls.Certificate{
		"another authority's":        theirs.issue(client("ada")),
		"an authority nobody trusts": newAuthority(t).issue(client("ada")),
		"expired":                    ours.issue(client("ada", expired)),
		"a wildcard":                 ours.issue(client("*")),
		"all":                        ours.issue(client(">")),
		"two tokens":                 ours.issue(client("a.b")),
		"no certificate":             {},
	} {
		if _, err := enter(cert); err == nil {
			t.Errorf("%s: let in", what)
		}
	}
}

func pool(t *testing.T, path string) *x509.CertPool {
	t.Helper()
	content, err := os.ReadFile(path)
	all := x509.NewCertPool()
	if err != nil || !all.AppendCertsFromPEM(content) {
		t.Fatal(path, err)
	}
	return all
}
