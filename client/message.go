package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

const (
	messageType = "room.message"
	maxText     = 32 << 10 // bytes of a message's text
)

// Message is a verified message of a room.
type Message struct {
	Room   string    `json:"room"` // its name
	Seq    uint64    `json:"seq"`
	Author string    `json:"author"` // handle
	Time   time.Time `json:"time"`
	Text   string    `json:"text"`
	ID     string    `json:"id"`
}

// messageBody is the plaintext of a message.
type messageBody struct {
	Text string `json:"text"`
}

// check keeps the bounds of a text: whoever wrote it may have kept none.
func (b *messageBody) check() error {
	if b.Text == "" || len(b.Text) > maxText {
		return fmt.Errorf("%w: a message of %d bytes; it has 1 to %d", chain.ErrContent, len(b.Text), maxText)
	}
	return nil
}

// errDuplicate is the error of a message that stands in the room a second time.
var errDuplicate = errors.New("message was seen before")

// History reads the newest messages of a room, oldest first. Messages that do not
// verify, or that are sealed under a key the member never had, are left out; skipped says
// why, one error for each.
func (c *Client) History(ctx context.Context, room string, limit int) (messages []Message, skipped []error, err error) {
	found, err := c.findRoom(ctx, room)
	if err != nil {
		return nil, nil, err
	}
	var history api.History
	request := api.HistoryRequest{Room: found.ID, Last: true, Limit: limit}
	if err := c.call(ctx, "rooms.history", request, &history); err != nil {
		return nil, nil, err
	}
	if err := checkHistory(found.Room, request, &history); err != nil {
		return nil, nil, err
	}
	c.rooms.mu.Lock()
	defer c.rooms.mu.Unlock()
	known, err := c.rooms.sync(ctx, found.ID)
	if err != nil {
		return nil, nil, err
	}
	known.unsee(history.Messages)
	for _, entry := range history.Messages {
		message, err := c.rooms.open(ctx, known, entry, false)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("message %d: %w", entry.Seq, err))
			continue
		}
		messages = append(messages, *message)
	}
	known.Read = max(known.Read, history.Through)
	return messages, skipped, c.rooms.save(found.ID, known)
}

// checkHistory refuses an answer that does not fit together: messages out of order, or
// beyond what it says to hold.
func checkHistory(room string, request api.HistoryRequest, history *api.History) error {
	before := request.After
	for _, entry := range history.Messages {
		if entry.Seq <= before || entry.Seq > history.Through {
			return unfit(room)
		}
		before = entry.Seq
	}
	if history.Through > max(history.Last, request.After) {
		return unfit(room)
	}
	return nil
}

func unfit(room string) error {
	return fault.New(fault.Refused, "what the hub shows of %s does not fit together; do not trust it", room)
}

// judged says how what is said in a room is judged.
type judged struct {
	kind    string
	subject func(room, account string) string
	stored  time.Time       // when it was stored, or came
	live    bool            // it came just now: its author must be entitled now as well
	may     func(Role) bool // who may say it
}

// judge verifies what was said in a room and opens it. b.mu is held.
func (b *roomBook) judge(ctx context.Context, known *roomPage, ev *event.Event, by judged) ([]byte, *roomPage, error) {
	account := ev.Author.Text(trust.Account)
	if err := ev.Meant(by.kind, by.subject(known.Room.ID, account), b.c.hubID()); err != nil {
		return nil, nil, err
	}
	if err := ev.Check(); err != nil {
		return nil, nil, err
	}
	if apart := ev.Time.Sub(by.stored).Abs(); apart > trust.ClockSkew {
		return nil, nil, fmt.Errorf("%w: it is %s away from when it was stored", event.ErrTime, apart.Round(time.Second))
	}
	if err := b.c.book.vouch(ctx, ev, func(author *chain.Person) error { return author.VouchesForMessage(ev) }); err != nil {
		return nil, nil, err
	}
	known, err := b.entitled(ctx, known, ev, by)
	if err != nil {
		return nil, nil, err
	}
	plaintext, err := b.plaintext(known, ev)
	return plaintext, known, err
}

