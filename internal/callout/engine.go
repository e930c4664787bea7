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

	Account  string        // A…, the account with external authorization
	Issuer   nkeys.KeyPair // the account's identity or a signing key: signs answers
	XKey     nkeys.KeyPair // the xkey in the account's JWT, with its seed
	Backends []Backend     // the first that takes a login decides it

	Origin   *Origin        // of the proxy before the WebSockets; nil: the server sees the clients itself
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

	conn   *nats.Conn
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
			account:   config.Account,
			issuer:    config.Issuer,
			issuerKey: issuerKey,
			xkey:      config.XKey,
			origin:    config.Origin,
			backends:  config.Backends,
			logger:    config.Logger,
			maxAnswer: int(config.Conn.MaxPayload()),
		},
		decided: config.Decided,
		logger:  config.Logger,
		conn:    config.Conn,
		places:  make(chan struct{}, config.InFlight),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := e.subscribe(config.Queue); err != nil {
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
	case c.Conn == nil || c.Issuer == nil || c.XKey == nil || len(c.Backends) == 0:
		return "", errors.New("callout: Conn, Issuer, XKey and Backends are required")
	case !isKey(nkeys.PrefixByteAccount, c.Account):
		return "", fmt.Errorf("callout: %q is not an account", c.Account)
	case c.InFlight < 1:
		return "", fmt.Errorf("callout: InFlight is %d", c.InFlight)
	}
	if xkey, err := c.XKey.PublicKey(); err != nil || !isKey(nkeys.PrefixByteCurve, xkey) {
		return "", errors.New("callout: XKey is not a curve key")
	}
	if _, err := c.XKey.Seed(); err != nil {
		return "", fmt.Errorf("callout: XKey has no seed: %w", err)
	}
	issuer, err := c.Issuer.PublicKey()
	if err != nil || !isKey(nkeys.PrefixByteAccount, issuer) {
		return "", errors.New("callout: Issuer is not an account key")
	}
	return issuer, nil
}

// subscribe joins the queue group. Pending messages are not limited: after a restart
// thousands ask at once, and each that is shed would cost its client the whole
// timeout.
func (e *Engine) subscribe(queue string) error {
	before := e.conn.LastError()
	sub, err := e.conn.QueueSubscribe(requestSubject, queue, e.hear)
	if err != nil {
		return fmt.Errorf("callout: subscribe: %w", err)
	}
	err = sub.SetPendingLimits(-1, -1)
	if err == nil {
		err = e.conn.Flush()
	}
	// A refused subscription is reported before the answer to the flush.
	if last := e.conn.LastError(); err == nil && last != before && errors.Is(last, nats.ErrPermissionViolation) {
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
	if err := e.endSubscription(ctx); err != nil {
		return errors.Join(err, e.finish(ctx))
	}
	return e.finish(ctx)
}

// endSubscription hears no more, and waits until what was heard is under way. Without
// a server there is nobody to answer, and nothing to wait for.
func (e *Engine) endSubscription(ctx context.Context) error {
	drained := make(chan struct{})
	e.sub.SetClosedHandler(func(string) { close(drained) })
	lost := e.conn.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer e.conn.RemoveStatusListener(lost)
	if !e.conn.IsConnected() {
		return e.dropSubscription()
	}
	if err := e.sub.Drain(); err != nil {
		return e.dropSubscription()
	}
	select {
	case <-drained:
		return nil
	case <-lost:
		return e.dropSubscription()
	case <-ctx.Done():
		return fmt.Errorf("callout: requests were left: %w", ctx.Err())
	}
}

func (e *Engine) dropSubscription() error {
	err := e.sub.Unsubscribe()
	if err == nil || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil // gone, or gone with its connection
	}
	return fmt.Errorf("callout: end the subscription: %w", err)
}

// finish takes all places: then nobody works any more. When ctx ends first, the work
// is cancelled.
func (e *Engine) finish(ctx context.Context) error {
	var err error
	for range cap(e.places) {
		select {
		case e.places <- struct{}{}:
			continue
		default:
		}
		select {
		case e.places <- struct{}{}:
		case <-ctx.Done():
			e.cancel()
			e.places <- struct{}{}
			err = fmt.Errorf("callout: logins were given up: %w", ctx.Err())
		}
	}
	return err
}
