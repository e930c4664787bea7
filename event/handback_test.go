package event_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

// What a consumer had in hand when it ended is there for the next one at once: nobody waits
// until the server thinks that it is lost. In which order, the server does not promise; no
// event is lost to that.
func TestWhatAConsumerHadInHandGoesToTheNextAtOnce(t *testing.T) {
	b := startBus(t)
	stream := b.stream("ORDERS", "orders.>")
	alice := newCompany(t).hire()
	js := b.jetStream()
	c, err := stream.CreateConsumer(natstest.Within(t), jetstream.ConsumerConfig{
		Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	pub := event.NewPublisher(b.connect(), alice.manager(), event.PublisherOptions{
		JetStream: js, Places: event.PlaceBucket{KV: b.bucket("PLACES")},
	})
	const count = 100
	for i := range count {
		if _, err := pub.Publish(natstest.Within(t), "orders.new", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for all := make(map[string]bool); len(all) < count; {
		in := newInbox(t)
		s := event.NewSubscriber(b.connect(), alice.manager(alice), event.SubscriberOptions{Failed: in.fail})
		ctx, cancel := context.WithCancel(natstest.Within(t))
		handled := 0
		err := s.Consume(ctx, js, c, func(_ context.Context, r *event.Received) error {
			if all[string(r.Data)] {
				t.Errorf("%q again", r.Data)
			}
			all[string(r.Data)] = true
			if handled++; handled == 9 || len(all) == count {
				cancel()
			}
			return nil
		})
		cancel()
		if err != nil || handled == 0 {
			t.Fatalf("after %d events: %v", len(all), err)
		}
		for len(in.failed) > 0 {
			if f := <-in.failed; !errors.Is(f.Err, event.ErrGap) {
				t.Fatalf("refused: %v", f.Err)
			}
		}
	}
}

// An event that its stream delivers again behind later ones of its chain is no replay.
func TestAnEventOfAChainThatIsDeliveredLateIsHandled(t *testing.T) {
	b := startBus(t)
	b.stream("ORDERS", "orders.>")
	alice := newCompany(t).hire()
	js := b.jetStream()
	c := b.durable("ORDERS", "worker", "orders.>")
	pub := event.NewPublisher(b.connect(), alice.manager(), event.PublisherOptions{
		JetStream: js, Places: event.PlaceBucket{KV: b.bucket("PLACES")},
	})
	for _, text := range []string{"one", "two", "three"} {
		if _, err := pub.Publish(natstest.Within(t), "orders.new", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	// A worker that is gone had the second one, and the server delivers it behind the third.
	msgs, err := c.Fetch(3)
	if err != nil {
		t.Fatal(err)
	}
	var all []jetstream.Msg
	for msg := range msgs.Messages() {
		all = append(all, msg)
	}
	for _, i := range []int{0, 2, 1} {
		if err := all[i].Nak(); err != nil {
			t.Fatal(err)
		}
	}
	in := newInbox(t)
	s := event.NewSubscriber(b.connect(), alice.manager(alice), event.SubscriberOptions{Failed: in.fail})
	consume(t, s, js, c, in.handle)
	handled := make(map[string]bool)
	for len(handled) < 3 { // with a gap, which is told
		select {
		case r := <-in.received:
			handled[string(r.Data)] = true
		case f := <-in.failed:
			if !errors.Is(f.Err, event.ErrGap) {
				t.Fatalf("refused: %v", f.Err)
			}
		case <-time.After(natstest.Patience):
			t.Fatalf("handled %v", handled)
		}
	}
	// but what stands behind in the stream and before in the chain is one
	v, err := alice.manager(alice).Issue(&event.Event{Type: "event", Subject: "orders.new", Seq: 2, Prev: event.Hash{1}, Body: []byte("another two")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.PublishMsg(natstest.Within(t), v.Msg(event.Headers)); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case f := <-in.failed:
			if errors.Is(f.Err, event.ErrGap) {
				continue
			}
			if !errors.Is(f.Err, event.ErrReplay) {
				t.Fatalf("refused: %v", f.Err)
			}
		case r := <-in.received:
			t.Fatalf("handled %q", r.Data)
		case <-time.After(natstest.Patience):
			t.Fatal("nothing comes")
		}
		return
	}
}

// A subscriber that has the keys' stream learns of new epochs, and of grants, when it meets
// what it cannot open, also where nothing is delivered twice.
func TestASubscriberLooksForNewKeysWhenItNeedsThem(t *testing.T) {
	p := newPrivate(t)
	bob := trust.NewXKey()
	p.announce(p.ring.NewEpoch(nil))
	m := p.alice.company.hire().manager(p.alice)
	ring, err := event.NewRing(keysSubject, []string{p.alice.account.String()}, bob, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := newInbox(t)
	s := event.NewSubscriber(p.connect(), m, event.SubscriberOptions{Ring: ring, Keys: p.keys, Failed: in.fail})
	subscribe(t, s, "plans.talk", in)
	p.says("before")
	in.refused(event.ErrNoKey)
	p.announce(p.ring.Grant(bob.String(), false))
	p.says("granted")
	if got := in.next(); string(got.Data) != "plaintext granted" {
		t.Errorf("%q", got.Data)
	}
	p.announce(p.ring.NewEpoch([]string{bob.String()}))
	p.says("of a new epoch")
	if got := in.next(); string(got.Data) != "plaintext of a new epoch" {
		t.Errorf("%q", got.Data)
	}
}

// What is refused for good is moved away once, and is not delivered again: also by a
// consumer that runs without end, whose context has no deadline.
func TestWhatIsRefusedIsBuriedOnce(t *testing.T) {
	b := startBus(t)
	b.stream("ORDERS", "orders.>")
	graves := b.stream("DEAD", "dead")
	company := newCompany(t)
	alice, mallory := company.hire(), company.hire()
	js := b.jetStream()
	c := b.durable("ORDERS", "worker", "orders.>")
	in := newInbox(t)
	s := event.NewSubscriber(b.connect(), alice.manager(alice), event.SubscriberOptions{Failed: in.fail, DeadLetter: "dead"})
	consume(t, s, js, c, in.handle)
	if _, err := event.NewPublisher(b.connect(), mallory.manager(), event.PublisherOptions{JetStream: js}).Publish(natstest.Within(t), "orders.new", nil); err != nil {
		t.Fatal(err)
	}
	in.refused(event.ErrUntrusted)
	for end := time.Now().Add(natstest.Patience); ; time.Sleep(time.Millisecond) {
		info, err := c.Info(natstest.Within(t))
		if err != nil {
			t.Fatal(err)
		}
		if info.NumAckPending == 0 && info.AckFloor.Stream == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it is to be delivered again: %+v", info)
		}
	}
	if info, err := graves.Info(natstest.Within(t)); err != nil || info.State.Msgs != 1 {
		t.Errorf("%v dead letters, %v", info.State.Msgs, err)
	}
}
