package hall_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/trust"
)

// author writes a random ledger: every event is one that a member could have made.
type author struct {
	books  *books
	rng    *rand.Rand
	signer *trust.KeyPair // of the hub
	hub    chain.Hub
	hubSeq uint64
	people []*somebody
	rooms  []*place
}

// somebody is a member with their keys and the state of their chain.
type somebody struct {
	identity, device *trust.KeyPair
	person           chain.Person
	shares           chain.Shares
	last             uint64         // stream sequence of their newest event
	invite           *trust.Invite  // one with uses left
	uses             int            // left of it
	granted          map[string]int // grant → index of whom it is for
}

// place is a room.
type place struct {
	room chain.Room
	last uint64
}

func newAuthor(t *testing.T, b *books, keys *natsd.Keys) *author {
	t.Helper()
	seed, err := keys.OperatorSigner.Seed()
	must(t, err)
	signer, err := trust.ParseSeed(trust.Operator, seed)
	must(t, err)
	return &author{books: b, rng: rand.New(rand.NewPCG(20, 26)), signer: signer}
}

// act appends so many events.
func (a *author) act(t *testing.T, count int) {
	t.Helper()
	a.join(t, a.hostInvite(t), a.books.hub.ID)
	for range count {
		who := a.people[a.rng.IntN(len(a.people))]
		switch roll := a.rng.IntN(100); {
		case roll < 5 && len(a.people) < 60:
			a.welcome(t, who)
		case roll < 12:
			a.write(t, who, chain.AddDevice, chain.DeviceBody{Token: a.token(t, who, trust.NewKeyPair(trust.Device)).Text})
		case roll < 15:
			a.revokeDevice(t, who)
		case roll < 40:
			a.share(t, who)
		case roll < 50:
			a.unshare(t, who)
		case roll < 65:
			a.answer(t, who)
		default:
			a.inRoom(t, who)
		}
	}
}

func (a *author) hostInvite(t *testing.T) *trust.Invite {
	t.Helper()
	invite := trust.NewInvite(a.books.hub.ID, a.books.hub.Key)
	body, err := trust.Canonical(inviteBody(invite, 1))
	must(t, err)
	ev := &event.Event{
		Author: a.books.hub.Key, Type: chain.HubInvite, Subject: chain.HubSubject, Audience: a.books.hub.ID, Seq: 1, Body: body,
	}
	must(t, ev.Sign(a.signer))
	must(t, a.hub.Apply(a.books.hub, ev))
	a.hubSeq, err = a.books.ledger.Append(t.Context(), ev, 0)
	must(t, err)
	return invite
}

func inviteBody(invite *trust.Invite, uses int) chain.InviteBody {
	return chain.InviteBody{
		Invite: invite.Key().String(), Uses: uses, Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second),
	}
}

// join admits somebody by an invite.
func (a *author) join(t *testing.T, invite *trust.Invite, inviter string) {
	t.Helper()
	who := &somebody{
		identity: trust.NewKeyPair(trust.Account), device: trust.NewKeyPair(trust.Device), granted: make(map[string]int),
	}
	body, err := trust.Canonical(chain.AdmitBody{
		Handle: "p" + trust.NewID()[:20], Account: who.identity.String(), XKey: trust.NewXKey().String(),
		Device: a.token(t, who, who.device).Text, Invite: invite.Key().String(), Inviter: inviter,
	})
	must(t, err)
	ev := &event.Event{
		Author: who.identity.Public(), Type: chain.Admit, Subject: chain.PersonSubject(who.identity.String()),
		Audience: a.books.hub.ID, Seq: 1, Body: body,
	}
	must(t, ev.Sign(who.identity))
	must(t, ev.CoSign(invite.Key()))
	a.append(t, who, ev)
	a.people = append(a.people, who)
}

