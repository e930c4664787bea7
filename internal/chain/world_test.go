package chain_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// otherWorld says where two worlds differ, with what they keep to themselves; "" for nowhere.
func otherWorld(a, b *chain.World) string {
	diff := cmp.Diff(a, b, cmp.AllowUnexported(chain.World{}), cmpopts.EquateEmpty())
	var lines []string
	for line := range strings.Lines(diff) {
		if strings.HasPrefix(line, "-") || strings.HasPrefix(line, "+") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestTheWorldAdmitsByInvitesOfTheHubAndOfMembers(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	key := trust.NewKeyPair(trust.Device)
	alice.does(chain.Invite, chain.InviteBody{Invite: key.String(), Uses: 1, Expires: h.now.Add(day)})
	bob := h.newcomer("bob")
	body := bob.admitBody()
	body.Invite, body.Inviter = key.String(), alice.account()
	bob.takes(bob.admission(body, key))
	for _, m := range []*member{alice, bob} {
		if p := h.world.People[m.account()]; p == nil || p.Handle != m.handle || h.world.Shares[m.account()] == nil {
			t.Errorf("%s is not in the world", m.handle)
		}
	}
}

func TestAnAdmissionThatTheWorldRefuses(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	announced := trust.NewKeyPair(trust.Device)
	alice.does(chain.Invite, chain.InviteBody{Invite: announced.String(), Uses: 1, Expires: h.now.Add(day)})
	soon := trust.NewKeyPair(trust.Device)
	alice.does(chain.Invite, chain.InviteBody{Invite: soon.String(), Uses: 9, Expires: h.now.Add(time.Hour)})
	carol, unknown := h.newcomer("carol"), trust.NewKeyPair(trust.Device)
	with := func(key *trust.KeyPair, inviter string, changes ...change) *event.Event {
		body := carol.admitBody()
		body.Invite, body.Inviter = key.String(), inviter
		return carol.admission(body, key, changes...)
	}
	late := h.now.Add(time.Hour)
	taken := carol.admitBody()
	taken.Handle = "alice"
	squatter := carol.admitBody()
	squatter.Device = carol.token(bob.laptop, "laptop", h.now, day)
	rows := refusals{
		"a handle that is taken":       {carol.admission(taken, h.invite), chain.ErrTaken},
		"a device that is another's":   {carol.admission(squatter, h.invite), chain.ErrDeviceTaken},
		"an invite nobody announced":   {with(unknown, alice.account()), chain.ErrInvite},
		"the hub did not announce it":  {with(announced, h.hub.ID), chain.ErrInvite},
		"somebody else announced it":   {with(announced, bob.account()), chain.ErrInvite},
		"an inviter nobody knows":      {with(announced, carol.account()), chain.ErrInvite},
		"a host's invite of a member":  {with(h.invite, alice.account()), chain.ErrInvite},
		"an invite that expired":       {with(soon, alice.account(), func(ev *event.Event) { ev.Time = late }), chain.ErrInvite},
		"without the invite's key":     {carol.admission(carol.admitBody(), nil), event.ErrSignature},
		"by somebody with another key": {carol.admission(carol.admitBody(), unknown), event.ErrSignature},
		"for another hub":              {with(announced, alice.account(), func(ev *event.Event) { ev.Audience = "O" }), event.ErrNotMeant},
	}
	for what, row := range rows {
		before := h.replay()
		wantRefusal(t, what, h.world.CheckAdmission(row.ev), row.want)
		wantRefusal(t, what, h.world.Apply(row.ev), row.want)
		if diff := otherWorld(before, h.world); diff != "" {
			t.Errorf("%s: a refused event changed %s", what, diff)
		}
	}
	carol.takes(with(announced, alice.account()))
	dave := h.newcomer("dave")
	body := dave.admitBody()
	body.Invite, body.Inviter = announced.String(), alice.account()
	wantRefusal(t, "an invite that was used up", h.world.Apply(dave.admission(body, announced)), chain.ErrInvite)
	wantRefusal(t, "an account again", h.world.CheckAdmission(carol.admission(carol.admitBody(), h.invite)), chain.ErrPlace)
	wantRefusal(t, "an account again", h.world.Apply(carol.admission(carol.admitBody(), h.invite)), chain.ErrPlace)
}

// replay is a world of the same events, through their bytes.
func (h *hall) replay() *chain.World {
	h.t.Helper()
	again := chain.NewWorld(h.hub)
	for _, ev := range h.done {
		read, err := event.Decode(ev.Encode())
		h.must(err)
		h.must(again.Apply(read))
	}
	return again
}

func TestTheSameEventsGiveTheSameWorld(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	catalog := trust.NewID()
	grant := alice.grants(catalog, bob)
	bob.does(chain.Accept, chain.AcceptBody{Grant: grant, Owner: alice.account(), Catalog: catalog})
	alice.adds("phone")
	if diff := otherWorld(h.world, h.replay()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(alice.shares, h.world.Shares[alice.account()]); diff != "" {
		t.Error(diff)
	}
}

func TestADeviceBelongsToWhoNamedItFirst(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	phone := alice.adds("phone")
	claim := func(m *member) *event.Event {
		return m.says(chain.AddDevice, chain.DeviceBody{Token: m.token(phone, "mine", h.now, day)})
	}
	before := h.replay()
	wantRefusal(t, "another's phone", h.world.Apply(claim(bob)), chain.ErrDeviceTaken)
	if diff := otherWorld(before, h.world); diff != "" {
		t.Errorf("a refused event changed %s", diff)
	}
	alice.takes(claim(alice)) // one's own, renewed
	alice.does(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()})
	wantRefusal(t, "another's revoked phone", h.world.Apply(claim(bob)), chain.ErrDeviceTaken)
	if device, named := chain.NamedDevice(claim(bob)); device != phone.String() || !named {
		t.Errorf("it names %q", device)
	}
	for what, ev := range map[string]*event.Event{
		"another kind": bob.says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()}),
		"no token":     bob.says(chain.AddDevice, chain.DeviceBody{}),
		"no body":      bob.says(chain.AddDevice, ""),
	} {
		if device, named := chain.NamedDevice(ev); named {
			t.Errorf("%s names %q", what, device)
		}
	}
}

