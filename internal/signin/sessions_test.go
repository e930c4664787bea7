package signin_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/trust"
)

func TestAPersonSeesAndEndsTheirSessionsAndNobodyElses(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	laptop, phone, tablet, his := alice.Browser("firefox"), alice.Browser("phone"), alice.Browser("tablet"), bob.Browser("firefox")
	list := hubtest.Read[sessions](t, phone.Get("/api/sessions")).Sessions
	if len(list) != 3 || list[0].Name != "tablet" || list[1].Name != "phone" || !list[1].This || list[0].This || list[2].Name != "firefox" {
		t.Fatalf("%+v", list)
	}
	want(t, "alice's, ended by bob", his.Delete("/api/sessions/"+list[0].ID, struct{}{}), 404, fault.NotFound)
	want(t, "the control", tablet.Get("/api/session"), 200, "")
	want(t, "ended by alice", phone.Delete("/api/sessions/"+list[0].ID, struct{}{}), 200, "")
	want(t, "it has ended", tablet.Get("/api/session"), 401, fault.Refused)
	want(t, "without a session", hall.Browser().Delete("/api/sessions", struct{}{}), 401, fault.Refused)
	want(t, "the others", phone.Delete("/api/sessions", map[string]bool{"others": true}), 200, "")
	want(t, "the laptop's", laptop.Get("/api/session"), 401, fault.Refused)
	want(t, "the own one", phone.Get("/api/session"), 200, "")
	must(t, answered(laptop.OpenSession()))
	want(t, "all of them", phone.Delete("/api/sessions", struct{}{}), 200, "")
	if phone.Cookie(hubtest.SessionCookie) != "" {
		t.Error("the own cookie is left")
	}
	want(t, "the laptop's", laptop.Get("/api/session"), 401, fault.Refused)
	want(t, "bob's", his.Get("/api/session"), 200, "")
}

// TestASessionEndsWithItsDeviceAndOutlivesTheHub: its connections to ROOMS and its WebSockets
// are cut, and those of other devices are not.
func TestASessionEndsWithItsDeviceAndOutlivesTheHub(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	room, err := alice.CreateRoom(hubtest.Context(t), "kitchen", client.RoomOptions{})
	must(t, err)
	b, other := alice.Browser("firefox"), alice.Browser("chromium")
	hall.Stop()
	hall.Restart()
	alice = hall.Connect(alice.Profile)
	want(t, "after a restart", b.Get("/api/session"), 200, "")
	rooms, err := b.Rooms(room.ID)
	must(t, err)
	stays, err := other.Rooms(room.ID)
	must(t, err)
	gone := make(chan struct{})
	rooms.SetClosedHandler(func(*nats.Conn) { close(gone) })
	must(t, alice.RevokeDevice(hubtest.Context(t), "firefox"))
	select {
	case <-gone:
	case <-hubtest.Context(t).Done():
		t.Error("a revoked device stays in its rooms")
	}
	hubtest.Eventually(t, "the session ends", func() bool { return b.Get("/api/session").Status == 401 })
	must(t, stays.FlushTimeout(hubtest.Patience))
	if list := hubtest.Read[sessions](t, other.Get("/api/sessions")).Sessions; len(list) != 1 || list[0].Name != "chromium" {
		t.Errorf("%+v", list)
	}
}

// TestNobodyKeepsADeviceOutByWrongSignatures: its key is no secret, and anybody can make a token for it.
func TestNobodyKeepsADeviceOutByWrongSignatures(t *testing.T) {
	hall := hubtest.StartBehind(t, "127.0.0.1/32")
	alice := hall.Join("alice")
	phone, evil := alice.Browser("phone"), hall.Browser()
	evil.Header.Set("X-Forwarded-For", "203.0.113.9")
	now := time.Now()
	token, err := trust.IssueDevice(trust.NewKeyPair(trust.Account), phone.Key.Public(), "phone", now, now.Add(time.Hour))
	must(t, err)
	evil.Token, evil.Key = token, trust.NewKeyPair(trust.Device)
	var last *hubtest.Answer
	for range 12 {
		last = evil.OpenSession()
	}
	want(t, "who is wrong again and again", last, 429, "throttled")
	phone.Header.Set("X-Forwarded-For", "198.51.100.7") // where it never was
	want(t, "the phone itself", phone.OpenSession(), 200, "")
}

// TestADeviceIsShownWhereItWasRevokedAndNothingLater: it forgets its keys for what its person signed, and not because a hub refuses it.
func TestADeviceIsShownWhereItWasRevokedAndNothingLater(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	phone := alice.Browser("phone")
	want(t, "a device that is one still", phone.Revoked(0), 404, fault.NotFound)

	must(t, alice.RevokeDevice(hubtest.Context(t), "phone"))
	alice.Browser("tablet")
	hubtest.Eventually(t, "the phone is out", func() bool { return phone.OpenSession().Status == 401 })
	page := hubtest.Read[api.ChainPage](t, phone.Revoked(0))
	var types []string
	for _, entry := range page.Events {
		ev, err := event.Decode(entry.Event)
		must(t, err)
		types = append(types, ev.Type)
	}
	if last := types[len(types)-1]; last != chain.RevokeDevice || uint64(len(types)) != page.Head {
		t.Errorf("up to place %d it is shown %v", page.Head, types)
	}
	if after := hubtest.Read[api.ChainPage](t, phone.Revoked(page.Head-1)); len(after.Events) != 1 || after.Head != page.Head {
		t.Errorf("after place %d it is shown %+v", page.Head-1, after)
	}
	stranger := bob.Browser("firefox")
	stranger.Token = phone.Token
	want(t, "with another's signature", stranger.Revoked(0), 401, fault.Refused)
}
