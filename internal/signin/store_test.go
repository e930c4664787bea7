package signin_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/signin"
)

// TestAnAccountHasOneLoginAtTheProvider: of two that are bound at once, one would be seen by nobody, and stay.
func TestAnAccountHasOneLoginAtTheProvider(t *testing.T) {
	hall := hubtest.Start(t)
	ctx := hubtest.Context(t)
	keys, err := natsd.LoadKeys(hall.Dir)
	must(t, err)
	nc, err := nats.Connect(hall.NATS(), keys.HubUser.Options()...)
	must(t, err)
	defer nc.Close()
	store, err := signin.OpenStore(ctx, nc, 1)
	must(t, err)
	must(t, store.Bind(ctx, "one", "alice"))
	if err := store.Bind(ctx, "two", "alice"); !fault.Is(err, fault.Taken) {
		t.Errorf("a second one: %v", err)
	}
	if err := store.Bind(ctx, "one", "bob"); !fault.Is(err, fault.Taken) {
		t.Errorf("another's: %v", err)
	}
	for who, want := range map[string]string{"one": "alice", "two": ""} {
		if account, err := store.Bound(ctx, who); err != nil || account != want {
			t.Errorf("%s is %q's, %v", who, account, err)
		}
	}
	must(t, store.Bind(ctx, "two", "bob")) // who has none, whatever was refused before
}
