package folder_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyhall.dev/keyhall/internal/folder"
	"keyhall.dev/keyhall/seal"
)

func TestScanFindsFilesInBytewiseOrder(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"b.txt": "b", "B.txt": "B", "a/z": "z", "a.txt": "dot", "a b": "space", ".hidden": "h",
		"deep/er/and/deeper/file": "d", "ä": "umlaut", "日本/映画.mkv": "film", "empty": "",
	}
	if runtime.GOOS != "windows" {
		files["quo\"te's"], files["new\nline"], files[`back\slash`] = "q", "n", "s"
	}
	for path, content := range files {
		write(t, dir, path, content)
	}
	index, result := scan(t, dir, nil)
	if index.Len() != len(files) || result.Hashed != len(files) || len(result.Skipped) != 0 {
		t.Errorf("%d entries, result %+v, want %d files", index.Len(), result, len(files))
	}
	previous := ""
	for e := range index.All() {
		content, ok := files[e.Path]
		if !ok || e.Size != int64(len(content)) || e.Root != rootOf(t, content) {
			t.Errorf("entry %+v", e.Entry)
		}
		if e.Path <= previous {
			t.Errorf("%q comes after %q", e.Path, previous)
		}
		previous = e.Path
		if !e.Modified.Equal(modified(t, dir, e.Path).Truncate(time.Millisecond)) {
			t.Errorf("%q was changed at %v", e.Path, e.Modified)
		}
	}
	if index.Revision() != 1 {
		t.Errorf("the first revision is %d", index.Revision())
	}
}

func TestUnchangedFilesAreNotRead(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		write(t, dir, fmt.Sprint("folder/file ", i), strings.Repeat("x", i*1000))
	}
	first, _ := scan(t, dir, nil)
	second, result := scan(t, dir, first)
	if result.Hashed != 0 || result.HashedBytes != 0 || result.Kept != 20 {
		t.Errorf("the second scan: %+v", result)
	}
	if second.Revision() != first.Revision() {
		t.Errorf("revision %d, want %d", second.Revision(), first.Revision())
	}

	write(t, dir, "folder/file 7", "something else")
	third, result := scan(t, dir, second)
	if result.Hashed != 1 || result.Kept != 19 || third.Revision() != second.Revision()+1 {
		t.Errorf("after one change: %+v, revision %d", result, third.Revision())
	}
	if e := lookup(t, third, "folder/file 7"); e.Root != rootOf(t, "something else") {
		t.Error("the change was not hashed")
	}
}

func TestChangeRightAfterAScanIsNoticed(t *testing.T) {
	dir := t.TempDir()
	var index *folder.Index
	for i := range 25 {
		content := fmt.Sprintf("%04d", i) // always of the same size
		write(t, dir, "file", content)
		index, _ = scan(t, dir, index)
		if e := lookup(t, index, "file"); e.Root != rootOf(t, content) {
			t.Fatalf("change %d was not noticed", i)
		}
	}
}

func TestChangeThatHidesItsTimeIsNoticed(t *testing.T) {
	needInodes(t)
	dir := t.TempDir()
	write(t, dir, "file", "old")
	if err := os.Link(filepath.Join(dir, "file"), filepath.Join(dir, "other name")); err != nil {
		t.Fatal(err)
	}
	first, _ := scan(t, dir, nil)
	when := modified(t, dir, "file")
	write(t, dir, "file", "new")
	setModified(t, dir, "file", when)
	second, result := scan(t, dir, first)
	if result.Hashed != 2 || lookup(t, second, "file").Root != rootOf(t, "new") || lookup(t, second, "other name").Root != rootOf(t, "new") {
		t.Errorf("the change was not noticed: %+v", result)
	}
}

func TestRevisionRisesWithTheListingAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "one")
	write(t, dir, "b", "two")
	first, _ := scan(t, dir, nil)

	if err := os.Chmod(filepath.Join(dir, "a"), 0o400); err != nil {
		t.Fatal(err)
	}
	second, _ := scan(t, dir, first)
	if second.Revision() != 1 {
		t.Errorf("other permissions gave revision %d", second.Revision())
	}
	setModified(t, dir, "b", time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC))
	third, _ := scan(t, dir, second)
	if third.Revision() != 2 {
		t.Errorf("another time of change gave revision %d", third.Revision())
	}
	if err := os.Remove(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	fourth, _ := scan(t, dir, third)
	if fourth.Revision() != 3 || fourth.Len() != 1 {
		t.Errorf("a removal gave revision %d of %d entries", fourth.Revision(), fourth.Len())
	}
}

func TestMovedFileKeepsItsAddressUnread(t *testing.T) {
	needInodes(t)
	dir := t.TempDir()
	text := "a text " + strings.Repeat("of some length ", 40_000)
	write(t, dir, "old/film.part", text)
	write(t, dir, "stays", "here")
	first, _ := scan(t, dir, nil)
	rename(t, dir, "old", "new")
	rename(t, dir, "new/film.part", "new/film.md")
	second, result := scan(t, dir, first)
	if result.Hashed != 0 || result.Moved != 1 || result.Kept != 1 {
		t.Errorf("after the move: %+v", result)
	}
	e := lookup(t, second, "new/film.md")
	if e.Root != rootOf(t, text) || e.Type != "text/markdown" {
		t.Errorf("the entry is %+v", e.Entry)
	}
	if tree, err := second.Tree("new/film.md"); err != nil || tree.Root() != e.Root {
		t.Errorf("its tree: %v", err)
	}
	if _, result := scan(t, dir, second); result.Kept != 2 {
		t.Errorf("the scan after: %+v", result)
	}
}

func TestFilesThatTookEachOthersPlacesKeepTheirAddresses(t *testing.T) {
	needInodes(t)
	dir := t.TempDir()
	write(t, dir, "log", "newer")
	write(t, dir, "log.1", "older")
	first, _ := scan(t, dir, nil)
	rename(t, dir, "log.1", "log.2")
	rename(t, dir, "log", "log.1")
	write(t, dir, "log", "newest")
	second, result := scan(t, dir, first)
	if result.Hashed != 1 || result.Moved != 2 {
		t.Errorf("after the rotation: %+v", result)
	}
	for path, content := range map[string]string{"log": "newest", "log.1": "newer", "log.2": "older"} {
		if lookup(t, second, path).Root != rootOf(t, content) {
			t.Errorf("%s has another address", path)
		}
	}
}

func TestUnfinishedFilesAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "film.mkv"+folder.PartSuffix, "half of it")
	write(t, dir, "film.mkv", "all of it")
	index, result := scan(t, dir, nil)
	if diff := cmp.Diff([]string{"film.mkv"}, paths(index)); diff != "" || result.Parts != 1 {
		t.Errorf("%s, %+v", diff, result)
	}
}

func TestNameThatIsNotUTF8IsReported(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the system has no such names")
	}
	dir := t.TempDir()
	write(t, dir, "good", "good")
	write(t, dir, "bad \xff name", "bad")
	write(t, dir, "bad \xfe folder/file", "bad")
	index, result := scan(t, dir, nil)
	if diff := cmp.Diff([]string{"good"}, paths(index)); diff != "" {
		t.Error(diff)
	}
	if len(result.Skipped) != 2 {
		t.Fatalf("skipped: %v", result.Skipped)
	}
	for i, want := range []string{"bad \xfe folder", "bad \xff name"} {
		if got := result.Skipped[i]; got.Path != want || !errors.Is(got.Err, seal.ErrPath) {
			t.Errorf("skipped: %q, %v", got.Path, got.Err)
		}
	}
}

