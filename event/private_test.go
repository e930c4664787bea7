package event_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

// private is a private stream: alice keeps its keys and publishes on it.
type private struct {
	*bus
	alice *person
	keys  jetstream.Stream
	ring  *event.Ring
	pub   *event.Publisher // of what is private
	plain *event.Publisher // of the keys
	mu    sync.Mutex
	tap   []byte // everything that ever went over the wire
}

const keysSubject = "plans.keys"

func newPrivate(t *testing.T) *private {
	t.Helper()
	p := &private{bus: startBus(t), alice: newCompany(t).hire()}
	p.keys = p.stream("PLANS", "plans.>")
	var err error
	m := p.alice.manager(p.alice)
	if p.ring, err = event.NewRing(keysSubject, []string{p.alice.account.String()}, trust.NewXKey(), m, nil); err != nil {
		t.Fatal(err)
	}
	js := p.jetStream()
	p.plain = event.NewPublisher(p.connect(), m, event.PublisherOptions{JetStream: js})
	p.pub = event.NewPublisher(p.connect(), m, event.PublisherOptions{JetStream: js, Ring: p.ring})
	wire := p.connect()
	if _, err := wire.Subscribe(">", func(msg *nats.Msg) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.tap = append(append(p.tap, msg.Data...), fmt.Sprint(msg.Header)...)
	}); err != nil {
		t.Fatal(err)
	}
	if err := wire.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = wire.Flush()
		wire.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		if bytes.Contains(p.tap, []byte("plaintext")) {
			t.Error("somebody who listens to everything reads what is private")
		}
		if len(p.tap) < 1000 {
			t.Error("nothing was listened to")
		}
	})
	return p
}

// announce publishes an event of the ring and has the ring know it.
func (p *private) announce(e *event.Event, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.plain.PublishEvent(natstest.Within(p.t), e); err != nil {
		p.t.Fatal(err)
	}
	if err := p.ring.Sync(natstest.Within(p.t), p.keys); err != nil {
		p.t.Fatal(err)
	}
}

// says publishes something private.
func (p *private) says(text string) {
	p.t.Helper()
	if _, err := p.pub.Publish(natstest.Within(p.t), "plans.talk", []byte("plaintext "+text)); err != nil {
		p.t.Fatal(err)
	}
}

