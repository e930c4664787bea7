package client

import (
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/chain"
)

// rights are the member's own grants, as a serving program goes by them. They never go
// back: a grant that was seen to end has ended.
type rights struct {
	mu     sync.Mutex
	seq    uint64
	shares chain.Shares
	ended  map[string]bool
}

func newRights(own *page) *rights {
	r := &rights{ended: make(map[string]bool)}
	r.update(own)
	return r
}

// update takes a newer state of the member's chain.
func (r *rights) update(own *page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if own.Person.Seq >= r.seq {
		r.seq, r.shares = own.Person.Seq, own.Shares
	}
}

// end ends a grant before the ledger says so.
func (r *rights) end(grant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended[grant] = true
}

// standing reports whether a grant stands.
func (r *rights) standing(grant, catalog, reader string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.ended[grant] && r.shares.Standing(grant, catalog, reader, time.Now())
}
