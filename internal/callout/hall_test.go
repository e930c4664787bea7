package callout_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loginTime is what the server gives a login. A refusal that takes nearly as long was none of
// the callout's.
const loginTime = 6 * time.Second

// hall is a real server with the keys of a hub, for callouts to be tried on.
type hall struct {
	t *testing.T
	*natsd.Server
	refused chan string // what the server refused connections of dial
}

func newHall(t *testing.T) *hall {
	t.Helper()
	server, err := natsd.Start(context.Background(), natsd.Options{
		DataDir:     t.TempDir(),
		NATS:        "127.0.0.1:-1",
		AuthTimeout: loginTime,
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &hall{t: t, Server: server, refused: make(chan string, 1024)}
}

// config is a callout's with this authorizer, on a connection of its own.
func (h *hall) config(authorize callout.AuthorizerFunc) callout.Config {
	h.t.Helper()
	nc, err := h.Connect(h.Keys().CalloutUser)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(nc.Close)
	return callout.Config{
		Conn:     nc,
		Account:  h.Keys().Auth,
		Issuer:   h.Keys().AuthSigner,
		XKey:     h.Keys().CalloutXKey,
		Backends: []callout.Backend{callout.Only("test", authorize)},
		Logger:   slog.New(slog.DiscardHandler),
	}
}

func (h *hall) run(config callout.Config) *callout.Engine {
	h.t.Helper()
	engine, err := callout.Start(config)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
		defer cancel()
		if err := engine.Close(ctx); err != nil {
			h.t.Error(err)
		}
	})
	return engine
}

// grant is a toy room grant: what subjects.md gives a writer of the rooms.
func (h *hall) grant(device string, rooms ...string) *callout.Grant {
	g := &callout.Grant{
		Account: h.Keys().Rooms,
		Signer:  h.Keys().RoomsSigner,
		Name:    device,
		Expires: time.Now().Add(time.Hour),
	}
	g.Subscribe.Allow = []string{"_INBOX_" + device + ".>"}
	for _, room := range rooms {
		g.Publish.Allow = append(g.Publish.Allow, "room."+room+".say."+h.Keys().Hub)
		g.Subscribe.Allow = append(g.Subscribe.Allow, "feed."+room)
	}
	return g
}

// byDevice is the toy authorizer: user = "rooms <U> <room>,…" and the device's
// signature over the nonce.
func (h *hall) byDevice(_ context.Context, request *callout.Request) (*callout.Grant, error) {
	fields := strings.Split(request.User, " ")
	if len(fields) != 3 || fields[0] != "rooms" {
		return nil, fault.New(fault.Malformed, "unknown user field")
	}
	if err := request.VerifySignature(fields[1]); err != nil {
		return nil, fault.Wrap(fault.Refused, err, "not the device: %s", err)
	}
	rooms := strings.Split(fields[2], ",")
	for _, room := range rooms {
		if err := callout.CheckToken(room); err != nil {
			return nil, fault.Wrap(fault.Malformed, err, "not a room: %s", err)
		}
	}
	return h.grant(fields[1], rooms...), nil
}

// device is a user key that logs in through the callout.
type device struct {
	pair   nkeys.KeyPair
	public string
}

func newDevice(t testing.TB) device {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return device{pair, public}
}

func (d device) sign(t testing.TB, nonce string) string {
	t.Helper()
	raw, err := d.pair.Sign([]byte(nonce))
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// options log the device in with the sentinel's JWT.
func (d device) options(h *hall, user string) []nats.Option {
	return []nats.Option{
		nats.UserJWT(func() (string, error) { return h.Keys().Sentinel, nil }, d.pair.Sign),
		nats.UserInfo(user, ""),
		nats.CustomInboxPrefix("_INBOX_" + d.public),
	}
}

func (d device) enter(h *hall, rooms string) (*nats.Conn, error) {
	return h.dial(d.options(h, "rooms "+d.public+" "+rooms)...)
}

func (h *hall) dial(options ...nats.Option) (*nats.Conn, error) {
	record := func(_ *nats.Conn, _ *nats.Subscription, err error) { h.refused <- err.Error() }
	all := append([]nats.Option{nats.NoReconnect(), nats.Timeout(natstest.Patience), nats.ErrorHandler(record)}, options...)
	nc, err := nats.Connect(h.ClientURL(), all...)
	if err == nil {
		h.t.Cleanup(nc.Close)
	}
	return nc, err
}

func (h *hall) mustRefuse(what string, options ...nats.Option) {
	h.t.Helper()
	began := time.Now()
	_, err := h.dial(options...)
	if !errors.Is(err, nats.ErrAuthorization) {
		h.t.Errorf("%s: %v, want an authorization violation", what, err)
	}
	if took := time.Since(began); took > loginTime-time.Second {
		h.t.Errorf("%s: refused after %s, as if nobody had answered", what, took)
	}
}

// journal collects decisions.
type journal struct {
	mu  sync.Mutex
	all []callout.Decision
}

func (j *journal) add(d callout.Decision) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, d)
}

func (j *journal) list() []callout.Decision {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]callout.Decision(nil), j.all...)
}

// await waits for the decision that fits.
func (j *journal) await(t *testing.T, fits func(callout.Decision) bool) callout.Decision {
	t.Helper()
	var found callout.Decision
	eventually(t, func() error {
		for _, d := range j.list() {
			if fits(d) {
				found = d
				return nil
			}
		}
		return fmt.Errorf("no such decision among %+v", j.list())
	})
	return found
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(natstest.Patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
