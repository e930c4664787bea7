package chain

import (
	"fmt"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// Room is the fold of a room's chain. The zero value awaits its creation.
type Room struct {
	ID      string                `json:"id"`
	Kind    string                `json:"kind"`
	Listed  bool                  `json:"listed"`
	Name    string                `json:"name,omitempty"` // of listed and open rooms
	Creator string                `json:"creator"`
	Seq     uint64                `json:"seq"`
	Head    event.Hash            `json:"head"`
	Members map[string][]*Span    `json:"members"`          // by account, oldest span first
	Epochs  map[string]*EpochFact `json:"epochs,omitempty"` // by hash, in hex
	Current event.Hash            `json:"current,omitzero"` // the current epoch

	// Places maps each hash of the chain to its place. It is kept if it is not nil
	// before the first Apply.
	Places map[event.Hash]uint64 `json:"places,omitempty"`
}

// Span is a stretch of places of the chain during which an account has a role.
type Span struct {
	Role    Role      `json:"role"`
	Since   uint64    `json:"since"`
	Until   uint64    `json:"until,omitempty"` // place at which it ended
	Expires time.Time `json:"expires,omitzero"`
}

// EpochFact is what the chain says of an epoch.
type EpochFact struct {
	Number     int               `json:"number"`
	Place      uint64            `json:"place"`
	Commitment event.Hash        `json:"commitment"`
	Boxes      map[string][]byte `json:"boxes"` // readers by account, each with their box
	Name       []byte            `json:"name"`
}

// Apply verifies the next event of the chain, but for whether the device is the author's
// (Person.Vouches), and folds it in. A failed Apply changes nothing.
func (r *Room) Apply(hub string, ev *event.Event) error {
	if r.Seq == 0 {
		return r.create(hub, ev)
	}
	if err := place(ev, RoomSubject(r.ID), hub, r.Seq, r.Head); err != nil {
		return err
	}
	if err := ev.Check(); err != nil {
		return err
	}
	if err := r.fold(ev); err != nil {
		return err
	}
	r.advance(ev)
	return nil
}

func (r *Room) advance(ev *event.Event) {
	r.Seq, r.Head = ev.Seq, ev.Hash()
	if r.Places != nil {
		r.Places[r.Head] = r.Seq
	}
}

func (r *Room) create(hub string, ev *event.Event) error {
	body, err := Parse[CreateRoomBody](ev)
	if err != nil {
		return err
	}
	if err := place(ev, RoomSubject(body.Room), hub, 0, event.Hash{}); err != nil {
		return err
	}
	if err := ev.Check(); err != nil {
		return err
	}
	named := body.Listed || body.Kind == Open
	switch _, err := trust.ParseID(body.Room); {
	case ev.Type != CreateRoom:
		return fmt.Errorf("%w: a room's chain begins with its creation", ErrPlace)
	case err != nil:
		return bad(ev.Type, "room: %v", err)
	case body.Kind != Sealed && body.Kind != Open:
		return bad(ev.Type, "unknown kind of room")
	case named != (body.Name != "") || (named && !trust.IsName(body.Name)):
		return bad(ev.Type, "listed and open rooms have a name, others keep theirs sealed")
	}
	r.ID, r.Kind, r.Listed, r.Name = body.Room, body.Kind, body.Listed, body.Name
	r.Creator = ev.Author.Text(trust.Account)
	r.Members = map[string][]*Span{r.Creator: {{Role: Moderator, Since: ev.Seq}}}
	r.advance(ev)
	return nil
}

func (r *Room) fold(ev *event.Event) error {
	author := ev.Author.Text(trust.Account)
	role, _ := r.RoleOf(author, ev.Time)
	switch ev.Type {
	case GrantRoom, RevokeRoom:
		if role != Moderator {
			return fmt.Errorf("%w: only moderators let people in and out", ErrRefused)
		}
		if ev.Type == GrantRoom {
			return r.foldGrant(ev)
		}
		return r.foldRevocation(ev)
	case LeaveRoom:
		return r.foldLeave(ev, author)
	case Epoch:
		if !role.MayWrite() {
			return fmt.Errorf("%w: only writers begin an epoch", ErrRefused)
		}
		return r.foldEpoch(ev)
	}
	return bad(ev.Type, "unknown kind on a room's chain")
}

func (r *Room) foldGrant(ev *event.Event) error {
	body, err := Parse[GrantRoomBody](ev)
	if err != nil {
		return err
	}
	if err := checkShareKeys(ev.Type, body.Grant, body.Account); err != nil {
		return err
	}
	handed := !body.Epoch.IsZero()
	switch {
	case !body.Role.valid():
		return bad(ev.Type, "unknown role")
	case body.Account == r.Creator:
		return bad(ev.Type, "the room's creator is its moderator always")
	case !wholeSecond(body.Expires) || (!body.Expires.IsZero() && !body.Expires.After(ev.Time)):
		return bad(ev.Type, "it expires before it begins")
	case handed != (len(body.Key) > 0) || len(body.Key) > MaxSealed:
		return bad(ev.Type, "an epoch is handed over with its key")
	case handed && body.Epoch != r.Current:
		return bad(ev.Type, "it hands over an epoch that is not the current one")
	}
	if r.spans() >= MaxSpans {
		return bad(ev.Type, "people were let in more than %d times; open a new room", MaxSpans)
	}
	r.end(body.Account, ev.Seq)
	r.Members[body.Account] = append(r.Members[body.Account],
		&Span{Role: body.Role, Since: ev.Seq, Expires: body.Expires})
	if handed {
		r.Epochs[r.Current.String()].Boxes[body.Account] = body.Key
	}
	return nil
}

func (r *Room) foldRevocation(ev *event.Event) error {
	body, err := Parse[RevokeRoomBody](ev)
	if err != nil {
		return err
	}
	if body.Account == r.Creator {
		return bad(ev.Type, "the room's creator cannot be removed")
	}
	if !r.end(body.Account, ev.Seq) {
		return bad(ev.Type, "no such member")
	}
	return nil
}

func (r *Room) foldLeave(ev *event.Event, author string) error {
	if _, err := Parse[LeaveRoomBody](ev); err != nil {
		return err
	}
	if author == r.Creator {
		return bad(ev.Type, "the room's creator stays")
	}
	if !r.end(author, ev.Seq) {
		return bad(ev.Type, "no such member")
	}
	return nil
}

func (r *Room) spans() int {
	count := 0
	for _, spans := range r.Members {
		count += len(spans)
	}
	return count
}

// end closes the account's standing span, if there is one.
func (r *Room) end(account string, place uint64) bool {
	spans := r.Members[account]
	if len(spans) == 0 || spans[len(spans)-1].Until != 0 {
		return false
	}
	spans[len(spans)-1].Until = place
	return true
}

func (r *Room) foldEpoch(ev *event.Event) error {
	body, err := Parse[EpochBody](ev)
	if err != nil {
		return err
	}
	number := 0
	if current := r.Epochs[r.Current.String()]; current != nil {
		number = current.Number
	}
	switch {
	case r.Kind != Sealed:
		return bad(ev.Type, "an open room is not sealed")
	case body.Number != number+1 || body.Previous != r.Current:
		return fmt.Errorf("%w: epoch %d after %d", ErrPlace, body.Number, number)
	case body.Commitment.IsZero():
		return bad(ev.Type, "no commitment")
	case len(body.Keys) == 0 || len(body.Keys) > MaxReaders:
		return bad(ev.Type, "an epoch has 1 to %d readers", MaxReaders)
	case len(body.Name) == 0 || len(body.Name) > MaxSealed:
		return bad(ev.Type, "sealed name of %d bytes", len(body.Name))
	}
	boxes, err := r.epochBoxes(ev, body.Keys)
	if err != nil {
		return err
	}
	if r.Epochs == nil {
		r.Epochs = make(map[string]*EpochFact)
	}
	r.Current = ev.Hash()
	r.Epochs[r.Current.String()] = &EpochFact{
		Number: body.Number, Place: ev.Seq, Commitment: body.Commitment, Boxes: boxes, Name: body.Name,
	}
	return nil
}

// epochBoxes checks that the readers of a new epoch are members, in order, once each.
func (r *Room) epochBoxes(ev *event.Event, keys []EpochBox) (map[string][]byte, error) {
	boxes := make(map[string][]byte, len(keys))
	previous := ""
	for _, box := range keys {
		if box.Account <= previous {
			return nil, bad(ev.Type, "readers out of order")
		}
		if role, _ := r.RoleOf(box.Account, ev.Time); role == "" {
			return nil, bad(ev.Type, "a reader is not a member")
		}
		if len(box.Key) == 0 || len(box.Key) > MaxSealed {
			return nil, bad(ev.Type, "box of %d bytes", len(box.Key))
		}
		previous, boxes[box.Account] = box.Account, box.Key
	}
	return boxes, nil
}

// RoleOf is the account's role after the newest event, by the clock at; "" and false for
// somebody who has no grant. In an open room everybody without one is a writer.
func (r *Room) RoleOf(account string, at time.Time) (Role, bool) {
	return r.RoleAt(account, r.Seq, at)
}

// RoleAt is RoleOf at an earlier place of the chain.
func (r *Room) RoleAt(account string, place uint64, at time.Time) (Role, bool) {
	for _, span := range r.Members[account] {
		if span.Since <= place && (span.Until == 0 || place < span.Until) &&
			(span.Expires.IsZero() || at.Before(span.Expires)) {
			return span.Role, true
		}
	}
	if r.Kind == Open {
		return Writer, false
	}
	return "", false
}

// Entitled lists the accounts that have a grant now, by the clock at.
func (r *Room) Entitled(at time.Time) []string {
	var accounts []string
	for account := range r.Members {
		if _, member := r.RoleOf(account, at); member {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

// NeedsEpoch reports whether the readers of the current epoch are not exactly those who
// are entitled now: whoever wants to send begins a new epoch first.
func (r *Room) NeedsEpoch(at time.Time) bool {
	if r.Kind != Sealed {
		return false
	}
	current := r.Epochs[r.Current.String()]
	if current == nil {
		return true
	}
	entitled := r.Entitled(at)
	if len(entitled) != len(current.Boxes) {
		return true
	}
	for _, account := range entitled {
		if current.Boxes[account] == nil {
			return true
		}
	}
	return false
}

// ForgetPast drops what only readers of old messages need: all epochs but the current one.
func (r *Room) ForgetPast() {
	for hash := range r.Epochs {
		if hash != r.Current.String() {
			delete(r.Epochs, hash)
		}
	}
}

// Expires is when the account's standing grant ends, the zero time for never.
func (r *Room) Expires(account string) time.Time {
	spans := r.Members[account]
	if len(spans) == 0 || spans[len(spans)-1].Until != 0 {
		return time.Time{}
	}
	return spans[len(spans)-1].Expires
}
