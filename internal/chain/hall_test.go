package chain_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// TestMain: a property that fails prints the seed that repeats it, and leaves no file. A few
// sequences of signed events take long enough; more with -rapid.checks.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.checks": "25"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	os.Exit(m.Run())
}

// tester is testing.TB or *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// hall is a hub and its people, and a clock that moves by a second with each event.
type hall struct {
	t       tester
	hub     *trust.Hub
	signing *trust.KeyPair
	now     time.Time
	own     chain.Hub    // the hub's chain
	world   *chain.World // of everything that was done
	done    []*event.Event
	invite  *trust.KeyPair
}

const (
	day  = 24 * time.Hour
	year = 365 * day
)

func newHall(t tester) *hall {
	t.Helper()
	operator := trust.NewKeyPair(trust.Operator)
	h := &hall{
		t: t, signing: trust.NewKeyPair(trust.Operator), now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC),
		invite: trust.NewKeyPair(trust.Device),
	}
	h.hub = &trust.Hub{ID: operator.String(), Key: operator.Public(), Signing: []trust.PublicKey{h.signing.Public()}}
	h.world = chain.NewWorld(h.hub)
	h.mustFold(h.announces(h.invite, 1000))
	return h
}

func (h *hall) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// fold folds what is on the hub's or a person's chain into the world, and the hub's own.
func (h *hall) fold(ev *event.Event) error {
	if err := h.world.Apply(ev); err != nil {
		return err
	}
	h.done = append(h.done, ev)
	if ev.Subject == chain.HubSubject {
		return h.own.Apply(h.hub, ev)
	}
	return nil
}

func (h *hall) mustFold(ev *event.Event) {
	h.t.Helper()
	h.must(h.fold(ev))
}

// body is canonical JSON of what a test says, or its very text.
func (h *hall) body(v any) []byte {
	h.t.Helper()
	if text, is := v.(string); is {
		return []byte(text)
	}
	data, err := trust.Canonical(v)
	h.must(err)
	return data
}

// change makes an event other than it would be.
type change func(ev *event.Event)

// sign signs an event of the next second, after changes.
func (h *hall) sign(ev *event.Event, by *trust.KeyPair, changes []change) *event.Event {
	h.t.Helper()
	h.now = h.now.Add(time.Second)
	ev.Time, ev.Audience = h.now, h.hub.ID
	for _, c := range changes {
		c(ev)
	}
	h.must(ev.Sign(by))
	return ev
}

// says is the next event of the hub's chain.
func (h *hall) says(kind string, body any, changes ...change) *event.Event {
	h.t.Helper()
	return h.sign(&event.Event{
		Author: h.hub.Key, Type: kind, Subject: chain.HubSubject,
		Seq: h.own.Seq + 1, Prev: h.own.Head, Head: h.own.Head, Body: h.body(body),
	}, h.signing, changes)
}

func (h *hall) announces(key *trust.KeyPair, uses int) *event.Event {
	h.t.Helper()
	return h.says(chain.HubInvite, chain.InviteBody{Invite: key.String(), Uses: uses, Expires: h.now.Add(30 * day)})
}

// member is somebody with one device (laptop) or more.
type member struct {
	hall     *hall
	handle   string
	identity *trust.KeyPair
	laptop   *trust.KeyPair
	xkey     *trust.XKey
	chain    *chain.Person
	shares   *chain.Shares
}

func (m *member) account() string { return m.identity.String() }

// newcomer is somebody who was not admitted yet.
func (h *hall) newcomer(handle string) *member {
	return &member{
		hall: h, handle: handle, identity: trust.NewKeyPair(trust.Account), laptop: trust.NewKeyPair(trust.Device),
		xkey: trust.NewXKey(), chain: &chain.Person{Places: make(map[event.Hash]uint64)}, shares: new(chain.Shares),
	}
}

// joins is somebody who was admitted by the host's invite.
func (h *hall) joins(handle string) *member {
	h.t.Helper()
	m := h.newcomer(handle)
	m.takes(m.admission(m.admitBody(), h.invite))
	return m
}

func (m *member) admitBody() chain.AdmitBody {
	return chain.AdmitBody{
		Handle: m.handle, Account: m.account(), XKey: m.xkey.String(), Device: m.token(m.laptop, "laptop", m.hall.now, year),
		Invite: m.hall.invite.String(), Inviter: m.hall.hub.ID,
	}
}

func (m *member) admission(body any, invite *trust.KeyPair, changes ...change) *event.Event {
	m.hall.t.Helper()
	ev := m.hall.sign(&event.Event{
		Author: m.identity.Public(), Type: chain.Admit, Subject: chain.PersonSubject(m.account()), Seq: 1, Body: m.hall.body(body),
	}, m.identity, changes)
	if invite != nil {
		m.hall.must(ev.CoSign(invite))
	}
	return ev
}

