package chain_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

func (rows refusals) checkRoom(t *testing.T, hub string, r *chain.Room) {
	t.Helper()
	for what, row := range rows {
		before := copied(t, r)
		wantRefusal(t, what, r.Apply(hub, row.ev), row.want)
		if diff := cmp.Diff(before, r, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: a refused event changed %s", what, diff)
		}
	}
}

// wantRole fails unless an account has a role now.
func (r *room) wantRole(t *testing.T, m *member, role chain.Role, member bool) {
	t.Helper()
	if got, is := r.fold.RoleOf(m.account(), r.hall.now); got != role || is != member {
		t.Errorf("%s is %q, member %v; want %q, %v", m.handle, got, is, role, member)
	}
}

func TestARoomBeginsWithItsCreator(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	sealed, open := alice.opens(chain.Sealed), alice.opens(chain.Open)
	sealed.wantRole(t, alice, chain.Moderator, true)
	sealed.wantRole(t, bob, "", false)
	open.wantRole(t, alice, chain.Moderator, true)
	open.wantRole(t, bob, chain.Writer, false)
	r := sealed.fold
	if r.Creator != alice.account() || r.Kind != chain.Sealed || r.Listed || r.Name != "" || r.Seq != 1 || r.Places[r.Head] != 1 {
		t.Errorf("the room is %+v", r)
	}
	if open.fold.Name != "lobby" || open.fold.Kind != chain.Open {
		t.Errorf("the room is %+v", open.fold)
	}
	if !sealed.fold.NeedsEpoch(h.now) || open.fold.NeedsEpoch(h.now) {
		t.Error("a sealed room begins without an epoch, and an open one needs none")
	}
}

func TestACreationIsRefused(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	r := &room{hall: h, fold: new(chain.Room)}
	id := trust.NewID()
	body := func(room, kind string, listed bool, name string) *event.Event {
		return r.creation(alice, chain.CreateRoomBody{Room: room, Kind: kind, Listed: listed, Name: name})
	}
	as := func(c change) *event.Event {
		return r.creation(alice, chain.CreateRoomBody{Room: id, Kind: chain.Sealed}, c)
	}
	changed := as(func(*event.Event) {})
	changed.Body = h.body(chain.CreateRoomBody{Room: id, Kind: chain.Sealed, Listed: true, Name: "x"})
	forged := as(func(*event.Event) {})
	forged.Author = trust.PublicKey{1}
	for what, row := range (refusals{
		"another hub's":              {as(func(ev *event.Event) { ev.Audience = "O" }), event.ErrNotMeant},
		"another room's chain":       {as(func(ev *event.Event) { ev.Subject = chain.RoomSubject(trust.NewID()) }), event.ErrNotMeant},
		"no place":                   {as(func(ev *event.Event) { ev.Seq = 0 }), chain.ErrPlace},
		"the second place":           {as(func(ev *event.Event) { ev.Seq, ev.Prev = 2, event.Hash{1} }), chain.ErrPlace},
		"another kind of event":      {as(func(ev *event.Event) { ev.Type = chain.GrantRoom }), chain.ErrPlace},
		"changed after signing":      {changed, event.ErrBody},
		"another author, unsigned":   {forged, event.ErrSignature},
		"a kind that nobody knows":   {body(id, "secret", false, ""), chain.ErrContent},
		"no kind":                    {body(id, "", false, ""), chain.ErrContent},
		"an id that is none":         {body("lobby", chain.Sealed, false, ""), chain.ErrContent},
		"an open room without name":  {body(id, chain.Open, true, ""), chain.ErrContent},
		"a listed one without name":  {body(id, chain.Sealed, true, ""), chain.ErrContent},
		"a sealed one with a name":   {body(id, chain.Sealed, false, "plans"), chain.ErrContent},
		"a name in capitals":         {body(id, chain.Open, false, "Lobby"), chain.ErrContent},
		"a name with a dot":          {body(id, chain.Open, false, "lob.by"), chain.ErrContent},
		"a body that is no creation": {h.sign(&event.Event{Author: alice.identity.Public(), Type: chain.CreateRoom, Subject: chain.RoomSubject(id), Seq: 1, Body: []byte("{}")}, alice.laptop, nil), chain.ErrContent},
	}) {
		empty := new(chain.Room)
		wantRefusal(t, what, empty.Apply(h.hub.ID, row.ev), row.want)
		if diff := cmp.Diff(new(chain.Room), empty); diff != "" {
			t.Errorf("%s: a refused event changed %s", what, diff)
		}
	}
	for what, ev := range map[string]*event.Event{
		"sealed": body(id, chain.Sealed, false, ""), "sealed and listed": body(id, chain.Sealed, true, "plans"),
		"open": body(id, chain.Open, false, "lobby"), "open and listed": body(id, chain.Open, true, "lobby"),
	} {
		if err := new(chain.Room).Apply(h.hub.ID, ev); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestModeratorsLetPeopleInAndOut(t *testing.T) {
	h := newHall(t)
	alice, bob, carol := h.joins("alice"), h.joins("bob"), h.joins("carol")
	r := alice.opens(chain.Sealed)
	r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Moderator))
	r.does(bob, chain.GrantRoom, r.grantBody(carol, chain.Reader))
	r.wantRole(t, bob, chain.Moderator, true)
	r.wantRole(t, carol, chain.Reader, true)
	r.does(alice, chain.GrantRoom, r.grantBody(carol, chain.Writer)) // a later grant replaces the earlier
	r.wantRole(t, carol, chain.Writer, true)
	r.does(bob, chain.RevokeRoom, chain.RevokeRoomBody{Account: carol.account()})
	r.wantRole(t, carol, "", false)
	r.does(bob, chain.LeaveRoom, chain.LeaveRoomBody{})
	r.wantRole(t, bob, "", false)
	want := []*chain.Span{{Role: chain.Reader, Since: 3, Until: 4}, {Role: chain.Writer, Since: 4, Until: 5}}
	if diff := cmp.Diff(want, r.fold.Members[carol.account()]); diff != "" {
		t.Error(diff)
	}
	if got := r.fold.Entitled(h.now); !slices.Equal(got, []string{alice.account()}) {
		t.Errorf("entitled %v", got)
	}
}

