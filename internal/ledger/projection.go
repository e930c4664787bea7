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
	earlyTries = 20 // about ten seconds: another replica is folding what it needs
	ackWait    = 30 * time.Second
	leaveTries = 20 // looks at whether somebody who waits for events is still there
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
	consumer, err := r.open(ctx)
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

// open opens the durable consumer. Events that were handed to somebody who ended before
// digesting them would come again only after AckWait, behind newer ones: where nobody else
// is waiting, the consumer begins anew behind the last event that was digested.
func (r *runner) open(ctx context.Context) (jetstream.Consumer, error) {
	config := jetstream.ConsumerConfig{
		Durable:        r.projection.Name,
		FilterSubjects: r.projection.Subjects,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        ackWait,
		MaxAckPending:  1024,
	}
	stream := r.ledger.stream
	known, err := stream.Consumer(ctx, r.projection.Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return stream.CreateConsumer(ctx, config)
	}
	if err != nil {
		return nil, err
	}
	info := known.CachedInfo()
	for try := 0; info.NumAckPending > 0 && info.NumWaiting > 0 && try < leaveTries; try++ {
		pause(ctx, retryFirst) // whoever waits may be gone already, and the server not know it yet
		if info, err = known.Info(ctx); err != nil {
			return nil, err
		}
	}
	if info.NumAckPending == 0 || info.NumWaiting > 0 {
		return known, nil
	}
	if err := stream.DeleteConsumer(ctx, r.projection.Name); err != nil {
		return nil, err
	}
	config.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
	config.OptStartSeq = info.AckFloor.Stream + 1
	return stream.CreateConsumer(ctx, config)
}

type runner struct {
	ledger     *Ledger
	projection Projection
	log        *slog.Logger
}

// digest folds one message, for as long as it takes, and acknowledges it. One that came
// before another it needs is put back for a while; poison is set aside.
func (r *runner) digest(ctx context.Context, msg jetstream.Msg) {
	entry, poison := toEntry(msg)
	wait := retryFirst
	for try := 1; ; try++ {
		var err error
		if poison == nil {
			err = r.projection.Fold(ctx, entry)
		}
		if errors.Is(err, ErrEarly) && r.putBack(msg, entry.Seq) {
			return
		}
		if errors.Is(err, ErrPoison) || errors.Is(err, ErrEarly) {
			poison = err
		}
		if poison != nil {
			err = r.setAside(ctx, entry.Seq, poison)
		}
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		r.log.Warn("fold failed; trying again", "seq", entry.Seq, "try", try, "error", err)
		_ = msg.InProgress() // best effort: an event that comes again is noticed
		pause(ctx, wait)
		wait = min(2*wait, retryMost)
	}
	if err := msg.Ack(); err != nil {
		r.log.Warn("ack failed; the event will come again", "seq", entry.Seq, "error", err)
	}
}

// putBack has an event come again after a while; false when it came too often already.
func (r *runner) putBack(msg jetstream.Msg, seq uint64) bool {
	meta, err := msg.Metadata()
	if err != nil || meta.NumDelivered > earlyTries {
		return false
	}
	wait := min(time.Duration(meta.NumDelivered)*retryFirst, time.Second)
	r.log.Debug("event came early; put back", "seq", seq, "wait", wait)
	return msg.NakWithDelay(wait) == nil
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
