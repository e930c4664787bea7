package service

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/callout/metrics"
	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
)

const (
	openTime    = 10 * time.Second // for the registry and the audit to open
	streamsTime = 2 * time.Second  // for JetStream to answer at all
)

// sinks are what becomes of decisions beside their answers: the audit, the metrics, and the
// registry of connections. Each may be nil.
type sinks struct {
	audit   *audit.Log
	file    *os.File // of an audit that is lines
	metrics *metrics.Metrics
	server  *metrics.Server
	keeper  *registry.Keeper
	conns   []*nats.Conn
	logger  *slog.Logger
}

func (s *Service) openSinks(ctx context.Context, c *Config, k *keys) error {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	s.sinks.logger = s.logger
	if err := s.openAudit(ctx, c.Audit, c); err != nil {
		return err
	}
	if c.Metrics != "" {
		s.sinks.metrics = metrics.New()
		var err error
		if s.sinks.server, err = metrics.Serve(s.sinks.metrics, c.Metrics, s.logger); err != nil {
			return err
		}
		if s.sinks.audit != nil {
			s.sinks.metrics.AuditLost(s.sinks.audit.Lost)
		}
	}
	return s.openRegistry(ctx, c, k)
}

func (s *Service) openAudit(ctx context.Context, a *Audit, c *Config) error {
	own := a == nil || !a.Off && a.Creds+a.File == ""
	switch {
	case own && !s.keepsStreams(ctx):
		s.say("warning: decisions are not kept, but for what the log says: AUTH has no JetStream; " +
			"give it some, or name audit creds or an audit file (audit: {off: true} if that is meant)")
		return nil
	case a == nil:
		a = new(Audit)
	case a.Off:
		return nil
	}
	o := audit.Options{MaxAge: time.Duration(a.MaxAge), MaxBytes: a.MaxBytes, Replicas: a.Replicas, Logger: s.logger}
	creds := s.keys.creds // signs lines nobody checks
	switch {
	case own:
		o.Conn = s.nc
	case a.File != "":
		var err error
		if s.sinks.file, err = os.OpenFile(a.File, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return fault.Wrap(fault.Refused, err, "the audit cannot be written: %s", keyfile.Sentence(err))
		}
		o.Conn, o.Lines = s.nc, s.sinks.file
	default:
		var err error
		if creds, err = s.source.credsOf(a.Creds); err != nil {
			return err
		}
		if o.Conn, err = s.alsoConnect(c, creds, "audit"); err != nil {
			return fault.Wrap(fault.CodeOf(err), err, "the audit's creds in %s do not log in: %s", a.Creds, plain(err))
		}
	}
	o.Identity = audit.Identity{Seed: creds.Seed, Token: creds.Token}
	if a.AccountJWT != "" {
		token, _, err := readAccountJWT(a.AccountJWT)
		if err != nil {
			return err
		}
		o.Identity.Token += " " + token
	}
	log, err := audit.Start(ctx, o)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the audit cannot be opened with %s: %s", cmp.Or(a.Creds, c.Creds), plain(err))
	}
	s.sinks.audit = log
	return nil
}

// keepsStreams reports whether the callout's own user may use JetStream. One who may only
// hear requests gets no answer.
func (s *Service) keepsStreams(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, streamsTime)
	defer cancel()
	js, err := jetstream.New(s.nc)
	if err != nil {
		return false
	}
	_, err = js.AccountInfo(ctx)
	return err == nil
}

// openRegistry begins to keep who is connected. Without a user of the system account it can
// close nothing, and whatever else it lacks is no reason to let nobody in.
func (s *Service) openRegistry(ctx context.Context, c *Config, k *keys) error {
	o := registry.Options{Conn: s.nc, Logger: s.logger, Closed: s.sinks.closed}
	o.Accounts = idsOf(k.accounts)
	var err error
	if k.system == nil {
		s.say("warning: connections that this callout let in can be listed, and none can be closed: " +
			"for keyhall callout revoke and changed files to do so, name a user of the system account as --system-creds")
	} else {
		if o.System, err = s.alsoConnect(c, k.system, "system"); err != nil {
			return fault.Wrap(fault.Refused, err, "the system creds in %s do not log in: %s", c.SystemCreds, plain(err))
		}
	}
	s.sinks.keeper, err = registry.Start(ctx, o)
	switch {
	case err == nil && s.sinks.metrics != nil:
		s.sinks.metrics.Sessions(s.sinks.keeper.Count)
	case err != nil && k.system != nil:
		return fault.Wrap(fault.Refused, err, "connections cannot be closed with %s: %s; its user has to publish to %s and subscribe to %s",
			c.SystemCreds, plain(err), strings.Join(registry.SystemPublishes, ", "), strings.Join(registry.SystemSubscribes, ", "))
	case err != nil:
		s.say("warning: who is connected is not known here: " + plain(err))
	}
	return nil
}

func idsOf(accounts []account) (ids []string) {
	for _, account := range accounts {
		ids = append(ids, account.ID)
	}
	return ids
}

// alsoConnect logs in with other creds than the callout's own.
func (s *Service) alsoConnect(c *Config, creds *keyfile.Creds, what string) (*nats.Conn, error) {
	options := append(s.dialing(c), nats.UserCredentialBytes(creds.Text), nats.Name("keyhall callout "+what),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.logger.Warn("NATS reports an error", "login", what, "error", plain(err))
		}))
	nc, err := nats.Connect(strings.Join(c.NATS, ","), append(options, inboxOf(creds)...)...)
	if err == nil {
		s.sinks.conns = append(s.sinks.conns, nc)
	}
	return nc, err
}

// guard has the registry know of a backend's logins.
func (s *sinks) guard(backend callout.Backend) callout.Backend {
	if s.keeper == nil {
		return backend
	}
	return s.keeper.Guard(backend)
}

func (s *sinks) decided(d callout.Decision) {
	if d.Backend == (bystander{}).Name() {
		return // another replica's self-check: nobody wanted in
	}
	if s.audit != nil {
		s.audit.Decided(d)
	}
	if s.metrics != nil {
		s.metrics.Decided(d)
	}
	if s.keeper != nil {
		s.keeper.Decided(d)
	}
}

func (s *sinks) closed(c audit.Closed) {
	if s.audit != nil {
		s.audit.Closed(c)
	}
	if s.metrics != nil {
		s.metrics.Closed(c)
	}
}

// placedIn has the registry know of connections in these accounts.
func (s *sinks) placedIn(ctx context.Context, accounts []account) error {
	if s.keeper == nil {
		return nil
	}
	return s.keeper.PlacedIn(ctx, idsOf(accounts))
}

// rulesChanged closes connections that have more than they would get now, where it can, and
// otherwise says that there are such.
func (s *sinks) rulesChanged(ctx context.Context, before, now []callout.Backend) error {
	if s.keeper == nil {
		return nil
	}
	return s.keeper.RulesChanged(ctx, before, now)
}

func (s *sinks) url() string {
	if s.server == nil {
		return ""
	}
	return s.server.URL()
}

// close ends them when nothing is decided any more, the audit last.
func (s *sinks) close(ctx context.Context) error {
	var errs []error
	if s.keeper != nil {
		s.keeper.Close()
	}
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	if s.audit != nil {
		errs = append(errs, s.audit.Close(ctx))
	}
	if s.file != nil {
		errs = append(errs, s.file.Close())
	}
	for _, nc := range s.conns {
		nc.Close()
	}
	return errors.Join(errs...)
}
