package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// ErrFork is the error of a hub that shows a chain with another past than before, or a
// shorter one. Nothing of it is believed.
var ErrFork = errors.New("the hub shows another past than before")

// The ways in which a person's keys became known.
const (
	Self       = "self"
	Invited    = "invited"    // one invited the other: the keys came without the hub
	Verified   = "verified"   // fingerprint words were compared
	Introduced = "introduced" // a chain of invites from somebody the hub's host invited
	Unverified = "unverified" // nobody answers for them: no such chain could be followed
)

// Person is somebody on the hub, verified.
type Person struct {
	Handle  string   `json:"handle"`
	Account string   `json:"account"`
	Known   string   `json:"known"` // how: Self, Invited, Verified, Introduced, Unverified
	Path    []string `json:"path"`  // handles of the inviters, nearest first

	xkey string // what is sealed for the person is sealed to this
}

// Sure reports whether the keys are known without believing the hub or others.
func (p *Person) Sure() bool { return p.Known != Introduced && p.Known != Unverified }

// page is what the profile keeps of somebody's chain.
type page struct {
	Person   chain.Person `json:"person"`
	Shares   chain.Shares `json:"shares"`
	Verified time.Time    `json:"verified,omitzero"` // when fingerprint words were compared
}

// book keeps the verified chains of people and of the hub.
type book struct {
	c *Client

	mu     sync.Mutex
	people map[string]*page  // by account
	pins   map[string]string // account by handle, as they were first seen; nil until they are read
	pinned bool              // some of them are not written down yet
	hub    *chain.Hub
}

func newBook(c *Client) *book {
	return &book{c: c, people: make(map[string]*page)}
}

func pageFile(account string) string { return "people/" + account + ".json" }

// load reads what the profile has of account; an empty page for a stranger.
func (b *book) load(account string) (*page, error) {
	if known := b.people[account]; known != nil {
		return known, nil
	}
	known := new(page)
	if err := b.c.profile.read(pageFile(account), known); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if known.Person.Places == nil {
		known.Person.Places = make(map[event.Hash]uint64)
	}
	b.people[account] = known
	return known, nil
}

