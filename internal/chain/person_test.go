package chain_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// refusals holds what an Apply must refuse, and that it changes nothing then.
type refusals map[string]struct {
	ev   *event.Event
	want error
}

func (rows refusals) checkPerson(t *testing.T, hub string, p *chain.Person) {
	t.Helper()
	for what, row := range rows {
		before := copied(t, p)
		err := p.Apply(hub, row.ev, false)
		wantRefusal(t, what, err, row.want)
		if diff := cmp.Diff(before, p, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: a refused event changed %s", what, diff)
		}
	}
}

func TestAnAdmissionMakesAPerson(t *testing.T) {
	h := newHall(t)
	alice := h.newcomer("alice")
	ev := alice.admission(alice.admitBody(), h.invite)
	alice.takes(ev)
	p := alice.chain
	if p.Account != alice.account() || p.Handle != "alice" || p.XKey != alice.xkey.String() {
		t.Errorf("she is %s, %s, %s", p.Handle, p.Account, p.XKey)
	}
	if p.Invite != h.invite.String() || p.Inviter != h.hub.ID || !p.Admitted.Equal(ev.Time) {
		t.Errorf("admitted by %s of %s at %s", p.Invite, p.Inviter, p.Admitted)
	}
	if p.Seq != 1 || p.Head != ev.Hash() || p.Places[p.Head] != 1 {
		t.Errorf("at place %d, head %s, places %v", p.Seq, p.Head, p.Places)
	}
	device := p.Devices[alice.laptop.String()]
	if len(p.Devices) != 1 || device == nil || device.Name != "laptop" || device.Since != 1 || device.Revoked != 0 {
		t.Errorf("devices %v", p.Devices)
	}
}

func TestAnAdmissionIsRefused(t *testing.T) {
	h := newHall(t)
	alice, mallory := h.newcomer("alice"), h.newcomer("mallory")
	with := func(c func(b *chain.AdmitBody)) *event.Event {
		body := alice.admitBody()
		c(&body)
		return alice.admission(body, h.invite)
	}
	as := func(c change) *event.Event { return alice.admission(alice.admitBody(), h.invite, c) }
	byLaptop := h.sign(&event.Event{
		Author: alice.identity.Public(), Type: chain.Admit, Subject: chain.PersonSubject(alice.account()), Seq: 1,
		Body: h.body(alice.admitBody()),
	}, alice.laptop, nil)
	h.must(byLaptop.CoSign(h.invite))
	changed := with(func(*chain.AdmitBody) {})
	changed.Body = h.body(mallory.admitBody())
	rows := refusals{
		"another hub's":                {as(func(ev *event.Event) { ev.Audience = "O" }), event.ErrNotMeant},
		"another's chain":              {as(func(ev *event.Event) { ev.Subject = chain.PersonSubject(mallory.account()) }), event.ErrNotMeant},
		"no place":                     {as(func(ev *event.Event) { ev.Seq = 0 }), chain.ErrPlace},
		"the second place":             {as(func(ev *event.Event) { ev.Seq, ev.Prev = 2, event.Hash{1} }), chain.ErrPlace},
		"another kind":                 {as(func(ev *event.Event) { ev.Type = chain.AddDevice }), chain.ErrPlace},
		"signed by the laptop":         {byLaptop, chain.ErrRefused},
		"another author":               {as(func(ev *event.Event) { ev.Author = mallory.identity.Public() }), event.ErrNotMeant},
		"without the invite's key":     {alice.admission(alice.admitBody(), nil), event.ErrSignature},
		"signed by another invite":     {alice.admission(alice.admitBody(), trust.NewKeyPair(trust.Device)), event.ErrSignature},
		"co-signed by the laptop":      {alice.admission(alice.admitBody(), alice.laptop), event.ErrSignature},
		"changed after signing":        {changed, event.ErrBody},
		"naming another account":       {with(func(b *chain.AdmitBody) { b.Account = mallory.account() }), chain.ErrContent},
		"a handle in capitals":         {with(func(b *chain.AdmitBody) { b.Handle = "Alice" }), chain.ErrContent},
		"a handle with a dot":          {with(func(b *chain.AdmitBody) { b.Handle = "al.ice" }), chain.ErrContent},
		"no handle":                    {with(func(b *chain.AdmitBody) { b.Handle = "" }), chain.ErrContent},
		"no xkey":                      {with(func(b *chain.AdmitBody) { b.XKey = "" }), chain.ErrContent},
		"an account as xkey":           {with(func(b *chain.AdmitBody) { b.XKey = alice.account() }), chain.ErrContent},
		"an xkey's alias":              {with(func(b *chain.AdmitBody) { b.XKey += "\n" }), chain.ErrContent},
		"no invite key":                {with(func(b *chain.AdmitBody) { b.Invite = "" }), chain.ErrContent},
		"an account as invite":         {with(func(b *chain.AdmitBody) { b.Invite = alice.account() }), chain.ErrContent},
		"no device":                    {with(func(b *chain.AdmitBody) { b.Device = "" }), trust.ErrToken},
		"a key as device":              {with(func(b *chain.AdmitBody) { b.Device = alice.laptop.String() }), trust.ErrToken},
		"a device of another":          {with(func(b *chain.AdmitBody) { b.Device = mallory.admitBody().Device }), chain.ErrContent},
		"an unknown member":            {alice.admission(`{"handle":"alice","more":1}`, h.invite), chain.ErrContent},
		"a body that is not canonical": {alice.admission(" "+string(h.body(alice.admitBody())), h.invite), trust.ErrCanonical},
		"no body":                      {alice.admission("", h.invite), chain.ErrContent},
	}
	for what, row := range rows {
		p := new(chain.Person)
		wantRefusal(t, what, p.Apply(h.hub.ID, row.ev, false), row.want)
		if diff := cmp.Diff(new(chain.Person), p); diff != "" {
			t.Errorf("%s: a refused event changed %s", what, diff)
		}
	}
	good := as(func(*event.Event) {})
	wantRefusal(t, "withheld", new(chain.Person).Apply(h.hub.ID, good, true), chain.ErrContent)
	if err := new(chain.Person).Apply(h.hub.ID, good, false); err != nil {
		t.Errorf("what is good is refused too: %v", err)
	}
}