func TestARoomsChainRefusesAWrongPlace(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	r := alice.opens(chain.Sealed)
	first := r.fold.Head
	r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Writer))
	body := chain.RevokeRoomBody{Account: bob.account()}
	says := func(c change) *event.Event { return r.says(alice, chain.RevokeRoom, body, c) }
	changed := says(func(*event.Event) {})
	changed.Body = h.body(chain.RevokeRoomBody{Account: alice.account()})
	forged := r.says(bob, chain.RevokeRoom, body)
	forged.Author = alice.identity.Public()
	refusals{
		"another hub's":         {says(func(ev *event.Event) { ev.Audience = "O" }), event.ErrNotMeant},
		"another room's":        {says(func(ev *event.Event) { ev.Subject = chain.RoomSubject(trust.NewID()) }), event.ErrNotMeant},
		"a person's chain":      {says(func(ev *event.Event) { ev.Subject = chain.PersonSubject(alice.account()) }), event.ErrNotMeant},
		"not in the chain":      {says(func(ev *event.Event) { ev.Seq, ev.Prev = 0, event.Hash{} }), chain.ErrPlace},
		"a fork":                {says(func(ev *event.Event) { ev.Seq, ev.Prev = 2, first }), chain.ErrPlace},
		"a place left out":      {says(func(ev *event.Event) { ev.Seq = 4 }), chain.ErrPlace},
		"after another":         {says(func(ev *event.Event) { ev.Prev = first }), chain.ErrPlace},
		"a second creation":     {r.says(alice, chain.CreateRoom, chain.CreateRoomBody{Room: r.fold.ID, Kind: chain.Open, Name: "x"}), chain.ErrContent},
		"an unknown kind":       {r.says(alice, "room.close", "{}"), chain.ErrContent},
		"a kind of a person":    {r.says(alice, chain.Grant, "{}"), chain.ErrContent},
		"changed after signing": {changed, event.ErrBody},
		"in another's name":     {forged, event.ErrSignature},
	}.checkRoom(t, h.hub.ID, r.fold)
}

