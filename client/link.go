package client

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

const (
	linkLife = 10 * time.Minute // of a code
	takeTime = 40 * time.Second // more than the hub keeps somebody waiting
	// noAnswer is the answer that lets nobody in: no box has one byte.
	noAnswer = "\x00"
)

// LinkURL is the link for a link code: the code is in the fragment, which browsers send to no
// server.
func LinkURL(origin, code string) string {
	base, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	link := base.JoinPath("/link")
	link.Fragment = code
	return link.String()
}

// LinkOffer is the side of a link that lets a new device in. Code is shown to the new device,
// or came from there; URL is the same as a link. Whoever has it first asks, and is seen by the
// words.
type LinkOffer struct {
	Code string
	URL  string

	c    *Client
	link *trust.Link
	raw  []byte // what was asked, sealed
	ask  *trust.LinkAsk
}

// LinkAsked is who wants in.
type LinkAsked struct {
	Name   string `json:"name"`   // that the device would like
	Device string `json:"device"` // its key
	Words  string `json:"words"`  // which it shows as well
}

// OfferLink begins to let a new device in: by the code that it shows, or with none, by a code
// that is made here. Only a device that holds the identity can.
func (c *Client) OfferLink(code string) (*LinkOffer, error) {
	if c.profile.identity == nil {
		return nil, fault.New(fault.Refused, "only a device that holds your identity can let another one in")
	}
	link := trust.NewLink(c.hubID())
	if code != "" {
		var err error
		if link, err = trust.ParseLink(c.hubID(), code); err != nil {
			return nil, fault.New(fault.Malformed, "%w", err)
		}
	}
	return &LinkOffer{Code: link.Code(), URL: LinkURL(c.profile.Settings.URL, link.Code()), c: c, link: link}, nil
}

// Await waits until a device asks with the code, ten minutes at most.
func (o *LinkOffer) Await(ctx context.Context) (*LinkAsked, error) {
	ctx, cancel := context.WithTimeout(ctx, linkLife)
	defer cancel()
	for {
		var asked api.LinkAsked
		err := api.CallWithin(ctx, takeTime, o.c.nc, "hub.links.take", api.LinkRequest{Link: o.link.ID()}, &asked)
		switch {
		case ctx.Err() != nil:
			return nil, fault.New(fault.Expired, "nobody has used the code, and it is void now; make another one")
		case fault.Is(err, fault.Unavailable) && o.c.Err() == nil: // the connection may come back
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		case err != nil:
			return nil, err
		}
		if len(asked.Ask) == 0 {
			continue
		}
		o.raw = asked.Ask
		if o.ask, err = o.link.OpenAsk(asked.Ask); err != nil {
			return nil, fault.Wrap(fault.Refused, err, "what asks with this code does not know it; make another one")
		}
		return &LinkAsked{Name: o.ask.Name, Device: o.ask.Device, Words: o.link.Words(o.raw)}, nil
	}
}

// Refuse tells the device that asked that it is not let in.
func (o *LinkOffer) Refuse(ctx context.Context) error { return o.answer(ctx, []byte(noAnswer)) }

// Accept makes the device that asked one of the member's, good for life at most, and hands
// it the keys that open what is sealed for them. The identity stays here.
func (o *LinkOffer) Accept(ctx context.Context, life time.Duration) (*trust.DeviceToken, error) {
	c := o.c
	if life <= 0 || life > MaxDeviceLife {
		return nil, fault.New(fault.Malformed, "a device is good for up to %d days", MaxDeviceLife/(24*time.Hour))
	}
	device, err := trust.ParsePublicKey(trust.Device, o.ask.Device)
	if err != nil {
		return nil, err
	}
	var token *trust.DeviceToken
	_, err = c.append(ctx, "people", chain.AddDevice, func(own *page) (any, error) {
		now := time.Now()
		name := freeName(own, o.ask.Device, o.ask.Name)
		if token, err = trust.IssueDevice(c.profile.identity, device, name, now, now.Add(life)); err != nil {
			return nil, err
		}
		return chain.DeviceBody{Token: token.Text}, nil
	})
	if err != nil {
		return nil, err
	}
	own, err := c.me(ctx)
	if err != nil {
		return nil, err
	}
	answer := trust.LinkAnswer{
		Account: c.account(), Handle: own.Person.Handle, Token: token.Text, Seq: own.Person.Seq, Head: own.Person.Head.String(),
	}
	for _, key := range c.profile.xkeys() {
		answer.XKeys = append(answer.XKeys, string(key.Seed()))
	}
	sealed, err := o.link.SealAnswer(o.raw, o.ask.XKey, answer)
	if err != nil {
		return nil, err
	}
	return token, o.answer(ctx, sealed)
}

func (o *LinkOffer) answer(ctx context.Context, sealed []byte) error {
	return o.c.call(ctx, "links.answer", api.LinkAnswer{Link: o.link.ID(), Answer: sealed}, &api.Done{})
}

// freeName is the name that a new device gets: the one that it would like, with a number
// where the person has another such device.
func freeName(own *page, device, wanted string) string {
	taken := make(map[string]bool)
	for key, fact := range own.Person.Devices {
		if fact.Revoked == 0 && key != device {
			taken[fact.Name] = true
		}
	}
	for n, name := 2, wanted; ; n++ {
		if !taken[name] {
			return name
		}
		tail := "-" + strconv.Itoa(n)
		room := min(len([]rune(wanted)), 32-len(tail))
		name = strings.TrimRight(string([]rune(wanted)[:room]), "-") + tail
	}
}
