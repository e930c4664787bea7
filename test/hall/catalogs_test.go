package hall_test

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/seal"
)

func TestSharedFolderArrivesByteForByte(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)

	films := t.TempDir()
	files := map[string][]byte{
		"empty": {}, "one byte more": random(seal.BlockSize + 1), "exactly": random(seal.BlockSize),
		"sub/holiday.mp4": random(5*seal.BlockSize + 17), "sub/a \"quoted\"\nname ü.txt": []byte("hello"),
	}
	write(t, films, files)
	alice.MustAdd("films", films)
	alice.Serving()
	alice.MustShare("films", bob)
	listing, err := bob.List(ctx, "alice/films")
	if err != nil {
		t.Fatal(err)
	}
	if len(listing.Entries) != len(files) {
		t.Fatalf("listed %d entries, want %d", len(listing.Entries), len(files))
	}
	dest := t.TempDir()
	got, err := bob.Get(ctx, "alice/films", dest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Files != len(files) {
		t.Fatalf("fetched %d files, want %d", got.Files, len(files))
	}
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join(dest, "films", filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("%q did not arrive as it is: %v", name, err)
		}
	}
	noParts(t, dest)
}

func random(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}

func write(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func noParts(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".keyhall-part" {
			t.Errorf("an unfinished file was left: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