func TestUnreadableFileIsReported(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are others here")
	}
	if !asOrdinaryUser(t) {
		return
	}
	dir := t.TempDir()
	write(t, dir, "good", "good")
	write(t, dir, "secret", "secret")
	write(t, dir, "closed/file", "inside")
	for _, name := range []string{"secret", "closed"} {
		if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "closed"), 0o700) })
	index, result := scan(t, dir, nil)
	if diff := cmp.Diff([]string{"good"}, paths(index)); diff != "" {
		t.Error(diff)
	}
	if len(result.Skipped) != 2 || result.Skipped[0].Path != "closed" || result.Skipped[1].Path != "secret" {
		t.Fatalf("skipped: %v", result.Skipped)
	}
	for _, skip := range result.Skipped {
		if !errors.Is(skip.Err, fs.ErrPermission) {
			t.Errorf("%s: %v", skip.Path, skip.Err)
		}
	}
}

// whileRead scans dir and calls change each time a piece of a file was read.
func whileRead(t *testing.T, dir string, change func()) (*folder.Index, folder.Result) {
	t.Helper()
	read := int64(0)
	index, result, err := folder.Scan(context.Background(), dir, nil, folder.Options{Progress: func(p folder.Progress) {
		if p.ReadBytes > read {
			change()
		}
		read = p.ReadBytes
	}})
	if err != nil {
		t.Fatal(err)
	}
	return index, result
}

func TestFileThatChangesOnceWhileReadIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", strings.Repeat("a", 300_000))
	want := strings.Repeat("b", 300_000)
	changed := false
	index, result := whileRead(t, dir, func() {
		if !changed {
			write(t, dir, "file", want)
			changed = true
		}
	})
	if result.Hashed != 1 || lookup(t, index, "file").Root != rootOf(t, want) {
		t.Errorf("result %+v", result)
	}
}

func TestFileThatKeepsChangingIsReported(t *testing.T) {
	changes := map[string]func(n int) string{
		"grows":   func(n int) string { return strings.Repeat("a", 300_000+n) },
		"shrinks": func(n int) string { return strings.Repeat("a", 100_000-n) },
		"changes": func(n int) string { return strings.Repeat(fmt.Sprint(n%10), 300_000) },
	}
	for name, content := range changes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "other", "other")
			write(t, dir, "file", strings.Repeat("x", 300_000))
			n := 0
			index, result := whileRead(t, dir, func() {
				n++
				write(t, dir, "file", content(n))
			})
			if _, ok := index.Lookup("file"); ok {
				t.Error("the file is in the index")
			}
			if len(result.Skipped) != 1 || result.Skipped[0].Path != "file" || !errors.Is(result.Skipped[0].Err, folder.ErrChanged) {
				t.Errorf("skipped: %v", result.Skipped)
			}
			lookup(t, index, "other")
		})
	}
}

func TestFileThatGoesWhileScannedIsReported(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "here")
	index, result, err := folder.Scan(context.Background(), dir, nil, folder.Options{Progress: func(p folder.Progress) {
		if p.ToRead == 1 && p.Read == 0 {
			os.Remove(filepath.Join(dir, "file"))
		}
	}})
	if err != nil || index.Len() != 0 {
		t.Fatal(index, err)
	}
	if len(result.Skipped) != 1 || !errors.Is(result.Skipped[0].Err, fs.ErrNotExist) {
		t.Errorf("skipped: %v", result.Skipped)
	}
}

func TestFolderThatIsGoneGivesNoIndex(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	write(t, dir, "file", "here")
	index, _ := scan(t, dir, nil)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if next, _, err := folder.Scan(context.Background(), dir, index, folder.Options{}); next != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("index %v, error %v", next, err)
	}
	write(t, filepath.Dir(dir), "folder", "a file now")
	if next, _, err := folder.Scan(context.Background(), dir, index, folder.Options{}); next != nil || err == nil {
		t.Errorf("index %v, error %v", next, err)
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", strings.Repeat("x", 10*seal.BlockSize))
	ctx, cancel := context.WithCancel(context.Background())
	index, _, err := folder.Scan(ctx, dir, nil, folder.Options{Progress: func(p folder.Progress) {
		if p.ReadBytes > 0 {
			cancel()
		}
	}})
	if index != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("index %v, error %v", index, err)
	}
	if index, _, err = folder.Scan(ctx, dir, nil, folder.Options{}); index != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended before: index %v, error %v", index, err)
	}
}

