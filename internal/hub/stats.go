package hub

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/internal/shares"
)

// serveStats counts what the views hold.
func serveStats(
	ctx context.Context, nc *nats.Conn, p *people.View, s *shares.View, r *rooms.View, log *slog.Logger,
) (wait func(), err error) {
	get := func(ctx context.Context, _ string, _ []byte) (any, error) {
		var stats api.Stats
		var err error
		if stats.People, stats.Devices, err = p.Count(ctx); err != nil {
			return nil, err
		}
		if stats.Shares, err = s.Count(ctx); err != nil {
			return nil, err
		}
		stats.Rooms, err = r.Count(ctx)
		return stats, err
	}
	return api.Serve(ctx, nc, api.Service{
		Name: "stats", Description: "what the hub holds", Verbs: map[string]api.Handler{"get": get},
	}, log)
}
