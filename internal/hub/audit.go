package hub

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/callout/metrics"
	"keyhall.dev/keyhall/internal/natsd"
)

// Audit says how long the audit of logins is kept, and Prometheus is told.
type Audit struct {
	MaxAge   time.Duration // of an entry; audit.DefaultMaxAge if 0
	MaxBytes int64         // of the stream; audit.DefaultMaxBytes if 0
	Metrics  string        // host:port where metrics are served; empty: nowhere
}

// watch is what sees every decision of the callout.
type watch struct {
	log     *audit.Log
	metrics *metrics.Metrics // nil where nobody wants them
}

// startWatch opens the audit over nc, in account HUB, and the metrics.
func (h *Hub) startWatch(ctx context.Context, nc *nats.Conn) (*watch, error) {
	identity, err := auditor(h.keys.CalloutUser)
	if err != nil {
		return nil, err
	}
	log, err := audit.Start(ctx, audit.Options{
		Conn: nc, Identity: identity, MaxAge: h.options.Audit.MaxAge, MaxBytes: h.options.Audit.MaxBytes,
		Replicas: h.options.Replicas, Logger: h.options.Logger,
	})
	if err != nil {
		return nil, err
	}
	h.closers = append(h.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		return log.Close(ctx)
	})
	w := &watch{log: log}
	if h.options.Audit.Metrics == "" {
		return w, nil
	}
	w.metrics = metrics.New()
	w.metrics.AuditLost(log.Lost)
	server, err := metrics.Serve(w.metrics, h.options.Audit.Metrics, h.options.Logger)
	if err != nil {
		return nil, err
	}
	h.metrics = server.URL()
	h.closers = append(h.closers, server.Close)
	return w, nil
}

// auditor is the callout's user as it signs the audit.
func auditor(login natsd.Login) (audit.Identity, error) {
	creds, err := login.Creds()
	if err != nil {
		return audit.Identity{}, err
	}
	key, err := nkeys.ParseDecoratedUserNKey(creds)
	if err != nil {
		return audit.Identity{}, err
	}
	seed, err := key.Seed()
	return audit.Identity{Seed: seed, Token: login.JWT}, err
}

func (w *watch) decided(d callout.Decision) {
	w.log.Decided(d)
	if w.metrics != nil {
		w.metrics.Decided(d)
	}
}

func (w *watch) closed(c audit.Closed) {
	w.log.Closed(c)
	if w.metrics != nil {
		w.metrics.Closed(c)
	}
}

// Metrics is where Prometheus reads the hub's metrics; empty where none are served.
func (h *Hub) Metrics() string { return h.metrics }

// Audit reads the audit of logins: what the callout wrote, since a time, and with follow what
// it writes until ctx ends.
func (m *OnMachine) Audit(ctx context.Context, since time.Time, follow bool, do func(*audit.Record) error) error {
	reader := audit.Reader{Conn: m.nc, Devices: []string{m.keys.CalloutUser.PublicKey}, Since: since, Follow: follow}
	return reader.Read(ctx, do)
}
