package event_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// A publisher, and a subscriber that believes its account.
func Example() {
	nc, stop := connect()
	defer stop()
	ctx := context.Background()

	// The account vouches for the till: with nsc, this is any user of it.
	shop, till := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	access, err := jwt.NewUserClaims(till.String()).Encode(shop.NKey())
	if err != nil {
		log.Fatal(err)
	}

	// The kitchen knows the shop's account key, and nothing else.
	checks, err := event.NewTokenManager(event.Rules{Accounts: []string{shop.String()}})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan bool)
	kitchen := event.NewSubscriber(nc, checks, event.SubscriberOptions{})
	if _, err := kitchen.Subscribe(ctx, "orders.new", func(_ context.Context, r *event.Received) error {
		fmt.Printf("%s: %s\n", r.Type, r.Data)
		done <- true
		return nil
	}); err != nil {
		log.Fatal(err)
	}

	signs, err := event.NewTokenManager(event.Rules{})
	if err != nil {
		log.Fatal(err)
	}
	if err := signs.SignAs(till, access); err != nil {
		log.Fatal(err)
	}
	pub := event.NewPublisher(nc, signs, event.PublisherOptions{})
	if _, err := pub.Publish(ctx, "orders.new", []byte("two loaves"), event.Type("order.placed")); err != nil {
		log.Fatal(err)
	}
	<-done
	// Output:
	// order.placed: two loaves
}

// The example in the package comment is the one above, which runs.
func TestThePackageCommentShowsTheExample(t *testing.T) {
	comment, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_stream_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for line := range strings.Lines(string(comment)) {
		code, is := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "//\t")
		if is || (line == "//\n" && len(shown) > 0) {
			shown = append(shown, code)
		} else if len(shown) > 0 {
			break
		}
	}
	var code strings.Builder
	for _, line := range shown {
		if line == "//" || line == "" {
			code.WriteString("\n")
		} else {
			code.WriteString("\t" + line + "\n")
		}
	}
	text := strings.TrimSpace(code.String())
	if len(shown) < 30 || !strings.Contains(string(source), text) {
		t.Errorf("the package comment shows other code than Example:\n%s", text)
	}
}

// connect starts a NATS server that knows nothing of events, and connects to it.
func connect() (nc *nats.Conn, stop func()) {
	dir, err := os.MkdirTemp("", "event")
	if err != nil {
		log.Fatal(err)
	}
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("the server does not come up")
	}
	if nc, err = nats.Connect(s.ClientURL()); err != nil {
		log.Fatal(err)
	}
	return nc, func() {
		nc.Close()
		s.Shutdown()
		s.WaitForShutdown()
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}

// service is a program with keys of its own.
type service struct {
	account, device *trust.KeyPair
	access          string
}

func newService() *service {
	s := &service{account: trust.NewKeyPair(trust.Account), device: trust.NewKeyPair(trust.Device)}
	var err error
	if s.access, err = jwt.NewUserClaims(s.device.String()).Encode(s.account.NKey()); err != nil {
		log.Fatal(err)
	}
	return s
}

// manager issues as the service, and believes others.
func (s *service) manager(believed ...*service) *event.TokenManager {
	var rules event.Rules
	for _, other := range believed {
		rules.Accounts = append(rules.Accounts, other.account.String())
	}
	m, err := event.NewTokenManager(rules)
	if err != nil {
		log.Fatal(err)
	}
	if err := m.SignAs(s.device, s.access); err != nil {
		log.Fatal(err)
	}
	return m
}

// Two subscribers hear the same event. The one with the right keys handles it; the handler
// of the one with other keys is never called.
func ExampleSubscriber() {
	nc, stop := connect()
	defer stop()
	ctx := context.Background()
	alice, bob, carol := newService(), newService(), newService()

	said := make(chan string)
	read := func(name string, m *event.TokenManager) {
		s := event.NewSubscriber(nc, m, event.SubscriberOptions{Failed: func(_ context.Context, f *event.Failure) {
			said <- fmt.Sprintf("%s refuses it: %t", name, errors.Is(f.Err, event.ErrUntrusted))
		}})
		if _, err := s.Subscribe(ctx, "news", func(_ context.Context, r *event.Received) error {
			said <- fmt.Sprintf("%s reads %q", name, r.Data)
			return nil
		}); err != nil {
			log.Fatal(err)
		}
	}
	read("bob", bob.manager(alice))     // has the key of who publishes
	read("carol", carol.manager(carol)) // has another

	pub := event.NewPublisher(nc, alice.manager(), event.PublisherOptions{})
	if _, err := pub.Publish(ctx, "news", []byte("hello")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-said)
	fmt.Println(<-said)
	// Unordered output:
	// bob reads "hello"
	// carol refuses it: true
}

