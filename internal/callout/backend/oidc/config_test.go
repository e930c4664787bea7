package oidc_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

const example = `{
	"name": "staff", "issuer": "https://id.example.com", "audience": "keyhall", "client_id": "web",
	"algorithms": ["ES256"], "skew": "30s", "max_life": "1h", "outage": "2h", "name_claim": "preferred_username",
	"rules": [
		{"name": "admins", "when": [{"claim": "realm_access.roles", "contains": "admin"}, {"claim": "mfa", "is": true}], "role": "admin"},
		{"when": [{"domain": "example.com"}], "grant": {"account": "APP", "permissions": {"pub": {"allow": "orders.{{name()}}.>"}}, "life": "15m"}}
	]
}`

const exampleYAML = `
name: staff
issuer: https://id.example.com
audience: keyhall
client_id: web
algorithms: [ES256]
skew: 30s
max_life: 1h
outage: 2h
name_claim: preferred_username
rules:
- name: admins
  when:
  - {claim: realm_access.roles, contains: admin}
  - {claim: mfa, is: true}
  role: admin
- when: [{domain: example.com}]
  grant:
    account: APP
    permissions: {pub: {allow: "orders.{{name()}}.>"}}
    life: 15m
`

func TestAConfigurationIsReadAsItIsWritten(t *testing.T) {
	var asJSON, asYAML oidc.Config
	if err := json.Unmarshal([]byte(example), &asJSON); err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(exampleYAML))
	decoder.KnownFields(true)
	if err := decoder.Decode(&asYAML); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(asJSON, asYAML) {
		t.Errorf("the same in JSON and in YAML is\n%+v\n%+v", asJSON, asYAML)
	}
	for what, c := range map[string]oidc.Config{"JSON": asJSON, "YAML": asYAML} {
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if c.Audience[0] != "keyhall" || time.Duration(c.Skew) != 30*time.Second || len(c.Rules) != 2 || *c.Rules[0].When[1].Is != true ||
			c.Rules[1].Grant.Permissions.Pub.Allow[0] != "orders.{{name()}}.>" {
			t.Errorf("%s: %+v", what, c)
		}
	}
	for _, wrong := range []string{
		`{"clientid":"web"}`, `{"rules":[{"whan":[]}]}`, `{"rules":[{"when":[{"claim":"a","equal":"b"}]}]}`,
		`{"rules":[{"grant":{"acount":"APP"}}]}`, `{"skew":"soon"}`, `{"audience":[null]}`, `{"rules":{}}`,
	} {
		var c oidc.Config
		if err := json.Unmarshal([]byte(wrong), &c); err == nil {
			t.Errorf("%s: taken as %+v", wrong, c)
		}
	}
}

