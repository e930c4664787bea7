package natsd_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/natsd"
)

// thief has what the callout has of account HUB: the signing keys for guests.
type thief struct {
	t    *testing.T
	s    *natsd.Server
	user nkeys.KeyPair
	key  string
}

func newThief(t *testing.T, s *natsd.Server) *thief {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return &thief{t, s, user, key}
}

// as logs in as a user of HUB that the thief made, past the callout.
func (th *thief) as(signer nkeys.KeyPair, change func(*jwt.UserClaims)) nats.Option {
	th.t.Helper()
	claims := jwt.NewUserClaims(th.key)
	claims.IssuerAccount = th.s.Keys().Hub
	claims.SetScoped(true)
	change(claims)
	token, err := claims.Encode(signer)
	if err != nil {
		th.t.Fatal(err)
	}
	return nats.UserJWT(func() (string, error) { return token, nil }, th.user.Sign)
}

func guests(k *natsd.Keys) map[string]nkeys.KeyPair {
	return map[string]nkeys.KeyPair{"admission.%.admit": k.NewcomerSigner, "recovery.%.get": k.ReturnerSigner}
}

// TestWhoHasTheGuestKeysHasGuestsAlone: with what the callout has of HUB nobody gets the rights
// of the services there, whatever users they make and however those are called.
func TestWhoHasTheGuestKeysHasGuestsAlone(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	k := s.Keys()
	for asks, signer := range guests(k) {
		th := newThief(t, s)
		for what, change := range map[string]func(*jwt.UserClaims){
			"the ledger":     func(c *jwt.UserClaims) { c.SetScoped(false); c.Pub.Allow.Add("ledger.>") },
			"everything":     func(c *jwt.UserClaims) { c.SetScoped(false); c.Pub.Allow.Add(">"); c.Sub.Allow.Add(">") },
			"no permissions": func(c *jwt.UserClaims) { c.SetScoped(false) },
			"responses":      func(c *jwt.UserClaims) { c.Resp = &jwt.ResponsePermission{MaxMsgs: 9, Expires: time.Minute} },
		} {
			nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect(), th.as(signer, change))
			if err == nil {
				nc.Close()
				t.Errorf("%s: a user with %s was let in", asks, what)
			}
		}
		for _, name := range []string{th.key, "*", ">", "x.>", "*.>", k.HubUser.PublicKey, k.SignerUser.PublicKey, "{{account-subject()}}"} {
			c := connect(t, s, th.as(signer, func(c *jwt.UserClaims) { c.Name = name }))
			for _, subject := range []string{"ledger.hub", "signer.kick", "services.x", "$JS.API.STREAM.DELETE.LEDGER", "$KV.PEOPLE.x", "hub.x.people.list"} {
				c.publishRefused(subject)
			}
			for _, subject := range []string{
				">", "*.>", "ledger.>", "admission.>", "hub.>", "signer.>", "_INBOX.>", "_R_.>",
				k.HubUser.InboxPrefix() + ".>", k.HubUser.InboxPrefix() + ".x", k.SignerUser.InboxPrefix() + ".>",
			} {
				c.subscribeRefused(subject)
			}
			if name == th.key {
				c.allowed("what a guest may", func() error {
					_, err := c.SubscribeSync("_INBOX_" + name + ".>")
					return errors.Join(err, c.Publish(strings.Replace(asks, "%", name, 1), nil))
				})
				c.publishRefused(strings.Replace(asks, "%", "another", 1))
			}
			c.Close()
		}
	}
}

// TestACalloutThatWasTakenOverHasNoRightsInHub: the same through the callout itself, which
// may say of everybody what it likes.
func TestACalloutThatWasTakenOverHasNoRightsInHub(t *testing.T) {
	s := start(t, quiet(t.TempDir()))
	k := s.Keys()
	grants := make(chan *callout.Grant, 1)
	conn := login(t, s, k.CalloutUser)
	engine, err := callout.Start(callout.Config{
		Conn: conn.Conn, Account: k.Auth, Issuer: k.AuthSigner, XKey: k.CalloutXKey, Logger: slog.New(slog.DiscardHandler),
		Backends: []callout.Backend{callout.Only("taken", func(context.Context, *callout.Request) (*callout.Grant, error) { return <-grants, nil })},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	enter := func(grant *callout.Grant) error {
		grants <- grant
		nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect(), nats.Timeout(20*time.Second), nats.UserInfo("x", ""))
		if err == nil {
			nc.Close()
		}
		return err
	}
	end := time.Now().Add(time.Hour)
	all := callout.Subjects{Allow: []string{"ledger.>"}}
	for what, grant := range map[string]*callout.Grant{
		"newcomers' key":  {Account: k.Hub, Signer: k.NewcomerSigner, Name: "x", Publish: all, Expires: end},
		"returners' key":  {Account: k.Hub, Signer: k.ReturnerSigner, Name: "x", Publish: all, Expires: end},
		"ROOMS's key":     {Account: k.Hub, Signer: k.RoomsSigner, Name: "x", Publish: all, Expires: end},
		"AUTH's key":      {Account: k.Hub, Signer: k.AuthSigner, Name: "x", Publish: all, Expires: end},
		"no right at all": {Account: k.Hub, Signer: k.NewcomerSigner, Name: "x", Expires: end},
	} {
		if err := enter(grant); err == nil {
			t.Errorf("%s: let in", what)
		}
	}
	if err := enter(&callout.Grant{Account: k.Hub, Signer: k.NewcomerSigner, Scoped: true, Name: "x", Expires: end}); err != nil {
		t.Errorf("a guest: %v", err)
	}
}

// TestGuestKeysFollowFromTheFolder: a hub that was started before there were any has them, and
// always the same.
func TestGuestKeysFollowFromTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := start(t, quiet(dir))
	again, err := natsd.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, keys := range []*natsd.Keys{s.Keys(), again} {
		for asks, signer := range guests(keys) {
			public, err := signer.PublicKey()
			if err != nil {
				t.Fatal(err)
			}
			seen[asks+public] = true
			hub, err := keys.HubSigner.PublicKey()
			if err != nil || hub == public {
				t.Errorf("%s: signed by the key of HUB, %v", asks, err)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("there are %d guest keys, want the same two", len(seen))
	}
}
