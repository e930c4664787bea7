package api

import "sync"

// callers counts how many requests of each caller are worked on, so that one who asks
// without end does not keep the others waiting.
type callers struct {
	mu   sync.Mutex
	busy map[string]int
}

// enter counts one more of a caller's; false if there are as many as may be.
func (c *callers) enter(caller string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[caller] >= perCaller {
		return false
	}
	if c.busy == nil {
		c.busy = make(map[string]int)
	}
	c.busy[caller]++
	return true
}

func (c *callers) leave(caller string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[caller]--; c.busy[caller] == 0 {
		delete(c.busy, caller)
	}
}
