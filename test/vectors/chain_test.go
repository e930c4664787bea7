package vectors_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

type chainFile struct {
	about
	Hub     string         `json:"hub"`    // operator JWT
	Ledger  []ledgerEvent  `json:"ledger"` // in the order of the stream
	State   ledgerState    `json:"state"`  // what it adds up to
	Refused []chainRefusal `json:"refused"`
}

type ledgerEvent struct {
	Name  string `json:"name"`
	Event octets `json:"event"`
}

type chainRefusal struct {
	refusal        // why: place, refused, content, or one of event.json's
	After   int    `json:"after"` // so many events of the ledger
	Event   octets `json:"event"`
}

type ledgerState struct {
	Hub    hubState               `json:"hub"`
	People map[string]personState `json:"people"` // by account
	Rooms  map[string]roomState   `json:"rooms"`  // by id
}

type hubState struct {
	Seq     uint64                 `json:"seq"`
	Head    string                 `json:"head"`
	Invites map[string]inviteState `json:"invites"` // by invite key
}

type inviteState struct {
	Uses    int    `json:"uses"`
	Expires string `json:"expires"`
}

type personState struct {
	Handle  string                 `json:"handle"`
	XKey    string                 `json:"xkey"`
	Invite  string                 `json:"invite"`
	Inviter string                 `json:"inviter"`
	Seq     uint64                 `json:"seq"`
	Head    string                 `json:"head"`
	Devices map[string]deviceState `json:"devices"` // by key
	Invites map[string]inviteState `json:"invites"`
	Granted map[string]grantState  `json:"granted"` // by grant
	Taken   map[string]takenState  `json:"taken"`
	Imports []string               `json:"imports"` // grants that were accepted and stand
}

type deviceState struct {
	Name    string `json:"name"`
	Since   uint64 `json:"since"`
	Revoked uint64 `json:"revoked"` // 0: it was not
}

type grantState struct {
	Catalog string `json:"catalog"`
	To      string `json:"to"`
	Expires string `json:"expires"` // empty: never
}

type takenState struct {
	Owner   string `json:"owner"`
	Catalog string `json:"catalog"`
}

type roomState struct {
	Kind    string                 `json:"kind"`
	Listed  bool                   `json:"listed"`
	Name    string                 `json:"name"`
	Creator string                 `json:"creator"`
	Seq     uint64                 `json:"seq"`
	Head    string                 `json:"head"`
	Members map[string][]spanState `json:"members"`
	Current string                 `json:"current"`
	Epochs  map[string]epochState  `json:"epochs"`
}

type spanState struct {
	Role    string `json:"role"`
	Since   uint64 `json:"since"`
	Until   uint64 `json:"until"` // 0: it stands
	Expires string `json:"expires"`
}

type epochState struct {
	Number     int      `json:"number"`
	Place      uint64   `json:"place"`
	Commitment string   `json:"commitment"`
	Readers    []string `json:"readers"`
}

// world folds a ledger: the hub's, everybody's and the rooms' chains.
type world struct {
	*chain.World
	hub   *trust.Hub
	rooms map[string]*chain.Room
}

func newWorld(hub *trust.Hub) *world {
	w := &world{chain.NewWorld(hub), hub, make(map[string]*chain.Room)}
	w.KeepPlaces()
	return w
}

