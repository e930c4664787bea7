package attack

import (
	"bytes"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// flood does one thing that is allowed, so often that it may become too much for others:
//
//	shares N ACCOUNT   grants to somebody, as large as they may be
//	devices N -        devices of one's own
//	invites N -        invites
//	rooms N NAME       rooms that everybody on the hub sees
//	reads N ACCOUNT    questions for somebody's chain
//	answers N ROOM     the stream's answers, sent into somebody's room (-in: from which room)
//
// It stops where it is refused, and says how far it came; that is no failure.
func flood(c *call) error {
	from := c.flags.String("in", "", "with answers: the room to publish to")
	to := c.flags.String("as", "", "with answers: the account in whose name they come")
	if err := c.parse(3, 3); err != nil {
		return err
	}
	var count int
	if _, err := fmt.Sscan(c.arg(1), &count); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if c.arg(0) == "answers" {
		return c.floodAnswers(count, *from, "room."+c.arg(2)+".say."+*to)
	}
	s, err := me()
	if err != nil {
		return err
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	at, err := where(c.ctx)
	if err != nil {
		return err
	}
	own, err := nc.chainOf(s.account())
	if err != nil {
		return err
	}
	f := &flooding{nc: nc, s: s, hub: at.id}
	f.seq, f.head = end(own)
	for i := range count {
		if err := f.once(c.arg(0), c.arg(2), i); err != nil {
			report("%d went through, then: %v", i, err)
			return nil
		}
	}
	report("%d went through", count)
	return nil
}

// flooding keeps the end of one's own chain.
type flooding struct {
	nc   *line
	s    *self
	hub  string
	seq  uint64
	head event.Hash
}

func (f *flooding) once(what, more string, i int) error {
	switch what {
	case "shares":
		return f.own(chain.Grant, chain.GrantBody{
			Grant: trust.NewID(), Catalog: trust.NewID(), To: more, Sealed: bytes.Repeat([]byte{1}, chain.MaxSealed),
		})
	case "devices":
		now := time.Now()
		key := trust.NewKeyPair(trust.Device)
		token, err := trust.IssueDevice(f.s.identity, key.Public(), fmt.Sprintf("device-%d", i), now, now.Add(time.Hour))
		if err != nil {
			return err
		}
		return f.own(chain.AddDevice, chain.DeviceBody{Token: token.Text})
	case "invites":
		key := trust.NewKeyPair(trust.Device)
		return f.own(chain.Invite, chain.InviteBody{
			Invite: key.String(), Uses: 1, Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second),
		})
	case "rooms":
		room := trust.NewID()
		return f.add(&event.Event{Type: chain.CreateRoom, Subject: chain.RoomSubject(room), Seq: 1, Head: f.head},
			chain.CreateRoomBody{Room: room, Kind: chain.Open, Listed: true, Name: fmt.Sprintf("%s%d", more, i)})
	case "reads":
		var page api.ChainPage
		return f.nc.call("people.chain", api.ChainRequest{Account: more}, &page)
	}
	return fmt.Errorf("%w: there is no flood of %s", errUsage, what)
}

// own appends to one's own chain.
func (f *flooding) own(kind string, body any) error {
	ev := &event.Event{
		Type: kind, Subject: chain.PersonSubject(f.s.account()), Seq: f.seq + 1, Prev: f.head, Head: f.head,
	}
	if err := f.add(ev, body); err != nil {
		return err
	}
	f.seq, f.head = ev.Seq, ev.Hash()
	return nil
}

func (f *flooding) add(ev *event.Event, body any) error {
	var err error
	if ev.Body, err = trust.Canonical(body); err != nil {
		return err
	}
	ev.Author, ev.Audience = f.s.author, f.hub
	if err := ev.Sign(f.s.device); err != nil {
		return err
	}
	var done api.Appended
	return f.nc.call(serviceOf(ev.Type)+".append", ev.Encode(), &done)
}

// floodAnswers publishes to a room of one's own and has the answers go into another.
func (c *call) floodAnswers(count int, from, into string) error {
	s, err := me()
	if err != nil {
		return err
	}
	*c.login = "rooms:" + from
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	for i := range count {
		msg := &nats.Msg{Subject: "room." + from + ".say." + s.account(), Reply: into, Data: []byte("x")}
		if err := nc.PublishMsg(msg); err != nil {
			return err
		}
		if i%500 == 0 {
			if err := nc.settle(); err != nil {
				return err
			}
		}
	}
	report("%d went through", count)
	return nc.settle()
}
