package users_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/natstest"
)

// serve answers a company's logins by a backend until the test ends.
func serve(t *testing.T, company *natstest.Company, b callout.Backend) {
	t.Helper()
	nc, err := company.Connect(company.Path("auth.creds"))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := callout.Start(callout.Config{
		Conn: nc, Account: company.AUTH.ID, Issuer: company.AUTH.Identity, XKey: company.XKey,
		Backends: []callout.Backend{b}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
		defer cancel()
		if err := engine.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

func userInfo(user, password string) nats.Option { return nats.UserInfo(user, password) }

func mustEnter(t *testing.T, company *natstest.Company, user, password string) *nats.Conn {
	t.Helper()
	nc, err := company.Connect(company.Path("sentinel.creds"), nats.UserInfo(user, password))
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	return nc
}

// may reports whether the server took what was just done, and forgets that it did not.
func may(err error, nc *nats.Conn) bool {
	before := nc.LastError()
	return err == nil && nc.Flush() == nil && nc.LastError() == before
}
