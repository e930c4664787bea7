package backendtest

import (
	"context"
	"log/slog"
	"testing"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/natstest"
)

// Serve answers a company's logins by a backend until the test ends.
func Serve(t *testing.T, company *natstest.Company, b callout.Backend) {
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
