package event_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

// batchOf are events of alice under one signature.
func batchOf(t interface{ Fatal(...any) }, alice *person, n int) []*event.Event {
	events := make([]*event.Event, n)
	for i := range events {
		events[i] = &event.Event{Author: alice.account.Public(), Type: "x", Subject: "x", Body: fmt.Append(nil, i)}
	}
	if err := event.SignBatch(alice.device, events); err != nil {
		t.Fatal(err)
	}
	return events
}

func TestEachEventOfABatchProvesItself(t *testing.T) {
	alice := newCompany(t).hire()
	for n := 1; n <= 65; n++ {
		for i, e := range batchOf(t, alice, n) {
			read, err := event.DecodeAny(e.Encode())
			if err == nil {
				err = read.Check()
			}
			if err != nil || read.Hash() != e.Hash() || string(read.Body) != fmt.Sprint(i) {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
			if _, err := event.Decode(e.Encode()); (n > 1) != errors.Is(err, event.ErrMalformed) {
				t.Fatalf("a batch of %d where single signatures are wanted: %v", n, err)
			}
		}
	}
	for _, n := range []int{0, event.MaxBatch + 1} {
		if err := event.SignBatch(alice.device, make([]*event.Event, n)); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("a batch of %d: %v", n, err)
		}
	}
	last := batchOf(t, alice, event.MaxBatch)[event.MaxBatch-1]
	if read, err := event.DecodeAny(last.Encode()); err != nil || read.Check() != nil {
		t.Errorf("the last of the largest batch: %v", err)
	}
}

// Whatever is said of an event alone is said of it among others: by package and by manager.
func TestTogetherIsJudgedAsAlone(t *testing.T) {
	company := newCompany(t)
	alice, bob, mallory := company.hire(), company.hire(), company.hire()
	now := time.Now()
	access := func(p *person) *event.Access {
		a, err := event.ParseAccess(p.access)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	ofAlice, ofMallory := access(alice), access(mallory)
	rapid.Check(t, func(r *rapid.T) {
		reader := bob.manager(alice)
		var events []*event.Event
		var tokens []*event.Access
		for range rapid.IntRange(1, 4).Draw(r, "groups") {
			group := []*event.Event{{Author: alice.account.Public(), Type: "x", Subject: "x", Body: []byte("x")}}
			token := ofAlice
			switch rapid.SampledFrom([]string{"one", "batch", "mallory", "old", "digest"}).Draw(r, "kind") {
			case "one":
				signBy(r, group[0], alice.device)
			case "batch":
				group = batchOf(r, alice, rapid.IntRange(2, 9).Draw(r, "size"))
			case "mallory":
				group[0].Author, token = mallory.account.Public(), ofMallory
				signBy(r, group[0], mallory.device)
			case "old":
				group[0].Time = now.Add(-time.Hour)
				signBy(r, group[0], alice.device)
			case "digest":
				group[0].Digest = event.SHA512x256
				signBy(r, group[0], alice.device)
			}
			for _, e := range group {
				events, tokens = append(events, mangled(r, e)), append(tokens, token)
			}
		}
		at := event.Moment{Now: now, Stored: now}
		together, plain := reader.CheckAll(events, tokens, at), event.CheckAll(events)
		for i, e := range events {
			alone := bob.manager(alice).Check(e, tokens[i], at)
			if (alone == nil) != (together[i] == nil) {
				r.Fatalf("event %d: alone %v, together %v", i, alone, together[i])
			}
			if alone := e.Check(); (alone == nil) != (plain[i] == nil) {
				r.Fatalf("event %d: alone %v, together %v", i, alone, plain[i])
			}
		}
	})
}

func signBy(t *rapid.T, e *event.Event, device *trust.KeyPair) {
	if err := e.Sign(device); err != nil {
		t.Fatal(err)
	}
}

// mangled is an event as it is or, now and then, with a bit of its form changed.
func mangled(t *rapid.T, e *event.Event) *event.Event {
	form := e.Encode()
	if rapid.IntRange(0, 3).Draw(t, "mangle") == 0 {
		at := rapid.IntRange(0, len(form)-1).Draw(t, "byte")
		mutant := bytes.Clone(form)
		mutant[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if read, err := event.DecodeAny(mutant); err == nil {
			return read
		}
	}
	read, err := event.DecodeAny(form)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestABatchIsPublishedAndHandledInItsOrder(t *testing.T) {
	b := startBus(t)
	b.stream("ORDERS", "orders.>")
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	js := b.jetStream()
	in := newInbox(t)
	s := event.NewSubscriber(b.connect(), bob.manager(alice), event.SubscriberOptions{Failed: in.fail})
	consume(t, s, js, b.durable("ORDERS", "worker", "orders.>"), in.handle)
	pub := event.NewPublisher(b.connect(), alice.manager(), event.PublisherOptions{JetStream: js})
	data := make([][]byte, 100)
	for i := range data {
		data[i] = fmt.Append(nil, i)
	}
	published, err := pub.PublishBatch(natstest.Within(t), "orders.new", data, event.Type("order"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		if got := in.next(); string(got.Data) != fmt.Sprint(i) || got.ID != published[i].ID || published[i].StreamSeq != uint64(i+1) {
			t.Fatalf("%d: %q at %d", i, got.Data, got.StreamSeq)
		}
	}
}
