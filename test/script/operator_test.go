package script_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rogpeppe/go-internal/testscript"

	"keyhall.dev/keyhall/internal/natstest"
)

// nsc is an operator of a script, with accounts and users as the tool of that name lays them
// out: keys in files, JWTs signed by signing keys.
type nsc struct {
	identity, signer nkeys.KeyPair
	claims           *jwt.OperatorClaims
	accounts         map[string]*nscAccount
	servers          []*natsserver.Server
}

type nscAccount struct {
	identity, signer nkeys.KeyPair
	claims           *jwt.AccountClaims
}

// operatorCommand is
//
//	operator init                  keys of an operator, its signing key (operator.nk), and SYS (sys.creds)
//	operator account NAME          an account with a signing key (NAME.nk); $NAME is its public key
//	operator serve [NUMBER]        that many servers, with a NATS resolver that knows SYS alone; sets $NATS_URL
//	operator push NAME             push the account's JWT to the running servers; writes NAME.jwt
//	operator user ACCOUNT NAME [allow-pub|deny-pub|allow-sub|deny-sub|allow-pub-response VALUE,...]...
//	                               a user of it (NAME.creds); {{key}} in a value is its public key
func operatorCommand(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "operator")
	need(ts, args, 1, -1, "operator init | account NAME | serve [NUMBER] | push NAME | user ACCOUNT NAME [RIGHT VALUE,...]...")
	s := stageOf(ts)
	if args[0] == "init" {
		s.nsc = newNSC(ts)
		return
	}
	if s.nsc == nil {
		ts.Fatalf("operator init comes first")
	}
	switch {
	case args[0] == "account" && len(args) == 2:
		s.nsc.account(ts, args[1])
	case args[0] == "serve" && len(args) <= 2:
		number := 1
		if len(args) == 2 {
			var err error
			number, err = strconv.Atoi(args[1])
			ts.Check(err)
		}
		s.nsc.serve(ts, number)
	case args[0] == "push" && len(args) == 2:
		s.nsc.push(ts, args[1])
	case args[0] == "user" && len(args) >= 3 && len(args)%2 == 1:
		s.nsc.user(ts, args[1], args[2], args[3:])
	default:
		ts.Fatalf("operator does not know %q", args)
	}
}

func newNSC(ts *testscript.TestScript) *nsc {
	n := &nsc{identity: pair(ts, nkeys.CreateOperator), signer: pair(ts, nkeys.CreateOperator), accounts: make(map[string]*nscAccount)}
	n.account(ts, "SYS")
	n.claims = jwt.NewOperatorClaims(public(ts, n.identity))
	n.claims.Name, n.claims.SystemAccount = "company", n.accounts["SYS"].claims.Subject
	n.claims.SigningKeys.Add(public(ts, n.signer))
	writeSeed(ts, "operator.nk", n.signer)
	n.user(ts, "SYS", "sys", nil)
	return n
}

func (n *nsc) account(ts *testscript.TestScript, name string) {
	a := &nscAccount{identity: pair(ts, nkeys.CreateAccount), signer: pair(ts, nkeys.CreateAccount)}
	a.claims = jwt.NewAccountClaims(public(ts, a.identity))
	a.claims.Name = name
	a.claims.SigningKeys.Add(public(ts, a.signer))
	n.accounts[name] = a
	writeSeed(ts, name+".nk", a.signer)
	ts.Setenv(name, a.claims.Subject)
}

// token is an account's JWT, by the operator's signing key.
func (n *nsc) token(ts *testscript.TestScript, name string) string {
	a := n.accounts[name]
	if a == nil {
		ts.Fatalf("there is no account %s", name)
	}
	token, err := a.claims.Encode(n.signer)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(name+".jwt"), []byte(token+"\n"), 0o644))
	return token
}

