package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
)

// ErrTurnedAway is the error of a connection that has ended because the hub does not let
// this device in any more.
var ErrTurnedAway = errors.New("turned away by the hub")

const (
	// refusalsJudged is how many refusals in a row it takes to ask whether they are meant.
	refusalsJudged = 2
	// refusalPatience is how long a server may refuse without a reason: one that has just
	// started may not know the account yet.
	refusalPatience = time.Minute
	judgeTime       = 10 * time.Second
	enterTries      = 5
)

// standing is how the hub takes a connection's logins. While a hub or its callout starts,
// logins are refused that are in order: so a connection goes on trying, and ends only
// when a refusal is a real one.
type standing struct {
	// judge says why the device may not come back; nil while nothing says so. unasked is
	// for how long it has been refused without a reason.
	judge func(ctx context.Context, unasked time.Duration) error

	ctx    context.Context //nolint:containedctx // ends with the connection, with ErrTurnedAway as a cause
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	refusals int // since the last login
	since    time.Time
}

func newStanding(judge func(context.Context, time.Duration) error) *standing {
	s := &standing{judge: judge}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// options have a connection report its refused logins.
func (s *standing) options() []nats.Option {
	return []nats.Option{
		// Without a handler what the server says of errors goes to the terminal, as it is.
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) { s.told(nc, err) }),
		nats.ReconnectHandler(func(*nats.Conn) { s.back() }),
	}
}

// back forgets the refusals: a login was taken.
func (s *standing) back() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = 0
}

// told takes an error of the connection. nats.go tells one at a time.
func (s *standing) told(nc *nats.Conn, err error) {
	if !isRefusal(err) || s.ctx.Err() != nil {
		return
	}
	unasked, due := s.count(err)
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, judgeTime)
	defer cancel()
	if reason := s.judge(ctx, unasked); reason != nil {
		s.cancel(reason)
		nc.Close()
	}
}

// count counts a refusal, and says whether to judge. A revocation is told once, on the
// living connection, and is no mistake.
func (s *standing) count(err error) (unasked time.Duration, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusals == 0 {
		s.since = time.Now()
	}
	s.refusals++
	if errors.Is(err, nats.ErrAuthRevoked) {
		return refusalPatience, true
	}
	return time.Since(s.since), s.refusals >= refusalsJudged
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

func isRefusal(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired)
}

// turnedAway judges the logins to the person's own account: nobody but the server decides
// them, so what it goes on refusing it means.
func turnedAway(_ context.Context, unasked time.Duration) error {
	if unasked < refusalPatience {
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
