package chain

import (
	"fmt"
	"strings"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// World is the fold of the hub's and everybody's chains together: what holds across
// chains, such as who has a handle, which invites are open, and which accepted shares
// are still granted. The zero value is not ready; see NewWorld.
type World struct {
	hub     *trust.Hub
	Hub     Hub
	People  map[string]*Person
	Shares  map[string]*Shares
	handles map[string]string // handle → account
	devices map[string]string // device key → account that named it first
	used    map[string]int    // invite key → admissions
	places  bool
}

// NewWorld is the world of a hub before its first event.
func NewWorld(hub *trust.Hub) *World {
	return &World{
		hub: hub, People: make(map[string]*Person), Shares: make(map[string]*Shares),
		handles: make(map[string]string), devices: make(map[string]string), used: make(map[string]int),
	}
}

// KeepPlaces makes people who are admitted from now on remember every place of their
// chains, which Person.VouchedAt needs.
func (w *World) KeepPlaces() { w.places = true }

// Apply verifies the ledger's next event and folds it in; rooms do not concern it. A
// failed Apply changes nothing: the event is as if it had not been made.
func (w *World) Apply(ev *event.Event) error {
	if ev.Subject == HubSubject {
		return w.Hub.Apply(w.hub, ev)
	}
	account, found := strings.CutPrefix(ev.Subject, personSubject)
	if !found {
		return nil
	}
	person, known := w.People[account]
	if !known {
		return w.admit(ev)
	}
	if err := w.checkDevice(ev, account); err != nil {
		return err
	}
	shares := w.Shares[account]
	if strings.HasPrefix(ev.Type, "share.") {
		shares = shares.clone() // folded before the event is judged, and kept only if it holds
	}
	if err := shares.Apply(ev, false); err != nil {
		return err
	}
	if err := person.Apply(w.hub.ID, ev, false); err != nil {
		w.Shares[account].Seq = person.Seq
		return err
	}
	w.Shares[account] = shares
	w.noteDevices(person)
	return nil
}

// checkDevice refuses a device key that somebody else has named before: whose a device
// is must not depend on who is asked.
func (w *World) checkDevice(ev *event.Event, account string) error {
	device, named := NamedDevice(ev)
	if owner := w.devices[device]; named && owner != "" && owner != account {
		return ErrDeviceTaken
	}
	return nil
}

func (w *World) noteDevices(person *Person) {
	for device := range person.Devices {
		if w.devices[device] == "" {
			w.devices[device] = person.Account
		}
	}
}

// NamedDevice is the device key that an event makes its author's, if it does.
func NamedDevice(ev *event.Event) (device string, named bool) {
	var text string
	switch ev.Type {
	case Admit:
		if body, err := Parse[AdmitBody](ev); err == nil {
			text = body.Device
		}
	case AddDevice:
		if body, err := Parse[DeviceBody](ev); err == nil {
			text = body.Token
		}
	}
	token, err := trust.ParseDeviceToken(text)
	if err != nil {
		return "", false
	}
	return token.Device.Text(trust.Device), true
}

func (w *World) admit(ev *event.Event) error {
	if err := w.CheckAdmission(ev); err != nil {
		return err
	}
	person := new(Person)
	if w.places {
		person.Places = make(map[event.Hash]uint64)
	}
	if err := person.Apply(w.hub.ID, ev, false); err != nil {
		return err
	}
	w.People[person.Account] = person
	w.Shares[person.Account] = &Shares{Seq: 1}
	w.handles[person.Handle] = person.Account
	w.used[person.Invite]++
	w.noteDevices(person)
	return nil
}

// CheckAdmission verifies an admission against everything it depends on: its own
// signatures, the invite, and the handle.
func (w *World) CheckAdmission(ev *event.Event) error {
	person := new(Person)
	if err := person.Apply(w.hub.ID, ev, false); err != nil {
		return err
	}
	if _, known := w.People[person.Account]; known {
		return fmt.Errorf("%w: the account was admitted before", ErrPlace)
	}
	if err := w.CheckInvite(person.Invite, person.Inviter, ev.Time); err != nil {
		return err
	}
	if w.handles[person.Handle] != "" {
		return ErrTaken
	}
	return w.checkDevice(ev, person.Account)
}

// ErrDeviceTaken is the error of a device key that is somebody else's already.
var ErrDeviceTaken = fmt.Errorf("%w: the device is somebody else's", ErrRefused)

// ErrTaken is the error of an admission whose handle belongs to somebody.
var ErrTaken = fmt.Errorf("%w: the handle is taken", ErrRefused)

// ErrInvite is the error of an admission whose invite does not hold.
var ErrInvite = fmt.Errorf("%w: the invite does not hold", ErrRefused)

// CheckInvite reports whether the invite key was announced by inviter and may admit one
// more at the given time.
func (w *World) CheckInvite(key, inviter string, at time.Time) error {
	invites := w.Hub.Invites
	if inviter != w.hub.ID {
		by := w.People[inviter]
		if by == nil {
			return fmt.Errorf("%w: nobody knows its inviter", ErrInvite)
		}
		invites = by.Invites
	}
	invite := invites[key]
	switch {
	case invite == nil:
		return fmt.Errorf("%w: its inviter did not announce it", ErrInvite)
	case w.used[key] >= invite.Uses:
		return fmt.Errorf("%w: it was used up", ErrInvite)
	case !at.Before(invite.Expires):
		return fmt.Errorf("%w: it has expired", ErrInvite)
	}
	return nil
}

// Imports are the shares that account has accepted and whose owners still grant them.
func (w *World) Imports(account string) []*AcceptBody {
	shares := w.Shares[account]
	if shares == nil {
		return nil
	}
	var imports []*AcceptBody
	for id, taken := range shares.Taken {
		owner := w.Shares[taken.Owner]
		if owner == nil {
			continue
		}
		if g := owner.Granted[id]; g != nil && g.Catalog == taken.Catalog && g.To == account {
			imports = append(imports, taken)
		}
	}
	return imports
}

// Touched lists the accounts whose JWT an event changes.
func Touched(ev *event.Event) []string {
	author := ev.Author.Text(trust.Account)
	switch ev.Type {
	case Admit, AddDevice, RevokeDevice, Accept, Decline:
		return []string{author}
	case Grant, Revoke:
		return []string{ShareWith(ev)}
	}
	return nil
}
