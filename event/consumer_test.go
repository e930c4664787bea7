package event_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestAHandlerThatFailsIsTriedAgainAndThenBuried(t *testing.T) {
	b := startBus(t)
	b.stream("ORDERS", "orders.>")
	b.stream("DEAD", "dead")
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	js := b.jetStream()
	pub := event.NewPublisher(b.connect(), alice.manager(), event.PublisherOptions{JetStream: js})
	for _, text := range []string{"poison", "shaky", "good"} {
		if _, err := pub.Publish(natstest.Within(t), "orders.new", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	in := newInbox(t)
	s := event.NewSubscriber(b.connect(), bob.manager(alice), event.SubscriberOptions{Failed: in.fail, DeadLetter: "dead", MaxDeliver: 3})
	sick := errors.New("the handler\nis sick")
	tries := make(map[string]int)
	consume(t, s, js, b.durable("ORDERS", "worker", "orders.>"), func(ctx context.Context, r *event.Received) error {
		tries[string(r.Data)]++ // one goroutine at a time
		if string(r.Data) == "poison" || (string(r.Data) == "shaky" && tries["shaky"] == 1) {
			return sick
		}
		return in.handle(ctx, r)
	})
	finals, again := 0, 0
	handled := make(map[string]bool)
	for len(handled) < 2 || finals == 0 {
		select {
		case r := <-in.received:
			handled[string(r.Data)] = true
		case f := <-in.failed:
			if !errors.Is(f.Err, sick) || f.Event == nil {
				t.Fatalf("%+v", f)
			}
			if f.Final {
				finals++
			} else {
				again++
			}
		case <-time.After(natstest.Patience):
			t.Fatal("nothing comes")
		}
	}
	if !handled["good"] || !handled["shaky"] || again != 3 || finals != 1 {
		t.Errorf("handled %v, tried again %d times, given up %d times", handled, again, finals)
	}
	dead, err := js.Stream(natstest.Within(t), "DEAD")
	if err != nil {
		t.Fatal(err)
	}
	var letter *jetstream.RawStreamMsg
	natstest.Eventually(t, "the stream has stored the letter, which the server has", func() bool {
		letter, err = dead.GetLastMsgForSubject(natstest.Within(t), "dead")
		return err == nil
	})
	want := map[string]string{event.HeaderReason: "the handler is sick", event.HeaderSubject: "orders.new", event.HeaderSequence: "1"}
	for name, value := range want {
		if got := letter.Header.Get(name); got != value {
			t.Errorf("dead letter, %s: %q, want %q", name, got, value)
		}
	}
	if string(letter.Data) != "poison" || letter.Header.Get(nats.MsgIdHdr) != "" {
		t.Errorf("dead letter: %q, %v", letter.Data, letter.Header)
	}
}

func TestWhatIsNoEventNeverReachesTheHandler(t *testing.T) {
	b := startBus(t)
	b.stream("ORDERS", "orders.>")
	company := newCompany(t)
	alice, bob, mallory := company.hire(), company.hire(), company.hire()
	js := b.jetStream()
	in := newInbox(t)
	s := event.NewSubscriber(b.connect(), bob.manager(alice), event.SubscriberOptions{Failed: in.fail})
	consume(t, s, js, b.durable("ORDERS", "worker", "orders.>"), in.handle)

	if _, err := js.Publish(natstest.Within(t), "orders.new", []byte("just bytes")); err != nil {
		t.Fatal(err)
	}
	in.refused(event.ErrMalformed)
	if _, err := event.NewPublisher(b.connect(), mallory.manager(), event.PublisherOptions{JetStream: js}).Publish(natstest.Within(t), "orders.new", nil); err != nil {
		t.Fatal(err)
	}
	in.refused(event.ErrUntrusted)
	// alice's event of another subject, put here
	v, err := alice.manager().Issue(&event.Event{Type: "x", Subject: "orders.old", Body: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	msg := v.Msg(event.Headers)
	msg.Subject = "orders.new"
	if _, err := js.PublishMsg(natstest.Within(t), msg); err != nil {
		t.Fatal(err)
	}
	in.refused(event.ErrNotMeant)
	// many at once, of which one is forged: the others are handled, in their order
	pub := event.NewPublisher(b.connect(), alice.manager(), event.PublisherOptions{})
	for i := range 40 {
		if i == 20 {
			forged := &event.Event{Author: alice.account.Public(), Type: "x", Subject: "orders.new", Body: []byte("x")}
			if err := forged.Sign(mallory.device); err != nil {
				t.Fatal(err)
			}
			forged.Device = alice.device.Public()
			send(t, b.connect(), &event.Envelope{Event: forged, Access: alice.access})
		}
		if _, err := pub.Publish(natstest.Within(t), "orders.new", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	forged := 0
	for i := 0; i < 40; {
		select {
		case r := <-in.received:
			if string(r.Data) != fmt.Sprint(i) {
				t.Fatalf("%q, want %d", r.Data, i)
			}
			i++
		case f := <-in.failed:
			forged++
			if !errors.Is(f.Err, event.ErrSignature) || !f.Final {
				t.Fatalf("%v", f.Err)
			}
		case <-time.After(natstest.Patience):
			t.Fatal("nothing comes")
		}
	}
	if forged != 1 {
		t.Errorf("%d forged ones", forged)
	}
}

func TestAConsumerThatIsBusyForLongStillHasItsEvent(t *testing.T) {
	b := startBus(t)
	b.stream("ORDERS", "orders.>")
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	js := b.jetStream()
	pub := event.NewPublisher(b.connect(), alice.manager(), event.PublisherOptions{JetStream: js})
	if _, err := pub.Publish(natstest.Within(t), "orders.new", []byte("long")); err != nil {
		t.Fatal(err)
	}
	consumer, err := js.CreateConsumer(natstest.Within(t), "ORDERS", jetstream.ConsumerConfig{
		Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	in := newInbox(t)
	s := event.NewSubscriber(b.connect(), bob.manager(alice), event.SubscriberOptions{Failed: in.fail})
	consume(t, s, js, consumer, func(ctx context.Context, r *event.Received) error {
		time.Sleep(1500 * time.Millisecond) // longer than the server waits without a word
		return in.handle(ctx, r)
	})
	in.next()
	info := func() *jetstream.ConsumerInfo {
		info, err := consumer.Info(natstest.Within(t))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	for deadline := time.Now().Add(natstest.Patience); info().AckFloor.Stream != 1 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	if now := info(); now.NumRedelivered != 0 || now.Delivered.Consumer != 1 || now.AckFloor.Stream != 1 {
		t.Errorf("delivered %d times", now.Delivered.Consumer)
	}
}

func TestSubscribersThatShareAMemoryHandleAnEventOnce(t *testing.T) {
	b := startBus(t)
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	nc := b.connect()
	seen := event.SeenBucket{KV: b.bucket("seen")}
	reader := func(in *inbox) {
		subscribe(t, event.NewSubscriber(nc, bob.manager(alice), event.SubscriberOptions{Memory: seen, Failed: in.fail}), "x", in)
	}
	first := newInbox(t)
	reader(first)
	sent, err := event.NewPublisher(nc, alice.manager(), event.PublisherOptions{}).Publish(natstest.Within(t), "x", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	first.next()
	restarted := newInbox(t)
	reader(restarted)
	send(t, nc, &event.Envelope{Event: sent.Event, Access: alice.access})
	restarted.refused(event.ErrReplay)
	first.refused(event.ErrReplay)
}

func TestAChainShowsWhatIsMissing(t *testing.T) {
	b := startBus(t)
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	nc := b.connect()
	places := event.PlaceBucket{KV: b.bucket("places")}
	in := newInbox(t)
	subscribe(t, event.NewSubscriber(nc, bob.manager(alice), event.SubscriberOptions{Failed: in.fail}), "x", in)
	publisher := func(on *nats.Conn) *event.Publisher {
		return event.NewPublisher(on, alice.manager(), event.PublisherOptions{Places: places})
	}
	pub := publisher(nc)
	var before *event.Published
	for i := range 3 {
		one, err := pub.Publish(natstest.Within(t), "x", fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		if got := in.next(); got.StreamSeq != 0 || got.Seq != uint64(i+1) || (before != nil && got.Prev != before.Hash()) {
			t.Errorf("%d: %+v", i, got.Event)
		}
		before = one
	}
	// one that is never delivered
	other := startBus(t)
	lost, err := publisher(other.connect()).Publish(natstest.Within(t), "x", []byte("lost"))
	if err != nil || lost.Seq != 4 {
		t.Fatal(err, lost.Seq)
	}
	// the publisher starts again: what it may not have sent is sent before the next
	if _, err := publisher(nc).Publish(natstest.Within(t), "x", []byte("five")); err != nil {
		t.Fatal(err)
	}
	if got := in.next(); string(got.Data) != "lost" || got.Seq != 4 {
		t.Errorf("%q at %d", got.Data, got.Seq)
	}
	if got := in.next(); string(got.Data) != "five" || got.Seq != 5 {
		t.Errorf("%q at %d", got.Data, got.Seq)
	}

	// a host that leaves one out is noticed; a second one in a place is refused
	sign := func(seq uint64, prev event.Hash) *event.Envelope {
		v, err := alice.manager().Issue(&event.Event{Type: "event", Subject: "x", Seq: seq, Prev: prev, Body: []byte("by hand")})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	beyond := sign(8, event.Hash{1})
	send(t, nc, beyond)
	if f := in.refusedOrGap(event.ErrGap); f.Final {
		t.Errorf("%+v", f)
	}
	in.next()
	send(t, nc, sign(9, event.Hash{2}))
	in.refused(event.ErrReplay)
	send(t, nc, sign(8, event.Hash{1}))
	in.refused(event.ErrReplay)
	send(t, nc, sign(9, beyond.Event.Hash()))
	in.next()
}

// refusedOrGap is refused, when the event is handled all the same.
func (i *inbox) refusedOrGap(kind error) *event.Failure {
	i.t.Helper()
	select {
	case f := <-i.failed:
		if !errors.Is(f.Err, kind) {
			i.t.Fatalf("%v, want %v", f.Err, kind)
		}
		return f
	case <-time.After(natstest.Patience):
		i.t.Fatal("nothing comes")
	}
	return nil
}

func TestAccessTokensTravelOnceAndAreFound(t *testing.T) {
	b := startBus(t)
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	nc := b.connect()
	wire, err := nc.SubscribeSync("x")
	if err != nil {
		t.Fatal(err)
	}
	m := alice.manager()
	access := event.AccessBucket{KV: b.bucket("access")}
	pub := event.NewPublisher(nc, m, event.PublisherOptions{LeaveAccess: access})
	publish := func() {
		t.Helper()
		if _, err := pub.Publish(natstest.Within(t), "x", nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		publish()
		msg, err := wire.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if inline := msg.Header.Get("Keyhall-Access") != ""; inline != (i == 0) {
			t.Errorf("event %d carries its token: %t", i, inline)
		}
	}
	// who comes later finds it in the bucket, or asks the publisher
	late, asking, alone := newInbox(t), newInbox(t), newInbox(t)
	subscribe(t, event.NewSubscriber(nc, bob.manager(alice), event.SubscriberOptions{Access: access, Failed: late.fail}), "x", late)
	subscribe(t, event.NewSubscriber(nc, bob.manager(alice), event.SubscriberOptions{Access: event.LiveAccess{Conn: b.connect()}, Failed: asking.fail}), "x", asking)
	subscribe(t, event.NewSubscriber(nc, bob.manager(alice), event.SubscriberOptions{Failed: alone.fail}), "x", alone)
	publish()
	late.next()
	asking.refused(event.ErrNoAccess)
	alone.refused(event.ErrAccess)
	answering, err := pub.AnswerForAccess()
	if err != nil {
		t.Fatal(err)
	}
	defer answering.Unsubscribe() //nolint:errcheck // ends with the test
	publish()
	late.next()
	asking.next()
	alone.refused(event.ErrAccess)
}
