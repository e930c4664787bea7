package hall_test

import (
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/hubtest"
)

func TestTwoPeopleTalkInASealedRoom(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)

	if _, err := alice.CreateRoom(ctx, "general", client.RoomOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.GrantRoom(ctx, "general", "bob", "writer", 0); err != nil {
		t.Fatal(err)
	}
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