func TestAnAdmissionKeepsTheRulesOfItsBodyAndHead(t *testing.T) {
	h := newHall(t)
	alice := h.newcomer("alice")
	with := func(inviter string) *event.Event {
		body := alice.admitBody()
		body.Inviter = inviter
		return alice.admission(body, h.invite)
	}
	for what, ev := range map[string]*event.Event{
		"a head":               alice.admission(alice.admitBody(), h.invite, func(ev *event.Event) { ev.Head = event.Hash{1} }),
		"no inviter":           with(""),
		"a handle as inviter":  with("bob"),
		"a device as inviter":  with(alice.laptop.String()),
		"an inviter's alias":   with(alice.account() + "\n"),
		"another hub's invite": with(trust.NewKeyPair(trust.Operator).String()),
	} {
		if err := new(chain.Person).Apply(h.hub.ID, ev, false); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestAPersonsChainGoesOn(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	phone := alice.adds("phone")
	if device := alice.chain.Devices[phone.String()]; device == nil || device.Since != 2 || device.Name != "phone" {
		t.Errorf("devices %v", alice.chain.Devices)
	}
	key := trust.NewKeyPair(trust.Device).String()
	alice.takes(alice.saysBy(phone, chain.Invite, chain.InviteBody{Invite: key, Uses: 2, Expires: h.now.Add(day)}))
	if invite := alice.chain.Invites[key]; invite == nil || invite.Uses != 2 {
		t.Errorf("invites %v", alice.chain.Invites)
	}
	ev := alice.does(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()})
	if device := alice.chain.Devices[phone.String()]; device.Revoked != 4 || !device.Ended.Equal(ev.Time) {
		t.Errorf("revoked at place %d, %s", device.Revoked, device.Ended)
	}
	if alice.chain.Seq != 4 || alice.chain.Head != ev.Hash() || alice.chain.Places[ev.Hash()] != 4 || len(alice.chain.Places) != 4 {
		t.Errorf("at place %d of %v", alice.chain.Seq, alice.chain.Places)
	}
}

func TestPlacesAreKeptOnlyForWhoWantsThem(t *testing.T) {
	h := newHall(t)
	alice := h.newcomer("alice")
	alice.chain.Places = nil
	alice.takes(alice.admission(alice.admitBody(), h.invite))
	if alice.chain.Places != nil {
		t.Errorf("places %v", alice.chain.Places)
	}
}

func TestAPersonsChainRefusesAWrongPlace(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	first := alice.chain.Head
	alice.adds("phone")
	body := chain.RevokeDeviceBody{Device: alice.laptop.String()}
	says := func(c change) *event.Event { return alice.says(chain.RevokeDevice, body, c) }
	forged := says(func(*event.Event) {})
	forged.Seq++
	rows := refusals{
		"another hub's":               {says(func(ev *event.Event) { ev.Audience = "O" }), event.ErrNotMeant},
		"no audience":                 {says(func(ev *event.Event) { ev.Audience = "" }), event.ErrNotMeant},
		"another's chain":             {says(func(ev *event.Event) { ev.Subject = chain.PersonSubject(bob.account()) }), event.ErrNotMeant},
		"a room's chain":              {says(func(ev *event.Event) { ev.Subject = chain.RoomSubject(trust.NewID()) }), event.ErrNotMeant},
		"not in the chain":            {says(func(ev *event.Event) { ev.Seq, ev.Prev = 0, event.Hash{} }), chain.ErrPlace},
		"a place that is taken":       {says(func(ev *event.Event) { ev.Seq = 2 }), chain.ErrPlace},
		"a fork":                      {says(func(ev *event.Event) { ev.Seq, ev.Prev, ev.Head = 2, first, first }), chain.ErrPlace},
		"a place left out":            {says(func(ev *event.Event) { ev.Seq = 4 }), chain.ErrPlace},
		"after another event":         {says(func(ev *event.Event) { ev.Prev = first }), chain.ErrPlace},
		"an older head":               {says(func(ev *event.Event) { ev.Head = first }), chain.ErrPlace},
		"no head":                     {says(func(ev *event.Event) { ev.Head = event.Hash{} }), chain.ErrPlace},
		"its own bytes, another seq":  {forged, chain.ErrPlace},
		"an admission once more":      {alice.admission(alice.admitBody(), h.invite), chain.ErrPlace},
		"an admission at a new place": {alice.says(chain.Admit, alice.admitBody()), chain.ErrContent},
	}
	rows.checkPerson(t, h.hub.ID, alice.chain)
}

func TestAPersonsChainIsSignedByTheirDevices(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	phone, short := alice.adds("phone"), trust.NewKeyPair(trust.Device)
	alice.does(chain.AddDevice, chain.DeviceBody{Token: alice.token(short, "short", h.now, time.Hour)})
	alice.does(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()})
	body := chain.RevokeDeviceBody{Device: alice.laptop.String()}
	by := func(key *trust.KeyPair, changes ...change) *event.Event {
		return alice.saysBy(key, chain.RevokeDevice, body, changes...)
	}
	changed := by(alice.laptop)
	changed.Body = h.body(chain.RevokeDeviceBody{Device: short.String()})
	forged := by(alice.laptop)
	forged.Author = bob.identity.Public()
	rows := refusals{
		"a revoked device":         {by(phone), chain.ErrRefused},
		"a revoked device, dated":  {by(phone, func(ev *event.Event) { ev.Time = h.now.Add(-time.Minute) }), chain.ErrRefused},
		"an expired device":        {by(short, func(ev *event.Event) { ev.Time = h.now.Add(2 * time.Hour) }), chain.ErrRefused},
		"a device of the future":   {by(short, func(ev *event.Event) { ev.Time = h.now.Add(-time.Hour) }), chain.ErrRefused},
		"another's device":         {by(bob.laptop), chain.ErrRefused},
		"an unknown device":        {by(trust.NewKeyPair(trust.Device)), chain.ErrRefused},
		"the identity itself":      {alice.saysBy(alice.identity, chain.RotateXKey, chain.XKeyBody{XKey: trust.NewXKey().String()}), chain.ErrRefused},
		"the invite's key":         {by(h.invite), chain.ErrRefused},
		"the hub":                  {by(h.signing), chain.ErrRefused},
		"in another's name":        {by(bob.laptop, func(ev *event.Event) { ev.Author = bob.identity.Public() }), chain.ErrRefused},
		"a changed body":           {changed, event.ErrBody},
		"another author, unsigned": {forged, event.ErrSignature},
	}
	rows.checkPerson(t, h.hub.ID, alice.chain)
	alice.takes(by(short))
}

