package natsd_test

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
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet are options for tests: free ports, no log.
func quiet(dir string) natsd.Options {
	return natsd.Options{
		DataDir: dir,
		NATS:    "127.0.0.1:-1",
		Logger:  slog.New(slog.DiscardHandler),
	}
}

func start(t *testing.T, opts natsd.Options) *natsd.Server {
	t.Helper()
	s, err := natsd.Start(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *natsd.Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// startFault starts a hub that must not start, and checks that its fault is one clear
// sentence that holds each of the words.
func startFault(t *testing.T, opts natsd.Options, code fault.Code, words ...string) {
	t.Helper()
	s, err := natsd.Start(context.Background(), opts)
	if err == nil {
		stop(t, s)
		t.Fatal("the hub started")
	}
	checkFault(t, err, code, words...)
}

func checkFault(t *testing.T, err error, code fault.Code, words ...string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code {
		t.Errorf("error %v of code %q, want code %q", err, fault.CodeOf(err), code)
		return
	}
	if strings.ContainsAny(f.Message, "\n\r") || len(f.Message) > 500 {
		t.Errorf("not one clear line: %q", f.Message)
	}
	for _, word := range words {
		if !strings.Contains(f.Message, word) {
			t.Errorf("%q does not say %q", f.Message, word)
		}
	}
}

// client is a connection that records what the server refused.
type client struct {
	*nats.Conn
	t *testing.T

	mu      sync.Mutex
	refused []string
}

func connect(t *testing.T, s *natsd.Server, options ...nats.Option) *client {
	t.Helper()
	c := &client{t: t}
	record := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.refused = append(c.refused, err.Error())
	})
	var err error
	all := append([]nats.Option{nats.InProcessServer(s), record, nats.NoReconnect()}, options...)
	if c.Conn, err = nats.Connect("", all...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func login(t *testing.T, s *natsd.Server, l natsd.Login, options ...nats.Option) *client {
	t.Helper()
	return connect(t, s, append(l.Options(), options...)...)
}

func (c *client) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.refused
	c.refused = nil
	return taken
}

// mustRefuse does something that the server must refuse, naming kind and subject.
func (c *client) mustRefuse(kind, subject string, act func() error) {
	c.t.Helper()
	c.take()
	if err := act(); err != nil {
		c.t.Errorf("%s %s: %v before the server was asked", kind, subject, err)
		return
	}
	want := fmt.Sprintf("Permissions Violation for %s to %q", kind, subject)
	var got []string
	eventually(c.t, func() error {
		got = append(got, c.take()...)
		for _, text := range got {
			if strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
				return nil
			}
		}
		return fmt.Errorf("%s to %q was not refused, errors: %q", kind, subject, got)
	})
}

func (c *client) publishRefused(subject string) {
	c.t.Helper()
	c.mustRefuse("Publish", subject, func() error {
		return errors.Join(c.Publish(subject, nil), c.Flush())
	})
}

func (c *client) subscribeRefused(subject string) {
	c.t.Helper()
	c.mustRefuse("Subscription", subject, func() error {
		_, err := c.SubscribeSync(subject)
		return errors.Join(err, c.Flush())
	})
}

// allowed does something that the server must not refuse.
func (c *client) allowed(what string, act func() error) {
	c.t.Helper()
	c.take()
	if err := errors.Join(act(), c.Flush()); err != nil {
		c.t.Errorf("%s: %v", what, err)
	}
	if refused := c.take(); len(refused) > 0 {
		c.t.Errorf("%s: %q", what, refused)
	}
}

// eventually polls until check returns nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Error(err)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
