package service_test

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/callout/service"
	"keyhall.dev/keyhall/internal/natstest"
)

// Each set-up is wrong in one way, and refused with reason and remedy; mended, it starts and
// lets alice in.
func TestUnsafeSetUpsDoNotStart(t *testing.T) {
	soon := func(o *server.Options) { o.AuthTimeout = 5 } // where nobody answers; seconds, which requests have in whole
	for name, c := range map[string]struct {
		options natstest.CompanyOptions
		spoil   func(*place)
		wants   []string
		mend    func(*place)
	}{
		"requests in the clear": {
			options: natstest.CompanyOptions{NoXKey: true, Server: soon},
			wants:   []string{"names no xkey", "in the clear", "nsc edit authcallout --account AUTH --curve X"},
			mend: func(p *place) {
				p.Push(p.AUTH, func(c *jwt.AccountClaims) { c.Authorization.XKey = natstest.PublicKey(p.t, p.XKey) })
			},
		},
		"another xkey": {
			options: natstest.CompanyOptions{Server: soon},
			spoil:   func(p *place) { p.said.XKey = p.write("other.xk", newXKey(p.t), 0o600) },
			wants:   []string{"another xkey than the one in", "other.xk"},
			mend:    func(p *place) { p.said.XKey = p.Path("auth.xk") },
		},
		"a sentinel that may do anything": {
			spoil: func(p *place) { p.said.Sentinel = p.User(p.AUTH, "loose", nil) },
			wants: []string{`the sentinel "loose"`, "may do something", "--deny-pubsub '>'"},
			mend:  func(p *place) { p.said.Sentinel = p.Path("sentinel.creds") },
		},
		"a sentinel that may subscribe": {
			spoil: func(p *place) {
				p.said.Sentinel = p.User(p.AUTH, "half", func(c *jwt.UserClaims) { c.Pub.Deny.Add(">") })
			},
			wants: []string{"may do something"},
			mend:  func(p *place) { p.said.Sentinel = p.Path("sentinel.creds") },
		},
		"a sentinel of another account": {
			spoil: func(p *place) { p.said.Sentinel = p.Path("app1.creds") },
			wants: []string{"is of account A", "make one in AUTH"},
			mend:  func(p *place) { p.said.Sentinel = p.Path("sentinel.creds") },
		},
		"the callout's own user as sentinel": {
			spoil: func(p *place) { p.said.Sentinel = p.said.Creds },
			wants: []string{"the callout's own user", "hears everybody's password"},
			mend:  func(p *place) { p.said.Sentinel = p.Path("sentinel.creds") },
		},
		"a key file that others can read": {
			spoil: func(p *place) { chmod(p, "AUTH.nk", 0o644) },
			wants: []string{"AUTH.nk is open to other users", "chmod 600"},
			mend:  func(p *place) { chmod(p, "AUTH.nk", 0o600) },
		},
		"several key files that others can read": {
			spoil: func(p *place) { chmod(p, "APP1.nk", 0o640); chmod(p, "auth.creds", 0o604) },
			wants: []string{"these files are open", "APP1.nk", "auth.creds", "chmod 600"},
			mend:  func(p *place) { chmod(p, "APP1.nk", 0o600); chmod(p, "auth.creds", 0o600) },
		},
		"creds that are no auth user's": {
			options: natstest.CompanyOptions{Server: soon},
			spoil:   func(p *place) { p.said.Creds = p.User(p.AUTH, "somebody", nil) },
			wants:   []string{"somebody.creds", "not among the auth users", "--auth-user U"},
			mend:    func(p *place) { p.said.Creds = p.Path("auth.creds") },
		},
		"creds that may not hear requests": {
			options: natstest.CompanyOptions{User: func(_ string, c *jwt.UserClaims) {
				if c.Name == "auth" {
					c.Sub.Allow.Add("something")
				}
			}},
			wants: []string{"may not subscribe to $SYS.REQ.USER.AUTH", "--allow-sub"},
		},
		"an account that has no callout": {
			options: natstest.CompanyOptions{NoCallout: true},
			wants:   []string{"ask no callout", "nsc edit authcallout --account AUTH --auth-user U"},
		},
		"the key of another account": {
			spoil: func(p *place) { p.said.Accounts[0].Key = p.Path("APP2.nk") },
			wants: []string{"is none of account APP1", "nsc describe account APP1"},
			mend:  func(p *place) { p.said.Accounts[0].Key = p.Path("APP1.nk") },
		},
		"a key that was taken from its account": {
			spoil: func(p *place) {
				p.Push(p.APP2, func(c *jwt.AccountClaims) { delete(c.SigningKeys, natstest.PublicKey(p.t, p.APP2.Signer)) })
			},
			wants: []string{"is none of account APP2", "it was removed"},
			mend: func(p *place) {
				p.Push(p.APP2, func(c *jwt.AccountClaims) { c.SigningKeys.Add(natstest.PublicKey(p.t, p.APP2.Signer)) })
			},
		},
		"an account that is not allowed": {
			options: natstest.CompanyOptions{Allowed: []string{"APP1"}},
			wants:   []string{"account APP2", "not among those", "--allowed-account A"},
			mend: func(p *place) {
				p.Push(p.AUTH, func(c *jwt.AccountClaims) { c.Authorization.AllowedAccounts.Add(p.APP2.ID) })
			},
		},
		"an account that the servers do not know": {
			options: natstest.CompanyOptions{Allowed: []string{"*"}},
			spoil: func(p *place) {
				pair, _ := nkeys.CreateAccount()
				p.said.Accounts[1].ID = natstest.PublicKey(p.t, pair)
			},
			wants: []string{"do not know account APP2", "nsc push"},
			mend:  func(p *place) { p.said.Accounts[1].ID = p.APP2.ID },
		},
		"a key with a template that is said to have none": {
			spoil: func(p *place) { p.said.Accounts[0].Key = p.Path("APP1.scoped.nk") },
			wants: []string{"is bound to a template", ":scoped"},
			mend:  func(p *place) { p.said.Accounts[0].Key = p.Path("APP1.nk") },
		},
		"a key without a template that is said to have one": {
			spoil: func(p *place) {
				p.said.Accounts[1].Scoped = true
				p.said.Users = p.write("simple.json", aliceAlone, 0o600)
			},
			wants: []string{"is not bound to a template", "could do everything"},
			mend:  func(p *place) { p.said.Accounts[1].Scoped = false },
		},
		"the system account": {
			options: natstest.CompanyOptions{Allowed: []string{"*"}},
			spoil:   func(p *place) { addSystem(p) },
			wants:   []string{"account SYS", "it is the system account", "destroy"},
			mend:    func(p *place) { p.said.Accounts = p.said.Accounts[:2] },
		},
		"the system account, which is known": {
			options: natstest.CompanyOptions{Allowed: []string{"*"}},
			spoil:   func(p *place) { addSystem(p); p.said.SystemCreds = p.Path("sys.creds") },
			wants:   []string{"account SYS is that of", "sys.creds", "if it is the system account", "destroy"},
			mend:    func(p *place) { p.said.Accounts = p.said.Accounts[:2] },
		},
		"AUTH as a place for logins": {
			options: natstest.CompanyOptions{Allowed: []string{"*"}},
			spoil: func(p *place) {
				p.said.Accounts = append(p.said.Accounts, service.AccountKey{Name: "AUTH", ID: p.AUTH.ID, Key: p.Path("AUTH.nk")})
			},
			wants: []string{"account AUTH is AUTH itself", "leave it out"},
			mend:  func(p *place) { p.said.Accounts = p.said.Accounts[:2] },
		},
		"an issuer of another account": {
			spoil: func(p *place) { p.said.Issuer, p.said.AuthJWT = p.Path("APP1.nk"), p.Path("AUTH.jwt") },
			wants: []string{"neither AUTH's identity nor one of its signing keys"},
			mend:  func(p *place) { p.said.Issuer = p.Path("AUTH.nk") },
		},
		"another account's JWT": {
			spoil: func(p *place) { p.said.AuthJWT = p.Path("APP1.jwt") },
			wants: []string{"APP1.jwt is the JWT of account", "(APP1)"},
			mend:  func(p *place) { p.said.AuthJWT = p.Path("AUTH.jwt") },
		},
		"a JWT that names another auth user": {
			spoil: func(p *place) {
				p.said.Creds, p.said.AuthJWT = p.User(p.AUTH, "late", nil), p.Path("AUTH.jwt")
				p.Push(p.AUTH, func(c *jwt.AccountClaims) { c.Authorization.AuthUsers.Add(userOf(p, "late.creds")) })
				p.AUTH.Claims.Authorization.AuthUsers = jwt.StringList{p.AuthUser}
				p.said.AuthJWT = p.write("before.jwt", p.Token(p.AUTH), 0o600)
			},
			wants: []string{"is not among the auth users of AUTH"},
			mend:  func(p *place) { p.said.AuthJWT = "" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // much of it is waiting
			p := newPlace(t, c.options)
			if c.spoil != nil {
				c.spoil(p)
			}
			said := p.refused()
			mustSay(t, said, c.wants...)
			if holdsSeed(said) {
				t.Errorf("a secret is shown: %q", said)
			}
			if c.mend == nil {
				return
			}
			c.mend(p)
			p.start()
			p.mustEnter("alice", "alice")
		})
	}
}