func (a *author) token(t *testing.T, who *somebody, device *trust.KeyPair) *trust.DeviceToken {
	t.Helper()
	now := time.Now()
	token, err := trust.IssueDevice(who.identity, device.Public(), "laptop", now, now.Add(time.Hour))
	must(t, err)
	return token
}

// append stores an event of somebody's chain.
func (a *author) append(t *testing.T, who *somebody, ev *event.Event) {
	t.Helper()
	must(t, who.person.Apply(a.books.hub.ID, ev, false))
	must(t, who.shares.Apply(ev, false))
	seq, err := a.books.ledger.Append(t.Context(), ev, who.last)
	must(t, err)
	who.last = seq
}

// write makes an event on somebody's own chain.
func (a *author) write(t *testing.T, who *somebody, kind string, content any) {
	t.Helper()
	body, err := trust.Canonical(content)
	must(t, err)
	ev := &event.Event{
		Author: who.identity.Public(), Type: kind, Subject: chain.PersonSubject(who.person.Account), Audience: a.books.hub.ID,
		Seq: who.person.Seq + 1, Prev: who.person.Head, Head: who.person.Head, Body: body,
	}
	must(t, ev.Sign(who.device))
	a.append(t, who, ev)
}

// welcome has somebody invite a newcomer, who joins.
func (a *author) welcome(t *testing.T, who *somebody) {
	t.Helper()
	if who.uses == 0 {
		key, err := trust.ParsePublicKey(trust.Account, who.person.Account)
		must(t, err)
		who.invite, who.uses = trust.NewInvite(a.books.hub.ID, key), 1+a.rng.IntN(3)
		a.write(t, who, chain.Invite, inviteBody(who.invite, who.uses))
	}
	who.uses--
	a.join(t, who.invite, who.person.Account)
}

func (a *author) revokeDevice(t *testing.T, who *somebody) {
	t.Helper()
	for device, fact := range who.person.Devices {
		if fact.Revoked == 0 && device != who.device.String() {
			a.write(t, who, chain.RevokeDevice, chain.RevokeDeviceBody{Device: device})
			return
		}
	}
}

func (a *author) share(t *testing.T, who *somebody) {
	t.Helper()
	with := a.rng.IntN(len(a.people))
	if a.people[with] == who {
		return
	}
	grant := trust.NewID()
	a.write(t, who, chain.Grant, chain.GrantBody{
		Grant: grant, Catalog: trust.NewID(), To: a.people[with].person.Account, Sealed: []byte("sealed"),
	})
	who.granted[grant] = with
}

func (a *author) unshare(t *testing.T, who *somebody) {
	t.Helper()
	for grant, with := range who.granted {
		a.write(t, who, chain.Revoke, chain.RevokeBody{Grant: grant, To: a.people[with].person.Account})
		delete(who.granted, grant)
		return
	}
}

// answer has somebody to whom who has granted something accept or decline it.
func (a *author) answer(t *testing.T, who *somebody) {
	t.Helper()
	for grant, with := range who.granted {
		if a.rng.IntN(2) == 0 {
			a.write(t, a.people[with], chain.Accept, chain.AcceptBody{
				Grant: grant, Owner: who.person.Account, Catalog: who.shares.Granted[grant].Catalog,
			})
			return
		}
		a.write(t, a.people[with], chain.Decline, chain.DeclineBody{Grant: grant, Owner: who.person.Account})
		return
	}
}

