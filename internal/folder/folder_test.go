package folder_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/folder"
	"keyhall.dev/keyhall/seal"
)

// write puts a file below dir, with the folders on its way.
func write(t testing.TB, dir, path, content string) {
	t.Helper()
	name := filepath.Join(dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// scan scans without trouble.
func scan(t testing.TB, dir string, previous *folder.Index) (*folder.Index, folder.Result) {
	t.Helper()
	index, result, err := folder.Scan(context.Background(), dir, previous, folder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return index, result
}

// paths lists the index.
func paths(index *folder.Index) []string {
	var all []string
	for e := range index.All() {
		all = append(all, e.Path)
	}
	return all
}

// lookup finds an entry that has to be there.
func lookup(t testing.TB, index *folder.Index, path string) folder.Entry {
	t.Helper()
	e, ok := index.Lookup(path)
	if !ok {
		t.Fatalf("%q is not in the index", path)
	}
	return e
}

func rootOf(t testing.TB, content string) seal.Hash {
	t.Helper()
	hashed, err := seal.HashReader(bytes.NewReader([]byte(content)))
	if err != nil {
		t.Fatal(err)
	}
	return hashed.Root
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func rename(t testing.TB, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

// setModified gives a file a time of change.
func setModified(t testing.TB, dir, path string, to time.Time) {
	t.Helper()
	if err := os.Chtimes(filepath.Join(dir, path), to, to); err != nil {
		t.Fatal(err)
	}
}

func modified(t testing.TB, dir, path string) time.Time {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// needInodes skips a test of what only systems with inodes can tell.
func needInodes(t testing.TB) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("stamps have no inode here")
	}
}