func TestAConfigurationThatIsWrongIsRefusedWithItsReason(t *testing.T) {
	good := func() oidc.Config {
		return oidc.Config{
			Issuer: "https://id.example.com", Audience: policy.List{"keyhall"},
			Rules: []oidc.Rule{{Name: "all", Everyone: true, Role: "staff"}},
		}
	}
	one := func(c oidc.Condition) func(*oidc.Config) {
		return func(config *oidc.Config) { config.Rules = []oidc.Rule{{When: []oidc.Condition{c}, Role: "staff"}} }
	}
	rule := func(r oidc.Rule) func(*oidc.Config) { return func(c *oidc.Config) { c.Rules = []oidc.Rule{r} } }
	issuer := func(url string) func(*oidc.Config) { return func(c *oidc.Config) { c.Issuer = url } }
	algorithm := func(alg string) func(*oidc.Config) { return func(c *oidc.Config) { c.Algorithms = policy.List{alg} } }
	noTLS := "without TLS anybody on the way could put in keys of their own: use https (http only on loopback)"
	for _, row := range []struct {
		name   string
		change func(*oidc.Config)
		want   string // "" for a good one
	}{
		{"good", func(*oidc.Config) {}, ""},
		{"on loopback", issuer("http://127.0.0.1:8080/realms/x"), ""},
		{"on localhost", issuer("http://localhost:8080"), ""},
		{"on loopback, IPv6", issuer("http://[::1]:8080"), ""},
		{"with a path and a slash", issuer("https://id.example.com/tenant/"), ""},
		{"no issuer", issuer(""), `issuer "": it is required: the provider's URL as its tokens have it in iss`},
		{"no URL", issuer("id.example.com"), `issuer "id.example.com": it has no host`},
		{"no TLS", issuer("http://id.example.com"), `issuer "http://id.example.com": ` + noTLS},
		{"no TLS, like loopback", issuer("http://127.0.0.1.example.com"), `issuer "http://127.0.0.1.example.com": ` + noTLS},
		{"a file", issuer("file://host/etc"), `issuer "file://host/etc": it is not an https address`},
		{"a user", issuer("https://a:b@id.example.com"), `issuer "https://a:b@id.example.com": an issuer has no user, no query and no fragment`},
		{"a query", issuer("https://id.example.com?x=1"), `issuer "https://id.example.com?x=1": an issuer has no user, no query and no fragment`},
		{"a fragment", issuer("https://id.example.com#"), `issuer "https://id.example.com#": an issuer has no user, no query and no fragment`},
		{
			"the document itself", issuer("https://id.example.com/.well-known/openid-configuration"),
			`issuer "https://id.example.com/.well-known/openid-configuration": leave /.well-known/openid-configuration out, that is where its document stands`,
		},
		{"no audience", func(c *oidc.Config) { c.Audience = nil }, "audience is required: the name that the provider's tokens for this service have in aud"},
		{"an empty audience", func(c *oidc.Config) { c.Audience = policy.List{""} }, `audience "" is not a line of text`},
		{"a name", func(c *oidc.Config) { c.Name = "My Provider" }, `name "My Provider" is not 1 to 32 lower-case letters`},
		{"none", algorithm("None"), "algorithm none is no signature: anybody could make such a token"},
		{"HS256", algorithm("HS256"), "algorithm HS256 has one secret for signing and verifying, and a provider's keys are public"},
		{"hs512", algorithm("hs512"), "algorithm hs512 has one secret for signing and verifying, and a provider's keys are public"},
		{"unknown", algorithm("ES256K"), `algorithm "ES256K" is not known; RS256, PS256, ES256, EdDSA and their longer ones are`},
		{"twice", func(c *oidc.Config) { c.Algorithms = policy.List{"ES256", "ES256"} }, "algorithm ES256 is there twice"},
		{"skew", func(c *oidc.Config) { c.Skew = policy.Duration(time.Hour) }, "skew is 1h0m0s, want from 1s to 5m0s"},
		{"skew without unit", func(c *oidc.Config) { c.Skew = 30 }, "skew is 30ns, want from 1s to 5m0s"},
		{"outage", func(c *oidc.Config) { c.Outage = policy.Duration(48 * time.Hour) }, "outage is 48h0m0s, want from 1s to 24h0m0s"},
		{"name prefix", func(c *oidc.Config) { c.NamePrefix = "a\nb" }, "name_prefix is not a line of plain text"},
		{"name claim", func(c *oidc.Config) { c.NameClaim = "a..b" }, `name_claim: claim "a..b" has an empty name between its dots`},
		{"no rules", func(c *oidc.Config) { c.Rules = nil }, "no rules: nobody could log in"},
		{"no conditions", rule(oidc.Rule{Role: "staff"}), "rule 1: it has no conditions (when); one that is for every token of the provider says everyone: true"},
		{
			"conditions for everyone", rule(oidc.Rule{Everyone: true, When: []oidc.Condition{{Claim: "a", Equals: "b"}}, Role: "staff"}),
			"rule 1: it is for everyone and has conditions as well",
		},
		{"gives nothing", rule(oidc.Rule{Name: "x", Everyone: true}), "rule x: it gives either a role or a grant, and needs one of them"},
		{
			"gives two", rule(oidc.Rule{Everyone: true, Role: "staff", Grant: &policy.Role{Account: "APP"}}),
			"rule 1: it gives either a role or a grant, and needs one of them",
		},
		{
			"never counts", func(c *oidc.Config) { c.Rules = append(c.Rules, oidc.Rule{Everyone: true, Role: "admin"}) },
			"rule all is for everyone, so that the rules after it never count",
		},
		{
			"same name", func(c *oidc.Config) {
				r := oidc.Rule{Name: "x", When: []oidc.Condition{{Claim: "a", Equals: "b"}}, Role: "staff"}
				c.Rules = []oidc.Rule{r, r}
			}, "rule x is there twice",
		},
		{"says nothing", one(oidc.Condition{Claim: "a"}), "rule 1: condition 1: it has to say one of equals, contains, is and domain"},
		{"says two", one(oidc.Condition{Claim: "a", Equals: "b", Contains: "c"}), "rule 1: condition 1: it has to say one of equals, contains, is and domain"},
		{"about nothing", one(oidc.Condition{Equals: "a"}), "rule 1: condition 1: it names no claim"},
		{"about an address", one(oidc.Condition{Claim: "email", Equals: "ada@example.com"}), "rule 1: condition 1: an address proves nothing that nobody verified: use domain, or sub"},
		{"another domain's claim", one(oidc.Condition{Claim: "upn", Domain: "example.com"}), "rule 1: condition 1: domain is about the claim email, for only that is verified"},
		{"a domain with @", one(oidc.Condition{Domain: "@example.com"}), `rule 1: condition 1: domain "@example.com" is not like example.com`},
		{"a wild domain", one(oidc.Condition{Domain: "*.com"}), `rule 1: condition 1: domain "*.com" is not like example.com`},
		{"no such role", rule(oidc.Rule{Everyone: true, Role: "boss"}), `rule 1: there is no role "boss"`},
		{"no such account", rule(oidc.Rule{Everyone: true, Grant: &policy.Role{Account: "NOWHERE"}}), `rule 1: account: there is none called "NOWHERE" to place anybody in`},
		{
			"no subject", rule(oidc.Rule{Everyone: true, Grant: &policy.Role{Account: "APP", Permissions: &policy.Permissions{
				Pub: policy.Subjects{Allow: policy.List{"a.{{tag(x)}}"}},
			}}}),
			`rule 1: pub.allow: "a.{{tag(x)}}" is no subject: only {{name()}} and {{claim(x)}} may stand in braces`,
		},
	} {
		config := good()
		row.change(&config)
		backend, err := oidc.New(config, backendtest.Accounts(t, "APP", "OPS"), roles())
		if err == nil {
			if closeErr := backend.Close(); closeErr != nil {
				t.Error(closeErr)
			}
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != row.want {
			t.Errorf("%s:\n got %q\nwant %q", row.name, text, row.want)
		}
	}
}

func TestACAFileWithoutCertificatesIsRefused(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{empty: "has no certificate in PEM", filepath.Join(dir, "none.pem"): "cannot be read"} {
		_, err := oidc.New(oidc.Config{
			Issuer: "https://id.example.com", Audience: policy.List{"x"}, CAFile: path, Rules: []oidc.Rule{{Everyone: true, Role: "staff"}},
		}, backendtest.Accounts(t, "APP"), roles())
		if err == nil || !strings.Contains(err.Error(), want) || fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
