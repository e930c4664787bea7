package members_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/browsers"
	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/callout/backend/invites"
	"keyhall.dev/keyhall/internal/callout/backend/members"
	"keyhall.dev/keyhall/internal/callout/backend/returners"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/recovery"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/internal/sessions"
	"keyhall.dev/keyhall/trust"
)

// house is a hub with people, and what its backends work with.
type house struct {
	t    *testing.T
	hall *hubtest.Hall
	keys *natsd.Keys
	nc   *nats.Conn

	people *people.View
	rooms  *rooms.View
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, hall: hubtest.Start(t)}
	var err error
	if h.keys, err = natsd.LoadKeys(h.hall.Dir); err != nil {
		t.Fatal(err)
	}
	if h.nc, err = nats.Connect(h.hall.NATS(), h.keys.HubUser.Options()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.nc.Close)
	ctx := hubtest.Context(t)
	l, err := ledger.Open(ctx, h.nc, 1)
	if err != nil {
		t.Fatal(err)
	}
	if h.people, err = people.OpenView(ctx, l); err != nil {
		t.Fatal(err)
	}
	if h.rooms, err = rooms.OpenView(ctx, l); err != nil {
		t.Fatal(err)
	}
	return h
}

// scopes are the templates of HUB's signing keys.
func (h *house) scopes() []*jwt.UserScope {
	h.t.Helper()
	claims, err := jwt.DecodeAccountClaims(h.keys.AccountJWTs()[h.keys.Hub])
	if err != nil {
		h.t.Fatal(err)
	}
	var all []*jwt.UserScope
	for _, scope := range claims.SigningKeys {
		if scope, is := scope.(*jwt.UserScope); is {
			all = append(all, scope)
		}
	}
	return all
}

