package oidc

import (
	"context"
	"net/http"
	"time"

	"keyhall.dev/keyhall/internal/callout"
)

// What tests of the package reach that nobody else needs to.

var (
	ReadObject = readObject
	PathOf     = pathOf
	WordsOf    = wordsOf
	Freshness  = func(lines ...string) time.Duration { return freshness(http.Header{"Cache-Control": lines}) }
	ErrTwice   = errTwice
)

// Peek says of which issuer's provider a text is a token.
func Peek(text string) (issuer string, is bool) { return peek(text) }

// Read reads a token.
func Read(raw string) (alg, kid string, claims map[string]any, err error) {
	t, err := readToken(raw)
	return t.alg, t.kid, t.claims, err
}

// PublishedKeys are the ids of keys that would be used, and why others would not.
func PublishedKeys(document []byte) (ids, skipped []string, err error) {
	set, err := readKeys(document)
	for _, k := range set.keys {
		ids = append(ids, k.id)
	}
	return ids, set.skipped, err
}

// Finds says whether a document has the key of an algorithm and an id.
func Finds(document []byte, alg, kid string) bool {
	set, err := readKeys(document)
	_, found := set.find(alg, kid)
	return err == nil && found
}

// Judge holds claims against the configuration as if their token's signature held.
func (b *Backend) Judge(claims map[string]any, now time.Time) (*callout.Grant, error) {
	ends, err := b.judge(claims, now)
	if err != nil {
		return nil, err
	}
	return b.grant(claims, ends, now)
}

// Matches is the condition's own.
func (c Condition) Matches(claims map[string]any) bool { return c.matches(claims) }

// CheckAlone is the condition's own.
func (c Condition) CheckAlone() error { return c.check() }

// Impatient bounds a fetch, and lets the next begin at once.
func (b *Backend) Impatient(patience time.Duration) {
	b.ring.timing.patience, b.ring.timing.interval = patience, 1
}

// Refresh sets how often keys are fetched, whatever the provider says.
func (b *Backend) Refresh(every time.Duration) {
	b.ring.timing.shortest, b.ring.timing.longest = every, every
}

// Until is when a backend asks again for what is fresh for so long.
func (b *Backend) Until(fresh time.Duration) time.Duration { return b.ring.timing.until(fresh) }

// Room is how many logins may wait for a fetch.
func (b *Backend) Room(waiting int) { b.ring.timing.waiting = waiting }

// Waiting is how many do.
func (b *Backend) Waiting() int {
	b.ring.mu.Lock()
	defer b.ring.mu.Unlock()
	return b.ring.waiting
}

// LongAgo moves the last fetch into the past.
func (b *Backend) LongAgo(by time.Duration) {
	b.ring.mu.Lock()
	defer b.ring.mu.Unlock()
	b.ring.tried, b.ring.heard = b.ring.tried.Add(-by), b.ring.heard.Add(-by)
}

// Asks makes a fetch and waits for it.
func (b *Backend) Asks(ctx context.Context) error { return b.ring.ask(ctx) }
