package signin

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

// The bounds of links. One that is forgotten in a restart of the hub is made again.
const (
	linkLife  = 10 * time.Minute
	maxLinks  = 4096
	maxOwn    = 32      // of one address
	siteBits  = 48      // of an IPv6 address are one customer's, who has many addresses of subscribers
	maxAsk    = 4 << 10 // bytes
	maxAnswer = 16 << 10
)

// links are the places where a device that is to be linked meets one of the person's: by an
// id that only they know, one asks and one answers, once each.
type links struct {
	now func() time.Time

	mu     sync.Mutex
	places map[string]*place
	more   chan struct{} // closed, and made anew, when somebody asks
}

// place is one link on its way.
type place struct {
	from, site  string
	until       time.Time
	ask, answer []byte
	answered    chan struct{} // closed with the answer
}

// The refusals of a link.
var (
	errAsked    = fault.New(fault.Taken, "somebody has asked with this code already: make a new one")
	errAnswered = fault.New(fault.Taken, "this was answered already: make a new code")
	errNoLink   = fault.New(fault.Expired, "nobody asks with this code, or not any more: make a new one")
)

func newLinks(now func() time.Time) *links {
	return &links{now: now, places: make(map[string]*place), more: make(chan struct{})}
}

// put has the new device ask, from an address.
func (l *links) put(id string, ask []byte, from string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	if l.places[id] != nil {
		return errAsked
	}
	own := 0
	for _, at := range l.places {
		if at.from == from {
			own++
		}
	}
	if own >= maxOwn {
		return fault.New(fault.Unavailable, "too many devices are being linked just now; try again in a few minutes")
	}
	if len(l.places) >= maxLinks {
		l.makeRoom()
	}
	l.places[id] = &place{from: from, site: siteOf(from), until: l.now().Add(linkLife), ask: ask, answered: make(chan struct{})}
	close(l.more)
	l.more = make(chan struct{})
	return nil
}

// makeRoom forgets the oldest place of the site that has the most: who takes all places takes them from themselves. mu is
// held.
func (l *links) makeRoom() {
	sites, oldest, of := make(map[string]int), "", ""
	for _, at := range l.places {
		sites[at.site]++
	}
	for id, at := range l.places {
		if oldest == "" || sites[at.site] > sites[of] || sites[at.site] == sites[of] && at.until.Before(l.places[oldest].until) {
			oldest, of = id, at.site
		}
	}
	delete(l.places, oldest)
}

// siteOf is the network that an address belongs to; of what is none, itself.
func siteOf(from string) string {
	if address, err := netip.ParseAddr(from); err == nil && address.Is6() {
		return netip.PrefixFrom(address, siteBits).Masked().String()
	}
	return from
}

// respond has the person's device answer.
func (l *links) respond(id string, answer []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	at := l.places[id]
	switch {
	case at == nil:
		return errNoLink
	case at.answer != nil:
		return errAnswered
	}
	at.answer = answer
	close(at.answered)
	return nil
}

// asked is what was asked, or nil when ctx ends before somebody has.
func (l *links) asked(ctx context.Context, id string) []byte {
	for {
		l.mu.Lock()
		l.clear()
		at, more := l.places[id], l.more
		l.mu.Unlock()
		if at != nil {
			return at.ask
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// await returns the answer, or nil when ctx ends before. A place that nobody asked at is an
// error: who waits there has asked.
func (l *links) await(ctx context.Context, id string) ([]byte, error) {
	l.mu.Lock()
	l.clear()
	at := l.places[id]
	l.mu.Unlock()
	if at == nil {
		return nil, errNoLink
	}
	select {
	case <-at.answered:
		return at.answer, nil
	case <-ctx.Done():
		return nil, nil
	}
}

// clear forgets the links whose time is over; mu is held.
func (l *links) clear() {
	now := l.now()
	for id, at := range l.places {
		if !now.Before(at.until) {
			delete(l.places, id)
		}
	}
}
