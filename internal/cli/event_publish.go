package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// placesBucket is where --chain keeps which event was the last.
const placesBucket = "EVENT_PLACES"

// publishFlags are those of event publish.
type publishFlags struct {
	bus    busFlags
	belief beliefFlags // what --from stands on
	ring   ringFlags

	accountToken, tokens       string
	kind, content, to, receipt string
	from                       string
	until                      endFlag
	stored, compact, chain     bool
}

func (p *program) eventPublish() *cobra.Command {
	f := new(publishFlags)
	c := &cobra.Command{
		Use:   "publish SUBJECT [DATA] --creds FILE",
		Short: "Publish a signed event",
		Long: "Sign data as an event and publish it. Data is the argument or, without one or with -,\n" +
			"standard input as it is. Whoever can read the subject reads public data; --keys seals it\n" +
			"for the readers of a private stream.\n\n" +
			"--creds signs, and logs in where the server wants a login; --login names another file to\n" +
			"log in with. With --json the event itself is printed, as keyhall event verify and\n" +
			"publish --from read it.\n\n" +
			"--chain numbers your events on a subject, so that a missing one shows. It keeps the last\n" +
			"one in the bucket " + placesBucket + " of the server's JetStream; publish from one place at a time.",
		Example: "  keyhall event publish orders.new \"one pizza\" --creds alice/user.creds\n" +
			"  tar c src | keyhall event publish builds.src --creds ci/user.creds --stream --content application/x-tar\n" +
			"  keyhall event publish orders.paid --creds till/user.creds --from order.json --trust A... </dev/null\n" +
			"  keyhall event publish plans.new \"at noon\" --creds alice/user.creds --keys plans.keys --xkey alice/reader.xk",
		Args: needs("SUBJECT", "[DATA]"),
	}
	f.register(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(cmd, args[0]); err != nil {
			return err
		}
		if f.from == "-" && (len(args) == 1 || args[1] == "-") {
			return wrong(cmd, "the data and --from cannot both come from standard input")
		}
		data, err := p.eventData(cmd, args[1:])
		if err != nil {
			return err
		}
		return p.publishEvent(cmd, f, args[0], data)
	}
	return c
}

func (f *publishFlags) register(c *cobra.Command) {
	f.bus.register(c, "the creds file that signs (keygen's "+credsFile+")")
	flags := c.Flags()
	flags.StringVar(&f.accountToken, "account-token", "", "your account's own JWT, for readers who believe its operator")
	flags.StringVar(&f.kind, "type", "event", "the event's type")
	flags.StringVar(&f.content, "content", "", "the media type of the data")
	flags.StringVar(&f.to, "to", "", "the audience: an account (A...) or a name that readers know themselves by")
	flags.Var(&f.until, "until", "the last moment to act on it: 10m, 30d, or a time")
	flags.BoolVar(&f.stored, "stream", false, "wait until a stream has stored it")
	flags.BoolVar(&f.compact, "compact", false, "everything in the payload, instead of CloudEvents headers")
	flags.BoolVar(&f.chain, "chain", false, "number it in your chain on the subject")
	flags.StringVar(&f.tokens, "tokens", "", "leave your access token in this bucket, for readers of what comes out of it")
	flags.StringVar(&f.receipt, "receipt", "", "the subject on which you want a receipt when the work is done")
	flags.StringVar(&f.from, "from", "", "a captured event that this one comes out of (- for standard input)")
	flags.Var(&f.belief.digest, "digest", "the hash function of the body: sha-256 or sha-512/256")
	f.belief.registerTrust(c, "with --from: believe this account (A...) or operator (O...) on it")
	f.ring.register(c, "with --keys: the account (A...) that keeps them (default: your own)")
	_ = c.MarkFlagFilename("account-token")
	_ = c.MarkFlagFilename("from")
}

