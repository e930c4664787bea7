package attack

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// admission is what a newcomer says, and in what it is not honest.
type admission struct {
	cosign  *string
	account *string
	device  *string
	inviter *string
	invite  *string
	age     *time.Duration
	keep    *string
	times   *int
	race    *int
	reply   *string
	hub     *string

	code, handle string
}

func (c *call) admission() *admission {
	return &admission{
		cosign:  c.flags.String("cosign", "invite", "who co-signs: invite, stranger or nobody"),
		account: c.flags.String("account", "", "the account that it says it is for"),
		device:  c.flags.String("device", "", "the device key that it says is the newcomer's"),
		inviter: c.flags.String("inviter", "", "who it says has invited"),
		invite:  c.flags.String("invite", "", "the invite key that it names"),
		age:     c.flags.Duration("age", 0, "how long ago it says it was signed"),
		keep:    c.flags.String("keep", "", "a profile folder for the keys"),
		times:   c.flags.Int("times", 1, "how often to send the same admission"),
		race:    c.flags.Int("race", 1, "how many newcomers try at the same time"),
		reply:   c.flags.String("reply", "", "where the answer is to go"),
		hub:     c.flags.String("for-hub", "", "the hub that it is for"),
	}
}

// newcomer is somebody who asks to be admitted.
type newcomer struct {
	self
	handle string
}

func newNewcomer(handle string) *newcomer {
	identity := trust.NewKeyPair(trust.Account)
	return &newcomer{handle: handle, self: self{
		identity: identity, author: identity.Public(), device: trust.NewKeyPair(trust.Device), person: trust.NewXKey(),
	}}
}

// admit asks to be admitted with an invite. With -race several do at the same time, and
// it tells how many were.
func admit(c *call) error {
	a := c.admission()
	if err := c.parse(2, 2); err != nil {
		return err
	}
	a.code, a.handle = c.arg(0), c.arg(1)
	if *c.login == "own" {
		*c.login = "invite:" + a.code
	}
	if *a.race > 1 {
		return a.compete(c)
	}
	n := newNewcomer(a.handle)
	if *a.keep != "" {
		if err := n.write(*a.keep); err != nil {
			return err
		}
	}
	if err := a.try(c, n); err != nil {
		return err
	}
	report("admitted %s", n.account())
	return nil
}

// compete lets newcomers try at once and tells how many got in. All have connected before
// the first one asks.
func (a *admission) compete(c *call) error {
	var requests []func() error
	for i := range *a.race {
		nc, err := c.dial()
		if err != nil {
			return err
		}
		defer nc.Close()
		ev, err := a.event(c.ctx, newNewcomer(fmt.Sprintf("%s%d", a.handle, i)))
		if err != nil {
			return err
		}
		requests = append(requests, func() error {
			_, err := nc.ask(&nats.Msg{Subject: a.subject(), Data: ev.Encode()})
			return err
		})
	}
	var admitted atomic.Int64
	var done sync.WaitGroup
	for _, request := range requests {
		done.Go(func() {
			if request() == nil {
				admitted.Add(1)
			}
		})
	}
	done.Wait()
	report("%d admitted", admitted.Load())
	return nil
}

// try asks once, or as often as it is told to.
func (a *admission) try(c *call, n *newcomer) error {
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	ev, err := a.event(c.ctx, n)
	if err != nil {
		return err
	}
	if *a.reply != "" {
		if err := nc.PublishRequest(a.subject(), *a.reply, ev.Encode()); err != nil {
			return err
		}
		return nc.settle()
	}
	for range *a.times {
		if _, err = nc.ask(&nats.Msg{Subject: a.subject(), Data: ev.Encode()}); err != nil {
			return err
		}
	}
	return nil
}

func (a *admission) subject() string {
	invite, err := inviteOf(a.code)
	if err != nil {
		return ""
	}
	return "admission." + invite.Key().String() + ".admit"
}

// event is the admission, signed twice.
func (a *admission) event(ctx context.Context, n *newcomer) (*event.Event, error) {
	invite, err := inviteOf(a.code)
	if err != nil {
		return nil, err
	}
	at, err := where(ctx)
	if err != nil {
		return nil, err
	}
	body, err := a.body(n, invite, at.id)
	if err != nil {
		return nil, err
	}
	data, err := trust.Canonical(body)
	if err != nil {
		return nil, err
	}
	ev := &event.Event{
		Author: n.identity.Public(), Type: chain.Admit, Subject: chain.PersonSubject(n.account()),
		Audience: at.id, Seq: 1, Body: data, Time: time.Now().Add(-*a.age),
	}
	if *a.hub != "" {
		ev.Audience = *a.hub
	}
	if err := ev.Sign(n.identity); err != nil {
		return nil, err
	}
	switch *a.cosign {
	case "stranger":
		return ev, ev.CoSign(trust.NewKeyPair(trust.Device))
	case "invite":
		return ev, ev.CoSign(invite.Key())
	}
	return ev, nil
}

func (a *admission) body(n *newcomer, invite *trust.Invite, hub string) (*chain.AdmitBody, error) {
	inviter := invite.Inviter.Text(trust.Account)
	if invite.Inviter.Text(trust.Operator) == hub {
		inviter = hub
	}
	device := n.device.Public()
	if *a.device != "" {
		var err error
		if device, err = trust.ParsePublicKey(trust.Device, *a.device); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	token, err := trust.IssueDevice(n.identity, device, "laptop", now, now.Add(time.Hour))
	if err != nil {
		return nil, err
	}
	body := &chain.AdmitBody{
		Handle: n.handle, Account: n.account(), XKey: n.person.String(), Device: token.Text,
		Invite: invite.Key().String(), Inviter: inviter,
	}
	n.settings.Token = token.Text
	for field, forged := range map[*string]string{
		&body.Account: *a.account, &body.Inviter: *a.inviter, &body.Invite: *a.invite,
	} {
		if forged != "" {
			*field = forged
		}
	}
	return body, nil
}
