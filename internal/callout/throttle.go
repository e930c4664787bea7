package callout

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

const (
	// subscriberBits of an IPv6 address are one subscriber's; they choose the rest freely.
	subscriberBits = 64

	// maxWrong is how many wrong tries are remembered beyond the free ones, each of which
	// takes one longest delay to be forgiven.
	maxWrong = 240
)

// Throttle is how the guessing of names and passwords is slowed down, where a backend is
// Guessable. After a few wrong tries the next has to wait, each time twice as long, for one
// name from anywhere and for one address with any names. Who comes too soon is refused
// without a look at the proof, and waits no longer for it.
//
// Somebody who got in from an address before is held up there by wrong tries for that very
// name from that very address alone, so that nobody can lock others out for good. A
// connection without an address, inside the process, is not held up.
//
// Zero values are the defaults.
type Throttle struct {
	Off          bool
	NameTries    int              // wrong ones for a name before the first delay: 5
	AddressTries int              // wrong ones from an address (an IPv6 /64): 20
	First        time.Duration    // the first delay: a second
	Most         time.Duration    // the longest delay, and after which one wrong try is forgiven: a minute
	Remember     int              // of how many names, addresses and those who got in: 65,536 each
	Now          func() time.Time // time.Now
}

func (t Throttle) withDefaults() Throttle {
	if t.NameTries == 0 {
		t.NameTries = 5
	}
	if t.AddressTries == 0 {
		t.AddressTries = 20
	}
	if t.First == 0 {
		t.First = time.Second
	}
	if t.Most == 0 {
		t.Most = time.Minute
	}
	if t.Remember == 0 {
		t.Remember = 1 << 16
	}
	if t.Now == nil {
		t.Now = time.Now
	}
	return t
}

func (t Throttle) check() error {
	if t.NameTries < 1 || t.AddressTries < 1 || t.First < 0 || t.Most < t.First || t.Remember < 1 {
		return errors.New("callout: a Throttle with a negative bound, or with a first delay beyond the longest")
	}
	return nil
}

// guess is whose secret a login tries, and from where. The zero value is nobody's.
type guess struct {
	backend, name, address string
}

func newGuess(backend, name, host string) guess {
	if name == "" || host == "" {
		return guess{}
	}
	address, err := netip.ParseAddr(host)
	if err == nil {
		address = address.Unmap().WithZone("")
		if address.Is6() {
			if prefix, err := address.Prefix(subscriberBits); err == nil {
				address = prefix.Addr()
			}
		}
		host = address.String()
	}
	return guess{backend, name, host}
}

// throttle remembers who tried and was wrong. Names are kept as hashes: what a client says
// is of any length.
type throttle struct {
	settings Throttle
	seed     maphash.Seed

	mu        sync.Mutex
	names     *recent[uint64, *tries]
	addresses *recent[uint64, *tries]
	known     *recent[uint64, *tries] // names and addresses that got in together
}

func newThrottle(settings Throttle) *throttle {
	return &throttle{
		settings:  settings,
		seed:      maphash.MakeSeed(),
		names:     newRecent[uint64, *tries](settings.Remember),
		addresses: newRecent[uint64, *tries](settings.Remember),
		known:     newRecent[uint64, *tries](settings.Remember),
	}
}

// tries are the wrong ones for one name or from one address.
type tries struct {
	free  int // before the first delay
	wrong int
	since time.Time // since when none was forgiven
	until time.Time // before which no other is taken
}

func (g guess) keys(seed maphash.Seed) (name, address, both uint64) {
	type pair struct{ backend, name string }
	return maphash.Comparable(seed, pair{g.backend, g.name}), maphash.Comparable(seed, g.address), maphash.Comparable(seed, g)
}

// holding are the tries that can hold up a guess.
func (t *throttle) holding(g guess) []*tries {
	name, address, both := g.keys(t.seed)
	if own, found := t.known.get(both); found {
		return []*tries{own}
	}
	var holding []*tries
	if byName, found := t.names.get(name); found {
		holding = append(holding, byName)
	}
	if byAddress, found := t.addresses.get(address); found {
		holding = append(holding, byAddress)
	}
	return holding
}

// look says whether a guess comes too soon.
func (t *throttle) look(g guess) error { return t.take(g, false) }

// begin says the same when its turn has come. Where wrong ones were before, it is the only
// one until its delay is over, however many come at once.
func (t *throttle) begin(g guess) error { return t.take(g, true) }

func (t *throttle) take(g guess, turn bool) error {
	if t.settings.Off || g == (guess{}) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now, holding := t.settings.Now(), t.holding(g)
	for _, one := range holding {
		one.forgive(now, t.settings.Most)
		if one.wrong >= one.free && now.Before(one.until) {
			return fault.Wrap(fault.Refused, errThrottled, "too many wrong tries: no other is taken for %s",
				one.until.Sub(now).Round(time.Second/10))
		}
	}
	for _, one := range holding {
		if turn {
			one.delay(now, t.settings)
		}
	}
	return nil
}

// end notes how a guess that was begun came out: nil is a login.
func (t *throttle) end(g guess, err error) {
	if t.settings.Off || g == (guess{}) || err != nil && !errors.Is(err, ErrWrong) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.settings.Now()
	name, address, both := g.keys(t.seed)
	if err == nil {
		t.names.remove(name)
		t.known.put(both, &tries{free: t.settings.NameTries, since: now})
		return
	}
	t.wrong(t.names, name, t.settings.NameTries, now)
	t.wrong(t.addresses, address, t.settings.AddressTries, now)
	if own, found := t.known.get(both); found {
		own.add(now, t.settings)
	}
}

func (t *throttle) wrong(in *recent[uint64, *tries], key uint64, free int, now time.Time) {
	one, found := in.get(key)
	if !found {
		one = &tries{free: free, since: now}
		in.put(key, one)
	}
	one.add(now, t.settings)
}

func (t *tries) add(now time.Time, settings Throttle) {
	t.forgive(now, settings.Most)
	if t.wrong == 0 {
		t.since = now
	}
	t.wrong = min(t.wrong+1, t.free+maxWrong)
	t.delay(now, settings)
}

// delay puts the next try off, if there were too many.
func (t *tries) delay(now time.Time, settings Throttle) {
	if t.wrong < t.free {
		return
	}
	wait := settings.First
	for i := t.free; i < t.wrong && wait < settings.Most; i++ {
		wait *= 2
	}
	t.until = now.Add(min(wait, settings.Most))
}

// forgive forgets one wrong try for each time that the longest delay has passed.
func (t *tries) forgive(now time.Time, each time.Duration) {
	if passed := now.Sub(t.since); passed >= each && each > 0 {
		times := int(passed / each)
		t.wrong = max(0, t.wrong-times)
		t.since = t.since.Add(time.Duration(times) * each)
	}
}
