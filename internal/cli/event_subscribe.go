package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// redeliver is how long a stream waits for the acknowledgement of an event.
const redeliver = 10 * time.Second

// subscribeFlags are those of event subscribe.
type subscribeFlags struct {
	bus    busFlags
	belief beliefFlags
	ring   ringFlags

	stream, durable, dead, tokens string
	count                         int
}

func (p *program) eventSubscribe() *cobra.Command {
	f := new(subscribeFlags)
	c := &cobra.Command{
		Use:   "subscribe SUBJECT --trust KEY",
		Short: "Read events, and verify each of them",
		Long: "Print the events on a subject that hold and are by somebody whom you believe, until Ctrl-C\n" +
			"or --count. What is refused is said on standard error, with the reason. An event that came\n" +
			"out of others has its path below it.\n\n" +
			"--stream reads what a stream has, and goes on with what comes; with --durable it goes on\n" +
			"next time where it stopped. A line of --json has the event itself, as keyhall event verify\n" +
			"and publish --from read it, and what was verified about it.",
		Example: "  keyhall event subscribe orders.new --trust A...\n" +
			"  keyhall event subscribe 'orders.>' --trust A... --trust O... --json | jq -r .text\n" +
			"  keyhall event subscribe 'orders.>' --trust A... --stream ORDERS --durable till --dead orders-refused\n" +
			"  keyhall event subscribe plans.new --trust A... --keys plans.keys --keeper A... --xkey bob/reader.xk",
		Args: needs("SUBJECT"),
	}
	f.bus.register(c, "your creds file: logs in, and takes the events that are for you")
	f.belief.register(c)
	f.ring.register(c, "with --keys: the account (A...) that keeps them")
	c.Flags().StringVar(&f.stream, "stream", "", "read what this stream has, from its beginning")
	c.Flags().StringVar(&f.durable, "durable", "", "go on where this consumer of the stream stopped")
	c.Flags().StringVar(&f.dead, "dead", "", "with --stream: move what is refused for good to this subject")
	c.Flags().StringVar(&f.tokens, "tokens", "", "look for access tokens in this bucket (publish --tokens)")
	c.Flags().IntVar(&f.count, "count", 0, "stop after so many events")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(cmd, args[0]); err != nil {
			return err
		}
		return p.subscribeEvents(cmd, f, args[0])
	}
	return c
}

func (f *subscribeFlags) check(c *cobra.Command, subject string) error {
	switch {
	case len(f.belief.trust) == 0:
		return wrong(c, "event subscribe needs --trust: whom do you believe?")
	case strings.ContainsAny(subject, " \t\r\n") || strings.Contains(subject, "..") || strings.Trim(subject, ".") != subject || subject == "":
		return wrong(c, "%q is no subject", subject)
	case f.durable != "" && f.stream == "":
		return wrong(c, "--durable goes with --stream: what goes on is the reading of a stream")
	case f.dead != "" && f.stream == "":
		return wrong(c, "--dead goes with --stream")
	case strings.ContainsAny(f.dead, "*> "):
		return wrong(c, "--dead: %q is no subject to publish on", f.dead)
	case f.count < 0 || (f.count == 0 && c.Flags().Changed("count")):
		return wrong(c, "--count is a number from 1 on")
	case (f.ring.keys == "") != (f.ring.xkey == "") || (f.ring.keys == "") != (len(f.ring.keepers) == 0):
		return wrong(c, "--keys, --xkey and --keeper go together")
	}
	for _, keeper := range f.ring.keepers {
		if _, err := publicKey(c, "keeper", keeper, trust.Account); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) subscribeEvents(c *cobra.Command, f *subscribeFlags, subject string) error {
	var own *credentials
	if f.bus.creds != "" {
		var err error
		if own, err = readCreds(f.bus.creds); err != nil {
			return err
		}
	}
	m, err := f.belief.manager(c, own)
	if err != nil {
		return err
	}
	files, err := f.belief.tokens(own)
	if err != nil {
		return err
	}
	b, err := p.dial(c, &f.bus, own)
	if err != nil {
		return err
	}
	defer b.close()
	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	l := &listener{p: p, b: b, left: f.count, end: cancel}
	o, err := l.options(ctx, c, f, files)
	if err != nil {
		return err
	}
	s := event.NewSubscriber(b.nc, m, o)
	if f.stream == "" {
		err = l.listen(ctx, s, subject)
	} else {
		err = l.consume(ctx, s, f, subject)
	}
	if errors.Is(context.Cause(ctx), errCounted) {
		err = nil
	}
	return l.ended(err)
}

var errCounted = errors.New("as many as were asked for")

// listener prints the events that a subscriber hands it.
type listener struct {
	p    *program
	b    *bus
	left int // 0 from the beginning: without end
	end  context.CancelCauseFunc

	mu   sync.Mutex // of what is printed, and of left
	over bool
}

// options are those of the subscriber, with what they need of the server.
func (l *listener) options(ctx context.Context, c *cobra.Command, f *subscribeFlags, files tokenFiles) (event.SubscriberOptions, error) {
	o := event.SubscriberOptions{Access: tokenSources{files}, Failed: l.refused, DeadLetter: f.dead}
	if f.tokens != "" {
		kv, err := l.b.bucket(ctx, f.tokens, "", false)
		if err != nil {
			return o, err
		}
		o.Access = tokenSources{files, event.AccessBucket{KV: kv}}
	}
	if f.ring.keys == "" {
		return o, nil
	}
	var err error
	o.Ring, o.Keys, err = l.b.ring(c, &f.ring)
	return o, err
}

// listen reads a subject of core NATS.
func (l *listener) listen(ctx context.Context, s *event.Subscriber, subject string) error {
	if _, err := s.Subscribe(ctx, subject, l.show); err != nil {
		return l.b.said(err)
	}
	if err := l.b.nc.LastError(); err != nil {
		return l.b.said(err)
	}
	l.ready(subject)
	return l.wait(ctx)
}

func (l *listener) ready(subject string) {
	l.p.err.line("Listening on %s; Ctrl-C ends it.", subject)
}

// wait waits until the listener's time is over, or the server's patience.
func (l *listener) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.b.over.Done():
		return l.b.said(context.Cause(l.b.over))
	}
}

