package event

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// AccessBucket keeps access tokens in a JetStream key-value bucket under their hashes:
// publishers put theirs in once, and subscribers find them there at any later time, whether
// the publisher is there or not.
type AccessBucket struct{ KV jetstream.KeyValue }

// FindAccess implements AccessSource.
func (b AccessBucket) FindAccess(ctx context.Context, hash Hash) (string, error) {
	entry, err := b.KV.Get(ctx, hash.String())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", fmt.Errorf("%w: nobody has left one with the hash %s", ErrNoAccess, hash)
	}
	if err != nil {
		return "", fmt.Errorf("find access token: %w", err)
	}
	return string(entry.Value()), nil
}

// LeaveAccess puts a token where FindAccess finds it.
func (b AccessBucket) LeaveAccess(ctx context.Context, text string) error {
	_, err := b.KV.Create(ctx, accessHash(text).String(), []byte(text))
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return fmt.Errorf("leave access token: %w", err)
	}
	return nil
}

// SeenBucket remembers in a JetStream key-value bucket which events were handled, for all
// the subscribers that share it and beyond their restarts. The bucket's TTL has to be at
// least as long as events are taken: twice the skew or, where they have one, their life.
type SeenBucket struct{ KV jetstream.KeyValue }

// First implements Memory.
func (b SeenBucket) First(ctx context.Context, e *Event, at uint64) (bool, error) {
	_, err := b.KV.Create(ctx, e.Hash().String(), strconv.AppendUint(nil, at, 10))
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return false, fmt.Errorf("remember event: %w", err)
	}
	if at == 0 {
		return false, nil
	}
	entry, err := b.KV.Get(ctx, e.Hash().String())
	if err != nil {
		return false, fmt.Errorf("remember event: %w", err)
	}
	return string(entry.Value()) == strconv.FormatUint(at, 10), nil
}

// PlaceBucket keeps the places of a publisher's chains in a JetStream key-value bucket, with
// the event that is on its way: after a restart that one is sent once more before any other,
// so that a chain never forks and has no gap.
type PlaceBucket struct{ KV jetstream.KeyValue }

// LoadPlace implements Places.
func (b PlaceBucket) LoadPlace(ctx context.Context, device, subject string) (last []byte, err error) {
	entry, err := b.KV.Get(ctx, placeKey(device, subject))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up chain: %w", err)
	}
	return entry.Value(), nil
}

// SavePlace implements Places.
func (b PlaceBucket) SavePlace(ctx context.Context, device, subject string, last []byte) error {
	if _, err := b.KV.Put(ctx, placeKey(device, subject), last); err != nil {
		return fmt.Errorf("note place in chain: %w", err)
	}
	return nil
}

// placeKey names a chain by what a bucket takes as a key.
func placeKey(device, subject string) string {
	return device + "." + accessHash(subject).String()
}

// liveSubject is where a publisher that is there answers for its access token.
const liveSubject = "event.access."

// liveTime bounds the wait for somebody who listens there and does not answer.
const liveTime = 5 * time.Second

// LiveAccess asks publishers themselves for their access tokens. Each answers on the subject
// event.access.<hash>; nothing is kept.
type LiveAccess struct{ Conn *nats.Conn }

// FindAccess implements AccessSource.
func (l LiveAccess) FindAccess(ctx context.Context, hash Hash) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, liveTime)
	defer cancel()
	msg, err := l.Conn.RequestWithContext(ctx, liveSubject+hash.String(), nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return "", fmt.Errorf("%w: its publisher is not there to show it", ErrNoAccess)
	}
	if err != nil {
		return "", fmt.Errorf("%w: its publisher was asked: %w", ErrNoAccess, err)
	}
	return string(msg.Data), nil
}
