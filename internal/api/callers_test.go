package api_test

import (
	"context"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/natstest"
)

// atOnce is how many requests of one caller a service works on.
const atOnce = 32

func TestOneCallersRequestsKeepNobodyElseWaiting(t *testing.T) {
	h := startMembers(t, "ALICE", "BOB")
	release := make(chan struct{})
	h.offerOn(h.login("HUB"), api.Service{Name: "test", Verbs: map[string]api.Handler{
		"do": func(_ context.Context, caller string, _ []byte) (any, error) {
			if caller == "ALICE" {
				<-release
			}
			return echo{Caller: caller}, nil
		},
	}})
	alice := h.login("ALICE")
	inbox := alice.NewRespInbox()
	answers, err := alice.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() {
		t.Helper()
		if err := alice.PublishRequest("hub.test.do", inbox, nil); err != nil {
			t.Fatal(err)
		}
	}
	next := func() string {
		t.Helper()
		msg, err := answers.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		return msg.Header.Get(micro.ErrorCodeHeader)
	}
	for range atOnce + 3 {
		ask()
	}
	for range 3 {
		if code := next(); code != "unavailable" {
			t.Errorf("one too many: %q", code)
		}
	}
	var answer echo
	if err := api.Call(natstest.Within(t), h.login("BOB"), "hub.test.do", echo{}, &answer); err != nil || answer.Caller != "BOB" {
		t.Errorf("somebody else: %+v, %v", answer, err)
	}
	close(release)
	for range atOnce {
		if code := next(); code != "" {
			t.Errorf("one of those that may be: %q", code)
		}
	}
	natstest.Eventually(t, "another is answered", func() bool { ask(); return next() == "" })
}

// members is a server with an account HUB and one for each member, who imports its API.
type members struct{ *bus }

func startMembers(t *testing.T, names ...string) *members {
	t.Helper()
	options := new(natsserver.Options)
	for _, name := range append(names, "HUB") {
		account := natsserver.NewAccount(name)
		options.Accounts = append(options.Accounts, account)
		options.Users = append(options.Users, &natsserver.User{Username: name, Password: "p", Account: account})
	}
	s := natstest.Start(t, options)
	hub, err := s.LookupAccount("HUB")
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.AddServiceExport("hub.*.test.do", nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		member, err := s.LookupAccount(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := member.AddServiceImport(hub, "hub.test.do", "hub."+name+".test.do"); err != nil {
			t.Fatal(err)
		}
	}
	return &members{&bus{t, s}}
}

func (m *members) login(name string) *nats.Conn {
	m.t.Helper()
	nc, err := nats.Connect(m.server.ClientURL(), nats.UserInfo(name, "p"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(nc.Close)
	return nc
}
