package signin

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"keyhall.dev/keyhall/internal/recent"
	"keyhall.dev/keyhall/internal/throttle"
)

// From one address this many requests that try something are taken at once, and then one
// every so often: far more than people make, also behind one address.
const (
	paceBurst = 120
	paceEvery = 500 * time.Millisecond
	maxPaces  = 1 << 16 // addresses whose pace is remembered
	maxWaits  = 16      // answers to links that one address waits for at a time
)

// paces are how fast each address asks.
type paces struct {
	mu sync.Mutex
	of *recent.Cache[string, *pace]
}

type pace struct {
	*rate.Limiter
	waits int
}

func newPaces() *paces { return &paces{of: recent.New[string, *pace](maxPaces)} }

func (p *paces) get(from netip.Addr) *pace {
	who := throttle.Subscriber(from.String())
	one, found := p.of.Get(who)
	if !found {
		one = &pace{Limiter: rate.NewLimiter(rate.Every(paceEvery), paceBurst)}
		p.of.Put(who, one)
	}
	return one
}

// take counts a request; otherwise it says for how long the address has to wait.
func (p *paces) take(from netip.Addr) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reserved := p.get(from).Reserve()
	if wait = reserved.Delay(); wait > 0 {
		reserved.Cancel()
	}
	return wait
}

// wait counts somebody who waits, until leave is called; false if there are as many as may be.
func (p *paces) wait(from netip.Addr) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.get(from)
	if one.waits >= maxWaits {
		return nil, false
	}
	one.waits++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		one.waits--
	}, true
}
