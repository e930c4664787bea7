package chain

import (
	"fmt"
	"strings"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// Person is the fold of a person's chain as far as it says who they are: keys, devices
// and invites. Shares folds the rest. The zero value awaits the admission.
type Person struct {
	Account  string                 `json:"account"`
	Handle   string                 `json:"handle"`
	XKey     string                 `json:"xkey"`
	Invite   string                 `json:"invite"`  // the invite key of the admission
	Inviter  string                 `json:"inviter"` // an account, or the hub id
	Admitted time.Time              `json:"admitted"`
	Seq      uint64                 `json:"seq"`
	Head     event.Hash             `json:"head"`
	Devices  map[string]*DeviceFact `json:"devices"`           // by device key
	Invites  map[string]*InviteBody `json:"invites,omitempty"` // by invite key

	// Places maps each hash of the chain to its place. It is kept if it is not nil
	// before the first Apply; VouchedAt needs it.
	Places map[event.Hash]uint64 `json:"places,omitempty"`
}

// DeviceFact is what a chain says of a device.
type DeviceFact struct {
	Name    string    `json:"name"`
	Token   string    `json:"token"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	Since   uint64    `json:"since"` // place at which it was added
	// Narrowed is when the token was issued that ended earlier than the one before it: NATS
	// lets nobody in with one from before.
	Narrowed time.Time `json:"narrowed,omitzero"`
	Revoked  uint64    `json:"revoked,omitempty"` // place at which it was revoked
	Ended    time.Time `json:"ended,omitzero"`    // when the revocation was signed
}

// Apply verifies the next event of the chain and folds it in. Of a share's event the body
// may be withheld. A failed Apply changes nothing.
func (p *Person) Apply(hub string, ev *event.Event, withheld bool) error {
	if withheld && !strings.HasPrefix(ev.Type, "share.") {
		return bad(ev.Type, "its body was withheld")
	}
	if p.Seq == 0 {
		return p.admit(hub, ev)
	}
	if err := place(ev, PersonSubject(p.Account), hub, p.Seq, p.Head); err != nil {
		return err
	}
	if err := check(ev, withheld); err != nil {
		return err
	}
	if err := p.mayAppend(ev); err != nil {
		return err
	}
	if ev.Head != p.Head {
		return fmt.Errorf("%w: its head is not its own chain's", ErrPlace)
	}
	if err := p.fold(ev); err != nil {
		return err
	}
	p.advance(ev)
	return nil
}

func check(ev *event.Event, withheld bool) error {
	if withheld {
		return ev.CheckWithheld()
	}
	return ev.Check()
}

func (p *Person) advance(ev *event.Event) {
	p.Seq, p.Head = ev.Seq, ev.Hash()
	if p.Places != nil {
		p.Places[p.Head] = p.Seq
	}
}

// admit verifies a first event: the identity's own signature, the invite key's
// co-signature, and a first device that the identity vouches for.
func (p *Person) admit(hub string, ev *event.Event) error {
	account := ev.Author.Text(trust.Account)
	if err := place(ev, PersonSubject(account), hub, 0, event.Hash{}); err != nil {
		return err
	}
	if err := ev.Check(); err != nil {
		return err
	}
	if ev.Type != Admit {
		return fmt.Errorf("%w: a person's chain begins with their admission", ErrPlace)
	}
	if ev.Device != ev.Author {
		return fmt.Errorf("%w: an admission is signed by the identity itself", ErrRefused)
	}
	body, err := Parse[AdmitBody](ev)
	if err != nil {
		return err
	}
	token, err := checkAdmission(account, ev, body)
	if err != nil {
		return err
	}
	p.Account, p.Handle, p.XKey = account, body.Handle, body.XKey
	p.Invite, p.Inviter, p.Admitted = body.Invite, body.Inviter, ev.Time
	p.Devices = map[string]*DeviceFact{token.Device.Text(trust.Device): deviceFact(token, ev.Seq)}
	p.advance(ev)
	return nil
}

func checkAdmission(account string, ev *event.Event, body *AdmitBody) (*trust.DeviceToken, error) {
	if body.Account != account {
		return nil, bad(ev.Type, "it names another account")
	}
	if _, err := trust.ParsePublicKey(trust.Account, body.Inviter); err != nil && body.Inviter != ev.Audience {
		return nil, bad(ev.Type, "the inviter is neither a person nor the hub")
	}
	if !ev.Head.IsZero() {
		return nil, fmt.Errorf("%w: an admission has no head", ErrPlace)
	}
	if !trust.IsName(body.Handle) {
		return nil, bad(ev.Type, "the handle is not in normal form")
	}
	if err := trust.CheckXKey(body.XKey); err != nil {
		return nil, bad(ev.Type, "xkey: %v", err)
	}
	invite, err := trust.ParsePublicKey(trust.Device, body.Invite)
	if err != nil {
		return nil, bad(ev.Type, "invite key: %v", err)
	}
	if err := ev.CheckCoSignature(invite); err != nil {
		return nil, err
	}
	return parseOwnToken(ev, body.Device)
}

func parseOwnToken(ev *event.Event, text string) (*trust.DeviceToken, error) {
	token, err := trust.ParseDeviceToken(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContent, err)
	}
	if token.Account != ev.Author {
		return nil, bad(ev.Type, "the device token is another person's")
	}
	return token, nil
}

func deviceFact(t *trust.DeviceToken, place uint64) *DeviceFact {
	return &DeviceFact{Name: t.Name, Token: t.Text, Issued: t.Issued, Expires: t.Expires, Since: place}
}

func (p *Person) fold(ev *event.Event) error {
	switch ev.Type {
	case Invite:
		return p.foldInvite(ev)
	case AddDevice:
		return p.foldDevice(ev)
	case RevokeDevice:
		return p.foldRevocation(ev)
	case RotateXKey:
		return p.foldXKey(ev)
	case Grant, Revoke, Accept, Decline:
		return nil // Shares folds these
	}
	return bad(ev.Type, "unknown kind on a person's chain")
}

func (p *Person) foldInvite(ev *event.Event) error {
	invite, err := Parse[InviteBody](ev)
	if err != nil {
		return err
	}
	if err := checkInvite(ev.Type, invite, ev.Time); err != nil {
		return err
	}
	if p.Invites[invite.Invite] != nil {
		return bad(ev.Type, "the invite key was announced before")
	}
	if len(p.Invites) >= MaxInvites {
		return bad(ev.Type, "more than %d invites", MaxInvites)
	}
	if p.Invites == nil {
		p.Invites = make(map[string]*InviteBody)
	}
	p.Invites[invite.Invite] = invite
	return nil
}

func (p *Person) foldDevice(ev *event.Event) error {
	body, err := Parse[DeviceBody](ev)
	if err != nil {
		return err
	}
	token, err := parseOwnToken(ev, body.Token)
	if err != nil {
		return err
	}
	fact := deviceFact(token, ev.Seq)
	if known := p.Devices[token.Device.Text(trust.Device)]; known != nil {
		if known.Revoked != 0 {
			return bad(ev.Type, "the device was revoked; make a new key")
		}
		// A renewal: what was signed before it stays good.
		fact.Since, fact.Issued = known.Since, known.Issued
		if fact.Narrowed, err = narrowed(ev, known, token); err != nil {
			return err
		}
	} else if len(p.Devices) >= MaxDevices {
		return bad(ev.Type, "more than %d devices", MaxDevices)
	}
	p.Devices[token.Device.Text(trust.Device)] = fact
	return nil
}

// narrowed is from when on tokens of a device are good, once the next one is folded in. One
// that ends earlier takes back those before it, and no older one renews the device again:
// tokens are no secret, and whoever has the key could bring back the longest.
func narrowed(ev *event.Event, known *DeviceFact, next *trust.DeviceToken) (time.Time, error) {
	if next.Issued.Before(known.Narrowed) {
		return known.Narrowed, bad(ev.Type, "the token was taken back by a later one")
	}
	if !next.Expires.Before(known.Expires) {
		return known.Narrowed, nil
	}
	before, err := trust.ParseDeviceToken(known.Token)
	if err != nil {
		return known.Narrowed, err
	}
	if !next.Issued.After(before.Issued) {
		return known.Narrowed, bad(ev.Type, "a token that ends earlier is issued later")
	}
	return next.Issued, nil
}

func (p *Person) foldXKey(ev *event.Event) error {
	body, err := Parse[XKeyBody](ev)
	if err != nil {
		return err
	}
	if err := trust.CheckXKey(body.XKey); err != nil {
		return bad(ev.Type, "xkey: %v", err)
	}
	if body.XKey == p.XKey {
		return bad(ev.Type, "it is the xkey already")
	}
	p.XKey = body.XKey
	return nil
}

func (p *Person) foldRevocation(ev *event.Event) error {
	body, err := Parse[RevokeDeviceBody](ev)
	if err != nil {
		return err
	}
	known := p.Devices[body.Device]
	if known == nil || known.Revoked != 0 {
		return bad(ev.Type, "no such device")
	}
	ended := *known
	ended.Revoked, ended.Ended = ev.Seq, ev.Time
	ended.Token = "" // it opens nothing any more, and takes room
	p.Devices[body.Device] = &ended
	return nil
}

// mayAppend judges who signed an event of this chain: a device of the person's, or the
// identity itself where it adds and revokes devices. Somebody who lost the last device has
// nothing else to sign with. Nowhere but here does the identity speak for itself.
func (p *Person) mayAppend(ev *event.Event) error {
	if ev.Device != ev.Author {
		return p.Vouches(ev)
	}
	switch {
	case ev.Author.Text(trust.Account) != p.Account:
		return fmt.Errorf("%w: another author", ErrRefused)
	case ev.Type != AddDevice && ev.Type != RevokeDevice:
		return fmt.Errorf("%w: the identity itself adds and revokes devices only", ErrRefused)
	}
	return nil
}

// Vouches returns nil if the device that signed ev is the person's own now: after the
// newest event of this fold.
func (p *Person) Vouches(ev *event.Event) error { return p.vouches(ev, p.Seq+1) }

// VouchedAt returns nil if the device that signed ev was the person's own at the
// place on this chain that ev names as its head. It needs Places.
func (p *Person) VouchedAt(ev *event.Event) error {
	at, known := p.Places[ev.Head]
	if !known {
		return fmt.Errorf("%w: it names a head that is not on its author's chain", ErrPlace)
	}
	return p.vouches(ev, at+1)
}

// VouchesForMessage returns nil if the device that signed a room's message is the
// person's own and, where it was revoked, the message is from before: its time is held
// against the stream's by the caller.
func (p *Person) VouchesForMessage(ev *event.Event) error {
	if device := p.Devices[ev.Device.Text(trust.Device)]; device != nil && device.Revoked != 0 {
		if !ev.Time.Before(device.Ended) {
			return fmt.Errorf("%w: the device was revoked", ErrRefused)
		}
		return p.vouches(ev, device.Revoked)
	}
	return p.Vouches(ev)
}

// vouches judges a signature made at the given place of this chain.
func (p *Person) vouches(ev *event.Event, at uint64) error {
	if ev.Author.Text(trust.Account) != p.Account {
		return fmt.Errorf("%w: another author", ErrRefused)
	}
	device := p.Devices[ev.Device.Text(trust.Device)]
	switch {
	case device == nil || device.Since >= at:
		return fmt.Errorf("%w: the device is not the author's", ErrRefused)
	case device.Revoked != 0 && device.Revoked < at:
		return fmt.Errorf("%w: the device was revoked", ErrRefused)
	}
	// The token itself was verified when it was folded in.
	token := trust.DeviceToken{Issued: device.Issued, Expires: device.Expires}
	if err := token.GoodAt(ev.Time); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}