func TestAPersonsChainRefusesWhatCannotBe(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	phone := alice.adds("phone")
	alice.does(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()})
	key := trust.NewKeyPair(trust.Device)
	alice.does(chain.Invite, chain.InviteBody{Invite: key.String(), Uses: 1, Expires: h.now.Add(day)})
	rows := refusals{
		"a kind that nobody knows":  {alice.says("person.rename", "{}"), chain.ErrContent},
		"a kind of a room":          {alice.says(chain.LeaveRoom, "{}"), chain.ErrContent},
		"a kind of the hub":         {alice.says(chain.HubInvite, chain.InviteBody{Invite: key.String(), Uses: 1, Expires: h.now.Add(day)}), chain.ErrContent},
		"a share of no kind":        {alice.says("share.give", "{}"), chain.ErrContent},
		"an invite again":           {alice.says(chain.Invite, chain.InviteBody{Invite: key.String(), Uses: 9, Expires: h.now.Add(day)}), chain.ErrContent},
		"a token of another":        {alice.says(chain.AddDevice, chain.DeviceBody{Token: bob.token(key, "x", h.now, day)}), chain.ErrContent},
		"a token of no device":      {alice.says(chain.AddDevice, chain.DeviceBody{Token: "x"}), trust.ErrToken},
		"a token for too long":      {alice.says(chain.AddDevice, chain.DeviceBody{Token: alice.token(key, "x", h.now, 367*day)}), trust.ErrToken},
		"a token with a bad name":   {alice.says(chain.AddDevice, chain.DeviceBody{Token: alice.token(key, "X", h.now, day)}), trust.ErrToken},
		"a device that was revoked": {alice.says(chain.AddDevice, chain.DeviceBody{Token: alice.token(phone, "phone", h.now, day)}), chain.ErrContent},
		"to revoke it again":        {alice.says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()}), chain.ErrContent},
		"to revoke nobody's":        {alice.says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: key.String()}), chain.ErrContent},
		"to revoke another's":       {alice.says(chain.RevokeDevice, chain.RevokeDeviceBody{Device: bob.laptop.String()}), chain.ErrContent},
		"to revoke nothing":         {alice.says(chain.RevokeDevice, chain.RevokeDeviceBody{}), chain.ErrContent},
		"a device with more":        {alice.says(chain.AddDevice, `{"token":"x","more":1}`), chain.ErrContent},
		"a revocation in capitals":  {alice.says(chain.RevokeDevice, `{"Device":"`+alice.laptop.String()+`"}`), trust.ErrCanonical},
	}
	rows.checkPerson(t, h.hub.ID, alice.chain)
	invites := make(refusals)
	for what, body := range inviteBodies(h.now) {
		invites["an invite with "+what] = struct {
			ev   *event.Event
			want error
		}{alice.says(chain.Invite, body), chain.ErrContent}
	}
	invites.checkPerson(t, h.hub.ID, alice.chain)
}

