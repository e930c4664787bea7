package event

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/trust"
)

// PublisherOptions say how a Publisher publishes. The zero options publish on core NATS, in
// the form with headers, and each event carries its access token.
type PublisherOptions struct {
	// JetStream has Publish wait until a stream has acknowledged the event. nil: core NATS.
	JetStream jetstream.JetStream
	Form      Form
	// LeaveAccess is where access tokens are left to be found by subscribers, an
	// AccessBucket say. Then only the first event on each subject carries its token.
	LeaveAccess interface {
		LeaveAccess(ctx context.Context, text string) error
	}
	// Places has every event say its place in the publisher's chain on its subject.
	Places Places
	// Ring seals the bodies for the readers of a private stream.
	Ring *Ring
	// Type of events for which Publish is told none; "event" if empty.
	Type string
}

// Places keeps, by device and subject, the newest event of each chain of a publisher. One
// chain has one writer at a time.
type Places interface {
	LoadPlace(ctx context.Context, device, subject string) (last []byte, err error)
	SavePlace(ctx context.Context, device, subject string, last []byte) error
}

// Publisher publishes events that prove who made them. It is safe for concurrent use.
type Publisher struct {
	nc *nats.Conn
	m  *TokenManager
	o  PublisherOptions

	mu     sync.Mutex
	left   Hash            // the access token that was left to be found
	shown  map[string]Hash // the access token that a subject has seen
	chains map[string]*chain
}

// chain is a publisher's chain on one subject.
type chain struct {
	mu     sync.Mutex
	loaded bool
	last   Place
}

// Published is an event that was published.
type Published struct {
	*Event
	Stream    string // that stored it; "" on core NATS
	StreamSeq uint64 // its sequence there
}

// NewPublisher makes a publisher on a connection, which stays its caller's. m must issue:
// see TokenManager.SignAs.
func NewPublisher(nc *nats.Conn, m *TokenManager, o PublisherOptions) *Publisher {
	if o.Type == "" {
		o.Type = "event"
	}
	return &Publisher{nc: nc, m: m, o: o, shown: make(map[string]Hash), chains: make(map[string]*chain)}
}

// PublishOption says something about one event.
type PublishOption func(*Envelope)

// Type gives an event a type.
func Type(kind string) PublishOption { return func(v *Envelope) { v.Event.Type = kind } }

// ContentType says what the data of an event are: a media type.
func ContentType(text string) PublishOption { return func(v *Envelope) { v.Event.Content = text } }

// To makes an event for one audience.
func To(audience string) PublishOption { return func(v *Envelope) { v.Event.Audience = audience } }

// ActUntil is the last moment at which to act on an event.
func ActUntil(end time.Time) PublishOption { return func(v *Envelope) { v.Event.NotAfter = end } }

// WantReceipt asks whoever does the last of the work that comes out of an event for a
// receipt on a subject.
func WantReceipt(subject string) PublishOption {
	return func(v *Envelope) { v.Event.Receipt = subject }
}

// From makes an event one that came out of another, and has its trail go on.
func From(cause *Received) PublishOption {
	return func(v *Envelope) {
		v.Event.Cause = cause.Hash()
		v.Trail = append(cause.Trail[:len(cause.Trail):len(cause.Trail)], Link{Event: cause.Event, Access: cause.which})
	}
}

// Publish publishes data on a subject as an event. On JetStream it returns when the stream
// has stored it; the same event is stored once, however often it had to be sent.
func (p *Publisher) Publish(ctx context.Context, subject string, data []byte, options ...PublishOption) (*Published, error) {
	v := p.draft(subject, data, options)
	if p.o.Places != nil {
		return p.chained(ctx, v, data)
	}
	if err := p.finish(v, data); err != nil {
		return nil, err
	}
	return p.send(ctx, v)
}

func (p *Publisher) draft(subject string, data []byte, options []PublishOption) *Envelope {
	v := &Envelope{Event: &Event{Type: p.o.Type, Subject: subject, Body: data}}
	for _, option := range options {
		option(v)
	}
	return v
}

