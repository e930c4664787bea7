package browsers_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/browsers"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/trust"
)

// counter is the sessions of a hub, beside its own, with a clock that tests set. Nobody looks
// after them but the test.
type counter struct {
	*browsers.Sessions
	t   *testing.T
	now time.Time

	mu    sync.Mutex
	ended []string // whose connections to ROOMS were to be closed
}

func newCounter(t *testing.T, hall *hubtest.Hall) *counter {
	t.Helper()
	ctx := hubtest.Context(t)
	keys, err := natsd.LoadKeys(hall.Dir)
	must(t, err)
	nc, err := nats.Connect(hall.NATS(), keys.HubUser.Options()...)
	must(t, err)
	t.Cleanup(nc.Close)
	l, err := ledger.Attach(ctx, nc)
	must(t, err)
	view, err := people.OpenView(ctx, l)
	must(t, err)
	c := &counter{t: t, now: time.Now()}
	c.Sessions, err = browsers.Open(ctx, nc, 1, browsers.Sessions{
		People: view, Cookie: "c", Ended: func(_ context.Context, session *browsers.Session) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.ended = append(c.ended, session.ID)
			return nil
		},
	})
	must(t, err)
	c.SetClock(func() time.Time { return c.now })
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *counter) open(m *hubtest.Member, device string) (*browsers.Session, string) {
	c.t.Helper()
	session, cookie, err := c.New(hubtest.Context(c.t), m.Profile.Settings.Account, device, "192.0.2.1", "Browser/1 "+strings.Repeat("é", 200))
	must(c.t, err)
	return session, cookie
}

// socket opens a WebSocket with a cookie.
func (c *counter) socket(cookie string) (context.Context, func(), error) {
	request := httptest.NewRequest(http.MethodGet, "/nats", nil)
	if cookie != "" {
		request.Header.Set("Cookie", "c="+cookie)
	}
	return c.Admit(request)
}

func TestASessionThatEndsCutsItsWebSocketsAndNoOthers(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	ctx := hubtest.Context(t)
	phone := deviceOf(t, alice, "phone")
	tablet := deviceOf(t, alice, "tablet")
	c := newCounter(t, hall)
	// A hub that has not read its ledger yet ends nobody's session for it.
	_, _, err := c.New(ctx, alice.Profile.Settings.Account, trust.NewKeyPair(trust.Device).String(), "", "")
	if !fault.Is(err, fault.Unavailable) || errors.Is(err, browsers.ErrNone) {
		t.Errorf("a device that is not known yet: %v", err)
	}
	session, cookie := c.open(alice, phone)
	if len(session.Agent) > 200 || !strings.HasPrefix(session.Agent, "Browser/1 é") || strings.Contains(session.Agent, "\ufffd") {
		t.Errorf("it calls itself %q", session.Agent)
	}
	_, other := c.open(alice, tablet)
	first, done, err := c.socket(cookie)
	must(t, err)
	second, gone, err := c.socket(cookie)
	must(t, err)
	stays, leave, err := c.socket(other)
	must(t, err)
	defer leave()
	free, _, err := c.socket("")
	must(t, err)
	gone()
	if second.Err() == nil || first.Err() != nil {
		t.Error("a WebSocket that is closed ends another, or not itself")
	}
	must(t, c.End(ctx, session))
	if first.Err() == nil || stays.Err() != nil || free.Err() != nil {
		t.Errorf("its own: %v, another's: %v, nobody's: %v", first.Err(), stays.Err(), free.Err())
	}
	if len(c.ended) != 1 || c.ended[0] != session.ID {
		t.Errorf("rooms are left by %v", c.ended)
	}
	if _, _, err := c.socket(cookie); !errors.Is(err, browsers.ErrNone) {
		t.Errorf("a dead cookie: %v", err)
	}
	done()
	if open := c.OpenSockets(); len(open) != 1 {
		t.Errorf("%d sessions have WebSockets", len(open))
	}
	if is, err := c.IsBrowser(ctx, session.Account, phone); err != nil || !is {
		t.Errorf("the device is no browser's any more: %v", err)
	}
}

