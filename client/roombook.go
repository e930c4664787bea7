package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// roomPage is what the profile keeps of a room.
type roomPage struct {
	Room chain.Room            `json:"room"`
	Read uint64                `json:"read"`           // newest sequence that was shown
	Seen map[string]seenRecord `json:"seen,omitempty"` // messages of the last minutes by author and id

	// Heads are the newest places of their own chains that authors have named on the room's.
	Heads map[string]uint64 `json:"heads,omitempty"`

	keys map[string]*event.EpochKey // by epoch
}

// seenRecord is where a message was seen first.
type seenRecord struct {
	Seq uint64    `json:"seq"`
	At  time.Time `json:"at"`
}

// roomBook keeps the verified chains of rooms.
type roomBook struct {
	c *Client

	mu    sync.Mutex
	pages map[string]*roomPage
}

func newRoomBook(c *Client) *roomBook { return &roomBook{c: c, pages: make(map[string]*roomPage)} }

func roomFile(id string) string { return "rooms/" + id + ".json" }

// sync brings the chain of a room up to date; b.mu is held, as for all that follows.
func (b *roomBook) sync(ctx context.Context, id string) (*roomPage, error) {
	if _, err := trust.ParseID(id); err != nil {
		return nil, fault.New(fault.Malformed, "%q is not a room id", short(id))
	}
	known, err := b.load(id)
	if err != nil {
		return nil, err
	}
	before := known.Room.Seq
	for {
		more, err := b.extend(ctx, id, known)
		if err != nil {
			delete(b.pages, id)
			return nil, explain(err, "the chain of room "+short(id))
		}
		if !more {
			break
		}
	}
	if known.Room.Seq > before {
		return known, b.save(id, known)
	}
	return known, nil
}

func (b *roomBook) load(id string) (*roomPage, error) {
	if known := b.pages[id]; known != nil {
		return known, nil
	}
	known := &roomPage{keys: make(map[string]*event.EpochKey)}
	if err := b.c.profile.read(roomFile(id), known); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if known.Room.Places == nil {
		known.Room.Places = make(map[event.Hash]uint64)
	}
	if known.Seen == nil {
		known.Seen = make(map[string]seenRecord)
	}
	if known.Heads == nil {
		known.Heads = make(map[string]uint64)
	}
	b.pages[id] = known
	return known, nil
}

func (b *roomBook) extend(ctx context.Context, id string, known *roomPage) (more bool, err error) {
	room := &known.Room
	var answer api.ChainPage
	request := api.ChainRequest{Room: id, After: max(room.Seq, 1) - 1}
	if err := b.c.call(ctx, "rooms.chain", request, &answer); err != nil {
		return false, err
	}
	entries, err := continued(answer, room.Seq, room.Head, "of room "+short(id))
	if err != nil {
		return false, err
	}
	if len(entries) == 0 && room.Seq < answer.Head { // what is known may fill a page
		request.After, answer = room.Seq, api.ChainPage{}
		if err := b.c.call(ctx, "rooms.chain", request, &answer); err != nil {
			return false, err
		}
		if entries = answer.Events; len(entries) == 0 {
			return false, notWhole("of room "+short(id), room.Seq, answer.Head)
		}
	}
	for _, entry := range entries {
		if err := b.apply(ctx, known, entry); err != nil {
			return false, err
		}
	}
	if room.Seq == 0 || room.ID != id {
		return false, fmt.Errorf("%w: it is not there", chain.ErrPlace)
	}
	return room.Seq < answer.Head, nil
}

// apply folds the next event of a room's chain. Its device was the author's at the head
// that the event names, and was not revoked at one that the author named here before: a
// revoked device cannot add to the chain by naming an old head.
func (b *roomBook) apply(ctx context.Context, known *roomPage, entry api.Entry) error {
	ev, err := event.Decode(entry.Event)
	if err != nil {
		return err
	}
	account, named := ev.Author.Text(trust.Account), uint64(0)
	judge := func(author *chain.Person) error {
		if err := author.VouchedAt(ev); err != nil {
			return err
		}
		device := author.Devices[ev.Device.Text(trust.Device)]
		if device.Revoked != 0 && device.Revoked <= known.Heads[account] {
			return fmt.Errorf("%w: the device was revoked before", chain.ErrRefused)
		}
		named = author.Places[ev.Head]
		return nil
	}
	if err := b.c.book.vouch(ctx, ev, judge); err != nil {
		return err
	}
	if err := known.Room.Apply(b.c.hubID(), ev); err != nil {
		return err
	}
	known.Heads[account] = max(known.Heads[account], named)
	return nil
}

