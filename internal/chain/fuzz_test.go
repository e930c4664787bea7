package chain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// Bodies are fuzzed inside events that hold: whoever has an invite can sign whatever they like.

// readBack is what a chain's fold is when it is read back from a store.
func readBack[T any](t *testing.T, from *T) (*T, []byte) {
	t.Helper()
	data, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	to := new(T)
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatal(err)
	}
	return to, data
}

// judged fails unless a refusal is one of the fold's and has changed nothing.
func judged(t *testing.T, err error, before []byte, after any) {
	t.Helper()
	if err == nil {
		return
	}
	for _, known := range []error{chain.ErrPlace, chain.ErrRefused, chain.ErrContent, event.ErrNotMeant, event.ErrSignature, event.ErrBody} {
		if errors.Is(err, known) {
			if now, encodeErr := json.Marshal(after); encodeErr != nil || !bytes.Equal(now, before) {
				t.Fatalf("refused (%v), and changed: %s, %v", err, now, encodeErr)
			}
			return
		}
	}
	t.Fatalf("unexpected error: %v", err)
}

func kindOf(kinds []string, which uint8) string { return kinds[int(which)%len(kinds)] }

func addBodies(f *testing.F, kinds []string, bodies map[string][]any) {
	f.Helper()
	for which, kind := range kinds {
		for _, body := range bodies[kind] {
			text, is := body.(string)
			if !is {
				data, err := trust.Canonical(body)
				if err != nil {
					f.Fatal(err)
				}
				text = string(data)
			}
			f.Add(uint8(which), text) //nolint:gosec // a few kinds
			f.Add(uint8(which), text+" ")
		}
	}
}

func FuzzPersonBody(f *testing.F) {
	h := newHall(f)
	alice, bob := h.joins("alice"), h.joins("bob")
	phone := alice.adds("phone")
	grant := alice.grants(trust.NewID(), bob)
	kinds := []string{
		chain.Invite, chain.AddDevice, chain.RevokeDevice, chain.RotateXKey, chain.Grant, chain.Revoke, chain.Accept, chain.Decline, "person.other",
	}
	end := h.now.Add(day).Truncate(time.Second)
	addBodies(f, kinds, map[string][]any{
		chain.Invite:       {chain.InviteBody{Invite: trust.NewKeyPair(trust.Device).String(), Uses: 1, Expires: end}},
		chain.AddDevice:    {chain.DeviceBody{Token: alice.token(trust.NewKeyPair(trust.Device), "desk", h.now, day)}, chain.DeviceBody{Token: bob.token(phone, "x", h.now, day)}},
		chain.RevokeDevice: {chain.RevokeDeviceBody{Device: phone.String()}, `{"device":""}`},
		chain.RotateXKey:   {chain.XKeyBody{XKey: trust.NewXKey().String()}, chain.XKeyBody{XKey: alice.xkey.String()}},
		chain.Grant: {
			chain.GrantBody{Grant: trust.NewID(), Catalog: trust.NewID(), To: bob.account(), Sealed: []byte{1}},
			chain.GrantBody{Grant: grant, Catalog: trust.NewID(), To: bob.account(), Sealed: []byte{1}, Expires: end},
		},
		chain.Revoke:  {chain.RevokeBody{Grant: grant, To: bob.account()}},
		chain.Accept:  {chain.AcceptBody{Grant: trust.NewID(), Owner: bob.account(), Catalog: trust.NewID()}},
		chain.Decline: {chain.DeclineBody{Grant: trust.NewID(), Owner: bob.account()}},
	})
	now := h.now
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		h.t, h.now = t, now
		ev := alice.says(kindOf(kinds, which), body)
		person, before := readBack(t, alice.chain)
		err := person.Apply(h.hub.ID, ev, false)
		judged(t, err, before, person)
		if err == nil && (person.Seq != alice.chain.Seq+1 || person.Head != ev.Hash() || trust.CheckXKey(person.XKey) != nil ||
			len(person.Devices) > chain.MaxDevices || len(person.Invites) > chain.MaxInvites) {
			t.Fatalf("%+v", person)
		}
		shares, before := readBack(t, alice.shares)
		err = shares.Apply(ev, false)
		judged(t, err, before, shares)
		for id, g := range shares.Granted {
			if _, err := trust.ParseID(id); err != nil || g.To == alice.account() || len(g.Sealed) > chain.MaxSealed || id != g.Grant {
				t.Fatalf("%+v", g)
			}
		}
		for id, taken := range shares.Taken {
			if _, err := trust.ParsePublicKey(trust.Account, taken.Owner); err != nil || id != taken.Grant {
				t.Fatalf("%+v", taken)
			}
		}
		if device, named := chain.NamedDevice(ev); named {
			if _, err := trust.ParsePublicKey(trust.Device, device); err != nil {
				t.Fatalf("it names %q", device)
			}
		}
		_, _ = chain.ShareWith(ev), chain.Touched(ev)
	})
}

