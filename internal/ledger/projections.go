package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/fault"
)

// Projections runs projections side by side: each fails, recovers and is rebuilt alone.
type Projections struct {
	ledger *Ledger
	log    *slog.Logger

	tasks sync.WaitGroup

	mu      sync.Mutex
	running map[string]*running
}

type running struct {
	projection Projection
	stop       context.CancelFunc
	done       chan struct{}
}

// Start runs projections until ctx ends; then Wait.
func (l *Ledger) Start(ctx context.Context, log *slog.Logger, projections ...Projection) *Projections {
	ps := &Projections{ledger: l, log: log, running: make(map[string]*running)}
	for _, p := range projections {
		ps.running[p.Name] = ps.run(ctx, p)
	}
	return ps
}

func (ps *Projections) run(ctx context.Context, p Projection) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{projection: p, stop: cancel, done: make(chan struct{})}
	ps.tasks.Go(func() {
		defer close(r.done)
		ps.ledger.Run(ctx, p, ps.log)
	})
	return r
}

// Wait returns when all projections have ended with the context of Start.
func (ps *Projections) Wait() { ps.tasks.Wait() }

// Names lists the projections that keep a view.
func (ps *Projections) Names() []string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var names []string
	for name, r := range ps.running {
		if r.projection.Bucket != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Rebuild drops the view of a projection and folds the ledger into it from the first
// event on. It returns when the view has digested all that was there when it began; while
// it is being rebuilt, what is asked of it is not found. ctx bounds the wait; the
// projection itself goes on for as long as life does.
func (ps *Projections) Rebuild(ctx, life context.Context, name string) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	r := ps.running[name]
	if r == nil || r.projection.Bucket == "" {
		return fault.New(fault.NotFound, "there is no projection %q with a view of its own", name)
	}
	r.stop()
	<-r.done
	err := ps.drop(ctx, r.projection)
	ps.running[name] = ps.run(life, r.projection)
	if err != nil {
		return err
	}
	return ps.ledger.caughtUp(ctx, r.projection)
}

// drop deletes a projection's consumer and empties its view.
func (ps *Projections) drop(ctx context.Context, p Projection) error {
	if err := ps.ledger.stream.DeleteConsumer(ctx, p.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("drop projection %s: %w", p.Name, err)
	}
	if err := ps.ledger.js.DeleteKeyValue(ctx, p.Bucket); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
		return fmt.Errorf("drop view %s: %w", p.Bucket, err)
	}
	_, err := OpenBucket(ctx, ps.ledger.js, p.Bucket)
	return err
}

// caughtUp waits until a projection has digested all that is there now. What the server
// calls pending lags behind what it has stored, so the newest event itself is looked for.
func (l *Ledger) caughtUp(ctx context.Context, p Projection) error {
	newest, err := l.newest(ctx, p.Subjects)
	if err != nil {
		return err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		consumer, err := l.stream.Consumer(ctx, p.Name)
		if err == nil && consumer.CachedInfo().AckFloor.Stream >= newest {
			return nil
		}
		if ctx.Err() != nil {
			return fault.Wrap(fault.Unavailable, ctx.Err(), "the view %s is not whole yet; it goes on being rebuilt", p.Name)
		}
		pause(ctx, wait)
	}
}

// newest is the stream sequence of the newest event on any of some subjects.
func (l *Ledger) newest(ctx context.Context, subjects []string) (uint64, error) {
	var newest uint64
	for _, subject := range subjects {
		msg, err := l.stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("look at ledger: %w", err)
		}
		newest = max(newest, msg.Sequence)
	}
	return newest, nil
}

// Digest is a hash over everything in a bucket: two views with the same digest hold the
// same keys and the same bytes under each.
func (l *Ledger) Digest(ctx context.Context, bucket string) (string, error) {
	kv, err := l.js.KeyValue(ctx, bucket)
	if err != nil {
		return "", fmt.Errorf("digest of %s: %w", bucket, err)
	}
	keys, err := Keys(ctx, kv, ">")
	if err != nil {
		return "", fmt.Errorf("digest of %s: %w", bucket, err)
	}
	slices.Sort(keys)
	hash := sha256.New()
	for _, key := range keys {
		entry, err := kv.Get(ctx, key)
		if err != nil {
			return "", fmt.Errorf("digest of %s, key %s: %w", bucket, key, err)
		}
		for _, part := range [][]byte{[]byte(key), entry.Value()} {
			var length [8]byte
			binary.BigEndian.PutUint64(length[:], uint64(len(part)))
			hash.Write(length[:])
			hash.Write(part)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