func TestARoomsRolesAllowWhatTheyAllow(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	moderator, writer, reader, gone := h.joins("mod"), h.joins("writer"), h.joins("reader"), h.joins("gone")
	r := alice.opens(chain.Sealed)
	for m, role := range map[*member]chain.Role{moderator: chain.Moderator, writer: chain.Writer, reader: chain.Reader, gone: chain.Moderator} {
		r.does(alice, chain.GrantRoom, r.grantBody(m, role))
	}
	r.does(alice, chain.RevokeRoom, chain.RevokeRoomBody{Account: gone.account()})
	grant := r.grantBody(bob, chain.Reader)
	revoke := chain.RevokeRoomBody{Account: reader.account()}
	epoch := r.epochBody(alice)
	for _, row := range []struct {
		m                          *member
		grants, epochs, mayBeAsked bool
	}{
		{alice, true, true, true},
		{moderator, true, true, true},
		{writer, false, true, true},
		{reader, false, false, true},
		{gone, false, false, false},
		{bob, false, false, false},
	} {
		want := func(what string, body any, allowed bool) {
			t.Helper()
			trial := copied(t, r.fold)
			err := trial.Apply(h.hub.ID, r.says(row.m, what, body))
			if allowed && err != nil {
				t.Errorf("%s, %s: %v", row.m.handle, what, err)
			}
			if !allowed {
				wantRefusal(t, row.m.handle+", "+what, err, chain.ErrRefused)
			}
		}
		want(chain.GrantRoom, grant, row.grants)
		want(chain.RevokeRoom, revoke, row.grants)
		want(chain.Epoch, epoch, row.epochs)
	}
}

func TestWhoIsInARoomIsRefused(t *testing.T) {
	h := newHall(t)
	alice, bob, carol := h.joins("alice"), h.joins("bob"), h.joins("carol")
	r := alice.opens(chain.Sealed)
	r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Moderator))
	r.does(alice, chain.Epoch, r.epochBody(alice, bob))
	with := func(c func(b *chain.GrantRoomBody)) *event.Event {
		body := r.grantBody(carol, chain.Reader)
		c(&body)
		return r.says(alice, chain.GrantRoom, body)
	}
	revoke := func(account string) *event.Event {
		return r.says(bob, chain.RevokeRoom, chain.RevokeRoomBody{Account: account})
	}
	refusals{
		"a grant without an id":      {with(func(b *chain.GrantRoomBody) { b.Grant = "" }), chain.ErrContent},
		"to nobody":                  {with(func(b *chain.GrantRoomBody) { b.Account = "" }), chain.ErrContent},
		"to a device":                {with(func(b *chain.GrantRoomBody) { b.Account = carol.laptop.String() }), chain.ErrContent},
		"no role":                    {with(func(b *chain.GrantRoomBody) { b.Role = "" }), chain.ErrContent},
		"a role that nobody knows":   {with(func(b *chain.GrantRoomBody) { b.Role = "owner" }), chain.ErrContent},
		"the creator as reader":      {with(func(b *chain.GrantRoomBody) { b.Account = alice.account() }), chain.ErrContent},
		"an end in the past":         {with(func(b *chain.GrantRoomBody) { b.Expires = h.now.Add(-day) }), chain.ErrContent},
		"an end in milliseconds":     {with(func(b *chain.GrantRoomBody) { b.Expires = h.now.Add(day + time.Millisecond) }), chain.ErrContent},
		"an end somewhere else":      {with(func(b *chain.GrantRoomBody) { b.Expires = h.now.Add(day).In(time.FixedZone("", 60)) }), chain.ErrContent},
		"an epoch without its key":   {with(func(b *chain.GrantRoomBody) { b.Epoch = r.fold.Current }), chain.ErrContent},
		"a key without its epoch":    {with(func(b *chain.GrantRoomBody) { b.Key = []byte{1} }), chain.ErrContent},
		"a key of more than 4096":    {with(func(b *chain.GrantRoomBody) { b.Epoch, b.Key = r.fold.Current, make([]byte, 4097) }), chain.ErrContent},
		"an epoch that is not":       {with(func(b *chain.GrantRoomBody) { b.Epoch, b.Key = event.Hash{1}, []byte{1} }), chain.ErrContent},
		"a grant with more":          {r.says(alice, chain.GrantRoom, `{"grant":"x","more":1}`), chain.ErrContent},
		"to remove the creator":      {revoke(alice.account()), chain.ErrContent},
		"to remove who is not in":    {revoke(carol.account()), chain.ErrContent},
		"to remove nobody":           {revoke(""), chain.ErrContent},
		"the creator leaves":         {r.says(alice, chain.LeaveRoom, "{}"), chain.ErrContent},
		"somebody who is not leaves": {r.says(carol, chain.LeaveRoom, "{}"), chain.ErrContent},
		"leaving with words":         {r.says(bob, chain.LeaveRoom, `{"why":"bored"}`), chain.ErrContent},
		"leaving without a form":     {r.says(bob, chain.LeaveRoom, ""), chain.ErrContent},
	}.checkRoom(t, h.hub.ID, r.fold)
}

