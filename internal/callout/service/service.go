package service

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

const (
	connectTime   = 10 * time.Second
	reconnectWait = 250 * time.Millisecond
	readyTime     = 10 * time.Second // for identity providers to answer at the start
	oldTime       = 10 * time.Second // that logins have with backends that were replaced
)

// Options are what a Service needs.
type Options struct {
	Source Source
	Logger *slog.Logger
	// Say is told what its operator has to know: one sentence each. It is called concurrently.
	Say func(sentence string)
}

// Service answers the login requests of one account, as its configuration says.
type Service struct {
	source Source
	logger *slog.Logger
	say    func(string)

	nc      *nats.Conn
	engine  *callout.Engine
	keys    *keys
	ready   Ready
	watcher *watcher

	mu       sync.Mutex // held while the configuration is replaced
	config   *Config
	backends *backends
	old      sync.WaitGroup     // backends that were replaced, until they are closed
	ctx      context.Context    // of the service
	cancel   context.CancelFunc // ends what is left of the past

	sinks    sinks
	closing  sync.Once
	closeErr error
}

// Ready is what a service says of itself when it has begun.
type Ready struct {
	NATS     string   `json:"nats"`    // the server that it is connected to
	Server   string   `json:"server"`  // its version
	Account  string   `json:"account"` // A…, AUTH
	Accounts []string `json:"accounts"`
	Backends []string `json:"backends"`
	Metrics  string   `json:"metrics,omitempty"` // URL
}

// Start begins to answer. It checks the configuration and the servers first, and says in one
// sentence what is wrong and what to do about it.
func Start(ctx context.Context, options Options) (*Service, error) {
	s := &Service{source: options.Source, logger: options.Logger, say: options.Say}
	c, err := s.source.Load()
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return nil, err
	}
	if s.watcher, err = newWatcher(); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(ctx, c); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

func (s *Service) start(ctx context.Context, c *Config) error {
	s.watcher.follow(c.watched())
	k, err := s.source.load(c)
	if err != nil {
		return err
	}
	b, err := newBackends(c, k.accounts, nil, s.logger)
	if err != nil {
		return err
	}
	s.config, s.keys, s.backends = c, k, b
	if err := s.connect(c, k); err != nil {
		return err
	}
	if err := k.lookUp(ctx, s.dialing(c)); err != nil {
		return err
	}
	if err := k.check(); err != nil {
		return err
	}
	if err := s.checkServers(ctx, k); err != nil {
		return err
	}
	readying, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	b.ready(readying)
	s.warn(append(k.warnings, b.warnings...))
	if err := s.openSinks(ctx, c, k); err != nil {
		return err
	}
	s.engine, err = callout.Start(callout.Config{
		Conn: s.nc, Account: k.creds.Account(), Issuer: k.issuer, XKey: k.xkey, Backends: s.deciding(b),
		Queue: c.Queue, InFlight: c.InFlight, Decided: s.sinks.decided, Logger: s.logger,
	})
	if err != nil {
		return fault.Wrap(fault.Refused, err, "the callout cannot begin: %s", plain(err))
	}
	if s.sinks.metrics != nil {
		s.sinks.metrics.InFlight(s.engine.UnderWay)
	}
	s.ready = s.describe()
	return nil
}

// deciding are the backends of an engine: the one for other services' self-checks first.
func (s *Service) deciding(b *backends) []callout.Backend {
	list := []callout.Backend{bystander{issuer: publicOf(s.keys.issuer)}}
	for _, backend := range b.list {
		list = append(list, s.sinks.guard(backend))
	}
	return list
}

// abandon takes back a start that failed.
func (s *Service) abandon() {
	s.cancel()
	s.watcher.close()
	_ = s.sinks.close(context.Background()) // the error of the start counts
	if s.backends != nil {
		s.backends.closeBut(nil)
	}
	if s.nc != nil {
		s.nc.Close()
	}
}

func (s *Service) warn(sentences []string) {
	for _, sentence := range sentences {
		s.say("warning: " + sentence)
	}
}

// dialing is how the servers are reached, whoever logs in.
func (s *Service) dialing(c *Config) []nats.Option {
	options := []nats.Option{nats.Timeout(connectTime)}
	if c.CA != "" {
		options = append(options, nats.RootCAs(c.CA))
	}
	return options
}

