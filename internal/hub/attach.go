package hub

import (
	"context"

	"keyhall.dev/keyhall/internal/accounts"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natsd"
)

// Attach says which NATS system a hub lives on instead of a server of its own.
type Attach struct {
	URL   string
	Creds string // see natsd.AttachOptions
}

// openOutside opens the hub's keys for a NATS system outside and installs its accounts
// there.
func (h *Hub) openOutside(ctx context.Context) error {
	outside, err := natsd.Attach(ctx, natsd.AttachOptions{
		DataDir: h.options.DataDir, URL: h.options.Attach.URL, Creds: h.options.Attach.Creds,
	})
	if err != nil {
		return err
	}
	h.bus = outside
	h.closers = append(h.closers, outside.Close)
	sys, err := outside.Connect(outside.Keys().SystemUser)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the NATS system at %s cannot be used: %v", h.options.Attach.URL, err)
	}
	defer sys.Close()
	return accounts.Install(ctx, sys, outside.Keys().AccountJWTs())
}

func notRunning(dataDir string, err error) error {
	return fault.Wrap(fault.Unavailable, err, "no hub answers for %s; start it with keyhall up --data %s", dataDir, dataDir)
}
