package callout

import (
	"sync"
	"time"
)

// maxReplays bounds how many requests are remembered.
const maxReplays = 1 << 17

// replays remembers the requests that were answered, by the key that a server makes for one
// connection, until their deadlines: a second answer to one is of no use to its server. Of
// more than it may remember it forgets the first. What another engine of the queue group
// answered it does not know; neither then does a replay get anybody in, since the answer is
// for the connection's own key and sealed to its server.
type replays struct {
	mu    sync.Mutex
	until map[string]time.Time
	order []string
	most  int
}

func newReplays() *replays { return &replays{until: make(map[string]time.Time), most: maxReplays} }

// first reports whether a request for a user key is the first.
func (r *replays) first(userKey string, until, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, found := r.until[userKey]; found {
		return false
	}
	for len(r.order) > 0 && (len(r.order) >= r.most || now.After(r.until[r.order[0]].Add(lateBy))) {
		delete(r.until, r.order[0])
		r.order[0] = ""
		r.order = r.order[1:]
	}
	r.until[userKey] = until
	r.order = append(r.order, userKey)
	return true
}
