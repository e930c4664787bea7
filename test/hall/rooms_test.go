package hall_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
)

func TestTwoPeopleTalkInASealedRoom(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)

	room(t, alice, bob)
	if _, err := alice.Say(ctx, "general", "hello"); err != nil {
		t.Fatal(err)
	}
	messages, skipped, err := bob.History(ctx, "general", 10)
	if err != nil || len(skipped) != 0 {
		t.Fatal(err, skipped)
	}
	if len(messages) != 1 || messages[0].Text != "hello" || messages[0].Author != "alice" {
		t.Fatalf("bob reads %+v", messages)
	}

	session, err := bob.Enter(ctx, 10, "general")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if _, err := alice.Say(ctx, "general", "are you there?"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"hello", "are you there?"} {
		select {
		case got := <-session.Messages():
			if got.Text != want {
				t.Fatalf("bob hears %q, want %q", got.Text, want)
			}
		case problem := <-session.Problems():
			t.Fatal(problem)
		case <-time.After(hubtest.Patience):
			t.Fatalf("bob never hears %q", want)
		}
	}
}

func TestARevokedMemberIsOutAtOnce(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	room(t, alice, bob)
	session, err := bob.Enter(ctx, 0, "general")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if _, err := session.Say(ctx, "general", "while I may"); err != nil {
		t.Fatalf("before: %v", err)
	}

	if err := alice.RevokeRoom(ctx, "general", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Say(ctx, "general", "without bob"); err != nil {
		t.Fatal(err)
	}

	if _, err := session.Say(ctx, "general", "me again"); !fault.Is(err, fault.Refused) && !fault.Is(err, fault.NotFound) {
		t.Errorf("bob says something: %v", err)
	}
	if _, err := bob.Enter(ctx, 0, "general"); !fault.Is(err, fault.NotFound) {
		t.Errorf("bob comes back: %v", err)
	}
	if _, _, err := bob.History(ctx, "general", 10); !fault.Is(err, fault.NotFound) {
		t.Errorf("bob reads the history: %v", err)
	}
	for heard := true; heard; {
		select {
		case message := <-session.Messages():
			if message.Text == "without bob" {
				t.Error("bob heard what was said without him")
			}
		case problem := <-session.Problems():
			heard = !errors.Is(problem, client.ErrNotInRoom)
		case <-ctx.Done():
			t.Fatal("bob is never told that he is out")
		}
	}
	messages, skipped, err := alice.History(ctx, "general", 10)
	if err != nil || len(skipped) != 0 || len(messages) != 2 {
		t.Errorf("alice reads %+v, skipped %v, %v", messages, skipped, err)
	}
}

func TestNothingIsLostOrDoubledWhenTheHubRestarts(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	room(t, alice, bob)
	hears, err := bob.Enter(ctx, 0, "general")
	if err != nil {
		t.Fatal(err)
	}
	defer hears.Close()
	says, err := alice.Enter(ctx, 0, "general")
	if err != nil {
		t.Fatal(err)
	}
	defer says.Close()

	const count = 60
	for i := range count {
		if i == count/2 {
			hall.Stop()
			hall.Restart()
		}
		say(t, says, fmt.Sprint(i))
	}
	for i := range count {
		select {
		case message := <-hears.Messages():
			if message.Text != fmt.Sprint(i) {
				t.Fatalf("bob hears %q in place of %d", message.Text, i)
			}
		case <-ctx.Done():
			t.Fatalf("bob never hears %d", i)
		}
	}
}

// say repeats what a hub that is just coming back did not take.
func say(t *testing.T, s *client.Session, text string) {
	t.Helper()
	hubtest.Eventually(t, "the hub takes the message", func() bool {
		_, err := s.Say(hubtest.Context(t), "general", text)
		if err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatalf("say %s: %v", text, err)
		}
		return err == nil
	})
}

// room makes the sealed room general with both in it.
func room(t *testing.T, owner, member *hubtest.Member) {
	t.Helper()
	ctx := hubtest.Context(t)
	if _, err := owner.CreateRoom(ctx, "general", client.RoomOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.GrantRoom(ctx, "general", member.Profile.Settings.Handle, "writer", 0); err != nil {
		t.Fatal(err)
	}
}