// token is a device token that is good from issued on; IssueDevice knows the present only.
func (m *member) token(device *trust.KeyPair, name string, issued time.Time, life time.Duration) string {
	m.hall.t.Helper()
	claims := jwt.NewUserClaims(device.String())
	claims.Name, claims.Issuer = name, m.account()
	claims.IssuedAt, claims.Expires = issued.Unix(), issued.Add(life).Unix()
	claims.Permissions = trust.DevicePermissions(device.Public())
	claims.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket}
	claims.Type, claims.Version = jwt.UserClaim, 2
	payload, err := json.Marshal(claims)
	m.hall.must(err)
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + encode(payload)
	sig := m.identity.Sign([]byte(text))
	return text + "." + encode(sig[:])
}

// says is the next event of the member's chain, signed by the laptop.
func (m *member) says(kind string, body any, changes ...change) *event.Event {
	m.hall.t.Helper()
	return m.saysBy(m.laptop, kind, body, changes...)
}

func (m *member) saysBy(device *trust.KeyPair, kind string, body any, changes ...change) *event.Event {
	m.hall.t.Helper()
	return m.hall.sign(&event.Event{
		Author: m.identity.Public(), Type: kind, Subject: chain.PersonSubject(m.account()),
		Seq: m.chain.Seq + 1, Prev: m.chain.Head, Head: m.chain.Head, Body: m.hall.body(body),
	}, device, changes)
}

// takes folds an event into everything that follows the member's chain.
func (m *member) takes(ev *event.Event) {
	m.hall.t.Helper()
	m.hall.must(m.chain.Apply(m.hall.hub.ID, ev, false))
	m.hall.must(m.shares.Apply(ev, false))
	m.hall.mustFold(ev)
}

func (m *member) does(kind string, body any) *event.Event {
	m.hall.t.Helper()
	ev := m.says(kind, body)
	m.takes(ev)
	return ev
}

// adds gives the member one more device.
func (m *member) adds(name string) *trust.KeyPair {
	m.hall.t.Helper()
	device := trust.NewKeyPair(trust.Device)
	m.does(chain.AddDevice, chain.DeviceBody{Token: m.token(device, name, m.hall.now, year)})
	return device
}

// grants shares a catalog with somebody and returns the grant.
func (m *member) grants(catalog string, to *member) string {
	m.hall.t.Helper()
	id := trust.NewID()
	m.does(chain.Grant, chain.GrantBody{Grant: id, Catalog: catalog, To: to.account(), Sealed: []byte{1}})
	return id
}

// room is a room and what follows its chain.
type room struct {
	hall *hall
	fold *chain.Room
}

// opens makes a room of a kind, created by m.
func (m *member) opens(kind string) *room {
	m.hall.t.Helper()
	r := &room{hall: m.hall, fold: &chain.Room{Places: make(map[event.Hash]uint64)}}
	body := chain.CreateRoomBody{Room: trust.NewID(), Kind: kind}
	if kind == chain.Open {
		body.Name = "lobby"
	}
	r.takes(r.creation(m, body))
	return r
}

func (r *room) creation(m *member, body chain.CreateRoomBody, changes ...change) *event.Event {
	r.hall.t.Helper()
	return r.hall.sign(&event.Event{
		Author: m.identity.Public(), Type: chain.CreateRoom, Subject: chain.RoomSubject(body.Room),
		Seq: 1, Head: m.chain.Head, Body: r.hall.body(body),
	}, m.laptop, changes)
}

// says is the next event of the room's chain, by m's laptop.
func (r *room) says(m *member, kind string, body any, changes ...change) *event.Event {
	r.hall.t.Helper()
	return r.hall.sign(&event.Event{
		Author: m.identity.Public(), Type: kind, Subject: chain.RoomSubject(r.fold.ID),
		Seq: r.fold.Seq + 1, Prev: r.fold.Head, Head: m.chain.Head, Body: r.hall.body(body),
	}, m.laptop, changes)
}

func (r *room) takes(ev *event.Event) {
	r.hall.t.Helper()
	r.hall.must(r.fold.Apply(r.hall.hub.ID, ev))
}

func (r *room) does(m *member, kind string, body any) *event.Event {
	r.hall.t.Helper()
	ev := r.says(m, kind, body)
	r.takes(ev)
	return ev
}

func (r *room) grantBody(to *member, role chain.Role) chain.GrantRoomBody {
	return chain.GrantRoomBody{Grant: trust.NewID(), Account: to.account(), Role: role}
}

// epochBody is a next epoch for these members, in order.
func (r *room) epochBody(readers ...*member) chain.EpochBody {
	r.hall.t.Helper()
	key := event.NewEpochKey()
	body := chain.EpochBody{Number: 1, Commitment: key.Commitment(r.fold.ID), Name: key.SealName(r.fold.ID, "plans")}
	if current := r.fold.Epochs[r.fold.Current.String()]; current != nil {
		body.Number, body.Previous = current.Number+1, r.fold.Current
	}
	for _, m := range inOrder(readers) {
		box, err := key.BoxFor(m.xkey.String(), r.fold.ID)
		r.hall.must(err)
		body.Keys = append(body.Keys, chain.EpochBox{Account: m.account(), Key: box})
	}
	return body
}

// wantRefusal fails unless err is the one that a rule gives.
func wantRefusal(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

// copied is a deep copy of a fold, by way of its JSON, as views keep it.
func copied[T any](t tester, state *T) *T {
	t.Helper()
	data, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	again := new(T)
	if err := json.Unmarshal(data, again); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", data, err))
	}
	return again
}
