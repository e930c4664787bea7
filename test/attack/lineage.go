package attack

import (
	"context"
	"fmt"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// lineage admits a line of people of whom each has invited the next, beginning with
// oneself.
func lineage(c *call) error {
	length := 0
	if err := c.parse(2, 2); err != nil {
		return err
	}
	if _, err := fmt.Sscan(c.arg(0), &length); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	last, err := me()
	if err != nil {
		return err
	}
	for i := range length {
		next, err := last.bring(c.ctx, fmt.Sprintf("%s%d", c.arg(1), i))
		if err != nil {
			return fmt.Errorf("number %d: %w", i, err)
		}
		last = &next.self
	}
	report("%d people", length)
	return nil
}

// bring invites somebody and has them admitted.
func (s *self) bring(ctx context.Context, handle string) (*newcomer, error) {
	at, err := where(ctx)
	if err != nil {
		return nil, err
	}
	nc, err := connectTo(at.document.NATS[0], trust.InboxPrefix(s.device.Public()), userJWT(s.settings.Token, s.device))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	invite, err := nc.invite(s, at.id, 1, time.Hour)
	if err != nil {
		return nil, err
	}
	n := newNewcomer(handle)
	fresh := &call{ctx: ctx, login: new("invite:" + invite.Code())}
	honest := &admission{
		code: invite.Code(), cosign: new("invite"), account: new(""), device: new(""), inviter: new(""),
		invite: new(""), age: new(time.Duration(0)), times: new(1), reply: new(""), hub: new(""), handle: handle,
	}
	return n, honest.try(fresh, n)
}

// invite announces an invite on one's own chain.
func (l *line) invite(s *self, hub string, uses int, life time.Duration) (*trust.Invite, error) {
	events, err := l.chainOf(s.account())
	if err != nil {
		return nil, err
	}
	invite := trust.NewInvite(hub, s.author)
	body, err := trust.Canonical(chain.InviteBody{
		Invite: invite.Key().String(), Uses: uses, Expires: time.Now().Add(life).UTC().Truncate(time.Second),
	})
	if err != nil {
		return nil, err
	}
	ev := &event.Event{
		Author: s.author, Type: chain.Invite, Subject: chain.PersonSubject(s.account()), Audience: hub, Body: body,
	}
	ev.Seq, ev.Prev = end(events)
	ev.Seq, ev.Head = ev.Seq+1, ev.Prev
	if err := ev.Sign(s.device); err != nil {
		return nil, err
	}
	var done api.Appended
	return invite, l.call("people.append", ev.Encode(), &done)
}

// brief makes an invite for a hundred that lasts as short as one likes.
func brief(c *call) error {
	if err := c.parse(1, 1); err != nil {
		return err
	}
	life, err := time.ParseDuration(c.arg(0))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
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
	invite, err := nc.invite(s, at.id, 100, life)
	if err != nil {
		return err
	}
	report("%s", fmt.Sprintf(`{"code":%q}`, invite.Code()))
	return nil
}