func (w *world) apply(data []byte) error {
	ev, err := event.Decode(data)
	if err != nil {
		return err
	}
	id, isRoom := strings.CutPrefix(ev.Subject, chain.RoomSubject(""))
	if !isRoom {
		if ev.Subject != chain.HubSubject && !strings.HasPrefix(ev.Subject, chain.PersonSubject("")) {
			return event.ErrNotMeant
		}
		return w.Apply(ev)
	}
	author := w.People[ev.Author.Text(trust.Account)]
	if author == nil {
		return chain.ErrRefused
	}
	if err := author.VouchedAt(ev); err != nil {
		return err
	}
	room := w.rooms[id]
	if room == nil {
		room = new(chain.Room)
	}
	if err := room.Apply(w.hub.ID, ev); err != nil {
		return err
	}
	w.rooms[id] = room
	return nil
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func invitesOf(invites map[string]*chain.InviteBody) map[string]inviteState {
	out := make(map[string]inviteState)
	for key, b := range invites {
		out[key] = inviteState{b.Uses, moment(b.Expires)}
	}
	return out
}

func (w *world) state() ledgerState {
	s := ledgerState{
		Hub:    hubState{w.World.Hub.Seq, w.World.Hub.Head.String(), invitesOf(w.World.Hub.Invites)},
		People: make(map[string]personState), Rooms: make(map[string]roomState),
	}
	for account, p := range w.People {
		person := personState{
			p.Handle, p.XKey, p.Invite, p.Inviter, p.Seq, p.Head.String(), make(map[string]deviceState), invitesOf(p.Invites),
			make(map[string]grantState), make(map[string]takenState),
			[]string{},
		}
		for key, d := range p.Devices {
			person.Devices[key] = deviceState{d.Name, d.Since, d.Revoked}
		}
		for grant, g := range w.Shares[account].Granted {
			person.Granted[grant] = grantState{g.Catalog, g.To, moment(g.Expires)}
		}
		for grant, g := range w.Shares[account].Taken {
			person.Taken[grant] = takenState{g.Owner, g.Catalog}
		}
		for _, taken := range w.Imports(account) {
			person.Imports = append(person.Imports, taken.Grant)
		}
		sort.Strings(person.Imports)
		s.People[account] = person
	}
	for id, r := range w.rooms {
		room := roomState{
			r.Kind, r.Listed, r.Name, r.Creator, r.Seq, r.Head.String(), make(map[string][]spanState), r.Current.String(), make(map[string]epochState),
		}
		for account, spans := range r.Members {
			for _, span := range spans {
				room.Members[account] = append(room.Members[account], spanState{string(span.Role), span.Since, span.Until, moment(span.Expires)})
			}
		}
		for h, e := range r.Epochs {
			epoch := epochState{e.Number, e.Place, e.Commitment.String(), []string{}}
			for account := range e.Boxes {
				epoch.Readers = append(epoch.Readers, account)
			}
			sort.Strings(epoch.Readers)
			room.Epochs[h] = epoch
		}
		s.Rooms[id] = room
	}
	return s
}

// scribe writes the ledger of the file.
type scribe struct {
	file  *chainFile
	now   time.Time
	heads map[string]*event.Event // newest event by subject
	count int
}

// person of the ledger: the pairs of a name.
type who string

func (w who) identity() *trust.KeyPair          { return pair(trust.Account, string(w)+" identity") }
func (w who) device(name string) *trust.KeyPair { return pair(trust.Device, string(w)+" "+name) }
func (w who) account() string                   { return w.identity().String() }
func (w who) subject() string                   { return chain.PersonSubject(w.account()) }

func (s *scribe) token(w who, name string) string {
	return s.tokenFor(w, name, 300*24*time.Hour)
}

func (s *scribe) tokenFor(w who, name string, life time.Duration) string {
	return get(trust.IssueDevice(w.identity(), w.device(name).Public(), name, s.now, s.now.Add(life))).Text
}

type edit func(ev *event.Event)

// make makes the next event of a chain, signed by key, without its being in the ledger.
func (s *scribe) make(author trust.PublicKey, key *trust.KeyPair, own, subject, kind string, body any, edits ...edit) *event.Event {
	text, isText := body.(string)
	if !isText {
		text = string(get(trust.Canonical(body)))
	}
	s.count++
	ev := &event.Event{
		ID: eventID(fmt.Sprint("ledger ", s.count)), Author: author, Type: kind, Subject: subject, Audience: hubID(),
		Time: s.now, Seq: 1, Body: []byte(text),
	}
	if last := s.heads[subject]; last != nil {
		ev.Seq, ev.Prev = last.Seq+1, last.Hash()
	}
	if last := s.heads[own]; last != nil {
		ev.Head = last.Hash()
	}
	for _, change := range edits {
		change(ev)
	}
	must(ev.Sign(key))
	return ev
}

func (s *scribe) by(w who, device, subject, kind string, body any, edits ...edit) *event.Event {
	return s.make(w.identity().Public(), w.device(device), w.subject(), subject, kind, body, edits...)
}

func (s *scribe) itself(w who, kind string, body any, edits ...edit) *event.Event {
	return s.make(w.identity().Public(), w.identity(), w.subject(), w.subject(), kind, body, edits...)
}

func (s *scribe) byHub(kind string, body any, edits ...edit) *event.Event {
	return s.make(operator().Public(), signing(), chain.HubSubject, chain.HubSubject, kind, body, edits...)
}

func (s *scribe) admission(w who, handle, inviter string, invite *trust.KeyPair) chain.AdmitBody {
	return chain.AdmitBody{
		Handle: handle, Account: w.account(), XKey: xkey(string(w) + " xkey").String(), Device: s.token(w, "laptop"),
		Invite: invite.String(), Inviter: inviter,
	}
}

func (s *scribe) admit(w who, body any, invite *trust.KeyPair, edits ...edit) *event.Event {
	ev := s.itself(w, chain.Admit, body, edits...)
	must(ev.CoSign(invite))
	return ev
}

// add puts an event into the ledger.
func (s *scribe) add(name string, ev *event.Event) *event.Event {
	s.file.Ledger = append(s.file.Ledger, ledgerEvent{name, ev.Encode()})
	s.heads[ev.Subject] = ev
	s.now = s.now.Add(time.Minute)
	return ev
}

func (s *scribe) refuse(name, why string, ev *event.Event) {
	s.file.Refused = append(s.file.Refused, chainRefusal{refusal{name, why}, len(s.file.Ledger), ev.Encode()})
}

func (s *scribe) later(d time.Duration) time.Time { return s.now.Add(d).Truncate(time.Second) }

func (s *scribe) epoch(room string, number int, previous event.Hash, readers ...who) chain.EpochBody {
	key := secret(fmt.Sprint("epoch ", number))
	commitment := hash(label("epoch"), []byte(room), key)
	body := chain.EpochBody{
		Number: number, Previous: previous, Commitment: event.Hash(commitment),
		Name: aesGCM(key, secret(fmt.Sprint("epoch name ", number))[:12], []byte("cellar"), slices.Concat(label("room-name"), []byte(room))),
	}
	sort.Slice(readers, func(i, j int) bool { return readers[i].account() < readers[j].account() })
	for _, reader := range readers {
		box := boxFor(xkey(string(reader)+" xkey").String(), "epoch", slices.Concat([]byte(room), commitment),
			secret(fmt.Sprint("epoch ", number, string(reader))), key)
		body.Keys = append(body.Keys, chain.EpochBox{Account: reader.account(), Key: box.Box})
	}
	return body
}

const (
	alice = who("alice")
	bob   = who("bob")
	carol = who("carol")
	mallo = who("mallory")
)

func makeLedger() chainFile {
	f := chainFile{about: about{"A small ledger from its first event to its last, what it adds up to, and events that must be refused where they stand.", "ledger.md"}}
	f.Hub = signJWT(jwtHeader, operatorPayload(), operator())
	s := &scribe{file: &f, now: start, heads: make(map[string]*event.Event)}
	s.people()
	s.shares()
	s.rooms()
	s.comeback()
	w := newWorld(get(trust.ParseHub(f.Hub)))
	for _, e := range f.Ledger {
		if err := w.apply(e.Event); err != nil {
			panic(e.Name + ": " + err.Error())
		}
	}
	f.State = w.state()
	return f
}

func (s *scribe) people() {
	host, hers := inviteKey("the host's"), inviteKey("alice's")
	body := chain.InviteBody{Invite: host.String(), Uses: 2, Expires: s.later(24 * time.Hour)}
	s.refuse("an invite signed by the operator identity", "refused", s.make(operator().Public(), operator(), chain.HubSubject, chain.HubSubject, chain.HubInvite, body))
	s.refuse("an invite signed by a member for the hub", "refused", s.make(operator().Public(), alice.device("laptop"), chain.HubSubject, chain.HubSubject, chain.HubInvite, body))
	s.refuse("an invite for no use", "content", s.byHub(chain.HubInvite, chain.InviteBody{Invite: host.String(), Uses: 0, Expires: body.Expires}))
	s.refuse("an invite for 1001 uses", "content", s.byHub(chain.HubInvite, chain.InviteBody{Invite: host.String(), Uses: 1001, Expires: body.Expires}))
	s.refuse("an invite for 367 days", "content", s.byHub(chain.HubInvite, chain.InviteBody{Invite: host.String(), Uses: 1, Expires: s.later(367 * 24 * time.Hour)}))
	s.refuse("an invite that has expired", "content", s.byHub(chain.HubInvite, chain.InviteBody{Invite: host.String(), Uses: 1, Expires: s.now}))
	s.refuse("an invite until a part of a second", "content", s.byHub(chain.HubInvite, chain.InviteBody{Invite: host.String(), Uses: 1, Expires: body.Expires.Add(time.Millisecond)}))
	s.refuse("an invite key that is an account", "content", s.byHub(chain.HubInvite, chain.InviteBody{Invite: alice.account(), Uses: 1, Expires: body.Expires}))
	s.refuse("a body with white space", "content", s.byHub(chain.HubInvite, " "+string(get(trust.Canonical(body)))))
	s.refuse("a kind that the hub does not have", "content", s.byHub(chain.Invite, body))
	s.refuse("a first event that is not the first", "place", s.byHub(chain.HubInvite, body, func(ev *event.Event) { ev.Seq, ev.Prev = 2, event.Hash{1} }))
	s.refuse("for another hub", "not-meant", s.byHub(chain.HubInvite, body, func(ev *event.Event) { ev.Audience = signing().String() }))
	s.refuse("with a head that is not its chain's", "place", s.byHub(chain.HubInvite, body, func(ev *event.Event) { ev.Head = event.Hash{1} }))
	s.refuse("an admission before the invite", "refused", s.admit(alice, s.admission(alice, "alice", hubID(), host), host))
	s.add("the host invites", s.byHub(chain.HubInvite, body))
	s.refuse("the same invite key again", "content", s.byHub(chain.HubInvite, body))

	admission := s.admission(alice, "alice", hubID(), host)
	wrong := func(name, why string, change func(b *chain.AdmitBody)) {
		b := admission
		change(&b)
		s.refuse(name, why, s.admit(alice, b, host))
	}
	wrong("a handle that is not in normal form", "content", func(b *chain.AdmitBody) { b.Handle = "Alice" })
	wrong("another account", "content", func(b *chain.AdmitBody) { b.Account = bob.account() })
	wrong("an xkey of small order", "content", func(b *chain.AdmitBody) { b.XKey = makeKeys().Refused[len(makeKeys().Refused)-1].Text })
	wrong("the token of another", "content", func(b *chain.AdmitBody) { b.Device = s.token(bob, "laptop") })
	wrong("an inviter that is neither a person nor the hub", "content", func(b *chain.AdmitBody) { b.Inviter = "hub" })
	wrong("an inviter that nobody knows", "refused", func(b *chain.AdmitBody) { b.Inviter = bob.account() })
	wrong("an invite that the body does not name", "co-signature", func(b *chain.AdmitBody) { b.Invite = hers.String() })
	s.refuse("an invite that nobody announced", "refused", s.admit(alice, s.admission(alice, "alice", hubID(), hers), hers))
	s.refuse("an admission signed by the device", "refused", func() *event.Event {
		ev := s.by(alice, "laptop", alice.subject(), chain.Admit, admission)
		must(ev.CoSign(host))
		return ev
	}())
	s.refuse("an admission without a co-signature", "co-signature", s.itself(alice, chain.Admit, admission))
	s.refuse("an admission with a head", "place", s.admit(alice, admission, host, func(ev *event.Event) { ev.Head = event.Hash{1} }))
	s.refuse("an admission at the second place", "place", s.admit(alice, admission, host, func(ev *event.Event) { ev.Seq, ev.Prev = 2, event.Hash{1} }))
	s.refuse("an admission on another's chain", "not-meant", s.admit(alice, admission, host, func(ev *event.Event) { ev.Subject = bob.subject() }))
	s.refuse("an admission after the invite's end", "refused", s.admit(alice, admission, host, func(ev *event.Event) { ev.Time = body.Expires }))
	s.refuse("a chain that begins with something else", "place", s.itself(alice, chain.AddDevice, chain.DeviceBody{Token: s.token(alice, "laptop")}))
	s.add("alice is admitted by the host's invite", s.admit(alice, admission, host))
	s.refuse("an account that was admitted before", "place", s.admit(alice, s.admission(alice, "alice2", hubID(), host), host, func(ev *event.Event) { ev.Seq, ev.Prev, ev.Head = 1, event.Hash{}, event.Hash{} }))
	s.refuse("a handle that is taken", "refused", s.admit(bob, s.admission(bob, "alice", hubID(), host), host))
	stolen := s.admission(bob, "bob", hubID(), host)
	stolen.Device = get(trust.IssueDevice(bob.identity(), alice.device("laptop").Public(), "laptop", s.now, s.now.Add(time.Hour))).Text
	s.refuse("a device that is somebody else's", "refused", s.admit(bob, stolen, host))

	invite := chain.InviteBody{Invite: hers.String(), Uses: 1, Expires: s.later(time.Hour)}
	s.refuse("an invite signed by the identity itself", "refused", s.itself(alice, chain.Invite, invite))
	s.refuse("an invite signed by a device of nobody", "refused", s.by(alice, "phone", alice.subject(), chain.Invite, invite))
	s.refuse("an invite on another's chain", "refused", s.make(bob.identity().Public(), bob.device("laptop"), alice.subject(), alice.subject(), chain.Invite, invite))
	s.refuse("a place that is taken", "place", s.by(alice, "laptop", alice.subject(), chain.Invite, invite, func(ev *event.Event) { ev.Seq, ev.Prev = 1, event.Hash{} }))
	s.refuse("a place that is left out", "place", s.by(alice, "laptop", alice.subject(), chain.Invite, invite, func(ev *event.Event) { ev.Seq = 3 }))
	s.refuse("another event before it", "place", s.by(alice, "laptop", alice.subject(), chain.Invite, invite, func(ev *event.Event) { ev.Prev = event.Hash{1} }))
	s.refuse("another head than the one before", "place", s.by(alice, "laptop", alice.subject(), chain.Invite, invite, func(ev *event.Event) { ev.Head = event.Hash{1} }))
	s.refuse("before the token began", "refused", s.by(alice, "laptop", alice.subject(), chain.Invite, invite, func(ev *event.Event) { ev.Time = start.Add(-time.Hour) }))
	s.refuse("after the token's end", "refused", s.by(alice, "laptop", alice.subject(), chain.Invite, chain.InviteBody{Invite: hers.String(), Uses: 1, Expires: s.later(302 * 24 * time.Hour)},
		func(ev *event.Event) { ev.Time = start.Add(301 * 24 * time.Hour) }))
	s.refuse("a kind that nobody knows", "content", s.by(alice, "laptop", alice.subject(), "person.rename", "{}"))
	s.refuse("a kind of another chain", "content", s.by(alice, "laptop", alice.subject(), chain.LeaveRoom, "{}"))
	s.add("alice invites", s.by(alice, "laptop", alice.subject(), chain.Invite, invite))
	s.refuse("an invite key that was announced before", "content", s.by(alice, "laptop", alice.subject(), chain.Invite, invite))

	s.add("bob is admitted by alice's invite", s.admit(bob, s.admission(bob, "bob", alice.account(), hers), hers))
	s.refuse("an invite that is used up", "refused", s.admit(carol, s.admission(carol, "carol", alice.account(), hers), hers))
	s.refuse("an invite of another inviter", "refused", s.admit(carol, s.admission(carol, "carol", bob.account(), host), host))
	s.add("carol is admitted by the host's invite", s.admit(carol, s.admission(carol, "carol", hubID(), host), host))
	s.refuse("the host's invite, used up", "refused", s.admit(mallo, s.admission(mallo, "mallory", hubID(), host), host))

	s.refuse("a device of somebody else", "refused", s.by(alice, "laptop", alice.subject(), chain.AddDevice, chain.DeviceBody{
		Token: get(trust.IssueDevice(alice.identity(), bob.device("laptop").Public(), "phone", s.now, s.now.Add(time.Hour))).Text,
	}))
	s.refuse("a token that another identity signed", "content", s.by(alice, "laptop", alice.subject(), chain.AddDevice, chain.DeviceBody{Token: s.token(bob, "phone")}))
	s.add("alice adds a phone", s.by(alice, "laptop", alice.subject(), chain.AddDevice, chain.DeviceBody{Token: s.token(alice, "phone")}))
}

func (s *scribe) shares() {
	own := func(kind string, body any, edits ...edit) *event.Event {
		return s.by(alice, "phone", alice.subject(), kind, body, edits...)
	}
	films := chain.GrantBody{Grant: id("grant"), Catalog: id("films"), To: bob.account(), Expires: s.later(48 * time.Hour), Sealed: s.share("films", bob)}
	wrong := func(name string, change func(b *chain.GrantBody)) {
		b := films
		change(&b)
		s.refuse(name, "content", own(chain.Grant, b))
	}
	wrong("a share with oneself", func(b *chain.GrantBody) { b.To = alice.account() })
	wrong("a share with nobody", func(b *chain.GrantBody) { b.To = "bob" })
	wrong("a share of no catalog", func(b *chain.GrantBody) { b.Catalog = "films" })
	wrong("a share without a sealed part", func(b *chain.GrantBody) { b.Sealed = []byte{} })
	wrong("a share with a sealed part of 257 bytes", func(b *chain.GrantBody) { b.Sealed = make([]byte, 257) })
	wrong("a share that has ended", func(b *chain.GrantBody) { b.Expires = s.now })
	s.refuse("the end of no share", "content", own(chain.Revoke, chain.RevokeBody{Grant: films.Grant, To: films.To}))
	s.add("alice shares films with bob", own(chain.Grant, films))
	wrong("the same grant for another catalog", func(b *chain.GrantBody) { b.Catalog = id("music") })
	wrong("the same grant for another person", func(b *chain.GrantBody) { b.To = carol.account() })
	s.refuse("the end of a share with another", "content", own(chain.Revoke, chain.RevokeBody{Grant: films.Grant, To: carol.account()}))
	films.Expires = time.Time{}
	s.add("alice shares films with bob for ever", own(chain.Grant, films))
	music := chain.GrantBody{Grant: id("music grant"), Catalog: id("music"), To: carol.account(), Expires: s.later(72 * time.Hour), Sealed: s.share("music", carol)}
	s.add("alice shares music with carol", own(chain.Grant, music))
	s.add("bob accepts", s.by(bob, "laptop", bob.subject(), chain.Accept, chain.AcceptBody{Grant: films.Grant, Owner: alice.account(), Catalog: films.Catalog}))
	s.refuse("an acceptance from nobody", "content", s.by(carol, "laptop", carol.subject(), chain.Accept, chain.AcceptBody{Grant: music.Grant, Owner: "alice", Catalog: music.Catalog}))
	s.add("carol accepts", s.by(carol, "laptop", carol.subject(), chain.Accept, chain.AcceptBody{Grant: music.Grant, Owner: alice.account(), Catalog: music.Catalog}))
	s.add("carol accepts what nobody granted", s.by(carol, "laptop", carol.subject(), chain.Accept, chain.AcceptBody{Grant: id("no grant"), Owner: bob.account(), Catalog: music.Catalog}))
	s.add("carol declines", s.by(carol, "laptop", carol.subject(), chain.Decline, chain.DeclineBody{Grant: music.Grant, Owner: alice.account()}))
	s.add("alice ends the share of music", own(chain.Revoke, chain.RevokeBody{Grant: music.Grant, To: carol.account()}))
}

// share is a share's sealed part.
func (s *scribe) share(name string, to who) []byte {
	owner := alice.identity().Public()
	context := slices.Concat([]byte(id("grant")), owner[:])
	return boxFor(xkey(string(to)+" xkey").String(), "share", context, secret("share "+name), []byte(`{"name":"`+name+`"}`)).Box
}

func (s *scribe) rooms() {
	room := id("room")
	subject := chain.RoomSubject(room)
	in := func(w who, kind string, body any, edits ...edit) *event.Event {
		return s.by(w, "laptop", subject, kind, body, edits...)
	}
	create := chain.CreateRoomBody{Room: room, Kind: chain.Sealed}
	wrong := func(name, why string, change func(b *chain.CreateRoomBody)) {
		b := create
		change(&b)
		s.refuse(name, why, in(alice, chain.CreateRoom, b))
	}
	wrong("a room of another kind", "content", func(b *chain.CreateRoomBody) { b.Kind = "secret" })
	wrong("a sealed room that says its name", "content", func(b *chain.CreateRoomBody) { b.Name = "cellar" })
	wrong("a listed room without a name", "content", func(b *chain.CreateRoomBody) { b.Listed = true })
	wrong("a room of another chain", "not-meant", func(b *chain.CreateRoomBody) { b.Room = id("hall") })
	s.refuse("a room by nobody", "refused", s.by(mallo, "laptop", subject, chain.CreateRoom, create))
	s.refuse("a room under a head that its author never had", "place", in(alice, chain.CreateRoom, create, func(ev *event.Event) { ev.Head = event.Hash{1} }))
	s.refuse("a room under no head", "place", in(alice, chain.CreateRoom, create, func(ev *event.Event) { ev.Head = event.Hash{} }))
	s.add("alice makes a sealed room", in(alice, chain.CreateRoom, create))

	s.refuse("an epoch of a member of nothing", "refused", in(bob, chain.Epoch, s.epoch(room, 1, event.Hash{}, alice)))
	s.refuse("an epoch with a reader who is no member", "content", in(alice, chain.Epoch, s.epoch(room, 1, event.Hash{}, alice, bob)))
	s.refuse("a second epoch before the first", "place", in(alice, chain.Epoch, s.epoch(room, 2, event.Hash{}, alice)))
	s.refuse("an epoch after one that never was", "place", in(alice, chain.Epoch, s.epoch(room, 1, event.Hash{1}, alice)))
	s.refuse("an epoch without readers", "content", in(alice, chain.Epoch, `{"number":1,"commitment":"`+strings.Repeat("0a", 32)+`","keys":[],"name":"AQI="}`))
	first := s.add("alice begins an epoch", in(alice, chain.Epoch, s.epoch(room, 1, event.Hash{}, alice)))
	key := secret("epoch 1")
	commitment := hash(label("epoch"), []byte(room), key)
	grant := chain.GrantRoomBody{
		Grant: id("bob in"), Account: bob.account(), Role: chain.Writer, Epoch: first.Hash(),
		Key: boxFor(xkey("bob xkey").String(), "epoch", slices.Concat([]byte(room), commitment), secret("bob in"), key).Box,
	}
	s.refuse("a grant by somebody outside", "refused", in(bob, chain.GrantRoom, grant))
	bad := func(name string, change func(b *chain.GrantRoomBody)) {
		b := grant
		change(&b)
		s.refuse(name, "content", in(alice, chain.GrantRoom, b))
	}
	bad("a role that nobody knows", func(b *chain.GrantRoomBody) { b.Role = "owner" })
	bad("another role for the creator", func(b *chain.GrantRoomBody) { b.Account = alice.account() })
	bad("an epoch without its key", func(b *chain.GrantRoomBody) { b.Key = nil })
	bad("a key without its epoch", func(b *chain.GrantRoomBody) { b.Epoch = event.Hash{} })
	bad("an epoch that is not the current one", func(b *chain.GrantRoomBody) { b.Epoch = event.Hash{1} })
	bad("a grant that has ended", func(b *chain.GrantRoomBody) { b.Expires = s.now })
	s.add("alice lets bob in and hands over the key", in(alice, chain.GrantRoom, grant))
	s.refuse("a grant by a writer", "refused", in(bob, chain.GrantRoom, chain.GrantRoomBody{Grant: id("carol in"), Account: carol.account(), Role: chain.Reader}))
	s.refuse("a revocation by a writer", "refused", in(bob, chain.RevokeRoom, chain.RevokeRoomBody{Account: bob.account()}))
	expires := s.later(time.Hour)
	s.add("alice lets carol in to read for an hour", in(alice, chain.GrantRoom, chain.GrantRoomBody{Grant: id("carol in"), Account: carol.account(), Role: chain.Reader, Expires: expires}))
	s.refuse("an epoch of a reader", "refused", in(carol, chain.Epoch, s.epoch(room, 2, first.Hash(), alice, bob, carol)))
	unsorted := s.epoch(room, 2, first.Hash(), alice, bob, carol)
	slices.Reverse(unsorted.Keys)
	s.refuse("readers in another order", "content", in(bob, chain.Epoch, unsorted))
	twice := s.epoch(room, 2, first.Hash(), alice, bob)
	twice.Keys = append(twice.Keys[:1:1], twice.Keys[0])
	s.refuse("a reader twice", "content", in(bob, chain.Epoch, twice))
	s.refuse("a reader whose grant has expired", "content", in(bob, chain.Epoch, s.epoch(room, 2, first.Hash(), alice, bob, carol), func(ev *event.Event) { ev.Time = expires }))
	second := s.add("bob begins an epoch", in(bob, chain.Epoch, s.epoch(room, 2, first.Hash(), alice, bob, carol)))
	s.refuse("the creator is put out", "content", in(alice, chain.RevokeRoom, chain.RevokeRoomBody{Account: alice.account()}))
	s.refuse("somebody is put out who is not in", "content", in(alice, chain.RevokeRoom, chain.RevokeRoomBody{Account: mallo.account()}))
	s.refuse("the creator leaves", "content", in(alice, chain.LeaveRoom, chain.LeaveRoomBody{}))
	s.add("alice puts carol out", in(alice, chain.RevokeRoom, chain.RevokeRoomBody{Account: carol.account()}))
	s.refuse("somebody leaves who is out", "content", in(carol, chain.LeaveRoom, chain.LeaveRoomBody{}))
	s.refuse("an epoch with a reader who is out", "content", in(bob, chain.Epoch, s.epoch(room, 3, second.Hash(), alice, bob, carol)))
	s.add("bob begins an epoch without carol", in(bob, chain.Epoch, s.epoch(room, 3, second.Hash(), alice, bob)))
	s.add("alice makes bob a moderator", in(alice, chain.GrantRoom, chain.GrantRoomBody{Grant: id("bob mod"), Account: bob.account(), Role: chain.Moderator}))
	s.add("bob leaves", in(bob, chain.LeaveRoom, chain.LeaveRoomBody{}))

	hall := id("hall")
	open := func(w who, kind string, body any) *event.Event {
		return s.by(w, "laptop", chain.RoomSubject(hall), kind, body)
	}
	s.add("bob makes an open room", open(bob, chain.CreateRoom, chain.CreateRoomBody{Room: hall, Kind: chain.Open, Listed: true, Name: "hall"}))
	s.refuse("an epoch of an open room", "content", open(bob, chain.Epoch, s.epoch(hall, 1, event.Hash{}, bob)))
	s.refuse("somebody leaves who was never let in", "content", open(carol, chain.LeaveRoom, chain.LeaveRoomBody{}))
	s.add("bob makes carol a reader there", open(bob, chain.GrantRoom, chain.GrantRoomBody{Grant: id("carol hall"), Account: carol.account(), Role: chain.Reader}))
}

func (s *scribe) comeback() {
	before := s.heads[alice.subject()].Hash()
	s.refuse("a device that is not there is revoked", "content", s.by(alice, "laptop", alice.subject(), chain.RevokeDevice, chain.RevokeDeviceBody{Device: bob.device("laptop").String()}))
	s.add("alice revokes her phone", s.by(alice, "laptop", alice.subject(), chain.RevokeDevice, chain.RevokeDeviceBody{Device: alice.device("phone").String()}))
	s.refuse("a revoked device signs", "refused", s.by(alice, "phone", alice.subject(), chain.RotateXKey, chain.XKeyBody{XKey: xkey("alice new xkey").String()}))
	s.refuse("a revoked device is added again", "content", s.by(alice, "laptop", alice.subject(), chain.AddDevice, chain.DeviceBody{Token: s.token(alice, "phone")}))
	s.refuse("a device is revoked twice", "content", s.by(alice, "laptop", alice.subject(), chain.RevokeDevice, chain.RevokeDeviceBody{Device: alice.device("phone").String()}))
	s.refuse("a revoked device signs in a room", "refused", s.by(alice, "phone", chain.RoomSubject(id("room")), chain.GrantRoom,
		chain.GrantRoomBody{Grant: id("x"), Account: carol.account(), Role: chain.Reader}))
	s.refuse("the xkey that it is already", "content", s.by(alice, "laptop", alice.subject(), chain.RotateXKey, chain.XKeyBody{XKey: xkey("alice xkey").String()}))
	s.add("alice has a new xkey", s.by(alice, "laptop", alice.subject(), chain.RotateXKey, chain.XKeyBody{XKey: xkey("alice new xkey").String()}))
	s.add("alice's identity adds a device", s.itself(alice, chain.AddDevice, chain.DeviceBody{Token: s.token(alice, "desk")}))
	s.add("alice's identity revokes the laptop", s.itself(alice, chain.RevokeDevice, chain.RevokeDeviceBody{Device: alice.device("laptop").String()}))
	s.refuse("the identity itself replaces the xkey", "refused", s.itself(alice, chain.RotateXKey, chain.XKeyBody{XKey: xkey("alice xkey").String()}))
	s.refuse("the identity itself signs in a room", "refused", s.make(alice.identity().Public(), alice.identity(), alice.subject(), chain.RoomSubject(id("room")),
		chain.GrantRoom, chain.GrantRoomBody{Grant: id("x"), Account: carol.account(), Role: chain.Reader}))
	s.refuse("another identity adds a device", "refused", s.make(bob.identity().Public(), bob.identity(), alice.subject(), alice.subject(),
		chain.AddDevice, chain.DeviceBody{Token: s.token(bob, "phone")}))
	s.add("alice renews the token of her desk", s.by(alice, "desk", alice.subject(), chain.AddDevice, chain.DeviceBody{Token: s.token(alice, "desk")}))
	s.refuse("a device before it was added", "refused", s.by(alice, "desk", chain.RoomSubject(id("room")), chain.GrantRoom,
		chain.GrantRoomBody{Grant: id("x"), Account: carol.account(), Role: chain.Reader}, func(ev *event.Event) { ev.Head = before }))
	s.add("alice lets carol in again, from her desk", s.by(alice, "desk", chain.RoomSubject(id("room")), chain.GrantRoom,
		chain.GrantRoomBody{Grant: id("carol again"), Account: carol.account(), Role: chain.Writer}))
	s.narrowed()
}

// narrowed has a device's token end earlier, which takes back those before it.
func (s *scribe) narrowed() {
	renew := func(token string) *event.Event {
		return s.by(alice, "desk", alice.subject(), chain.AddDevice, chain.DeviceBody{Token: token})
	}
	long, short := s.token(alice, "desk"), s.tokenFor(alice, "desk", 30*24*time.Hour)
	s.add("the desk's token once more", renew(long))
	s.refuse("a token that ends earlier, and is not issued later", "content", renew(short))
	s.add("a token that ends earlier", renew(s.tokenFor(alice, "desk", 30*24*time.Hour)))
	s.refuse("a token that was taken back", "content", renew(long))
	s.add("a longer token, issued later", renew(s.token(alice, "desk")))
}

var chainErrors = map[string]error{
	"place": chain.ErrPlace, "refused": chain.ErrRefused, "content": chain.ErrContent, "not-meant": event.ErrNotMeant,
	"signature": event.ErrSignature, "co-signature": event.ErrSignature, "body": event.ErrBody, "malformed": event.ErrMalformed,
}

func TestLedger(t *testing.T) {
	f := load[chainFile](t, "chain.json")
	hub, err := trust.ParseHub(f.Hub)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(hub)
	refused := 0
	for i := range len(f.Ledger) + 1 {
		for _, r := range f.Refused {
			if r.After != i {
				continue
			}
			refused++
			before := encode(w.state())
			wantErr(t, r.Name, w.apply(r.Event), chainErrors[r.Why])
			if string(encode(w.state())) != string(before) {
				t.Errorf("%s: refused, and something is another", r.Name)
			}
		}
		if i < len(f.Ledger) {
			if err := w.apply(f.Ledger[i].Event); err != nil {
				t.Fatalf("%s: %v", f.Ledger[i].Name, err)
			}
		}
	}
	same(t, "refused", refused, len(f.Refused))
	got, err := json.Marshal(w.state())
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(f.State)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "state", string(got), string(want))
}

// Whoever may not read a share's events folds the same person without their bodies.
func TestLedgerWithBodiesWithheld(t *testing.T) {
	f := load[chainFile](t, "chain.json")
	person, withheld := new(chain.Person), 0
	for _, e := range f.Ledger {
		ev := get(event.Decode(e.Event))
		if ev.Subject != alice.subject() {
			continue
		}
		private := strings.HasPrefix(ev.Type, "share.")
		if private {
			ev = get(event.Decode(ev.EncodeWithheld()))
			withheld++
		}
		if err := person.Apply(hubID(), ev, private); err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
	}
	want := f.State.People[alice.account()]
	if withheld == 0 || person.Head.String() != want.Head || person.Seq != want.Seq || len(person.Devices) != len(want.Devices) {
		t.Errorf("%d withheld: %+v", withheld, person)
	}
	bare := get(event.Decode(get(event.Decode(f.Ledger[len(f.Ledger)-2].Event)).EncodeWithheld()))
	if err := person.Apply(hubID(), bare, true); err == nil {
		t.Error("an event that is not a share's was taken without its body")
	}
}