// PublishEvent signs and publishes an event that is complete but for author, id, time and
// signature, such as those that a Ring makes.
func (p *Publisher) PublishEvent(ctx context.Context, e *Event) (*Published, error) {
	v, err := p.m.Issue(e)
	if err != nil {
		return nil, err
	}
	return p.send(ctx, v)
}

// PublishBatch publishes one event for each of data, all under one signature: see SignBatch.
// On an error some may have been published.
func (p *Publisher) PublishBatch(ctx context.Context, subject string, data [][]byte, options ...PublishOption) ([]*Published, error) {
	if p.o.Places != nil {
		return nil, errors.New("publish batch: the events of a chain are signed one by one")
	}
	var signer *trust.KeyPair
	envelopes := make([]*Envelope, len(data))
	events := make([]*Event, len(data))
	for i := range data {
		v := p.draft(subject, data[i], options)
		device, err := p.complete(v, data[i])
		if err != nil {
			return nil, err
		}
		if signer != nil && signer != device {
			return nil, errors.New("publish batch: the signing key was renewed meanwhile; try again")
		}
		envelopes[i], events[i], signer = v, v.Event, device
	}
	if err := SignBatch(signer, events); err != nil {
		return nil, err
	}
	return p.sendAll(ctx, envelopes)
}

// finish completes, seals and signs an event.
func (p *Publisher) finish(v *Envelope, data []byte) error {
	device, err := p.complete(v, data)
	if err != nil {
		return err
	}
	return v.Event.Sign(device)
}

// complete completes and seals an event for the device that is to sign it.
func (p *Publisher) complete(v *Envelope, data []byte) (*trust.KeyPair, error) {
	if len(v.Trail) > MaxHops {
		return nil, fmt.Errorf("%w has more than %d hops", ErrTrail, MaxHops)
	}
	device, access, err := p.m.prepare(v.Event)
	if err != nil {
		return nil, err
	}
	v.Access, v.Which = access.String(), access.Hash()
	if p.o.Ring == nil {
		return device, nil
	}
	return device, p.o.Ring.Seal(v.Event, device.Public(), data)
}

// message is the message of an envelope, with the access token or, where that was left to be
// found and this subject has seen it, its hash.
func (p *Publisher) message(ctx context.Context, v *Envelope) (*nats.Msg, error) {
	if p.o.LeaveAccess == nil {
		return v.Msg(p.o.Form), nil
	}
	p.mu.Lock()
	left, shown := p.left == v.Which, p.shown[v.Event.Subject] == v.Which
	p.mu.Unlock()
	if !left {
		if err := p.o.LeaveAccess.LeaveAccess(ctx, v.Access); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.shown) >= knownTokens {
		clear(p.shown)
	}
	p.left, p.shown[v.Event.Subject] = v.Which, v.Which
	if !shown {
		return v.Msg(p.o.Form), nil
	}
	return (&Envelope{Event: v.Event, Which: v.Which, Trail: v.Trail}).Msg(p.o.Form), nil
}

// send sends an envelope and, on JetStream, waits until it is stored.
func (p *Publisher) send(ctx context.Context, v *Envelope) (*Published, error) {
	msg, err := p.message(ctx, v)
	if err != nil {
		return nil, err
	}
	return p.sendMsg(ctx, v.Event, msg)
}

func (p *Publisher) sendMsg(ctx context.Context, e *Event, msg *nats.Msg) (*Published, error) {
	if p.o.JetStream == nil {
		if err := p.nc.PublishMsg(msg); err != nil {
			return nil, fmt.Errorf("publish event: %w", err)
		}
		return &Published{Event: e}, nil
	}
	ack, err := p.o.JetStream.PublishMsg(ctx, msg)
	if err != nil {
		return nil, fmt.Errorf("publish event: %w", err)
	}
	return &Published{Event: e, Stream: ack.Stream, StreamSeq: ack.Sequence}, nil
}

