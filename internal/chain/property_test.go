package chain_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// spoiled is how an event can be wrong whatever it says; nil leaves it as it is. Most are:
// otherwise chains hardly get anywhere.
func spoiled(t *rapid.T, others ...event.Hash) []change {
	none := func(*event.Event) {}
	return []change{rapid.SampledFrom([]change{
		none, none, none, none, none, none,
		func(ev *event.Event) { ev.Seq++ },
		func(ev *event.Event) { ev.Seq = max(ev.Seq, 3) - 1 },
		func(ev *event.Event) { ev.Prev = others[0] },
		func(ev *event.Event) { ev.Head = others[0] },
		func(ev *event.Event) { ev.Audience = "O" },
		func(ev *event.Event) { ev.Subject += "x" },
		func(ev *event.Event) { ev.Type = "share.steal" },
		func(ev *event.Event) { ev.Time = ev.Time.AddDate(2, 0, 0) },
		func(ev *event.Event) { ev.Body = append(ev.Body, ' ') },
		func(ev *event.Event) { ev.Body = nil },
	}).Draw(t, "spoiled")}
}

// forged may change a signed event on its way.
func forged(t *rapid.T, ev *event.Event) *event.Event {
	if rapid.IntRange(0, 9).Draw(t, "forged") > 0 {
		return ev
	}
	data := ev.Encode()
	data[rapid.IntRange(4, len(data)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
	changed, err := event.Decode(data)
	if err != nil {
		return ev
	}
	return changed
}

// crowd is what a property draws from: people, devices, ids and keys that come again.
type crowd struct {
	*hall
	people  []*member
	devices []*trust.KeyPair
	ids     []string
}

func newCrowd(t *rapid.T) *crowd {
	c := &crowd{hall: newHall(t)}
	for _, name := range []string{"alice", "bob", "carol"} {
		m := c.joins(name)
		c.people, c.devices = append(c.people, m), append(c.devices, m.laptop)
	}
	for range 3 {
		c.devices = append(c.devices, trust.NewKeyPair(trust.Device))
		c.ids = append(c.ids, trust.NewID())
	}
	return c
}

func pick[T any](t *rapid.T, what string, from []T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, what)]
}

// personEvent draws what a person might say on their own chain.
func (c *crowd) personEvent(t *rapid.T) (*member, *event.Event) {
	m, other := pick(t, "author", c.people), pick(t, "other", c.people)
	device, key := pick(t, "signer", c.devices), pick(t, "key", c.devices)
	if rapid.IntRange(0, 3).Draw(t, "laptop") > 0 {
		device = m.laptop
	}
	id, catalog := pick(t, "id", c.ids), pick(t, "catalog", c.ids)
	kinds := map[string]any{
		chain.Invite:       chain.InviteBody{Invite: key.String(), Uses: rapid.IntRange(0, 2).Draw(t, "uses"), Expires: c.now.Add(day)},
		chain.AddDevice:    chain.DeviceBody{Token: m.token(key, "phone", c.now, day)},
		chain.RevokeDevice: chain.RevokeDeviceBody{Device: key.String()},
		chain.Grant:        chain.GrantBody{Grant: id, Catalog: catalog, To: other.account(), Sealed: []byte{1}},
		chain.Revoke:       chain.RevokeBody{Grant: id, To: other.account()},
		chain.Accept:       chain.AcceptBody{Grant: id, Owner: other.account(), Catalog: catalog},
		chain.Decline:      chain.DeclineBody{Grant: id, Owner: other.account()},
	}
	kind := pick(t, "kind", []string{
		chain.Invite, chain.AddDevice, chain.RevokeDevice, chain.Grant, chain.Revoke, chain.Accept, chain.Decline,
	})
	return m, forged(t, m.saysBy(device, kind, kinds[kind], spoiled(t, other.chain.Head)...))
}

func TestARefusedEventChangesNoPerson(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCrowd(t)
		for range 12 {
			m, ev := c.personEvent(t)
			before, beforeShares := copied(t, m.chain), copied(t, m.shares)
			if err := m.chain.Apply(c.hub.ID, ev, false); err != nil {
				if diff := cmp.Diff(before, m.chain, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s refused (%v) and changed %s", ev.Type, err, diff)
				}
				continue
			}
			if m.chain.Seq != before.Seq+1 || m.chain.Head != ev.Hash() || m.chain.Places[ev.Hash()] != m.chain.Seq {
				t.Fatalf("%s led to place %d", ev.Type, m.chain.Seq)
			}
			if err := m.shares.Apply(ev, false); err != nil {
				if diff := cmp.Diff(beforeShares, m.shares, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s refused by shares (%v) and changed %s", ev.Type, err, diff)
				}
			}
			if diff := cmp.Diff(m.chain, copied(t, m.chain), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("kept as JSON it is another: %s", diff)
			}
		}
	})
}

func TestARefusedEventChangesNoWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCrowd(t)
		for range 10 {
			m, ev := c.personEvent(t)
			before := c.replay()
			err := c.world.Apply(ev)
			if own := ev.Subject == chain.PersonSubject(m.account()); err != nil || !own { // others don't concern it
				if diff := otherWorld(before, c.world); diff != "" {
					t.Fatalf("%s refused (%v) and changed %s", ev.Type, err, diff)
				}
				continue
			}
			c.done = append(c.done, ev)
			c.must(m.chain.Apply(c.hub.ID, ev, false))
			c.must(m.shares.Apply(ev, false))
		}
	})
}

// roomEvent draws what somebody might say on a room's chain.
func (c *crowd) roomEvent(t *rapid.T, r *room) *event.Event {
	m, other := pick(t, "author", c.people), pick(t, "other", c.people)
	if rapid.Bool().Draw(t, "creator") {
		m = c.people[0]
	}
	grant := r.grantBody(other, pick(t, "role", []chain.Role{chain.Reader, chain.Writer, chain.Moderator, "", "owner"}))
	if rapid.Bool().Draw(t, "limited") {
		grant.Expires = c.now.Add(time.Duration(rapid.IntRange(-1, 9).Draw(t, "seconds")) * time.Second)
	}
	if rapid.Bool().Draw(t, "handed") {
		grant.Epoch, grant.Key = r.fold.Current, []byte{1}
	}
	readers := slices.Clone(c.people[:rapid.IntRange(1, 3).Draw(t, "readers")])
	kinds := map[string]any{
		chain.GrantRoom: grant, chain.RevokeRoom: chain.RevokeRoomBody{Account: other.account()},
		chain.LeaveRoom: "{}", chain.Epoch: r.epochBody(readers...),
		chain.CreateRoom: chain.CreateRoomBody{Room: r.fold.ID, Kind: chain.Sealed},
	}
	kind := pick(t, "kind", []string{chain.GrantRoom, chain.GrantRoom, chain.RevokeRoom, chain.LeaveRoom, chain.Epoch, chain.CreateRoom})
	return forged(t, r.says(m, kind, kinds[kind], spoiled(t, other.chain.Head)...))
}

func TestARefusedEventChangesNoRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCrowd(t)
		creator := c.people[0]
		r := creator.opens(rapid.SampledFrom([]string{chain.Sealed, chain.Open}).Draw(t, "kind"))
		for range 12 {
			ev := c.roomEvent(t, r)
			before := copied(t, r.fold)
			if err := r.fold.Apply(c.hub.ID, ev); err != nil {
				if diff := cmp.Diff(before, r.fold, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s refused (%v) and changed %s", ev.Type, err, diff)
				}
				continue
			}
			c.checkRoom(t, r, before, ev)
		}
	})
}

// checkRoom holds what is true of a room after any event.
func (c *crowd) checkRoom(t *rapid.T, r *room, before *chain.Room, ev *event.Event) {
	if role, member := r.fold.RoleOf(r.fold.Creator, c.now.Add(99*year)); role != chain.Moderator || !member {
		t.Fatalf("after %s the creator is %q", ev.Type, role)
	}
	for place := range r.fold.Seq { // what was, was
		for _, m := range c.people {
			was, _ := before.RoleAt(m.account(), place, c.now)
			if is, _ := r.fold.RoleAt(m.account(), place, c.now); is != was {
				t.Fatalf("%s changed the role at place %d from %q to %q", ev.Type, place, was, is)
			}
		}
	}
	if author := ev.Author.Text(trust.Account); ev.Type == chain.GrantRoom || ev.Type == chain.RevokeRoom {
		if role, _ := before.RoleOf(author, ev.Time); role != chain.Moderator {
			t.Fatalf("%s by a %q", ev.Type, role)
		}
	}
	if ev.Type == chain.Epoch {
		for reader := range r.fold.Epochs[r.fold.Current.String()].Boxes {
			if _, member := before.RoleOf(reader, ev.Time); !member {
				t.Fatalf("an epoch for somebody who is not in: %s", reader)
			}
		}
	}
	if diff := cmp.Diff(r.fold, copied(t, r.fold), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("kept as JSON it is another: %s", diff)
	}
}