func (n *nsc) serve(ts *testscript.TestScript, number int) {
	operatorToken, err := n.claims.Encode(n.identity)
	ts.Check(err)
	operator, err := jwt.DecodeOperatorClaims(operatorToken)
	ts.Check(err)
	var urls []string
	var routes []*url.URL
	for i := range number {
		resolver, err := natsserver.NewDirAccResolver(stageOf(ts).path("resolver", strconv.Itoa(i)), 0, time.Minute, natsserver.NoDelete)
		ts.Check(err)
		ts.Check(resolver.Store(n.accounts["SYS"].claims.Subject, n.token(ts, "SYS")))
		options := &natsserver.Options{
			Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true, ServerName: fmt.Sprint("server-", i),
			TrustedOperators: []*jwt.OperatorClaims{operator}, SystemAccount: n.claims.SystemAccount, AccountResolver: resolver, Routes: routes,
		}
		if number > 1 {
			options.Cluster = natsserver.ClusterOpts{Name: "company", Host: "127.0.0.1", Port: natsserver.RANDOM_PORT}
		}
		server, err := natsserver.NewServer(options)
		ts.Check(err)
		server.Start()
		ts.Defer(func() { stopNATS(server) })
		if !server.ReadyForConnections(patience) {
			ts.Fatalf("the NATS server does not come up")
		}
		if number > 1 {
			routes = append(routes, &url.URL{Scheme: "nats", Host: server.ClusterAddr().String()})
		}
		n.servers, urls = append(n.servers, server), append(urls, server.ClientURL())
	}
	natstest.AwaitCluster(stageOf(ts).t, n.servers, ts.MkAbs("sys.creds"))
	ts.Setenv("NATS_URL", strings.Join(urls, ","))
}

// push replaces an account's JWT on every server, as nsc push does.
func (n *nsc) push(ts *testscript.TestScript, name string) {
	token := n.token(ts, name)
	nc, err := nats.Connect(ts.Getenv("NATS_URL"), nats.UserCredentials(ts.MkAbs("sys.creds")))
	ts.Check(err)
	defer nc.Close()
	reply := nats.NewInbox()
	answers, err := nc.SubscribeSync(reply)
	ts.Check(err)
	ts.Check(nc.PublishRequest("$SYS.REQ.CLAIMS.UPDATE", reply, []byte(token)))
	for range n.servers {
		answer, err := answers.NextMsg(patience)
		ts.Check(err)
		if !strings.Contains(string(answer.Data), `"code":200`) {
			ts.Fatalf("push of %s: %s", name, answer.Data)
		}
	}
}

// user makes a user of an account, by the account's signing key.
func (n *nsc) user(ts *testscript.TestScript, account, name string, rights []string) {
	a := n.accounts[account]
	if a == nil {
		ts.Fatalf("there is no account %s", account)
	}
	key := pair(ts, nkeys.CreateUser)
	claims := jwt.NewUserClaims(public(ts, key))
	claims.Name, claims.IssuerAccount = name, a.claims.Subject
	for i := 0; i < len(rights); i += 2 {
		values := strings.Split(strings.ReplaceAll(rights[i+1], "{{key}}", claims.Subject), ",")
		switch rights[i] {
		case "allow-pub":
			claims.Pub.Allow.Add(values...)
		case "deny-pub":
			claims.Pub.Deny.Add(values...)
		case "allow-sub":
			claims.Sub.Allow.Add(values...)
		case "deny-sub":
			claims.Sub.Deny.Add(values...)
		case "allow-pub-response":
			most, err := strconv.Atoi(rights[i+1])
			ts.Check(err)
			claims.Resp = &jwt.ResponsePermission{MaxMsgs: most, Expires: time.Minute}
		default:
			ts.Fatalf("a user has no right %q", rights[i])
		}
	}
	token, err := claims.Encode(a.signer)
	ts.Check(err)
	seed, err := key.Seed()
	ts.Check(err)
	creds, err := jwt.FormatUserConfig(token, seed)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(name+".creds"), creds, 0o600))
}

func pair(ts *testscript.TestScript, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	key, err := create()
	ts.Check(err)
	return key
}

func public(ts *testscript.TestScript, key nkeys.KeyPair) string {
	text, err := key.PublicKey()
	ts.Check(err)
	return text
}

func writeSeed(ts *testscript.TestScript, name string, key nkeys.KeyPair) {
	seed, err := key.Seed()
	ts.Check(err)
	path := ts.MkAbs(name)
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	ts.Check(os.WriteFile(path, append(seed, '\n'), 0o600))
}
