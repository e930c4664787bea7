package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/backend/oidc/idptest"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/natstest"
)

// gate is a real server in operator mode behind a callout of two providers' backends.
type gate struct {
	t         *testing.T
	server    *natsd.Server
	decisions chan callout.Decision
}

func openGate(t *testing.T, backends func(callout.Accounts) []callout.Backend) *gate {
	t.Helper()
	server, err := natsd.Start(t.Context(), natsd.Options{
		DataDir: t.TempDir(), NATS: "127.0.0.1:-1", AuthTimeout: natstest.Patience, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	keys := server.Keys()
	nc, err := server.Connect(keys.CalloutUser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	g := &gate{t: t, server: server, decisions: make(chan callout.Decision, 100)}
	engine, err := callout.Start(callout.Config{
		Conn: nc, Account: keys.Auth, Issuer: keys.AuthSigner, XKey: keys.CalloutXKey, Logger: slog.New(slog.DiscardHandler),
		Backends: backends(callout.Accounts{{Name: "APP", ID: keys.Rooms, Signer: keys.RoomsSigner}}),
		Decided:  func(d callout.Decision) { g.decisions <- d },
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
	return g
}

// enter logs in beside the sentinel's JWT, and returns how the callout decided.
func (g *gate) enter(options ...nats.Option) (*visitor, callout.Decision, error) {
	g.t.Helper()
	v := &visitor{t: g.t}
	user, err := nkeys.CreateUser()
	if err != nil {
		g.t.Fatal(err)
	}
	all := append([]nats.Option{
		nats.UserJWT(func() (string, error) { return g.server.Keys().Sentinel, nil }, user.Sign),
		nats.NoReconnect(), nats.Timeout(natstest.Patience), nats.ErrorHandler(v.note),
	}, options...)
	v.Conn, err = nats.Connect(g.server.ClientURL(), all...)
	if err == nil {
		g.t.Cleanup(v.Close)
	}
	select {
	case d := <-g.decisions:
		return v, d, err
	case <-natstest.Within(g.t).Done():
		g.t.Fatalf("nothing was decided: %v", err)
		return nil, callout.Decision{}, nil
	}
}

// visitor is a client, and what the server refused it.
type visitor struct {
	*nats.Conn
	t       *testing.T
	mu      sync.Mutex
	refused []string
}

func (v *visitor) note(_ *nats.Conn, _ *nats.Subscription, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refused = append(v.refused, strings.ToLower(err.Error()))
}

func (v *visitor) wasRefused(what string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, text := range v.refused {
		if strings.Contains(text, strings.ToLower(what)) {
			return true
		}
	}
	return false
}

func TestAPersonWithATokenMayWhatTheirRoleSays(t *testing.T) {
	staffAt, guestsAt := idptest.Start(t), idptest.Start(t)
	g := openGate(t, func(accounts callout.Accounts) []callout.Backend {
		return []callout.Backend{backendAt(t, "staff", staffAt, accounts), backendAt(t, "guests", guestsAt, accounts)}
	})
	ends := time.Now().Add(20 * time.Minute).Unix()
	token := func(p *idptest.Provider, name string) string {
		return p.Token(audience, name, map[string]any{"groups": []string{"desk"}, "team": "red", "exp": ends})
	}
	ada, d, err := g.enter(nats.Token(token(staffAt, "ada")), nats.CustomInboxPrefix("_INBOX_ada"))
	if err != nil || !d.Allowed || d.Name != "ada" || d.Backend != "staff" || d.Rule != "rule desk" || d.Expires.Unix() != ends {
		t.Fatalf("%+v, %v", d, err)
	}
	bob, d, err := g.enter(nats.UserInfo("whoever", token(guestsAt, "bob")), nats.CustomInboxPrefix("_INBOX_bob"))
	if err != nil || !d.Allowed || d.Name != "bob" || d.Backend != "guests" {
		t.Fatalf("%+v, %v", d, err)
	}
	ada.mayTalkTo(bob)
	for _, subject := range []string{"desk.red.bob", "desk.blue.ada", "desk.*.ada", "news", "$JS.API.INFO", "_INBOX_bob.x"} {
		ada.mustNot("Publish to", subject, func() error { return ada.Publish(subject, nil) })
	}
	for _, subject := range []string{"desk.>", "desk.blue.*", ">", "_INBOX.>", "_INBOX_bob.>"} {
		ada.mustNot("Subscription to", subject, func() error { _, err := ada.SubscribeSync(subject); return err })
	}
}

func backendAt(t *testing.T, name string, provider *idptest.Provider, accounts callout.Accounts) *oidc.Backend {
	t.Helper()
	role := &policy.Role{Account: "APP", Permissions: &policy.Permissions{
		Pub: policy.Subjects{Allow: policy.List{"desk.{{claim(team)}}.{{name()}}"}},
		Sub: policy.Subjects{Allow: policy.List{"desk.{{claim(team)}}.*"}},
	}}
	backend, err := oidc.New(oidc.Config{
		Name: name, Issuer: provider.Issuer(), Audience: policy.List{audience}, Logger: slog.New(slog.DiscardHandler),
		Rules: []oidc.Rule{{Name: "desk", When: []oidc.Condition{{Claim: "groups", Contains: "desk"}}, Grant: role}},
	}, accounts, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	return backend
}

// mayTalkTo has a message of one's arrive at another's.
func (v *visitor) mayTalkTo(other *visitor) {
	v.t.Helper()
	sub, err := other.SubscribeSync("desk.red.*")
	if err := errors.Join(err, other.Flush()); err != nil {
		v.t.Fatal(err)
	}
	if err := errors.Join(v.Publish("desk.red.ada", []byte("good morning")), v.Flush()); err != nil {
		v.t.Fatal(err)
	}
	message, err := sub.NextMsg(natstest.Patience)
	if err != nil || string(message.Data) != "good morning" {
		v.t.Fatalf("%+v, %v", message, err)
	}
}

func (v *visitor) mustNot(what, subject string, act func() error) {
	v.t.Helper()
	if err := errors.Join(act(), v.Flush()); err != nil {
		v.t.Fatal(err)
	}
	refusal := fmt.Sprintf("%s %q", what, subject)
	natstest.Eventually(v.t, "refused: "+refusal, func() bool { return v.wasRefused(refusal) })
}

func TestAnAttackersTokenIsRefusedBesideAGoodOne(t *testing.T) {
	provider, other := idptest.Start(t), idptest.Start(t)
	g := openGate(t, func(accounts callout.Accounts) []callout.Backend {
		return []callout.Backend{backendAt(t, "staff", provider, accounts)}
	})
	wishes := map[string]any{"groups": []string{"desk"}, "team": "red"}
	claims := provider.Claims(audience, "ada", wishes)
	eve := idptest.NewKey(t, "ES256", provider.Key().ID)
	for _, row := range []struct{ name, token, reason string }{
		{"her own key", eve.Sign(t, nil, claims), "the token's signature does not hold"},
		{"her own key, brought along", eve.Sign(t, map[string]any{"jwk": eve.JWK}, claims), "the token's signature does not hold"},
		{"no signature", idptest.Unsigned(t, "none", claims), `the token is signed with "none", which is not among the algorithms`},
		{"for another service", provider.Token("another", "ada", wishes), `the token is for "another"`},
		{"of another provider", other.Token(audience, "ada", wishes), "nobody decides logins of this form"},
		{
			"a wild team", provider.Token(audience, "eve", map[string]any{"groups": []string{"desk"}, "team": ">"}),
			"claim(team) cannot stand in a subject or a tag: wildcard within a token",
		},
		{"a wild name", provider.Token(audience, "*", wishes), "name() cannot stand in a subject or a tag: wildcard within a token"},
		{"no group", provider.Token(audience, "eve", map[string]any{"team": "red"}), "the token is good, and no rule gives its bearer a role"},
		{"no token", "ada", "nobody decides logins of this form"},
	} {
		_, d, err := g.enter(nats.Token(row.token))
		if !errors.Is(err, nats.ErrAuthorization) || d.Allowed || d.Reason != row.reason {
			t.Errorf("%s: %v, decided %q", row.name, err, d.Reason)
		}
		if _, d, err := g.enter(nats.Token(provider.Token(audience, "ada", wishes))); err != nil || d.Name != "ada" {
			t.Errorf("the good one after %s: %v, %+v", row.name, err, d)
		}
	}
}
