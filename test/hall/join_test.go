package hall_test

import (
	"os"
	"path/filepath"
	"testing"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
)

func TestAJoinWhoseAnswerWasLostIsTakenUp(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	code := alice.MustInvite(1)
	bob := hall.JoinWith("bob", code)
	account, dir := bob.Profile.Settings.Account, bob.Profile.Dir()

	// As if the program had ended before it wrote down that it was admitted.
	if err := os.Remove(filepath.Join(dir, "profile.json")); err != nil {
		t.Fatal(err)
	}
	profile, err := client.Join(hubtest.Context(t), dir, client.JoinRequest{
		URL: hall.HTTP(), Invite: code, Handle: "bob", Device: "laptop",
	})
	if err != nil {
		t.Fatalf("the second try: %v", err)
	}
	if profile.Settings.Account != account || profile.Settings.Handle != "bob" {
		t.Errorf("bob is %+v now", profile.Settings)
	}
}

func TestASingleInviteAdmitsOne(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	code := alice.MustInvite(1)
	hall.JoinWith("bob", code)
	_, err := client.Join(hubtest.Context(t), t.TempDir(), client.JoinRequest{
		URL: hall.HTTP(), Invite: code, Handle: "carol", Device: "laptop",
	})
	if !fault.Is(err, fault.Refused) {
		t.Errorf("the second joiner: %v, want a refusal", err)
	}
}

func TestAHandleBelongsToOne(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	for _, handle := range []string{"alice", "Alice", "ALICE", "ａｌｉｃｅ"} {
		_, err := client.Join(hubtest.Context(t), t.TempDir(), client.JoinRequest{
			URL: hall.HTTP(), Invite: alice.MustInvite(1), Handle: handle, Device: "laptop",
		})
		if !fault.Is(err, fault.Taken) {
			t.Errorf("joining as %q: %v, want it taken", handle, err)
		}
	}
}
