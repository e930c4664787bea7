package attack

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// asking is an open of somebody's catalog, and in what it is not honest.
type asking struct {
	forged  *forgery
	through *string
	named   *string
	life    *time.Duration
	times   *int
	out     *string
	until   *string
	hub     *string
	replay  *bool
	index   *int
	count   *int
	keep    *string
	use     *string

	owner, catalog, grant, entry string
}

// request is seal.Request without its checks.
type wish struct {
	Hub   string `json:"hub"`
	Grant string `json:"grant"`
	Entry string `json:"entry"`
	XKey  string `json:"xkey"`
}

func (c *call) asking() *asking {
	return &asking{
		forged:  c.forgery(),
		through: c.flags.String("through", "", "the subject to ask on"),
		named:   c.flags.String("named", "", "the subject that the open names"),
		life:    c.flags.Duration("life", 30*time.Second, "how long the open claims to live"),
		times:   c.flags.Int("times", 1, "how often to send the same open; the last answer counts"),
		out:     c.flags.String("out", "", "read the content into this file"),
		until:   c.flags.String("until", "", "after the first block wait for this file to be there"),
		hub:     c.flags.String("for-hub", "", "the hub that the request names"),
		replay:  c.flags.Bool("replay", false, "send the read of the first block a second time"),
		index:   c.flags.Int("index", -1, "read this block alone"),
		count:   c.flags.Int("count", 1, "with -index: how often"),
		keep:    c.flags.String("keep", "", "write what opens the transfer to this file"),
		use:     c.flags.String("use", "", "read with what such a file holds, instead of opening a transfer"),
	}
}

// open asks an owner for an entry of a catalog, the listing if it is left out.
func open(c *call) error {
	a := c.asking()
	if err := c.parse(3, 4); err != nil {
		return err
	}
	a.owner, a.catalog, a.grant, a.entry = c.arg(0), c.arg(1), c.arg(2), c.arg(3)
	s, err := me()
	if err != nil {
		return err
	}
	at, err := where(c.ctx)
	if err != nil {
		return err
	}
	if *a.hub == "" {
		*a.hub = at.id
	}
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	if *a.use != "" {
		return a.readAsAnother(nc)
	}
	xkey := trust.NewXKey()
	ev, err := a.event(nc, s, xkey)
	if err != nil {
		return err
	}
	var answer *seal.Answer
	for range *a.times {
		if answer, err = a.send(nc, ev, xkey); err != nil {
			return err
		}
	}
	report("opened %d bytes", answer.Size)
	if *a.keep != "" {
		return keepTicket(*a.keep, ticket{ev.SignedHash(), *answer})
	}
	if *a.index >= 0 {
		return a.readBlock(nc, ticket{ev.SignedHash(), *answer})
	}
	if *a.out == "" {
		return nil
	}
	return a.read(c, nc, ev, answer)
}

// event is the signed and boxed open.
func (a *asking) event(nc *line, s *self, xkey *trust.XKey) (*event.Event, error) {
	if *a.through == "" {
		*a.through = "from." + a.owner + "." + a.catalog + ".open"
	}
	if *a.named == "" {
		*a.named = "catalog." + s.account() + "." + a.catalog + ".open"
	}
	var owner api.Person
	if err := nc.call("people.find", api.FindRequest{Account: a.owner}, &owner); err != nil {
		return nil, err
	}
	own, err := nc.chainOf(s.account())
	if err != nil {
		return nil, err
	}
	ev := &event.Event{
		Author: s.author, Type: "transfer.open", Subject: *a.named, Audience: a.owner,
	}
	_, ev.Head = end(own)
	if err := a.forged.alter(ev); err != nil {
		return nil, err
	}
	signer, err := a.forged.signer(s)
	if err != nil {
		return nil, err
	}
	ev.NotAfter = ev.Time.Add(*a.life)
	if err := ev.Stamp(signer.Public()); err != nil {
		return nil, err
	}
	body, err := trust.Canonical(wish{*a.hub, a.grant, a.entry, xkey.String()})
	if err != nil {
		return nil, err
	}
	binding := bytes.Join([][]byte{ev.ID[:], ev.Author[:], ev.Device[:]}, nil)
	if ev.Body, err = trust.Box(owner.XKey, "open", binding, body); err != nil {
		return nil, err
	}
	return ev, ev.Sign(signer)
}

// send sends an open and reads its answer.
func (a *asking) send(nc *line, ev *event.Event, xkey *trust.XKey) (*seal.Answer, error) {
	msg, err := nc.ask(&nats.Msg{Subject: *a.through, Data: ev.Encode()})
	if err != nil {
		return nil, err
	}
	box, reason, err := seal.ParseAnswerMessage(msg.Data)
	switch {
	case err != nil:
		return nil, err
	case reason != nil:
		return nil, fmt.Errorf("%w in the clear: %s: %s", errRefused, reason.Code, reason.Message)
	}
	hash := ev.SignedHash()
	signed, err := trust.Unbox(xkey, "answer", hash[:], box)
	if err != nil {
		return nil, err
	}
	reply, err := event.Decode(signed)
	if err != nil {
		return nil, err
	}
	if reply.Type == "transfer.refusal" {
		refusal, err := seal.ParseRefusal(reply.Body)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s: %s", errRefused, refusal.Code, refusal.Message)
	}
	answer, err := seal.ParseAnswer(reply.Body)
	return &answer, err
}

// read pulls the content block by block.
func (a *asking) read(c *call, nc *line, ev *event.Event, answer *seal.Answer) error {
	keys := seal.DeriveKeys(answer.Key, ev.SignedHash())
	id, err := trust.ParseID(answer.Transfer)
	if err != nil {
		return err
	}
	subject := "from." + a.owner + "." + a.catalog + ".read." + answer.Node
	var content []byte
	for i := range seal.Blocks(answer.Size) {
		index := uint32(i) //nolint:gosec // the tests' own small files
		ask, err := keys.SealRead(nil, id, seal.Read{Counter: uint64(i) + 1, Indexes: []uint32{index}})
		if err != nil {
			return err
		}
		if *a.replay {
			if _, err := nc.ask(&nats.Msg{Subject: subject, Data: ask}); err != nil {
				return err
			}
		}
		msg, err := nc.ask(&nats.Msg{Subject: subject, Data: ask})
		if err != nil {
			return err
		}
		data, err := a.block(keys, id, answer.Size, index, msg.Data)
		if err != nil {
			return err
		}
		content = append(content, data...)
		report("block %d", i)
		if i == 0 && *a.until != "" {
			if err := c.waitFor(*a.until); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(*a.out, content, 0o600)
}

func (a *asking) block(keys *seal.Keys, id [16]byte, size int64, index uint32, msg []byte) ([]byte, error) {
	answer, err := seal.ParseReply(msg)
	if err != nil {
		return nil, err
	}
	switch answer.Kind {
	case seal.KindRefusal:
		reason, err := keys.OpenRefusal(id, uint64(index)+1, msg)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("read %w: %s: %s", errRefused, reason.Code, reason.Message)
	case seal.KindPlainRefusal:
		return nil, fmt.Errorf("read %w in the clear: %s", errRefused, answer.Reason.Message)
	}
	data, _, err := keys.OpenBlock(nil, id, size, index, msg)
	return data, err
}

// waitFor waits until a file is there.
func (c *call) waitFor(path string) error {
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