func TestProgressLeadsToTheResult(t *testing.T) {
	dir := t.TempDir()
	for i := range 9 {
		write(t, dir, fmt.Sprint(i, "/file"), strings.Repeat("x", i*100_000))
	}
	var last folder.Progress
	_, result, err := folder.Scan(context.Background(), dir, nil, folder.Options{Progress: func(p folder.Progress) {
		if p.Found < last.Found || p.Read < last.Read || p.ReadBytes < last.ReadBytes {
			t.Errorf("from %+v back to %+v", last, p)
		}
		last = p
	}})
	want := folder.Progress{Found: 9, ToRead: 9, ToReadBytes: 3_600_000, Read: 9, ReadBytes: 3_600_000}
	if err != nil || last != want || result.HashedBytes != want.ReadBytes {
		t.Errorf("progress ends at %+v, want %+v; %+v, %v", last, want, result, err)
	}
}

func TestManySmallFiles(t *testing.T) {
	const n = 10_000
	dir := t.TempDir()
	for i := range n {
		if i%100 == 0 {
			if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i/100)), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		name := filepath.Join(dir, fmt.Sprint(i/100), fmt.Sprint(i))
		if err := os.WriteFile(name, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := 0
	first, result, err := folder.Scan(context.Background(), dir, nil, folder.Options{Progress: func(p folder.Progress) {
		if p.Read%500 == 0 {
			files = max(files, openBelow(dir))
		}
	}})
	if err != nil || first.Len() != n || result.Hashed != n {
		t.Fatalf("%d entries, %+v, %v", first.Len(), result, err)
	}
	if files > runtime.GOMAXPROCS(0) {
		t.Errorf("%d files were open at a time", files)
	}
	if second, result := scan(t, dir, first); second.Len() != n || result.Kept != n || second.Revision() != 1 {
		t.Errorf("again: %d entries, %+v", second.Len(), result)
	}
}

// openBelow counts the regular files below dir that this process has open, where the system
// tells.
func openBelow(dir string) int {
	count := 0
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if info, statErr := os.Stat(target); err == nil && statErr == nil && info.Mode().IsRegular() && strings.HasPrefix(target, dir) {
			count++
		}
	}
	return count
}

func TestTypesComeFromContentAndExtension(t *testing.T) {
	dir := t.TempDir()
	png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
	tests := map[string][2]string{
		"image":          {png, "image/png"},
		"lies.txt":       {png, "image/png"},
		"page":           {"<!DOCTYPE html><html></html>", "text/html"},
		"README.md":      {"# Title\n\ntext\n", "text/markdown"},
		"UPPER.MD":       {"# Title\n\ntext\n", "text/markdown"},
		"notes":          {"some notes", "text/plain"},
		"noise":          {"\x00\x01\x02\x03\xfe\xff\x80\x81", "application/octet-stream"},
		"music.mp3":      {"\x00\x01\x02\x03\xfe\xff\x80\x81", "audio/mpeg"},
		"sound.flac":     {"fLaC\x80\x00\x00\x22\x10\x00\x10\x00", "audio/flac"},
		"empty":          {"", "application/octet-stream"},
		"empty.css":      {"", "text/css"},
		"not really.css": {"\x00\x01\x02\x03\xfe\xff\x80\x81", "application/octet-stream"},
	}
	for path, tt := range tests {
		write(t, dir, path, tt[0])
	}
	index, _ := scan(t, dir, nil)
	for path, tt := range tests {
		if got := lookup(t, index, path).Type; got != tt[1] {
			t.Errorf("%s is %s, want %s", path, got, tt[1])
		}
	}
}

// whileWalked scans dir and calls change after each folder was read.
func whileWalked(t *testing.T, dir string, change func()) (*folder.Index, folder.Result) {
	t.Helper()
	index, result, err := folder.Scan(context.Background(), dir, nil, folder.Options{Progress: func(p folder.Progress) {
		if p.ToRead == 0 {
			change()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return index, result
}