// save writes a page unless another process of this member has a newer one; what was read
// and seen never goes back.
func (b *roomBook) save(id string, known *roomPage) error {
	unlock, err := b.c.profile.lock()
	if err != nil {
		return err
	}
	defer unlock()
	var stored roomPage
	if err := b.c.profile.read(roomFile(id), &stored); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	known.Read = max(known.Read, stored.Read)
	for message, record := range stored.Seen {
		if own, seen := known.Seen[message]; !seen || record.Seq < own.Seq {
			known.Seen[message] = record
		}
	}
	oldest := time.Now().Add(-2 * trust.ClockSkew)
	maps.DeleteFunc(known.Seen, func(_ string, r seenRecord) bool { return r.At.Before(oldest) })
	written := *known
	if stored.Room.Seq > known.Room.Seq {
		written.Room, written.Heads = stored.Room, stored.Heads
	}
	return b.c.profile.write(roomFile(id), &written)
}

// rewind takes what was read back to where a room ends: the hub said once that it went further.
func (b *roomBook) rewind(id string, last uint64) error {
	unlock, err := b.c.profile.lock()
	if err != nil {
		return err
	}
	defer unlock()
	known, err := b.load(id)
	if err != nil {
		return err
	}
	known.Read = last
	return b.c.profile.write(roomFile(id), known)
}

// epochKey is the member's key of an epoch; event.ErrNoKey if it was never theirs.
func (b *roomBook) epochKey(known *roomPage, epoch event.Hash) (*event.EpochKey, error) {
	if key := known.keys[epoch.String()]; key != nil {
		return key, nil
	}
	fact := known.Room.Epochs[epoch.String()]
	if fact == nil || fact.Boxes[b.c.account()] == nil {
		return nil, event.ErrNoKey
	}
	key, err := b.c.profile.openEpoch(known.Room.ID, fact.Commitment, fact.Boxes[b.c.account()])
	if err != nil {
		return nil, err
	}
	known.keys[epoch.String()] = key
	return key, nil
}

// name is the room's name as far as the member can know it, its id otherwise.
func (b *roomBook) name(known *roomPage) string {
	room := &known.Room
	if room.Name != "" {
		return room.Name
	}
	var newest *chain.EpochFact
	name := room.ID
	for hash, fact := range room.Epochs {
		if newest != nil && fact.Number < newest.Number {
			continue
		}
		var epoch event.Hash
		if epoch.UnmarshalText([]byte(hash)) != nil {
			continue
		}
		key, err := b.epochKey(known, epoch)
		if err != nil {
			continue
		}
		if text, err := key.OpenName(room.ID, fact.Name); err == nil && trust.IsName(text) {
			newest, name = fact, text
		}
	}
	return name
}

// newEpoch is the body of an epoch for exactly those entitled now.
func (b *roomBook) newEpoch(ctx context.Context, known *roomPage, name string) (*chain.EpochBody, error) {
	room := &known.Room
	key := event.NewEpochKey()
	body := &chain.EpochBody{
		Number: 1, Previous: room.Current, Commitment: key.Commitment(room.ID), Name: key.SealName(room.ID, name),
	}
	if current := room.Epochs[room.Current.String()]; current != nil {
		body.Number = current.Number + 1
	}
	accounts := room.Entitled(time.Now())
	if len(accounts) > chain.MaxReaders {
		return nil, fault.New(fault.TooLarge, "a sealed room has at most %d members", chain.MaxReaders)
	}
	slices.Sort(accounts)
	for _, account := range accounts {
		person, err := b.c.book.meet(ctx, account)
		if err != nil {
			return nil, err
		}
		box, err := key.BoxFor(person.xkey, room.ID)
		if err != nil {
			return nil, err
		}
		body.Keys = append(body.Keys, chain.EpochBox{Account: account, Key: box})
	}
	return body, b.c.book.keepPins()
}

