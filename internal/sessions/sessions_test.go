package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/chaintest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/internal/sessions"
	"keyhall.dev/keyhall/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is a server, its people and the registry of their connections.
func start(t *testing.T) (*chaintest.Hall, *nats.Conn, *sessions.Registry) {
	t.Helper()
	return on(t, serve(t))
}

func serve(t *testing.T) *natsd.Server {
	t.Helper()
	server, err := natsd.Start(natstest.Within(t), natsd.Options{
		DataDir: t.TempDir(), NATS: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func on(t *testing.T, server *natsd.Server) (*chaintest.Hall, *nats.Conn, *sessions.Registry) {
	t.Helper()
	nc, err := server.Connect(server.Keys().HubUser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	registry, err := sessions.Open(natstest.Within(t), nc, 1)
	if err != nil {
		t.Fatal(err)
	}
	return chaintest.New(t, server.Keys().OperatorJWT, server.Keys().OperatorSigner), nc, registry
}

// kicked notes which connections were closed.
type kicked struct {
	mu   sync.Mutex
	list []string
	err  error
}

func (k *kicked) kick(_ context.Context, server string, client uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = append(k.list, fmt.Sprintf("%s/%d", server, client))
	return k.err
}

func (k *kicked) take() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.list
	k.list = nil
	slices.Sort(list)
	return list
}

func settled(context.Context, ledger.Entry) error { return nil }

func TestExactlyTheConnectionsWhoseRightEndedAreClosed(t *testing.T) {
	h, _, registry := start(t)
	alice, _ := h.Admits("alice")
	bob, _ := h.Admits("bob")
	room, other := trust.NewID(), trust.NewID()
	phone := trust.NewKeyPair(trust.Device)
	note := func(m *chaintest.Member, device *trust.KeyPair, client uint64, rooms ...string) {
		t.Helper()
		s := sessions.Session{Account: m.Account(), Device: device.String(), Server: "NS", Client: client, Rooms: rooms}
		for range 2 { // a connection that asks again is the same
			if err := registry.Note(natstest.Within(t), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	note(alice, alice.Laptop, 1, room)
	note(alice, alice.Laptop, 2, other)
	note(alice, phone, 3, room, other)
	note(alice, phone, 4)
	note(bob, bob.Laptop, 5, room)
	for _, row := range []struct {
		what string
		ev   *event.Event
		want []string
	}{
		{"put out of the room", bob.SaysIn(room, chain.RevokeRoom, chain.RevokeRoomBody{Account: alice.Account()}), []string{"NS/1", "NS/3"}},
		{"a new role in it", bob.SaysIn(room, chain.GrantRoom, chain.GrantRoomBody{Grant: room, Account: alice.Account(), Role: chain.Reader}), []string{"NS/1", "NS/3"}},
		{"left it", alice.SaysIn(other, chain.LeaveRoom, chain.LeaveRoomBody{}), []string{"NS/2", "NS/3"}},
		{"a device that was revoked", alice.Says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()}), []string{"NS/3", "NS/4"}},
		{"another's device", bob.Says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()}), nil},
		{"another room", bob.SaysIn(trust.NewID(), chain.RevokeRoom, chain.RevokeRoomBody{Account: alice.Account()}), nil},
		{"somebody who is not connected", bob.SaysIn(room, chain.RevokeRoom, chain.RevokeRoomBody{Account: h.Hub.ID}), nil},
		{"a new epoch", bob.SaysIn(room, chain.Epoch, chain.EpochBody{}), nil},
		{"a new device", alice.Says(chain.AddDevice, chain.DeviceBody{}), nil},
		{"a body that is none", bob.SaysIn(room, chain.RevokeRoom, chain.LeaveRoomBody{}), nil},
	} {
		closed := new(kicked)
		if err := registry.Evictions(closed.kick, settled).Fold(natstest.Within(t), ledger.Entry{Seq: 1, Event: row.ev}); err != nil {
			t.Errorf("%s: %v", row.what, err)
		}
		if got := closed.take(); !slices.Equal(got, row.want) {
			t.Errorf("%s: closed %v, want %v", row.what, got, row.want)
		}
	}
}

// The callout judges by views: a connection that is closed before they know comes back
// with the right it had.
func TestNobodyIsPutOutBeforeTheViewsKnow(t *testing.T) {
	h, _, registry := start(t)
	alice, _ := h.Admits("alice")
	if err := registry.Note(natstest.Within(t), sessions.Session{Account: alice.Account(), Device: alice.Laptop.String(), Server: "NS", Client: 1}); err != nil {
		t.Fatal(err)
	}
	entry := ledger.Entry{Seq: 7, Event: alice.Says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: alice.Laptop.String()})}
	behind, closed := errors.New("the views lag behind"), new(kicked)
	fold := registry.Evictions(closed.kick, func(_ context.Context, got ledger.Entry) error {
		if got != entry {
			t.Errorf("asked for %+v", got)
		}
		return behind
	}).Fold
	if err := fold(natstest.Within(t), entry); !errors.Is(err, behind) || errors.Is(err, ledger.ErrPoison) {
		t.Errorf("%v", err)
	}
	if got := closed.take(); got != nil {
		t.Errorf("closed %v", got)
	}
	closed.err = errors.New("the signer is away")
	if err := registry.Evictions(closed.kick, settled).Fold(natstest.Within(t), entry); !errors.Is(err, closed.err) {
		t.Errorf("a connection that could not be closed: %v", err)
	}
}

