package client

import (
	"context"
	"net/url"
	"slices"
	"time"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// Invitation is an invite as its maker hands it on. Code is a secret.
type Invitation struct {
	Code    string    `json:"code"`
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// InviteURL is the link for an invite: the code is in the fragment, which browsers send
// to no server.
func InviteURL(origin, code string) string {
	base, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	link := base.JoinPath("/join")
	link.Fragment = code
	return link.String()
}

// Invite makes an invite that admits up to uses newcomers until it expires.
func (c *Client) Invite(ctx context.Context, uses int, life time.Duration) (*Invitation, error) {
	if uses < 1 || uses > chain.MaxUses {
		return nil, fault.New(fault.Malformed, "an invite is for 1 to %d people", chain.MaxUses)
	}
	if life < time.Minute || life > chain.MaxInvite {
		return nil, fault.New(fault.Malformed, "an invite lasts from a minute to %d days", chain.MaxInvite/(24*time.Hour))
	}
	inviter, err := trust.ParsePublicKey(trust.Account, c.account())
	if err != nil {
		return nil, err
	}
	invite := trust.NewInvite(c.hubID(), inviter)
	expires := time.Now().Add(life).UTC().Truncate(time.Second)
	_, err = c.append(ctx, "people", chain.Invite, func(*page) (any, error) {
		return chain.InviteBody{Invite: invite.Key().String(), Uses: uses, Expires: expires}, nil
	})
	if err != nil {
		return nil, err
	}
	code := invite.Code()
	return &Invitation{Code: code, URL: InviteURL(c.profile.Settings.URL, code), Expires: expires}, nil
}

// Find is a person by handle or account, verified.
func (c *Client) Find(ctx context.Context, who string) (*Person, error) {
	if _, err := c.me(ctx); err != nil {
		return nil, err
	}
	return c.book.resolve(ctx, who)
}

// People lists everybody on the hub by handle, each verified.
func (c *Client) People(ctx context.Context) ([]*Person, error) {
	if _, err := c.me(ctx); err != nil {
		return nil, err
	}
	var people []*Person
	for after, more := "", true; more; {
		var answer api.PeoplePage
		if err := c.call(ctx, "people.list", api.PeopleRequest{After: after}, &answer); err != nil {
			return nil, err
		}
		for _, one := range answer.People {
			person, err := c.book.meet(ctx, one.Account)
			if err != nil {
				return nil, err
			}
			if person.Handle <= after {
				return nil, fault.New(fault.Refused, "the hub lists %s twice or out of order; do not trust it", person.Handle)
			}
			after = person.Handle
			people = append(people, person)
		}
		more = answer.More && len(answer.People) > 0
	}
	return people, c.book.keepPins()
}

// Words are the fingerprint words that the member and somebody else compare.
func (c *Client) Words(ctx context.Context, who string) (*Person, string, error) {
	person, err := c.Find(ctx, who)
	if err != nil {
		return nil, "", err
	}
	own, err := trust.ParsePublicKey(trust.Account, c.account())
	if err != nil {
		return nil, "", err
	}
	other, err := trust.ParsePublicKey(trust.Account, person.Account)
	if err != nil {
		return nil, "", err
	}
	return person, trust.Words(c.hubID(), own, other), nil
}

// MarkVerified notes that the words were compared and are the same.
func (c *Client) MarkVerified(ctx context.Context, person *Person) error {
	return c.book.markVerified(ctx, person.Account, time.Now().UTC())
}

// Device is a device of the member.
type Device struct {
	Name    string    `json:"name"`
	Key     string    `json:"key"`
	Expires time.Time `json:"expires"`
	Revoked bool      `json:"revoked"`
	This    bool      `json:"this"`
}

// Devices lists the member's devices.
func (c *Client) Devices(ctx context.Context) ([]Device, error) {
	own, err := c.me(ctx)
	if err != nil {
		return nil, err
	}
	var devices []Device
	for key, fact := range own.Person.Devices {
		devices = append(devices, Device{
			Name: fact.Name, Key: key, Expires: fact.Expires, Revoked: fact.Revoked != 0,
			This: key == c.profile.device.String(),
		})
	}
	slices.SortFunc(devices, func(a, b Device) int {
		return int(own.Person.Devices[a.Key].Since) - int(own.Person.Devices[b.Key].Since) //nolint:gosec // places are small
	})
	return devices, nil
}

// AddDevice makes a device with a key of its own and returns its token and seed. Only a
// profile with the identity can.
func (c *Client) AddDevice(ctx context.Context, text string) (*trust.DeviceToken, *trust.KeyPair, error) {
	return c.addDevice(ctx, text, tokenLife)
}

func (c *Client) addDevice(ctx context.Context, text string, life time.Duration) (*trust.DeviceToken, *trust.KeyPair, error) {
	name, err := trust.Name(text)
	if err != nil {
		return nil, nil, fault.New(fault.Malformed, "the device name %q is %w", text, err)
	}
	if c.profile.identity == nil {
		return nil, nil, fault.New(fault.Refused, "only the device that holds your identity can add devices")
	}
	key := trust.NewKeyPair(trust.Device)
	now := time.Now()
	token, err := trust.IssueDevice(c.profile.identity, key.Public(), name, now, now.Add(life))
	if err != nil {
		return nil, nil, err
	}
	_, err = c.append(ctx, "people", chain.AddDevice, func(own *page) (any, error) {
		for _, fact := range own.Person.Devices {
			if fact.Name == name && fact.Revoked == 0 {
				return nil, fault.New(fault.Taken, "you have a device called %s already", name)
			}
		}
		return chain.DeviceBody{Token: token.Text}, nil
	})
	return token, key, err
}

// RevokeDevice ends one of the member's other devices, by name.
func (c *Client) RevokeDevice(ctx context.Context, name string) error {
	_, err := c.append(ctx, "people", chain.RevokeDevice, func(own *page) (any, error) {
		for key, fact := range own.Person.Devices {
			if fact.Name != name || fact.Revoked != 0 {
				continue
			}
			if key == c.profile.device.String() {
				return nil, fault.New(fault.Refused, "this is the device you are using; revoke it from another one")
			}
			return chain.RevokeDeviceBody{Device: key}, nil
		}
		return nil, fault.New(fault.NotFound, "you have no device called %s", name)
	})
	return err
}
