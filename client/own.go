package client

import (
	"context"
	"fmt"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

const (
	appendTries = 8                   // how often an event is made anew for a chain that moved on
	renewWhen   = 90 * 24 * time.Hour // left of a device token when it is renewed
	tokenLife   = 365 * 24 * time.Hour
	ownChain    = "own.chain" // carries new events of a person to their other devices
)

// me is the page of the member's own chain, up to date.
func (c *Client) me(ctx context.Context) (*page, error) { return c.book.sync(ctx, c.account()) }

// sign makes the next event of a chain whose newest place and hash are given, by this
// device, now.
func (c *Client) sign(kind, subject string, seq uint64, prev, head event.Hash, body any) (*event.Event, error) {
	return c.signBy(c.profile.device, kind, subject, seq, prev, head, body)
}

// signBy is sign with another key than the device's.
func (c *Client) signBy(
	key *trust.KeyPair, kind, subject string, seq uint64, prev, head event.Hash, body any,
) (*event.Event, error) {
	author, err := trust.ParsePublicKey(trust.Account, c.account())
	if err != nil {
		return nil, err
	}
	data, err := trust.Canonical(body)
	if err != nil {
		return nil, err
	}
	ev := &event.Event{
		Author: author, Type: kind, Subject: subject, Audience: c.hubID(),
		Seq: seq + 1, Prev: prev, Head: head, Body: data,
	}
	if err := ev.Sign(key); err != nil {
		return nil, fmt.Errorf("sign %s: %w", kind, err)
	}
	return ev, nil
}

// append makes an event on the member's own chain and has the service append it. If the
// chain has moved on, the event is made again on the new head, from what body gives then.
func (c *Client) append(ctx context.Context, service, kind string, body func(*page) (any, error)) (*event.Event, error) {
	return c.appendBy(ctx, c.profile.device, service, kind, body)
}

// appendBy is append with an event that another key than the device's signs.
func (c *Client) appendBy(
	ctx context.Context, key *trust.KeyPair, service, kind string, body func(*page) (any, error),
) (*event.Event, error) {
	for range appendTries {
		own, err := c.me(ctx)
		if err != nil {
			return nil, err
		}
		content, err := body(own)
		if err != nil {
			return nil, err
		}
		subject := chain.PersonSubject(c.account())
		ev, err := c.signBy(key, kind, subject, own.Person.Seq, own.Person.Head, own.Person.Head, content)
		if err != nil {
			return nil, err
		}
		if kind == chain.Revoke {
			c.tellOwn(ev) // serving ends before the hub knows, and whether it answers or not
		}
		var done api.Appended
		err = c.call(ctx, service+".append", ev.Encode(), &done)
		if err != nil && c.wasAppended(ctx, ev) {
			err = nil // the answer was lost, not the event
		}
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		own, err = c.me(ctx)
		if err != nil {
			return nil, err
		}
		if own.Person.Places[ev.Hash()] != ev.Seq {
			return nil, notThere("your chain")
		}
		c.tellOwn(ev)
		return ev, nil
	}
	return nil, fault.New(fault.Conflict, "your chain changes faster than this could be added; try again")
}

// notThere is the error of an event that the hub says it has appended and does not show.
func notThere(where string) error {
	return fault.New(fault.Refused, "the hub says that it has done this, but %s does not show it; do not rely on it", where)
}

// wasAppended reports whether an event stands on the member's chain.
func (c *Client) wasAppended(ctx context.Context, ev *event.Event) bool {
	own, err := c.me(ctx)
	return err == nil && own.Person.Places[ev.Hash()] == ev.Seq
}

// tellOwn shows an event to the member's other programs at once: a device that serves a
// catalog then refuses what a revocation ends, without asking the hub.
func (c *Client) tellOwn(ev *event.Event) {
	_ = c.nc.Publish(ownChain, ev.Encode()) // the hub's ledger tells them in any case
}

// renewToken renews the device's token while there is time, where the identity is here.
func (c *Client) renewToken(ctx context.Context) error {
	token, err := trust.ParseDeviceToken(c.profile.Settings.Token)
	if err != nil {
		return c.profile.damaged(profileFile, err)
	}
	now := time.Now()
	if c.profile.identity == nil || token.Expires.Sub(now) > renewWhen {
		return nil
	}
	fresh, err := trust.IssueDevice(c.profile.identity, token.Device, token.Name, now, now.Add(tokenLife))
	if err != nil {
		return err
	}
	_, err = c.append(ctx, "people", chain.AddDevice, func(*page) (any, error) {
		return chain.DeviceBody{Token: fresh.Text}, nil
	})
	if err != nil {
		return err
	}
	c.profile.Settings.Token = fresh.Text
	return c.profile.write(profileFile, c.profile.Settings)
}