const aliceAlone = `{"alice": {"pass": "alice", "account": "APP1"}}`

func chmod(p *place, name string, mode os.FileMode) {
	p.t.Helper()
	if err := os.Chmod(p.Path(name), mode); err != nil {
		p.t.Fatal(err)
	}
}

func addSystem(p *place) {
	p.said.Accounts = append(p.said.Accounts, service.AccountKey{Name: "SYS", ID: p.SYS.ID, Key: p.Path("SYS.nk")})
}

func userOf(p *place, creds string) string {
	p.t.Helper()
	text, err := os.ReadFile(p.Path(creds))
	if err != nil {
		p.t.Fatal(err)
	}
	pair, err := nkeys.ParseDecoratedUserNKey(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return natstest.PublicKey(p.t, pair)
}

func newXKey(t *testing.T) string {
	t.Helper()
	pair, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	return string(natstest.Seed(t, pair))
}

func holdsSeed(text string) bool {
	for _, word := range strings.Fields(text) {
		if _, _, err := nkeys.DecodeSeed([]byte(word)); err == nil {
			return true
		}
	}
	return false
}

func TestTheServersOwnSentinelIsJudgedToo(t *testing.T) {
	loose := func(_ string, c *jwt.UserClaims) {
		if c.Name == "default-sentinel" {
			c.Permissions = jwt.Permissions{}
		}
	}
	bad := newPlace(t, natstest.CompanyOptions{DefaultSentinel: true, User: loose})
	bad.said.Sentinel = ""
	mustSay(t, bad.refused(), `the sentinel "default-sentinel"`, "may do something")

	good := newPlace(t, natstest.CompanyOptions{DefaultSentinel: true})
	good.said.Sentinel = ""
	good.start()
	if good.told("was not checked") {
		t.Errorf("told %q", good.lines)
	}
	if _, err := good.Connect("", nats.UserInfo("alice", "alice")); err != nil {
		t.Errorf("without a sentinel of her own: %v", err)
	}
}

func TestWhatCouldNotBeCheckedIsSaid(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	p.said.Sentinel = ""
	p.said.Users = p.write("simple.json", aliceAlone, 0o600)
	p.said.Accounts[0].Key, p.said.Accounts[0].Scoped = p.Path("APP1.scoped.nk"), true
	p.start()
	p.mustTell("none is named with --sentinel")
	p.mustTell("APP1.scoped.nk is bound to a template was not checked")
	p.mustEnter("alice", "alice")
}

func TestAllAccountsAllowedIsWorthAWarning(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{Allowed: []string{"*"}})
	p.said.AuthJWT = p.Path("AUTH.jwt")
	p.start()
	p.mustTell(`every account ("*"), the system account among them`)

	asked := newPlace(t, natstest.CompanyOptions{Allowed: []string{"*"}})
	asked.said.SystemCreds = asked.User(asked.SYS, "limited", func(c *jwt.UserClaims) {
		c.Pub.Allow.Add("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP")
		c.Pub.Allow.Add(registry.SystemPublishes...)
		c.Sub.Allow.Add("_INBOX.>")
		c.Sub.Allow.Add(registry.SystemSubscribes...)
	})
	asked.start()
	asked.mustTell(`every account ("*")`)

	named := newPlace(t, natstest.CompanyOptions{})
	named.said.AuthJWT = named.Path("AUTH.jwt")
	named.start()
	if named.told(`"*"`) {
		t.Errorf("told %q", named.lines)
	}
}

