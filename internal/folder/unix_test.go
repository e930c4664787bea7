//go:build unix

package folder_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyhall.dev/keyhall/internal/folder"
)

func symlink(t *testing.T, target, dir, path string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
		t.Fatal(err)
	}
}

func TestSymlinksAreNeverFollowed(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, outside, "secret", "secret")
	write(t, dir, "folder/file", "file")
	symlink(t, filepath.Join(outside, "secret"), dir, "to a file outside")
	symlink(t, outside, dir, "to a folder outside")
	symlink(t, "../"+filepath.Base(outside)+"/secret", dir, "by dots")
	symlink(t, "folder/file", dir, "to a file inside")
	symlink(t, "folder", dir, "to a folder inside")
	symlink(t, ".", dir, "folder/loop")
	symlink(t, "nowhere", dir, "to nothing")
	index, result := scan(t, dir, nil)
	if diff := cmp.Diff([]string{"folder/file"}, paths(index)); diff != "" {
		t.Error(diff)
	}
	if result.Symlinks != 7 || len(result.Skipped) != 0 {
		t.Errorf("result %+v", result)
	}
}

func TestFolderItselfMayBeASymlink(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "real/file", "file")
	symlink(t, "real", dir, "link")
	index, _ := scan(t, filepath.Join(dir, "link"), nil)
	lookup(t, index, "file")
}

func TestWhatIsNoFileIsCounted(t *testing.T) {
	dir, err := os.MkdirTemp("", "kh") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	write(t, dir, "file", "file")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	index, result := scan(t, dir, nil)
	if diff := cmp.Diff([]string{"file"}, paths(index)); diff != "" || result.Special != 2 {
		t.Errorf("%s, %+v", diff, result)
	}
}

func TestWhatTookTheFilesPlaceIsNotOpened(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "file", "12345")
	swaps := map[string]func(dir string) error{
		"a symlink leading out": func(dir string) error {
			return os.Symlink(filepath.Join(outside, "file"), filepath.Join(dir, "folder/file"))
		},
		"a symlink inside": func(dir string) error { return os.Symlink("twin", filepath.Join(dir, "folder/file")) },
		"a pipe":           func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "folder/file"), 0o600) },
		"a folder":         func(dir string) error { return os.Mkdir(filepath.Join(dir, "folder/file"), 0o700) },
	}
	for name, swap := range swaps {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "folder/file", "12345")
			write(t, dir, "folder/twin", "12345")
			setModified(t, dir, "folder/twin", modified(t, dir, "folder/file"))
			index, _ := scan(t, dir, nil)
			if err := os.Remove(filepath.Join(dir, "folder/file")); err != nil {
				t.Fatal(err)
			}
			if err := swap(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := folder.Open(openRoot(t, dir), lookup(t, index, "folder/file")); !errors.Is(err, folder.ErrChanged) {
				t.Errorf("error is %v, want ErrChanged", err)
			}
		})
	}
}

func TestFolderReplacedByASymlinkDoesNotLeadOut(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, outside, "file", "12345")
	write(t, dir, "folder/file", "12345")
	setModified(t, outside, "file", modified(t, dir, "folder/file"))
	index, _ := scan(t, dir, nil)
	if err := os.RemoveAll(filepath.Join(dir, "folder")); err != nil {
		t.Fatal(err)
	}
	symlink(t, outside, dir, "folder")
	if f, err := folder.Open(openRoot(t, dir), lookup(t, index, "folder/file")); err == nil {
		f.Close()
		t.Error("a file outside was opened")
	}
}

func TestFolderSwappedWhileScannedIsNotEntered(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, outside, "secret", "secret")
	write(t, dir, "folder/file", "file")
	write(t, dir, "sibling/file", "file")
	swapped := false
	index, result := whileWalked(t, dir, func() {
		if swapped {
			return
		}
		swapped = true
		rename(t, dir, "folder", "moved")
		symlink(t, "sibling", dir, "folder")
	})
	if _, ok := index.Lookup("folder/file"); ok {
		t.Error("the symlink was followed")
	}
	if len(result.Skipped) != 1 || result.Skipped[0].Path != "folder" || !errors.Is(result.Skipped[0].Err, folder.ErrChanged) {
		t.Errorf("skipped: %v", result.Skipped)
	}
}
