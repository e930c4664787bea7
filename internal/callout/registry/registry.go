package registry

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

const (
	maxNotes  = 1 << 20          // connections that are known at a time
	loginTime = 2 * time.Minute  // more than any server waits for a login
	blindLife = 24 * time.Hour   // of what no server speaks of and nothing ends
	goneTime  = 2 * time.Minute  // how long a disconnect is remembered
	afterEnd  = 10 * time.Second // a server ends a connection a moment after its rights do
	judgments = 3                // of one login, while the rules change under it

	missedGone   = 2 // lists that lack a connection before it is taken for gone
	missedSilent = 4 // the same for a server that does not answer
)

// Registry knows connections. The zero value is not ready: see New.
type Registry struct {
	logger *slog.Logger

	mu     sync.Mutex
	notes  map[id]*note
	gone   map[id]time.Time     // disconnects that a list of before may not know yet
	denied map[string]time.Time // names that may not log in, and until when
	rules  uint64               // how often the rules were changed

	current map[string]callout.Backend // by name, once the rules were changed
}

// New makes a registry that knows nobody yet.
func New(logger *slog.Logger) *Registry {
	return &Registry{
		logger: logger, notes: make(map[id]*note), gone: make(map[id]time.Time), denied: make(map[string]time.Time),
	}
}

// Guard is a backend whose logins are noted before the other one judges them, refused while
// their name is denied, and judged anew when the rules were changed meanwhile.
func (r *Registry) Guard(backend callout.Backend) callout.Backend {
	g := &guard{backend, r}
	if explains, is := backend.(callout.Explainer); is {
		return &explainingGuard{g, explains}
	}
	return g
}

type guard struct {
	callout.Backend
	registry *Registry
}

type explainingGuard struct {
	*guard
	callout.Explainer
}

// Guessed implements callout.Guessable.
func (g *guard) Guessed(request *callout.Request) string {
	if guessable, is := g.Backend.(callout.Guessable); is {
		return guessable.Guessed(request)
	}
	return ""
}

// Places implements callout.Bounded.
func (g *guard) Places() int {
	if bounded, is := g.Backend.(callout.Bounded); is {
		return bounded.Places()
	}
	return 0
}

var errChanged = errors.New("the rules were changed")

// Authorize implements callout.Backend.
func (g *guard) Authorize(ctx context.Context, request *callout.Request) (*callout.Grant, error) {
	where := id{request.Server.ID, request.Client.ID}
	for range judgments {
		rules, judge, err := g.registry.begin(where, newNote(request, g.Name(), time.Now()), g.Backend)
		if err != nil {
			return nil, err
		}
		grant, err := judge.Authorize(ctx, request)
		if err != nil || grant == nil {
			g.registry.forget(where)
			return nil, err
		}
		err = g.registry.admit(where, rules, grant)
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return grant, nil
	}
	g.registry.forget(where)
	return nil, fault.New(fault.Unavailable, "the rules change faster than a login is judged by them")
}

// begin notes a login, and says which backend judges it: of the name of mine the one that
// counts now. A client that logs in again on its connection keeps what it has until it is
// judged anew.
func (r *Registry) begin(where id, n *note, mine callout.Backend) (rules uint64, judge callout.Backend, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if judge = mine; r.rules > 0 {
		if judge = r.current[mine.Name()]; judge == nil {
			return 0, nil, fault.New(fault.Refused, "the rules were changed, and logins of this form are not taken any more")
		}
	}
	if before := r.notes[where]; before == nil || !before.closing {
		if before == nil && len(r.notes) >= maxNotes {
			return 0, nil, fault.New(fault.Unavailable, "more connections than can be kept in mind")
		}
		if before != nil && before.judged { // it has what it had until then, and can lose that
			n.Name, n.Account, n.Rule, n.Expires = before.Name, before.Account, before.Rule, before.Expires
			n.rights, n.judged, n.shown, n.Since = before.rights, true, before.shown, before.Since
		}
		r.notes[where] = n
	}
	return r.rules, judge, nil
}

// admit fills in who a login is, unless it has lost its right meanwhile.
func (r *Registry) admit(where id, rules uint64, grant *callout.Grant) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.notes[where]
	until, denied := r.denied[grant.Name]
	switch {
	case n == nil:
		return fault.New(fault.Refused, "the connection has gone meanwhile")
	case rules != r.rules:
		return errChanged
	case n.closing:
		delete(r.notes, where)
		return fault.New(fault.Refused, "the connection was closed by its host")
	case denied && time.Now().Before(until):
		delete(r.notes, where)
		return fault.New(fault.Refused, "logins of this name are denied until %s", until.UTC().Format(time.RFC3339))
	}
	rights := grant.Rights()
	n.Name, n.Account, n.Rule, n.Expires, n.rights, n.judged = grant.Name, grant.Account, grant.Rule, grant.Expires.UTC(), &rights, true
	return nil
}

func (r *Registry) forget(where id) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.notes, where)
}

// Decided takes note of how a login ended. It fits callout.Config.Decided.
func (r *Registry) Decided(d callout.Decision) {
	if !d.Allowed && d.Client.ID != 0 {
		r.forget(id{d.Server.ID, d.Client.ID})
	}
}

// Connected notes a connection of which a server says that it is there.
func (r *Registry) Connected(c Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connected(c, time.Now())
}

