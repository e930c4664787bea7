package browsers

import (
	"context"
	"time"
)

// SetClock has sessions go by another clock.
func (s *Sessions) SetClock(now func() time.Time) { s.now = now }

// Look is what Follow does each minute, and Clear what it does now and then.
func (s *Sessions) Look(ctx context.Context) error { return s.look(ctx) }

// Clear forgets the sessions that are over.
func (s *Sessions) Clear(ctx context.Context) error { return s.clear(ctx) }

// OpenSockets are the sessions that have WebSockets.
func (s *Sessions) OpenSockets() []string { return s.sockets.sessions() }

// Stored are the ids of sessions that are kept, and how much there is in the bucket.
func (s *Sessions) Stored(ctx context.Context) (ids []string, entries uint64, err error) {
	if ids, err = s.keys(ctx, sessionKey("*")); err != nil {
		return nil, 0, err
	}
	status, err := s.bucket.Status(ctx)
	if err != nil {
		return nil, 0, err
	}
	return ids, status.Values(), nil
}