// consume reads a stream.
func (l *listener) consume(ctx context.Context, s *event.Subscriber, f *subscribeFlags, subject string) error {
	consumer, err := l.consumer(ctx, f, subject)
	if err != nil {
		return err
	}
	l.ready(subject)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- s.Consume(ctx, l.b.js, consumer, l.show)
		cancel()
	}()
	refused := l.wait(ctx)
	cancel()
	err = <-done
	if refused != nil {
		return refused
	}
	// What was acknowledged, or given back, has to get there.
	if flushed := l.b.settle(context.WithoutCancel(ctx)); err == nil {
		err = flushed
	}
	return l.b.said(err)
}

func (l *listener) consumer(ctx context.Context, f *subscribeFlags, subject string) (jetstream.Consumer, error) {
	stream, err := l.b.js.Stream(ctx, f.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrInvalidStreamName) {
		return nil, fault.Wrap(fault.NotFound, err, "there is no stream %s at %s", f.stream, l.b.url)
	}
	if err != nil {
		return nil, l.b.said(err)
	}
	if f.durable != "" {
		known, err := stream.Consumer(ctx, f.durable)
		switch {
		case errors.Is(err, jetstream.ErrInvalidConsumerName):
			return nil, fault.Wrap(fault.Malformed, err, "%q is no name for a consumer: letters, digits, - and _", f.durable)
		case err == nil:
			return known, readsSubject(known, subject)
		case !errors.Is(err, jetstream.ErrConsumerNotFound):
			return nil, l.b.said(err)
		}
	}
	made, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: f.durable, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy, AckWait: redeliver,
		MaxAckPending: inHand(f),
	})
	return made, l.b.said(err)
}

// inHand is how many events are on their way at a time. Of a durable consumer it is one: what
// the next run is to get first must not be behind what comes meanwhile.
func inHand(f *subscribeFlags) int {
	if f.durable != "" {
		return 1
	}
	return 0 // as many as the server has it
}

// readsSubject returns an error if a consumer that was there reads something else.
func readsSubject(known jetstream.Consumer, subject string) error {
	config := known.CachedInfo().Config
	if config.FilterSubject == subject && len(config.FilterSubjects) == 0 {
		return nil
	}
	reads := config.FilterSubject
	if len(config.FilterSubjects) > 0 {
		reads = strings.Join(config.FilterSubjects, ", ")
	}
	if reads == "" {
		reads = "everything"
	}
	return fault.New(fault.Conflict, "the consumer %s is there already and reads %s; choose another --durable", config.Durable, reads)
}

// ended makes sure that nothing is printed any more.
func (l *listener) ended(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	return err
}