func FuzzAdmissionBody(f *testing.F) {
	h := newHall(f)
	h.joins("alice")
	carol := h.newcomer("carol")
	good := carol.admitBody()
	addBodies(f, []string{chain.Admit}, map[string][]any{chain.Admit: {good, `{"handle":"carol"}`, "{}"}})
	now := h.now
	f.Fuzz(func(t *testing.T, _ uint8, body string) {
		h.t, h.now = t, now
		ev := carol.admission(body, h.invite)
		people, err := len(h.world.People), h.world.CheckAdmission(ev)
		if len(h.world.People) != people {
			t.Fatal("a check admits somebody")
		}
		person := new(chain.Person)
		before, encodeErr := json.Marshal(person)
		if encodeErr != nil {
			t.Fatal(encodeErr)
		}
		applied := person.Apply(h.hub.ID, ev, false)
		judged(t, applied, before, person)
		if err == nil && (applied != nil || !trust.IsName(person.Handle) || person.Account != carol.account() || len(person.Devices) != 1) {
			t.Fatalf("%+v, %v", person, applied)
		}
	})
}

func FuzzHubBody(f *testing.F) {
	h := newHall(f)
	addBodies(f, []string{chain.HubInvite, "hub.other"}, map[string][]any{chain.HubInvite: {
		chain.InviteBody{Invite: trust.NewKeyPair(trust.Device).String(), Uses: 1000, Expires: h.now.Add(day).Truncate(time.Second)},
		chain.InviteBody{Invite: h.invite.String(), Uses: 1, Expires: h.now.Add(day).Truncate(time.Second)},
	}})
	now := h.now
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		h.t, h.now = t, now
		hub, before := readBack(t, &h.own)
		err := hub.Apply(h.hub, h.says(kindOf([]string{chain.HubInvite, "hub.other"}, which), body))
		judged(t, err, before, hub)
		for key, invite := range hub.Invites {
			if _, err := trust.ParsePublicKey(trust.Device, key); err != nil || invite.Uses < 1 || invite.Uses > chain.MaxUses {
				t.Fatalf("%s %+v", key, invite)
			}
		}
	})
}

func FuzzRoomBody(f *testing.F) {
	h := newHall(f)
	alice, bob := h.joins("alice"), h.joins("bob")
	room := new(chain.Room)
	id := trust.NewID()
	in := func(kind string, body any) *event.Event {
		return h.sign(&event.Event{
			Author: alice.identity.Public(), Type: kind, Subject: chain.RoomSubject(id),
			Seq: room.Seq + 1, Prev: room.Head, Head: alice.chain.Head, Body: h.body(body),
		}, alice.laptop, nil)
	}
	create := chain.CreateRoomBody{Room: id, Kind: chain.Sealed}
	epoch := chain.EpochBody{Number: 1, Commitment: event.Hash{1}, Keys: []chain.EpochBox{{Account: alice.account(), Key: []byte{1}}}, Name: []byte{1}}
	created := in(chain.CreateRoom, create)
	h.must(room.Apply(h.hub.ID, created))
	begun := in(chain.Epoch, epoch)
	h.must(room.Apply(h.hub.ID, begun))
	epoch.Number, epoch.Previous = 2, begun.Hash()
	kinds := []string{chain.GrantRoom, chain.RevokeRoom, chain.LeaveRoom, chain.Epoch, chain.CreateRoom, "room.other"}
	addBodies(f, kinds, map[string][]any{
		chain.GrantRoom: {
			chain.GrantRoomBody{Grant: trust.NewID(), Account: bob.account(), Role: chain.Writer, Epoch: begun.Hash(), Key: []byte{1}},
			chain.GrantRoomBody{Grant: trust.NewID(), Account: bob.account(), Role: chain.Reader, Expires: h.now.Add(day).Truncate(time.Second)},
		},
		chain.RevokeRoom: {chain.RevokeRoomBody{Account: bob.account()}},
		chain.LeaveRoom:  {chain.LeaveRoomBody{}},
		chain.Epoch:      {epoch, `{"number":2,"commitment":"","keys":[],"name":""}`},
		chain.CreateRoom: {create},
	})
	now, empty := h.now, new(chain.Room)
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		h.t, h.now = t, now
		kind := kindOf(kinds, which)
		after, before := readBack(t, room)
		err := after.Apply(h.hub.ID, in(kind, body))
		judged(t, err, before, after)
		if err == nil && (after.Seq != room.Seq+1 || after.Creator != room.Creator || len(after.Epochs) > 2) {
			t.Fatalf("%+v", after)
		}
		if role, member := after.RoleOf(alice.account(), h.now); role != chain.Moderator || !member {
			t.Fatalf("the creator is %q", role)
		}
		// The same as the first event of a chain.
		first, before := readBack(t, empty)
		ev := h.sign(&event.Event{
			Author: alice.identity.Public(), Type: kind, Subject: chain.RoomSubject(id), Seq: 1, Head: alice.chain.Head, Body: []byte(body),
		}, alice.laptop, nil)
		err = first.Apply(h.hub.ID, ev)
		judged(t, err, before, first)
		if err == nil && first.ID != id {
			t.Fatalf("%+v", first)
		}
	})
}
