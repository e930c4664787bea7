package login_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/login"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a company whose callout lets in whom it likes, for as long as it likes.
type house struct {
	*natstest.Company
	t       *testing.T
	life    time.Duration
	refuses atomic.Bool
	logins  atomic.Int64 // that were let in
	stop    func()       // the callout
}

// newHouse is a house whose servers wait so many seconds for a login.
func newHouse(t *testing.T, life time.Duration, seconds float64) *house {
	t.Helper()
	h := &house{t: t, life: life, Company: natstest.StartCompany(t, natstest.CompanyOptions{
		// Without the early PING, for which nats.go takes no refusal.
		Server: func(o *server.Options) { o.AuthTimeout, o.DisableShortFirstPing = seconds, true },
	})}
	h.open()
	return h
}

// open starts the callout.
func (h *house) open() {
	h.t.Helper()
	nc, err := h.Connect(h.Path("auth.creds"))
	if err != nil {
		h.t.Fatal(err)
	}
	engine, err := callout.Start(callout.Config{
		Conn: nc, Account: h.AUTH.ID, Issuer: h.AUTH.Identity, XKey: h.XKey, Logger: slog.New(slog.DiscardHandler),
		Backends: []callout.Backend{callout.Only("test", h.decide)},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	var closed atomic.Bool
	h.stop = func() {
		if closed.CompareAndSwap(false, true) {
			if err := engine.Close(context.Background()); err != nil {
				h.t.Error(err)
			}
			nc.Close()
		}
	}
	h.t.Cleanup(h.stop)
}

func (h *house) decide(_ context.Context, r *callout.Request) (*callout.Grant, error) {
	if h.refuses.Load() {
		return nil, callout.Wrong("not today")
	}
	h.logins.Add(1)
	return &callout.Grant{
		Account: h.APP1.ID, Signer: h.APP1.Signer, Name: r.User, Expires: time.Now().Add(h.life), Inbox: "_INBOX_" + r.User,
		Publish: callout.Subjects{Allow: []string{"news"}}, Subscribe: callout.Subjects{Allow: []string{"news"}},
	}, nil
}

// enter logs somebody in.
func (h *house) enter(name string, options ...nats.Option) *nats.Conn {
	h.t.Helper()
	all := []nats.Option{
		nats.UserCredentials(h.Path("sentinel.creds")), nats.UserInfo(name, "x"), nats.Name(name), nats.CustomInboxPrefix("_INBOX_" + name),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), nats.ReconnectWait(50 * time.Millisecond),
	}
	var nc *nats.Conn
	natstest.Eventually(h.t, name+" is let in", func() bool { // on a slow machine a login may take too long
		var err error
		nc, err = nats.Connect(h.URL(), append(all, options...)...)
		return err == nil
	})
	h.t.Cleanup(nc.Close)
	return nc
}

// cut has the server close everybody's connections but the callout's.
func (h *house) cut(names ...string) {
	h.t.Helper()
	for _, name := range names {
		at := h.connection(name, server.ConnOpen)
		if at == nil {
			h.t.Fatalf("%s is not there", name)
		}
		if err := h.Servers[0].DisconnectClientByID(at.Cid); err != nil {
			h.t.Fatal(err)
		}
	}
}

// connection is the newest of a name; nil for none.
func (h *house) connection(name string, state server.ConnState) (found *server.ConnInfo) {
	h.t.Helper()
	list, err := h.Servers[0].Connz(&server.ConnzOptions{State: state})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, info := range list.Conns {
		if info.Name == name && (found == nil || info.Cid > found.Cid) {
			found = info
		}
	}
	return found
}

// TestALoginOutlastsACalloutThatIsAway: a client of nats.go's defaults does not.
func TestALoginOutlastsACalloutThatIsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t, time.Hour, 2) // which the refusals take
	var refusals atomic.Int64
	count := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if login.IsRefusal(err) {
			refusals.Add(1)
		}
	})
	var ended atomic.Bool
	stays := h.enter("stays", count, login.Persistent(login.Persistence{
		Jitter: 50 * time.Millisecond, Ended: func(error) { ended.Store(true) },
	}))
	plain := h.enter("plain", nats.Timeout(natstest.Patience))
	heard, err := stays.SubscribeSync("news")
	if err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.cut("stays", "plain")
	natstest.Eventually(t, "both were refused often enough", func() bool { return refusals.Load() >= 3 && plain.IsClosed() })
	h.open()
	natstest.Eventually(t, "who stays is back", stays.IsConnected)
	if err := stays.Publish("news", []byte("here")); err != nil {
		t.Fatal(err)
	}
	if _, err := heard.NextMsg(natstest.Patience); err != nil {
		t.Errorf("its subscription: %v", err)
	}
	if ended.Load() {
		t.Error("it was told that it had ended")
	}
}

