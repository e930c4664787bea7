package event_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
)

// chainOf starts services that pass on from step.0 to step.1 and so forth, believing some;
// the last one hands on to last, and gives a receipt where one is wanted.
func chainOf(t *testing.T, b *bus, services, believed []*person, access event.AccessBucket, last, fail *inbox) {
	t.Helper()
	for i, p := range services {
		m := p.manager(believed...)
		pub := event.NewPublisher(b.connect(), m, event.PublisherOptions{LeaveAccess: access})
		sub := event.NewSubscriber(b.connect(), m, event.SubscriberOptions{Access: access, Failed: fail.fail})
		handle := func(ctx context.Context, r *event.Received) error {
			_, err := pub.Publish(ctx, fmt.Sprintf("step.%d", i+1), append(r.Data, byte('0'+i)), event.From(r))
			return err
		}
		if i == len(services)-1 {
			handle = func(ctx context.Context, r *event.Received) error {
				if _, err := pub.Receipt(ctx, r); err != nil && !errors.Is(err, event.ErrNoReceipt) {
					return err
				}
				return last.handle(ctx, r)
			}
		}
		subscribeWith(t, sub, fmt.Sprintf("step.%d", i), handle)
	}
}

func subscribeWith(t *testing.T, s *event.Subscriber, subject string, handle event.Handler) {
	t.Helper()
	if _, err := s.Subscribe(t.Context(), subject, handle); err != nil {
		t.Fatal(err)
	}
}

// staff hires people.
func staff(c *company, n int) []*person {
	people := make([]*person, n)
	for i := range people {
		people[i] = c.hire()
	}
	return people
}

func TestATrailLeadsFromTheFirstPublisherToTheLast(t *testing.T) {
	b := startBus(t)
	access := event.AccessBucket{KV: b.bucket("access")}
	company := newCompany(t)
	first, services := company.hire(), staff(company, 5)
	all := append([]*person{first}, services...)
	done, failed := newInbox(t), newInbox(t)
	chainOf(t, b, services, all, access, done, failed)

	m := first.manager(all...)
	receipts := newInbox(t)
	subscribe(t, event.NewSubscriber(b.connect(), m, event.SubscriberOptions{Access: access, Failed: receipts.fail}), "receipts.first", receipts)
	overheard := newInbox(t)
	subscribe(t, event.NewSubscriber(b.connect(), services[1].manager(all...), event.SubscriberOptions{Access: access, Failed: overheard.fail}), "receipts.first", overheard)

	pub := event.NewPublisher(b.connect(), m, event.PublisherOptions{LeaveAccess: access})
	sent, err := pub.Publish(natstest.Within(t), "step.0", []byte("work "), event.WantReceipt("receipts.first"))
	if err != nil {
		t.Fatal(err)
	}
	end := done.next()
	if string(end.Data) != "work 0123" || len(end.Trail) != 4 || end.Origin().Hash() != sent.Hash() {
		t.Errorf("%q, a trail of %d", end.Data, len(end.Trail))
	}
	names := make(map[string]string)
	for i, p := range all {
		names[p.device.String()] = fmt.Sprintf("service %d", i)
	}
	path := end.Trail.Path(end.Event, func(e *event.Event) string {
		v := (&event.Envelope{Event: e}).Msg(event.Headers).Header.Get("ce-source")
		return names[v[strings.Index(v, "/")+1:]]
	})
	lines := strings.Split(path, "\n")
	if len(lines) != 5 {
		t.Fatalf("%s", path)
	}
	for i, line := range lines {
		if want := fmt.Sprintf("service %d  event on step.%d", i, i); !strings.Contains(line, want) {
			t.Errorf("%q, want %q in it", line, want)
		}
	}

	receipt := receipts.next()
	if err := receipt.IsReceiptFor(sent.Event); err != nil || len(receipt.Trail) != 5 || receipt.Author != services[4].account.Public() {
		t.Errorf("%v, a trail of %d", err, len(receipt.Trail))
	}
	if err := receipt.IsReceiptFor(end.Event); !errors.Is(err, event.ErrNotMeant) {
		t.Errorf("as the receipt for another: %v", err)
	}
	if err := end.IsReceiptFor(sent.Event); !errors.Is(err, event.ErrNotMeant) {
		t.Errorf("what is no receipt: %v", err)
	}
	overheard.refused(event.ErrNotMeant)
}

