package hall_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/trust"
)

func TestWhoIsInARoomIsSeenAndNothingOfItIsStored(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob, carol := hall.Join("alice"), hall.Join("bob"), hall.Join("carol")
	ctx := hubtest.Context(t)
	room(t, alice, bob)
	if _, err := alice.GrantRoom(ctx, "general", "carol", "reader", 0); err != nil {
		t.Fatal(err)
	}

	hub := spyOnPresence(t, hall)
	hers, his := enter(t, alice), enter(t, bob)
	present(t, hers, "bob")
	present(t, his, "alice")
	before := len(hub.of(bob))
	his.Close()
	hubtest.Eventually(t, "bob says that he leaves", func() bool { return len(hub.of(bob)) > before })
	reads := enter(t, carol) // who only reads is seen as well, and the others see her later than that bob left
	presentSince(t, hers, "carol", "carol")
	present(t, reads, "alice")
	enter(t, bob)
	present(t, hers, "bob", "carol")
	present(t, reads, "alice", "bob")

	if _, err := alice.Say(ctx, "general", "the only message"); err != nil {
		t.Fatal(err)
	}
	messages, skipped, err := alice.History(ctx, "general", 10)
	if err != nil || len(skipped) != 0 || len(messages) != 1 || messages[0].Seq != 1 {
		t.Errorf("the room holds %+v, %v, %v", messages, skipped, err)
	}
}

func TestWhoSaysSomethingInPassingIsNotPresent(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	room(t, alice, bob)
	hub := spyOnPresence(t, hall)
	hers := enter(t, alice)
	if _, err := bob.Say(hubtest.Context(t), "general", "in passing"); err != nil {
		t.Fatal(err)
	}
	said := time.Now().Truncate(time.Millisecond)
	enter(t, bob) // control: what bob says of himself is heard
	present(t, hers, "bob")
	heard := hub.of(bob)
	if len(heard) == 0 {
		t.Fatal("bob was not heard")
	}
	ev, err := event.Decode(heard[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	if ev.Time.Before(said) {
		t.Errorf("bob said at %v that he was present, and came after %v", ev.Time, said)
	}
}

// TestNobodyIsMadePresent: a hub that repeats what somebody said, or says it as somebody else, makes nobody present.
func TestNobodyIsMadePresent(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob, carol := hall.Join("alice"), hall.Join("bob"), hall.Join("carol")
	ctx := hubtest.Context(t)
	room(t, alice, bob)
	if _, err := alice.GrantRoom(ctx, "general", "carol", "writer", 0); err != nil {
		t.Fatal(err)
	}
	hub := spyOnPresence(t, hall)
	his := enter(t, bob)
	hers := enter(t, alice)
	present(t, his, "alice")
	hers.Close()
	var said []*nats.Msg
	hubtest.Eventually(t, "alice has said that she is here, and that she is gone", func() bool {
		said = hub.of(alice)
		return len(said) >= 2 && len(his.Present("general")) == 0
	})
	for _, msg := range said { // all that she said, once more, and last that she is here
		hub.publish(t, msg.Subject, msg.Data)
	}
	hub.publish(t, said[0].Subject, said[0].Data)
	hub.publish(t, strings.Replace(said[0].Subject, alice.Profile.Settings.Account, carol.Profile.Settings.Account, 1), said[0].Data)
	hub.publish(t, said[0].Subject, []byte("here"))
	enter(t, carol)
	presentSince(t, his, "carol", "carol")
}

// present waits until a session sees these handles and no others.
func present(t *testing.T, s *client.Session, handles ...string) {
	t.Helper()
	hubtest.Eventually(t, "present: "+strings.Join(handles, ", "), func() bool { return slices.Equal(seen(s), handles) })
}

// presentSince looks at whom a session sees when it has seen the last who came: everything
// from before that is judged by then.
func presentSince(t *testing.T, s *client.Session, last string, handles ...string) {
	t.Helper()
	hubtest.Eventually(t, last+" is present", func() bool { return slices.Contains(seen(s), last) })
	if got := seen(s); !slices.Equal(got, handles) {
		t.Errorf("present are %v, want %v", got, handles)
	}
}

func seen(s *client.Session) (handles []string) {
	for _, one := range s.Present("general") {
		handles = append(handles, one.Handle)
	}
	return handles
}

// ears hear and say everything in ROOMS, as a hub could.
type ears struct {
	*nats.Conn
	heard chan *nats.Msg
	kept  []*nats.Msg
}

func spyOnPresence(t *testing.T, hall *hubtest.Hall) *ears {
	t.Helper()
	keys, err := natsd.LoadKeys(hall.Dir)
	if err != nil {
		t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.IssuerAccount = "the hub", keys.Rooms
	claims.Pub.Allow.Add(">")
	claims.Sub.Allow.Add(">")
	token, err := claims.Encode(keys.RoomsSigner)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(hall.NATS(), nats.UserJWT(func() (string, error) { return token, nil }, user.Sign))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	e := &ears{Conn: nc, heard: make(chan *nats.Msg, 1000)}
	if _, err := nc.ChanSubscribe("room.*.live.*", e.heard); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return e
}

// of is what was heard of somebody so far.
func (e *ears) of(m *hubtest.Member) (all []*nats.Msg) {
	for more := true; more; {
		select {
		case msg := <-e.heard:
			e.kept = append(e.kept, msg)
		default:
			more = false
		}
	}
	for _, msg := range e.kept {
		if strings.HasSuffix(msg.Subject, "."+m.Profile.Settings.Account) {
			all = append(all, msg)
		}
	}
	return all
}

func (e *ears) publish(t *testing.T, subject string, data []byte) {
	t.Helper()
	if err := e.Publish(subject, data); err != nil {
		t.Fatal(err)
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestAConnectionMayHearAllItsRooms: feed and presence of as many rooms as a connection may name, and answers.
func TestAConnectionMayHearAllItsRooms(t *testing.T) {
	member := spyOnPresence(t, hubtest.Start(t))
	listen := func(subject string) error {
		if _, err := member.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		if err := member.Flush(); err != nil {
			t.Fatal(err)
		}
		return member.LastError()
	}
	for range 64 {
		room := trust.NewID()
		if err := errors.Join(listen("feed."+room), listen("room."+room+".live.*")); err != nil {
			t.Fatalf("a connection may not hear its rooms: %v", err)
		}
	}
	if err := listen(member.NewInbox()); err != nil {
		t.Fatalf("a connection may not hear answers: %v", err)
	}
	hubtest.Eventually(t, "it may not hear without end", func() bool { return listen("feed."+trust.NewID()) != nil })
}