func TestALoginEndsWhenItsRefusalIsMeant(t *testing.T) {
	t.Parallel()
	h := newHouse(t, time.Hour, 10)
	errOut := errors.New("the house is full")
	ends := make(chan error, 4)
	ended := func(err error) { ends <- err }
	patient := h.enter("patient", login.Persistent(login.Persistence{
		Patience: 2 * time.Second, Jitter: 50 * time.Millisecond, Ended: ended,
	}))
	var asked atomic.Int64
	judged := h.enter("judged", login.Persistent(login.Persistence{
		Ended: ended, Jitter: 50 * time.Millisecond,
		Judge: func(context.Context, time.Duration) error {
			if asked.Add(1) < 3 {
				return nil
			}
			return errOut
		},
	}))
	h.refuses.Store(true)
	h.cut("patient", "judged")
	natstest.Eventually(t, "both have ended", func() bool { return patient.IsClosed() && judged.IsClosed() })
	reasons := []error{<-ends, <-ends}
	if !errors.Is(errors.Join(reasons...), login.ErrRefused) || !errors.Is(errors.Join(reasons...), errOut) || len(ends) > 0 {
		t.Errorf("they were told %v and %d more", reasons, len(ends))
	}
}

// TestALoginIsRenewedBeforeItEnds: and without Renew the server ends it.
func TestALoginIsRenewedBeforeItEnds(t *testing.T) {
	t.Parallel()
	const life = 9 * time.Second
	h := newHouse(t, life, 10)
	ctx, cancel := context.WithCancel(t.Context())
	renewed := h.enter("renewed", login.Persistent(login.Persistence{}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		login.Renew(ctx, renewed, life)
	}()
	defer func() {
		cancel()
		<-done
	}()
	h.enter("plain")
	heard, err := renewed.SubscribeSync("news")
	if err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the server has ended the other one", func() bool {
		gone := h.connection("plain", server.ConnClosed)
		return gone != nil && gone.Reason == "Authentication Expired"
	})
	natstest.Eventually(t, "it was renewed, and is there", func() bool {
		return renewed.Stats().Reconnects >= 1 && renewed.IsConnected()
	})
	if gone := h.connection("renewed", server.ConnClosed); gone == nil || gone.Reason != "Client Closed" {
		t.Errorf("the connection before ended by %+v", gone)
	}
	if err := renewed.Publish("news", []byte("here")); err != nil {
		t.Fatal(err)
	}
	if _, err := heard.NextMsg(natstest.Patience); err != nil {
		t.Errorf("its subscription: %v", err)
	}
}

func TestTheHandlersBesideAreKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, time.Hour, 10)
	var told, back atomic.Int64
	nc := h.enter("ada", nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { told.Add(1) }),
		nats.ReconnectHandler(func(*nats.Conn) { back.Add(1) }), login.Persistent(login.Persistence{}))
	if _, err := nc.SubscribeSync("forbidden"); err != nil {
		t.Fatal(err)
	}
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "both were called", func() bool { return told.Load() > 0 && back.Load() > 0 })
}
