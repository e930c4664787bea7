package natstest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// CompanyOptions say how a Company is set up. The zero value is one server, set up well.
type CompanyOptions struct {
	Servers         int      // of a cluster; 1
	NoXKey          bool     // AUTH's JWT names no xkey: login requests travel in the clear
	NoCallout       bool     // AUTH leaves logins to nobody
	Allowed         []string // names of the accounts that the callout may place logins in, or "*"; APP1 and APP2
	DefaultSentinel bool     // the servers' own, for clients that send none
	JetStream       bool     // on the servers, and for APP1 and APP2
	TLS             bool     // clients need it; certificates of clients are verified where they send one

	Server  func(*server.Options)                   // further options of each server
	Account func(name string, _ *jwt.AccountClaims) // further claims of each account
	User    func(account string, _ *jwt.UserClaims) // further claims of auth.creds and sentinel.creds
}

// Company is a NATS system as a company runs one: servers in operator mode with directory
// resolvers, and the accounts SYS, AUTH, APP1 and APP2, made of the jwt and nkeys libraries as
// nsc lays them out. AUTH hands logins to its callout, which may place them in APP1 and APP2.
//
// In Dir are the files that its operator has (mode 0600 all of them, but ca.pem and *.jwt):
//
//	auth.creds       the user of AUTH that answers login requests
//	sentinel.creds   the user of AUTH that may do nothing, with which clients reach the callout
//	AUTH.nk          seed of AUTH's identity; AUTH.jwt its account JWT
//	auth.xk          the xkey, in the two lines that nsc generate nkey --curve prints
//	APP1.nk APP2.nk  seed of a signing key of each; APP1.jwt and APP2.jwt their account JWTs
//	APP1.scoped.nk   seed of a signing key of APP1 that is bound to a template: users may publish
//	                 and subscribe to {{name()}}.>, with an inbox of _INBOX_{{name()}}.>
//	SYS.nk           seed of a signing key of the system account; sys.creds a user of it
//	app1.creds       an ordinary user of APP1, from before there was a callout; app2.creds of APP2
//	users.json       alice of APP1 and bob of APP2, as reference system 5 has them
//	ca.pem           the authority of the servers' certificates, with TLS
type Company struct {
	Dir      string
	Servers  []*server.Server
	Operator nkeys.KeyPair

	SYS, AUTH, APP1, APP2 *CompanyAccount

	XKey           nkeys.KeyPair
	AuthUser       string // U…, of auth.creds
	Sentinel       string // JWT of sentinel.creds
	BearerSentinel string // JWT of a sentinel that needs no seed: the servers' default, if they have one

	t         testing.TB
	options   CompanyOptions
	authority *authority
}

// CompanyAccount is one of a company's accounts.
type CompanyAccount struct {
	Name, ID string
	Identity nkeys.KeyPair
	Signer   nkeys.KeyPair // a signing key without a scope
	Scoped   nkeys.KeyPair // APP1's, with the role "scoped"; nil for the others
	Claims   *jwt.AccountClaims
}

// UsersFile is users.json of a Company: as reference system 5 has it, passwords and all.
const UsersFile = `{
  "alice": {"pass": "alice", "account": "APP1"},
  "bob": {
    "pass": "bob",
    "account": "APP2",
    "permissions": {
      "pub": {"allow": ["bob.>"], "deny": ["bob.secret.>"]},
      "sub": {"allow": ["bob.>", "requests.bob"]},
      "resp": {"max": 1, "ttl": 5000000000}
    }
  }
}
`

// StartCompany starts the servers, which end with the test.
func StartCompany(t testing.TB, options CompanyOptions) *Company {
	t.Helper()
	c := &Company{Dir: t.TempDir(), t: t, options: options, Operator: newKey(t, nkeys.CreateOperator), XKey: newKey(t, nkeys.CreateCurveKeys)}
	c.SYS, c.AUTH, c.APP1, c.APP2 = c.account("SYS"), c.account("AUTH"), c.account("APP1"), c.account("APP2")
	c.scope(c.APP1)
	c.makeUsers()
	if !options.NoCallout {
		c.setCallout()
	}
	for _, account := range []*CompanyAccount{c.SYS, c.AUTH, c.APP1, c.APP2} {
		if options.JetStream && account != c.SYS && account != c.AUTH {
			account.Claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
				MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
			}
		}
		if options.Account != nil {
			options.Account(account.Name, account.Claims)
		}
	}
	if options.TLS {
		c.authority = newAuthority(t)
		c.write("ca.pem", c.authority.pem, 0o644)
	}
	c.writeKeys()
	c.startServers()
	return c
}

