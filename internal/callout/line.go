package callout

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxWaiting bounds the logins that wait for one backend.
	maxWaiting = 1 << 16

	// sweepTime is how often at most those are looked for whose time ends while they wait.
	sweepTime = answerTime / 4

	// leastPace is of how many logins at least the pace of a line is taken.
	leastPace = 16
)

// Bounded is a Backend that knows how many logins it can work on at a time. The places of
// an engine that are left are shared alike by those that do not.
type Bounded interface {
	// Places is that number; 0 where it is not known.
	Places() int
}

// placesOf divides the places of an engine among backends, so that none has another's: one
// that is slow fills its own and stalls nobody else.
func placesOf(backends []Backend, inFlight int) []int {
	places := make([]int, len(backends))
	left, sharing := inFlight, 0
	for i, backend := range backends {
		if bounded, is := backend.(Bounded); is && bounded.Places() > 0 {
			places[i] = min(bounded.Places(), max(1, inFlight/len(backends)))
			left -= places[i]
		} else {
			sharing++
		}
	}
	for i := range places {
		if places[i] == 0 {
			places[i] = max(1, left/sharing)
		}
	}
	return places
}

// line is where the logins of one backend wait for one of its places, first come, first
// served.
type line struct {
	places int
	most   int                 // that may wait
	decide func(*login) bool   // works on one; whether it was in time
	refuse func(*login, error) // answers one without work

	mu      sync.Mutex
	busy    int
	waiting []*login
	pace    pace
	late    int         // how many were not in time, since the last that was
	sweeper *time.Timer // nil as long as nobody waited
	sweepAt time.Time   // zero where none is due
}

func newLine(places int, decide func(*login) bool, refuse func(*login, error)) *line {
	return &line{
		places: places, most: maxWaiting, decide: decide, refuse: refuse,
		pace: pace{ends: make([]time.Time, 0, max(leastPace, 2*places))},
	}
}

// enter decides a login where there is a place, and then those that came to wait meanwhile.
// Otherwise the login waits, unless its turn could not come before its deadline: then it is
// refused at once.
func (n *line) enter(l *login) {
	n.mu.Lock()
	switch {
	case n.busy < n.places:
		n.busy++
		n.mu.Unlock()
		n.work(l)
		return
	case len(n.waiting) >= n.most || n.hangs() || !n.inTime(l, len(n.waiting)+1):
		n.mu.Unlock()
		n.refuse(l, shed())
		return
	}
	n.waiting = append(n.waiting, l)
	n.sweepBy(l.answerBy())
	n.mu.Unlock()
}

// work decides logins in one place until nobody waits.
func (n *line) work(l *login) {
	for l = n.next(n.decide(l), true); l != nil; {
		if n.hopeless(l) {
			n.refuse(l, shed())
			l = n.next(false, false)
		} else {
			l = n.next(n.decide(l), true)
		}
	}
}

// next is who has the place now, after another who was decided, in time or not, or who was
// not; nil gives it back.
func (n *line) next(inTime, decided bool) *login {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case inTime:
		n.late = 0
	case decided:
		n.late++
	}
	if len(n.waiting) == 0 {
		n.busy--
		n.pace.stop()
		return nil
	}
	if decided {
		n.pace.step(time.Now())
	}
	l := n.waiting[0]
	n.waiting[0] = nil
	n.waiting = n.waiting[1:]
	return l
}

// hangs reports whether for as many logins as there are places none was decided in time:
// then nobody is to wait, and those who find a place show when it is over.
func (n *line) hangs() bool { return n.late >= max(leastPace, n.places) }

// inTime reports whether a login with so many before its end, itself included, could be
// decided before its deadline, by the pace of the line. Without one it could.
func (n *line) inTime(l *login, ahead int) bool {
	now := time.Now()
	each, known := n.pace.each(now)
	return !known || now.Add(time.Duration(ahead+n.places)*each).Before(l.answerBy())
}

// hopeless reports whether a login that waited and whose turn has come has less than half
// the time left that one takes: to work on it in vain would only make others late.
func (n *line) hopeless(l *login) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	each, known := n.pace.each(now)
	if !known {
		each = 0
	}
	return n.hangs() || !now.Add(time.Duration(n.places)*each/2).Before(l.answerBy())
}

// sweepBy has a sweep come by a time at the latest.
func (n *line) sweepBy(at time.Time) {
	if !n.sweepAt.IsZero() && !at.Before(n.sweepAt) {
		return
	}
	n.sweepAt = at
	if n.sweeper == nil {
		n.sweeper = time.AfterFunc(time.Until(at), n.sweep)
	} else {
		n.sweeper.Reset(time.Until(at))
	}
}

// sweep refuses those who waited until now and whose server gives up soon.
func (n *line) sweep() {
	n.mu.Lock()
	now := time.Now()
	n.sweepAt = time.Time{}
	var over []*login
	var next time.Time
	n.waiting = slices.DeleteFunc(n.waiting, func(l *login) bool {
		by := l.answerBy()
		if !now.Before(by) {
			over = append(over, l)
			return true
		}
		if next.IsZero() || by.Before(next) {
			next = by
		}
		return false
	})
	n.late += len(over) // or the places are never given back
	if soon := now.Add(sweepTime); len(n.waiting) > 0 {
		if next.Before(soon) {
			next = soon
		}
		n.sweepBy(next)
	}
	n.mu.Unlock()
	for _, l := range over {
		n.refuse(l, shed())
	}
}

// pace is how fast a line moves while logins wait in it: the mean time between the last of
// them, twice as many as there are places, so that a slow start alone says nothing.
type pace struct {
	ends []time.Time // a ring, once it is full
	next int
}

// step notes that a login was decided and another waited.
func (p *pace) step(now time.Time) {
	if len(p.ends) < cap(p.ends) {
		p.ends = append(p.ends, now)
		return
	}
	p.ends[p.next] = now
	p.next = (p.next + 1) % len(p.ends)
}

// stop forgets the pace: nobody waited.
func (p *pace) stop() { p.ends, p.next = p.ends[:0], 0 }

// each is the time that each login takes the line, if that is known. It grows while none
// is decided.
func (p *pace) each(now time.Time) (time.Duration, bool) {
	if len(p.ends) < cap(p.ends) {
		return 0, false
	}
	return now.Sub(p.ends[p.next]) / time.Duration(len(p.ends)), true
}