func (r *Registry) connected(c Connection, now time.Time) {
	where := id{c.Server, c.Client}
	if _, gone := r.gone[where]; gone {
		return
	}
	if n := r.notes[where]; n != nil {
		n.shown = true
		if n.judged {
			return
		}
	}
	if len(r.notes) < maxNotes {
		r.notes[where] = &note{Connection: c, judged: true, shown: true, noted: now}
	}
}

// Gone forgets a connection that has ended.
func (r *Registry) Gone(server string, client uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.notes, id{server, client})
	r.gone[id{server, client}] = time.Now()
}

// Reconcile takes what the servers said that they have, in answers to one question. A
// connection that is missing again and again is forgotten, and so is one of a server that is
// silent for longer: a list is taken while connections come and go, and may lack one.
func (r *Registry) Reconcile(list []Connection, answered []string, asked time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	there, now := make(map[id]bool, len(list)), time.Now()
	for _, c := range list {
		there[id{c.Server, c.Client}] = true
		r.connected(c, now)
	}
	for where, n := range r.notes {
		settled := n.shown && n.noted.Before(asked) || n.noted.Before(asked.Add(-loginTime))
		if there[where] || !settled {
			n.missed = 0
			continue
		}
		n.missed++
		if n.missed >= missedSilent || n.missed >= missedGone && slices.Contains(answered, where.server) {
			delete(r.notes, where)
		}
	}
}

// Prune forgets what has ended by itself: connections whose rights expired, and logins that
// nobody has heard of again.
func (r *Registry) Prune(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for where, n := range r.notes {
		switch {
		case !n.Expires.IsZero() && now.After(n.Expires.Add(afterEnd)),
			!n.judged && now.After(n.noted.Add(loginTime)),
			!n.shown && n.Expires.IsZero() && now.After(n.noted.Add(blindLife)):
			delete(r.notes, where)
		}
	}
	for where, at := range r.gone {
		if now.After(at.Add(goneTime)) {
			delete(r.gone, where)
		}
	}
	for name, until := range r.denied {
		if !now.Before(until) {
			delete(r.denied, name)
		}
	}
}

// List are the connections for which want is true, in order of names; nil wants all.
func (r *Registry) List(want func(*Connection) bool) []Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Connection
	for _, n := range r.notes {
		if n.judged && (want == nil || want(&n.Connection)) {
			list = append(list, n.Connection)
		}
	}
	slices.SortFunc(list, func(a, b Connection) int {
		return cmpOr(strings.Compare(a.Name, b.Name), a.Since.Compare(b.Since), strings.Compare(a.ID(), b.ID()))
	})
	return list
}

func cmpOr(orders ...int) int {
	for _, order := range orders {
		if order != 0 {
			return order
		}
	}
	return 0
}

// Count is how many connections are known.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.notes)
}

// Deny refuses the logins of a name until a moment. A later one of before stays.
func (r *Registry) Deny(name string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until.After(r.denied[name]) {
		r.denied[name] = until
	}
}

// Denied is until when the logins of a name are refused; zero: they are not.
func (r *Registry) Denied(name string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until := r.denied[name]; time.Now().Before(until) {
		return until
	}
	return time.Time{}
}

// take marks the connections for which want is true as closing and returns them. A login
// that is being judged on one of them is refused.
func (r *Registry) take(want func(*note) bool) []Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Connection
	for _, n := range r.notes {
		if want(n) {
			if !n.closing {
				n.closing, n.marked = true, time.Now()
			}
			list = append(list, n.Connection)
		}
	}
	return list
}

// narrowed marks and returns the connections that the rules do not give any more what they
// have. Logins that are being judged are judged anew. Of whom the backends of before could not
// say by name what they get, nobody can say it now: they keep what they have until it ends.
func (r *Registry) narrowed(ctx context.Context, before, now []callout.Backend) []Connection {
	r.mu.Lock()
	r.rules++
	r.current = make(map[string]callout.Backend)
	for _, backend := range now {
		r.current[backend.Name()] = unguarded(backend)
	}
	var known []note
	for _, n := range r.notes {
		if n.judged && n.rights != nil {
			known = append(known, *n)
		}
	}
	r.mu.Unlock()
	ended := make(map[id]bool)
	for i := range known {
		n := &known[i]
		was, err := explain(ctx, before, n)
		if err != nil || !n.closing && !n.rights.Within(was.Rights()) { // it came by more than its name
			continue
		}
		grant, err := explain(ctx, now, n)
		if err != nil && fault.CodeOf(err) == fault.Unavailable {
			continue
		}
		ended[id{n.Server, n.Client}] = err != nil || grant.Name != n.Name || !n.rights.Within(grant.Rights())
	}
	return r.take(func(n *note) bool { return ended[id{n.Server, n.Client}] })
}

// unguarded is the backend behind a guard.
func unguarded(backend callout.Backend) callout.Backend {
	switch g := backend.(type) {
	case *guard:
		return g.Backend
	case *explainingGuard:
		return g.Backend
	}
	return backend
}

// explain is what the backend that let a connection in would give it.
func explain(ctx context.Context, backends []callout.Backend, n *note) (*callout.Grant, error) {
	for _, backend := range backends {
		if explains, is := backend.(callout.Explainer); is && backend.Name() == n.Backend {
			user := n.User
			if user == "" {
				user = n.Name
			}
			grant, err := explains.Explain(ctx, callout.Query{User: user})
			if err == nil && grant == nil {
				err = fault.New(fault.NotFound, "no grant")
			}
			return grant, err
		}
	}
	return nil, fault.New(fault.NotFound, "no backend explains it")
}
