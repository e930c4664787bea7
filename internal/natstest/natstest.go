// Package natstest is what tests that talk to a NATS server need: a real one on a free port,
// which knows nothing of Keyhall, and patience. A whole hub is package hubtest's.
package natstest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Patience bounds everything that a test waits for; it is no measure of anything.
const Patience = 30 * time.Second

// Within is a context that ends with the test, or with its patience.
func Within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Eventually polls until cond holds.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

// Start starts a server that ends with the test. Of options the address is set; they may be
// nil.
func Start(t testing.TB, options *server.Options) *server.Server {
	t.Helper()
	if options == nil {
		options = new(server.Options)
	}
	options.Host, options.Port, options.NoLog, options.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(Patience) {
		t.Fatal("the server does not come up")
	}
	return s
}