// reads is what the holder of an xkey reads of the whole stream, and why not the rest.
func (p *private) reads(xkey *trust.XKey) (texts []string, refused []error) {
	p.t.Helper()
	reader := p.alice.company.hire()
	m := reader.manager(p.alice)
	ring, err := event.NewRing(keysSubject, []string{p.alice.account.String()}, xkey, m, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := ring.Sync(natstest.Within(p.t), p.keys); err != nil {
		p.t.Fatal(err)
	}
	for seq := uint64(1); ; seq++ {
		raw, err := p.keys.GetMsg(natstest.Within(p.t), seq, jetstream.WithGetMsgSubject("plans.talk"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return texts, refused
		}
		if err != nil {
			p.t.Fatal(err)
		}
		seq = raw.Sequence
		v, err := event.ReadMsg(&nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data})
		if err == nil {
			err = m.Verify(natstest.Within(p.t), v, event.Moment{Stored: raw.Time}, nil) // a relay verifies without reading
		}
		if err != nil {
			p.t.Fatal(err)
		}
		text, err := ring.Open(v.Event)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		texts = append(texts, string(bytes.TrimPrefix(text, []byte("plaintext "))))
	}
}

func TestOnlyReadersReadAPrivateStream(t *testing.T) {
	p := newPrivate(t)
	bob, carol, dave := trust.NewXKey(), trust.NewXKey(), trust.NewXKey()
	if err := p.ring.Seal(&event.Event{Type: "x", Subject: "x"}, p.alice.device.Public(), []byte("x")); !errors.Is(err, event.ErrNoKey) {
		t.Errorf("before the first epoch: %v", err)
	}
	p.announce(p.ring.NewEpoch([]string{bob.String()}))
	p.says("one")
	p.announce(p.ring.Grant(carol.String(), false))
	p.says("two")
	p.announce(p.ring.NewEpoch([]string{carol.String()})) // bob is out
	p.says("three")
	p.announce(p.ring.Grant(dave.String(), true)) // with the past
	p.says("four")

	for name, row := range map[string]struct {
		xkey *trust.XKey
		want []string
	}{
		"bob until he was removed":      {bob, []string{"one", "two"}},
		"carol, from the epoch she met": {carol, []string{"one", "two", "three", "four"}},
		"dave, with everything before":  {dave, []string{"one", "two", "three", "four"}},
		"a full member of the account":  {trust.NewXKey(), nil},
	} {
		texts, refused := p.reads(row.xkey)
		if !slices.Equal(texts, row.want) || len(texts)+len(refused) != 4 {
			t.Errorf("%s: reads %q, %v", name, texts, refused)
		}
		for _, err := range refused {
			if !errors.Is(err, event.ErrNoKey) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if readers := p.ring.Readers(); len(readers) != 3 || slices.Contains(readers, bob.String()) {
		t.Errorf("readers: %v", readers)
	}
}

func TestWithoutThePastANewReaderReadsWhatComes(t *testing.T) {
	p := newPrivate(t)
	late := trust.NewXKey()
	p.announce(p.ring.NewEpoch(nil))
	p.says("one")
	p.announce(p.ring.NewEpoch(nil))
	p.says("two")
	p.announce(p.ring.Grant(late.String(), false))
	p.says("three")
	if texts, _ := p.reads(late); !slices.Equal(texts, []string{"two", "three"}) {
		t.Errorf("%q", texts) // the current epoch, and not the one before
	}
}

func TestOnlyItsKeepersChangeARing(t *testing.T) {
	p := newPrivate(t)
	p.announce(p.ring.NewEpoch(nil))
	mallory := p.alice.company.hire()
	xkey := trust.NewXKey()
	ring, err := event.NewRing(keysSubject, []string{mallory.account.String()}, xkey, mallory.manager(mallory, p.alice), nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ring.NewEpoch([]string{xkey.String()})
	if err != nil {
		t.Fatal(err)
	}
	pub := event.NewPublisher(p.connect(), mallory.manager(), event.PublisherOptions{JetStream: p.jetStream()})
	if _, err := pub.PublishEvent(natstest.Within(t), e); err != nil {
		t.Fatal(err)
	}
	// an old event of the keeper's own, said again, changes nothing either
	p.says("one")
	if texts, refused := p.reads(xkey); len(texts) > 0 || len(refused) != 1 {
		t.Errorf("mallory reads %q", texts)
	}
	if err := p.ring.Sync(natstest.Within(t), p.keys); err != nil || len(p.ring.Readers()) != 1 {
		t.Errorf("%v, readers %v", err, p.ring.Readers())
	}
}

func TestASubscriberWithoutTheKeyGetsNoData(t *testing.T) {
	p := newPrivate(t)
	bob := trust.NewXKey()
	p.announce(p.ring.NewEpoch([]string{bob.String()}))
	js := p.jetStream()
	run := func(name string, xkey *trust.XKey) *inbox {
		reader := p.alice.company.hire()
		m := reader.manager(p.alice)
		ring, err := event.NewRing(keysSubject, []string{p.alice.account.String()}, xkey, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Sync(natstest.Within(t), p.keys); err != nil {
			t.Fatal(err)
		}
		in := newInbox(t)
		s := event.NewSubscriber(p.connect(), m, event.SubscriberOptions{Ring: ring, Failed: in.fail})
		consume(t, s, js, p.durable("PLANS", name, "plans.talk"), in.handle)
		return in
	}
	reader, other := run("bob", bob), run("other", trust.NewXKey())
	p.says("hello")
	if got := reader.next(); string(got.Data) != "plaintext hello" {
		t.Errorf("%q", got.Data)
	}
	f := other.refused(event.ErrNoKey)
	if !f.Final || bytes.Contains(f.Msg.Data, []byte("plaintext")) {
		t.Errorf("%+v", f)
	}
	// what is not sealed is no event of a private stream
	if _, err := p.plain.Publish(natstest.Within(t), "plans.talk", []byte("open")); err != nil {
		t.Fatal(err)
	}
	reader.refused(event.ErrNotMeant)
	select {
	case got := <-other.received:
		t.Errorf("%q", got.Data)
	case <-time.After(50 * time.Millisecond):
	}
}
