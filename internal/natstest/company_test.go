package natstest_test

import (
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"

	"keyhall.dev/keyhall/internal/natstest"
)

func TestACompanysUsersGetInWithTheirCreds(t *testing.T) {
	for name, options := range map[string]natstest.CompanyOptions{
		"one server": {}, "a cluster": {Servers: 3}, "TLS": {TLS: true}, "JetStream": {JetStream: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := natstest.StartCompany(t, options)
			for _, creds := range []string{"app1.creds", "app2.creds", "auth.creds", "sys.creds"} {
				if _, err := c.Connect(c.Path(creds)); err != nil {
					t.Errorf("%s: %v", creds, err)
				}
			}
		})
	}
}

func TestACompanysSentinelWaitsForACallout(t *testing.T) {
	c := natstest.StartCompany(t, natstest.CompanyOptions{Server: func(o *server.Options) { o.AuthTimeout = 2 }})
	if _, err := c.Connect(c.Path("sentinel.creds")); err == nil {
		t.Error("the sentinel is let in, and nobody answers for it")
	}
	if _, err := c.Connect(c.Path("app1.creds")); err != nil {
		t.Error(err)
	}
}

func TestACompanysAccountsChangeWhileItRuns(t *testing.T) {
	c := natstest.StartCompany(t, natstest.CompanyOptions{Servers: 2, NoCallout: true})
	late := c.User(c.APP1, "late", nil)
	if _, err := c.Connect(late); err != nil {
		t.Fatal(err)
	}
	c.Push(c.APP1, func(claims *jwt.AccountClaims) { claims.Revoke(jwt.All) })
	if _, err := c.Connect(late); err == nil {
		t.Error("a revoked user is let in")
	}
	if _, err := c.Connect(c.Path("app2.creds")); err != nil {
		t.Error(err)
	}
}
