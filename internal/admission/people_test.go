package admission_test

import (
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/trust"
)

// hall makes events that hold: a hub, the people on it, and what they say on their chains.
// The other packages that need signed events of several people have the same.
type hall struct {
	t       *testing.T
	hub     *trust.Hub
	signing *trust.KeyPair
	invite  *trust.KeyPair
	heads   map[string]*head // by subject
}

type head struct {
	seq  uint64
	hash event.Hash
}

type member struct {
	hall     *hall
	identity *trust.KeyPair
	laptop   *trust.KeyPair
}

func (m *member) account() string { return m.identity.String() }

// newHall is the hall of a server's hub, without an event yet.
func newHall(t *testing.T, keys *natsd.Keys) *hall {
	t.Helper()
	hub, err := trust.ParseHub(keys.OperatorJWT)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := keys.OperatorSigner.Seed()
	if err != nil {
		t.Fatal(err)
	}
	signing, err := trust.ParseSeed(trust.Operator, seed)
	if err != nil {
		t.Fatal(err)
	}
	return &hall{t: t, hub: hub, signing: signing, invite: trust.NewKeyPair(trust.Device), heads: make(map[string]*head)}
}

// says is the next event of a chain; own is the author's chain, whose head it names.
func (h *hall) says(author trust.PublicKey, key *trust.KeyPair, own, subject, kind string, body any) *event.Event {
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
		Author: author, Type: kind, Subject: subject, Audience: h.hub.ID,
		Seq: at.seq + 1, Prev: at.hash, Head: h.heads[own].hash, Body: data,
	}
	if err := ev.Sign(key); err != nil {
		h.t.Fatal(err)
	}
	at.seq, at.hash = ev.Seq, ev.Hash()
	return ev
}

// invites is the host's invite, for everybody.
func (h *hall) invites() *event.Event {
	h.t.Helper()
	return h.says(h.hub.Key, h.signing, chain.HubSubject, chain.HubSubject, chain.HubInvite, chain.InviteBody{
		Invite: h.invite.String(), Uses: 1000, Expires: time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second),
	})
}

// admits is somebody new and the event of their admission.
func (h *hall) admits(handle string) (*member, *event.Event) {
	h.t.Helper()
	m := &member{hall: h, identity: trust.NewKeyPair(trust.Account), laptop: trust.NewKeyPair(trust.Device)}
	subject := chain.PersonSubject(m.account())
	ev := h.says(m.identity.Public(), m.identity, subject, subject, chain.Admit, chain.AdmitBody{
		Handle: handle, Account: m.account(), XKey: trust.NewXKey().String(), Device: m.token(m.laptop, "laptop"),
		Invite: h.invite.String(), Inviter: h.hub.ID,
	})
	if err := ev.CoSign(h.invite); err != nil {
		h.t.Fatal(err)
	}
	h.heads[subject].hash = ev.Hash()
	return m, ev
}

func (m *member) token(device *trust.KeyPair, name string) string {
	m.hall.t.Helper()
	token, err := trust.IssueDevice(m.identity, device.Public(), name, time.Now(), time.Now().Add(24*time.Hour))
	if err != nil {
		m.hall.t.Fatal(err)
	}
	return token.Text
}

// says is the next event of the member's chain.
func (m *member) says(kind string, body any) *event.Event {
	m.hall.t.Helper()
	own := chain.PersonSubject(m.account())
	return m.hall.says(m.identity.Public(), m.laptop, own, own, kind, body)
}
