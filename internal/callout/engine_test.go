package callout_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natsd"
)

func TestALoginGetsExactlyItsGrant(t *testing.T) {
	h := newHall(t)
	var decisions journal
	config := h.config(h.byDevice)
	config.Decided = decisions.add
	h.run(config)
	ada := newDevice(t)

	nc, err := h.dial(append(ada.options(h, "rooms "+ada.public+" kitchen"), nats.Name("test"))...)
	if err != nil {
		t.Fatal(err)
	}
	say := "room.kitchen.say." + h.Keys().Hub
	for _, subject := range []string{"feed.kitchen", nc.NewInbox(), "_INBOX_" + ada.public + ".>"} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(nc.Publish(say, nil), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	if len(h.refused) > 0 {
		t.Errorf("refused what was granted: %s", <-h.refused)
	}
	for _, subject := range []string{
		"feed.attic", "feed.*", ">", "_INBOX.>", "_INBOX.x", "_R_.>", "_INBOX_" + newDevice(t).public + ".>", "$SYS.>", "room.kitchen.say.*",
	} {
		mustReport(t, nc, h.refused, "Subscription to", subject, func() error { _, err := nc.SubscribeSync(subject); return err })
	}
	for _, subject := range []string{"room.attic.say." + h.Keys().Hub, "room.kitchen.say.x", "feed.kitchen", "_INBOX.x", "_R_.x", "$JS.API.INFO", nc.NewInbox()} {
		mustReport(t, nc, h.refused, "Publish to", subject, func() error { return nc.Publish(subject, nil) })
	}
	d := decisions.await(t, func(d callout.Decision) bool { return d.Allowed })
	cid, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	if d.Account != h.Keys().Rooms || d.Name != ada.public || d.Client.ID != cid || d.Client.Name != "test" ||
		d.Client.Host != "127.0.0.1" || d.Server.ID != nc.ConnectedServerId() || d.UserKey == "" || d.Duration <= 0 || d.Reason != "" {
		t.Errorf("decision %+v", d)
	}
}

func mustReport(t *testing.T, nc *nats.Conn, refused <-chan string, kind, subject string, act func() error) {
	t.Helper()
	if err := errors.Join(act(), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	want := strings.ToLower(kind + ` "` + subject + `"`)
	deadline := time.After(5 * time.Second)
	for {
		select {
		case text := <-refused:
			if strings.Contains(strings.ToLower(text), want) {
				return
			}
		case <-deadline:
			t.Errorf("%s %q was not refused", kind, subject)
			return
		}
	}
}

func TestAGrantOfNothingAllowsNothing(t *testing.T) {
	h := newHall(t)
	h.run(h.config(func(context.Context, *callout.Request) (*callout.Grant, error) {
		return &callout.Grant{Account: h.Keys().Rooms, Signer: h.Keys().RoomsSigner, Name: "nobody", Expires: time.Now().Add(time.Hour)}, nil
	}))
	nc, err := h.dial(nats.UserInfo("x", ""))
	if err != nil {
		t.Fatal(err)
	}
	mustReport(t, nc, h.refused, "Publish to", "x", func() error { return nc.Publish("x", nil) })
	mustReport(t, nc, h.refused, "Subscription to", "x", func() error { _, err := nc.SubscribeSync("x"); return err })
}

func TestARefusalIsQuickAndSaysNothing(t *testing.T) {
	h := newHall(t)
	var decisions journal
	config := h.config(h.byDevice)
	config.Decided = decisions.add
	h.run(config)
	ada, eve := newDevice(t), newDevice(t)
	h.mustRefuse("another's device", eve.options(h, "rooms "+ada.public+" kitchen")...)
	d := decisions.await(t, func(d callout.Decision) bool { return !d.Allowed })
	if !strings.Contains(d.Reason, "not the device") || d.User != "rooms "+ada.public+" kitchen" || d.Name != "" || d.Account != "" {
		t.Errorf("decision %+v", d)
	}
	h.mustRefuse("no signature", nats.UserInfo("rooms "+ada.public+" kitchen", ""))
	h.mustRefuse("nothing")
}

func TestWhatAnAuthorizerGetsWrongRefusesTheLogin(t *testing.T) {
	h := newHall(t)
	var decisions journal
	keys := h.Keys()
	good := func() *callout.Grant { return h.grant(newDevice(t).public, "kitchen") }
	cases := map[string]func() (*callout.Grant, error){
		"error":            func() (*callout.Grant, error) { return nil, errors.New("database is away") },
		"error and grant":  func() (*callout.Grant, error) { return good(), fault.New(fault.Refused, "no") },
		"no grant":         func() (*callout.Grant, error) { return nil, nil },
		"panic":            func() (*callout.Grant, error) { panic("secret in a panic") },
		"nil panic":        func() (*callout.Grant, error) { var g *callout.Grant; return g, errors.New(g.Name) },
		"no account":       func() (*callout.Grant, error) { g := good(); g.Account = ""; return g, nil },
		"no signer":        func() (*callout.Grant, error) { g := good(); g.Signer = nil; return g, nil },
		"no name":          func() (*callout.Grant, error) { g := good(); g.Name = ""; return g, nil },
		"bad subject":      func() (*callout.Grant, error) { g := good(); g.Publish.Allow = []string{"room.*x"}; return g, nil },
		"expired":          func() (*callout.Grant, error) { g := good(); g.Expires = time.Now(); return g, nil },
		"foreign signer":   func() (*callout.Grant, error) { g := good(); g.Signer = keys.HubSigner; return g, nil },
		"forbidden target": func() (*callout.Grant, error) { g := good(); g.Account = keys.System; return g, nil },
		"key that panics":  func() (*callout.Grant, error) { g := good(); g.Signer = (*panicking)(nil); return g, nil },
		"key not to hash":  func() (*callout.Grant, error) { g := good(); g.Signer = unhashable{}; return g, nil },
		"user key signs":   func() (*callout.Grant, error) { g := good(); g.Signer = newDevice(t).pair; return g, nil },
		"too large": func() (*callout.Grant, error) {
			g := good()
			g.Publish.Allow = make([]string, natsd.MaxPayload/200)
			for i := range g.Publish.Allow {
				g.Publish.Allow[i] = strings.Repeat("x", 220)
			}
			return g, nil
		},
	}
	config := h.config(func(_ context.Context, r *callout.Request) (*callout.Grant, error) { return cases[r.User]() })
	config.Decided = decisions.add
	h.run(config)
	for name := range cases {
		h.mustRefuse(name, nats.UserInfo(name, ""))
		d := decisions.await(t, func(d callout.Decision) bool { return d.User == name })
		if strings.Contains(d.Reason, "secret") {
			t.Errorf("%s: reason %q", name, d.Reason)
		}
	}
}

// panicking and unhashable are key pairs as no library makes them.
type (
	panicking  struct{ nkeys.KeyPair }
	unhashable struct {
		nkeys.KeyPair
		_ []byte
	}
)

func TestEnginesOfAQueueGroupShareTheLogins(t *testing.T) {
	h := newHall(t)
	var answered [2]atomic.Int32
	for i := range answered {
		h.run(h.config(func(ctx context.Context, r *callout.Request) (*callout.Grant, error) {
			answered[i].Add(1)
			return h.byDevice(ctx, r)
		}))
	}
	const logins = 40
	for range logins {
		nc, err := newDevice(t).enter(h, "kitchen")
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	first, second := answered[0].Load(), answered[1].Load()
	if first+second != logins || first == 0 || second == 0 {
		t.Errorf("of %d logins one engine answered %d and the other %d", logins, first, second)
	}
}

func TestASlowLoginStallsNoOther(t *testing.T) {
	h := newHall(t)
	release := make(chan struct{})
	h.run(h.config(func(ctx context.Context, r *callout.Request) (*callout.Grant, error) {
		if r.User == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return h.grant(newDevice(t).public), nil
		}
		return h.byDevice(ctx, r)
	}))
	var slow sync.WaitGroup
	errs := make(chan error, 20)
	for range cap(errs) {
		slow.Go(func() {
			_, err := h.dial(nats.UserInfo("slow", ""))
			errs <- err
		})
	}
	for range 10 {
		began := time.Now()
		if _, err := newDevice(t).enter(h, "kitchen"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("a quick login took %s", took)
		}
	}
	close(release)
	slow.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Errorf("slow login: %v", err)
		}
	}
}

