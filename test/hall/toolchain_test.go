package hall_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/hubtest"
)

// TestTheToolchainsSourceTreeArrivesByteForByte shares over 10,000 real files, the Go
// toolchain's own, and fetches them as a folder.
func TestTheToolchainsSourceTreeArrivesByteForByte(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("ask the go command where the toolchain is: %v", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src")
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	alice.MustAdd("go", source)
	alice.Serving()
	alice.MustShare("go", bob)

	listing, err := bob.List(t.Context(), "alice/go")
	if err != nil {
		t.Fatal(err)
	}
	if len(listing.Entries) < 10_000 {
		t.Fatalf("%d files are listed, want over 10,000", len(listing.Entries))
	}
	dest := t.TempDir()
	got, err := bob.Get(context.Background(), "alice/go", dest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Files != len(listing.Entries) {
		t.Errorf("%d files were fetched of %d", got.Files, len(listing.Entries))
	}
	sameTree(t, source, filepath.Join(dest, "go"))
}

// sameTree compares every regular file of one folder with the other, and that there are
// no more.
func sameTree(t *testing.T, want, have string) {
	t.Helper()
	count := 0
	err := filepath.WalkDir(want, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		count++
		rel, err := filepath.Rel(want, path)
		if err != nil {
			return err
		}
		a, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(have, rel))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is not the same: %v", rel, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir(have, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			found++
		}
		return err
	})
	if err != nil || found != count {
		t.Errorf("%d files arrived of %d: %v", found, count, err)
	}
}
