package client

import (
	"context"
	"time"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// MaxDeviceLife is how long a device's token may be good.
const MaxDeviceLife = tokenLife

// AddDeviceFor is AddDevice with a token that is good for life, MaxDeviceLife at most.
func (c *Client) AddDeviceFor(ctx context.Context, text string, life time.Duration) (*trust.DeviceToken, *trust.KeyPair, error) {
	if life <= 0 || life > MaxDeviceLife {
		return nil, nil, fault.New(fault.Malformed, "a device is good for up to %d days", MaxDeviceLife/(24*time.Hour))
	}
	return c.addDevice(ctx, text, life)
}

// ReissueDevice ends what a device of this name could do, and makes it anew with another key,
// good for life. The old key is revoked first: whoever has its creds is put out and not let
// in again. What fails behind that can be tried again, as often as it takes.
func (c *Client) ReissueDevice(ctx context.Context, text string, life time.Duration) (*trust.DeviceToken, *trust.KeyPair, error) {
	if c.profile.identity == nil {
		return nil, nil, fault.New(fault.Refused, "only the device that holds your identity can add devices")
	}
	name, err := trust.Name(text)
	if err != nil {
		return nil, nil, fault.New(fault.Malformed, "the device name %q is %w", text, err)
	}
	if life <= 0 || life > MaxDeviceLife {
		return nil, nil, fault.New(fault.Malformed, "a device is good for up to %d days", MaxDeviceLife/(24*time.Hour))
	}
	devices, err := c.Devices(ctx)
	if err != nil {
		return nil, nil, err
	}
	known, active := false, false
	for _, d := range devices {
		known, active = known || d.Name == name, active || (d.Name == name && !d.Revoked)
	}
	if !known {
		return nil, nil, fault.New(fault.NotFound, "you have no device called %s", name)
	}
	if active {
		if err := c.RevokeDevice(ctx, name); err != nil {
			return nil, nil, err
		}
	}
	return c.addDevice(ctx, name, life)
}