func TestWorkIsBoundedAndWhatIsNotDecidedInTimeIsRefusedInTime(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := newHall(t)
	var decisions journal
	var working, most atomic.Int32
	config := h.config(func(ctx context.Context, _ *callout.Request) (*callout.Grant, error) {
		if now := working.Add(1); now > most.Load() {
			most.Store(now)
		}
		defer working.Add(-1)
		deadline, ok := ctx.Deadline()
		if left := time.Until(deadline); !ok || left > loginTime {
			t.Errorf("deadline in %s, %t", left, ok)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	config.InFlight = 2
	config.Decided = decisions.add
	h.run(config)
	var clients sync.WaitGroup
	const logins = 6
	for range logins {
		clients.Go(func() {
			if _, err := h.dial(nats.UserInfo("x", "")); !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%v, want a refusal in place of silence", err)
			}
		})
	}
	clients.Wait()
	decisions.await(t, func(callout.Decision) bool { return len(decisions.list()) == logins })
	outcomes := make(map[callout.Outcome]int)
	for _, d := range decisions.list() {
		outcomes[d.Outcome]++
	}
	if most.Load() > 2 || outcomes[callout.Late] < 2 || outcomes[callout.Late]+outcomes[callout.Shed] != logins {
		t.Errorf("%d at a time, %v; want at most 2 at a time, the others shed", most.Load(), outcomes)
	}
}

func TestAGrantThatComesTooLateIsNone(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := newHall(t)
	var decisions journal
	config := h.config(func(_ context.Context, r *callout.Request) (*callout.Grant, error) {
		time.Sleep(time.Until(r.Expires))
		return h.grant(newDevice(t).public), nil
	})
	config.Decided = decisions.add
	h.run(config)
	if _, err := h.dial(nats.UserInfo("x", "")); err == nil {
		t.Error("a login was let in after its deadline")
	}
	if d := decisions.await(t, func(callout.Decision) bool { return true }); d.Allowed || d.Outcome != callout.Late {
		t.Errorf("decision %+v", d)
	}
}

func TestCloseAnswersWhatWasHeard(t *testing.T) {
	h := newHall(t)
	heard, release := make(chan struct{}), make(chan struct{})
	engine := h.run(h.config(func(_ context.Context, _ *callout.Request) (*callout.Grant, error) {
		close(heard)
		<-release
		return h.grant(newDevice(t).public), nil
	}))
	login := make(chan error)
	go func() {
		_, err := h.dial(nats.UserInfo("x", ""))
		login <- err
	}()
	<-heard
	closed := make(chan error)
	go func() { closed <- engine.Close(context.Background()) }()
	select {
	case err := <-closed:
		t.Fatalf("closed with a login under way: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if err := <-login; err != nil {
		t.Errorf("the login under way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestCloseGivesUpWhenItsTimeEnds(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := newHall(t)
	heard := make(chan struct{})
	engine, err := callout.Start(h.config(func(ctx context.Context, _ *callout.Request) (*callout.Grant, error) {
		close(heard)
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	if err != nil {
		t.Fatal(err)
	}
	var client sync.WaitGroup
	client.Go(func() {
		if _, err := h.dial(nats.UserInfo("x", "")); err == nil {
			t.Error("let in by a callout that gave up")
		}
	})
	<-heard
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := engine.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	client.Wait()
}

func TestCloseAfterTheConnection(t *testing.T) {
	h := newHall(t)
	config := h.config(h.byDevice)
	engine, err := callout.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	config.Conn.Close()
	if err := engine.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestCloseAfterTheServer(t *testing.T) {
	h := newHall(t)
	engine, err := callout.Start(h.config(h.byDevice))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := engine.Close(context.Background()); err != nil || time.Since(began) > 2*time.Second {
		t.Errorf("close: %v after %s", err, time.Since(began))
	}
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	h := newHall(t)
	for name, spoil := range map[string]func(*callout.Config){
		"no connection":      func(c *callout.Config) { c.Conn = nil },
		"no backend":         func(c *callout.Config) { c.Backends = nil },
		"no account":         func(c *callout.Config) { c.Account = "AUTH" },
		"xkey that is none":  func(c *callout.Config) { c.XKey = h.Keys().AuthSigner },
		"issuer of no kind":  func(c *callout.Config) { c.Issuer = h.Keys().OperatorSigner },
		"negative in flight": func(c *callout.Config) { c.InFlight = -1 },
		"not an auth user": func(c *callout.Config) {
			nc, err := h.Connect(h.Keys().HubUser, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			c.Conn = nc
		},
	} {
		config := h.config(h.byDevice)
		spoil(&config)
		if engine, err := callout.Start(config); err == nil {
			t.Errorf("%s: started", name)
			if err := engine.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestABrowsersCookieIsItsToken: HttpOnly, so no script reads it, and the user field
// stays free.
func TestABrowsersCookieIsItsToken(t *testing.T) {
	h := newHall(t)
	got := make(chan *callout.Request, 1)
	h.run(h.config(func(_ context.Context, r *callout.Request) (*callout.Grant, error) {
		got <- r
		return h.grant(newDevice(t).public, "kitchen"), nil
	}))
	ada := newDevice(t)
	options := append(ada.options(h, "rooms "+ada.public+" kitchen"), nats.WebSocketConnectionHeaders(http.Header{
		"Cookie": {natsd.SessionCookie + "=s3ss10n"},
	}))
	nc, err := nats.Connect(h.WebSocketURL(), options...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := <-got
	if r.Token.Reveal() != "s3ss10n" || r.User != "rooms "+ada.public+" kitchen" || r.Client.Type != "websocket" || r.Password != "" {
		t.Errorf("request %+v with token %q", r, r.Token.Reveal())
	}
	if err := r.VerifySignature(ada.public); err != nil {
		t.Error(err)
	}
}

func TestADecidedHookThatPanicsHarmsNoLogin(t *testing.T) {
	h := newHall(t)
	config := h.config(h.byDevice)
	config.Decided = func(callout.Decision) { panic("hook") }
	h.run(config)
	for range 3 {
		if _, err := newDevice(t).enter(h, "kitchen"); err != nil {
			t.Error(err)
		}
	}
}

func TestAGrantEndsTheConnectionWhenItExpires(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := newHall(t)
	h.run(h.config(func(_ context.Context, r *callout.Request) (*callout.Grant, error) {
		g := h.grant(newDevice(t).public, "kitchen")
		g.Expires = time.Now().Add(2 * time.Second)
		return g, nil
	}))
	nc, err := h.dial(nats.UserInfo("x", ""))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if nc.IsClosed() {
			return nil
		}
		return errors.New("the connection outlives its grant")
	})
}
