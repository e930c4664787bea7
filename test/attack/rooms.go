package attack

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// hall is a room as the attacker knows it: folded without asking who signed.
type hall struct {
	chain.Room
	events []*event.Event
}

func (l *line) hall(id, hub string) (*hall, error) {
	events, err := l.chainOf(id)
	if err != nil {
		return nil, err
	}
	h := &hall{events: events}
	for _, ev := range events {
		if err := h.Apply(hub, ev); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// key is the attacker's key of an epoch.
func (h *hall) key(s *self, epoch event.Hash) (*event.EpochKey, error) {
	fact := h.Epochs[epoch.String()]
	if fact == nil || fact.Boxes[s.account()] == nil {
		return nil, event.ErrNoKey
	}
	return event.OpenEpochKey(s.person, h.ID, fact.Commitment, fact.Boxes[s.account()])
}

// first is the oldest epoch whose key the attacker has.
func (h *hall) first(s *self) (event.Hash, *event.EpochKey, error) {
	for _, ev := range h.events {
		if ev.Type != chain.Epoch {
			continue
		}
		if key, err := h.key(s, ev.Hash()); err == nil {
			return ev.Hash(), key, nil
		}
	}
	return event.Hash{}, nil, event.ErrNoKey
}

// epochFlags say what is wrong with an epoch.
type epochFlags struct {
	spoil *string
	only  *bool
	name  *string
}

// newEpoch begins an epoch, as every writer may: honest but for what the flags say.
func newEpoch(c *call) error {
	f := c.forgery()
	e := epochFlags{
		spoil: c.flags.String("spoil", "", "the account whose box holds rubbish"),
		only:  c.flags.Bool("only", false, "nobody else gets the key"),
		name:  c.flags.String("name", "general", "the room's name in it"),
	}
	if err := c.parse(1, 1); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	at, err := where(c.ctx)
	if err != nil {
		return err
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	h, err := nc.hall(c.arg(0), at.id)
	if err != nil {
		return err
	}
	body, err := nc.epochBody(s, h, e)
	if err != nil {
		return err
	}
	ev, err := nc.next(c, s, chain.RoomSubject(h.ID), h.ID, chain.Epoch, body)
	if err != nil {
		return err
	}
	return nc.submit(s, f, ev, "rooms")
}

func (l *line) epochBody(s *self, h *hall, e epochFlags) ([]byte, error) {
	key := event.NewEpochKey()
	body := chain.EpochBody{
		Number: 1, Previous: h.Current, Commitment: key.Commitment(h.ID), Name: key.SealName(h.ID, *e.name),
	}
	if current := h.Epochs[h.Current.String()]; current != nil {
		body.Number = current.Number + 1
	}
	accounts := h.Entitled(time.Now())
	slices.Sort(accounts)
	for _, account := range accounts {
		if *e.only && account != s.account() {
			continue
		}
		var person api.Person
		if err := l.call("people.find", api.FindRequest{Account: account}, &person); err != nil {
			return nil, err
		}
		box, err := key.BoxFor(person.XKey, h.ID)
		if err != nil {
			return nil, err
		}
		if account == *e.spoil {
			box = []byte("rubbish")
		}
		body.Keys = append(body.Keys, chain.EpochBox{Account: account, Key: box})
	}
	return trust.Canonical(body)
}

// message is what say sends, and how.
type message struct {
	forged  *forgery
	subject *string
	old     *bool
	times   *int
	header  headers
	hub     *string
	reply   *string
	raw     *bool
	epoch   *string
}

func (c *call) message() *message {
	m := &message{
		forged:  c.forgery(),
		subject: c.flags.String("subject", "", "the account in whose name to publish"),
		old:     c.flags.Bool("old", false, "under the room's first epoch and head"),
		times:   c.flags.Int("times", 1, "how often to publish the same bytes"),
		header:  headers{},
		hub:     c.flags.String("hub", "", "the data folder of a hub that is in league"),
		reply:   c.flags.String("reply", "", "where the stream's answer is to go"),
		raw:     c.flags.Bool("raw", false, "publish the text as it is"),
		epoch:   c.flags.String("epoch", "", "a file to keep the room's chain in, or to take it from"),
	}
	c.flags.Var(m.header, "header", "a header")
	return m
}

// say publishes a message to a room.
func say(c *call) error {
	m := c.message()
	if err := c.parse(2, 2); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	if *m.subject == "" {
		*m.subject = s.account()
	}
	data := []byte(c.arg(1))
	if !*m.raw {
		if data, err = m.seal(c, s, c.arg(0)); err != nil {
			return err
		}
	}
	nc, err := m.dial(c)
	if err != nil {
		return err
	}
	defer nc.Close()
	subject := "room." + c.arg(0) + ".say." + *m.subject
	for range *m.times {
		if err := m.publish(nc, subject, data); err != nil {
			return err
		}
	}
	return nil
}

// dial connects to ROOMS: by oneself, or with the keys of a hub that is in league.
func (m *message) dial(c *call) (*line, error) {
	if *m.hub != "" {
		return inLeague(c.ctx, *m.hub)
	}
	if *c.login == "own" {
		*c.login = "rooms:" + c.arg(0)
	}
	return c.dial()
}

func (m *message) publish(nc *line, subject string, data []byte) error {
	msg := m.header.on(&nats.Msg{Subject: subject, Data: data, Reply: *m.reply})
	if *m.reply != "" {
		if err := nc.PublishMsg(msg); err != nil {
			return err
		}
		return nc.settle()
	}
	answer, err := nc.ask(msg)
	if err != nil {
		return err
	}
	if strings.Contains(string(answer.Data), `"error"`) {
		return fmt.Errorf("%w: %s", errRefused, answer.Data)
	}
	report("stored %s", answer.Data)
	return nil
}

// seal makes the message's event. What it needs to know of the room is asked in one's own
// account, or taken from what was kept when one was still allowed to.
func (m *message) seal(c *call, s *self, room string) ([]byte, error) {
	at, err := where(c.ctx)
	if err != nil {
		return nil, err
	}
	h, err := m.know(c, room, at.id)
	if err != nil {
		return nil, err
	}
	ev := &event.Event{
		Author: s.author, Type: "room.message", Subject: "room." + room + ".say." + *m.subject,
		Audience: at.id, Head: h.Head,
	}
	text, err := argument(c.arg(1))
	if err != nil {
		return nil, err
	}
	if ev.Body, err = trust.Canonical(struct {
		Text string `json:"text"`
	}{strings.TrimSuffix(string(text), "\n")}); err != nil {
		return nil, err
	}
	if err := m.forged.alter(ev); err != nil {
		return nil, err
	}
	signer, err := m.forged.signer(s)
	if err != nil {
		return nil, err
	}
	if h.Kind == chain.Sealed {
		if err := m.sealBody(s, h, ev, signer); err != nil {
			return nil, err
		}
	}
	if err := ev.Sign(signer); err != nil {
		return nil, err
	}
	return ev.Encode(), nil
}

func (m *message) sealBody(s *self, h *hall, ev *event.Event, signer *trust.KeyPair) error {
	epoch, key := h.Current, (*event.EpochKey)(nil)
	var err error
	if *m.old {
		epoch, key, err = h.first(s)
		ev.Head = epoch
	} else {
		key, err = h.key(s, epoch)
	}
	if errors.Is(err, event.ErrNoKey) { // an outsider makes one up
		key, err = event.NewEpochKey(), nil
	}
	if err != nil {
		return fmt.Errorf("epoch key: %w", err)
	}
	return ev.Seal(key, epoch, signer.Public(), ev.Body)
}
