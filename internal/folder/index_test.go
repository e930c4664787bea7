package folder_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyhall.dev/keyhall/internal/folder"
	"keyhall.dev/keyhall/seal"
)

// sample is an index of a few files of all kinds, one of them described.
func sample(t testing.TB) (dir string, index *folder.Index) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, "empty", "")
	write(t, dir, "films/a film.txt", "a film")
	write(t, dir, "films/a long film", strings.Repeat("long ", 200_000))
	write(t, dir, "ä \"quoted\" name", "text")
	index, _ = scan(t, dir, nil)
	index, err := index.Describe("films/a film.txt", "about\nnothing")
	if err != nil {
		t.Fatal(err)
	}
	return dir, index
}

func TestListingIsReadByItsReader(t *testing.T) {
	_, index := sample(t)
	text, err := index.Listing("films")
	if err != nil {
		t.Fatal(err)
	}
	l, err := seal.NewListingReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := (seal.ListingHeader{Catalog: "films", Revision: 2, Entries: 4}); l.Header() != want {
		t.Errorf("the header is %+v, want %+v", l.Header(), want)
	}
	for want := range index.All() {
		got, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Entry, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := l.Next(); err != io.EOF {
		t.Errorf("after the last entry: %v", err)
	}
	if _, err := index.Listing("No Name"); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("under a name that is none: %v", err)
	}
}

func TestDescriptionStaysWithThePath(t *testing.T) {
	dir, index := sample(t)
	const path = "films/a film.txt"
	check := func(index *folder.Index, revision uint64, description string) {
		t.Helper()
		if got := lookup(t, index, path).Description; got != description || index.Revision() != revision {
			t.Errorf("%q in revision %d, want %q in %d", got, index.Revision(), description, revision)
		}
	}
	check(index, 2, "about\nnothing")
	index, _ = scan(t, dir, index)
	check(index, 2, "about\nnothing")

	write(t, dir, path, "another film")
	index, _ = scan(t, dir, index)
	check(index, 3, "about\nnothing")

	rename(t, dir, path, "elsewhere")
	index, _ = scan(t, dir, index)
	if got := lookup(t, index, "elsewhere").Description; got != "" {
		t.Errorf("it went with the file: %q", got)
	}
	index, err := folder.Parse(index.Encode())
	if err != nil {
		t.Fatal(err)
	}
	rename(t, dir, "elsewhere", path)
	index, _ = scan(t, dir, index)
	check(index, 5, "about\nnothing")

	same, err := index.Describe(path, "about\nnothing")
	if err != nil {
		t.Fatal(err)
	}
	check(same, 5, "about\nnothing")
	none, err := same.Describe(path, "")
	if err != nil {
		t.Fatal(err)
	}
	check(none, 6, "")
	check(same, 5, "about\nnothing") // an index does not change
}

func TestDescriptionOutOfBoundsIsRefused(t *testing.T) {
	_, index := sample(t)
	for _, text := range []string{"\xff", strings.Repeat("x", seal.MaxDescription+1)} {
		if _, err := index.Describe("empty", text); !errors.Is(err, seal.ErrMalformed) {
			t.Errorf("%.10q: %v", text, err)
		}
	}
	for _, text := range []string{"", "text"} {
		if _, err := index.Describe("nowhere", text); !errors.Is(err, folder.ErrNoEntry) {
			t.Errorf("%q of no entry: %v", text, err)
		}
	}
	if _, err := index.Tree("nowhere"); !errors.Is(err, folder.ErrNoEntry) {
		t.Errorf("the tree of no entry: %v", err)
	}
}