func TestAnEpochIsForMembers(t *testing.T) {
	h := newHall(t)
	alice, bob, carol := h.joins("alice"), h.joins("bob"), h.joins("carol")
	r := alice.opens(chain.Sealed)
	r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Writer))
	first := r.does(bob, chain.Epoch, r.epochBody(alice, bob))
	if r.fold.Current != first.Hash() || r.fold.NeedsEpoch(h.now) {
		t.Fatalf("current %s", r.fold.Current)
	}
	fact := r.fold.Epochs[first.Hash().String()]
	if fact.Number != 1 || fact.Place != first.Seq || len(fact.Boxes) != 2 || fact.Commitment.IsZero() {
		t.Errorf("epoch %+v", fact)
	}
	with := func(c func(b *chain.EpochBody)) *event.Event {
		body := r.epochBody(alice, bob)
		c(&body)
		return r.says(alice, chain.Epoch, body)
	}
	refusals{
		"somebody who is not in":      {r.says(alice, chain.Epoch, r.epochBody(alice, bob, carol)), chain.ErrContent},
		"readers out of order":        {with(func(b *chain.EpochBody) { slices.Reverse(b.Keys) }), chain.ErrContent},
		"a reader twice":              {with(func(b *chain.EpochBody) { b.Keys[1] = b.Keys[0] }), chain.ErrContent},
		"a reader without account":    {with(func(b *chain.EpochBody) { b.Keys[0].Account = "" }), chain.ErrContent},
		"a reader without a box":      {with(func(b *chain.EpochBody) { b.Keys[0].Key = nil }), chain.ErrContent},
		"a box of more than 4096":     {with(func(b *chain.EpochBody) { b.Keys[0].Key = make([]byte, 4097) }), chain.ErrContent},
		"no reader":                   {with(func(b *chain.EpochBody) { b.Keys = nil }), chain.ErrContent},
		"an empty list of readers":    {with(func(b *chain.EpochBody) { b.Keys = []chain.EpochBox{} }), chain.ErrContent},
		"more than 2000 readers":      {with(func(b *chain.EpochBody) { b.Keys = slices.Repeat(b.Keys, 1001) }), chain.ErrContent},
		"no commitment":               {with(func(b *chain.EpochBody) { b.Commitment = event.Hash{} }), chain.ErrContent},
		"no name":                     {with(func(b *chain.EpochBody) { b.Name = nil }), chain.ErrContent},
		"a name of more than 4096":    {with(func(b *chain.EpochBody) { b.Name = make([]byte, 4097) }), chain.ErrContent},
		"number 0":                    {with(func(b *chain.EpochBody) { b.Number = 0 }), chain.ErrPlace},
		"its number again":            {with(func(b *chain.EpochBody) { b.Number = 1 }), chain.ErrPlace},
		"a number left out":           {with(func(b *chain.EpochBody) { b.Number = 3 }), chain.ErrPlace},
		"no previous":                 {with(func(b *chain.EpochBody) { b.Previous = event.Hash{} }), chain.ErrPlace},
		"another previous":            {with(func(b *chain.EpochBody) { b.Previous = event.Hash{1} }), chain.ErrPlace},
		"a hash in capitals":          {r.says(alice, chain.Epoch, `{"number":2,"previous":"AB"}`), chain.ErrContent},
		"an unknown member":           {r.says(alice, chain.Epoch, `{"number":2,"more":1}`), chain.ErrContent},
		"by who has left the hub out": {r.says(carol, chain.Epoch, r.epochBody(alice, bob)), chain.ErrRefused},
	}.checkRoom(t, h.hub.ID, r.fold)
	second := r.does(alice, chain.Epoch, r.epochBody(alice)) // fewer than are in: members still
	if r.fold.Epochs[second.Hash().String()].Number != 2 || !r.fold.NeedsEpoch(h.now) {
		t.Errorf("epochs %v", r.fold.Epochs)
	}
	open := alice.opens(chain.Open)
	wantRefusal(t, "in an open room", open.fold.Apply(h.hub.ID, open.says(alice, chain.Epoch, open.epochBody(alice))), chain.ErrContent)
}

