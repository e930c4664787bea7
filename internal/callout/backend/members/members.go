// Package members is the backend of a hub's members: their devices may enter ROOMS, with the
// rights of the rooms that they name.
//
// What a connection says of itself stands in its user field, stated in
// docs/protocol/subjects.md: rooms, its device and the rooms. That it is this device, its
// signature over the server's nonce proves. A device that has signed in as a browser brings its
// session's cookie as well, through the WebSocket as the login's token.
package members

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/browsers"
	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/internal/sessions"
	"keyhall.dev/keyhall/trust"
)

const (
	word     = "rooms"
	maxRooms = 64 // of one connection
)

// Backend decides the logins of members. Its grants hold no limits: those of the account
// count.
type Backend struct {
	People   *people.View
	Rooms    *rooms.View
	Sessions *sessions.Registry
	Browsers *browsers.Sessions
	Account  callout.Account // ROOMS
	Life     time.Duration   // of a connection
}

// Name is members.
func (b *Backend) Name() string { return "members" }

// Takes logins that say rooms.
func (b *Backend) Takes(request *callout.Request) bool { return request.Says(word) }

// Authorize lets a member use the rooms that they name and are in. The connection is noted
// before its rights are judged: one that loses a right meanwhile is closed, or never gets it.
func (b *Backend) Authorize(ctx context.Context, r *callout.Request) (*callout.Grant, error) {
	if !b.Takes(r) {
		return nil, fault.New(fault.Malformed, "the connection does not say that it is for rooms")
	}
	device, list, err := r.Holder()
	if err != nil {
		return nil, err
	}
	person, err := b.People.Device(ctx, device)
	if fault.Is(err, fault.NotFound) {
		return nil, callout.Wrong("the device is no member's")
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	if list != "" {
		ids = strings.Split(list, ",")
	}
	if ids, err = roomIDs(ids); err != nil {
		return nil, err
	}
	session := sessions.Session{
		Account: person.State.Account, Device: device, Server: r.Server.ID, Client: r.Client.ID, Rooms: ids,
		Host: r.Client.Host, Program: r.Client.Name,
	}
	if r.Token != "" {
		session.Browser = browsers.IDOf(r.Token.Reveal())
	}
	if err := b.Sessions.Note(ctx, session); err != nil {
		return nil, err
	}
	if person, err = b.People.Device(ctx, device); err != nil {
		return nil, err
	}
	browser, err := b.Browsers.Judge(ctx, person.State.Account, device, r.Token.Reveal())
	if errors.Is(err, browsers.ErrNone) {
		return nil, callout.Wrong("the device is a browser's, and brings no session of its own")
	}
	if err != nil {
		return nil, err
	}
	return b.grant(ctx, person, device, ids, browser)
}

// Explain is the grant of a member by handle, account key or device key in the rooms of these
// ids. Of a member without a device it is that of the device whose token lasts longest, which
// the rule names.
func (b *Backend) Explain(ctx context.Context, query callout.Query) (*callout.Grant, error) {
	person, device, err := b.find(ctx, query.User)
	if err != nil {
		return nil, err
	}
	ids, err := roomIDs(slices.Clone(query.Rooms))
	if err != nil {
		return nil, err
	}
	browser, err := b.session(ctx, person.State.Account, device)
	if err != nil {
		return nil, err
	}
	return b.grant(ctx, person, device, ids, browser)
}

// session is the one that a browser's device would bring.
func (b *Backend) session(ctx context.Context, account, device string) (*browsers.Session, error) {
	is, err := b.Browsers.IsBrowser(ctx, account, device)
	if err != nil || !is {
		return nil, err
	}
	found, err := b.Browsers.Of(ctx, account, device)
	if err == nil && found == nil {
		err = fault.New(fault.Refused, "the device is a browser's, and has no session: it has to sign in")
	}
	return found, err
}

// find is the person, and the device, that somebody may mean.
func (b *Backend) find(ctx context.Context, user string) (*ledger.Snapshot[chain.Person], string, error) {
	if _, err := trust.ParsePublicKey(trust.Device, user); err == nil {
		person, err := b.People.Device(ctx, user)
		return person, user, err
	}
	look := b.People.ByHandle
	if _, err := trust.ParsePublicKey(trust.Account, user); err == nil {
		look = b.People.Person
	}
	person, err := look(ctx, user)
	if fault.Is(err, fault.Malformed) { // a name that nobody can have
		err = fault.Wrap(fault.NotFound, err, "nobody on this hub is called that")
	}
	if err != nil {
		return nil, "", err
	}
	longest := ""
	for device, fact := range person.State.Devices {
		if fact.Revoked != 0 || (longest != "" && !fact.Expires.After(person.State.Devices[longest].Expires)) {
			continue
		}
		if _, err := b.session(ctx, person.State.Account, device); fault.Is(err, fault.Refused) {
			continue // a browser that has signed out comes in no more than one that was revoked
		} else if err != nil {
			return nil, "", err
		}
		longest = device
	}
	if longest == "" {
		return nil, "", fault.New(fault.Refused, "all devices of this member were revoked, or have signed out")
	}
	return person, longest, nil
}

// grant is what a person's device gets now.
func (b *Backend) grant(
	ctx context.Context, person *ledger.Snapshot[chain.Person], device string, ids []string, browser *browsers.Session,
) (*callout.Grant, error) {
	now := time.Now()
	fact := person.State.Devices[device]
	switch {
	case fact.Revoked != 0:
		return nil, fault.New(fault.Refused, "the device was revoked")
	case now.After(fact.Expires):
		return nil, fault.New(fault.Expired, "the device's token has expired")
	}
	grant := &callout.Grant{
		Account: b.Account.ID, Signer: b.Account.Signer, Name: person.State.Account,
		Rule:    "member by device " + device,
		Inbox:   "_INBOX_" + device,
		Expires: earlier(now.Add(b.Life), fact.Expires),
	}
	if browser != nil {
		grant.Rule += ", a browser's, with session " + browser.ID
		grant.Expires = earlier(grant.Expires, browser.Expires)
	}
	for _, id := range ids {
		right, err := b.enter(ctx, grant, id, person, now)
		if err != nil {
			return nil, err
		}
		grant.Rule += "; room " + id + ": " + right
	}
	return grant, nil
}

// enter adds the rights in one room, and says which. A room that the person may not enter
// adds none and harms no other.
func (b *Backend) enter(
	ctx context.Context, grant *callout.Grant, id string, person *ledger.Snapshot[chain.Person], now time.Time,
) (string, error) {
	const none = "may not enter"
	room, err := b.Rooms.Room(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return none, nil
	}
	if err != nil {
		return "", err
	}
	role, _ := room.State.RoleOf(person.State.Account, now)
	if role == "" {
		return none, nil
	}
	grant.Subscribe.Allow = append(grant.Subscribe.Allow, "feed."+id, "room."+id+".live.*")
	grant.Publish.Allow = append(grant.Publish.Allow, "room."+id+".live."+person.State.Account)
	if role.MayWrite() {
		grant.Publish.Allow = append(grant.Publish.Allow, "room."+id+".say."+person.State.Account)
	}
	if ends := room.State.Expires(person.State.Account); !ends.IsZero() {
		grant.Expires = earlier(grant.Expires, ends)
	}
	return string(role), nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// roomIDs checks ids, sorts them and drops what is there twice.
func roomIDs(ids []string) ([]string, error) {
	if len(ids) > maxRooms {
		return nil, fault.New(fault.TooLarge, "a connection may be in %d rooms at most", maxRooms)
	}
	for _, id := range ids {
		if _, err := trust.ParseID(id); err != nil {
			return nil, fault.New(fault.Malformed, "a connection names rooms by their ids")
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
