package attack

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// flood does one thing that is allowed, so often that it may become too much for others:
//
//	shares N ACCOUNT   grants to somebody, as large as they may be
//	devices N -        devices of one's own
//	regrants N ACCOUNT one grant to somebody, again and again
//	invites N -        invites
//	rooms N NAME       rooms that everybody on the hub sees
//	halls N ACCOUNT    rooms, into each of which somebody is let who did not ask
//	questions N ROOM   for its history, none of them waiting for the one before
//	reads N ACCOUNT    questions for somebody's chain
//	opens N A/CID/GRANT  transfers of one catalog
//	subscriptions N LOGIN  on one connection
//	connections N LOGIN    at a time
//	answers N ROOM     the stream's answers, sent into somebody's room (-in: from which room)
//
// It stops where it is refused, and says how far it came; that is no failure.
func flood(c *call) error {
	from := c.flags.String("in", "", "with answers: the room to publish to")
	as := c.flags.String("as", "", "with answers: the account in whose name they come")
	to := c.flags.String("to", "", "with answers: the subject to which they go, instead of a room's")
	if err := c.parse(3, 3); err != nil {
		return err
	}
	var count int
	if _, err := fmt.Sscan(c.arg(1), &count); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	switch c.arg(0) {
	case "answers":
		if *to == "" {
			*to = "room." + c.arg(2) + ".say." + *as
		}
		return c.floodAnswers(count, *from, *to)
	case "questions":
		return c.questions(count, c.arg(2))
	case "subscriptions", "connections":
		return c.crowdNATS(c.arg(0), count, c.arg(2))
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
	case "regrants":
		return f.own(chain.Grant, chain.GrantBody{
			Grant: strings.Repeat("a", 26), Catalog: strings.Repeat("a", 26), To: more, Sealed: []byte{byte(i)},
		})
	case "invites":
		key := trust.NewKeyPair(trust.Device)
		return f.own(chain.Invite, chain.InviteBody{
			Invite: key.String(), Uses: 1, Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second),
		})
	case "rooms":
		room := trust.NewID()
		return f.add(&event.Event{Type: chain.CreateRoom, Subject: chain.RoomSubject(room), Seq: 1, Head: f.head},
			chain.CreateRoomBody{Room: room, Kind: chain.Open, Listed: true, Name: fmt.Sprintf("%s%d", more, i)})
	case "halls":
		return f.hall(trust.NewID(), more)
	case "opens":
		return f.open(more)
	case "reads":
		var page api.ChainPage
		return f.nc.call("people.chain", api.ChainRequest{Account: more}, &page)
	}
	return fmt.Errorf("%w: there is no flood of %s", errUsage, what)
}

// hall makes a sealed room and lets somebody in.
func (f *flooding) hall(room, account string) error {
	subject := chain.RoomSubject(room)
	made := &event.Event{Type: chain.CreateRoom, Subject: subject, Seq: 1, Head: f.head}
	if err := f.add(made, chain.CreateRoomBody{Room: room, Kind: chain.Sealed}); err != nil {
		return err
	}
	return f.add(&event.Event{Type: chain.GrantRoom, Subject: subject, Seq: 2, Prev: made.Hash(), Head: f.head},
		chain.GrantRoomBody{Grant: trust.NewID(), Account: account, Role: chain.Writer})
}

// open opens the listing of OWNER/CATALOG/GRANT.
func (f *flooding) open(what string) error {
	parts := strings.Split(what, "/")
	if len(parts) != 3 {
		return fmt.Errorf("%w: opens of OWNER/CATALOG/GRANT", errUsage)
	}
	a := (&call{flags: flag.NewFlagSet("open", flag.ContinueOnError)}).asking()
	a.owner, a.catalog, a.grant, *a.hub = parts[0], parts[1], parts[2], f.hub
	xkey := trust.NewXKey()
	ev, err := a.event(f.nc, f.s, xkey)
	if err != nil {
		return err
	}
	_, err = a.send(f.nc, ev, xkey)
	return err
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

// crowdNATS opens connections, or makes subscriptions on one of them, and tells how many
// there were at a time: in sixteens, of subscriptions.
func (c *call) crowdNATS(what string, count int, login string) error {
	*c.login = login
	batch := 1
	if what == "subscriptions" {
		batch = 16
	}
	var last *line
	for i := range count {
		var err error
		if last == nil || what == "connections" {
			if last, err = c.dial(); err == nil {
				defer last.Close()
			}
		}
		if err == nil && what == "subscriptions" {
			if _, err = last.SubscribeSync(last.inbox + fmt.Sprintf(".%d", i)); err == nil && i%batch == batch-1 {
				err = last.settle()
			}
		}
		if err != nil {
			report("%d went through, then: %v", i/batch*batch, err)
			return nil
		}
	}
	report("%d went through", count)
	return nil
}

// questions asks for a room's history so many times at once, and tells how many answers of
// each kind came.
func (c *call) questions(count int, room string) error {
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	inbox := nc.NewRespInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	data, err := json.Marshal(api.HistoryRequest{Room: room, Last: true})
	if err != nil {
		return err
	}
	for range count {
		if err := nc.PublishRequest("hub.rooms.history", inbox, data); err != nil {
			return err
		}
	}
	answers := make(map[string]int)
	for range count {
		msg, err := sub.NextMsg(patience)
		if err != nil {
			return fmt.Errorf("%v, then: %w", answers, err)
		}
		kind := msg.Header.Get(micro.ErrorCodeHeader)
		if kind == "" {
			kind = "answered"
		}
		answers[kind]++
	}
	report("%v", answers)
	return nil
}