func (c *Company) account(name string) *CompanyAccount {
	a := &CompanyAccount{Name: name, Identity: newKey(c.t, nkeys.CreateAccount), Signer: newKey(c.t, nkeys.CreateAccount)}
	a.ID = PublicKey(c.t, a.Identity)
	a.Claims = jwt.NewAccountClaims(a.ID)
	a.Claims.Name = name
	a.Claims.SigningKeys.Add(PublicKey(c.t, a.Signer))
	return a
}

func (c *Company) scope(a *CompanyAccount) {
	a.Scoped = newKey(c.t, nkeys.CreateAccount)
	scope := jwt.NewUserScope()
	scope.Key, scope.Role = PublicKey(c.t, a.Scoped), "scoped"
	scope.Template.Permissions = jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{"{{name()}}.>"}},
		Sub: jwt.Permission{Allow: jwt.StringList{"{{name()}}.>", "_INBOX_{{name()}}.>"}},
	}
	a.Claims.SigningKeys.AddScopedSigner(scope)
}

// makeUsers makes the users of AUTH, whose keys its JWT names.
func (c *Company) makeUsers() {
	change := func(claims *jwt.UserClaims) {
		if c.options.User != nil {
			c.options.User("AUTH", claims)
		}
	}
	nothing := func(claims *jwt.UserClaims) {
		claims.Permissions.Pub.Deny.Add(">")
		claims.Permissions.Sub.Deny.Add(">")
		change(claims)
	}
	_, auth := c.user(c.AUTH, "auth", change)
	c.AuthUser = auth.Subject
	c.Sentinel, _ = c.user(c.AUTH, "sentinel", nothing)
	c.BearerSentinel, _ = c.user(c.AUTH, "default-sentinel", func(claims *jwt.UserClaims) {
		claims.BearerToken = true
		nothing(claims)
	})
	c.user(c.SYS, "sys", nil)
	c.user(c.APP1, "app1", nil)
	c.user(c.APP2, "app2", nil)
}

func (c *Company) setCallout() {
	authorization := jwt.ExternalAuthorization{AuthUsers: jwt.StringList{c.AuthUser}}
	names := c.options.Allowed
	if len(names) == 0 {
		names = []string{"APP1", "APP2"}
	}
	for _, name := range names {
		for _, account := range []*CompanyAccount{c.SYS, c.AUTH, c.APP1, c.APP2} {
			if account.Name == name {
				name = account.ID
			}
		}
		authorization.AllowedAccounts.Add(name)
	}
	if !c.options.NoXKey {
		authorization.XKey = PublicKey(c.t, c.XKey)
	}
	c.AUTH.Claims.Authorization = authorization
}

func (c *Company) writeKeys() {
	c.write("AUTH.nk", Seed(c.t, c.AUTH.Identity), 0o600)
	c.write("auth.xk", []byte(string(Seed(c.t, c.XKey))+"\n"+PublicKey(c.t, c.XKey)+"\n"), 0o600)
	c.write("SYS.nk", Seed(c.t, c.SYS.Signer), 0o600)
	c.write("APP1.nk", Seed(c.t, c.APP1.Signer), 0o600)
	c.write("APP1.scoped.nk", Seed(c.t, c.APP1.Scoped), 0o600)
	c.write("APP2.nk", Seed(c.t, c.APP2.Signer), 0o600)
	c.write("users.json", []byte(UsersFile), 0o600)
	for _, account := range []*CompanyAccount{c.AUTH, c.APP1, c.APP2} {
		c.write(account.Name+".jwt", []byte(c.Token(account)+"\n"), 0o644)
	}
}

