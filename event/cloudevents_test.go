package event_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	cenats "github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

// asCloudEvent reads a message as a program does that knows CloudEvents and nothing else.
func asCloudEvent(t *testing.T, msg *nats.Msg) *cloudevents.Event {
	t.Helper()
	e, err := binding.ToEvent(t.Context(), cenats.NewMessage(msg))
	if err != nil {
		t.Fatalf("%s: %v", msg.Subject, err)
	}
	if err := e.Validate(); err != nil {
		t.Fatalf("%s: %v", msg.Subject, err)
	}
	return e
}

// stored are the messages of a stream, as any consumer gets them.
func (b *bus) stored(stream string) []*nats.Msg {
	b.t.Helper()
	consumer, err := b.jetStream().OrderedConsumer(natstest.Within(b.t), stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.t.Fatal(err)
	}
	var msgs []*nats.Msg
	for pending := uint64(1); pending > 0; {
		msg, err := consumer.Next(jetstream.FetchMaxWait(natstest.Patience))
		if err != nil {
			b.t.Fatal(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			b.t.Fatal(err)
		}
		pending = meta.NumPending
		msgs = append(msgs, &nats.Msg{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()})
	}
	return msgs
}

func TestAReaderOfCloudEventsReadsAPublicEvent(t *testing.T) {
	b := startBus(t)
	b.stream("ORDERS", "orders.>")
	alice := newCompany(t).hire()
	pub := event.NewPublisher(b.connect(), alice.manager(), event.PublisherOptions{JetStream: b.jetStream()})
	sent, err := pub.Publish(natstest.Within(t), "orders.new", []byte(`{"order":1}`),
		event.Type("order.placed"), event.ContentType("application/json"), event.WantReceipt("receipts.alice"))
	if err != nil {
		t.Fatal(err)
	}
	msg := b.stored("ORDERS")[0]
	got := asCloudEvent(t, msg)
	for what, is := range map[string][2]string{
		"specversion":     {got.SpecVersion(), "1.0"},
		"id":              {got.ID(), sent.ID.String()},
		"source":          {got.Source(), "nkey:" + alice.account.String() + "/" + alice.device.String()},
		"type":            {got.Type(), "order.placed"},
		"subject":         {got.Subject(), "orders.new"},
		"time":            {got.Time().Format(time.RFC3339Nano), sent.Time.Format(time.RFC3339Nano)},
		"datacontenttype": {got.DataContentType(), "application/json"},
		"dataschema":      {got.DataSchema(), ""},
		"data":            {string(got.Data()), `{"order":1}`},
	} {
		if is[0] != is[1] {
			t.Errorf("%s: %q, want %q", what, is[0], is[1])
		}
	}
	if extensions := got.Extensions(); len(extensions) != 1 || extensions["keyhalltoken"] != msg.Header.Get("ce-keyhalltoken") || extensions["keyhalltoken"] == "" {
		t.Errorf("extensions: %v", extensions)
	}
	var order struct {
		Order int `json:"order"`
	}
	if err := got.DataAs(&order); err != nil || order.Order != 1 {
		t.Errorf("%+v, %v", order, err)
	}
}

// Whatever a publisher publishes with headers is a CloudEvent: readers of those refuse none of
// it, and what they write of it again is still what was signed.
func TestAReaderOfCloudEventsRefusesNoEvent(t *testing.T) {
	b := startBus(t)
	b.stream("ORDERS", "orders.>", "receipts.>")
	alice := newCompany(t).hire()
	m := alice.manager(alice)
	js := b.jetStream()
	access := event.AccessBucket{KV: b.bucket("access")}
	publish := func(o event.PublisherOptions, subject, data string, options ...event.PublishOption) *event.Published {
		t.Helper()
		o.JetStream, o.LeaveAccess = js, access
		sent, err := event.NewPublisher(b.connect(), m, o).Publish(natstest.Within(t), subject, []byte(data), options...)
		if err != nil {
			t.Fatal(err)
		}
		return sent
	}
	publish(event.PublisherOptions{}, "orders.new", "no media type")
	publish(event.PublisherOptions{}, "orders.new", "")
	publish(event.PublisherOptions{}, "orders.new", "\x00\xff", event.ContentType("application/octet-stream"))
	publish(event.PublisherOptions{}, "orders.new", "<a/>", event.ContentType("text/xml;charset=utf-8"), event.Type("order-placed.v1"))
	publish(event.PublisherOptions{}, "orders.new", "for bob", event.To("bob"), event.ActUntil(time.Now().Add(time.Minute)))
	publish(event.PublisherOptions{}, `orders."ä"`, "odd")
	publish(event.PublisherOptions{Places: event.PlaceBucket{KV: b.bucket("places")}}, "orders.new", "on a chain")
	first := publish(event.PublisherOptions{}, "orders.new", "first", event.WantReceipt("receipts.alice"))
	came, err := m.Receive(natstest.Within(t), &event.Envelope{Event: first.Event, Access: alice.access, Which: hashOf(t, alice.access)}, event.Moment{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	publish(event.PublisherOptions{}, "orders.paid", "out of it", event.From(came))
	if _, err := event.NewPublisher(b.connect(), m, event.PublisherOptions{JetStream: js}).PublishBatch(natstest.Within(t), "orders.new", [][]byte{{1}, {2}, {3}}); err != nil {
		t.Fatal(err)
	}
	ring, err := event.NewRing("orders.keys", []string{alice.account.String()}, trust.NewXKey(), m, access)
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := ring.NewEpoch(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := event.NewPublisher(b.connect(), m, event.PublisherOptions{JetStream: js}).PublishEvent(natstest.Within(t), epoch); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(natstest.Within(t), "ORDERS")
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Sync(natstest.Within(t), stream); err != nil {
		t.Fatal(err)
	}
	publish(event.PublisherOptions{Ring: ring}, "orders.new", "sealed", event.ContentType("text/plain"))

	all := b.stored("ORDERS")
	if len(all) != 14 {
		t.Fatalf("%d messages", len(all))
	}
	reader := alice.managerWith(event.Rules{Accounts: []string{alice.account.String()}, Is: []string{"bob"}})
	for _, msg := range all {
		read := asCloudEvent(t, msg)
		if !bytes.Equal(read.Data(), msg.Data) {
			t.Errorf("%s: data %q, want %q", msg.Subject, read.Data(), msg.Data)
		}
		// a relay of CloudEvents writes what it read; what NATS itself needs is beside it
		var data bytes.Buffer
		header, err := cenats.WriteMsg(binding.WithForceBinary(t.Context()), binding.ToMessage(read), &data)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range msg.Header {
			if !strings.HasPrefix(name, "ce-") {
				header[name] = values
			}
		}
		relayed := &nats.Msg{Subject: msg.Subject, Header: header, Data: data.Bytes()}
		v, err := event.ReadMsg(relayed)
		if err == nil {
			err = reader.Verify(t.Context(), v, event.Moment{Stored: time.Now()}, access)
		}
		if err != nil {
			t.Errorf("%s, %q, relayed: %v\n%v", msg.Subject, msg.Data, err, header)
		}
	}
}

func hashOf(t *testing.T, access string) event.Hash {
	t.Helper()
	a, err := event.ParseAccess(access)
	if err != nil {
		t.Fatal(err)
	}
	return a.Hash()
}

// A header that says text which a header cannot hold says it percent-encoded, as the binding
// of CloudEvents has it; the SDK hands that on as it is.
func TestPercentEncodingIsThatOfCloudEvents(t *testing.T) {
	alice := newCompany(t).hire()
	v, err := alice.manager().Issue(&event.Event{Type: "x", Subject: `a."é%`, Content: "text/plain; charset=utf-8", Body: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	got := asCloudEvent(t, v.Msg(event.Headers))
	if got.Subject() != "a.%22%C3%A9%25" || got.DataContentType() != "text/plain;%20charset=utf-8" {
		t.Errorf("%q, %q", got.Subject(), got.DataContentType())
	}
}

// What others publish as CloudEvents is no event: nobody signed it.
func TestACloudEventWithoutATokenIsRefused(t *testing.T) {
	b := startBus(t)
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	in := newInbox(t)
	nc := b.connect()
	subscribe(t, event.NewSubscriber(nc, bob.manager(alice), event.SubscriberOptions{Failed: in.fail}), "orders.new", in)
	plain := cloudevents.NewEvent()
	plain.SetID("1")
	plain.SetType("order.placed")
	plain.SetSource("nkey:" + alice.account.String())
	plain.SetSubject("orders.new")
	if err := plain.SetData("application/json", map[string]int{"order": 1}); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []func(context.Context) context.Context{binding.WithForceBinary, binding.WithForceStructured} {
		var data bytes.Buffer
		header, err := cenats.WriteMsg(mode(t.Context()), binding.ToMessage(&plain), &data)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishMsg(&nats.Msg{Subject: "orders.new", Header: header, Data: data.Bytes()}); err != nil {
			t.Fatal(err)
		}
		in.refused(event.ErrMalformed)
	}
}