func TestARogueInAChainIsRefusedAtEveryBoundary(t *testing.T) {
	b := startBus(t)
	access := event.AccessBucket{KV: b.bucket("access")}
	company := newCompany(t)
	services, rogue := staff(company, 5), company.hire()
	done, failed := newInbox(t), newInbox(t)
	chainOf(t, b, services, services, access, done, failed)

	// the rogue hears everything, and believes everybody
	heard := newInbox(t)
	m := rogue.manager(append(services, rogue)...)
	subscribe(t, event.NewSubscriber(b.connect(), m, event.SubscriberOptions{Access: access, Failed: heard.fail}), "step.>", heard)
	honest := event.NewPublisher(b.connect(), services[4].manager(), event.PublisherOptions{LeaveAccess: access})
	if _, err := honest.Publish(natstest.Within(t), "step.0", []byte("work ")); err != nil {
		t.Fatal(err)
	}
	if end := done.next(); string(end.Data) != "work 0123" {
		t.Fatalf("%q", end.Data)
	}
	pub := event.NewPublisher(b.connect(), m, event.PublisherOptions{LeaveAccess: access})
	wire := b.connect()
	all := make([]*event.Received, len(services))
	for i := range all {
		all[i] = heard.next()
	}
	for _, stolen := range all {
		step := stolen.Subject
		// what comes out of it, in the rogue's own name
		if _, err := pub.Publish(natstest.Within(t), step, []byte("bogus"), event.From(stolen)); err != nil {
			t.Fatal(err)
		}
		failed.refused(event.ErrUntrusted)
		heard.next() // its own
		// in the name of the service that it came from
		forged := &event.Event{Author: stolen.Author, Type: stolen.Type, Subject: step, Body: []byte("bogus")}
		if err := forged.Sign(rogue.device); err != nil {
			t.Fatal(err)
		}
		send(t, wire, &event.Envelope{Event: forged, Access: stolen.Access.String()})
		failed.refused(event.ErrAccess)
		heard.refused(event.ErrAccess)
		// the very same once more
		send(t, wire, &event.Envelope{Event: stolen.Event, Access: stolen.Access.String(), Trail: stolen.Trail})
		failed.refused(event.ErrReplay)
		heard.refused(event.ErrReplay)
		if len(stolen.Trail) == 0 {
			continue
		}
		// with the first of its trail cut off, and with another in its place
		for _, trail := range []event.Trail{stolen.Trail[1:], append(event.Trail{{Event: forged, Access: stolen.Trail[0].Access}}, stolen.Trail[1:]...)} {
			send(t, wire, &event.Envelope{Event: stolen.Event, Access: stolen.Access.String(), Trail: trail})
			failed.refused(event.ErrMalformed)
			heard.refused(event.ErrMalformed)
		}
	}
	select {
	case end := <-done.received:
		t.Errorf("the end of the chain handles %q", end.Data)
	case <-time.After(50 * time.Millisecond):
	}
}

func send(t *testing.T, nc *nats.Conn, v *event.Envelope) {
	t.Helper()
	if err := nc.PublishMsg(v.Msg(event.Headers)); err != nil {
		t.Fatal(err)
	}
}

func TestATrailHasAnEnd(t *testing.T) {
	b := startBus(t)
	alice := newCompany(t).hire()
	m := alice.manager(alice)
	in := newInbox(t)
	access := event.AccessBucket{KV: b.bucket("access")}
	subscribe(t, event.NewSubscriber(b.connect(), m, event.SubscriberOptions{Access: access, Failed: in.fail}), "loop", in)
	pub := event.NewPublisher(b.connect(), m, event.PublisherOptions{LeaveAccess: access})
	_, err := pub.Publish(natstest.Within(t), "loop", nil)
	for hops := 0; ; hops++ {
		if err != nil {
			if !errors.Is(err, event.ErrTrail) || hops != event.MaxHops+1 {
				t.Errorf("after %d hops: %v", hops, err)
			}
			return
		}
		_, err = pub.Publish(natstest.Within(t), "loop", nil, event.From(in.next()))
	}
}
