// Package chaintest makes ledger events that hold, for tests: a hub, the people on it, and
// what they say on their chains. It is for packages that store, fold or judge events of
// several people and need no hub that runs; package hubtest starts one.
package chaintest

import (
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// Hall is a hub whose chains begin empty. Events are made in the order of the calls.
type Hall struct {
	Hub     *trust.Hub
	Signing *trust.KeyPair // the hub's signing key
	Invite  *trust.KeyPair // the key of the invite by which everybody joins

	t     *testing.T
	heads map[string]*head // by subject
}

// head is where a chain ends.
type head struct {
	seq  uint64
	hash event.Hash
}

// Member is somebody with an identity and a first device.
type Member struct {
	Identity *trust.KeyPair
	Laptop   *trust.KeyPair

	hall *Hall
}

// Account is the text of the identity key.
func (m *Member) Account() string { return m.Identity.String() }

// New is the hall of a hub with this operator and signing key, without an event yet.
func New(t *testing.T, operatorJWT string, signer nkeys.KeyPair) *Hall {
	t.Helper()
	hub, err := trust.ParseHub(operatorJWT)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := signer.Seed()
	if err != nil {
		t.Fatal(err)
	}
	signing, err := trust.ParseSeed(trust.Operator, seed)
	if err != nil {
		t.Fatal(err)
	}
	return &Hall{t: t, Hub: hub, Signing: signing, Invite: trust.NewKeyPair(trust.Device), heads: make(map[string]*head)}
}

// Says is the next event of a chain; own is the author's chain, whose head it names.
func (h *Hall) Says(author trust.PublicKey, key *trust.KeyPair, own, subject, kind string, body any) *event.Event {
	h.t.Helper()
	for _, s := range []string{own, subject} {
		if h.heads[s] == nil {
			h.heads[s] = new(head)
		}
	}
	data, err := trust.Canonical(body)
	if err != nil {
		h.t.Fatal(err)
	}
	at := h.heads[subject]
	ev := &event.Event{
		Author: author, Type: kind, Subject: subject, Audience: h.Hub.ID,
		Seq: at.seq + 1, Prev: at.hash, Head: h.heads[own].hash, Body: data,
	}
	if err := ev.Sign(key); err != nil {
		h.t.Fatal(err)
	}
	at.seq, at.hash = ev.Seq, ev.Hash()
	return ev
}

// Invites is the host's invite, for everybody.
func (h *Hall) Invites() *event.Event {
	h.t.Helper()
	return h.Says(h.Hub.Key, h.Signing, chain.HubSubject, chain.HubSubject, chain.HubInvite, chain.InviteBody{
		Invite: h.Invite.String(), Uses: 1000, Expires: time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second),
	})
}

// Admits is somebody new, by the host's invite, and the event of their admission.
func (h *Hall) Admits(handle string) (*Member, *event.Event) {
	h.t.Helper()
	return h.AdmitsBy(handle, h.Invite, h.Hub.ID)
}

// AdmitsBy is Admits by another invite and inviter.
func (h *Hall) AdmitsBy(handle string, invite *trust.KeyPair, inviter string) (*Member, *event.Event) {
	h.t.Helper()
	m := &Member{hall: h, Identity: trust.NewKeyPair(trust.Account), Laptop: trust.NewKeyPair(trust.Device)}
	subject := chain.PersonSubject(m.Account())
	ev := h.Says(m.Identity.Public(), m.Identity, subject, subject, chain.Admit, chain.AdmitBody{
		Handle: handle, Account: m.Account(), XKey: trust.NewXKey().String(), Device: m.Token(m.Laptop, "laptop"),
		Invite: invite.String(), Inviter: inviter,
	})
	if err := ev.CoSign(invite); err != nil {
		h.t.Fatal(err)
	}
	return m, ev
}

// Token is the text of a token for a device of the member, good for a day.
func (m *Member) Token(device *trust.KeyPair, name string) string {
	m.hall.t.Helper()
	token, err := trust.IssueDevice(m.Identity, device.Public(), name, time.Now(), time.Now().Add(24*time.Hour))
	if err != nil {
		m.hall.t.Fatal(err)
	}
	return token.Text
}

// Says is the next event of the member's chain.
func (m *Member) Says(kind string, body any) *event.Event {
	m.hall.t.Helper()
	own := chain.PersonSubject(m.Account())
	return m.hall.Says(m.Identity.Public(), m.Laptop, own, own, kind, body)
}

// SaysIn is the next event of a room's chain, by the member.
func (m *Member) SaysIn(room, kind string, body any) *event.Event {
	m.hall.t.Helper()
	own := chain.PersonSubject(m.Account())
	return m.hall.Says(m.Identity.Public(), m.Laptop, own, chain.RoomSubject(room), kind, body)
}