// sendAll sends envelopes one after the other and waits for all of them together.
func (p *Publisher) sendAll(ctx context.Context, envelopes []*Envelope) ([]*Published, error) {
	published := make([]*Published, len(envelopes))
	var acks []jetstream.PubAckFuture
	for i, v := range envelopes {
		msg, err := p.message(ctx, v)
		if err != nil {
			return nil, err
		}
		if p.o.JetStream == nil {
			if published[i], err = p.sendMsg(ctx, v.Event, msg); err != nil {
				return nil, err
			}
			continue
		}
		ack, err := p.o.JetStream.PublishMsgAsync(msg)
		if err != nil {
			return nil, fmt.Errorf("publish event: %w", err)
		}
		acks = append(acks, ack)
	}
	for i, ack := range acks {
		select {
		case stored := <-ack.Ok():
			published[i] = &Published{Event: envelopes[i].Event, Stream: stored.Stream, StreamSeq: stored.Sequence}
		case err := <-ack.Err():
			return nil, fmt.Errorf("publish event: %w", err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return published, nil
}

// chained publishes the next event of the publisher's chain on its subject.
func (p *Publisher) chained(ctx context.Context, v *Envelope, data []byte) (*Published, error) {
	device, _ := p.m.signer()
	if device == nil {
		return nil, fmt.Errorf("%w: this manager has none to issue with", ErrAccess)
	}
	p.mu.Lock()
	on := p.chains[v.Event.Subject]
	if on == nil {
		on = new(chain)
		p.chains[v.Event.Subject] = on
	}
	p.mu.Unlock()
	on.mu.Lock()
	defer on.mu.Unlock()
	if err := p.resume(ctx, on, device, v.Event.Subject); err != nil {
		return nil, err
	}
	v.Event.Seq, v.Event.Prev = on.last.Seq+1, on.last.Hash
	if err := p.finish(v, data); err != nil {
		return nil, err
	}
	if err := p.o.Places.SavePlace(ctx, device.String(), v.Event.Subject, encodePlaced(v)); err != nil {
		on.loaded = false // which one is the last is looked up again
		return nil, err
	}
	on.last = Place{Seq: v.Event.Seq, Hash: v.Event.Hash()}
	published, err := p.send(ctx, v)
	if err != nil {
		on.loaded = false // it is sent again before the next
	}
	return published, err
}

// resume finds a chain's newest event and makes sure that it was published.
func (p *Publisher) resume(ctx context.Context, on *chain, device *trust.KeyPair, subject string) error {
	if on.loaded {
		return nil
	}
	last, err := p.o.Places.LoadPlace(ctx, device.String(), subject)
	if err != nil {
		return err
	}
	if last == nil {
		on.last, on.loaded = Place{}, true
		return nil
	}
	v, err := decodePlaced(last)
	if err != nil {
		return err
	}
	if v.Event.Device != device.Public() || v.Event.Subject != subject || v.Event.Check() != nil {
		return fmt.Errorf("%w: the noted place in the chain on %s is none of this publisher's", ErrMalformed, subject)
	}
	if _, err := p.send(ctx, v); err != nil {
		return err
	}
	on.last, on.loaded = Place{Seq: v.Event.Seq, Hash: v.Event.Hash()}, true
	return nil
}

// encodePlaced is an envelope as Places keep it.
func encodePlaced(v *Envelope) []byte {
	return append([]byte(v.Access+"\n"+v.Trail.encode()+"\n"), v.Event.Encode()...)
}

func decodePlaced(data []byte) (*Envelope, error) {
	access, rest, _ := bytes.Cut(data, []byte{'\n'})
	text, form, found := bytes.Cut(rest, []byte{'\n'})
	if !found {
		return nil, fmt.Errorf("%w: a place in a chain", ErrMalformed)
	}
	trail, err := parseTrail(string(text))
	if err != nil {
		return nil, err
	}
	e, err := DecodeAny(form)
	return &Envelope{Event: e, Access: string(access), Which: accessHash(string(access)), Trail: trail}, err
}

// AnswerForAccess answers whoever asks for this publisher's access token (LiveAccess), until
// the subscription ends.
func (p *Publisher) AnswerForAccess() (*nats.Subscription, error) {
	token := p.m.Access()
	sub, err := p.nc.Subscribe(liveSubject+accessHash(token).String(), func(msg *nats.Msg) { _ = msg.Respond([]byte(token)) })
	if err != nil {
		return nil, fmt.Errorf("answer for access token: %w", err)
	}
	return sub, nil
}