func TestRoomsAreNoneOfTheWorldsConcern(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	before := h.replay()
	r := &room{hall: h, fold: new(chain.Room)}
	if err := h.world.Apply(r.creation(alice, chain.CreateRoomBody{Room: trust.NewID(), Kind: chain.Sealed})); err != nil {
		t.Error(err)
	}
	if diff := otherWorld(before, h.world); diff != "" {
		t.Errorf("it changed %s", diff)
	}
}

func TestImportsAreWhatIsAcceptedAndStillGranted(t *testing.T) {
	h := newHall(t)
	alice, bob, carol := h.joins("alice"), h.joins("bob"), h.joins("carol")
	catalog := trust.NewID()
	want := func(what string, m *member, grants ...string) {
		t.Helper()
		var got []string
		for _, share := range h.world.Imports(m.account()) {
			if share.Owner != alice.account() || share.Catalog != catalog {
				t.Errorf("%s: imports %+v", what, share)
			}
			got = append(got, share.Grant)
		}
		slices.Sort(got)
		slices.Sort(grants)
		if !slices.Equal(got, grants) {
			t.Errorf("%s: imports %v, want %v", what, got, grants)
		}
	}
	accept := func(m *member, grant, catalog string) {
		m.does(chain.Accept, chain.AcceptBody{Grant: grant, Owner: alice.account(), Catalog: catalog})
	}
	grant := alice.grants(catalog, bob)
	want("granted", bob)
	accept(carol, grant, catalog)
	want("accepted by another", carol)
	accept(bob, grant, trust.NewID())
	want("accepted as another folder", bob)
	accept(bob, grant, catalog)
	want("accepted", bob, grant)
	second := alice.grants(catalog, bob)
	accept(bob, second, catalog)
	want("granted twice", bob, grant, second)
	alice.does(chain.Revoke, chain.RevokeBody{Grant: grant, To: bob.account()})
	want("ended once", bob, second)
	bob.does(chain.Decline, chain.DeclineBody{Grant: second, Owner: alice.account()})
	want("declined", bob)
	accept(bob, second, catalog)
	want("accepted again", bob, second)
	bob.does(chain.Accept, chain.AcceptBody{Grant: trust.NewID(), Owner: trust.NewKeyPair(trust.Account).String(), Catalog: catalog})
	want("of nobody", bob, second)
	alice.does(chain.Revoke, chain.RevokeBody{Grant: second, To: bob.account()})
	want("ended", bob)
	if got := h.world.Imports(trust.NewKeyPair(trust.Account).String()); got != nil {
		t.Errorf("nobody imports %v", got)
	}
}

func TestAnEventTouchesTheAccountsWhoseRightsItChanges(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	id := trust.NewID()
	for kind, row := range map[string]struct {
		body any
		want []string
	}{
		chain.Grant:        {chain.GrantBody{Grant: id, Catalog: id, To: bob.account(), Sealed: []byte{1}}, []string{bob.account()}},
		chain.Revoke:       {chain.RevokeBody{Grant: id, To: bob.account()}, []string{bob.account()}},
		chain.Accept:       {chain.AcceptBody{Grant: id, Owner: bob.account(), Catalog: id}, []string{alice.account()}},
		chain.Decline:      {chain.DeclineBody{Grant: id, Owner: bob.account()}, []string{alice.account()}},
		chain.RevokeDevice: {chain.RevokeDeviceBody{Device: alice.laptop.String()}, []string{alice.account()}},
		chain.AddDevice:    {chain.DeviceBody{}, []string{alice.account()}}, // a token may take back those before
		chain.Invite:       {chain.InviteBody{}, nil},
	} {
		if got := chain.Touched(alice.says(kind, row.body)); !slices.Equal(got, row.want) {
			t.Errorf("%s touches %v, want %v", kind, got, row.want)
		}
	}
	carol := h.newcomer("carol")
	if got := chain.Touched(carol.admission(carol.admitBody(), h.invite)); !slices.Equal(got, []string{carol.account()}) {
		t.Errorf("an admission touches %v", got)
	}
}

func TestAShareThatCannotBeChangesNothing(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	for kind, body := range map[string]any{
		chain.Revoke:  chain.RevokeBody{Grant: trust.NewID(), To: bob.account()},
		chain.Grant:   chain.GrantBody{Grant: "x", Catalog: "y", To: bob.account()},
		chain.Accept:  "{}",
		chain.Decline: "",
	} {
		before := h.replay()
		wantRefusal(t, kind, h.world.Apply(alice.says(kind, body)), chain.ErrContent)
		if diff := otherWorld(before, h.world); diff != "" {
			t.Errorf("%s: a refused event changed %s", kind, diff)
		}
		h.world = before
	}
}