func TestSavedIndexIsTheSame(t *testing.T) {
	dir, index := sample(t)
	home := t.TempDir()
	name := filepath.Join(home, "films.index")
	if err := os.WriteFile(name, []byte("an older one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := index.Save(name); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(home); len(files) != 1 {
		t.Errorf("%d files are left behind", len(files))
	}
	loaded, err := folder.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(loaded.Encode(), index.Encode()) {
		t.Error("another index came back")
	}
	want, _ := index.Listing("films")
	if got, _ := loaded.Listing("films"); !bytes.Equal(got, want) {
		t.Error("another listing came back")
	}
	again, result := scan(t, dir, loaded)
	if result.Kept != 4 || again.Revision() != index.Revision() {
		t.Errorf("a scan after loading: %+v, revision %d", result, again.Revision())
	}
	if tree, err := loaded.Tree("films/a long film"); err != nil || tree.Root() != lookup(t, index, "films/a long film").Root {
		t.Errorf("its tree: %v", err)
	}
}

func TestIndexThatCannotBeSavedLeavesTheOldOne(t *testing.T) {
	_, index := sample(t)
	home := t.TempDir()
	name := filepath.Join(home, "index")
	write(t, name, "in the way", "so that index is a folder")
	if err := index.Save(name); err == nil {
		t.Error("a folder was replaced")
	}
	if files, _ := os.ReadDir(home); len(files) != 1 {
		t.Errorf("%d files are left behind", len(files))
	}
	if err := index.Save(filepath.Join(home, "no", "such", "folder")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no folder: %v", err)
	}
}

func TestIndexOfAnEmptyFolder(t *testing.T) {
	index, _ := scan(t, t.TempDir(), nil)
	index, err := folder.Parse(index.Encode())
	if err != nil || index.Len() != 0 || index.Revision() != 1 {
		t.Fatal(index, err)
	}
	if text, err := index.Listing("films"); err != nil || string(text) != `{"catalog":"films","revision":1,"entries":0}`+"\n" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestDamagedIndexIsRefused(t *testing.T) {
	_, index := sample(t)
	good := index.Encode()
	for i := 0; i < len(good); i += max(1, len(good)/500) {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		want := folder.ErrDamaged
		if i == 7 {
			want = folder.ErrVersion
		}
		if _, err := folder.Parse(bad); !errors.Is(err, want) {
			t.Fatalf("changed at %d: %v", i, err)
		}
		if _, err := folder.Parse(good[:i]); !errors.Is(err, folder.ErrDamaged) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	newer := append([]byte("KHINDEX\x02"), make([]byte, 64)...)
	if _, err := folder.Parse(newer); !errors.Is(err, folder.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
	if _, err := folder.Load(filepath.Join(t.TempDir(), "index")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// withSum is an index file with the given inside.
func withSum(inside []byte) []byte {
	data := append([]byte("KHINDEX\x01"), inside...)
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}

func FuzzParse(f *testing.F) {
	_, index := sample(f)
	good := index.Encode()
	f.Add(good[8 : len(good)-32])
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 1, 1, 'a', 1, 'b'})
	f.Add(append([]byte{1, 1, 3, 'a', '/', 'b', 1, 0, 1, 'x', 0, 0, 0, 0, 0, 0}, make([]byte, 33)...))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, inside []byte) {
		x, err := folder.Parse(withSum(inside))
		if err != nil {
			if !errors.Is(err, folder.ErrDamaged) || x != nil {
				t.Fatal(x, err)
			}
			return
		}
		again, err := folder.Parse(x.Encode())
		if err != nil || !bytes.Equal(again.Encode(), x.Encode()) {
			t.Fatalf("%x does not come out again: %v", inside, err)
		}
		for e := range x.All() {
			if tree, err := x.Tree(e.Path); err != nil || seal.Blocks(e.Size) == 1 && tree.Root() != e.Root {
				t.Fatalf("%+v: %v", e.Entry, err)
			}
		}
	})
}

func BenchmarkParse100kEntries(b *testing.B) {
	data := large(b, 100_000).Encode()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := folder.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListing100kEntries(b *testing.B) {
	index := large(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := index.Listing("films"); err != nil {
			b.Fatal(err)
		}
	}
}

// large is an index of n entries that were never on disk.
func large(b *testing.B, n int) *folder.Index {
	inside := []byte{1, 1, 10}
	inside = append(inside, "text/plain"...)
	inside = appendUvarint(inside, uint64(n))
	for i := range n {
		path := fmt.Sprintf("folder %03d/sub/file number %06d.txt", i/1000, i)
		inside = appendUvarint(append(inside, 0), uint64(len(path)))
		inside = append(append(inside, path...), 5, 0)
		inside = append(inside, 0x80, 0x80, 0x88, 0xa2, 0xe6, 0x94, 0xbe, 0xc0, 0x30, 0, 1)
		inside = appendUvarint(inside, uint64(i))
		leaf := sha256.Sum256([]byte(path))
		inside = append(inside, leaf[:]...)
	}
	index, err := folder.Parse(withSum(append(inside, 0)))
	if err != nil {
		b.Fatal(err)
	}
	return index
}

func appendUvarint(data []byte, v uint64) []byte {
	for ; v >= 0x80; v >>= 7 {
		data = append(data, byte(v)|0x80)
	}
	return append(data, byte(v))
}

func BenchmarkRescan10kUnchangedFiles(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		write(b, dir, fmt.Sprintf("%d/%d.txt", i/100, i), "content")
	}
	index, _ := scan(b, dir, nil)
	for b.Loop() {
		if _, result := scan(b, dir, index); result.Kept != 10_000 {
			b.Fatal(result)
		}
	}
}

func BenchmarkScan10kSmallFiles(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		write(b, dir, fmt.Sprintf("%d/%d.txt", i/100, i), "content")
	}
	for b.Loop() {
		if _, result := scan(b, dir, nil); result.Hashed != 10_000 {
			b.Fatal(result)
		}
	}
}
