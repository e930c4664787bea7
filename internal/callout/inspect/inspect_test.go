package inspect_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout/inspect"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// company is a real NATS system in operator mode, whose account APP1 is inspected.
type company struct {
	*natstest.Company
	t *testing.T
}

func start(t *testing.T, options natstest.CompanyOptions) *company {
	t.Helper()
	options.NoCallout = true
	return &company{natstest.StartCompany(t, options), t}
}

// private are the rights of somebody with an inbox of their own.
func private(claims *jwt.UserClaims) {
	claims.Pub.Allow.Add("services.>")
	claims.Sub.Allow.Add("_INBOX_" + claims.Name + ".>")
	claims.Sub.Deny.Add("_INBOX.>")
}

// greeter has the rights of a service.
func greeter(claims *jwt.UserClaims) {
	claims.Pub.Deny.Add(">")
	claims.Sub.Allow.Add("services.greet")
	claims.Resp = &jwt.ResponsePermission{MaxMsgs: 1, Expires: time.Minute}
}

// enters connects a new user of APP1 to one of the servers.
func (c *company) enters(name string, rights func(*jwt.UserClaims)) *nats.Conn {
	c.t.Helper()
	return c.connects(c.User(c.APP1, name, rights), 0)
}

func (c *company) connects(creds string, server int, options ...nats.Option) *nats.Conn {
	c.t.Helper()
	nc, err := nats.Connect(c.Servers[server].ClientURL(), append(options, nats.UserCredentials(creds), nats.NoReconnect())...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	return nc
}

// inspects looks at APP1 with creds of the system account.
func (c *company) inspects(change func(*inspect.Options)) *inspect.Report {
	c.t.Helper()
	o := inspect.Options{Account: c.APP1.ID, System: true, Servers: len(c.Servers), Patience: natstest.Patience, Quiet: natstest.Patience}
	if change != nil {
		change(&o)
	}
	r, err := inspect.Inspect(natstest.Within(c.t), c.connects(c.Path("sys.creds"), 0), o)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// grave are the findings that are no warnings, each in a line.
func grave(r *inspect.Report) (found []string) {
	for _, f := range r.Findings {
		if !f.Kind.Warning() {
			found = append(found, f.User.Name+" "+string(f.Kind)+" "+strings.Join(f.Others, ","))
		}
	}
	return found
}

func wants(t *testing.T, r *inspect.Report, want ...string) {
	t.Helper()
	if got := grave(r); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestPrivateInboxesHold(t *testing.T) {
	c := start(t, natstest.CompanyOptions{})
	c.enters("joe", private)
	c.enters("pam", private)
	c.enters("greeter", greeter)
	r := c.inspects(nil)
	wants(t, r)
	if len(r.Users) != 3 || r.Connections != 3 || len(r.Unseen) != 0 || r.Account != c.APP1.ID {
		t.Errorf("%+v", r)
	}
	if len(r.Findings) != 1 || r.Findings[0].Kind != inspect.Redirected || !slices.Equal(r.Findings[0].Others, []string{"joe", "pam"}) {
		t.Errorf("the greeter can be made to answer elsewhere, by joe and pam: %+v", r.Findings)
	}
}

func TestWhoMayDoEverythingIsNamed(t *testing.T) {
	c := start(t, natstest.CompanyOptions{})
	c.enters("joe", private)
	c.enters("pam", private)
	c.enters("snoop", nil)
	r := c.inspects(nil)
	wants(t, r, "snoop reads joe,pam", "snoop injects joe,pam")
	f := r.Findings[0]
	if !r.Everybody(f.Others) || !strings.HasPrefix(f.Subject, "_INBOX_joe.") || !strings.Contains(f.Remedy, "revoke") || len(f.User.Connections) != 1 {
		t.Errorf("%+v", f)
	}
	if last := r.Findings[len(r.Findings)-1]; last.Kind != inspect.Shared || last.User.Name != "snoop" {
		t.Errorf("%+v", last)
	}
}

func TestWhatEachRightComesTo(t *testing.T) {
	for name, row := range map[string]struct {
		rights func(*jwt.UserClaims)
		want   []string
	}{
		"the shared inbox denied alone": {func(c *jwt.UserClaims) {
			c.Sub.Deny.Add("_INBOX.>")
			c.Pub.Allow.Add("services.>")
		}, []string{"other reads joe"}},
		"joe's inbox denied": {func(c *jwt.UserClaims) {
			c.Sub.Deny.Add("_INBOX_joe.>", "_INBOX.>")
			c.Pub.Deny.Add("_INBOX_joe.>")
		}, nil},
		"a part of joe's inbox denied": {func(c *jwt.UserClaims) {
			c.Sub.Deny.Add("_INBOX_joe.*")
			c.Pub.Deny.Add("_INBOX_joe.>")
		}, []string{"other reads joe"}},
		"all lengths of joe's inbox denied": {func(c *jwt.UserClaims) {
			c.Sub.Deny.Add("_INBOX_joe.*", "_INBOX_joe.*.>")
			c.Pub.Deny.Add("*.>")
		}, nil},
		"a wildcard in front": {func(c *jwt.UserClaims) {
			c.Sub.Allow.Add("*.event.*")
			c.Pub.Allow.Add("*.*")
		}, []string{"other reads joe", "other injects joe"}},
		"joe's own": {func(c *jwt.UserClaims) {
			c.Sub.Allow.Add("_INBOX_joe.one")
			c.Pub.Allow.Add("_INBOX_joe.two")
		}, []string{"other reads joe", "other injects joe"}},
		"through a queue": {func(c *jwt.UserClaims) {
			c.Sub.Allow.Add("_INBOX_joe.> workers")
			c.Pub.Deny.Add(">")
		}, []string{"other reads joe"}},
		"denied to a queue alone": {func(c *jwt.UserClaims) {
			c.Sub.Deny.Add("_INBOX_joe.> workers")
			c.Pub.Deny.Add(">")
		}, []string{"other reads joe"}},
		"nothing": {func(c *jwt.UserClaims) {
			c.Sub.Deny.Add(">")
			c.Pub.Deny.Add(">")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, natstest.CompanyOptions{})
			c.enters("joe", private)
			c.enters("other", row.rights)
			r := c.inspects(nil)
			got := slices.DeleteFunc(grave(r), func(one string) bool { return strings.HasPrefix(one, "joe ") })
			if !slices.Equal(got, row.want) {
				t.Errorf("found %q, want %q", got, row.want)
			}
		})
	}
}

func TestAClusterIsInspectedWhole(t *testing.T) {
	c := start(t, natstest.CompanyOptions{Servers: 3})
	c.connects(c.User(c.APP1, "joe", private), 0)
	c.connects(c.User(c.APP1, "pam", private), 1)
	wants(t, c.inspects(nil))
	c.connects(c.User(c.APP1, "snoop", nil), 2)
	for _, page := range []int{0, 1} {
		r := c.inspects(func(o *inspect.Options) { o.Page = page })
		wants(t, r, "snoop reads joe,pam", "snoop injects joe,pam")
		if len(r.Servers) != 3 || len(r.Users) != 3 || len(r.Unseen) != 0 {
			t.Errorf("%+v", r)
		}
	}
	_, err := inspect.Inspect(natstest.Within(t), c.connects(c.Path("sys.creds"), 0), inspect.Options{
		Account: c.APP1.ID, System: true, Servers: 4, Patience: 2 * time.Second,
	})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("a fourth server: %v", err)
	}
}

func TestManyConnectionsAreReadPageByPage(t *testing.T) {
	c := start(t, natstest.CompanyOptions{})
	joe := c.User(c.APP1, "joe", private)
	for range 7 {
		c.connects(joe, 0)
	}
	c.enters("snoop", nil)
	r := c.inspects(func(o *inspect.Options) { o.Page = 3 })
	wants(t, r, "snoop reads joe", "snoop injects joe")
	if r.Connections != 8 || len(r.Users) != 2 || len(r.Users[0].Connections) != 7 {
		t.Errorf("%+v", r)
	}
}

// scoped makes creds by the signing key of APP1 that is bound to a template.
func (c *company) scoped(name string, tags ...string) string {
	c.t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		c.t.Fatal(err)
	}
	claims := jwt.NewUserClaims(natstest.PublicKey(c.t, key))
	claims.Name, claims.IssuerAccount = name, c.APP1.ID
	claims.Tags.Add(tags...)
	claims.SetScoped(true)
	creds, err := jwt.FormatUserConfig(natstest.Encode(c.t, claims, c.APP1.Scoped), natstest.Seed(c.t, key))
	if err != nil {
		c.t.Fatal(err)
	}
	path := c.Path(name + ".creds")
	if err := os.WriteFile(path, creds, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func TestScopedKeysAndDefaultsStandInTheAccountsJWT(t *testing.T) {
	c := start(t, natstest.CompanyOptions{})
	c.Push(c.APP1, func(claims *jwt.AccountClaims) {
		claims.DefaultPermissions = jwt.Permissions{Sub: jwt.Permission{Allow: jwt.StringList{"_INBOX_joe.mail"}}, Pub: jwt.Permission{Deny: jwt.StringList{">"}}}
	})
	c.connects(c.scoped("joe"), 0)
	c.connects(c.scoped("pam"), 0)
	c.enters("clerk", nil)
	r := c.inspects(nil)
	wants(t, r, "clerk reads joe")
	if len(r.Unseen) != 0 || !slices.Equal(r.Users[1].Inboxes, []string{"_INBOX_joe.>"}) {
		t.Errorf("%+v", r)
	}
	// A user of the account may ask as well, and does not see the account's JWT.
	nc := c.connects(c.User(c.APP1, "asks", func(claims *jwt.UserClaims) {
		claims.Pub.Allow.Add("$SYS.REQ.ACCOUNT.PING.CONNZ")
		claims.Sub.Allow.Add("_INBOX_asks.>")
	}), 0, nats.CustomInboxPrefix("_INBOX_asks"))
	o := inspect.Options{Servers: 1, Patience: natstest.Patience}
	r, err := inspect.Inspect(natstest.Within(t), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Unseen) != 2 || r.Connections != 3 || r.Account != c.APP1.ID {
		t.Errorf("%+v", r)
	}
	o.Claims = c.APP1.Claims
	if r, err = inspect.Inspect(natstest.Within(t), nc, o); err != nil || len(r.Unseen) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	wants(t, r, "clerk reads joe")
}

// TestOneNameIsOnePerson: logins of one name may share the inbox that is called so.
func TestOneNameIsOnePerson(t *testing.T) {
	c := start(t, natstest.CompanyOptions{})
	c.enters("joe", private)
	c.enters("joe", private)
	wants(t, c.inspects(nil))
	c.enters("pam", func(claims *jwt.UserClaims) {
		claims.Sub.Allow.Add("_INBOX_pam.>", "_INBOX_joe.>")
		claims.Pub.Deny.Add(">")
	})
	wants(t, c.inspects(nil), "pam reads joe,joe")
	c.enters("tom", func(claims *jwt.UserClaims) {
		claims.Sub.Allow.Add("_INBOX_team.>")
		claims.Pub.Deny.Add(">")
	})
	c.enters("ann", func(claims *jwt.UserClaims) {
		claims.Sub.Allow.Add("_INBOX_team.>")
		claims.Pub.Deny.Add(">")
	})
	wants(t, c.inspects(nil), "ann reads tom", "pam reads joe,joe", "tom reads ann")
}

func TestWhatServersDoNotShowIsSaid(t *testing.T) {
	c := start(t, natstest.CompanyOptions{})
	c.enters("joe", private)
	bearer := c.enters("bearer", func(claims *jwt.UserClaims) { claims.BearerToken = true })
	r := c.inspects(nil)
	wants(t, r)
	if len(r.Unseen) != 1 || !strings.Contains(r.Unseen[0], "without a JWT") {
		t.Errorf("%q", r.Unseen)
	}
	if _, err := bearer.SubscribeSync("_INBOX_joe.>"); err != nil {
		t.Fatal(err)
	}
	if err := bearer.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	if r = c.inspects(nil); len(grave(r)) != 1 || r.Findings[0].Kind != inspect.Reads {
		t.Errorf("a subscription to joe's inbox: %+v", r.Findings)
	}
}

func TestWhoMayNotAskIsToldSo(t *testing.T) {
	c := start(t, natstest.CompanyOptions{})
	ctx, cancel := context.WithTimeout(natstest.Within(t), natstest.Patience)
	defer cancel()
	denied := c.connects(c.User(c.APP1, "denied", func(claims *jwt.UserClaims) { claims.Pub.Deny.Add("$SYS.>") }), 0,
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	_, err := inspect.Inspect(ctx, denied, inspect.Options{Patience: time.Second})
	if !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "$SYS.REQ.ACCOUNT.PING.CONNZ") {
		t.Errorf("%v", err)
	}
	plain := natstest.Start(t, nil)
	nc, err := nats.Connect(plain.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if r, err := inspect.Inspect(ctx, nc, inspect.Options{Servers: 1}); err == nil && len(r.Users) > 0 {
		t.Errorf("%+v", r)
	}
}
