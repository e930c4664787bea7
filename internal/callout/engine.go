package callout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

const (
	defaultQueue    = "keyhall-callout"
	defaultInFlight = 256
)

// Config is what an Engine works with. The last four may be zero.
type Config struct {
	// Conn is a connection of one of the account's auth users. It stays the caller's,
	// who closes it after the engine.
	Conn *nats.Conn

	Account    string        // A…, the account with external authorization
	Issuer     nkeys.KeyPair // the account's identity or a signing key: signs answers
	XKey       nkeys.KeyPair // the xkey in the account's JWT, with its seed
	Authorizer Authorizer

	Queue    string         // queue group shared by the engines of an account: keyhall-callout
	InFlight int            // how many logins are worked on at a time: 256
	Decided  func(Decision) // called after each answer, concurrently
	Logger   *slog.Logger   // slog.Default()
}

// Engine hears and answers login requests until it is closed.
type Engine struct {
	respondent respondent
	decided    func(Decision)
	logger     *slog.Logger

	sub    *nats.Subscription
	places chan struct{}   // one for each login worked on
	ctx    context.Context // ends all work
	cancel context.CancelFunc

	closing  sync.Once
	closeErr error
}

// Start begins to answer. When it returns, the servers know: a login from then
// on reaches the engine.
func Start(config Config) (*Engine, error) {
	config = config.withDefaults()
	issuerKey, err := config.check()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		respondent: respondent{
			account:    config.Account,
			issuer:     config.Issuer,
			issuerKey:  issuerKey,
			xkey:       config.XKey,
			authorizer: config.Authorizer,
			logger:     config.Logger,
			maxAnswer:  int(config.Conn.MaxPayload()),
		},
		decided: config.Decided,
		logger:  config.Logger,
		places:  make(chan struct{}, config.InFlight),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := e.subscribe(config.Conn, config.Queue); err != nil {
		e.cancel()
		return nil, err
	}
	return e, nil
}

func (c Config) withDefaults() Config {
	if c.Queue == "" {
		c.Queue = defaultQueue
	}
	if c.InFlight == 0 {
		c.InFlight = defaultInFlight
	}
	if c.Decided == nil {
		c.Decided = func(Decision) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// check returns the issuer's public key.
func (c Config) check() (string, error) {
	switch {
	case c.Conn == nil || c.Issuer == nil || c.XKey == nil || c.Authorizer == nil:
		return "", errors.New("callout: Conn, Issuer, XKey and Authorizer are required")
	case !nkeys.IsValidPublicAccountKey(c.Account):
		return "", fmt.Errorf("callout: %q is not an account", c.Account)
	case c.InFlight < 1:
		return "", fmt.Errorf("callout: InFlight is %d", c.InFlight)
	}
	if xkey, err := c.XKey.PublicKey(); err != nil || !nkeys.IsValidPublicCurveKey(xkey) {
		return "", errors.New("callout: XKey is not a curve key")
	}
	if _, err := c.XKey.Seed(); err != nil {
		return "", fmt.Errorf("callout: XKey has no seed: %w", err)
	}
	issuer, err := c.Issuer.PublicKey()
	if err != nil || !nkeys.IsValidPublicAccountKey(issuer) {
		return "", errors.New("callout: Issuer is not an account key")
	}
	return issuer, nil
}

// subscribe joins the queue group. Pending messages are not limited: after a restart
// thousands ask at once, and each that is shed would cost its client the whole
// timeout.
func (e *Engine) subscribe(nc *nats.Conn, queue string) error {
	before := nc.LastError()
	sub, err := nc.QueueSubscribe(requestSubject, queue, e.hear)
	if err != nil {
		return fmt.Errorf("callout: subscribe: %w", err)
	}
	err = sub.SetPendingLimits(-1, -1)
	if err == nil {
		err = nc.Flush()
	}
	// A refused subscription is reported before the answer to the flush.
	if last := nc.LastError(); err == nil && last != before && errors.Is(last, nats.ErrPermissionViolation) {
		err = last
	}
	if err != nil {
		return errors.Join(fmt.Errorf("callout: subscribe: %w", err), sub.Unsubscribe())
	}
	e.sub = sub
	return nil
}

// hear waits for a free place and works on the request there. While it waits, further
// requests wait in the subscription.
func (e *Engine) hear(message *nats.Msg) {
	heard := time.Now()
	select {
	case e.places <- struct{}{}:
	case <-e.ctx.Done():
		return
	}
	go func() {
		defer func() { <-e.places }()
		e.handle(message, heard)
	}()
}

func (e *Engine) handle(message *nats.Msg, heard time.Time) {
	a := e.respondent.answer(e.ctx, message.Header, message.Data)
	if a.Send && message.Reply != "" {
		if err := message.Respond(a.Data); err != nil {
			a.Decision.Allowed, a.Decision.Reason = false, "the answer could not be sent"
			a.Err = errors.Join(a.Err, err)
		}
	}
	a.Decision.Duration = time.Since(heard)
	a.Decision.log(e.logger, a.Err)
	e.report(a.Decision)
}

// report calls the hook; one that panics harms no login.
func (e *Engine) report(d Decision) {
	var err error
	defer e.respondent.contain("report a decision", &err)
	e.decided(d)
}

// Close stops hearing requests, answers those already heard and waits for the work to
// end. When ctx ends first, what is left is given up: it is cancelled, and Close waits
// for the Authorizer to return. Further calls do nothing and return the first result.
func (e *Engine) Close(ctx context.Context) error {
	e.closing.Do(func() { e.closeErr = e.close(ctx) })
	return e.closeErr
}

func (e *Engine) close(ctx context.Context) error {
	defer e.cancel()
	err := e.drain(ctx)
	// All places taken: nobody works any more.
	for range cap(e.places) {
		select {
		case e.places <- struct{}{}:
			continue
		case <-ctx.Done():
		}
		e.cancel()
		err = errors.Join(err, ctx.Err())
		e.places <- struct{}{}
	}
	return err
}

// drain ends the subscription and waits until what it had heard is under way.
func (e *Engine) drain(ctx context.Context) error {
	drained := make(chan struct{})
	e.sub.SetClosedHandler(func(string) { close(drained) })
	if err := e.sub.Drain(); err != nil {
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
			return nil // the connection went first, and the subscription with it
		}
		return fmt.Errorf("callout: end the subscription: %w", err)
	}
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		e.cancel()
		return ctx.Err()
	}
}