// heard is an event as subscribe prints it with --json.
type heard struct {
	Event    json.RawMessage `json:"event"` // its JSON form
	ID       string          `json:"id"`
	Time     time.Time       `json:"time"`
	Account  string          `json:"account"`
	Device   string          `json:"device"`
	Name     string          `json:"name"` // what the account calls the device
	Type     string          `json:"type"`
	Subject  string          `json:"subject"`
	Audience string          `json:"audience,omitempty"`
	Content  string          `json:"content,omitempty"`
	Number   uint64          `json:"number,omitempty"` // in its publisher's chain
	Sealed   bool            `json:"sealed,omitempty"`
	Text     *string         `json:"text,omitempty"`    // of data that are text
	Data     []byte          `json:"data,omitempty"`    // of others
	Receipt  string          `json:"receipt,omitempty"` // where its first publisher wants to hear that it is done
	Stored   string          `json:"stored,omitempty"`
	Seq      uint64          `json:"seq,omitempty"` // in the stream
	Path     []hop           `json:"path,omitempty"`
}

// hop is an event that another one came out of.
type hop struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Account string    `json:"account"`
	Device  string    `json:"device"`
	Type    string    `json:"type"`
	Subject string    `json:"subject"`
}

// show prints an event. One that could not be printed is not done with.
func (l *listener) show(_ context.Context, r *event.Received) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return context.Canceled
	}
	if l.p.json {
		line, err := hear(r)
		if err != nil {
			return err
		}
		l.p.out.object(line)
	} else {
		l.p.showHeard(r)
	}
	if err := l.p.out.failed; err != nil {
		l.over = true
		l.end(err)
		return err
	}
	if l.left--; l.left == 0 {
		l.over = true
		l.end(errCounted)
	}
	return nil
}

func hear(r *event.Received) (*heard, error) {
	form, err := (&event.Envelope{Event: r.Event, Access: r.Access.String(), Trail: r.Trail}).JSON()
	if err != nil {
		return nil, err
	}
	line := &heard{
		Event: form, ID: r.ID.String(), Time: r.Time, Account: r.Author.Text(trust.Account), Device: r.Device.Text(trust.Device),
		Name: r.Access.Name, Type: r.Type, Subject: r.Subject, Audience: r.Audience, Content: r.Content,
		Number: r.Event.Seq, Sealed: !r.Epoch.IsZero(), Receipt: r.Origin().Receipt, Seq: r.StreamSeq,
	}
	if utf8.Valid(r.Data) {
		text := string(r.Data)
		line.Text = &text
	} else {
		line.Data = r.Data
	}
	if !r.Stored.IsZero() {
		line.Stored = r.Stored.UTC().Format(time.RFC3339Nano)
	}
	for _, link := range r.Trail {
		e := link.Event
		line.Path = append(line.Path, hop{
			ID: e.ID.String(), Time: e.Time, Account: e.Author.Text(trust.Account), Device: e.Device.Text(trust.Device), Type: e.Type, Subject: e.Subject,
		})
	}
	return line, nil
}

// showHeard prints an event for people: one line, and below it the path that led there.
func (p *program) showHeard(r *event.Received) {
	text := strings.TrimSuffix(string(r.Data), "\n")
	if !utf8.Valid(r.Data) {
		text = fmt.Sprintf("(%s, not text)", size(int64(len(r.Data))))
	}
	p.out.line("%s  %s/%s  %s  %s  %s", r.Time.Local().Format("2006-01-02 15:04:05"), r.Author.Text(trust.Account), r.Access.Name, r.Subject, r.Type, text)
	if len(r.Trail) == 0 {
		return
	}
	for line := range strings.Lines(r.Trail.Path(r.Event, nil)) {
		p.out.line("    %s", strings.TrimSuffix(line, "\n"))
	}
}

// refused says what was not taken, and why.
func (l *listener) refused(_ context.Context, f *event.Failure) {
	var subject string
	switch {
	case f.Msg != nil:
		subject = f.Msg.Subject
	case f.Event != nil:
		subject = f.Event.Subject
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over:
	case errors.Is(f.Err, event.ErrGap):
		l.p.warn("%v", f.Err)
	case !f.Final:
		l.p.warn("not taken yet on %s, and tried again: %s", subject, reasonOf(f))
	default:
		l.p.warn("refused on %s: %s", subject, reasonOf(f))
	}
}

// reasonOf says why an event was refused, and which one it says that it is.
func reasonOf(f *event.Failure) string {
	if f.Event == nil {
		return f.Err.Error()
	}
	return fmt.Sprintf("%v (%s)", f.Err, f.Event.ID)
}
