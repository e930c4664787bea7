package cli

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// event groups what a shell does with signed events. None of it needs a hub or a profile.
func (p *program) event() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "event",
		Short: "Events that prove who made them: keygen, publish, subscribe, readers, verify",
		Long: "Publish and read signed events on any NATS server, a hub's or another. An event proves\n" +
			"who made it, when, for which subject, and that not a byte was changed, whoever hands\n" +
			"it over. Who is believed, each reader says.",
		Example: "  keyhall event keygen alice\n" +
			"  keyhall event subscribe 'orders.>' --trust A...\n" +
			"  keyhall event publish orders.new \"one pizza\" --creds alice/user.creds\n" +
			"  keyhall event verify captured.json --trust A...",
	})
	c.AddCommand(p.eventKeygen(), p.eventPublish(), p.eventSubscribe(), p.eventReaders(), p.eventVerify())
	return c
}

const (
	natsVariable  = "NATS_URL" // as the nats command line has it
	natsDefault   = "nats://127.0.0.1:4222"
	answerTime    = 10 * time.Second // for one answer of a server
	reconnectWait = 500 * time.Millisecond
)

// busFlags say which NATS server a command talks to, and as whom.
type busFlags struct{ server, creds, login string }

func (f *busFlags) register(c *cobra.Command, creds string) {
	c.Flags().StringVar(&f.server, "server", "", "the NATS server (default $"+natsVariable+", else "+natsDefault+")")
	c.Flags().StringVar(&f.creds, "creds", "", creds)
	c.Flags().StringVar(&f.login, "login", "", "log in with this creds file instead (default: with that of --creds)")
	_ = c.MarkFlagFilename("creds")
	_ = c.MarkFlagFilename("login")
}

// bus is a connection to a NATS server.
type bus struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	url string // shows no password
	// over ends when the server refuses something, with that as its cause: to what is
	// refused it gives no answer.
	over   context.Context
	refuse context.CancelCauseFunc
}

// close ends the connection.
func (b *bus) close() {
	b.nc.Close()
	b.refuse(nil)
}

// within is a context for what the server is to answer soon.
func (b *bus) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	stop := context.AfterFunc(b.over, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// dial connects. own may be nil.
func (p *program) dial(c *cobra.Command, f *busFlags, own *credentials) (*bus, error) {
	server := f.server
	if server == "" {
		server = p.sys.Env(natsVariable)
	}
	if server == "" {
		server = natsDefault
	}
	shown, named, err := showURLs(server)
	if err != nil {
		return nil, wrong(c, "the server's URL cannot be read; write it as %s", natsDefault)
	}
	login := own
	if f.login != "" {
		if login, err = readCreds(f.login); err != nil {
			return nil, err
		}
	} else if named {
		login = nil // the URL says who logs in
	}
	b := &bus{url: shown}
	b.over, b.refuse = context.WithCancelCause(context.Background())
	options := append(p.busOptions(b), login.options()...)
	if b.nc, err = nats.Connect(server, options...); err != nil {
		return nil, b.notConnected(err, login)
	}
	if b.js, err = jetstream.New(b.nc); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// showURLs are the URLs of a list without their passwords, and whether one of them has any.
func showURLs(list string) (shown string, named bool, err error) {
	var texts []string
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return "", false, errors.New("not a URL")
		}
		named = named || u.User != nil
		texts = append(texts, u.Scheme+"://"+u.Host)
	}
	return strings.Join(texts, ","), named, nil
}

func (p *program) busOptions(b *bus) []nats.Option {
	return []nats.Option{
		nats.Name("keyhall event"), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.Timeout(answerTime),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) {
				p.warn("events come faster than they are read, and some are lost; a stream keeps them (--stream)")
				return
			}
			b.refuse(err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				p.warn("the server at %s is away; trying again", b.url)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { p.warn("connected to %s again", b.url) }),
	}
}

