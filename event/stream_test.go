package event_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

// bus is a NATS server that knows nothing of events: who may publish what, they prove
// themselves.
type bus struct {
	t      *testing.T
	server *natsserver.Server
}

func startBus(t *testing.T) *bus {
	t.Helper()
	s := natstest.Start(t, &natsserver.Options{
		JetStream: true, StoreDir: t.TempDir(),
	})
	return &bus{t, s}
}

func (b *bus) connect() *nats.Conn {
	b.t.Helper()
	nc, err := nats.Connect(b.server.ClientURL())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

func (b *bus) jetStream() jetstream.JetStream {
	b.t.Helper()
	js, err := jetstream.New(b.connect())
	if err != nil {
		b.t.Fatal(err)
	}
	return js
}

func (b *bus) stream(name string, subjects ...string) jetstream.Stream {
	b.t.Helper()
	stream, err := b.jetStream().CreateStream(natstest.Within(b.t), jetstream.StreamConfig{Name: name, Subjects: subjects})
	if err != nil {
		b.t.Fatal(err)
	}
	return stream
}

func (b *bus) bucket(name string) jetstream.KeyValue {
	b.t.Helper()
	kv, err := b.jetStream().CreateKeyValue(natstest.Within(b.t), jetstream.KeyValueConfig{Bucket: name})
	if err != nil {
		b.t.Fatal(err)
	}
	return kv
}

func (b *bus) durable(stream, name, subject string) jetstream.Consumer {
	b.t.Helper()
	consumer, err := b.jetStream().CreateOrUpdateConsumer(natstest.Within(b.t), stream, jetstream.ConsumerConfig{
		Durable: name, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return consumer
}

// company is an operator with accounts, as the usual NATS tools make them.
type company struct {
	t        *testing.T
	operator *trust.KeyPair
}

func newCompany(t *testing.T) *company { return &company{t, trust.NewKeyPair(trust.Operator)} }

// person is an account of a company, and a user in it.
type person struct {
	*company
	account *trust.KeyPair
	device  *trust.KeyPair
	claims  *jwt.AccountClaims
	access  string
}

func (c *company) hire() *person {
	p := &person{company: c, account: trust.NewKeyPair(trust.Account), device: trust.NewKeyPair(trust.Device)}
	p.claims = jwt.NewAccountClaims(p.account.String())
	p.access = p.userToken(p.device, p.account, time.Now(), time.Now().Add(time.Hour))
	return p
}

// userToken is a NATS user JWT for a device, issued by a key of the account.
func (p *person) userToken(device, by *trust.KeyPair, from, until time.Time) string {
	p.t.Helper()
	claims := jwt.NewUserClaims(device.String())
	claims.Name = "user"
	if by != p.account {
		claims.IssuerAccount = p.account.String()
	}
	claims.Expires = until.Unix()
	if from.After(time.Now().Add(time.Second)) {
		claims.NotBefore = from.Unix()
	}
	return p.encode(claims, by)
}

func (p *person) accountToken() string { return p.encode(p.claims, p.operator) }

func (p *person) encode(claims jwt.Claims, by *trust.KeyPair) string {
	p.t.Helper()
	text, err := claims.Encode(by.NKey())
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// manager is a token manager that issues as this person and believes some accounts.
func (p *person) manager(believes ...*person) *event.TokenManager {
	p.t.Helper()
	rules := event.Rules{Is: []string{p.account.String()}}
	for _, other := range believes {
		rules.Accounts = append(rules.Accounts, other.account.String())
	}
	return p.managerWith(rules)
}

func (p *person) managerWith(rules event.Rules) *event.TokenManager {
	p.t.Helper()
	m, err := event.NewTokenManager(rules)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := m.SignAs(p.device, p.access); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// inbox collects what a subscriber handles, and what it does not.
type inbox struct {
	t        *testing.T
	received chan *event.Received
	failed   chan *event.Failure
}

func newInbox(t *testing.T) *inbox {
	return &inbox{t, make(chan *event.Received, 1000), make(chan *event.Failure, 1000)}
}

func (i *inbox) handle(_ context.Context, r *event.Received) error {
	i.received <- r
	return nil
}

func (i *inbox) fail(_ context.Context, f *event.Failure) { i.failed <- f }

// next is the next event; a failure before it ends the test.
func (i *inbox) next() *event.Received {
	i.t.Helper()
	select {
	case r := <-i.received:
		return r
	case f := <-i.failed:
		i.t.Fatalf("refused: %v", f.Err)
	case <-time.After(natstest.Patience):
		i.t.Fatal("nothing comes")
	}
	return nil
}

// refused is the next failure, which must be of a kind; an event before it ends the test.
func (i *inbox) refused(kind error) *event.Failure {
	i.t.Helper()
	select {
	case r := <-i.received:
		i.t.Fatalf("handled %s with %q; want %v", r.ID, r.Data, kind)
	case f := <-i.failed:
		if !errors.Is(f.Err, kind) {
			i.t.Fatalf("refused with %v; want %v", f.Err, kind)
		}
		return f
	case <-time.After(natstest.Patience):
		i.t.Fatal("nothing comes")
	}
	return nil
}

// consume runs a consumer until the returned function is called.
func consume(t *testing.T, s *event.Subscriber, js jetstream.JetStream, c jetstream.Consumer, handle event.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Consume(ctx, js, c, handle) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("consume: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func TestAnEventIsHeardByWhoBelievesItsPublisher(t *testing.T) {
	for _, form := range []event.Form{event.Headers, event.Compact} {
		t.Run(fmt.Sprint("form ", form), func(t *testing.T) {
			b := startBus(t)
			company := newCompany(t)
			alice, bob := company.hire(), company.hire()
			nc := b.connect()
			in, strangers := newInbox(t), newInbox(t)
			subscribe(t, event.NewSubscriber(nc, bob.manager(alice), event.SubscriberOptions{Failed: in.fail}), "orders.>", in)
			subscribe(t, event.NewSubscriber(nc, bob.manager(bob), event.SubscriberOptions{Failed: strangers.fail}), "orders.>", strangers)

			pub := event.NewPublisher(nc, alice.manager(), event.PublisherOptions{Form: form})
			sent, err := pub.Publish(natstest.Within(t), "orders.new", []byte(`{"n":1}`), event.Type("order.placed"), event.ContentType("application/json"))
			if err != nil {
				t.Fatal(err)
			}
			got := in.next()
			if string(got.Data) != `{"n":1}` || got.Type != "order.placed" || got.ID != sent.ID || got.Access.Account != alice.account.Public() {
				t.Errorf("%+v", got)
			}
			strangers.refused(event.ErrUntrusted)

			// the very same message once more
			if err := nc.PublishMsg(msgOf(t, sent.Event, alice.access, form)); err != nil {
				t.Fatal(err)
			}
			in.refused(event.ErrReplay)
		})
	}
}

func subscribe(t *testing.T, s *event.Subscriber, subject string, in *inbox) {
	t.Helper()
	if _, err := s.Subscribe(t.Context(), subject, in.handle); err != nil {
		t.Fatal(err)
	}
}

func msgOf(t *testing.T, e *event.Event, access string, form event.Form) *nats.Msg {
	t.Helper()
	return (&event.Envelope{Event: e, Access: access}).Msg(form)
}

func TestADurableConsumerHandlesEachEventOnce(t *testing.T) {
	b := startBus(t)
	b.stream("ORDERS", "orders.>")
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	js := b.jetStream()
	pub := event.NewPublisher(b.connect(), alice.manager(), event.PublisherOptions{
		JetStream: js, LeaveAccess: event.AccessBucket{KV: b.bucket("access")},
	})
	var sent []*event.Published
	for i := range 20 {
		one, err := pub.Publish(natstest.Within(t), "orders.new", fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, one)
	}
	kv, err := js.KeyValue(natstest.Within(t), "access")
	if err != nil {
		t.Fatal(err)
	}
	reader := func(in *inbox) *event.Subscriber {
		return event.NewSubscriber(b.connect(), bob.manager(alice), event.SubscriberOptions{
			Access: event.AccessBucket{KV: kv}, Failed: in.fail, DeadLetter: "dead",
		})
	}
	dead, err := b.connect().SubscribeSync("dead")
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	in := newInbox(t)
	stop := consume(t, reader(in), js, b.durable("ORDERS", "worker", "orders.>"), in.handle)
	for i := range sent {
		if got := in.next(); string(got.Data) != fmt.Sprint(i) || got.StreamSeq != uint64(i+1) {
			t.Fatalf("%q at %d, want %d", got.Data, got.StreamSeq, i)
		}
	}

	// somebody puts an event of before into the stream again, without the stream's own
	// deduplication: at once, and while the consumer is away
	inject := func(e *event.Event) {
		msg := msgOf(t, e, alice.access, event.Headers)
		msg.Header.Set("Nats-Expected-Stream", "ORDERS")
		if _, err := js.PublishMsg(natstest.Within(t), withoutDedup(msg)); err != nil {
			t.Fatal(err)
		}
	}
	inject(sent[3].Event)
	in.refused(event.ErrMalformed) // it lacks the id by which streams know it again
	stop()

	b2 := b.jetStream()
	purgeDedup(t, b2, "ORDERS")
	if _, err := b2.PublishMsg(natstest.Within(t), msgOf(t, sent[4].Event, alice.access, event.Headers)); err != nil {
		t.Fatal(err)
	}
	in = newInbox(t)
	consume(t, reader(in), js, b.durable("ORDERS", "worker", "orders.>"), in.handle)
	in.refused(event.ErrReplay)
	for _, want := range []string{"header", "there before"} {
		letter, err := dead.NextMsg(natstest.Patience)
		if err != nil || !strings.Contains(letter.Header.Get(event.HeaderReason), want) {
			t.Errorf("dead letter %v %v, want %q", letter, err, want)
		}
	}
	if one, err := pub.Publish(natstest.Within(t), "orders.new", []byte("more")); err != nil || in.next().ID != one.ID {
		t.Errorf("after it: %v", err)
	}
}

func withoutDedup(msg *nats.Msg) *nats.Msg {
	msg.Header.Del(nats.MsgIdHdr)
	return msg
}

// purgeDedup has a stream forget which ids it has: as if they had been stored long ago.
func purgeDedup(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	stream, err := js.Stream(natstest.Within(t), name)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.Duplicates = 100 * time.Millisecond
	if _, err := js.UpdateStream(natstest.Within(t), config); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
}
