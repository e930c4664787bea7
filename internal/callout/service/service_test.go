package service_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/natstest"
)

func TestLoginsAreDecidedByTheUsersFile(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	s := p.start()
	if ready := s.Ready(); ready.Account != p.AUTH.ID || len(ready.Accounts) != 2 || len(ready.Backends) != 1 {
		t.Errorf("ready: %+v", ready)
	}
	alice := p.mustEnter("alice", "alice")
	if err := alice.Publish("anything", nil); err != nil {
		t.Error(err)
	}
	if _, err := p.login("alice", "wrong"); err == nil {
		t.Error("a wrong password is let in")
	}
	if _, err := p.Connect(p.Path("sentinel.creds")); err == nil {
		t.Error("the sentinel alone is let in")
	}
	if _, err := p.Connect("", nats.UserInfo("alice", "alice")); err == nil {
		t.Error("alice is let in without a sentinel")
	}
	if _, err := p.Connect(p.Path("app1.creds")); err != nil {
		t.Errorf("existing creds: %v", err)
	}
	p.mustTell("passwd") // plaintext passwords are worth a warning that says what to do
}