// connect logs in. Once it has, the connection comes back by itself.
func (s *Service) connect(c *Config, k *keys) error {
	creds := nats.UserCredentialBytes(k.creds.Text)
	if !strings.HasPrefix(c.Creds, fromEnvironment) {
		creds = nats.UserCredentials(c.Creds) // read again at each login: they may be renewed
	}
	options := append(s.dialing(c),
		creds, nats.Name("keyhall callout"), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if !strings.Contains(err.Error(), errorSubject) { // which some may not read
				s.logger.Warn("NATS reports an error", "error", plain(err))
			}
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				s.say("the servers are away; trying again. Nobody can log in through this callout meanwhile")
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			s.say("connected to " + nc.ConnectedUrlRedacted() + " again")
			if err := callout.CheckServerVersion(nc.ConnectedServerVersion()); err != nil {
				s.say("warning: " + err.Error())
			}
		}),
	)
	nc, err := nats.Connect(strings.Join(c.NATS, ","), options...)
	switch {
	case err == nil:
		s.nc = nc
		return nil
	case notAuthorized(err), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fault.Wrap(fault.Refused, err, "the servers do not let the callout in with %s: its user (%s) expired, was revoked, or is not among the auth users "+
			"of its account, so that a callout is asked that does not run yet; nsc edit authcallout --account AUTH --auth-user %s makes it one",
			c.Creds, k.creds.Claims.Subject, k.creds.Claims.Subject)
	case c.CA == "" && (strings.Contains(err.Error(), "x509") || strings.Contains(err.Error(), "certificate")):
		return fault.Wrap(fault.Refused, err, "the servers' certificate is not trusted (%s): name the file with its authority as --ca", plain(err))
	}
	if c.CA != "" && strings.Contains(err.Error(), "rootCA") {
		return fault.Wrap(fault.NotFound, err, "the file %s, named as ca, cannot be used: %s", c.CA, plain(err))
	}
	return fault.Wrap(fault.Unavailable, err, "no NATS server answers at %s: %s", redacted(c.NATS), plain(err))
}

// notAuthorized reports whether a login failed because it was refused, or because the servers
// asked about it and nobody answered: a server that waits sends a PING, which the client did
// not expect.
func notAuthorized(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "expected 'PONG', got 'PING'")
}

// redacted are URLs without what stands before an @.
func redacted(urls []string) string {
	var shown []string
	for _, url := range urls {
		if at := strings.LastIndex(url, "@"); at >= 0 {
			url = "…" + url[at:]
		}
		shown = append(shown, url)
	}
	return strings.Join(shown, ",")
}

func (s *Service) describe() Ready {
	r := Ready{
		NATS: s.nc.ConnectedUrlRedacted(), Server: s.nc.ConnectedServerVersion(), Account: s.keys.creds.Account(), Metrics: s.sinks.url(),
	}
	for _, account := range s.keys.accounts {
		r.Accounts = append(r.Accounts, account.Name)
	}
	for _, backend := range s.backends.list {
		r.Backends = append(r.Backends, backend.Name())
	}
	return r
}

// Ready says what the service answers for, as it began.
func (s *Service) Ready() Ready { return s.ready }

// Reload reads the configuration anew and, if all of it is good, replaces who decides: logins
// under way finish with the ones that they began with. Whatever is wrong, everything stays as
// it was. What a running service cannot change is said.
func (s *Service) Reload(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.source.Load()
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return err
	}
	s.watcher.follow(c.watched())
	k, err := s.source.load(c)
	if err != nil {
		return err
	}
	fixed := c.changes(s.config)
	if err := s.checkAgain(ctx, c, k); err != nil {
		return err
	}
	if err := s.sinks.placedIn(ctx, k.accounts); err != nil {
		return err
	}
	fresh, err := newBackends(c, k.accounts, s.backends, s.logger)
	if err != nil {
		return err
	}
	readying, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	fresh.ready(readying)
	if err := s.engine.Replace(s.deciding(fresh)); err != nil {
		fresh.closeBut(s.backends)
		return fault.Wrap(fault.Internal, err, "%s", err)
	}
	if err := s.sinks.rulesChanged(ctx, s.backends.list, fresh.list); err != nil {
		k.warn("some who are connected have more rights than they would get now: %s", err)
	}
	s.retire(s.backends, fresh)
	if len(fixed) > 0 {
		k.warn("a change of %s counts after a restart", strings.Join(fixed, ", "))
	}
	s.warn(append(k.warnings, fresh.warnings...))
	s.config, s.backends = c, fresh
	s.keys.accounts = k.accounts
	s.watcher.only(c.watched())
	return nil
}

// checkAgain checks what has changed: keys that were checked already are not asked about again.
func (s *Service) checkAgain(ctx context.Context, c *Config, k *keys) error {
	// The service goes on with the login, the issuer and the xkey that it began with.
	c.Creds, c.Issuer, c.XKey = s.config.Creds, s.config.Issuer, s.config.XKey
	k.creds, k.issuer, k.xkey = s.keys.creds, s.keys.issuer, s.keys.xkey
	changed := !sameKeys(s.keys.accounts, k.accounts)
	if changed {
		if err := k.lookUp(ctx, s.dialing(c)); err != nil {
			return err
		}
	}
	if err := k.check(); err != nil {
		return err
	}
	if !changed {
		k.warnings = nil // they were said at the start
		return nil
	}
	return s.checkServers(ctx, k)
}

// retire closes backends that were replaced, when nobody can be deciding with them any more.
func (s *Service) retire(old, fresh *backends) {
	s.old.Go(func() {
		select {
		case <-time.After(oldTime):
		case <-s.ctx.Done():
		}
		old.closeBut(fresh)
	})
}

// Close answers what it has heard, and stops. What ctx leaves no time for is given up.
func (s *Service) Close(ctx context.Context) error {
	s.closing.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closeErr = s.engine.Close(ctx)
		s.cancel()
		s.watcher.close()
		s.old.Wait()
		s.backends.closeBut(nil)
		s.closeErr = errors.Join(s.closeErr, s.sinks.close(ctx))
		s.nc.Close()
	})
	return s.closeErr
}
