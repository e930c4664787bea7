package audit

import (
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/callout"
)

const (
	condenseTime = 10 * time.Second
	maxRuns      = 4096

	// freeRefusals have an entry of their own in each run, where somebody looked at the login:
	// more than a Throttle lets anybody guess.
	freeRefusals = 100
)

// condenser makes one entry of many logins from one address that were turned away unasked, and
// few of many that were refused: somebody who hammers at the door must not push everybody else
// out of the audit. Not every refusal costs a guess: wrong tokens and signatures are told apart
// for nothing.
type condenser struct {
	mu   sync.Mutex
	runs map[runKey]*run
}

type runKey struct {
	host    string
	outcome callout.Outcome
}

// run is what followed an entry that was written.
type run struct {
	until time.Time // further ones are counted until then
	free  int       // how many more get an entry all the same
	more  int       // counted
	last  item      // the last of them
}

// take reports whether a decision gets an entry of its own, and how many before it got none.
func (c *condenser) take(d *callout.Decision, at time.Time) (write bool, more int) {
	if d.Allowed {
		return true, 0
	}
	key := runKey{d.Client.Host, d.Outcome}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.runs[key]
	switch {
	case r == nil && len(c.runs) >= maxRuns:
		return true, 0
	case r == nil:
		c.runs[key] = newRun(d, at)
		return true, 0
	case at.Before(r.until) && r.free > 0:
		r.free--
		return true, 0
	case at.Before(r.until):
		r.more++
		r.last = item{at: at, decision: d}
		return false, 0
	}
	more = r.more
	*r = *newRun(d, at)
	return true, more
}

func newRun(d *callout.Decision, at time.Time) *run {
	r := &run{until: at.Add(condenseTime)}
	if d.Outcome != callout.Throttled && d.Outcome != callout.Shed {
		r.free = freeRefusals - 1
	}
	return r
}

// ended are the entries for those that were counted until now and that nothing followed.
func (c *condenser) ended(now time.Time, all bool) (items []item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, r := range c.runs {
		if !all && now.Before(r.until) {
			continue
		}
		if r.more > 0 {
			r.last.more = r.more - 1
			items = append(items, r.last)
		}
		delete(c.runs, key)
	}
	return items
}
