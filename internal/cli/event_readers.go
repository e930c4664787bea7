package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// readersFlags are those of event readers.
type readersFlags struct {
	bus          busFlags
	ring         ringFlags
	accountToken string
	create, past bool
	add, remove  []string
}

func (p *program) eventReaders() *cobra.Command {
	f := new(readersFlags)
	c := &cobra.Command{
		Use:   "readers SUBJECT [--create] [--add X...] [--remove X...] [--creds FILE --xkey FILE]",
		Short: "Say who reads a private stream",
		Long: "The events of a private stream are sealed with a key that is handed to its readers, and to\n" +
			"nobody else, in signed events on a subject of their own: SUBJECT. One account keeps them.\n" +
			"--create begins the keys, and makes a stream for them where none stores SUBJECT; you read\n" +
			"in any case. --add hands the key to one more reader, with --past those of earlier times\n" +
			"too. --remove begins a new key, which the others get: who is removed reads nothing more.\n" +
			"Without any of these, the readers are listed.",
		Example: "  keyhall event readers plans.keys --create --creds alice/user.creds --xkey alice/reader.xk\n" +
			"  keyhall event readers plans.keys --add X... --creds alice/user.creds --xkey alice/reader.xk\n" +
			"  keyhall event readers plans.keys --keeper A...",
		Args: needs("SUBJECT"),
	}
	f.bus.register(c, "the creds file that signs (keygen's "+credsFile+")")
	c.Flags().StringVar(&f.accountToken, "account-token", "", "your account's own JWT, where a signing key issued your creds")
	c.Flags().BoolVar(&f.create, "create", false, "begin the keys of a stream that has none")
	c.Flags().StringArrayVar(&f.add, "add", nil, "a reader's public xkey (X...); may come many times")
	c.Flags().StringArrayVar(&f.remove, "remove", nil, "a reader's public xkey (X...); may come many times")
	c.Flags().BoolVar(&f.past, "past", false, "with --add: let them read what was said before, too")
	f.ring.registerOwn(c, "to list: the account (A...) that keeps the keys (default: that of --creds)")
	_ = c.MarkFlagFilename("account-token")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		f.ring.keys = args[0]
		own, err := f.check(cmd)
		if err != nil {
			return err
		}
		b, err := p.dial(cmd, &f.bus, own)
		if err != nil {
			return err
		}
		defer b.close()
		return p.readers(cmd, f, b, own)
	}
	return c
}

func (f *readersFlags) changes() bool { return f.create || len(f.add)+len(f.remove) > 0 }

func (f *readersFlags) check(c *cobra.Command) (own *credentials, err error) {
	switch {
	case strings.ContainsAny(f.ring.keys, "*> "):
		return nil, wrong(c, "%q is no subject that keys could be on: it is exact, without * and >", f.ring.keys)
	case f.create && len(f.remove) > 0:
		return nil, wrong(c, "--create and --remove do not go together: where nothing is, nobody reads")
	case f.past && len(f.add) == 0:
		return nil, wrong(c, "--past goes with --add")
	case f.changes() && (f.bus.creds == "" || f.ring.xkey == ""):
		return nil, wrong(c, "to change who reads, event readers needs --creds and --xkey")
	case f.changes() && len(f.ring.keepers) > 0:
		return nil, wrong(c, "--keeper is for listing; you change the keys that your own account keeps")
	case f.bus.creds == "" && len(f.ring.keepers) == 0:
		return nil, wrong(c, "event readers needs --keeper, or --creds: whose word counts?")
	}
	for _, keeper := range f.ring.keepers {
		if _, err := publicKey(c, "keeper", keeper, trust.Account); err != nil {
			return nil, err
		}
	}
	for flag, texts := range map[string][]string{"add": f.add, "remove": f.remove} {
		if err := xkeys(c, flag, texts); err != nil {
			return nil, err
		}
	}
	if f.bus.creds == "" {
		return nil, nil
	}
	if own, err = readCreds(f.bus.creds); err != nil {
		return nil, err
	}
	if len(f.ring.keepers) == 0 {
		f.ring.keepers = []string{own.account()}
	}
	return own, nil
}

