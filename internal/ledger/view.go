package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/fault"
)

// maxValue bounds a view's value, in bytes: a NATS message has at most 1 MiB with its
// headers. The bounds of package chain keep every state below it.
const maxValue = 1000 << 10

// OpenBucket opens a key-value bucket in account HUB and creates it where there is none.
func OpenBucket(ctx context.Context, js jetstream.JetStream, name string) (jetstream.KeyValue, error) {
	bucket, err := js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, History: 1})
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	return bucket, nil
}

// OpenView opens the bucket of a projection's view.
func (l *Ledger) OpenView(ctx context.Context, name string) (*View, error) {
	bucket, err := OpenBucket(ctx, l.js, name)
	if err != nil {
		return nil, err
	}
	return &View{bucket: bucket}, nil
}

// View is a bucket of JSON values that a projection writes and services read.
type View struct {
	bucket jetstream.KeyValue
}

// Snapshot is the folded state of one chain, and the stream sequence of its newest event.
type Snapshot[T any] struct {
	Seq    uint64 `json:"seq"`
	Broken uint64 `json:"broken,omitempty"` // the event that was set aside; nothing after it is folded
	State  T      `json:"state"`
}

// Get reads the value at key into v, a pointer. found is false where there is none.
func (v *View) Get(ctx context.Context, key string, value any) (revision uint64, found bool, err error) {
	entry, err := v.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fault.Wrap(fault.Unavailable, err, "the hub could not look that up; try again")
	}
	if err := json.Unmarshal(entry.Value(), value); err != nil {
		return 0, false, fmt.Errorf("view %s, key %s: %w", v.bucket.Bucket(), key, err)
	}
	return entry.Revision(), true, nil
}

// Put writes value at key by compare-and-set on the revision that Get returned (0: none
// there). A view someone else wrote meanwhile is an error; the fold is tried again.
func (v *View) Put(ctx context.Context, key string, value any, revision uint64) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%w: view %s, key %s: %w", ErrPoison, v.bucket.Bucket(), key, err)
	}
	if len(data) > maxValue {
		return fmt.Errorf("%w: view %s, key %s: %d bytes", ErrPoison, v.bucket.Bucket(), key, len(data))
	}
	if revision == 0 {
		_, err = v.bucket.Create(ctx, key, data)
	} else {
		_, err = v.bucket.Update(ctx, key, data, revision)
	}
	if err != nil {
		return fmt.Errorf("view %s, key %s: %w", v.bucket.Bucket(), key, err)
	}
	return nil
}

// Set writes a value that depends on nothing that was there: an index entry.
func (v *View) Set(ctx context.Context, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("view %s, key %s: %w", v.bucket.Bucket(), key, err)
	}
	if _, err := v.bucket.Put(ctx, key, data); err != nil {
		return fmt.Errorf("view %s, key %s: %w", v.bucket.Bucket(), key, err)
	}
	return nil
}

// Delete removes an index entry; one that is not there is no error.
func (v *View) Delete(ctx context.Context, key string) error {
	if err := v.bucket.Purge(ctx, key); err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return fmt.Errorf("view %s, key %s: %w", v.bucket.Bucket(), key, err)
	}
	return nil
}

// Keys lists the keys that match a pattern with NATS wildcards, in no order.
func (v *View) Keys(ctx context.Context, pattern string) ([]string, error) {
	keys, err := Keys(ctx, v.bucket, pattern)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the hub could not look that up; try again")
	}
	return keys, nil
}

// Keys lists the keys of a bucket that match a pattern with NATS wildcards, in no order: all of them, or it fails.
func Keys(ctx context.Context, bucket jetstream.KeyValue, pattern string) ([]string, error) {
	lister, err := bucket.ListKeysFiltered(ctx, pattern)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var keys []string
	for key := range lister.Keys() {
		keys = append(keys, key)
	}
	if err := ctx.Err(); err != nil { // which ends the list without a word
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// Fold is how one kind of chain becomes snapshots and index entries.
type Fold[T any] struct {
	View  *View
	Key   string
	Place func(*T) uint64                 // the state's place in its chain
	Apply func(*T) error                  // folds the event in; a failure is poison
	Index func(context.Context, *T) error // writes index entries; may run twice for an event
}

// FoldEntry reads the snapshot, applies one entry to it, writes the index entries, and
// writes the snapshot back: an event that is in the snapshot is in the index as well.
func FoldEntry[T any](ctx context.Context, f Fold[T], entry Entry) error {
	var snapshot Snapshot[T]
	revision, _, err := f.View.Get(ctx, f.Key, &snapshot)
	if err != nil {
		return err
	}
	switch at := f.Place(&snapshot.State); {
	case entry.Seq <= snapshot.Seq:
		return nil
	case snapshot.Broken != 0:
		return fmt.Errorf("%w: its chain is broken since event %d", ErrPoison, snapshot.Broken)
	case entry.Event.Seq > at+1:
		return fmt.Errorf("%w: place %d after %d", ErrEarly, entry.Event.Seq, at)
	}
	if err := f.Apply(&snapshot.State); err != nil {
		snapshot.Broken = entry.Seq
		return errors.Join(fmt.Errorf("%w: %w", ErrPoison, err), f.View.Put(ctx, f.Key, snapshot, revision))
	}
	snapshot.Seq = entry.Seq
	if f.Index != nil {
		if err := f.Index(ctx, &snapshot.State); err != nil {
			return err
		}
	}
	return f.View.Put(ctx, f.Key, snapshot, revision)
}

// Settle waits until the snapshot at key has digested the ledger up to seq.
func (v *View) Settle(ctx context.Context, key string, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		var at struct {
			Seq uint64 `json:"seq"`
		}
		if _, _, err := v.Get(ctx, key, &at); err == nil && at.Seq >= seq {
			return nil
		}
		pause(ctx, wait)
		if ctx.Err() != nil {
			return fault.New(fault.Unavailable, "written down, but the hub's views lag behind; look again in a moment")
		}
	}
}