func TestOnlyTheBodiesOfSharesAreWithheld(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	withheld := func(ev *event.Event) *event.Event {
		got, err := event.Decode(ev.EncodeWithheld())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for kind, body := range map[string]any{
		chain.AddDevice:    chain.DeviceBody{Token: alice.token(trust.NewKeyPair(trust.Device), "x", h.now, day)},
		chain.RevokeDevice: chain.RevokeDeviceBody{Device: alice.laptop.String()},
		chain.Invite:       chain.InviteBody{Invite: h.invite.String(), Uses: 1, Expires: h.now.Add(day)},
		"share-not":        "{}",
	} {
		wantRefusal(t, kind, alice.chain.Apply(h.hub.ID, withheld(alice.says(kind, body)), true), chain.ErrContent)
	}
	grant := chain.GrantBody{Grant: trust.NewID(), Catalog: trust.NewID(), To: bob.account(), Sealed: []byte{1}}
	ev := alice.says(chain.Grant, grant)
	wantRefusal(t, "withheld and not said so", alice.chain.Apply(h.hub.ID, withheld(ev), false), event.ErrBody)
	forged := withheld(ev)
	forged.Subject = chain.PersonSubject(alice.account())
	forged.Time = forged.Time.Add(time.Second)
	wantRefusal(t, "withheld and forged", alice.chain.Apply(h.hub.ID, forged, true), event.ErrSignature)
	wantRefusal(t, "withheld, another's device",
		alice.chain.Apply(h.hub.ID, withheld(alice.saysBy(bob.laptop, chain.Grant, grant)), true), chain.ErrRefused)

	reader := copied(t, alice.chain)
	if err := reader.Apply(h.hub.ID, withheld(ev), true); err != nil {
		t.Fatal(err)
	}
	alice.takes(ev)
	if diff := cmp.Diff(alice.chain, reader, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("who does not see the body sees another chain: %s", diff)
	}
}

func TestADeviceIsRenewed(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	h.now = h.now.Add(300 * day)
	alice.does(chain.AddDevice, chain.DeviceBody{Token: alice.token(alice.laptop, "laptop2", h.now, year)})
	device := alice.chain.Devices[alice.laptop.String()]
	if device.Since != 1 || device.Name != "laptop2" || !device.Expires.Equal(h.now.Add(-time.Second).Add(year)) {
		t.Errorf("renewed: since %d, %s, until %s", device.Since, device.Name, device.Expires)
	}
	h.now = h.now.Add(300 * day)
	alice.adds("phone")
}

// TestATokenThatEndsEarlierTakesBackThoseBefore: a device has fewer rights from then on, and
// nobody brings back the longer token, which everybody can read on the chain.
func TestATokenThatEndsEarlierTakesBackThoseBefore(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	long := alice.token(alice.laptop, "laptop", h.now, year)
	h.now = h.now.Add(day)
	renews := func(token string) *event.Event {
		return alice.says(chain.AddDevice, chain.DeviceBody{Token: token})
	}
	at := h.now
	same := alice.token(alice.laptop, "laptop", at, year)
	alice.takes(renews(same))
	if narrowed := alice.chain.Devices[alice.laptop.String()].Narrowed; !narrowed.IsZero() {
		t.Errorf("a longer token: narrowed at %s", narrowed)
	}
	short := alice.token(alice.laptop, "laptop", at, 30*day)
	wantRefusal(t, "a shorter one of the same time", alice.chain.Apply(h.hub.ID, renews(short), false), chain.ErrContent)
	h.now = h.now.Add(time.Minute)
	issued := h.now.Truncate(time.Second)
	alice.takes(renews(alice.token(alice.laptop, "laptop", issued, 30*day)))
	if device := alice.chain.Devices[alice.laptop.String()]; !device.Narrowed.Equal(issued) || !device.Expires.Equal(issued.Add(30*day)) {
		t.Errorf("narrowed at %s, until %s", device.Narrowed, device.Expires)
	}
	h.now = h.now.Add(time.Minute)
	for _, token := range []string{long, same} {
		wantRefusal(t, "a token that was taken back", alice.chain.Apply(h.hub.ID, renews(token), false), chain.ErrContent)
	}
	alice.takes(renews(alice.token(alice.laptop, "laptop", h.now, year)))
	if device := alice.chain.Devices[alice.laptop.String()]; !device.Narrowed.Equal(issued) {
		t.Errorf("after a longer one again: narrowed at %s", device.Narrowed)
	}
	h.now = h.now.Add(100 * day)
	alice.adds("phone")
}

func TestWhatWasSignedBeforeARenewalStaysGood(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	room := alice.opens(chain.Sealed)
	said := room.says(alice, chain.GrantRoom, room.grantBody(alice, chain.Reader))
	message := h.sign(&event.Event{
		Author: alice.identity.Public(), Type: "room.message", Subject: "room." + room.fold.ID + ".say." + alice.account(), Head: room.fold.Head,
	}, alice.laptop, nil)
	h.now = h.now.Add(300 * day)
	alice.does(chain.AddDevice, chain.DeviceBody{Token: alice.token(alice.laptop, "laptop", h.now, year)})
	if err := alice.chain.VouchedAt(said); err != nil {
		t.Errorf("on a room's chain: %v", err)
	}
	if err := alice.chain.VouchesForMessage(message); err != nil {
		t.Errorf("a message: %v", err)
	}
}

func TestAnEventOfARoomIsJudgedAtThePlaceOfItsHead(t *testing.T) {
	h := newHall(t)
	alice, bob := h.joins("alice"), h.joins("bob")
	room := alice.opens(chain.Sealed)
	says := func(device *trust.KeyPair, head event.Hash) *event.Event {
		return h.sign(&event.Event{
			Author: alice.identity.Public(), Type: chain.LeaveRoom, Subject: chain.RoomSubject(room.fold.ID),
			Seq: 2, Prev: room.fold.Head, Head: head, Body: []byte("{}"),
		}, device, nil)
	}
	admitted := alice.chain.Head
	phone := alice.adds("phone")
	added := alice.chain.Head
	alice.does(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()})
	revoked := alice.chain.Head
	foreign := says(alice.laptop, admitted)
	foreign.Author = bob.identity.Public()
	for _, row := range []struct {
		what string
		ev   *event.Event
		want error
	}{
		{"the laptop, at first", says(alice.laptop, admitted), nil},
		{"the laptop, later", says(alice.laptop, revoked), nil},
		{"the phone before it was added", says(phone, admitted), chain.ErrRefused},
		{"the phone while it was good", says(phone, added), nil},
		{"the phone after it was revoked", says(phone, revoked), chain.ErrRefused},
		{"a head of another chain", says(alice.laptop, bob.chain.Head), chain.ErrPlace},
		{"no head", says(alice.laptop, event.Hash{}), chain.ErrPlace},
		{"an unknown device", says(bob.laptop, added), chain.ErrRefused},
		{"another author", foreign, chain.ErrRefused},
	} {
		if err := alice.chain.VouchedAt(row.ev); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.what, err, row.want)
		}
	}
	if err := alice.chain.Vouches(says(phone, added)); !errors.Is(err, chain.ErrRefused) {
		t.Errorf("the revoked phone, now: %v", err)
	}
	if err := alice.chain.Vouches(says(alice.laptop, event.Hash{})); err != nil {
		t.Errorf("the laptop, now: %v", err)
	}
}

