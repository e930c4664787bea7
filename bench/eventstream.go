//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
)

const (
	e2eFloor    = 0.6
	e2eCount    = 2000 // events of a run
	e2eTogether = 100  // of a batch
	e2eStart    = 10 * time.Second
)

// eventStream is the time from a publisher to a durable subscriber through JetStream: each
// event acknowledged by the stream before the next, handled, and acknowledged by its reader;
// then the same a hundred at a time, under one signature. Beside them the same messages
// without being events. The server is another process, as it always is.
func eventStream(ctx context.Context, s *stage) (results []Result, err error) {
	note(s.log, "event-e2e: %d × %d events of 1 KiB", s.runs, e2eCount)
	dir, err := os.MkdirTemp(s.dir, "stream-")
	if err != nil {
		return nil, err
	}
	server, err := start(ctx, nil, s.self, serverCommand, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	url, err := server.firstLine(ctx)
	if err != nil {
		return nil, err
	}
	r := &relay{url: url, body: make([]byte, batchBody)}
	if r.publisher, err = newPublisher(); err != nil {
		return nil, err
	}
	bucket, leave, err := r.openBucket(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	r.bucket = bucket
	values, err := turns(ctx, s.runs,
		r.run(r.events, r.publishEvents), r.run(r.plain, r.publishPlain),
		r.run(r.events, r.publishBatches), r.run(r.plain, r.publishTogether))
	if err != nil {
		return nil, err
	}
	return []Result{
		compared("event-e2e", "events/s", values[0], values[1], false, e2eFloor),
		compared("event-e2e-batch", "events/s", values[2], values[3], false, noLimit),
	}, nil
}

// serverCommand makes this program a NATS server and nothing else, which keeps its streams in
// a folder and prints its address.
const serverCommand = "nats-server"

func serverMain(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: bench nats-server DIR")
	}
	return runServer(ctx, &natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: args[0], NoLog: true, NoSigs: true,
	})
}

// runServer runs a NATS server until ctx ends, and prints its address when it is ready.
func runServer(ctx context.Context, options *natsserver.Options) error {
	server, err := natsserver.NewServer(options)
	if err != nil {
		return err
	}
	server.Start()
	defer server.WaitForShutdown()
	defer server.Shutdown()
	if !server.ReadyForConnections(e2eStart) {
		return errors.New("the NATS server does not come up")
	}
	fmt.Println(server.ClientURL())
	<-ctx.Done()
	return nil
}

// relay is a way from publishers to a subscriber.
type relay struct {
	url       string
	publisher *publisher
	body      []byte
	bucket    jetstream.KeyValue // of access tokens
	runs      int
}

// openBucket makes the bucket in which access tokens are found, over a connection of its own.
func (r *relay) openBucket(ctx context.Context) (kv jetstream.KeyValue, leave func(), err error) {
	nc, err := nats.Connect(r.url)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err == nil {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "access"})
	}
	if err != nil {
		nc.Close()
	}
	return kv, nc.Close, err
}

// hop is one run's: two connections, a stream, and a durable consumer.
type hop struct {
	from, to *nats.Conn
	js       jetstream.JetStream // of from
	reading  jetstream.JetStream // of to
	consumer jetstream.Consumer
	subject  string
}

// publish publishes all that a run has, and returns when the stream has it.
type publish func(context.Context, *hop) error

// run is how many a second get through.
func (r *relay) run(through func(context.Context, *hop, publish) error, publish publish) side {
	return func(ctx context.Context) (float64, error) {
		r.runs++
		h, err := r.open(ctx)
		if err != nil {
			return 0, err
		}
		defer h.from.Close()
		defer h.to.Close()
		began := time.Now()
		if err := through(ctx, h, publish); err != nil {
			return 0, err
		}
		return e2eCount / time.Since(began).Seconds(), h.js.DeleteStream(ctx, h.name(r.runs))
	}
}

func (h *hop) name(run int) string { return fmt.Sprintf("RUN-%d", run) }

