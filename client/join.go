package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// JoinRequest says who wants to join which hub.
type JoinRequest struct {
	URL    string // the hub's HTTP origin
	Invite string // the invite's code
	Handle string // wanted name
	Device string // name of this device
}

// Join becomes a member of a hub: it checks that the hub is the one the invite is for,
// makes keys, and asks to be admitted. The profile in dir is complete when it returns. If
// the hub said no, or did not answer, nothing is left in dir but the keys, which the next
// try uses again: an admission whose answer was lost is not lost.
func Join(ctx context.Context, dir string, r JoinRequest) (*Profile, error) {
	invite, err := trust.ParseInvite(r.Invite)
	if err != nil {
		return nil, fault.New(fault.Malformed, "%w", err)
	}
	handle, err := trust.Name(r.Handle)
	if err != nil {
		return nil, fault.New(fault.Malformed, "the handle %q is %w", r.Handle, err)
	}
	device, err := trust.Name(r.Device)
	if err != nil {
		return nil, fault.New(fault.Malformed, "the device name %q is %w", r.Device, err)
	}
	p := &Profile{dir: dir}
	if err := p.read(profileFile, &p.Settings); err == nil {
		return nil, fault.New(fault.Taken, "%s has already joined a hub as %s; choose another folder with --home or KEYHALL_HOME",
			dir, p.Settings.Handle)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	at, err := discover(ctx, r.URL)
	if err != nil {
		return nil, err
	}
	if trust.Fingerprint(at.hub.ID) != invite.Hub {
		return nil, fault.New(fault.Refused,
			"the hub at %s is not the one this invite is for; nothing was sent to it", r.URL)
	}
	fresh, err := p.makeKeys()
	if err != nil {
		return nil, err
	}
	if !fresh && p.resume(ctx, at, r.URL, device) == nil {
		return p, nil
	}
	return p, p.join(ctx, at, invite, r.URL, handle, device)
}

// resume takes up a join whose admission went through and whose answer was lost: the keys
// open an account already.
func (p *Profile) resume(ctx context.Context, at *discovered, origin, device string) error {
	now := time.Now()
	token, err := trust.IssueDevice(p.identity, p.device.Public(), device, now, now.Add(tokenLife))
	if err != nil {
		return err
	}
	p.settle(at, origin, "", token)
	c, err := Connect(ctx, p)
	if err != nil {
		return err
	}
	defer c.Close()
	own, err := c.me(ctx)
	if err != nil {
		return err
	}
	fact := own.Person.Devices[p.device.String()]
	if fact == nil {
		return fault.New(fault.NotFound, "the account has another first device")
	}
	p.Settings.Handle, p.Settings.Device, p.Settings.Token = own.Person.Handle, fact.Name, fact.Token
	return p.write(profileFile, p.Settings)
}

// settle notes where and who the member is.
func (p *Profile) settle(at *discovered, origin, handle string, token *trust.DeviceToken) {
	p.Settings = Settings{
		URL: origin, Hub: at.operator, Account: p.identity.String(), Handle: handle,
		Device: token.Name, Token: token.Text, Document: at.text,
	}
}

func (p *Profile) join(ctx context.Context, at *discovered, invite *trust.Invite, origin, handle, device string) error {
	now := time.Now()
	token, err := trust.IssueDevice(p.identity, p.device.Public(), device, now, now.Add(tokenLife))
	if err != nil {
		return err
	}
	ev, err := p.admission(at.hub, invite, handle, token)
	if err != nil {
		return err
	}
	if err := p.askAdmission(ctx, at, origin, invite, ev); err != nil {
		return err
	}
	p.settle(at, origin, handle, token)
	if err := p.checkAdmitted(ctx); err != nil {
		return err
	}
	return p.write(profileFile, p.Settings)
}

// makeKeys makes the member's keys, or takes up those that an unfinished join left: fresh
// says which.
func (p *Profile) makeKeys() (fresh bool, err error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return false, fault.Wrap(fault.Internal, err, "the folder %s cannot be made: %v", p.dir, errors.Unwrap(err))
	}
	if content, err := os.ReadDir(p.dir); err == nil && len(content) == 0 {
		_ = os.Chmod(p.dir, 0o700) // an empty folder becomes the member's own; the next line sees
	}
	if err := checkPrivate(p.dir); err != nil {
		return false, err
	}
	for name, make := range map[string]func() []byte{
		identityFile: func() []byte { return trust.NewKeyPair(trust.Account).Seed() },
		deviceFile:   func() []byte { return trust.NewKeyPair(trust.Device).Seed() },
		personFile:   func() []byte { return trust.NewXKey().Seed() },
	} {
		if _, err := os.Stat(p.path(name)); err == nil {
			continue
		}
		if err := writePrivate(p.path(name), make()); err != nil {
			return false, err
		}
		fresh = true
	}
	return fresh, p.readKeys()
}

// admission is the event by which a person begins: signed by the identity, and by the
// invite key that only inviter and joiner can have.
func (p *Profile) admission(hub *trust.Hub, invite *trust.Invite, handle string, token *trust.DeviceToken) (*event.Event, error) {
	key := invite.Key()
	inviter := invite.Inviter.Text(trust.Account)
	if invite.Inviter == hub.Key {
		inviter = hub.ID
	}
	body, err := trust.Canonical(chain.AdmitBody{
		Handle: handle, Account: p.identity.String(), XKey: p.person.String(), Device: token.Text,
		Invite: key.String(), Inviter: inviter,
	})
	if err != nil {
		return nil, err
	}
	ev := &event.Event{
		Author: p.identity.Public(), Type: chain.Admit, Subject: chain.PersonSubject(p.identity.String()),
		Audience: hub.ID, Seq: 1, Body: body,
	}
	if err := ev.Sign(p.identity); err != nil {
		return nil, fmt.Errorf("sign admission: %w", err)
	}
	return ev, ev.CoSign(key)
}

// askAdmission connects as a newcomer, who may do nothing else, and asks.
func (p *Profile) askAdmission(ctx context.Context, at *discovered, origin string, invite *trust.Invite, ev *event.Event) error {
	key := invite.Key()
	nc, err := dial(ctx, at, origin, login{
		name: "keyhall join", user: "admit " + key.String(), jwt: at.document.Sentinel, key: key,
	})
	if err != nil {
		return err
	}
	defer nc.Close()
	var done api.Appended
	_, err = ask(ctx, nc, "admission."+key.String()+".admit", ev.Encode(), &done)
	return err
}

// checkAdmitted logs in with the new account and verifies that the hub's chain of it is
// the one that was just made.
func (p *Profile) checkAdmitted(ctx context.Context) error {
	c, err := Connect(ctx, p)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.me(ctx)
	return err
}