// open verifies a message of a room and opens it. live says that it came just now. b.mu is
// held.
func (b *roomBook) open(ctx context.Context, known *roomPage, entry api.Entry, live bool) (*Message, error) {
	ev, err := event.Decode(entry.Event)
	if err != nil {
		return nil, err
	}
	path := judged{kind: messageType, subject: saySubject, stored: entry.Time, live: live, may: Role.MayWrite}
	plaintext, known, err := b.judge(ctx, known, ev, path)
	if err != nil {
		return nil, err
	}
	body := new(messageBody)
	if err := trust.ParseCanonical(plaintext, body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	if err := known.see(ev, entry); err != nil {
		return nil, err
	}
	author, err := b.c.book.person(ctx, ev.Author.Text(trust.Account))
	if err != nil {
		return nil, err
	}
	return &Message{
		Room: known.called(b), Seq: entry.Seq, Author: author.Handle, Time: ev.Time, Text: body.Text, ID: ev.ID.String(),
	}, nil
}

// entitled checks that the author might say it at the head that it names and, live, at the
// newest head. An unknown head is fetched.
func (b *roomBook) entitled(ctx context.Context, known *roomPage, ev *event.Event, by judged) (*roomPage, error) {
	if _, found := known.Room.Places[ev.Head]; !found {
		var err error
		if known, err = b.sync(ctx, known.Room.ID); err != nil {
			return nil, err
		}
	}
	room := &known.Room
	place, found := room.Places[ev.Head]
	if !found {
		return nil, fmt.Errorf("%w: it names a head that the room never had", chain.ErrPlace)
	}
	account := ev.Author.Text(trust.Account)
	role, _ := room.RoleAt(account, place, ev.Time)
	if by.live && by.may(role) {
		role, _ = room.RoleOf(account, time.Now())
	}
	if !by.may(role) {
		return nil, fmt.Errorf("%w: its author may not write in this room", chain.ErrRefused)
	}
	return known, nil
}

func (b *roomBook) plaintext(known *roomPage, ev *event.Event) ([]byte, error) {
	room := &known.Room
	if room.Kind == chain.Open {
		if !ev.Epoch.IsZero() {
			return nil, fmt.Errorf("%w: a sealed message in an open room", chain.ErrContent)
		}
		return ev.Body, nil
	}
	fact := room.Epochs[ev.Epoch.String()]
	if fact == nil {
		return nil, fmt.Errorf("%w: it names an epoch that the room never had", chain.ErrPlace)
	}
	if fact.Boxes[ev.Author.Text(trust.Account)] == nil {
		return nil, fmt.Errorf("%w: its author is no reader of the epoch", chain.ErrRefused)
	}
	key, err := b.epochKey(known, ev.Epoch)
	if err != nil {
		return nil, err
	}
	return ev.Open(key)
}

// see refuses a message that its author has said before, under the same id, at a lower
// sequence: the first one counts, whichever is read first. What another said under that id
// is another message.
func (p *roomPage) see(ev *event.Event, entry api.Entry) error {
	key := seenKey(ev)
	if record, seen := p.Seen[key]; seen && record.Seq < entry.Seq {
		return errDuplicate
	}
	p.Seen[key] = seenRecord{Seq: entry.Seq, At: entry.Time}
	return nil
}

// unsee forgets where messages stood that the hub shows once more, of the past: one that it
// has numbered wrongly before is not taken for its own repetition.
func (p *roomPage) unsee(entries []api.Entry) {
	for _, entry := range entries {
		if ev, err := event.Decode(entry.Event); err == nil {
			delete(p.Seen, seenKey(ev))
		}
	}
}

func seenKey(ev *event.Event) string { return ev.Author.Text(trust.Account) + "." + ev.ID.String() }

// compose makes a message for a room, sealed under the current epoch. b.mu is held.
func (b *roomBook) compose(ctx context.Context, id, text string) (*event.Event, error) {
	if err := (&messageBody{text}).check(); err != nil {
		return nil, fault.Wrap(fault.TooLarge, err, "a message has 1 to %d bytes", maxText)
	}
	known, err := b.sync(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := clocksApart(time.Duration(b.c.apart.Load())); err != nil {
		return nil, err // it would be stored, and believed by nobody
	}
	if role, _ := known.Room.RoleOf(b.c.account(), time.Now()); !role.MayWrite() {
		return nil, fault.New(fault.Refused, "you may read in this room, not write")
	}
	if known, err = b.current(ctx, id); err != nil {
		return nil, err
	}
	ev := &event.Event{Type: messageType, Subject: saySubject(id, b.c.account())}
	return ev, b.finish(known, ev, messageBody{text})
}

// finish makes an event one of the member's in a room, with a body that is sealed where the
// room is, and signs it. b.mu is held.
func (b *roomBook) finish(known *roomPage, ev *event.Event, body any) error {
	author, err := trust.ParsePublicKey(trust.Account, b.c.account())
	if err != nil {
		return err
	}
	plaintext, err := trust.Canonical(body)
	if err != nil {
		return err
	}
	room := &known.Room
	ev.Author, ev.Audience, ev.Head, ev.Body = author, b.c.hubID(), room.Head, plaintext
	if room.Kind == chain.Sealed {
		key, err := b.epochKey(known, room.Current)
		if err != nil {
			return err
		}
		if err := ev.Seal(key, room.Current, b.c.profile.device.Public(), plaintext); err != nil {
			return err
		}
	}
	return ev.Sign(b.c.profile.device)
}

func saySubject(room, account string) string { return "room." + room + ".say." + account }
