package users_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/natstest"
)

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
