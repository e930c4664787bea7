package hall_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
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

func TestUnshareRefusesTheNextBlockOfATransferInProgress(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	dir := t.TempDir()
	write(t, dir, map[string][]byte{"long": random(120 * seal.BlockSize)})
	alice.MustAdd("films", dir)
	alice.Serving()
	alice.MustShare("films", bob)

	other := hall.Connect(alice.Profile) // unshare is another program than serve
	var once sync.Once
	dest := t.TempDir()
	got, err := bob.Get(ctx, "alice/films/long", dest, func(client.Progress) {
		once.Do(func() {
			if err := other.Unshare(ctx, "films", "bob"); err != nil {
				t.Error(err)
			}
		})
	})
	if !fault.Is(err, fault.Refused) {
		t.Fatalf("bob got %+v, %v; want a refusal", got, err)
	}
	if _, err := os.Stat(filepath.Join(dest, "long")); !os.IsNotExist(err) {
		t.Errorf("a file that looks finished was left: %v", err)
	}
	if _, err := bob.List(ctx, "alice/films"); err == nil {
		t.Error("bob can still list the catalog")
	}
}

func TestNothingCanBeReadOnceTheOwnerStopsServing(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	dir := t.TempDir()
	write(t, dir, map[string][]byte{"a": random(100)})
	alice.MustAdd("films", dir)
	stop := alice.Serving()
	alice.MustShare("films", bob)
	if _, err := bob.List(ctx, "alice/films"); err != nil {
		t.Fatalf("while it is served: %v", err)
	}

	stop()

	if _, err := bob.List(ctx, "alice/films"); !errors.Is(err, client.ErrOffline) {
		t.Errorf("list: %v, want ErrOffline", err)
	}
	if _, err := bob.Get(ctx, "alice/films/a", t.TempDir(), nil); !errors.Is(err, client.ErrOffline) {
		t.Errorf("get: %v, want ErrOffline", err)
	}
	shelves, err := bob.Library(ctx)
	if err != nil || len(shelves) != 1 || shelves[0].Online {
		t.Errorf("library: %+v, %v", shelves, err)
	}
}

func TestAnInterruptedGetIsTakenUpAgain(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	dir, dest := t.TempDir(), t.TempDir()
	long := random(100 * seal.BlockSize)
	write(t, dir, map[string][]byte{"long": long})
	alice.MustAdd("films", dir)
	alice.Serving()
	alice.MustShare("films", bob)

	cut, cancel := context.WithCancel(ctx)
	_, err := bob.Get(cut, "alice/films/long", dest, func(p client.Progress) {
		if p.Done > 20*seal.BlockSize {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled get returns %v", err)
	}
	if _, err := os.Stat(filepath.Join(dest, "long")); !os.IsNotExist(err) {
		t.Fatal("a file that looks finished was left")
	}
	got, err := bob.Get(ctx, "alice/films/long", dest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Bytes > 80*seal.BlockSize {
		t.Errorf("%d bytes were fetched again, at most %d were missing", got.Bytes, 80*seal.BlockSize)
	}
	have, err := os.ReadFile(filepath.Join(dest, "long"))
	if err != nil || !bytes.Equal(have, long) {
		t.Errorf("the file did not arrive as it is: %v", err)
	}
	noParts(t, dest)
}

func TestAFileThatChangesWhileItIsReadIsRefused(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	ctx := hubtest.Context(t)
	dir, dest := t.TempDir(), t.TempDir()
	write(t, dir, map[string][]byte{"long": random(120 * seal.BlockSize)})
	alice.MustAdd("films", dir)
	alice.Serving()
	alice.MustShare("films", bob)

	var once sync.Once
	_, err := bob.Get(ctx, "alice/films/long", dest, func(client.Progress) {
		once.Do(func() { write(t, dir, map[string][]byte{"long": random(119 * seal.BlockSize)}) })
	})
	if !errors.Is(err, client.ErrChanged) {
		t.Fatalf("get returns %v, want ErrChanged", err)
	}
	if _, err := os.Stat(filepath.Join(dest, "long")); !os.IsNotExist(err) {
		t.Error("a file that looks finished was left")
	}
}