// check finds what is wrong before anything is read or connected to.
func (f *publishFlags) check(c *cobra.Command, subject string) error {
	switch {
	case f.bus.creds == "":
		return wrong(c, "event publish needs --creds: who signs?")
	case strings.ContainsAny(subject, "*>"):
		return wrong(c, "an event is published on one subject, and %q has a wildcard", subject)
	case (f.ring.keys == "") != (f.ring.xkey == ""):
		return wrong(c, "--keys and --xkey go together")
	case f.ring.keys == "" && len(f.ring.keepers) > 0:
		return wrong(c, "--keeper goes with --keys")
	case !f.until.IsZero() && f.until.Before(time.Now()):
		return wrong(c, "--until is over: nobody would act on it")
	case f.from == "" && len(f.belief.trust)+len(f.belief.access) > 0:
		return wrong(c, "--trust and --access go with --from")
	}
	for _, keeper := range f.ring.keepers {
		if _, err := publicKey(c, "keeper", keeper, trust.Account); err != nil {
			return err
		}
	}
	// The rules that the flags have to keep are those of package event: a draft is signed
	// with a key that is thrown away.
	key := trust.NewKeyPair(trust.Device)
	for _, row := range []struct {
		set  func(*event.Event)
		what string
	}{
		{func(e *event.Event) { e.Subject = subject }, fmt.Sprintf("%.60q is no subject for an event: up to 255 bytes, parts with . between them, no spaces", subject)},
		{func(e *event.Event) { e.Type = f.kind }, fmt.Sprintf("--type: %.60q is no type: 1 to 64 of a-z, 0-9, . and -", f.kind)},
		{func(e *event.Event) { e.Content = f.content }, fmt.Sprintf("--content: %.60q is no media type, like text/plain", f.content)},
		{func(e *event.Event) { e.Audience = f.to }, "--to: an audience has at most 128 bytes"},
		{func(e *event.Event) { e.Receipt = f.receipt }, fmt.Sprintf("--receipt: %.60q is no subject for an event", f.receipt)},
	} {
		draft := &event.Event{Author: key.Public(), Subject: "x", Type: "x"}
		row.set(draft)
		if err := draft.Sign(key); err != nil {
			return wrong(c, "%s", row.what)
		}
	}
	return nil
}

// eventData is what a publisher publishes.
func (p *program) eventData(c *cobra.Command, args []string) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		return []byte(args[0]), nil
	}
	if _, is := p.terminal(); is && len(args) == 0 {
		p.err.line("Type the data; Ctrl-D ends it.")
	}
	data, err := readAll(p.sys.In, event.MaxBody)
	if errors.Is(err, errTooMuch) {
		return nil, fault.New(fault.TooLarge, "an event holds at most %s; publish where the data is instead, and its hash", size(event.MaxBody))
	}
	return data, err
}

func (p *program) publishEvent(c *cobra.Command, f *publishFlags, subject string, data []byte) error {
	own, err := readCreds(f.bus.creds)
	if err != nil {
		return err
	}
	f.belief.trust = append(f.belief.trust, own.account())
	m, err := f.belief.manager(c, own)
	if err != nil {
		return err
	}
	if err := signer(m, own, f.accountToken); err != nil {
		return err
	}
	cause, err := p.cause(c.Context(), f, m, own)
	if err != nil {
		return err
	}
	b, err := p.dial(c, &f.bus, own)
	if err != nil {
		return err
	}
	defer b.close()
	if f.ring.keys != "" && len(f.ring.keepers) == 0 {
		f.ring.keepers = []string{own.account()}
	}
	ctx, cancel := b.within(c.Context())
	defer cancel()
	options, err := b.publisherOptions(ctx, c, f)
	if err != nil {
		return err
	}
	published, err := event.NewPublisher(b.nc, m, options).Publish(ctx, subject, data, f.about(cause)...)
	if err == nil {
		err = b.settle(ctx)
	}
	if err != nil {
		return b.notPublished(err, own)
	}
	return p.showPublished(published, m, cause)
}