func TestTwoEpochsForOnePlaceCannotBothBe(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	r := alice.opens(chain.Sealed)
	r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Writer))
	a, b := r.says(alice, chain.Epoch, r.epochBody(alice, bob)), r.says(bob, chain.Epoch, r.epochBody(alice, bob))
	r.takes(a)
	wantRefusal(t, "the loser", r.fold.Apply(h.hub.ID, b), chain.ErrPlace)
}

func TestANewEpochIsNeededWhenMembersChange(t *testing.T) {
	h := newHall(t)
	alice, bob, carol := h.joins("alice"), h.joins("bob"), h.joins("carol")
	r := alice.opens(chain.Sealed)
	want := func(what string, needs bool) {
		t.Helper()
		if got := r.fold.NeedsEpoch(h.now); got != needs {
			t.Errorf("%s: %v", what, got)
		}
	}
	want("no epoch yet", true)
	r.does(alice, chain.Epoch, r.epochBody(alice))
	want("the creator alone", false)
	r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Reader))
	want("somebody came", true)
	r.does(alice, chain.Epoch, r.epochBody(alice, bob))
	want("an epoch for both", false)
	handed := r.grantBody(carol, chain.Writer)
	handed.Epoch, handed.Key = r.fold.Current, []byte{1}
	handed.Expires = h.now.Add(time.Hour)
	r.does(alice, chain.GrantRoom, handed)
	want("somebody came with the key", false)
	r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Writer))
	want("a role changed", false)
	if got := r.fold.NeedsEpoch(handed.Expires.Add(-time.Second)); got {
		t.Error("it is needed before a grant expires")
	}
	if got := r.fold.NeedsEpoch(handed.Expires); !got {
		t.Error("it is not needed when a grant has expired")
	}
	r.does(bob, chain.LeaveRoom, "{}")
	want("somebody left", true)
	r.does(alice, chain.Epoch, r.epochBody(alice, carol))
	r.does(alice, chain.RevokeRoom, chain.RevokeRoomBody{Account: carol.account()})
	want("somebody was put out", true)
	r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Reader))
	want("one for another", true)
}

func TestARoleIsThatOfAPlaceAndATime(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	for _, kind := range []string{chain.Sealed, chain.Open} {
		r := alice.opens(kind)
		none := map[string]chain.Role{chain.Sealed: "", chain.Open: chain.Writer}[kind]
		r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Reader)) // place 2
		limited := r.grantBody(bob, chain.Moderator)
		limited.Expires = h.now.Add(time.Hour)
		r.does(alice, chain.GrantRoom, limited)                                       // place 3
		r.does(alice, chain.RevokeRoom, chain.RevokeRoomBody{Account: bob.account()}) // place 4
		last := r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Moderator)).Seq // place 5
		for _, row := range []struct {
			place  uint64
			at     time.Time
			want   chain.Role
			member bool
		}{
			{0, h.now, none, false},
			{1, h.now, none, false},
			{2, h.now, chain.Reader, true},
			{3, h.now, chain.Moderator, true},
			{3, limited.Expires.Add(-1), chain.Moderator, true},
			{3, limited.Expires, none, false},
			{4, h.now, none, false},
			{last, h.now.Add(50 * year), chain.Moderator, true},
			{last + 1, h.now, chain.Moderator, true},
		} {
			if got, member := r.fold.RoleAt(bob.account(), row.place, row.at); got != row.want || member != row.member {
				t.Errorf("%s, place %d at %s: %q, %v; want %q, %v", kind, row.place, row.at, got, member, row.want, row.member)
			}
		}
	}
}

