package hall_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/natsd"
)

// sys is a connection to the system account of a hall's servers, and the hall's keys.
func sys(t *testing.T, hall *hubtest.Hall) (*nats.Conn, *natsd.Keys) {
	t.Helper()
	keys, err := natsd.LoadKeys(hall.Dir)
	must(t, err)
	nc, err := nats.Connect(hall.NATS(), keys.SystemUser.Options()...)
	must(t, err)
	t.Cleanup(nc.Close)
	return nc, keys
}

// TestASessionIsRenewedBeforeTheServerEndsIt: no connection lives until it expires, and
// nothing is missed meanwhile.
func TestASessionIsRenewedBeforeTheServerEndsIt(t *testing.T) {
	const life = 10 * time.Second
	hall := hubtest.StartBriefly(t, life)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	room(t, alice, bob)
	ctx := hubtest.Context(t)
	nc, keys := sys(t, hall)
	connects, err := nc.SubscribeSync("$SYS.ACCOUNT." + keys.Rooms + ".CONNECT")
	must(t, err)
	ends, err := nc.SubscribeSync("$SYS.ACCOUNT." + keys.Rooms + ".DISCONNECT")
	must(t, err)
	must(t, nc.Flush())
	hears, err := bob.Enter(ctx, 0, "general")
	must(t, err)
	defer hears.Close()
	says, err := alice.Enter(ctx, 0, "general")
	must(t, err)
	defer says.Close()

	said := 0
	for deadline := time.Now().Add(life * 11 / 10); time.Now().Before(deadline); said++ {
		say(t, says, fmt.Sprint(said))
		select {
		case message := <-hears.Messages():
			if message.Text != fmt.Sprint(said) {
				t.Fatalf("heard %q, said %d", message.Text, said)
			}
		case problem := <-hears.Problems():
			t.Fatal(problem)
		case <-ctx.Done():
			t.Fatalf("message %d does not come", said)
		}
		drop(says)
		time.Sleep(50 * time.Millisecond) // people type
	}
	hubtest.Eventually(t, "both sessions were renewed", func() bool {
		pending, _, err := connects.Pending()
		must(t, err)
		return pending >= 2+2
	})
	for {
		msg, err := ends.NextMsg(time.Second)
		if errors.Is(err, nats.ErrTimeout) {
			return
		}
		must(t, err)
		var end struct {
			Reason string `json:"reason"`
		}
		must(t, json.Unmarshal(msg.Data, &end))
		if end.Reason != "Client Closed" {
			t.Errorf("a connection ended by itself: %s", end.Reason)
		}
	}
}

// drop forgets what a session has heard.
func drop(s *client.Session) {
	for {
		select {
		case <-s.Messages():
		default:
			return
		}
	}
}

// TestARevokedDeviceStopsTrying: what a person reads is why, and nothing goes on knocking.
func TestARevokedDeviceStopsTrying(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	room(t, alice, bob)
	dir := t.TempDir()
	write(t, dir, map[string][]byte{"film": []byte("moving pictures")})
	alice.MustAdd("films", dir)
	served := make(chan error, 1)
	ready := make(chan struct{})
	go func() { served <- alice.ServeReady(ctx, nil, func() { close(ready) }, nil) }()
	<-ready
	session, err := alice.Enter(ctx, 0, "general")
	must(t, err)
	defer session.Close()
	control, err := bob.Enter(ctx, 0, "general")
	must(t, err)
	defer control.Close()

	gone := loses(t, alice)
	gone.comesBack(t, hall)

	select {
	case err := <-served:
		if !errors.Is(err, client.ErrTurnedAway) {
			t.Errorf("serving ended with %v", err)
		}
	case <-ctx.Done():
		t.Fatal("a revoked device goes on serving")
	}
	<-alice.Done()
	if !errors.Is(alice.Err(), client.ErrTurnedAway) {
		t.Errorf("the client says %v", alice.Err())
	}
	for problem := error(nil); !errors.Is(problem, client.ErrTurnedAway); {
		select {
		case problem = <-session.Problems():
		case <-ctx.Done():
			t.Fatal("a revoked device's session goes on trying")
		}
	}
	if _, err := session.Say(ctx, "general", "still me"); !errors.Is(err, client.ErrTurnedAway) {
		t.Errorf("saying: %v", err)
	}
	if _, err := alice.Find(ctx, "bob"); !errors.Is(err, client.ErrTurnedAway) {
		t.Errorf("asking the hub: %v", err)
	}
	if bob.Err() != nil {
		t.Errorf("bob is turned away as well: %v", bob.Err())
	}
	say(t, control, "and bob goes on")
}

// TestASessionOutlastsACalloutThatIsAway: servers refuse everybody while nobody decides, and
// that is no refusal.
func TestASessionOutlastsACalloutThatIsAway(t *testing.T) {
	hall := hubtest.StartOutside(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	room(t, alice, bob)
	ctx := hubtest.Context(t)
	session, err := alice.Enter(ctx, 0, "general")
	must(t, err)
	defer session.Close()
	nc, keys := sys(t, hall)

	hall.Stop()
	refused := make(chan struct{}, 64)
	watch, err := nc.Subscribe("$SYS.ACCOUNT.*.DISCONNECT", func(msg *nats.Msg) {
		var end struct {
			Reason string `json:"reason"`
		}
		if json.Unmarshal(msg.Data, &end) == nil && end.Reason == "Authentication Failure" {
			refused <- struct{}{}
		}
	})
	must(t, err)
	defer watch.Unsubscribe() //nolint:errcheck // the test ends
	closeAll(t, nc, keys.Rooms)
	for range 3 { // more than it takes to judge
		select {
		case <-refused:
		case <-ctx.Done():
			t.Fatal("nobody was refused while the callout was away")
		}
	}

	hall.Restart()

	if _, err := session.Say(ctx, "general", "here I am again"); err != nil {
		t.Errorf("the session that was cut: %v", err)
	}
	if alice.Err() != nil {
		t.Errorf("the client was turned away: %v", alice.Err())
	}
}

// closeAll closes every connection to an account.
func closeAll(t *testing.T, nc *nats.Conn, account string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hubtest.Patience)
	defer cancel()
	answer, err := nc.RequestWithContext(ctx, "$SYS.REQ.ACCOUNT."+account+".CONNZ", nil)
	must(t, err)
	var list struct {
		Server struct {
			ID string `json:"id"`
		} `json:"server"`
		Data struct {
			Connections []struct {
				ID uint64 `json:"cid"`
			} `json:"connections"`
		} `json:"data"`
	}
	must(t, json.Unmarshal(answer.Data, &list))
	if len(list.Data.Connections) == 0 {
		t.Fatal("nobody is connected")
	}
	for _, connection := range list.Data.Connections {
		_, err := nc.RequestWithContext(ctx, "$SYS.REQ.SERVER."+list.Server.ID+".KICK", []byte(fmt.Sprintf(`{"cid":%d}`, connection.ID)))
		must(t, err)
	}
}