// save writes a page, unless another process of this member has written a newer one.
func (b *book) save(account string, known *page) error {
	unlock, err := b.c.profile.lock()
	if err != nil {
		return err
	}
	defer unlock()
	var stored page
	err = b.c.profile.read(pageFile(account), &stored)
	if err == nil && stored.Person.Seq > known.Person.Seq {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if known.Verified.IsZero() {
		known.Verified = stored.Verified
	}
	return b.c.profile.write(pageFile(account), known)
}

// sync brings the chain of account up to date and returns a copy of its page. The newest
// event known is asked for again: a hub that does not show the same one has changed the
// past.
func (b *book) sync(ctx context.Context, account string) (*page, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, err := b.syncLocked(ctx, account)
	if err != nil {
		return nil, err
	}
	return known.clone(), nil
}

// local is a copy of what the profile knows of somebody, nil for a stranger.
func (b *book) local(account string) *page {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, err := b.load(account)
	if err != nil || known.Person.Seq == 0 {
		return nil
	}
	return known.clone()
}

// clone is a copy that later events do not change.
func (p *page) clone() *page {
	copied := *p
	copied.Person.Devices = maps.Clone(p.Person.Devices)
	copied.Person.Invites = maps.Clone(p.Person.Invites)
	copied.Person.Places = maps.Clone(p.Person.Places)
	copied.Shares.Granted = maps.Clone(p.Shares.Granted)
	copied.Shares.Taken = maps.Clone(p.Shares.Taken)
	return &copied
}

// vouch applies a judgement of package chain to the author of ev, with their chain as it is
// known, and once more after bringing it up to date.
func (b *book) vouch(ctx context.Context, ev *event.Event, judge func(*chain.Person) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	account := ev.Author.Text(trust.Account)
	known, err := b.load(account)
	if err != nil {
		return err
	}
	if known.Person.Seq > 0 && judge(&known.Person) == nil {
		return nil
	}
	if known, err = b.syncLocked(ctx, account); err != nil {
		return err
	}
	return judge(&known.Person)
}

// vouchPeer judges the device of the other side of a transfer: it was the author's at the
// head the event names, and it is now. While the hub's services do not answer, what is
// known of the author decides: owner and reader need nothing but NATS.
func (b *book) vouchPeer(ctx context.Context, ev *event.Event) error {
	err := b.vouch(ctx, ev, func(author *chain.Person) error {
		if err := author.VouchedAt(ev); err != nil {
			return err
		}
		return author.Vouches(ev)
	})
	if !fault.Is(err, fault.Unavailable) {
		return err
	}
	known := b.local(ev.Author.Text(trust.Account))
	if known == nil {
		return err
	}
	return known.Person.Vouches(ev)
}

// markVerified notes when fingerprint words were compared. That settles whose handle it is.
func (b *book) markVerified(ctx context.Context, account string, at time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, err := b.syncLocked(ctx, account)
	if err != nil {
		return err
	}
	known.Verified = at
	if err := b.save(account, known); err != nil {
		return err
	}
	return b.settlePin(known.Person.Handle, account)
}

// again folds the chain of account from its beginning: of an event whose body the hub
// withheld, rightly or not, nothing else is kept.
func (b *book) again(ctx context.Context, account string) (*page, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, err := b.load(account)
	if err != nil {
		return nil, err
	}
	fresh := &page{Verified: known.Verified}
	fresh.Person.Places = make(map[event.Hash]uint64)
	for more := true; more; {
		if more, err = b.extend(ctx, account, fresh); err != nil {
			return nil, explain(err, "the chain of "+short(account))
		}
	}
	if fresh.Person.Places[known.Person.Head] != known.Person.Seq {
		return nil, fault.Wrap(fault.Refused, ErrFork,
			"the hub shows another past of the chain of %s than before; do not trust it", short(account))
	}
	b.people[account] = fresh
	return fresh.clone(), b.save(account, fresh)
}

func (b *book) syncLocked(ctx context.Context, account string) (*page, error) {
	if _, err := trust.ParsePublicKey(trust.Account, account); err != nil {
		return nil, fault.New(fault.Malformed, "%q is not an account", short(account))
	}
	known, err := b.load(account)
	if err != nil {
		return nil, err
	}
	before := known.Person.Seq
	for {
		more, err := b.extend(ctx, account, known)
		if err != nil {
			delete(b.people, account) // what was folded half is read again
			return nil, explain(err, "the chain of "+short(account))
		}
		if !more {
			break
		}
	}
	if known.Person.Seq > before {
		return known, b.save(account, known)
	}
	return known, nil
}

// extend folds one page of events from the hub.
func (b *book) extend(ctx context.Context, account string, known *page) (more bool, err error) {
	person := &known.Person
	var answer api.ChainPage
	request := api.ChainRequest{Account: account, After: max(person.Seq, 1) - 1}
	if err := b.c.call(ctx, "people.chain", request, &answer); err != nil {
		return false, err
	}
	entries, err := continued(answer, person.Seq, person.Head, "of "+short(account))
	if err != nil {
		return false, err
	}
	if len(entries) == 0 && person.Seq < answer.Head { // what is known may fill a page
		request.After, answer = person.Seq, api.ChainPage{}
		if err := b.c.call(ctx, "people.chain", request, &answer); err != nil {
			return false, err
		}
		if entries = answer.Events; len(entries) == 0 {
			return false, notWhole("of "+short(account), person.Seq, answer.Head)
		}
	}
	for _, entry := range entries {
		if entry.Withheld && account == b.c.account() {
			return false, fault.New(fault.Refused, "the hub withholds from you what you did yourself; do not trust it")
		}
		if err := known.apply(b.c.hubID(), entry); err != nil {
			return false, err
		}
	}
	if person.Seq == 0 || person.Account != account {
		return false, fmt.Errorf("%w: it is not there", chain.ErrPlace)
	}
	return person.Seq < answer.Head, nil
}

// notWhole is the error of a hub that says there is more of a chain and does not show it.
func notWhole(whose string, seq, head uint64) error {
	return fault.New(fault.Unavailable, "the hub does not show the chain %s to its end (%d of %d events); try again", whose, seq, head)
}

func (p *page) apply(hub string, entry api.Entry) error {
	ev, err := event.Decode(entry.Event)
	if err != nil {
		return err
	}
	if err := p.Person.Apply(hub, ev, entry.Withheld); err != nil {
		return err
	}
	return p.Shares.Apply(ev, entry.Withheld)
}

// continued checks that a page of a chain begins with the newest event that is known and
// returns the ones after it.
func continued(answer api.ChainPage, seq uint64, head event.Hash, whose string) ([]api.Entry, error) {
	if seq == 0 {
		return answer.Events, nil
	}
	if answer.Head < seq || len(answer.Events) == 0 {
		return nil, fault.Wrap(fault.Refused, ErrFork,
			"the hub has rolled the chain %s back (from place %d to %d); do not trust it", whose, seq, answer.Head)
	}
	ev, err := event.Decode(answer.Events[0].Event)
	if err != nil {
		return nil, err
	}
	if ev.Seq != seq || ev.Hash() != head {
		return nil, fault.Wrap(fault.Refused, ErrFork,
			"the hub shows another past of the chain %s: event %s stands where %s was seen; do not trust it",
			whose, short(ev.Hash().String()), short(head.String()))
	}
	return answer.Events[1:], nil
}

// introduction follows the invites from a person back to the hub's host and checks that
// each inviter announced the invite. It returns the inviters' handles, nearest first.
func (b *book) introduction(ctx context.Context, known *page) ([]string, error) {
	path := []string{}
	met := make(map[string]bool)
	for person := &known.Person; person.Inviter != b.c.hubID(); {
		if met[person.Account] {
			return nil, fault.New(fault.Refused, "the invites behind %s go in a circle", known.Person.Handle)
		}
		met[person.Account] = true
		inviter, err := b.load(person.Inviter)
		if err == nil && inviter.Person.Invites[person.Invite] == nil {
			inviter, err = b.syncLocked(ctx, person.Inviter)
		}
		if err != nil {
			return nil, err
		}
		if inviter.Person.Invites[person.Invite] == nil {
			return nil, fault.New(fault.Refused, "%s was not invited by %s", person.Handle, inviter.Person.Handle)
		}
		path, person = append(path, inviter.Person.Handle), &inviter.Person
		if err := b.pin(person.Handle, person.Account); err != nil {
			return nil, err
		}
		if person.Inviter == b.c.hubID() {
			return path, b.checkHostInvite(ctx, person)
		}
	}
	return path, b.checkHostInvite(ctx, &known.Person)
}

func (b *book) checkHostInvite(ctx context.Context, person *chain.Person) error {
	if b.hub == nil || b.hub.Invites[person.Invite] == nil {
		var answer api.ChainPage
		if err := b.c.call(ctx, "people.chain", api.ChainRequest{Account: "hub"}, &answer); err != nil {
			return err
		}
		hub := new(chain.Hub)
		for _, entry := range answer.Events {
			ev, err := event.Decode(entry.Event)
			if err != nil {
				return explain(err, "the hub's chain")
			}
			if err := hub.Apply(b.c.at.hub, ev); err != nil {
				return explain(err, "the hub's chain")
			}
		}
		b.hub = hub
	}
	if b.hub.Invites[person.Invite] == nil {
		return fault.New(fault.Refused, "%s was not invited by the hub's host", person.Handle)
	}
	return nil
}

// person is the verified person with an account, whose handle nobody else had before.
func (b *book) person(ctx context.Context, account string) (*Person, error) {
	person, err := b.meet(ctx, account)
	if err != nil {
		return nil, err
	}
	return person, b.keepPins()
}

// meet is person for one of many: whose handle it is, keepPins writes down afterwards.
func (b *book) meet(ctx context.Context, account string) (*Person, error) {
	person, err := b.look(ctx, account)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return person, b.pin(person.Handle, account)
}

// look is the verified person with an account, which was named by its key.
func (b *book) look(ctx context.Context, account string) (*Person, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, err := b.syncLocked(ctx, account)
	if err != nil {
		return nil, err
	}
	person := &Person{Handle: known.Person.Handle, Account: account, Path: []string{}, xkey: known.Person.XKey, Known: b.how(known)}
	path, err := b.introduction(ctx, known)
	switch {
	case err == nil:
		person.Path = path
	case fault.Is(err, fault.Unavailable) || errors.Is(err, ErrFork):
		return nil, err
	case person.Known == Introduced:
		person.Known = Unverified
	}
	return person, nil
}

// how says how a person's keys became known.
func (b *book) how(known *page) string {
	own := b.people[b.c.account()]
	switch {
	case known.Person.Account == b.c.account():
		return Self
	case !known.Verified.IsZero():
		return Verified
	case own != nil && own.Person.Inviter == known.Person.Account,
		known.Person.Inviter == b.c.account():
		return Invited
	}
	return Introduced
}

// resolve finds a person by handle or account. A handle that was seen before keeps its
// account: handles are never given to another.
func (b *book) resolve(ctx context.Context, who string) (*Person, error) {
	if _, err := trust.ParsePublicKey(trust.Account, who); err == nil {
		return b.look(ctx, who)
	}
	handle, err := trust.Name(who)
	if err != nil {
		return nil, fault.New(fault.Malformed, "%q is neither a handle nor an account: %w", who, err)
	}
	var answer api.Person
	if err := b.c.call(ctx, "people.find", api.FindRequest{Handle: handle}, &answer); err != nil {
		return nil, err
	}
	person, err := b.look(ctx, answer.Account)
	if err != nil {
		return nil, err
	}
	if person.Handle != handle {
		return nil, fault.New(fault.Refused,
			"the hub says that %s is %s, but that account's own name is %s; do not trust it",
			handle, short(answer.Account), person.Handle)
	}
	b.mu.Lock()
	err = b.pin(handle, answer.Account)
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return person, b.keepPins()
}

// head is the newest hash known of somebody's chain.
func (b *book) head(account string) event.Hash {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, err := b.load(account)
	if err != nil {
		return event.Hash{}
	}
	return known.Person.Head
}
