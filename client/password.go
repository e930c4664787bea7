package client

import (
	"context"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// SetPassword leaves a sealed backup of everything that is the member at the hub, which their
// name and this password open in any browser. The hub learns neither the password nor what is
// in the backup. An earlier password is void from then on. Only a device that holds the
// identity can.
func (c *Client) SetPassword(ctx context.Context, password string) (time.Time, error) {
	return c.SetPasswordAt(ctx, password, trust.NewPasswordCost())
}

// SetPasswordAt is SetPassword at a cost of the caller's choice.
func (c *Client) SetPasswordAt(ctx context.Context, password string, cost trust.PasswordCost) (time.Time, error) {
	if c.profile.identity == nil {
		return time.Time{}, fault.New(fault.Refused, "only a device that holds your identity can set a password")
	}
	yields, err := trust.DerivePassword(c.hubID(), password, cost)
	if err != nil {
		return time.Time{}, fault.New(fault.Malformed, "%w", err)
	}
	_, text, err := c.backupText(ctx, event.MaxLogin)
	if err != nil {
		return time.Time{}, err
	}
	blob := yields.Seal(c.hubID(), c.profile.identity.Public(), text)
	return c.putLogin(ctx, event.Login{Password: &event.PasswordBody{
		Salt: cost.Salt[:], Memory: cost.Memory, Passes: cost.Passes, Verifier: yields.VerifierHash(), Blob: blob,
	}})
}

// RemovePassword takes the password away: nobody gets in by it any more.
func (c *Client) RemovePassword(ctx context.Context) error {
	if c.profile.identity == nil {
		return fault.New(fault.Refused, "only a device that holds your identity can take the password away")
	}
	_, err := c.putLogin(ctx, event.Login{Remove: &event.RemoveBody{}})
	return err
}

// PasswordSet is when the member's password was set, as the hub says; zero for none.
func (c *Client) PasswordSet(ctx context.Context) (time.Time, error) {
	var state api.LoginState
	err := c.call(ctx, "logins.state", struct{}{}, &state)
	return state.Password, err
}

// putLogin signs a login and leaves it at the hub.
func (c *Client) putLogin(ctx context.Context, login event.Login) (time.Time, error) {
	var state api.LoginState
	if err := c.call(ctx, "logins.state", struct{}{}, &state); err != nil {
		return time.Time{}, err
	}
	at := time.Now()
	if state.Changed.After(at.Add(trust.ClockSkew)) { // one of then could not be replaced until then
		return time.Time{}, fault.New(fault.Refused, "the hub says that your password was set in the future; check both clocks")
	}
	if !at.Truncate(time.Millisecond).After(state.Changed) {
		at = state.Changed.Add(time.Millisecond) // the clock of the device before was ahead of this one
	}
	ev, err := event.NewLogin(c.hubID(), c.profile.identity, at, login)
	if err != nil {
		return time.Time{}, err
	}
	return ev.Time, c.call(ctx, "logins.put", ev.Encode(), &api.Appended{})
}
