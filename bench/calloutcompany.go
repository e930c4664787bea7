//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// companyPatience is how long a server of the callout rows waits for a callout, and a client
// for a server: 10,000 come at once.
const companyPatience = time.Minute

// company is a NATS system of the callout rows, in operator mode, as it is told to the
// processes that play in it: a server, and a callout that answers for AUTH and places logins
// in APP.
type company struct {
	Address  string            `json:"address"` // where the server listens
	Operator string            `json:"operator"`
	System   string            `json:"system"`   // A…
	Accounts map[string]string `json:"accounts"` // JWT by A…

	Auth     string `json:"auth"`   // A… of AUTH
	Issuer   string `json:"issuer"` // its seed
	XKey     string `json:"xkey"`   // seed
	AuthUser string `json:"auth_user"`
	App      string `json:"app"`      // A… of APP
	Signer   string `json:"signer"`   // its seed
	Sentinel string `json:"sentinel"` // creds
	Door     string `json:"door"`     // JWT of a sentinel that needs no seed: the server's default
	Plain    string `json:"plain"`    // creds of a user of APP
	Closer   string `json:"closer"`   // creds of a user of the system account that may close connections

	file string
}

// identity is a key pair with its public half and its seed.
type identity struct {
	pair         nkeys.KeyPair
	public, seed string
}

func newIdentity(create func() (nkeys.KeyPair, error)) (i identity, err error) {
	if i.pair, err = create(); err != nil {
		return i, err
	}
	public, err := i.pair.PublicKey()
	seed, seedErr := i.pair.Seed()
	i.public, i.seed = public, string(seed)
	return i, errors.Join(err, seedErr)
}

// newCompany makes the keys and JWTs, and writes them into a file for the others.
func newCompany(file string) (*company, error) {
	var all [6]identity
	for i, create := range []func() (nkeys.KeyPair, error){
		nkeys.CreateOperator, nkeys.CreateAccount, nkeys.CreateAccount, nkeys.CreateAccount, nkeys.CreateCurveKeys, nkeys.CreateUser,
	} {
		var err error
		if all[i], err = newIdentity(create); err != nil {
			return nil, err
		}
	}
	operator, system, auth, app, xkey, user := all[0], all[1], all[2], all[3], all[4], all[5]
	address, _, err := freePorts()
	if err != nil {
		return nil, err
	}
	c := &company{
		Address: address, System: system.public, Auth: auth.public, Issuer: auth.seed, XKey: xkey.seed,
		App: app.public, Signer: app.seed, Accounts: make(map[string]string), file: file,
	}
	claims := jwt.NewOperatorClaims(operator.public)
	claims.SystemAccount = system.public
	if c.Operator, err = claims.Encode(operator.pair); err != nil {
		return nil, err
	}
	for _, account := range []identity{system, auth, app} {
		claims := jwt.NewAccountClaims(account.public)
		if account == auth {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: 1 << 30, Streams: 4, Consumer: 8} // the audit's
			claims.Authorization.AuthUsers.Add(user.public)
			claims.Authorization.AllowedAccounts.Add(app.public)
			claims.Authorization.XKey = xkey.public
		}
		if c.Accounts[account.public], err = claims.Encode(operator.pair); err != nil {
			return nil, err
		}
	}
	return c, errors.Join(c.makeUsers(auth, app, user), c.makeCloser(system), c.write())
}

func (c *company) makeUsers(auth, app, user identity) (err error) {
	if c.AuthUser, err = creds(auth, user, func(*jwt.UserClaims) {}); err != nil {
		return err
	}
	sentinel, err := newIdentity(nkeys.CreateUser)
	if err != nil {
		return err
	}
	if c.Sentinel, err = creds(auth, sentinel, func(claims *jwt.UserClaims) {
		claims.Pub.Deny.Add(">")
		claims.Sub.Deny.Add(">")
	}); err != nil {
		return err
	}
	if c.Door, err = door(auth); err != nil {
		return err
	}
	plain, err := newIdentity(nkeys.CreateUser)
	if err != nil {
		return err
	}
	c.Plain, err = creds(app, plain, func(claims *jwt.UserClaims) {
		claims.Pub.Allow.Add(calloutPublish...)
		claims.Sub.Allow.Add(calloutSubscribe...)
	})
	return err
}

// door is the JWT of a sentinel that is a bearer user.
func door(auth identity) (string, error) {
	user, err := newIdentity(nkeys.CreateUser)
	if err != nil {
		return "", err
	}
	claims := jwt.NewUserClaims(user.public)
	claims.BearerToken = true
	claims.Pub.Deny.Add(">")
	claims.Sub.Deny.Add(">")
	return claims.Encode(auth.pair)
}

// creds are those of a user, as a file has them.
func creds(account, user identity, change func(*jwt.UserClaims)) (string, error) {
	claims := jwt.NewUserClaims(user.public)
	change(claims)
	token, err := claims.Encode(account.pair)
	if err != nil {
		return "", err
	}
	text, err := jwt.FormatUserConfig(token, []byte(user.seed))
	return string(text), err
}

func (c *company) write() error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(c.file, text, 0o600)
}

func readCompany(file string) (*company, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c := &company{file: file}
	return c, json.Unmarshal(text, c)
}

func (c *company) url() string { return "nats://" + c.Address }

// companyServerCommand makes this program the server of a company and nothing else.
const companyServerCommand = "callout-server"

func companyServer(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: bench callout-server FILE")
	}
	c, err := readCompany(args[0])
	if err != nil {
		return err
	}
	operator, err := jwt.DecodeOperatorClaims(c.Operator)
	if err != nil {
		return err
	}
	resolver := &natsserver.MemAccResolver{}
	for id, token := range c.Accounts {
		if err := resolver.Store(id, token); err != nil {
			return err
		}
	}
	host, portText, err := net.SplitHostPort(c.Address)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	return runServer(ctx, &natsserver.Options{
		Host: host, Port: port, NoLog: true, NoSigs: true, TrustedOperators: []*jwt.OperatorClaims{operator}, SystemAccount: c.System,
		AccountResolver: resolver, AuthTimeout: companyPatience.Seconds(), DisableShortFirstPing: true,
		JetStream: true, StoreDir: filepath.Dir(c.file), DefaultSentinel: c.Door,
	})
}

// startServer starts the server of a company.
func (c *company) startServer(ctx context.Context, s *stage) (*process, error) {
	return c.startPart(ctx, s, companyServerCommand, c.file)
}

// startPart starts a process of the company and waits until it says that it is ready.
func (c *company) startPart(ctx context.Context, s *stage, args ...string) (*process, error) {
	p, err := start(ctx, nil, s.self, args...)
	if err != nil {
		return nil, err
	}
	if _, err := p.firstLine(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// login are the options of a client: with the creds of an ordinary user, or with a name and
// a password, which the callout decides, by the server's own sentinel or the client's.
func (c *company) login(name string) []nats.Option {
	options := []nats.Option{nats.NoReconnect(), nats.Timeout(companyPatience), nats.NoEcho()}
	if name == "" {
		return append(options, nats.UserCredentialBytes([]byte(c.Plain)))
	}
	if name == calloutSentinel {
		options = append(options, nats.UserCredentialBytes([]byte(c.Sentinel)))
	}
	return append(options, nats.UserInfo(name, calloutPassword))
}