func (r *relay) open(ctx context.Context) (h *hop, err error) {
	h = &hop{subject: fmt.Sprintf("run.%d", r.runs)}
	if h.from, err = nats.Connect(r.url); err != nil {
		return nil, err
	}
	if h.to, err = nats.Connect(r.url); err != nil {
		return nil, err
	}
	if h.js, err = jetstream.New(h.from); err != nil {
		return nil, err
	}
	if h.reading, err = jetstream.New(h.to); err != nil {
		return nil, err
	}
	if _, err = h.js.CreateStream(ctx, jetstream.StreamConfig{Name: h.name(r.runs), Subjects: []string{h.subject}}); err != nil {
		return nil, err
	}
	h.consumer, err = h.reading.CreateConsumer(ctx, h.name(r.runs), jetstream.ConsumerConfig{
		Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy,
	})
	return h, err
}

// events goes by way of event.Publisher and event.Subscriber.
func (r *relay) events(ctx context.Context, h *hop, publish publish) error {
	reading, enough := context.WithCancel(ctx)
	defer enough()
	var failed error
	sub := event.NewSubscriber(h.to, r.publisher.reader, event.SubscriberOptions{
		Access: event.AccessBucket{KV: r.bucket},
		Failed: func(_ context.Context, f *event.Failure) {
			failed = f.Err
			enough()
		},
	})
	handled := 0
	consumed := make(chan error, 1)
	go func() {
		consumed <- sub.Consume(reading, h.reading, h.consumer, func(context.Context, *event.Received) error {
			if handled++; handled == e2eCount {
				enough()
			}
			return nil
		})
	}()
	err := publish(ctx, h)
	if err != nil {
		enough()
	}
	err = errors.Join(err, <-consumed, failed)
	if err == nil && handled != e2eCount {
		err = fmt.Errorf("%d of %d events came", handled, e2eCount)
	}
	return err
}

// plain goes by way of the client library alone.
func (r *relay) plain(ctx context.Context, h *hop, publish publish) error {
	done := make(chan struct{})
	handled := 0
	consuming, err := h.consumer.Consume(func(msg jetstream.Msg) {
		if err := msg.Ack(); err != nil {
			return
		}
		if handled++; handled == e2eCount {
			close(done)
		}
	})
	if err != nil {
		return err
	}
	defer consuming.Stop()
	if err := publish(ctx, h); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *relay) newPublisher(h *hop) *event.Publisher {
	return event.NewPublisher(h.from, r.publisher.signer, event.PublisherOptions{
		JetStream: h.js, Form: event.Compact, LeaveAccess: event.AccessBucket{KV: r.bucket},
	})
}

func (r *relay) publishEvents(ctx context.Context, h *hop) error {
	pub := r.newPublisher(h)
	for range e2eCount {
		if _, err := pub.Publish(ctx, h.subject, r.body); err != nil {
			return err
		}
	}
	return nil
}

func (r *relay) publishPlain(ctx context.Context, h *hop) error {
	for range e2eCount {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		if _, err := h.js.Publish(ctx, h.subject, r.body, jetstream.WithMsgID(id.String())); err != nil {
			return err
		}
	}
	return nil
}

func (r *relay) publishBatches(ctx context.Context, h *hop) error {
	pub := r.newPublisher(h)
	bodies := make([][]byte, e2eTogether)
	for i := range bodies {
		bodies[i] = r.body
	}
	for range e2eCount / e2eTogether {
		if _, err := pub.PublishBatch(ctx, h.subject, bodies); err != nil {
			return err
		}
	}
	return nil
}

func (r *relay) publishTogether(ctx context.Context, h *hop) error {
	for range e2eCount / e2eTogether {
		for range e2eTogether {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			if _, err := h.js.PublishAsync(h.subject, r.body, jetstream.WithMsgID(id.String())); err != nil {
				return err
			}
		}
		select {
		case <-h.js.PublishAsyncComplete():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
