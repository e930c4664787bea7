package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrPoison marks an event that a fold can never digest.
var ErrPoison = errors.New("event can't be folded")

// ErrEarly marks an event that came before one it needs; it is tried again for a while,
// then it is poison.
var ErrEarly = errors.New("event came before one it needs")

// PoisonBucket is the bucket of events that were set aside.
const PoisonBucket = "POISON"

const (
	retryFirst = 50 * time.Millisecond
	retryMost  = 5 * time.Second
	earlyTries = 8 // with the pauses above about six seconds: another replica is folding it
	ackWait    = 30 * time.Second
)

// Projection folds events into views.
type Projection struct {
	Name     string   // names the durable consumer
	Subjects []string // what it consumes
	Bucket   string   // the view that it alone writes; empty for one that keeps none
	// Fold digests one event. Events may come again after a restart; Fold must notice.
	Fold func(context.Context, Entry) error
}

// Poison is what is kept of an event that was set aside.
type Poison struct {
	Projection string    `json:"projection"`
	Seq        uint64    `json:"seq"`
	Reason     string    `json:"reason"`
	At         time.Time `json:"at"`
}

// Run runs the projection until ctx ends. When the server was away, or its consumer was
// deleted, it begins again where it was.
func (l *Ledger) Run(ctx context.Context, p Projection, log *slog.Logger) {
	run := &runner{ledger: l, projection: p, log: log.With("projection", p.Name)}
	for ctx.Err() == nil {
		if err := run.consume(ctx); err != nil && ctx.Err() == nil {
			run.log.Warn("projection interrupted; it goes on in a moment", "error", err)
			pause(ctx, time.Second)
		}
	}
}

// consume digests events as they come, until the consumer is gone.
func (r *runner) consume(ctx context.Context) error {
	consumer, err := r.ledger.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:        r.projection.Name,
		FilterSubjects: r.projection.Subjects,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckAllPolicy,
		AckWait:        ackWait,
		MaxAckPending:  1024,
	})
	if err != nil {
		return fmt.Errorf("open consumer: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(256))
	if err != nil {
		return fmt.Errorf("open consumer: %w", err)
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()
	r.done = 0 // what was not acknowledged comes again
	for {
		msg, err := messages.Next()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			continue // the server may be back before long
		case err != nil:
			return err
		}
		r.digest(ctx, msg)
	}
}

type runner struct {
	ledger     *Ledger
	projection Projection
	log        *slog.Logger
	done       uint64 // newest stream sequence that was digested
}

// digest folds one message, for as long as it takes, and acknowledges it.
func (r *runner) digest(ctx context.Context, msg jetstream.Msg) {
	entry, err := toEntry(msg)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrPoison, err)
	}
	if entry.Seq != 0 && entry.Seq <= r.done {
		return // redelivered while it was being tried again; the later ack covers it
	}
	wait := retryFirst
	for try := 1; ; try++ {
		if err == nil {
			err = r.projection.Fold(ctx, entry)
		}
		if errors.Is(err, ErrEarly) && try >= earlyTries {
			err = fmt.Errorf("%w: %w", ErrPoison, err)
		}
		if errors.Is(err, ErrPoison) {
			err = r.setAside(ctx, entry.Seq, err)
		}
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		r.log.Warn("fold failed; trying again", "seq", entry.Seq, "try", try, "error", err)
		_ = msg.InProgress() // best effort: a redelivery is noticed
		pause(ctx, wait)
		wait = min(2*wait, retryMost)
		err = nil
	}
	r.done = entry.Seq
	if err := msg.Ack(); err != nil {
		r.log.Warn("ack failed; the event will come again", "seq", entry.Seq, "error", err)
	}
}

// setAside keeps a record of a poisonous event and reports it.
func (r *runner) setAside(ctx context.Context, seq uint64, reason error) error {
	r.log.Error("event set aside", "seq", seq, "reason", reason)
	bucket, err := OpenBucket(ctx, r.ledger.js, PoisonBucket)
	if err != nil {
		return err
	}
	record, err := json.Marshal(Poison{r.projection.Name, seq, reason.Error(), time.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = bucket.Put(ctx, fmt.Sprintf("%s.%d", r.projection.Name, seq), record)
	return err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
