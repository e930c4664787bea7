package oidc

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

// timing is how often, and for how long, a provider is asked.
type timing struct {
	interval time.Duration // from the end of one fetch to the begin of the next, at least
	retry    time.Duration // after a fetch that failed
	patience time.Duration // for a whole fetch
	fresh    time.Duration // from one fetch to the next where the provider does not say
	shortest time.Duration // bounds of what the provider says
	longest  time.Duration
	outage   time.Duration // how long keys count after the last fetch that succeeded
	waiting  int           // logins that wait for a fetch at a time
}

func newTiming(outage time.Duration) timing {
	return timing{
		interval: 10 * time.Second, retry: 10 * time.Second, patience: 5 * time.Second,
		fresh: 10 * time.Minute, shortest: time.Minute, longest: time.Hour, outage: outage, waiting: 64,
	}
}

var (
	errClosed  = errors.New("closed")
	errCrowded = errors.New("too many logins wait for its keys")
)

// ring holds a provider's keys and keeps them fresh from the first time that somebody asks
// for one until it is closed.
type ring struct {
	provider *provider
	timing   timing
	logger   *slog.Logger

	ctx    context.Context // ends the fetch under way
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu      sync.Mutex
	set     keySet
	heard   time.Time     // when the fetch that brought the set began; zero: never
	tried   time.Time     // when the last fetch ended; zero: never
	failure error         // of the last fetch
	flight  chan struct{} // closed at the end of the fetch under way; nil: there is none
	waiting int
	again   *time.Timer // the next fetch
	closed  bool
}

func newRing(p *provider, t timing, logger *slog.Logger) *ring {
	r := &ring{provider: p, timing: t, logger: logger}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// find is the key for a token: a known one at once, an unknown one after the provider was
// asked. A key of the form but is none: it was tried.
func (r *ring) find(ctx context.Context, alg, kid, but string) (key, error) {
	if k, known := r.known(alg, kid, but); known {
		return k, nil
	}
	if err := r.ask(ctx); err != nil {
		return key{}, fault.Wrap(fault.Unavailable, err, "the token's key is not known, and the identity provider cannot be asked: %s", err)
	}
	if k, known := r.known(alg, kid, but); known {
		return k, nil
	}
	if kid == "" {
		return key{}, callout.Wrong("the token names no key, and the identity provider does not publish one alone for %s that fits", shown(alg))
	}
	return key{}, callout.Wrong("the token is signed with key %s for %s, which the identity provider does not publish", shown(kid), shown(alg))
}

func (r *ring) known(alg, kid, but string) (key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stale() {
		return key{}, false
	}
	k, found := r.set.find(alg, kid)
	return k, found && k.form != but
}

// stale keys count no more: one of them may have been withdrawn long ago.
func (r *ring) stale() bool { return r.heard.IsZero() || time.Since(r.heard) > r.timing.outage }

// ask waits for a fetch: the one under way, or a new one unless the last was a moment ago.
// It returns why the last fetch failed, if it did.
func (r *ring) ask(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errClosed
	}
	if r.flight == nil {
		if !r.tried.IsZero() && time.Since(r.tried) < r.timing.interval {
			return r.failure
		}
		r.begin()
	}
	if r.waiting >= r.timing.waiting {
		return errCrowded
	}
	flight := r.flight
	r.waiting++
	r.mu.Unlock()
	var err error
	select {
	case <-flight:
	case <-ctx.Done():
		err = ctx.Err()
	}
	r.mu.Lock()
	r.waiting--
	if err == nil {
		err = r.failure
	}
	return err
}

// begin starts a fetch, which belongs to nobody who waits for it. The lock is held.
func (r *ring) begin() {
	if r.closed || r.flight != nil {
		return
	}
	if r.again != nil {
		r.again.Stop()
	}
	r.flight = make(chan struct{})
	r.wait.Go(r.fetch)
}

func (r *ring) fetch() {
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.ctx, r.timing.patience)
	defer cancel()
	set, fresh, err := r.contained(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.report(set, err)
	r.failure, r.tried = err, time.Now()
	next := r.timing.retry
	if err == nil {
		r.set, r.heard = set, began
		next = r.timing.until(fresh)
	}
	close(r.flight)
	r.flight = nil
	if !r.closed {
		r.again = time.AfterFunc(next, r.refresh)
	}
}

// contained fetches, and survives what a provider makes of it.
func (r *ring) contained(ctx context.Context) (set keySet, fresh time.Duration, err error) {
	defer func() {
		if value := recover(); value != nil {
			r.logger.Error("panic while keys were fetched", "issuer", r.provider.issuer, "stack", string(debug.Stack()))
			err = errors.New("a defect of ours, see the log")
		}
	}()
	return r.provider.fetch(ctx)
}

func (r *ring) refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin()
}

// until is when to ask again, by what the provider says and within bounds.
func (t timing) until(fresh time.Duration) time.Duration {
	if fresh == 0 {
		fresh = t.fresh
	}
	return min(max(fresh, t.shortest), t.longest)
}

// report logs what a fetch changes: failures once, until one succeeds. The lock is held.
func (r *ring) report(set keySet, err error) {
	switch {
	case r.closed:
	case err != nil && (r.failure == nil || r.tried.IsZero()):
		r.logger.Warn("the identity provider's keys cannot be fetched", "issuer", r.provider.issuer, "reason", err)
	case err == nil && (r.failure != nil || r.heard.IsZero() || !slices.Equal(set.ids(), r.set.ids())):
		r.logger.Info("keys of the identity provider", "issuer", r.provider.issuer, "keys", set.ids(), "not_used", set.skipped)
	}
}

func (s keySet) ids() (ids []string) {
	for _, k := range s.keys {
		ids = append(ids, k.id)
	}
	return ids
}

// close ends the fetch under way, and there is no other. Known keys stay known, for logins
// that are being decided.
func (r *ring) close() {
	r.mu.Lock()
	r.closed = true
	if r.again != nil {
		r.again.Stop()
	}
	r.mu.Unlock()
	r.cancel()
	r.wait.Wait()
	r.provider.client.CloseIdleConnections()
}
