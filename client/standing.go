package client

import (
	"context"
	"errors"
	"time"

	"keyhall.dev/keyhall/internal/fault"
	natslogin "keyhall.dev/keyhall/login"
)

// ErrTurnedAway is the error of a connection that has ended because the hub does not let
// this device in any more.
var ErrTurnedAway = errors.New("turned away by the hub")

// standing is whether the hub still lets a connection in. While a hub or its callout starts,
// logins are refused that are in order: so a connection goes on trying, and ends only when a
// refusal is a real one.
type standing struct {
	judge  func(ctx context.Context, refusedFor time.Duration) error // why not; nil while nothing says so
	ctx    context.Context                                           //nolint:containedctx // ends with the connection, with ErrTurnedAway as a cause
	cancel context.CancelCauseFunc
}

func newStanding(judge func(context.Context, time.Duration) error) *standing {
	s := &standing{judge: judge}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// persistence is how the connection goes about it.
func (s *standing) persistence() natslogin.Persistence {
	return natslogin.Persistence{Judge: s.judge, Ended: s.cancel}
}

// end is the end of the connection itself, without a reason.
func (s *standing) end() { s.cancel(nil) }

// reason is why the connection was turned away, nil if it was not.
func (s *standing) reason() error {
	if cause := context.Cause(s.ctx); errors.Is(cause, ErrTurnedAway) {
		return cause
	}
	return nil
}

// turnedAway judges the logins to the person's own account: nobody but the server decides
// them, so what it goes on refusing it means. One that has just started may not know the
// account yet.
func turnedAway(_ context.Context, refusedFor time.Duration) error {
	if refusedFor < natslogin.DefaultPatience {
		return nil
	}
	return fault.Wrap(fault.Refused, ErrTurnedAway,
		"the hub does not let this device in any more: it was revoked, or its token has expired")
}

// putOut judges the logins to ROOMS, which the callout decides, by the member's own past: a
// device that it does not revoke, the callout lets in.
func (c *Client) putOut(ctx context.Context, _ time.Duration) error {
	own, err := c.me(ctx)
	if err != nil {
		return c.standing.reason() // nobody to ask: it may come back
	}
	fact := own.Person.Devices[c.profile.device.String()]
	switch {
	case fact == nil || fact.Revoked != 0:
		return fault.Wrap(fault.Refused, ErrTurnedAway, "this device was revoked: the hub does not let it in any more")
	case time.Now().After(fact.Expires):
		return fault.Wrap(fault.Refused, ErrTurnedAway, "this device's token has expired: the hub does not let it in any more")
	}
	return nil
}

// Done is closed when the connection has ended for good: the client was closed, or the hub
// does not let the device in any more, which Err says then.
func (c *Client) Done() <-chan struct{} { return c.standing.ctx.Done() }

// Err is why the hub has turned the device away, with ErrTurnedAway; nil while it has not.
func (c *Client) Err() error { return c.standing.reason() }