// cause is the event that what is published comes out of; nil if there is none.
func (p *program) cause(ctx context.Context, f *publishFlags, m *event.TokenManager, own *credentials) (*event.Received, error) {
	if f.from == "" {
		return nil, nil
	}
	captured, err := p.readCapture(f.from)
	if err != nil {
		return nil, err
	}
	files, err := f.belief.tokens(own)
	if err != nil {
		return nil, err
	}
	v, err := captured.envelope(files)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the event in %s does not hold: %v", f.from, err)
	}
	// It is not acted on by its age: what comes out of it says when that was.
	r, err := m.Receive(ctx, v, event.Moment{Stored: v.Event.Time}, files)
	if errors.Is(err, event.ErrUntrusted) {
		return nil, fault.Wrap(fault.Refused, err, "the event in %s is by %s; if you believe that account: --trust", f.from, v.Event.Author.Text(trust.Account))
	}
	if err != nil {
		return nil, fault.Wrap(fault.Refused, err, "the event in %s does not hold: %v", f.from, err)
	}
	return r, nil
}

func (b *bus) publisherOptions(ctx context.Context, c *cobra.Command, f *publishFlags) (event.PublisherOptions, error) {
	var o event.PublisherOptions
	if f.stored {
		o.JetStream = b.js
	}
	if f.compact {
		o.Form = event.Compact
	}
	if f.chain {
		kv, err := b.bucket(ctx, placesBucket, "The last event of each chain of a publisher", true)
		if err != nil {
			return o, err
		}
		o.Places = event.PlaceBucket{KV: kv}
	}
	if f.tokens != "" {
		kv, err := b.bucket(ctx, f.tokens, "Access tokens of publishers, by their hashes", true)
		if err != nil {
			return o, err
		}
		o.LeaveAccess = event.AccessBucket{KV: kv}
	}
	if f.ring.keys == "" {
		return o, nil
	}
	ring, _, err := b.ring(c, &f.ring)
	if err != nil {
		return o, err
	}
	if len(ring.Readers()) == 0 {
		return o, fault.New(fault.NotFound, "%s keeps no keys on %s; if another account does: --keeper", list(f.ring.keepers, "or"), f.ring.keys)
	}
	o.Ring = ring
	return o, nil
}

// about is what the flags say about the event.
func (f *publishFlags) about(cause *event.Received) []event.PublishOption {
	options := []event.PublishOption{
		event.Type(f.kind), event.ContentType(f.content), event.To(f.to), event.WantReceipt(f.receipt), event.ActUntil(f.until.end(time.Now())),
	}
	if cause != nil {
		options = append(options, event.From(cause))
	}
	return options
}

// notPublished puts into words why an event was not published.
func (b *bus) notPublished(err error, own *credentials) error {
	switch {
	case errors.Is(err, event.ErrExpired):
		return fault.Wrap(fault.Expired, err, "the access token in %s was good until %s; keyhall event keygen --account makes a new one",
			own.path, time.Unix(own.claims.Expires, 0).UTC().Format(time.RFC3339))
	case errors.Is(err, event.ErrNoKey):
		return fault.Wrap(fault.Refused, err, "your xkey is not among the readers of this stream now: it cannot seal for them")
	}
	return b.said(err)
}

func (p *program) showPublished(published *event.Published, m *event.TokenManager, cause *event.Received) error {
	if p.json {
		v := event.Envelope{Event: published.Event, Access: m.Access()}
		if cause != nil {
			v.Trail = append(cause.Trail[:len(cause.Trail):len(cause.Trail)], event.Link{Event: cause.Event, Access: cause.Access.Hash()})
		}
		form, err := v.JSON()
		if err != nil {
			return err
		}
		p.out.object(json.RawMessage(form))
		return nil
	}
	text := fmt.Sprintf("published %s on %s", published.ID, published.Subject)
	if published.Seq > 0 {
		text += fmt.Sprintf(", number %d of your chain", published.Seq)
	}
	if published.Stream != "" {
		text += fmt.Sprintf(", stored as number %d of %s", published.StreamSeq, published.Stream)
	}
	p.out.line("%s", text)
	return nil
}
