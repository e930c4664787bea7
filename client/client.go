package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// Client is a member's connection to their own account on a hub.
type Client struct {
	profile  *Profile
	at       *discovered
	nc       *nats.Conn   // the person's own account
	outages  *outages     // of nc
	standing *standing    // of nc
	apart    atomic.Int64 // nanoseconds by which the hub's clock was ahead when it last answered
	book     *book
	rooms    *roomBook
	inboxes  *inboxes
}

// Connect connects to the hub that the profile joined.
func Connect(ctx context.Context, p *Profile) (*Client, error) {
	at, err := p.hub(ctx)
	if err != nil {
		return nil, err
	}
	lost, stands := newOutages(), newStanding(turnedAway)
	nc, err := dial(ctx, at, p.Settings.URL, login{
		name: "keyhall " + p.Settings.Device, jwt: p.Settings.Token, key: p.device,
		options: []nats.Option{lost.option()}, persistence: stands.persistence(),
	})
	if err != nil {
		return nil, err
	}
	c := &Client{profile: p, at: at, nc: nc, outages: lost, standing: stands}
	c.book, c.rooms, c.inboxes = newBook(c), newRoomBook(c), &inboxes{nc: nc}
	if err := c.renewToken(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// hub is the hub as the profile knows it, with its addresses looked up anew where it
// answers: NATS may work when the hub's HTTP does not.
func (p *Profile) hub(ctx context.Context) (*discovered, error) {
	known, err := trust.ParseHub(p.Settings.Hub)
	if err != nil {
		return nil, p.damaged(profileFile, err)
	}
	found, err := discover(ctx, p.Settings.URL)
	switch {
	case fault.Is(err, fault.Unavailable):
		found = &discovered{hub: known, operator: p.Settings.Hub, text: p.Settings.Document}
		if err := json.Unmarshal([]byte(p.Settings.Document), &found.document); err != nil {
			return nil, p.damaged(profileFile, err)
		}
		return found, nil
	case err != nil:
		return nil, err
	case found.hub.ID != known.ID:
		return nil, fault.New(fault.Refused,
			"what answers at %s is another hub than the one you joined (%s, then %s); nothing was sent to it",
			p.Settings.URL, short(found.hub.ID), short(known.ID))
	}
	return found, nil
}

// Close ends the connection; what was published is sent first.
func (c *Client) Close() {
	if c.nc.IsConnected() { // one that is gone has nothing left to send, and would be waited for
		_ = c.nc.Flush()
	}
	c.nc.Close()
	c.standing.end()
}

// Whoami says who the profile is.
type Whoami struct {
	Handle      string `json:"handle"`
	Account     string `json:"account"`
	Device      string `json:"device"`
	Fingerprint string `json:"fingerprint"`
}

// Whoami is who the profile is; it needs no hub.
func (p *Profile) Whoami() (Whoami, error) {
	hub, err := trust.ParseHub(p.Settings.Hub)
	if err != nil {
		return Whoami{}, p.damaged(profileFile, err)
	}
	key, err := trust.ParsePublicKey(trust.Account, p.Settings.Account)
	if err != nil {
		return Whoami{}, p.damaged(profileFile, err)
	}
	return Whoami{
		Handle: p.Settings.Handle, Account: p.Settings.Account, Device: p.Settings.Device,
		Fingerprint: trust.Words(hub.ID, key, key),
	}, nil
}

// call asks the hub API, and again when the connection is lost before the answer comes. An
// event that was appended already is refused the second time: see wasAppended.
func (c *Client) call(ctx context.Context, verb string, request, answer any) error {
	err := c.outages.ask(ctx, func(ctx context.Context) error {
		apart, err := ask(ctx, c.nc, "hub."+verb, request, answer)
		c.apart.Store(int64(apart))
		return err
	})
	if reason := c.Err(); err != nil && reason != nil {
		return reason
	}
	return err
}

// ask asks a service of the hub. apart is by how much its clock was ahead of this machine's
// when it answered. What it refuses when the two are too far apart, it refuses for that.
func ask(ctx context.Context, nc *nats.Conn, subject string, request, answer any) (apart time.Duration, err error) {
	at, err := api.Ask(ctx, nc, subject, request, answer)
	if at.IsZero() {
		return 0, err
	}
	apart = time.Until(at)
	if wrong := clocksApart(apart); wrong != nil && fault.Is(err, fault.Refused) {
		err = wrong
	}
	return apart, err
}

// clocksApart is the error of a hub with another time: nobody believes what is signed now.
func clocksApart(apart time.Duration) error {
	if apart.Abs() <= trust.ClockSkew {
		return nil
	}
	return fault.Wrap(fault.Refused, event.ErrTime,
		"the clocks of this machine and of the hub are %s apart; set the wrong one right and try again", apart.Abs().Round(time.Second))
}

// Stats counts what the hub holds, as the hub says.
func (c *Client) Stats(ctx context.Context) (api.Stats, error) {
	var stats api.Stats
	err := c.call(ctx, "stats.get", struct{}{}, &stats)
	return stats, err
}

func (c *Client) hubID() string   { return c.at.hub.ID }
func (c *Client) account() string { return c.profile.Settings.Account }

// short shortens a key for people.
func short(key string) string {
	if len(key) <= 12 {
		return key
	}
	return key[:6] + "…" + key[len(key)-4:]
}

// explain turns the errors of folds and events into sentences.
func explain(err error, what string) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	for _, kind := range []error{
		chain.ErrRefused, chain.ErrContent, chain.ErrPlace,
		event.ErrMalformed, event.ErrBody, event.ErrSignature, event.ErrNotMeant, event.ErrTime,
	} {
		if errors.Is(err, kind) {
			return fault.Wrap(fault.Refused, err, "%s does not verify: %v", what, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}
