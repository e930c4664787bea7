package audit

import (
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/callout"
)

const (
	condenseTime = 10 * time.Second
	maxRuns      = 4096
)

// condenser makes one entry of many logins from one address that were turned away unasked:
// somebody who hammers at the door must not push everybody else out of the audit.
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
	more  int       // counted
	last  item      // the last of them
}

// take reports whether a decision gets an entry of its own, and how many before it got none.
func (c *condenser) take(d *callout.Decision, at time.Time) (write bool, more int) {
	if d.Outcome != callout.Throttled && d.Outcome != callout.Shed {
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
		c.runs[key] = &run{until: at.Add(condenseTime)}
		return true, 0
	case at.Before(r.until):
		r.more++
		r.last = item{at: at, decision: d}
		return false, 0
	}
	more = r.more
	*r = run{until: at.Add(condenseTime)}
	return true, more
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
