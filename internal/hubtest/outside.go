package hubtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/hub"
)

// StartOutside starts a NATS server of somebody else's, in operator mode as the usual
// tools set it up, and a hub that attaches to it. Stop ends the hub's services and leaves
// the server running; Restart brings them back.
func StartOutside(t *testing.T) *Hall {
	t.Helper()
	creds, url := startServer(t)
	h := &Hall{t: t, Dir: filepath.Join(t.TempDir(), "hub"), attach: &hub.Attach{URL: url, Creds: creds}}
	h.start("127.0.0.1:0", "")
	h.invite = h.Hub.Invite()
	t.Cleanup(h.Stop)
	return h
}

// startServer starts a server with an operator of its own; creds is the file that its
// host gives to the hub.
func startServer(t *testing.T) (creds, url string) {
	t.Helper()
	operator, signing := pair(t, nkeys.CreateOperator), pair(t, nkeys.CreateOperator)
	system, user := pair(t, nkeys.CreateAccount), pair(t, nkeys.CreateUser)

	claims := jwt.NewOperatorClaims(public(t, operator))
	claims.Name = "somebody"
	claims.SigningKeys.Add(public(t, signing))
	claims.SystemAccount = public(t, system)
	operatorToken := encode(t, claims, operator)
	systemToken := encode(t, jwt.NewAccountClaims(public(t, system)), signing)
	userToken := encode(t, jwt.NewUserClaims(public(t, user)), system)

	dir := t.TempDir()
	resolver, err := server.NewDirAccResolver(filepath.Join(dir, "jwt"), 0, time.Minute, server.NoDelete)
	must(t, err)
	must(t, resolver.Store(public(t, system), systemToken))
	decoded, err := jwt.DecodeOperatorClaims(operatorToken)
	must(t, err)
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
		TrustedOperators: []*jwt.OperatorClaims{decoded}, SystemAccount: public(t, system), AccountResolver: resolver,
	})
	must(t, err)
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(Patience) {
		t.Fatal("the server outside does not start")
	}
	userCreds, err := jwt.FormatUserConfig(userToken, seed(t, user))
	must(t, err)
	path := filepath.Join(dir, "operator.creds")
	must(t, os.WriteFile(path, []byte(strings.Join([]string{operatorToken, string(seed(t, signing)), string(userCreds)}, "\n")), 0o600))
	return path, ns.ClientURL()
}

func pair(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	must(t, err)
	return key
}

func public(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	text, err := key.PublicKey()
	must(t, err)
	return text
}

func seed(t *testing.T, key nkeys.KeyPair) []byte {
	t.Helper()
	raw, err := key.Seed()
	must(t, err)
	return raw
}

func encode(t *testing.T, claims jwt.Claims, key nkeys.KeyPair) string {
	t.Helper()
	token, err := claims.Encode(key)
	must(t, err)
	return token
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
