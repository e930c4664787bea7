// Package throttle slows down who guesses names and passwords, and locks nobody else out.
package throttle

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/recent"
)

const (
	// subscriberBits of an IPv6 address are one subscriber's; they choose the rest freely.
	subscriberBits = 64

	// maxWrong is how many wrong tries are remembered beyond the free ones, each of which
	// takes one longest delay to be forgiven.
	maxWrong = 240
)

// ErrWrong marks a wrong proof, which slows down further ones: a password, token or signature
// that does not hold, or nobody known by that name.
var ErrWrong = errors.New("wrong name or proof")

// ErrTooSoon marks the refusal of a try that came too soon after wrong ones.
var ErrTooSoon = errors.New("too soon to guess")

// TooSoon is such a refusal: it matches ErrTooSoon, and says for how long no other is taken.
type TooSoon struct{ Wait time.Duration }

// Error says what it is.
func (t *TooSoon) Error() string { return ErrTooSoon.Error() }

// Is makes it match ErrTooSoon.
func (t *TooSoon) Is(target error) bool { return target == ErrTooSoon }

// Settings are how the guessing of names and passwords is slowed down. After a few wrong tries the next has to wait, each time twice as long, for one
// name from anywhere and for one address with any names. Who comes too soon is refused
// without a look at the proof, and waits no longer for it.
//
// Somebody who got in from an address before is held up there by wrong tries for that very
// name from that very address alone, so that nobody can lock others out for good. A
// connection without an address, inside the process, is not held up.
//
// Zero values are the defaults.
type Settings struct {
	Off          bool
	NameTries    int              // wrong ones for a name before the first delay: 5
	AddressTries int              // wrong ones from an address (an IPv6 /64): 20
	First        time.Duration    // the first delay: a second
	Most         time.Duration    // the longest delay, and after which one wrong try is forgiven: a minute
	Remember     int              // of how many names, addresses and those who got in: 65,536 each
	Now          func() time.Time // time.Now
}

// WithDefaults puts the defaults in the place of zero values.
func (t Settings) WithDefaults() Settings {
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

// Check says what is wrong with settings whose defaults were put in.
func (t Settings) Check() error {
	if t.NameTries < 1 || t.AddressTries < 1 || t.First < 0 || t.Most < t.First || t.Remember < 1 {
		return errors.New("a throttle with a negative bound, or with a first delay beyond the longest")
	}
	return nil
}

// Guess is whose secret a try is for, and from where. The zero value is nobody's.
type Guess struct {
	backend, name, address string
}

// NewGuess makes one for a name that a backend knows, from an address. It is nobody's without
// a name or an address.
func NewGuess(backend, name, host string) Guess {
	if name == "" || host == "" {
		return Guess{}
	}
	return Guess{backend, name, Subscriber(host)}
}

// Subscriber is what stands for everything that one subscriber may come from: an address, of
// IPv6 the network. What is no address stands for itself.
func Subscriber(host string) string {
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		if prefix, err := address.Prefix(subscriberBits); err == nil {
			address = prefix.Addr()
		}
	}
	return address.String()
}

// Throttle remembers who tried and was wrong. Names are kept as hashes: what a client says
// is of any length.
type Throttle struct {
	settings Settings
	seed     maphash.Seed

	mu        sync.Mutex
	names     *recent.Cache[uint64, *tries]
	addresses *recent.Cache[uint64, *tries]
	known     *recent.Cache[uint64, *tries] // names and addresses that got in together
}

// New makes one. The settings have their defaults.
func New(settings Settings) *Throttle {
	return &Throttle{
		settings:  settings,
		seed:      maphash.MakeSeed(),
		names:     recent.New[uint64, *tries](settings.Remember),
		addresses: recent.New[uint64, *tries](settings.Remember),
		known:     recent.New[uint64, *tries](settings.Remember),
	}
}

// tries are the wrong ones for one name or from one address.
type tries struct {
	free  int // before the first delay
	wrong int
	since time.Time // since when none was forgiven
	until time.Time // before which no other is taken
}

func (g Guess) keys(seed maphash.Seed) (name, address, both uint64) {
	type pair struct{ backend, name string }
	return maphash.Comparable(seed, pair{g.backend, g.name}), maphash.Comparable(seed, g.address), maphash.Comparable(seed, g)
}

// holding are the tries that can hold up a guess.
func (t *Throttle) holding(g Guess) []*tries {
	name, address, both := g.keys(t.seed)
	if own, found := t.known.Get(both); found {
		return []*tries{own}
	}
	var holding []*tries
	if byName, found := t.names.Get(name); found {
		holding = append(holding, byName)
	}
	if byAddress, found := t.addresses.Get(address); found {
		holding = append(holding, byAddress)
	}
	return holding
}

// Look says whether a guess comes too soon.
func (t *Throttle) Look(g Guess) error { return t.take(g, false) }

// Begin says the same when its turn has come. Where wrong ones were before, it is the only
// one until its delay is over, however many come at once.
func (t *Throttle) Begin(g Guess) error { return t.take(g, true) }

func (t *Throttle) take(g Guess, turn bool) error {
	if t.settings.Off || g == (Guess{}) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now, holding := t.settings.Now(), t.holding(g)
	for _, one := range holding {
		one.forgive(now, t.settings.Most)
		if one.wrong >= one.free && now.Before(one.until) {
			return fault.Wrap(fault.Refused, &TooSoon{one.until.Sub(now)}, "too many wrong tries: no other is taken for %s",
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

// End notes how a guess that was begun came out: nil is a login.
func (t *Throttle) End(g Guess, err error) {
	if t.settings.Off || g == (Guess{}) || err != nil && !errors.Is(err, ErrWrong) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.settings.Now()
	name, address, both := g.keys(t.seed)
	if err == nil {
		t.names.Remove(name)
		t.known.Put(both, &tries{free: t.settings.NameTries, since: now})
		return
	}
	t.wrong(t.names, name, t.settings.NameTries, now)
	t.wrong(t.addresses, address, t.settings.AddressTries, now)
	if own, found := t.known.Get(both); found {
		own.add(now, t.settings)
	}
}

func (t *Throttle) wrong(in *recent.Cache[uint64, *tries], key uint64, free int, now time.Time) {
	one, found := in.Get(key)
	if !found {
		one = &tries{free: free, since: now}
		in.Put(key, one)
	}
	one.add(now, t.settings)
}

func (t *tries) add(now time.Time, settings Settings) {
	t.forgive(now, settings.Most)
	if t.wrong == 0 {
		t.since = now
	}
	t.wrong = min(t.wrong+1, t.free+maxWrong)
	t.delay(now, settings)
}

// delay puts the next try off, if there were too many.
func (t *tries) delay(now time.Time, settings Settings) {
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