func TestAnIssuerThatCannotBeCheckedIsSaid(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	p.said.Issuer = p.write("AUTH.signing.nk", string(natstest.Seed(t, p.AUTH.Signer)), 0o600)
	p.start()
	p.mustTell("may be a signing key of AUTH")
	p.mustEnter("alice", "alice")

	p.said.AuthJWT = p.Path("AUTH.jwt")
	p.lines = nil
	p.start()
	if p.told("may be a signing key") {
		t.Errorf("told %q", p.lines)
	}
}

// The server says that it is an older one, in its greeting: whoever relays it changes that.
func TestServersWithKnownHolesAreRefused(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	real := p.said.NATS
	p.said.NATS = []string{relay(t, strings.TrimPrefix(real[0], "nats://"), server.VERSION, "2.15.0")}
	mustSay(t, p.refused(), "2.15.0", "known hole", "update the servers")
	p.said.NATS = []string{relay(t, strings.TrimPrefix(real[0], "nats://"), server.VERSION, "2.14.7")}
	mustSay(t, p.refused(), "2.14.7", "known hole")
	p.said.NATS = []string{relay(t, strings.TrimPrefix(real[0], "nats://"), server.VERSION, server.VERSION)}
	p.start()
	p.mustEnter("alice", "alice")
}

// relay passes on connections to a server, and puts one text in the place of another of the
// same length in what the server says.
func relay(t *testing.T, address, before, after string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go pass(client, address, before, after)
		}
	}()
	return "nats://" + listener.Addr().String()
}

func pass(client net.Conn, address, before, after string) {
	defer client.Close()
	upstream, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer upstream.Close()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(upstream, client)
		_ = upstream.Close()
		close(done)
	}()
	for chunk := make([]byte, 64<<10); ; {
		n, err := upstream.Read(chunk)
		if err != nil {
			break
		}
		if _, err := io.WriteString(client, strings.ReplaceAll(string(chunk[:n]), before, after)); err != nil {
			break
		}
	}
	_ = client.Close()
	<-done
}