// TestASessionEndsAfterAMonthWithoutUse: an open WebSocket is use.
func TestASessionEndsAfterAMonthWithoutUse(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	ctx := hubtest.Context(t)
	phone := deviceOf(t, alice, "phone")
	tablet := deviceOf(t, alice, "tablet")
	c := newCounter(t, hall)
	used, cookie := c.open(alice, phone)
	_, forgotten := c.open(alice, tablet)
	const day = 24 * time.Hour
	seen := func() time.Time {
		session, err := c.Live(ctx, cookie)
		must(t, err)
		return session.Seen
	}
	c.now = c.now.Add(59 * time.Second)
	must(t, c.Note(ctx, used, "192.0.2.2", "Browser/2"))
	if !seen().Equal(used.Seen) {
		t.Error("use is noted within a minute")
	}
	c.now = c.now.Add(20 * day)
	must(t, c.Note(ctx, used, "192.0.2.2", "Browser/2"))
	if session, err := c.Live(ctx, cookie); err != nil || session.From != "192.0.2.2" || session.Agent != "Browser/2" || !session.Seen.After(used.Seen) {
		t.Errorf("%+v, %v", session, err)
	}
	held, done, err := c.socket(cookie)
	must(t, err)
	defer done()
	for range 3 {
		c.now = c.now.Add(20 * day)
		must(t, c.Look(ctx))
	}
	if held.Err() != nil {
		t.Error("a WebSocket that is open is no use")
	}
	if _, err := c.Live(ctx, forgotten); !errors.Is(err, browsers.ErrNone) {
		t.Errorf("after a month: %v", err)
	}
	must(t, c.Clear(ctx))
	if len(c.ended) != 1 {
		t.Errorf("%d sessions were cleared away", len(c.ended))
	}
	c.now = c.now.Add(31 * day)
	must(t, c.Look(ctx))
	if held.Err() == nil {
		t.Error("a session that nobody used for a month goes on")
	}
	if list, err := c.List(ctx, used.Account); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// deviceOf is one more device of a member, without a program behind it.
func deviceOf(t *testing.T, m *hubtest.Member, name string) string {
	t.Helper()
	_, key, err := m.AddDevice(hubtest.Context(t), name)
	must(t, err)
	return key.String()
}

// TestOfSessionsThatADeviceOpensAtOnceOneIsLeft: another one would be in no list, and its WebSockets would not be cut when
// the person signs the device out.
func TestOfSessionsThatADeviceOpensAtOnceOneIsLeft(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	ctx := hubtest.Context(t)
	phone := deviceOf(t, alice, "phone")
	c := newCounter(t, hall)
	c.open(alice, phone)
	account := alice.Profile.Settings.Account
	for range 4 {
		var all sync.WaitGroup
		errs := make(chan error, 8)
		for range cap(errs) {
			all.Go(func() {
				_, _, err := c.New(ctx, account, phone, "192.0.2.1", "Browser/1")
				errs <- err
			})
		}
		all.Wait()
		close(errs)
		opened := 0
		for err := range errs {
			if err == nil {
				opened++
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		}
		ids, _, err := c.Stored(ctx)
		must(t, err)
		list, err := c.List(ctx, account)
		must(t, err)
		if opened == 0 || len(ids) != 1 || len(list) != 1 || ids[0] != "session."+list[0].ID {
			t.Errorf("%d were opened, %v are kept, %d are listed", opened, ids, len(list))
		}
	}
}

// TestSessionsThatAreOverLeaveNothing: who signs in again and again does not fill the hub.
func TestSessionsThatAreOverLeaveNothing(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	ctx := hubtest.Context(t)
	phone := deviceOf(t, alice, "phone")
	c := newCounter(t, hall)
	var last *browsers.Session
	for range 5 {
		last, _ = c.open(alice, phone)
	}
	must(t, c.Clear(ctx))
	if ids, entries, err := c.Stored(ctx); err != nil || len(ids) != 1 || ids[0] != "session."+last.ID || entries != 2 {
		t.Errorf("%v, and %d entries: %v", ids, entries, err)
	}
}