// notConnected is the error of a connection that was not made.
func (b *bus) notConnected(err error, login *credentials) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization) && login != nil:
		return fault.Wrap(fault.Refused, err, "the server at %s does not let you in with %s; name another creds file with --login", b.url, login.path)
	case errors.Is(err, nats.ErrAuthorization):
		return fault.Wrap(fault.Refused, err, "the server at %s wants a login; name a creds file with --login", b.url)
	case errors.Is(err, nats.ErrNoServers):
		return fault.Wrap(fault.Unavailable, err, "no NATS server answers at %s", b.url)
	}
	return fault.Wrap(fault.Unavailable, err, "no NATS server answers at %s: %s", b.url, strings.TrimPrefix(err.Error(), "nats: "))
}

// settle waits until the server has taken everything, and returns what it refused.
func (b *bus) settle(ctx context.Context) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	if err := b.nc.FlushWithContext(ctx); err != nil {
		return b.said(err)
	}
	if err := b.nc.LastError(); err != nil {
		return b.said(err)
	}
	return nil
}

// said puts what a server answers into words.
func (b *bus) said(err error) error {
	if refused := context.Cause(b.over); refused != nil && errors.Is(err, context.Canceled) {
		err = refused
	}
	var f *fault.Error
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fault.Wrap(fault.NotFound, err, "the server at %s has no JetStream for you: it keeps nothing", b.url)
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fault.Wrap(fault.NotFound, err, "no stream at %s stores this subject; make one, or publish without --stream", b.url)
	case errors.Is(err, nats.ErrPermissionViolation):
		text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "nats: "), "permissions violation: ")
		return fault.Wrap(fault.Refused, err, "the server at %s refuses this: %s", b.url, text)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrNoResponders):
		return fault.Wrap(fault.Unavailable, err, "the server at %s does not answer", b.url)
	}
	return err
}

// stream is the stream that stores a subject.
func (b *bus) stream(ctx context.Context, subject string) (jetstream.Stream, error) {
	name, err := b.js.StreamNameBySubject(ctx, subject)
	if err != nil {
		return nil, err
	}
	return b.js.Stream(ctx, name)
}

// bucket is a key-value bucket of the server; it is made if it is not there and make says so.
func (b *bus) bucket(ctx context.Context, name, description string, make bool) (jetstream.KeyValue, error) {
	kv, err := b.js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		if !make {
			return nil, fault.Wrap(fault.NotFound, err, "there is no bucket %s at %s", name, b.url)
		}
		kv, err = b.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Description: description})
	}
	if errors.Is(err, jetstream.ErrInvalidBucketName) {
		return nil, fault.Wrap(fault.Malformed, err, "%q is no name for a bucket: letters, digits, - and _", name)
	}
	return kv, b.said(err)
}

// ringFlags say with which keys the events of a private stream are sealed and opened.
type ringFlags struct {
	keys, xkey string
	keepers    []string
}

func (f *ringFlags) register(c *cobra.Command, keeper string) {
	c.Flags().StringVar(&f.keys, "keys", "", "the subject with the keys of a private stream")
	f.registerOwn(c, keeper)
}

func (f *ringFlags) registerOwn(c *cobra.Command, keeper string) {
	c.Flags().StringVar(&f.xkey, "xkey", "", "your own xkey, which opens them (keygen's reader.xk)")
	c.Flags().StringArrayVar(&f.keepers, "keeper", nil, keeper)
	_ = c.MarkFlagFilename("xkey")
}

// ring is the ring of a private stream as its events have it up to now.
func (b *bus) ring(c *cobra.Command, f *ringFlags) (*event.Ring, jetstream.Stream, error) {
	own := trust.NewXKey() // who only looks who reads needs none
	if f.xkey != "" {
		var err error
		if own, err = readXKey(f.xkey); err != nil {
			return nil, nil, err
		}
	}
	m, err := event.NewTokenManager(event.Rules{Accounts: f.keepers})
	if err != nil {
		return nil, nil, err
	}
	ring, err := event.NewRing(f.keys, f.keepers, own, m, nil)
	if err != nil {
		return nil, nil, wrong(c, "%q is no subject that keys could be on: it is exact, without * and >", f.keys)
	}
	ctx, cancel := b.within(c.Context())
	defer cancel()
	stream, err := b.stream(ctx, f.keys)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return ring, nil, fault.Wrap(fault.NotFound, err, "there are no keys on %s: no stream stores it; keyhall event readers --create makes them", f.keys)
	}
	if err == nil {
		err = ring.Sync(ctx, stream)
	}
	return ring, stream, b.said(err)
}
