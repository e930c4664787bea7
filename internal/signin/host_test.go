package signin_test

import (
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/hubtest"
)

// TestTheHostSeesWhyABrowserGetsInAndWhyNot: in what callout explain says, and in the audit.
func TestTheHostSeesWhyABrowserGetsInAndWhyNot(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	ctx := hubtest.Context(t)
	room, err := alice.CreateRoom(ctx, "kitchen", client.RoomOptions{})
	must(t, err)
	b := alice.Browser("firefox")
	machine, err := hub.OpenOnMachine(ctx, hall.Dir)
	must(t, err)
	defer machine.Close()
	got, err := machine.Explain(ctx, callout.Query{User: b.Key.String(), Rooms: []string{room.ID}})
	must(t, err)
	id := hubtest.Read[session](t, b.Get("/api/session")).ID
	if !strings.Contains(got.Rule, "a browser's, with session "+id) {
		t.Errorf("it says %q", got.Rule)
	}
	// At the NATS port: a WebSocket is cut by the HTTP origin before anybody is asked to close it.
	if _, err := b.RoomsBeside(hall.NATS(), room.ID); err != nil {
		t.Fatal(err)
	}
	want(t, "signing out", b.Delete("/api/session", struct{}{}), 200, "")
	if _, err := machine.Explain(ctx, callout.Query{User: b.Key.String()}); !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "has to sign in") {
		t.Errorf("after it signed out: %v", err)
	}
	if other, err := machine.Explain(ctx, callout.Query{User: "alice"}); err != nil || strings.Contains(other.Rule, b.Key.String()) {
		t.Errorf("alice by her other device: %+v, %v", other, err)
	}
	if nc, err := b.Rooms(room.ID); err == nil {
		nc.Close()
		t.Error("it is let in")
	}
	hubtest.Eventually(t, "the audit says why it was kept out, and what was closed before", func() bool {
		refused, closed := false, false
		err := machine.Audit(ctx, time.Now().Add(-time.Hour), false, func(r *audit.Record) error {
			refused = refused || (r.Login != nil && r.Login.Outcome == callout.Disproved && strings.Contains(r.Login.Reason, "no session of its own"))
			closed = closed || (r.Closed != nil && r.Closed.Why == "session ended")
			return nil
		})
		return err == nil && refused && closed
	})
}
