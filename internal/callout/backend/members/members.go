// Package members decides the logins that a hub sends through the callout: newcomers with
// an invite, who may ask to be admitted and nothing else, people who come back with a
// recovery code, who may fetch their backup and nothing else, and members' devices, who may
// enter ROOMS with the rights of the rooms they name. Anything else is refused.
//
// What a connection says of itself stands in its user field, stated in
// docs/protocol/subjects.md; that it is who it says, its signature over the server's nonce
// proves.
package members

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/recovery"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/internal/sessions"
	"keyhall.dev/keyhall/trust"
)

const (
	maxRooms      = 64 // rooms of one connection
	admissionTime = 5 * time.Minute
)

// Backend implements callout.Authorizer. Its grants hold no limits: those of the accounts
// count.
type Backend struct {
	People   *people.View
	Rooms    *rooms.View
	Sessions *sessions.Registry
	Recovery *recovery.Store

	HubAccount   string // A…
	HubSigner    nkeys.KeyPair
	RoomsAccount string // A…
	RoomsSigner  nkeys.KeyPair
	Life         time.Duration // of a connection to ROOMS
}

// Name is members.
func (b *Backend) Name() string { return "members" }

// Takes every login: a hub has no other backend.
func (b *Backend) Takes(*callout.Request) bool { return true }

// Authorize decides one login.
func (b *Backend) Authorize(ctx context.Context, r *callout.Request) (*callout.Grant, error) {
	kind, rest, _ := strings.Cut(r.User, " ")
	key, rest, _ := strings.Cut(rest, " ")
	switch kind {
	case "admit", "rooms", "recover":
	default:
		return nil, fault.New(fault.Malformed, "a connection says whether it is for rooms, admission or recovery")
	}
	if _, err := trust.ParsePublicKey(trust.Device, key); err != nil {
		return nil, fault.New(fault.Malformed, "the connection does not name a device, an invite key or a recovery key")
	}
	if err := callout.VerifyNonce(key, r.Nonce, r.Signature); err != nil {
		return nil, fault.Wrap(fault.Refused, err, "the connection does not prove that it holds its key")
	}
	switch kind {
	case "admit":
		return b.newcomer(ctx, key, rest)
	case "recover":
		return b.returner(ctx, key, rest)
	}
	return b.member(ctx, r, key, rest)
}

// newcomer may ask to be admitted by the invite whose key they hold.
func (b *Backend) newcomer(ctx context.Context, invite, rest string) (*callout.Grant, error) {
	if rest != "" {
		return nil, fault.New(fault.Malformed, "a newcomer names an invite key and nothing else")
	}
	known, err := b.People.Invitation(ctx, invite)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if !known.Open(now) {
		return nil, fault.New(fault.Expired, "the invite has expired or was used up")
	}
	return &callout.Grant{
		Account: b.HubAccount, Signer: b.HubSigner, Name: "newcomer " + invite,
		Publish:   callout.Subjects{Allow: []string{"admission." + invite + ".admit"}},
		Subscribe: callout.Subjects{Allow: []string{inbox(invite)}},
		Expires:   now.Add(admissionTime),
	}, nil
}

// returner may fetch the backup under the recovery key that they hold. Without one the
// login is refused like any other: it is no way to ask who has a backup.
func (b *Backend) returner(ctx context.Context, key, rest string) (*callout.Grant, error) {
	if rest != "" {
		return nil, fault.New(fault.Malformed, "who comes back names a recovery key and nothing else")
	}
	if _, err := b.Recovery.Under(ctx, key); err != nil {
		return nil, err
	}
	return &callout.Grant{
		Account: b.HubAccount, Signer: b.HubSigner, Name: "returner " + key,
		Publish:   callout.Subjects{Allow: []string{"recovery." + key + ".get"}},
		Subscribe: callout.Subjects{Allow: []string{inbox(key)}},
		Expires:   time.Now().Add(admissionTime),
	}, nil
}

// member may use the rooms that they name and are in. The connection is noted before its
// rights are judged: one that loses a right meanwhile is closed, or never gets it.
func (b *Backend) member(ctx context.Context, r *callout.Request, device, list string) (*callout.Grant, error) {
	person, err := b.People.Device(ctx, device)
	if err != nil {
		return nil, err
	}
	ids, err := roomIDs(list)
	if err != nil {
		return nil, err
	}
	session := sessions.Session{
		Account: person.State.Account, Device: device, Server: r.Server.ID, Client: r.Client.ID, Rooms: ids,
	}
	if err := b.Sessions.Note(ctx, session); err != nil {
		return nil, err
	}
	if person, err = b.People.Device(ctx, device); err != nil {
		return nil, err
	}
	now := time.Now()
	fact := person.State.Devices[device]
	switch {
	case fact.Revoked != 0:
		return nil, fault.New(fault.Refused, "the device was revoked")
	case now.After(fact.Expires):
		return nil, fault.New(fault.Expired, "the device's token has expired")
	}
	grant := &callout.Grant{
		Account: b.RoomsAccount, Signer: b.RoomsSigner, Name: person.State.Account,
		Subscribe: callout.Subjects{Allow: []string{inbox(device)}},
		Expires:   earlier(now.Add(b.Life), fact.Expires),
	}
	for _, id := range ids {
		if err := b.enter(ctx, grant, id, person, now); err != nil {
			return nil, err
		}
	}
	return grant, nil
}

// enter adds the rights in one room. A room that the person may not enter adds none and
// harms no other.
func (b *Backend) enter(
	ctx context.Context, grant *callout.Grant, id string, person *ledger.Snapshot[chain.Person], now time.Time,
) error {
	room, err := b.Rooms.Room(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	role, _ := room.State.RoleOf(person.State.Account, now)
	if role == "" {
		return nil
	}
	grant.Subscribe.Allow = append(grant.Subscribe.Allow, "feed."+id)
	if role.MayWrite() {
		grant.Publish.Allow = append(grant.Publish.Allow, "room."+id+".say."+person.State.Account)
	}
	if ends := room.State.Expires(person.State.Account); !ends.IsZero() {
		grant.Expires = earlier(grant.Expires, ends)
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func roomIDs(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	ids := strings.Split(list, ",")
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

func inbox(key string) string { return "_INBOX_" + key + ".>" }
