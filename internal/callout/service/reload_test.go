package service_test

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/callout/service"
	"keyhall.dev/keyhall/internal/natstest"
)

const (
	withCarol  = `{"alice": {"pass": "alice", "account": "APP1"}, "carol": {"pass": "carol", "account": "APP1"}}`
	brokenFile = `{"alice": {"pass": "alice", "acount": "APP1"}}`
)

func TestAChangedFileCountsWithoutARestart(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	p.start()
	p.mustEnter("bob", "bob")
	if _, err := p.login("carol", "carol"); err == nil {
		t.Fatal("carol is let in before she is in the file")
	}
	p.write("users.json", withCarol, 0o600)
	natstest.Eventually(t, "the file is read again", func() bool { return p.told("reloaded (its files changed)") })
	p.mustEnter("carol", "carol")
	p.mustEnter("alice", "alice")
	if _, err := p.login("bob", "bob"); err == nil {
		t.Error("bob is let in, and is no longer in the file")
	}
}

func TestABrokenFileChangesNothing(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	p.start()
	p.write("users.json", brokenFile, 0o600)
	natstest.Eventually(t, "it is said", func() bool { return p.told("NOT reloaded") })
	p.mustTell("acount")
	p.mustEnter("alice", "alice")
	p.mustEnter("bob", "bob")

	if err := os.Remove(p.Path("users.json")); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "it is said", func() bool { return p.told("no such file") })
	p.mustEnter("bob", "bob")

	p.write("users.json", withCarol, 0o600)
	natstest.Eventually(t, "the file counts again", func() bool { return p.told("reloaded (") })
	p.mustEnter("carol", "carol")
}

// Whoever logs in while the service reloads, again and again, gets in.
func TestReloadsDropNoLogin(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	s := p.start()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var logins sync.WaitGroup
	for range 4 {
		logins.Go(func() {
			for ctx.Err() == nil {
				nc, err := p.login("alice", "alice")
				if err != nil {
					t.Errorf("a login during a reload: %v", err)
					return
				}
				nc.Close()
			}
		})
	}
	for range 20 {
		if err := s.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	logins.Wait()
}

func TestWhatARunningServiceCannotChangeIsSaid(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	file := p.write("callout.yaml", "in_flight: 100\n", 0o600)
	p.env["KEYHALL_CALLOUT_CONFIG"] = file
	p.start()
	p.write("callout.yaml", "in_flight: 200\nqueue: other\n", 0o600)
	natstest.Eventually(t, "the file is read again", func() bool { return p.told("reloaded (") })
	p.mustTell("a change of queue, in_flight counts after a restart")
	p.mustEnter("alice", "alice")
}

// A key that would have refused the start refuses the reload.
func TestKeysOfAReloadAreChecked(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	config := func(key string) string {
		return "accounts:\n  APP1: {id: " + p.APP1.ID + ", key: APP1.nk}\n  APP2: {id: " + p.APP2.ID + ", key: " + key + "}\n"
	}
	p.env["KEYHALL_CALLOUT_CONFIG"] = p.write("callout.yaml", config("APP2.nk"), 0o600)
	p.said.Accounts = nil
	s := p.start()
	p.write("callout.yaml", config("APP1.scoped.nk"), 0o600)
	if err := s.Reload(t.Context()); err == nil {
		t.Error("a key of another account is taken")
	} else {
		mustSay(t, err.Error(), "is none of account APP2")
	}
	p.mustEnter("bob", "bob")

	p.write("APP2.second.nk", string(natstest.Seed(t, p.APP2.Identity)), 0o600)
	p.write("callout.yaml", config("APP2.second.nk"), 0o600)
	if err := s.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	p.mustEnter("bob", "bob")
}

// Replicas share one queue group. The checks of one that starts do not disturb those that
// run, nor are they disturbed; and when one ends, nobody is lost.
func TestReplicasComeAndGo(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{Servers: 3})
	p.start()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var logins sync.WaitGroup
	logins.Go(func() {
		for ctx.Err() == nil {
			nc, err := p.login("alice", "alice")
			if err != nil {
				t.Errorf("a login: %v", err)
				return
			}
			nc.Close()
		}
	})
	for range 3 {
		replica, err := service.Start(t.Context(), p.options())
		if err != nil {
			t.Error(err)
			break
		}
		if err := replica.Close(natstest.Within(t)); err != nil {
			t.Error(err)
		}
	}
	cancel()
	logins.Wait()
	if p.told("another callout answers") {
		t.Errorf("told %q", p.lines)
	}
}

// Who is placed in an account that the configuration did not name at the start can be listed
// and closed like everybody else.
func TestTheConnectionsOfANewAccountAreKnown(t *testing.T) {
	p := newPlace(t, natstest.CompanyOptions{})
	p.said.SystemCreds = p.Path("sys.creds")
	accounts := p.said.Accounts
	p.said.Accounts = nil
	config := func(accounts []service.AccountKey) string {
		text := "accounts:\n"
		for _, a := range accounts {
			text += "  " + a.Name + ": {id: " + a.ID + ", key: " + a.Key + "}\n"
		}
		return text
	}
	p.env["KEYHALL_CALLOUT_CONFIG"] = p.write("callout.yaml", config(accounts[:1]), 0o600)
	p.write("users.json", `{"alice": {"pass": "alice", "account": "APP1"}}`, 0o600)
	p.start()
	before, err := p.Connect(p.Path("app2.creds")) // it is there already, and nobody's here
	if err != nil {
		t.Fatal(err)
	}
	p.write("users.json", `{"alice": {"pass": "alice", "account": "APP2"}}`, 0o600)
	p.write("callout.yaml", config(accounts), 0o600)
	natstest.Eventually(t, "the new account counts", func() bool { return p.told("reloaded (") })
	alice := p.mustEnter("alice", "alice")
	after, err := p.Connect(p.Path("app2.creds")) // as another replica would have let it in
	if err != nil {
		t.Fatal(err)
	}
	host, err := p.Connect(p.Path("auth.creds"), nats.CustomInboxPrefix("_INBOX_host"))
	if err != nil {
		t.Fatal(err)
	}
	for _, nc := range []*nats.Conn{alice, before, after} {
		client, err := nc.GetClientID()
		if err != nil {
			t.Fatal(err)
		}
		c := registry.Connection{Server: nc.ConnectedServerId(), Client: client}
		natstest.Eventually(t, "it can be closed", func() bool {
			answers, err := registry.Revoke(natstest.Within(t), host, registry.RevokeRequest{Session: c.ID()})
			return err == nil && len(answers) == 1 && len(answers[0].Closed) == 1
		})
	}
}