func TestAGrantThatExpiredAllowsNothing(t *testing.T) {
	h := newHall(t)
	alice, bob, carol := h.joins("alice"), h.joins("bob"), h.joins("carol")
	r := alice.opens(chain.Sealed)
	body := r.grantBody(bob, chain.Moderator)
	body.Expires = h.now.Add(time.Hour)
	r.does(alice, chain.GrantRoom, body)
	if got := r.fold.Expires(bob.account()); !got.Equal(body.Expires) {
		t.Errorf("it expires %s", got)
	}
	h.now = body.Expires
	refusals{
		"to let somebody in": {r.says(bob, chain.GrantRoom, r.grantBody(carol, chain.Reader)), chain.ErrRefused},
		"to begin an epoch":  {r.says(bob, chain.Epoch, r.epochBody(alice)), chain.ErrRefused},
		"to read an epoch":   {r.says(alice, chain.Epoch, r.epochBody(alice, bob)), chain.ErrContent},
	}.checkRoom(t, h.hub.ID, r.fold)
	r.does(alice, chain.RevokeRoom, chain.RevokeRoomBody{Account: bob.account()})
	if got := r.fold.Expires(bob.account()); !got.IsZero() {
		t.Errorf("after the end it expires %s", got)
	}
	if got := r.fold.Expires(carol.account()); !got.IsZero() {
		t.Errorf("a grant that never was expires %s", got)
	}
}

func TestForgettingThePastKeepsThePresent(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	r := alice.opens(chain.Sealed)
	r.does(alice, chain.Epoch, r.epochBody(alice))
	r.does(alice, chain.Epoch, r.epochBody(alice))
	whole := copied(t, r.fold)
	r.fold.ForgetPast()
	if len(r.fold.Epochs) != 1 || r.fold.Epochs[r.fold.Current.String()] == nil || r.fold.NeedsEpoch(h.now) {
		t.Errorf("epochs %v", r.fold.Epochs)
	}
	for range 2 { // what comes goes on as if nothing was forgotten
		ev := r.does(alice, chain.Epoch, r.epochBody(alice))
		h.must(whole.Apply(h.hub.ID, ev))
	}
	handed := r.grantBody(bob, chain.Reader)
	handed.Epoch, handed.Key = r.fold.Current, []byte{1}
	h.must(whole.Apply(h.hub.ID, r.does(alice, chain.GrantRoom, handed)))
	whole.ForgetPast()
	r.fold.ForgetPast()
	if diff := cmp.Diff(whole, r.fold); diff != "" {
		t.Error(diff)
	}
}

func TestTheSameEventsGiveTheSameRoom(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	r := alice.opens(chain.Sealed)
	again := &chain.Room{Places: make(map[event.Hash]uint64)}
	var events []*event.Event
	events = append(events, r.creation(alice, chain.CreateRoomBody{Room: r.fold.ID, Kind: chain.Sealed}))
	r.fold = &chain.Room{Places: make(map[event.Hash]uint64)}
	r.takes(events[0])
	events = append(events, r.does(alice, chain.GrantRoom, r.grantBody(bob, chain.Writer)))
	events = append(events, r.does(bob, chain.Epoch, r.epochBody(alice, bob)))
	events = append(events, r.does(bob, chain.LeaveRoom, "{}"))
	for _, ev := range events {
		read, err := event.Decode(ev.Encode())
		h.must(err)
		h.must(again.Apply(h.hub.ID, read))
		again = copied(t, again) // as a view that is kept between events
	}
	one, err := json.Marshal(r.fold)
	h.must(err)
	two, err := json.Marshal(again)
	h.must(err)
	if string(one) != string(two) {
		t.Errorf("%s\nand\n%s", one, two)
	}
}