// append makes an event on a room's chain and has the hub append it; for a chain that has
// moved on it is made again from what body gives then. A nil body means: nothing to do.
func (b *roomBook) append(
	ctx context.Context, id, kind string, body func(context.Context, *roomPage) (any, error),
) (*roomPage, error) {
	for range appendTries {
		known, err := b.sync(ctx, id)
		if err != nil {
			return nil, err
		}
		content, err := body(ctx, known)
		if err != nil || content == nil {
			return known, err
		}
		own, err := b.c.me(ctx)
		if err != nil {
			return nil, err
		}
		room := &known.Room
		ev, err := b.c.sign(kind, chain.RoomSubject(id), room.Seq, room.Head, own.Person.Head, content)
		if err != nil {
			return nil, err
		}
		var done api.Appended
		err = b.c.call(ctx, "rooms.append", ev.Encode(), &done)
		if err != nil && b.wasAppended(ctx, id, ev) {
			err = nil // the answer was lost, not the event
		}
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if kind == chain.LeaveRoom {
			return known, nil // the chain is not ours to read any more
		}
		if known, err = b.sync(ctx, id); err != nil {
			return nil, err
		}
		if known.Room.Places[ev.Hash()] != ev.Seq {
			return nil, notThere("the room")
		}
		return known, nil
	}
	return nil, fault.New(fault.Conflict, "the room changes faster than this could be added; try again")
}

// wasAppended reports whether an event stands on a room's chain. b.mu is held.
func (b *roomBook) wasAppended(ctx context.Context, id string, ev *event.Event) bool {
	known, err := b.sync(ctx, id)
	if err != nil {
		return false
	}
	place, found := known.Room.Places[ev.Hash()]
	return found && place == ev.Seq
}

// current brings the room up to date and begins a new epoch if the readers of the current
// one are not exactly those entitled, or if whoever began it gave us no key of use.
func (b *roomBook) current(ctx context.Context, id string) (*roomPage, error) {
	return b.append(ctx, id, chain.Epoch, func(ctx context.Context, known *roomPage) (any, error) {
		if !known.Room.NeedsEpoch(time.Now()) {
			if _, err := b.epochKey(known, known.Room.Current); err == nil || known.Room.Kind != chain.Sealed {
				return nil, nil
			}
		}
		return b.newEpoch(ctx, known, b.name(known))
	})
}

const namesFile = "rooms/names.json"

// meant is the id of the room that a name means to the member; "" for a name that was
// never used.
func (b *roomBook) meant(name string) (string, error) {
	names := make(map[string]string)
	if err := b.c.profile.read(namesFile, &names); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return names[name], nil
}

// nameToMember is what the member calls a room: as it was called when they first saw it,
// whatever a writer has named it since.
func (b *roomBook) nameToMember(known *roomPage) (string, error) {
	names := make(map[string]string)
	if err := b.c.profile.read(namesFile, &names); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	for name, id := range names {
		if id == known.Room.ID {
			return name, nil
		}
	}
	name := b.name(known)
	if names[name] == "" && name != known.Room.ID {
		return name, b.pin(name, known.Room.ID)
	}
	return name, nil
}

// called is nameToMember for a message, which a profile that cannot be read does not stop.
func (p *roomPage) called(b *roomBook) string {
	name, err := b.nameToMember(p)
	if err != nil {
		return b.name(p)
	}
	return name
}

// pin makes a name mean a room.
func (b *roomBook) pin(name, id string) error {
	unlock, err := b.c.profile.lock()
	if err != nil {
		return err
	}
	defer unlock()
	names := make(map[string]string)
	if err := b.c.profile.read(namesFile, &names); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for other, known := range names {
		if known == id {
			delete(names, other) // a room has one name
		}
	}
	names[name] = id
	return b.c.profile.write(namesFile, names)
}
