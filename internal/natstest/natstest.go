// Package natstest starts a NATS server for a test: a real one on a free port, which knows
// nothing of Keyhall. A whole hub is package hubtest's.
package natstest

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// patience bounds the wait for a server; it is no measure of anything.
const patience = 30 * time.Second

// Start starts a server that ends with the test. Of options the address is set; they may be
// nil.
func Start(t *testing.T, options *server.Options) *server.Server {
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
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not come up")
	}
	return s
}
