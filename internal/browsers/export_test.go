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