func TestAMessageOfARevokedDeviceIsGoodFromBefore(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	phone := alice.adds("phone")
	message := func(at time.Time) *event.Event {
		return h.sign(&event.Event{
			Author: alice.identity.Public(), Type: "room.message", Subject: "room.r.say." + alice.account(),
		}, phone, []change{func(ev *event.Event) { ev.Time = at }})
	}
	early := message(h.now)
	if err := alice.chain.VouchesForMessage(early); err != nil {
		t.Errorf("while the phone is good: %v", err)
	}
	ended := alice.does(chain.RevokeDevice, chain.RevokeDeviceBody{Device: phone.String()}).Time
	if err := alice.chain.VouchesForMessage(early); err != nil {
		t.Errorf("from before the revocation: %v", err)
	}
	wantRefusal(t, "of that moment", alice.chain.VouchesForMessage(message(ended)), chain.ErrRefused)
	wantRefusal(t, "from after it", alice.chain.VouchesForMessage(message(ended.Add(time.Hour))), chain.ErrRefused)
	wantRefusal(t, "from before the token", alice.chain.VouchesForMessage(message(ended.Add(-time.Hour))), chain.ErrRefused)
}

func TestAPersonAlwaysHasAText(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	far := time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)
	body := chain.DeviceBody{Token: alice.token(trust.NewKeyPair(trust.Device), "x", far, day)}
	if err := alice.chain.Apply(h.hub.ID, alice.says(chain.AddDevice, body), false); err != nil {
		return
	}
	if _, err := json.Marshal(alice.chain); err != nil {
		t.Error(err)
	}
}

func TestErrorsSayWhichKindDoesNotHold(t *testing.T) {
	h := newHall(t)
	alice := h.joins("alice")
	err := alice.chain.Apply(h.hub.ID, alice.says(chain.RevokeDevice, "{}"), false)
	if err == nil || !strings.Contains(err.Error(), chain.RevokeDevice) {
		t.Errorf("%v", err)
	}
}
