package chain

import (
	"errors"
	"fmt"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// The kinds of ledger events.
const (
	HubInvite    = "hub.invite"
	Admit        = "person.admit"
	Invite       = "person.invite"
	AddDevice    = "person.device"
	RevokeDevice = "person.revoke"
	RotateXKey   = "person.xkey"
	Grant        = "share.grant"
	Revoke       = "share.revoke"
	Accept       = "share.accept"
	Decline      = "share.decline"
	CreateRoom   = "room.create"
	GrantRoom    = "room.grant"
	RevokeRoom   = "room.revoke"
	LeaveRoom    = "room.leave"
	Epoch        = "room.epoch"
)

// The subjects of the chains.
const (
	HubSubject    = "ledger.hub"
	personSubject = "ledger.person."
	roomSubject   = "ledger.room."
)

// The bounds of bodies.
const (
	MaxUses    = 1000                 // of an invite
	MaxInvite  = 366 * 24 * time.Hour // life of an invite
	MaxSealed  = 256                  // bytes of a share's sealed part, an epoch's box or its sealed name
	MaxDevices = 200                  // of a person, those that were revoked included
	MaxInvites = 2000                 // of a person, used up and expired ones included
	MaxSpans   = 4000                 // of a room: each time that somebody was let in
	MaxReaders = 2000                 // of an epoch
)

// PersonSubject is the subject of a person's chain.
func PersonSubject(account string) string { return personSubject + account }

// RoomSubject is the subject of a room's chain.
func RoomSubject(room string) string { return roomSubject + room }

// The ways in which an event does not fit its chain. Errors of folds match one of
// these or one of package event's.
var (
	ErrPlace   = errors.New("event does not continue its chain")
	ErrRefused = errors.New("event is by someone not entitled to it")
	ErrContent = errors.New("event says something that cannot be")
)

// AdmitBody is the first event of a person.
type AdmitBody struct {
	Handle  string `json:"handle"`
	Account string `json:"account"`
	XKey    string `json:"xkey"`
	Device  string `json:"device"` // the first device's token
	Invite  string `json:"invite"`
	Inviter string `json:"inviter"` // an account, or the hub id
}

// InviteBody announces an invite key.
type InviteBody struct {
	Invite  string    `json:"invite"`
	Uses    int       `json:"uses"`
	Expires time.Time `json:"expires"`
}

// DeviceBody adds a device or renews its token.
type DeviceBody struct {
	Token string `json:"token"`
}

// RevokeDeviceBody ends a device.
type RevokeDeviceBody struct {
	Device string `json:"device"`
}

// XKeyBody replaces the person's xkey: others seal to it from then on.
type XKeyBody struct {
	XKey string `json:"xkey"`
}

// GrantBody shares a catalog with one person.
type GrantBody struct {
	Grant   string    `json:"grant"`
	Catalog string    `json:"catalog"`
	To      string    `json:"to"`
	Expires time.Time `json:"expires,omitzero"`
	Sealed  []byte    `json:"sealed"` // box for To: SealedShare
}

// SealedShare is what only the grantee reads of a share.
type SealedShare struct {
	Name string `json:"name"`
}

// RevokeBody ends a share.
type RevokeBody struct {
	Grant string `json:"grant"`
	To    string `json:"to"`
}

// AcceptBody takes a share.
type AcceptBody struct {
	Grant   string `json:"grant"`
	Owner   string `json:"owner"`
	Catalog string `json:"catalog"`
}

// DeclineBody turns a share down, or drops one that was accepted.
type DeclineBody struct {
	Grant string `json:"grant"`
	Owner string `json:"owner"`
}

// The kinds of rooms.
const (
	Sealed = "sealed" // messages are sealed under the room's epoch keys
	Open   = "open"   // every member of the hub may enter; messages are signed, not sealed
)

// CreateRoomBody is the first event of a room.
type CreateRoomBody struct {
	Room   string `json:"room"`
	Kind   string `json:"kind"`
	Listed bool   `json:"listed"`
	Name   string `json:"name,omitempty"`
}

// Role is what a member may do in a room.
type Role string

// The roles, each including the one before it.
const (
	Reader    Role = "reader"
	Writer    Role = "writer"
	Moderator Role = "moderator"
)

// MayWrite reports whether the role may send messages and make epochs.
func (r Role) MayWrite() bool { return r == Writer || r == Moderator }

func (r Role) valid() bool { return r == Reader || r.MayWrite() }

// GrantRoomBody lets a person into a room.
type GrantRoomBody struct {
	Grant   string     `json:"grant"`
	Account string     `json:"account"`
	Role    Role       `json:"role"`
	Expires time.Time  `json:"expires,omitzero"`
	Epoch   event.Hash `json:"epoch,omitzero"` // current epoch, handed over
	Key     []byte     `json:"key,omitempty"`  // box for Account
}

// RevokeRoomBody puts a person out of a room.
type RevokeRoomBody struct {
	Account string `json:"account"`
}

// LeaveRoomBody is empty: its author leaves.
type LeaveRoomBody struct{}

// EpochBody begins an epoch: a new key for exactly the members of the moment.
type EpochBody struct {
	Number     int        `json:"number"`
	Previous   event.Hash `json:"previous,omitzero"`
	Commitment event.Hash `json:"commitment"`
	Keys       []EpochBox `json:"keys"`
	Name       []byte     `json:"name"` // sealed under the new key
}

// EpochBox is an epoch key sealed to one member.
type EpochBox struct {
	Account string `json:"account"`
	Key     []byte `json:"key"`
}

// Parse decodes the canonical body of an event whose kind the caller knows.
func Parse[T any](ev *event.Event) (*T, error) {
	body := new(T)
	if err := trust.ParseCanonical(ev.Body, body); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrContent, ev.Type, err)
	}
	return body, nil
}

// bad is a content error with its reason.
func bad(kind, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrContent, kind, fmt.Sprintf(format, args...))
}

// wholeSecond reports whether a time has the one text that bodies use.
func wholeSecond(t time.Time) bool {
	return t.IsZero() || (t.Equal(t.Truncate(time.Second)) && t.Location() == time.UTC)
}

func checkInvite(kind string, b *InviteBody, announced time.Time) error {
	if _, err := trust.ParsePublicKey(trust.Device, b.Invite); err != nil {
		return bad(kind, "invite key: %v", err)
	}
	if b.Uses < 1 || b.Uses > MaxUses {
		return bad(kind, "uses must be 1 to %d", MaxUses)
	}
	if !wholeSecond(b.Expires) || !b.Expires.After(announced) || b.Expires.Sub(announced) > MaxInvite {
		return bad(kind, "an invite lasts up to %d days", MaxInvite/(24*time.Hour))
	}
	return nil
}

// place checks that ev continues the chain with the given head, at subject and for hub.
func place(ev *event.Event, subject, hub string, seq uint64, head event.Hash) error {
	if ev.Subject != subject || ev.Audience != hub {
		return fmt.Errorf("%w: made for another chain or hub", event.ErrNotMeant)
	}
	if ev.Seq != seq+1 || ev.Prev != head {
		return fmt.Errorf("%w: place %d after %d", ErrPlace, ev.Seq, seq)
	}
	return nil
}
