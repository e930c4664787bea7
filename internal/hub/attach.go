package hub

import (
	"context"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natsd"
)

// Attach says which NATS system a hub uses instead of an embedded server.
type Attach struct {
	URL   string
	Creds string // path of a file that only the host can read: see docs/operations
}

// outside is a NATS system that somebody else runs.
type outside struct {
	url  string
	keys *natsd.Keys
}

func attach(_ context.Context, o Options) (*outside, error) {
	return nil, fault.New(fault.Unavailable, "attach to %s: not wired", o.Attach.URL)
}

// Connect connects one of the hub's services.
func (a *outside) Connect(login natsd.Login, options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(a.url, append(login.Options(), options...)...)
}

func (a *outside) close() error { return nil }

func notRunning(dataDir string, err error) error {
	return fault.Wrap(fault.Unavailable, err, "no hub answers for %s; start it with keyhall up --data %s", dataDir, dataDir)
}
