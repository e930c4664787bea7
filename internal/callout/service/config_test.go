package service_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/service"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

func noEnv(string) string { return "" }

func TestFlagsGoBeforeTheEnvironmentAndThatBeforeTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callout.yaml")
	text := "nats: [nats://a:1, nats://b:2]\ncreds: auth.creds\nissuer: AUTH.nk\nxkey: /keys/auth.xk\nqueue: file\nusers: users.json\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"KEYHALL_CALLOUT_CONFIG": path, "KEYHALL_CALLOUT_ISSUER": "from-env.nk", "KEYHALL_CALLOUT_QUEUE": "env",
		"KEYHALL_CALLOUT_IN_FLIGHT": "7", "KEYHALL_CALLOUT_ACCOUNTS": "APP1=A1:one.nk,APP2=A2:two.nk:scoped",
	}
	source := service.Source{Flags: service.Config{Queue: "flag"}, Env: func(name string) string { return env[name] }}
	c, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	for got, want := range map[string]string{
		c.Queue: "flag", c.Issuer: "from-env.nk", c.Creds: filepath.Join(dir, "auth.creds"), c.XKey: "/keys/auth.xk",
		strings.Join(c.NATS, " "): "nats://a:1 nats://b:2", c.LogLevel: "info", c.Users: filepath.Join(dir, "users.json"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	wanted := []service.AccountKey{{Name: "APP1", ID: "A1", Key: "one.nk"}, {Name: "APP2", ID: "A2", Key: "two.nk", Scoped: true}}
	if c.InFlight != 7 || !slices.Equal(c.Accounts, wanted) {
		t.Errorf("in flight %d, accounts %+v", c.InFlight, c.Accounts)
	}
}

func TestWrongConfigurationsAreRefusedWithTheLine(t *testing.T) {
	pair, _ := nkeys.CreateAccount()
	seed := string(natstest.Seed(t, pair))
	for text, want := range map[string]string{
		"":                                     "is empty",
		"creds: a\nissuers: b\n":               `line 2: there is no field "issuers"`,
		"accounts:\n  APP1: {id: A, kay: x}\n": `line 2: there is no field "kay"`,
		"creds: [a, b]\n":                      "line 1: a list stands where a text belongs",
		"roles:\n  shop: APP1\n":               "what begins in line 2: line 2: a text stands where a group of fields belongs",
		"accounts:\n  APP1: ABC\n":             "line 2: a text stands where a group of fields belongs",
		"audit: off\n":                         "line 1: a text stands where a group of fields belongs",
		"roles:\n  r:\n    permissions: {pub: [x]}\n": "what begins in line 3: permissions.pub: a list stands where a group of fields belongs",
		"creds: a\n---\ncreds: b\n":                   "one document",
		"creds: a\n\tissuer: b\n":                     "line 2",
		"creds: a\ncreds: b\n":                        "already defined",
		"in_flight: many\n":                           "line 1: a text stands where a number belongs",
		"in_flight: " + seed + "\n":                   "line 1:",
		seed + ": x\n":                                "a secret stands",
		"oidc:\n- issuer: https://x\n  scope: y\n":    `line 3: there is no field "scope"`,
		"roles:\n  reader:\n    acount: APP1\n":       `what begins in line 3: there is no field "acount"`,
	} {
		_, err := service.Parse("callout.yaml", []byte(text))
		if err == nil {
			t.Errorf("%q is taken", text)
			continue
		}
		if said := err.Error(); !strings.HasPrefix(said, "callout.yaml: ") || !strings.Contains(said, want) || strings.Contains(said, "\n") ||
			strings.Contains(said, seed) || !fault.Is(err, fault.Malformed) {
			t.Errorf("%q: said %q, want %q", text, said, want)
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	pair, _ := nkeys.CreateAccount()
	good := service.Config{
		Creds: "c", Issuer: "i", XKey: "x", Users: "u", Queue: "q", InFlight: 1,
		Accounts: []service.AccountKey{{Name: "APP1", ID: natstest.PublicKey(t, pair), Key: "k"}},
	}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*service.Config){
		"--creds FILE":                   func(c *service.Config) { c.Creds = "" },
		"--issuer FILE":                  func(c *service.Config) { c.Issuer = "" },
		"--xkey FILE":                    func(c *service.Config) { c.XKey = "" },
		"--account NAME=A…:KEYFILE":      func(c *service.Config) { c.Accounts = nil },
		"--users FILE (or oidc or cert":  func(c *service.Config) { c.Users = "" },
		"not the public key of an acc":   func(c *service.Config) { c.Accounts[0].ID = "A1" },
		"stands a secret":                func(c *service.Config) { c.Accounts[0].ID = string(natstest.Seed(t, pair)) },
		"is no name for an account":      func(c *service.Config) { c.Accounts[0].Name = "APP 1" },
		"one of its signing keys is not": func(c *service.Config) { c.Accounts[0].Key = "" },
		"no name for a queue group":      func(c *service.Config) { c.Queue = "a.*" },
		"a number from 1 to":             func(c *service.Config) { c.InFlight = -1 },
		"a file (file), or nowhere":      func(c *service.Config) { c.Audit = &service.Audit{Creds: "a", File: "b"} },
		"nowhere (off): say one":         func(c *service.Config) { c.Audit = &service.Audit{Off: true, File: "b"} },
	} {
		c := good
		c.Accounts = slices.Clone(good.Accounts)
		spoil(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("said %v, want %q", err, want)
		}
	}
}

func TestAccountsAreReadAsFlagsHaveThem(t *testing.T) {
	for text, want := range map[string]service.AccountKey{
		"APP1=AXX:APP1.nk":           {Name: "APP1", ID: "AXX", Key: "APP1.nk"},
		"APP1=AXX:APP1.nk:scoped":    {Name: "APP1", ID: "AXX", Key: "APP1.nk", Scoped: true},
		`APP1=AXX:C:\keys\APP1.nk`:   {Name: "APP1", ID: "AXX", Key: `C:\keys\APP1.nk`},
		"APP1=AXX:env:APP1_SEED":     {Name: "APP1", ID: "AXX", Key: "env:APP1_SEED"},
		"APP1=AXX:a=b:scoped:scoped": {Name: "APP1", ID: "AXX", Key: "a=b:scoped", Scoped: true},
	} {
		if got, err := service.ParseAccount(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "APP1", "APP1=AXX", "APP1.nk:AXX"} {
		if got, err := service.ParseAccount(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

// Keys may be in variables, creds too, and whatever is wrong with one, it is not shown.
func TestKeysMayComeFromTheEnvironment(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	creds, err := os.ReadFile(p.Path("auth.creds"))
	if err != nil {
		t.Fatal(err)
	}
	p.env["CREDS"], p.env["ISSUER"] = string(creds), string(natstest.Seed(t, p.AUTH.Identity))
	p.env["XKEY"], p.env["APP1"] = string(natstest.Seed(t, p.XKey)), string(natstest.Seed(t, p.APP1.Signer))
	p.said.Creds, p.said.Issuer, p.said.XKey, p.said.Accounts[0].Key = "env:CREDS", "env:ISSUER", "env:XKEY", "env:APP1"
	p.start()
	p.mustEnter("alice", "alice")

	for what, want := range map[string]string{
		"env:NOWHERE":          "the variable NOWHERE, which holds a key, is not set",
		"env:XKEY":             "env:XKEY holds the seed of an xkey (SX…), and the seed of an account (SA…) is wanted",
		p.env["ISSUER"]:        "that is a secret, and not the name of a file",
		"env:" + p.env["APP1"]: "behind env: stands a secret",
	} {
		p.said.Issuer = what
		said := p.refused()
		if !strings.Contains(said, want) || strings.Contains(said, "SA"+p.env["ISSUER"][2:]) || holdsSeed(said) {
			t.Errorf("said %q, want %q", said, want)
		}
	}
}

func TestExplainNeedsNoServer(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	source := service.Source{Flags: service.Config{Accounts: p.said.Accounts, Users: p.said.Users}, Env: noEnv}
	bob, err := source.Explain(t.Context(), callout.Query{User: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	if bob.Backend != "users" || bob.AccountName != "APP2" || !strings.Contains(bob.Rule, "users.json") || bob.Inbox != "_INBOX_bob" ||
		!slices.Equal(bob.Publish.Allow, []string{"bob.>"}) || !slices.Contains(bob.Publish.Deny, "bob.secret.>") ||
		!slices.Contains(bob.Subscribe.Allow, "_INBOX_bob.>") || bob.Responses == nil || bob.Responses.Max != 1 || bob.Expires.IsZero() {
		t.Errorf("bob would get %+v", bob)
	}
	_, err = source.Explain(t.Context(), callout.Query{User: "mallory"})
	if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), `no backend knows "mallory"`) {
		t.Errorf("mallory: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("creds: a\naccounts:\n  APP1: {id: A, key: k, scoped: true}\n")
	f.Add("nats: nats://a:1,nats://b:2\nroles:\n  reader: {account: APP1, permissions: {sub: {allow: [a.>]}}}\n")
	f.Add("oidc:\n- issuer: https://id.example\n  audience: [nats]\n  rules: [{everyone: true, role: reader}]\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := service.Parse("callout.yaml", []byte(text))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line: %q", err)
			}
			return
		}
		_ = c.Check()
	})
}

func FuzzParseAccount(f *testing.F) {
	f.Add("APP1=AXX:APP1.nk:scoped")
	f.Add("=:")
	f.Fuzz(func(t *testing.T, text string) {
		if account, err := service.ParseAccount(text); err == nil {
			again := account.Name + "=" + account.ID + ":" + account.Key
			if account.Scoped {
				again += ":scoped"
			}
			if again != text {
				t.Errorf("%q became %q", text, again)
			}
		}
	})
}
