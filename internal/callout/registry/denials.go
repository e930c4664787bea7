package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/fault"
)

// DeniedBucket is the bucket of names that may not log in.
const DeniedBucket = "DENIED"

// MaxDenial is the longest time for which logins of a name are denied.
const MaxDenial = 30 * 24 * time.Hour

const (
	firstRead    = 10 * time.Second
	probeTime    = 3 * time.Second // for JetStream to answer at all
	denialsEvery = 5 * time.Second // how often it is asked again
)

// denial is an entry of the bucket, under a hash of the name: names may hold anything.
type denial struct {
	Name  string    `json:"name"`
	Until time.Time `json:"until"`
}

// Denials keep who is denied beyond a restart.
type Denials struct{ bucket jetstream.KeyValue }

// OpenDenials opens the bucket of denied names, or returns nil where the account has no
// JetStream. replicas are the copies of a new one; one that is there stays as its operator
// has it.
func OpenDenials(ctx context.Context, nc *nats.Conn, replicas int) (*Denials, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	bucket, err := js.KeyValue(ctx, DeniedBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: DeniedBucket, Description: "names that may not log in", History: 1, TTL: MaxDenial, MaxValueSize: 4096, Replicas: replicas,
		})
	}
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, nats.ErrNoResponders) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the list of denied names cannot be opened: %v", err)
	}
	return &Denials{bucket}, nil
}

// Put keeps until when a name is denied.
func (d *Denials) Put(ctx context.Context, name string, until time.Time) error {
	value, err := json.Marshal(denial{name, until})
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(name))
	_, err = d.bucket.Put(ctx, hex.EncodeToString(hash[:]), value)
	return err
}

// Follow tells deny who is denied: who is already, before it returns, and who will be, until
// ctx ends. wait returns after that.
func (d *Denials) Follow(ctx context.Context, deny func(name string, until time.Time)) (wait func(), err error) {
	watcher, err := d.bucket.WatchAll(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the list of denied names cannot be read: %v", err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = watcher.Stop() }()
		followDenials(ctx, watcher, deny, ready)
	}()
	select {
	case <-ready:
		return func() { <-ended }, nil
	case <-time.After(firstRead):
		_ = watcher.Stop()
		<-ended
		return nil, fault.New(fault.Unavailable, "the list of denied names cannot be read")
	case <-ctx.Done():
		<-ended
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "the list of denied names cannot be read")
	}
}

func followDenials(ctx context.Context, watcher jetstream.KeyWatcher, deny func(string, time.Time), ready chan<- struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case entry, open := <-watcher.Updates():
			if !open {
				return
			}
			if entry == nil { // all that was there
				close(ready)
				continue
			}
			var d denial
			if json.Unmarshal(entry.Value(), &d) == nil && d.Name != "" {
				deny(d.Name, d.Until)
			}
		}
	}
}

// openDenials has the registry know who is denied, now and from now on. Where JetStream does
// not answer it may only be away, and with it those who are denied: it is asked again.
func (k *Keeper) openDenials(ctx context.Context) error {
	opened, err := k.tryDenials(ctx)
	switch {
	case opened || err != nil:
		return err
	case mayNotAsk(k.o.Conn):
		k.o.Logger.Warn("the callout's user may not use JetStream in its account: who is denied is forgotten at a restart")
	default:
		k.o.Logger.Warn("the callout's account has no JetStream, or it does not answer: who is denied is forgotten at a restart, " +
			"and who was denied before is not known unless it answers")
		k.tasks.Go(k.openDenialsLater)
	}
	return nil
}

func (k *Keeper) openDenialsLater() {
	ticker := time.NewTicker(denialsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-ticker.C:
		}
		opened, err := k.tryDenials(k.ctx)
		switch {
		case opened:
			k.o.Logger.Info("who is denied is known and kept from now on")
			k.closeDenied()
			return
		case err != nil && k.ctx.Err() == nil:
			k.o.Logger.Warn("who is denied is not known", "error", err)
		}
	}
}

// tryDenials opens the list of denied names and follows it. It returns false where JetStream
// does not answer, or is not there.
func (k *Keeper) tryDenials(ctx context.Context) (opened bool, err error) {
	asking, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	denials, err := OpenDenials(asking, k.o.Conn, 1)
	if errors.Is(err, context.DeadlineExceeded) || err == nil && denials == nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	wait, err := denials.Follow(k.ctx, k.Deny)
	if err != nil {
		return false, err
	}
	k.tasks.Go(wait)
	k.denials.Store(denials)
	return true, nil
}

// closeDenied closes the connections of denied names, which were let in before that was known.
func (k *Keeper) closeDenied() {
	now := time.Now()
	list := k.take(func(n *note) bool { return n.judged && now.Before(k.denied[n.Name]) })
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(k.ctx, serveTime)
	defer cancel()
	_, _ = k.close(ctx, list, audit.Closed{By: audit.ByHost, Why: "they were denied before"}) // it is logged
}

// mayNotAsk reports whether the server refused to pass on what was asked of JetStream.
func mayNotAsk(nc *nats.Conn) bool {
	err := nc.LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(strings.ToLower(err.Error()), "$js.api")
}

// keepDenial keeps a denial beyond a restart, if it can, and says where it is kept.
func (k *Keeper) keepDenial(ctx context.Context, name string, until time.Time) string {
	denials := k.denials.Load()
	if denials == nil {
		return KeptInMemory
	}
	if err := denials.Put(ctx, name, until); err != nil {
		k.o.Logger.Error("a denial cannot be kept beyond a restart", "error", err)
		return KeptInMemory
	}
	return KeptInBucket
}