// Path is the path of one of the company's files.
func (c *Company) Path(name string) string { return filepath.Join(c.Dir, name) }

func (c *Company) write(name string, content []byte, mode os.FileMode) {
	c.t.Helper()
	// Rewritten, it must not keep the mode that a test gave it.
	if err := errors.Join(os.WriteFile(c.Path(name), content, mode), os.Chmod(c.Path(name), mode)); err != nil {
		c.t.Fatal(err)
	}
}

// Token is an account's JWT as it is now, signed by the operator.
func (c *Company) Token(account *CompanyAccount) string {
	c.t.Helper()
	return Encode(c.t, account.Claims, c.Operator)
}

// User makes a user of an account, signed by its identity, and writes NAME.creds. change may
// be nil, or give it permissions and more. It returns the path of the creds file.
func (c *Company) User(account *CompanyAccount, name string, change func(*jwt.UserClaims)) string {
	c.t.Helper()
	c.user(account, name, change)
	return c.Path(name + ".creds")
}

func (c *Company) user(account *CompanyAccount, name string, change func(*jwt.UserClaims)) (string, *jwt.UserClaims) {
	c.t.Helper()
	key := newKey(c.t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(PublicKey(c.t, key))
	claims.Name = name
	if change != nil {
		change(claims)
	}
	token := Encode(c.t, claims, account.Identity)
	creds, err := jwt.FormatUserConfig(token, Seed(c.t, key))
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(name+".creds", creds, 0o600)
	return token, claims
}

func (c *Company) startServers() {
	number := max(c.options.Servers, 1)
	operator := jwt.NewOperatorClaims(PublicKey(c.t, c.Operator))
	operator.Name, operator.SystemAccount = "company", c.SYS.ID
	token, err := jwt.DecodeOperatorClaims(Encode(c.t, operator, c.Operator))
	if err != nil {
		c.t.Fatal(err)
	}
	var routes []*url.URL
	for i := range number {
		options := c.serverOptions(token, i)
		options.Routes = routes
		s := Start(c.t, options)
		if number > 1 {
			routes = append(routes, &url.URL{Scheme: "nats", Host: s.ClusterAddr().String()})
		}
		c.Servers = append(c.Servers, s)
	}
	AwaitCluster(c.t, c.Servers, c.Path("sys.creds"))
}

// AwaitCluster waits until each of the servers reaches every other one, for all accounts.
// creds are those of a user of the system account. What is published sooner may not come
// everywhere.
func AwaitCluster(t testing.TB, servers []*server.Server, creds string) {
	t.Helper()
	if len(servers) == 1 {
		return
	}
	routes := (len(servers) - 1) * (server.DEFAULT_ROUTE_POOL_SIZE + 1) // one more for the system account
	for _, s := range servers {
		Eventually(t, "the servers are a cluster", func() bool { return s.NumRoutes() >= routes })
	}
	for _, s := range servers {
		nc, err := nats.Connect(s.ClientURL(), nats.UserCredentials(creds), nats.NoReconnect(), nats.IgnoreDiscoveredServers(), nats.Timeout(Patience))
		if err != nil {
			t.Fatal(err)
		}
		Eventually(t, "the servers hear each other", func() bool { return answers(t, nc, len(servers)) == len(servers) })
		nc.Close()
	}
}

// answers is how many servers, of so many, answer a ping soon.
func answers(t testing.TB, nc *nats.Conn, most int) (number int) {
	t.Helper()
	sub, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest("$SYS.REQ.SERVER.PING", sub.Subject, nil); err != nil {
		t.Fatal(err)
	}
	for number < most {
		if _, err := sub.NextMsg(time.Second); err != nil {
			break
		}
		number++
	}
	return number
}

// AwaitInterest waits until every server knows somebody in AUTH who hears these subjects.
func (c *Company) AwaitInterest(subjects ...string) {
	c.t.Helper()
	for _, s := range c.Servers {
		account, err := s.LookupAccount(c.AUTH.ID)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, subject := range subjects {
			Eventually(c.t, "every server knows who hears "+subject, func() bool { return account.Interest(subject) > 0 })
		}
	}
}

func (c *Company) serverOptions(operator *jwt.OperatorClaims, i int) *server.Options {
	c.t.Helper()
	dir := filepath.Join(c.Dir, fmt.Sprint("server", i))
	resolver, err := server.NewDirAccResolver(filepath.Join(dir, "jwt"), 0, time.Minute, server.NoDelete)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, account := range []*CompanyAccount{c.SYS, c.AUTH, c.APP1, c.APP2} {
		if err := resolver.Store(account.ID, c.Token(account)); err != nil {
			c.t.Fatal(err)
		}
	}
	options := &server.Options{
		ServerName: fmt.Sprint("company-", i), TrustedOperators: []*jwt.OperatorClaims{operator},
		SystemAccount: c.SYS.ID, AccountResolver: resolver, AuthTimeout: 10, // seconds: the machine may be slow
		DisableShortFirstPing: true, // on a slow machine it comes before the login is answered, and ends it
		JetStream:             c.options.JetStream, StoreDir: dir,
	}
	if c.options.Servers > 1 {
		options.Cluster = server.ClusterOpts{Name: "company", Host: "127.0.0.1", Port: server.RANDOM_PORT}
	}
	if c.options.DefaultSentinel {
		options.DefaultSentinel = c.BearerSentinel
	}
	if c.options.TLS {
		options.TLS, options.TLSConfig, options.TLSTimeout = true, c.authority.server(c.t), Patience.Seconds()
	}
	if c.options.Server != nil {
		c.options.Server(options)
	}
	return options
}

// URL is where clients find the servers, all of them.
func (c *Company) URL() string {
	var urls []string
	for _, s := range c.Servers {
		address := s.Addr().(*net.TCPAddr)
		scheme := "nats"
		if c.options.TLS {
			scheme = "tls"
		}
		urls = append(urls, fmt.Sprintf("%s://127.0.0.1:%d", scheme, address.Port))
	}
	return strings.Join(urls, ",")
}

// Connect connects with a creds file, or none, until the test ends.
func (c *Company) Connect(creds string, options ...nats.Option) (*nats.Conn, error) {
	all := []nats.Option{nats.NoReconnect(), nats.Timeout(Patience), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
	if creds != "" {
		all = append(all, nats.UserCredentials(creds))
	}
	if c.options.TLS {
		all = append(all, nats.RootCAs(c.Path("ca.pem")))
	}
	nc, err := nats.Connect(c.URL(), append(all, options...)...)
	if err == nil {
		c.t.Cleanup(nc.Close)
	}
	return nc, err
}

// Push changes an account's JWT on the running servers, as nsc push does, and waits until
// each has it.
func (c *Company) Push(account *CompanyAccount, change func(*jwt.AccountClaims)) {
	c.t.Helper()
	change(account.Claims)
	token := c.Token(account)
	nc, err := c.Connect(c.Path("sys.creds"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer nc.Close()
	reply := nats.NewInbox()
	answers, err := nc.SubscribeSync(reply)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := nc.PublishRequest("$SYS.REQ.CLAIMS.UPDATE", reply, []byte(token)); err != nil {
		c.t.Fatal(err)
	}
	for range c.Servers {
		answer, err := answers.NextMsg(Patience)
		if err != nil || !strings.Contains(string(answer.Data), `"code":200`) {
			c.t.Fatalf("push of %s: %v %s", account.Name, err, answer.Data)
		}
	}
	if account != c.SYS {
		c.write(account.Name+".jwt", []byte(token+"\n"), 0o644)
	}
}

func newKey(t testing.TB, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// PublicKey is a key's public half.
func PublicKey(t testing.TB, key nkeys.KeyPair) string {
	t.Helper()
	text, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Seed is a key's secret half.
func Seed(t testing.TB, key nkeys.KeyPair) []byte {
	t.Helper()
	seed, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// Encode signs claims.
func Encode(t testing.TB, claims jwt.Claims, key nkeys.KeyPair) string {
	t.Helper()
	token, err := claims.Encode(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