// A private stream: whoever is no reader gets no data, though they see every message and
// believe its publisher.
func ExampleRing() {
	nc, stop := connect()
	defer stop()
	ctx := context.Background()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "PLANS", Subjects: []string{"plans.>"}})
	if err != nil {
		log.Fatal(err)
	}
	alice, bob, carol := newService(), newService(), newService()
	bobs, carols := trust.NewXKey(), trust.NewXKey()
	keeper := []string{alice.account.String()}

	// alice keeps the keys: she begins an epoch for herself and bob.
	m := alice.manager(alice)
	keys, err := event.NewRing("plans.keys", keeper, trust.NewXKey(), m, nil)
	if err != nil {
		log.Fatal(err)
	}
	epoch, err := keys.NewEpoch([]string{bobs.String()})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := event.NewPublisher(nc, m, event.PublisherOptions{JetStream: js}).PublishEvent(ctx, epoch); err != nil {
		log.Fatal(err)
	}
	if err := keys.Sync(ctx, stream); err != nil {
		log.Fatal(err)
	}
	pub := event.NewPublisher(nc, m, event.PublisherOptions{JetStream: js, Ring: keys})
	if _, err := pub.Publish(ctx, "plans.talk", []byte("the door is green")); err != nil {
		log.Fatal(err)
	}

	read := func(name string, who *service, xkey *trust.XKey) {
		m := who.manager(alice)
		ring, err := event.NewRing("plans.keys", keeper, xkey, m, nil)
		if err != nil {
			log.Fatal(err)
		}
		if err := ring.Sync(ctx, stream); err != nil {
			log.Fatal(err)
		}
		consumer, err := js.CreateConsumer(ctx, "PLANS", jetstream.ConsumerConfig{Durable: name, FilterSubject: "plans.talk", AckPolicy: jetstream.AckExplicitPolicy})
		if err != nil {
			log.Fatal(err)
		}
		reading, enough := context.WithCancel(ctx)
		s := event.NewSubscriber(nc, m, event.SubscriberOptions{Ring: ring, Failed: func(_ context.Context, f *event.Failure) {
			fmt.Printf("%s: no key: %t\n", name, errors.Is(f.Err, event.ErrNoKey))
			enough()
		}})
		if err := s.Consume(reading, js, consumer, func(_ context.Context, r *event.Received) error {
			fmt.Printf("%s: %s\n", name, r.Data)
			enough()
			return nil
		}); err != nil {
			log.Fatal(err)
		}
	}
	read("bob", bob, bobs)
	read("carol", carol, carols)
	// Output:
	// bob: the door is green
	// carol: no key: true
}

// Five services hand work on, each to the next. A rogue between them hears everything and
// puts in what it likes: at every boundary all of it is refused, and the work arrives.
func ExampleFrom() {
	nc, stop := connect()
	defer stop()
	ctx := context.Background()
	services := []*service{newService(), newService(), newService(), newService(), newService()}
	rogue := newService()

	heard := make(chan *nats.Msg, 100) // by the rogue
	tap, err := nc.ChanSubscribe("step.*", heard)
	if err != nil {
		log.Fatal(err)
	}
	refused := make(chan error, 100)
	done := make(chan *event.Received, 100)
	for i, s := range services {
		m := s.manager(services...)
		pub := event.NewPublisher(nc, m, event.PublisherOptions{})
		o := event.SubscriberOptions{Failed: func(_ context.Context, f *event.Failure) { refused <- f.Err }, Access: shown(services)}
		if _, err := event.NewSubscriber(nc, m, o).Subscribe(ctx, fmt.Sprintf("step.%d", i), func(ctx context.Context, r *event.Received) error {
			if i == len(services)-1 {
				done <- r
				return nil
			}
			_, err := pub.Publish(ctx, fmt.Sprintf("step.%d", i+1), fmt.Appendf(r.Data, " %d", i), event.From(r))
			return err
		}); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := event.NewPublisher(nc, services[4].manager(), event.PublisherOptions{}).Publish(ctx, "step.0", []byte("bread:")); err != nil {
		log.Fatal(err)
	}
	end := <-done
	fmt.Printf("%s, after %d hops\n", end.Data, len(end.Trail))

	own := rogue.manager(append(services, rogue)...)
	pub := event.NewPublisher(nc, own, event.PublisherOptions{})
	boundaries := make([]*nats.Msg, len(services))
	for i := range boundaries {
		boundaries[i] = <-heard
	}
	if err := tap.Unsubscribe(); err != nil {
		log.Fatal(err)
	}
	for _, msg := range boundaries {
		v, err := event.ReadMsg(msg)
		if err != nil {
			log.Fatal(err)
		}
		// the same once more; with other data; and something that came out of it, in its own name
		changed := v.Msg(event.Headers)
		changed.Data = append([]byte("stones, not "), changed.Data...)
		for _, bad := range []*nats.Msg{v.Msg(event.Headers), changed} {
			if err := nc.PublishMsg(bad); err != nil {
				log.Fatal(err)
			}
		}
		r, err := own.Receive(ctx, v, event.Moment{}, shown(services))
		if err != nil {
			log.Fatal(err)
		}
		if _, err := pub.Publish(ctx, msg.Subject, []byte("stones"), event.From(r)); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s, %s, %s\n", msg.Subject, kindOf(<-refused), kindOf(<-refused), kindOf(<-refused))
	}
	fmt.Println("more work done:", len(done) > 0)
	// Output:
	// bread: 0 1 2 3, after 4 hops
	// step.0: replay, body, untrusted
	// step.1: replay, body, untrusted
	// step.2: replay, body, untrusted
	// step.3: replay, body, untrusted
	// step.4: replay, body, untrusted
	// more work done: false
}

// shown finds the access tokens of services.
type shown []*service

func (s shown) FindAccess(_ context.Context, hash event.Hash) (string, error) {
	for _, one := range s {
		if access, err := event.ParseAccess(one.access); err == nil && access.Hash() == hash {
			return one.access, nil
		}
	}
	return "", event.ErrNoAccess
}

func kindOf(err error) string {
	for kind, name := range map[error]string{event.ErrReplay: "replay", event.ErrBody: "body", event.ErrUntrusted: "untrusted"} {
		if errors.Is(err, kind) {
			return name
		}
	}
	return err.Error()
}
