package callout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/throttle"
)

const (
	defaultQueue    = "keyhall-callout"
	defaultInFlight = 256

	// What waits to be read. After a restart thousands ask at once, and each that is dropped
	// costs its client the whole timeout: the bounds are for a server that went mad.
	maxPending      = 1 << 17
	maxPendingBytes = 1 << 29
)

// Config is what an Engine works with. From Queue on everything may be zero.
type Config struct {
	// Conn is a connection of one of the account's auth users. It stays the caller's,
	// who closes it after the engine.
	Conn *nats.Conn

	Account  string        // A…, the account with external authorization
	Issuer   nkeys.KeyPair // the account's identity or a signing key: signs answers
	XKey     nkeys.KeyPair // the xkey in the account's JWT, with its seed
	Backends []Backend     // the first that takes a login decides it

	Queue       string             // queue group shared by the engines of an account: keyhall-callout
	InFlight    int                // how many logins are worked on at a time, divided among the backends: 256
	Throttle    Throttle           // how guessing is slowed down
	CheckServer func(Server) error // which servers may ask: those that CheckServerVersion takes
	Origin      *Origin            // of the proxy before the WebSockets; nil: the server sees the clients itself
	Decided     func(Decision)     // called after each answer, concurrently; it returns soon
	Logger      *slog.Logger       // slog.Default()
}

// Throttle is how guessing is slowed down, where a backend is Guessable.
type Throttle = throttle.Settings

// Engine hears and answers login requests until it is closed.
type Engine struct {
	respondent *respondent
	inFlight   int
	lines      atomic.Pointer[lines]
	decided    func(Decision)
	logger     *slog.Logger

	conn    *nats.Conn
	sub     *nats.Subscription
	readers chan struct{}   // a place for each request that is read
	ctx     context.Context // ends all work
	cancel  context.CancelFunc

	underWay underWay
	closing  sync.Once
	closeErr error
}

// lines are the backends of an engine, with the logins that wait for each.
type lines struct {
	backends []Backend
	of       []*line
}

// Start begins to answer. When it returns, the servers know: a login from then
// on reaches the engine.
func Start(config Config) (*Engine, error) {
	config = config.withDefaults()
	r, err := config.respondent()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		respondent: r,
		inFlight:   config.InFlight,
		decided:    config.Decided,
		logger:     config.Logger,
		conn:       config.Conn,
		readers:    make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := e.Replace(config.Backends); err != nil {
		e.cancel()
		return nil, err
	}
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
	c.Throttle = c.Throttle.WithDefaults()
	if c.CheckServer == nil {
		c.CheckServer = func(server Server) error { return CheckServerVersion(server.Version) }
	}
	if c.Decided == nil {
		c.Decided = func(Decision) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) respondent() (*respondent, error) {
	switch {
	case c.Conn == nil || c.Issuer == nil || c.XKey == nil:
		return nil, errors.New("callout: Conn, Issuer and XKey are required")
	case !isKey(nkeys.PrefixByteAccount, c.Account):
		return nil, fmt.Errorf("callout: %q is not an account", c.Account)
	case c.InFlight < 1:
		return nil, fmt.Errorf("callout: InFlight is %d", c.InFlight)
	}
	if err := c.Throttle.Check(); err != nil {
		return nil, err
	}
	boxes, err := newBoxes(c.XKey)
	if err != nil {
		return nil, fmt.Errorf("callout: XKey: %w", err)
	}
	issuer, err := newSigner(c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("callout: Issuer: %w", err)
	}
	return &respondent{
		account: c.Account, issuer: issuer, boxes: boxes, signers: newSigners(),
		origin: c.Origin, checkServer: c.CheckServer, replays: newReplays(), throttle: throttle.New(c.Throttle),
		logger: c.Logger, maxAnswer: int(c.Conn.MaxPayload()),
	}, nil
}

// subscribe joins the queue group.
func (e *Engine) subscribe(queue string) error {
	before := e.conn.LastError()
	sub, err := e.conn.QueueSubscribe(requestSubject, queue, e.hear)
	if err != nil {
		return fmt.Errorf("callout: subscribe: %w", err)
	}
	err = sub.SetPendingLimits(maxPending, maxPendingBytes)
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

// Replace gives the engine other backends, between one login and the next: those heard
// before finish with the ones that they began with.
func (e *Engine) Replace(backends []Backend) error {
	if len(backends) == 0 || slices.Contains(backends, nil) {
		return errors.New("callout: Backends are required")
	}
	fresh := &lines{backends: slices.Clone(backends)}
	for _, places := range placesOf(backends, e.inFlight) {
		fresh.of = append(fresh.of, newLine(places, e.decide, e.refuse))
	}
	e.lines.Store(fresh)
	return nil
}

// UnderWay is how many logins were heard and not yet answered.
func (e *Engine) UnderWay() int { return e.underWay.number() }

// hear has a request read, as soon as somebody is free to do so. While it waits, further
// requests wait in the subscription.
func (e *Engine) hear(message *nats.Msg) {
	if !e.underWay.begin() {
		return
	}
	heard := time.Now()
	select {
	case e.readers <- struct{}{}:
	case <-e.ctx.Done():
		e.underWay.end()
		return
	}
	go e.receive(message, heard)
}

// receive reads a request and stands in its backend's line with it.
func (e *Engine) receive(message *nats.Msg, heard time.Time) {
	lines := e.lines.Load()
	l, err := e.respondent.receive(lines.backends, message.Header, message.Data)
	<-e.readers
	if l == nil {
		e.finish(message, heard, e.respondent.refuse(nil, err))
		return
	}
	l.message, l.heard = message, heard
	if err != nil {
		e.refuse(l, err)
		return
	}
	lines.of[l.at].enter(l)
}

// decide works on a login whose turn has come, and says whether it was in time.
func (e *Engine) decide(l *login) bool {
	a := e.respondent.decide(e.ctx, l)
	a.Decision.Waited = l.began.Sub(l.heard)
	e.finish(l.message, l.heard, a)
	return a.Decision.Outcome != Late
}

// refuse answers a login that gets no turn.
func (e *Engine) refuse(l *login, why error) {
	e.finish(l.message, l.heard, e.respondent.refuse(l, why))
}

// finish sends the answer and reports how the login ended.
func (e *Engine) finish(message *nats.Msg, heard time.Time, a answer) {
	defer e.underWay.end()
	if a.Send && message.Reply != "" {
		if err := message.Respond(a.Data); err != nil {
			a.Decision.Allowed, a.Decision.Outcome, a.Decision.Reason = false, Failed, "the answer could not be sent"
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
