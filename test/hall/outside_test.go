package hall_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/seal"
)

func TestServingGoesOnWhenTheHubsServicesAreDown(t *testing.T) {
	hall := hubtest.StartOutside(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	dir := t.TempDir()
	film := random(3*seal.BlockSize + 1)
	write(t, dir, map[string][]byte{"film": film})
	alice.MustAdd("films", dir)
	alice.Serving()
	alice.MustShare("films", bob)

	hall.Stop()

	if _, err := bob.Find(ctx, "alice"); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("without services the hub API answers %v", err)
	}
	dest := t.TempDir()
	if _, err := bob.Get(ctx, "alice/films/film", dest, nil); err != nil {
		t.Fatalf("fetch without the hub's services: %v", err)
	}
	have, err := os.ReadFile(filepath.Join(dest, "film"))
	if err != nil || !bytes.Equal(have, film) {
		t.Errorf("the film did not arrive as it is: %v", err)
	}

	hall.Restart()

	if _, err := bob.Find(ctx, "alice"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	hubtest.Eventually(t, "alice serves again", func() bool { // once she is back as well
		_, err := bob.List(ctx, "alice/films")
		return err == nil
	})
}