// inRoom has somebody open a room, or do what they may in one.
func (a *author) inRoom(t *testing.T, who *somebody) {
	t.Helper()
	account, now := who.person.Account, time.Now()
	at := slices.IndexFunc(a.rooms, func(p *place) bool { _, in := p.room.RoleOf(account, now); return in })
	if at < 0 || (a.rng.IntN(20) == 0 && len(a.rooms) < 40) {
		id := trust.NewID()
		a.rooms = append(a.rooms, &place{})
		a.say(t, a.rooms[len(a.rooms)-1], who, chain.CreateRoom, id, chain.CreateRoomBody{Room: id, Kind: chain.Sealed})
		return
	}
	p := a.rooms[at]
	role, _ := p.room.RoleOf(account, now)
	other := a.people[a.rng.IntN(len(a.people))].person.Account
	_, inside := p.room.RoleOf(other, now)
	switch {
	case role == chain.Moderator && other != p.room.Creator && inside && a.rng.IntN(2) == 0:
		a.say(t, p, who, chain.RevokeRoom, p.room.ID, chain.RevokeRoomBody{Account: other})
	case role == chain.Moderator && other != p.room.Creator:
		roles := []chain.Role{chain.Reader, chain.Writer, chain.Moderator}
		a.say(t, p, who, chain.GrantRoom, p.room.ID, chain.GrantRoomBody{
			Grant: trust.NewID(), Account: other, Role: roles[a.rng.IntN(len(roles))],
		})
	case role.MayWrite():
		a.say(t, p, who, chain.Epoch, p.room.ID, a.epoch(p, now))
	case account != p.room.Creator:
		a.say(t, p, who, chain.LeaveRoom, p.room.ID, chain.LeaveRoomBody{})
	}
}

func (a *author) epoch(p *place, now time.Time) chain.EpochBody {
	body := chain.EpochBody{
		Number: 1, Previous: p.room.Current, Commitment: event.NewEpochKey().Commitment(p.room.ID), Name: []byte("sealed"),
	}
	if current := p.room.Epochs[p.room.Current.String()]; current != nil {
		body.Number = current.Number + 1
	}
	accounts := p.room.Entitled(now)
	slices.Sort(accounts)
	for _, account := range accounts {
		body.Keys = append(body.Keys, chain.EpochBox{Account: account, Key: []byte("box")})
	}
	return body
}

// say makes an event on a room's chain.
func (a *author) say(t *testing.T, p *place, who *somebody, kind, id string, content any) {
	t.Helper()
	body, err := trust.Canonical(content)
	must(t, err)
	ev := &event.Event{
		Author: who.identity.Public(), Type: kind, Subject: chain.RoomSubject(id), Audience: a.books.hub.ID,
		Seq: p.room.Seq + 1, Prev: p.room.Head, Head: who.person.Head, Body: body,
	}
	must(t, ev.Sign(who.device))
	must(t, p.room.Apply(a.books.hub.ID, ev))
	seq, err := a.books.ledger.Append(t.Context(), ev, p.last)
	must(t, err)
	p.last = seq
}

// stranger is an event at the right place of somebody's chain, by a device of nobody's.
func (a *author) stranger(t *testing.T) []byte {
	t.Helper()
	who := a.people[0]
	body, err := trust.Canonical(chain.RevokeDeviceBody{Device: who.device.String()})
	must(t, err)
	ev := &event.Event{
		Author: who.identity.Public(), Type: chain.RevokeDevice, Subject: chain.PersonSubject(who.person.Account),
		Audience: a.books.hub.ID, Seq: who.person.Seq + 1, Prev: who.person.Head, Head: who.person.Head, Body: body,
	}
	must(t, ev.Sign(trust.NewKeyPair(trust.Device)))
	return ev.Encode()
}

// copyAndVerify stores events on a server of their own, as whoever holds a hub's disk
// could, and verifies the copy.
func (b *books) copyAndVerify(t *testing.T, events []ledger.Entry, planted [][]byte) *ledger.Report {
	t.Helper()
	copied := openBooks(t)
	for i, data := range planted {
		subject := subjectOf(t, events, i, data)
		_, err := copied.js.Publish(t.Context(), subject, data)
		must(t, err)
	}
	report, err := copied.ledger.Verify(t.Context(), b.hub)
	must(t, err)
	return report
}

func subjectOf(t *testing.T, events []ledger.Entry, i int, data []byte) string {
	t.Helper()
	if ev, err := event.Decode(data); err == nil {
		return ev.Subject
	}
	return events[i].Event.Subject
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