func (p *program) readers(c *cobra.Command, f *readersFlags, b *bus, own *credentials) error {
	ctx, cancel := b.within(c.Context())
	defer cancel()
	if f.create {
		if err := p.keysStream(ctx, b, f.ring.keys); err != nil {
			return b.said(err)
		}
	}
	ring, stream, err := b.ring(c, &f.ring)
	if err != nil {
		return err
	}
	if f.changes() {
		k := &keeper{bus: b, ring: ring, stream: stream, own: own}
		if err := k.change(ctx, f); err != nil {
			return b.notPublished(err, own)
		}
	}
	for _, reader := range ring.Readers() {
		if p.json {
			p.out.object(map[string]string{"reader": reader})
		} else {
			p.out.line("%s", reader)
		}
	}
	if len(ring.Readers()) == 0 {
		return fault.New(fault.NotFound, "%s keeps no keys on %s", list(f.ring.keepers, "or"), f.ring.keys)
	}
	return nil
}

// keysStream makes a stream for keys where none stores their subject.
func (p *program) keysStream(ctx context.Context, b *bus, subject string) error {
	_, err := b.js.StreamNameBySubject(ctx, subject)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	name := strings.ToUpper(strings.NewReplacer(".", "_", "/", "_", "\\", "_").Replace(subject))
	_, err = b.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{subject}, Description: "Keys of a private stream", DenyDelete: true, DenyPurge: true,
	})
	if err == nil {
		p.warn("made the stream %s for the keys on %s", name, subject)
	}
	return err
}

// keeper changes who reads a private stream.
type keeper struct {
	bus    *bus
	ring   *event.Ring
	stream jetstream.Stream
	own    *credentials
	pub    *event.Publisher
}

func (k *keeper) change(ctx context.Context, f *readersFlags) error {
	m, err := event.NewTokenManager(event.Rules{})
	if err != nil {
		return err
	}
	if err := signer(m, k.own, f.accountToken); err != nil {
		return err
	}
	k.pub = event.NewPublisher(k.bus.nc, m, event.PublisherOptions{JetStream: k.bus.js})
	now := k.ring.Readers()
	switch {
	case f.create && len(now) > 0:
		return fault.New(fault.Taken, "there are keys on %s already; --add and --remove change who reads", f.ring.keys)
	case f.create:
		return k.publish(ctx, f.add, func() (*event.Event, error) { return k.ring.NewEpoch(f.add) })
	case len(now) == 0:
		return fault.New(fault.NotFound, "you keep no keys on %s; --create begins them", f.ring.keys)
	}
	if err := k.remove(ctx, f, now); err != nil {
		return err
	}
	for _, reader := range f.add {
		if slices.Contains(k.ring.Readers(), reader) && !f.past {
			continue // nothing is new to them
		}
		if err := k.publish(ctx, []string{reader}, func() (*event.Event, error) { return k.ring.Grant(reader, f.past) }); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) remove(ctx context.Context, f *readersFlags, now []string) error {
	if len(f.remove) == 0 {
		return nil
	}
	own, err := readXKey(f.ring.xkey)
	if err != nil {
		return err
	}
	stay := slices.Clone(now)
	for _, reader := range f.remove {
		switch {
		case reader == own.String():
			return fault.New(fault.Refused, "that is your own xkey: who keeps the keys reads in any case")
		case !slices.Contains(now, reader):
			return fault.New(fault.NotFound, "%s is no reader of this stream", reader)
		}
		stay = slices.DeleteFunc(stay, func(one string) bool { return one == reader })
	}
	if err := k.publish(ctx, stay, func() (*event.Event, error) { return k.ring.NewEpoch(stay) }); err != nil {
		return err
	}
	for _, reader := range f.remove {
		if slices.Contains(k.ring.Readers(), reader) {
			return errKeysChanged
		}
	}
	return nil
}

var errKeysChanged = fault.New(fault.Conflict, "somebody changed the keys meanwhile; look who reads, and try again")

// publish publishes an event of the ring and makes sure that the readers have it.
func (k *keeper) publish(ctx context.Context, readers []string, draft func() (*event.Event, error)) error {
	e, err := draft()
	if err != nil {
		return err
	}
	if _, err := k.pub.PublishEvent(ctx, e); err != nil {
		return err
	}
	if err := k.ring.Sync(ctx, k.stream); err != nil {
		return err
	}
	now := k.ring.Readers()
	for _, reader := range readers {
		if !slices.Contains(now, reader) {
			return errKeysChanged
		}
	}
	return nil
}