func TestEvictionsFollowPeopleAndRooms(t *testing.T) {
	h, nc, registry := start(t)
	l, err := ledger.Open(natstest.Within(t), nc, 1)
	if err != nil {
		t.Fatal(err)
	}
	alice, admitted := h.Admits("alice")
	if err := registry.Note(natstest.Within(t), sessions.Session{Account: alice.Account(), Device: alice.Laptop.String(), Server: "NS", Client: 1}); err != nil {
		t.Fatal(err)
	}
	closed := new(kicked)
	ctx, cancel := context.WithCancel(t.Context())
	ps := l.Start(ctx, slog.New(slog.DiscardHandler), registry.Evictions(closed.kick, settled))
	t.Cleanup(ps.Wait)
	t.Cleanup(cancel)
	seq, err := l.Append(natstest.Within(t), admitted, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(natstest.Within(t), alice.Says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: alice.Laptop.String()}), seq); err != nil {
		t.Fatal(err)
	}
	var got []string
	for deadline := time.Now().Add(natstest.Patience); len(got) == 0 && time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		got = closed.take()
	}
	if !slices.Equal(got, []string{"NS/1"}) {
		t.Errorf("closed %v", got)
	}
}

func TestTheRegistryForgetsAWhileAfterAConnectionsLife(t *testing.T) {
	_, nc, _ := start(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(natstest.Within(t), sessions.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	status, err := bucket.Status(natstest.Within(t))
	if err != nil || status.TTL() <= sessions.Life || status.TTL() > 2*sessions.Life {
		t.Errorf("%s, %v", status.TTL(), err)
	}
	if _, err := sessions.Open(natstest.Within(t), nc, 1); err != nil {
		t.Errorf("opened again: %v", err)
	}
}

func TestWithoutAServerNothingIsNoted(t *testing.T) {
	h, nc, registry := start(t)
	alice, _ := h.Admits("alice")
	nc.Close()
	if err := registry.Note(natstest.Within(t), sessions.Session{Account: alice.Account(), Server: "NS", Client: 1}); err == nil {
		t.Error("noted")
	}
	entry := ledger.Entry{Seq: 1, Event: alice.Says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: alice.Laptop.String()})}
	if err := registry.Evictions(new(kicked).kick, settled).Fold(natstest.Within(t), entry); err == nil {
		t.Error("nobody was looked for")
	}
	if _, err := sessions.Open(natstest.Within(t), nc, 1); err == nil {
		t.Error("opened")
	}
}