// room makes a room of somebody's and waits until the backends know it.
func (h *house) room(m *hubtest.Member, name string, granted ...string) string {
	h.t.Helper()
	ctx := hubtest.Context(h.t)
	room, err := m.CreateRoom(ctx, name, client.RoomOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, who := range granted {
		person, err := m.GrantRoom(ctx, name, who, "reader", 0)
		if err != nil {
			h.t.Fatal(err)
		}
		hubtest.Eventually(h.t, who+" is in the room", func() bool {
			known, err := h.rooms.Room(ctx, room.ID)
			if err != nil {
				return false
			}
			role, _ := known.State.RoleOf(person.Account, time.Now())
			return role != ""
		})
	}
	hubtest.Eventually(h.t, "the room is known", func() bool { _, err := h.rooms.Room(ctx, room.ID); return err == nil })
	return room.ID
}

func device(t *testing.T, m *hubtest.Member) *trust.KeyPair {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.Profile.Dir(), "keys", "device.nk"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.ParseSeed(trust.Device, text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// asks is a login with a user field, signed by a key.
func asks(user string, key *trust.KeyPair) callout.Request {
	const nonce = "a-nonce-of-the-server"
	signature := key.Sign([]byte(nonce))
	return callout.Request{
		User: user, Nonce: nonce, Signature: base64.RawURLEncoding.EncodeToString(signature[:]),
		Server: callout.Server{ID: "NTEST"}, Client: callout.Client{ID: 7},
	}
}

// foreign are logins that are no member's, newcomer's or returner's.
func foreign(others ...string) []backendtest.Login {
	all := []backendtest.Login{
		{Name: "a password", Request: callout.Request{User: "alice", Password: "x"}},
		{Name: "a token", Request: callout.Request{Token: "eyJ.eyJ.x"}},
		{Name: "a certificate", Request: callout.Request{TLS: callout.TLS{Chains: [][]string{{"x"}}}}},
		{Name: "another first word", Request: callout.Request{User: "roomsX U"}},
		{Name: "a space first", Request: callout.Request{User: " rooms U"}},
	}
	for _, word := range others {
		all = append(all, backendtest.Login{Name: word, Request: callout.Request{User: word + " U"}})
	}
	return all
}

func TestConformanceOfMembers(t *testing.T) {
	h := newHouse(t)
	alice, bob, carol := h.hall.Join("alice"), h.hall.Join("bob"), h.hall.Join("carol")
	kitchen, attic := h.room(alice, "kitchen", "bob"), h.room(bob, "attic")
	a, b, c := device(t, alice), device(t, bob), device(t, carol)
	ctx := hubtest.Context(t)
	_, phone, err := alice.AddDevice(ctx, "phone")
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.RevokeDevice(ctx, "phone"); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, "the phone is known as revoked", func() bool {
		person, err := h.people.Device(ctx, phone.String())
		return err == nil && person.State.Devices[phone.String()].Revoked != 0
	})
	registry, err := sessions.Open(ctx, h.nc, 1)
	if err != nil {
		t.Fatal(err)
	}
	account := callout.Account{Name: "ROOMS", ID: h.keys.Rooms, Signer: h.keys.RoomsSigner}
	stranger, accounts := trust.NewKeyPair(trust.Device), alice.Profile.Settings.Account
	names := func(key *trust.KeyPair, list string) callout.Request { return asks("rooms "+key.String()+list, key) }
	query := func(user string, rooms ...string) *callout.Query { return &callout.Query{User: user, Rooms: rooms} }
	wrongKey := asks("rooms "+a.String(), b)
	unsigned := asks("rooms "+a.String(), a)
	unsigned.Signature = ""
	backendtest.Run(t, backendtest.Subject{
		Backend:  &members.Backend{People: h.people, Rooms: h.rooms, Sessions: registry, Browsers: h.browsers(), Account: account, Life: time.Hour},
		Accounts: callout.Accounts{account},
		Good: []backendtest.Login{
			{Name: "alice in her room", Request: names(a, " "+kitchen), Query: query("alice", kitchen)},
			{Name: "alice, by her account", Request: names(a, " "+kitchen), Query: query(accounts, kitchen, kitchen)},
			{Name: "bob in two, and one that he is not in", Request: names(b, " "+attic+","+kitchen+","+trust.NewID()), Query: nil},
			{Name: "bob, by his device", Request: names(b, " "+attic+","+kitchen), Query: query(b.String(), kitchen, attic)},
			{Name: "carol in none", Request: names(c, ""), Query: query("carol")},
			{Name: "carol in one that she is not in", Request: names(c, " "+kitchen), Query: query("carol", kitchen)},
		},
		Wrong: []backendtest.Login{
			{Name: "another's signature", Request: wrongKey},
			{Name: "no signature", Request: unsigned},
			{Name: "a device that nobody has", Request: names(stranger, " "+kitchen)},
		},
		Refused: []backendtest.Login{
			{Name: "a device that was revoked", Request: names(phone, " "+kitchen)},
			{Name: "all rooms", Request: names(c, " *")},
			{Name: "a room of two tokens", Request: names(c, " a.b")},
			{Name: "an account for a device", Request: asks("rooms "+accounts, a)},
			{Name: "no device", Request: asks("rooms", a)},
		},
		Foreign: foreign("admit", "recover"),
		Hostile: func(_ *testing.T, word string) *callout.Request {
			request := names(c, " "+word)
			return &request
		},
		Private: backendtest.Private{
			Publish:   []string{"room." + kitchen + ".say." + accounts, "room." + kitchen + ".live." + accounts},
			Subscribe: []string{"room." + kitchen + ".live.*", "feed." + kitchen, "feed." + attic, "_INBOX_" + a.String() + ".x", "_INBOX_" + b.String() + ".x"},
		},
	})
}

func TestConformanceOfInvites(t *testing.T) {
	h := newHouse(t)
	alice := h.hall.Join("alice")
	invite := func() (string, *trust.KeyPair) {
		code := alice.MustInvite(1)
		parsed, err := trust.ParseInvite(code)
		if err != nil {
			t.Fatal(err)
		}
		hubtest.Eventually(t, "the invite is known", func() bool {
			_, err := h.people.Invitation(hubtest.Context(t), parsed.Key().String())
			return err == nil
		})
		return code, parsed.Key()
	}
	_, one := invite()
	_, other := invite()
	code, used := invite()
	h.hall.JoinWith("bob", code)
	account := callout.Account{Name: "HUB", ID: h.keys.Hub, Signer: h.keys.NewcomerSigner, Scoped: true}
	stranger := trust.NewKeyPair(trust.Device)
	backendtest.Run(t, backendtest.Subject{
		Backend: &invites.Backend{People: h.people, Account: account}, Accounts: callout.Accounts{account}, Scopes: h.scopes(),
		Good: []backendtest.Login{
			{Name: "an invite", Request: asks("admit "+one.String(), one)}, {Name: "another", Request: asks("admit "+other.String(), other)},
		},
		Wrong: []backendtest.Login{
			{Name: "another's signature", Request: asks("admit "+one.String(), other)},
			{Name: "an invite that nobody made", Request: asks("admit "+stranger.String(), stranger)},
		},
		Refused: []backendtest.Login{
			{Name: "an invite that was used up", Request: asks("admit "+used.String(), used)},
			{Name: "something more", Request: asks("admit "+one.String()+" x", one)},
		},
		Foreign: foreign("rooms", "recover"),
		Hostile: func(_ *testing.T, word string) *callout.Request {
			request := asks("admit "+word, other)
			return &request
		},
		Private: backendtest.Private{
			Publish: []string{"admission." + one.String() + ".admit"}, Subscribe: []string{"_INBOX_" + one.String() + ".x"},
		},
	})
}

func TestConformanceOfReturners(t *testing.T) {
	h := newHouse(t)
	store, err := recovery.OpenStore(hubtest.Context(t), h.nc, 1)
	if err != nil {
		t.Fatal(err)
	}
	backup := func(handle string) *trust.KeyPair {
		made, err := h.hall.Join(handle).MakeRecovery(hubtest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		code, err := trust.ParseRecovery(made.Code)
		if err != nil {
			t.Fatal(err)
		}
		return code.Key()
	}
	alice, bob := backup("alice"), backup("bob")
	account := callout.Account{Name: "HUB", ID: h.keys.Hub, Signer: h.keys.ReturnerSigner, Scoped: true}
	stranger := trust.NewKeyPair(trust.Device)
	backendtest.Run(t, backendtest.Subject{
		Backend: &returners.Backend{Recovery: store, Account: account}, Accounts: callout.Accounts{account}, Scopes: h.scopes(),
		Good: []backendtest.Login{
			{Name: "alice", Request: asks("recover "+alice.String(), alice)}, {Name: "bob", Request: asks("recover "+bob.String(), bob)},
		},
		Wrong: []backendtest.Login{
			{Name: "another's signature", Request: asks("recover "+alice.String(), bob)},
			{Name: "a code that nobody made", Request: asks("recover "+stranger.String(), stranger)},
		},
		Refused: []backendtest.Login{{Name: "something more", Request: asks("recover "+alice.String()+" x", alice)}},
		Foreign: foreign("rooms", "admit"),
		Hostile: func(_ *testing.T, word string) *callout.Request {
			request := asks("recover "+word, bob)
			return &request
		},
		Private: backendtest.Private{
			Publish: []string{"recovery." + alice.String() + ".get"}, Subscribe: []string{"_INBOX_" + alice.String() + ".x"},
		},
	})
}

// browsers are those that are signed in.
func (h *house) browsers() *browsers.Sessions {
	h.hall.T().Helper()
	opened, err := browsers.Open(hubtest.Context(h.hall.T()), h.nc, 1, browsers.Sessions{People: h.people, Cookie: "keyhall_session"})
	if err != nil {
		h.hall.T().Fatal(err)
	}
	return opened
}

// TestAGrantLastsNoLongerThanTheSessionOfItsBrowser: one that is used the last time for a month
// may not stay for another hour.
func TestAGrantLastsNoLongerThanTheSessionOfItsBrowser(t *testing.T) {
	h := newHouse(t)
	alice := h.hall.Join("alice")
	ctx := hubtest.Context(t)
	_, phone, err := alice.AddDevice(ctx, "phone")
	if err != nil {
		t.Fatal(err)
	}
	signedIn := h.browsers()
	session, _, err := signedIn.New(ctx, alice.Profile.Settings.Account, phone.String(), "192.0.2.1", "Browser/1")
	if err != nil {
		t.Fatal(err)
	}
	ends := time.Now().Add(10 * time.Minute)
	session.Seen = ends.Add(-30 * 24 * time.Hour)
	js, err := jetstream.New(h.nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(ctx, browsers.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	aged, err := json.Marshal(session)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(ctx, "session."+session.ID, aged); err != nil {
		t.Fatal(err)
	}
	b := &members.Backend{
		People: h.people, Rooms: h.rooms, Browsers: signedIn, Life: time.Hour,
		Account: callout.Account{Name: "ROOMS", ID: h.keys.Rooms, Signer: h.keys.RoomsSigner},
	}
	grant, err := b.Explain(ctx, callout.Query{User: phone.String()})
	if err != nil || grant.Expires.After(ends.Add(time.Second)) {
		t.Errorf("it lasts until %v, and the session until %v: %v", grant.Expires, ends, err)
	}
}

// TestAnExplanationSaysWhyOfEachRoom: what a member may in which room, and what not.
func TestAnExplanationSaysWhyOfEachRoom(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.hall.Join("alice"), h.hall.Join("bob")
	kitchen, attic := h.room(alice, "kitchen", "bob"), h.room(alice, "attic")
	account := callout.Account{Name: "ROOMS", ID: h.keys.Rooms, Signer: h.keys.RoomsSigner}
	b := &members.Backend{People: h.people, Rooms: h.rooms, Browsers: h.browsers(), Account: account, Life: time.Hour}
	grant, err := b.Explain(natstest.Within(t), callout.Query{User: "bob", Rooms: []string{kitchen, attic}})
	if err != nil {
		t.Fatal(err)
	}
	rights := map[string]string{kitchen: "reader", attic: "may not enter"}
	want := "member by device " + device(t, bob).String()
	for _, id := range sorted(kitchen, attic) {
		want += "; room " + id + ": " + rights[id]
	}
	publish, subscribe := []string{"room." + kitchen + ".live." + bob.Profile.Settings.Account}, []string{"feed." + kitchen, "room." + kitchen + ".live.*"}
	if grant.Rule != want || !slices.Equal(grant.Publish.Allow, publish) || !slices.Equal(grant.Subscribe.Allow, subscribe) {
		t.Errorf("%+v\nwant the rule %s", grant, want)
	}
	if _, err := b.Explain(natstest.Within(t), callout.Query{User: "bob", Rooms: []string{"*"}}); err == nil {
		t.Error("a wildcard was explained as a room")
	}
}

func sorted(one, other string) []string {
	if other < one {
		return []string{other, one}
	}
	return []string{one, other}
}