func TestASessionThatEndsIsForgottenAtOnce(t *testing.T) {
	server := serve(t)
	h, nc, registry := on(t, server)
	signer, err := server.Connect(server.Keys().SignerUser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(signer.Close)
	alice, _ := h.Admits("alice")
	session := func(client uint64) sessions.Session {
		return sessions.Session{Account: alice.Account(), Device: alice.Laptop.String(), Server: "NS", Client: client, Host: "192.0.2.1", Program: "till"}
	}
	for client := range uint64(3) {
		if err := registry.Note(natstest.Within(t), session(client+1)); err != nil {
			t.Fatal(err)
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(natstest.Within(t), sessions.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	// One of long ago, the last in the list: when it is gone, the list was gone through.
	old := fmt.Sprintf(`{"account":%q,"server":"NS","client":9,"since":"2026-01-01T00:00:00Z","host":"192.0.2.1","program":"till"}`, alice.Account())
	if _, err := bucket.PutString(natstest.Within(t), alice.Account()+".NS.9", old); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wait, err := registry.Follow(ctx, nc, func(context.Context) (*api.ConnectionsAnswer, error) {
		return &api.ConnectionsAnswer{Servers: map[string][]uint64{"NS": {1}}}, nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wait)
	t.Cleanup(cancel)
	clients := func() (list []uint64) {
		all, err := registry.All(natstest.Within(t), alice.Account())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.Since.IsZero() || s.Program != "till" || s.Host != "192.0.2.1" {
				t.Errorf("%+v", s)
			}
			list = append(list, s.Client)
		}
		slices.Sort(list)
		return list
	}
	// Those of a moment ago may be on their way: no list ends them.
	natstest.Eventually(t, "the one of long ago is forgotten", func() bool { return !slices.Contains(clients(), 9) })
	if got := clients(); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Fatalf("%v", got)
	}
	for _, notice := range []string{
		`{"account":"` + alice.Account() + `","server":"NS","client":2}`, `{"account":"*","server":">","client":3}`, `x`, ``,
		`{"account":"` + alice.Account() + `","server":"NX","client":3}`,
	} {
		if err := signer.Publish(api.ConnectionGoneSubject, []byte(notice)); err != nil {
			t.Fatal(err)
		}
	}
	natstest.Eventually(t, "the one that ended is forgotten", func() bool { return slices.Equal(clients(), []uint64{1, 3}) })
}

func TestASessionThatNoServerHasIsForgotten(t *testing.T) {
	h, nc, registry := start(t)
	alice, _ := h.Admits("alice")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(natstest.Within(t), sessions.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	// Noted long ago: there still, gone, and on a server that is silent just now.
	for _, place := range []string{"NS.1", "NS.2", "NX.1"} {
		server, client, _ := strings.Cut(place, ".")
		value := fmt.Sprintf(`{"account":%q,"device":"U","server":%q,"client":%s,"since":"2026-01-01T00:00:00Z"}`, alice.Account(), server, client)
		if _, err := bucket.PutString(natstest.Within(t), alice.Account()+"."+place, value); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	wait, err := registry.Follow(ctx, nc, func(context.Context) (*api.ConnectionsAnswer, error) {
		return &api.ConnectionsAnswer{Servers: map[string][]uint64{"NS": {1}}}, nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wait)
	t.Cleanup(cancel)
	natstest.Eventually(t, "what is gone is forgotten, and nothing else", func() bool {
		all, err := registry.All(natstest.Within(t), "")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, s := range all {
			ids = append(ids, s.ID())
		}
		slices.Sort(ids)
		return slices.Equal(ids, []string{"NS/1", "NX/1"})
	})
}

func TestWhoIsKeptOutIsNotNotedAndStaysOutOverARestart(t *testing.T) {
	h, nc, registry := start(t)
	alice, _ := h.Admits("alice")
	bob, _ := h.Admits("bob")
	note := func(r *sessions.Registry, m *chaintest.Member, client uint64) error {
		return r.Note(natstest.Within(t), sessions.Session{Account: m.Account(), Device: m.Laptop.String(), Server: "NS", Client: client})
	}
	if err := errors.Join(note(registry, alice, 1), note(registry, alice, 2), note(registry, bob, 3)); err != nil {
		t.Fatal(err)
	}
	var written []audit.Closed
	registry.Closed = func(c audit.Closed) { written = append(written, c) }
	closed := new(kicked)
	ids, until, err := registry.Revoke(natstest.Within(t), closed.kick, "", "NS/2", 0, "lost")
	if err != nil || !slices.Equal(ids, []string{"NS/2"}) || !until.IsZero() || !slices.Equal(closed.take(), []string{"NS/2"}) {
		t.Errorf("%v %v %v", ids, until, err)
	}
	ids, until, err = registry.Revoke(natstest.Within(t), closed.kick, alice.Account(), "", time.Hour, "left")
	if err != nil || !slices.Equal(ids, []string{"NS/1", "NS/2"}) || until.IsZero() || !slices.Equal(closed.take(), ids) {
		t.Errorf("%v %v %v", ids, until, err)
	}
	if len(written) != 2 || written[0].Name != alice.Account() || written[0].DeniedUntil != nil || written[1].Why != "left" || written[1].DeniedUntil == nil {
		t.Errorf("%+v", written)
	}
	if err := note(registry, alice, 4); !fault.Is(err, fault.Refused) {
		t.Errorf("who is kept out comes back: %v", err)
	}
	again, err := sessions.Open(natstest.Within(t), nc, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wait, err := again.Follow(ctx, nc, func(context.Context) (*api.ConnectionsAnswer, error) { return nil, errors.New("away") }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wait)
	t.Cleanup(cancel)
	if err := note(again, alice, 5); !fault.Is(err, fault.Refused) {
		t.Errorf("after a restart: %v", err)
	}
	if err := note(again, bob, 6); err != nil {
		t.Errorf("bob: %v", err)
	}
}
