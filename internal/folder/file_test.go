package folder_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/folder"
	"keyhall.dev/keyhall/seal"
)

func TestEveryBlockOfAScannedFileVerifies(t *testing.T) {
	const b = seal.BlockSize
	dir := t.TempDir()
	sizes := []int{0, 1, b - 1, b, b + 1, 2 * b, 3*b + 17}
	for _, size := range sizes {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i * i >> 7)
		}
		write(t, dir, fmt.Sprint("file of ", size), string(content))
	}
	index, _ := scan(t, dir, nil)
	root := openRoot(t, dir)
	for _, size := range sizes {
		e := lookup(t, index, fmt.Sprint("file of ", size))
		tree, err := index.Tree(e.Path)
		if err != nil || tree.Root() != e.Root {
			t.Fatalf("the tree of %d bytes: %v", size, err)
		}
		f, err := folder.Open(root, e)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint32(seal.Blocks(e.Size)) {
			data, err := f.ReadBlock(i, []byte("before"))
			if err != nil || !bytes.HasPrefix(data, []byte("before")) {
				t.Fatal(err)
			}
			proof, err := tree.Proof(i)
			if err != nil {
				t.Fatal(err)
			}
			if err := seal.Verify(e.Root, e.Size, i, data[len("before"):], proof); err != nil {
				t.Errorf("block %d of %d bytes: %v", i, size, err)
			}
		}
		if _, err := f.ReadBlock(uint32(seal.Blocks(e.Size)), nil); !errors.Is(err, seal.ErrBlock) {
			t.Errorf("a block behind the last of %d bytes: %v", size, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBlockIsReadIntoItsMessage(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", strings.Repeat("x", seal.BlockSize+5))
	index, _ := scan(t, dir, nil)
	f, err := folder.Open(openRoot(t, dir), lookup(t, index, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	space := seal.BlockSpace(make([]byte, 0, seal.MaxBlockMessage))
	data, err := f.ReadBlock(0, space)
	if err != nil || &data[0] != &space[:1][0] {
		t.Errorf("the block was read elsewhere: %v", err)
	}
}

// changes are ways for a file not to be any more what was scanned.
var changes = map[string]func(t *testing.T, dir string){
	"another size": func(t *testing.T, dir string) { write(t, dir, "file", "123456") },
	"truncated":    func(t *testing.T, dir string) { write(t, dir, "file", "") },
	"another time": func(t *testing.T, dir string) { setModified(t, dir, "file", time.Unix(1e9, 0)) },
	"another content": func(t *testing.T, dir string) {
		write(t, dir, "file", "abcde")
		setModified(t, dir, "file", modified(t, dir, "file").Add(time.Second))
	},
	"truncated, with its old time": func(t *testing.T, dir string) {
		when := modified(t, dir, "file")
		write(t, dir, "file", "123")
		setModified(t, dir, "file", when)
	},
}

func TestFileThatChangedSinceTheScanIsNotOpened(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "file", "12345")
			index, _ := scan(t, dir, nil)
			change(t, dir)
			if _, err := folder.Open(openRoot(t, dir), lookup(t, index, "file")); !errors.Is(err, folder.ErrChanged) {
				t.Errorf("error is %v, want ErrChanged", err)
			}
		})
	}
}

func TestFileThatChangesWhileOpenIsNotServed(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "file", "12345")
			index, _ := scan(t, dir, nil)
			f, err := folder.Open(openRoot(t, dir), lookup(t, index, "file"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if data, err := f.ReadBlock(0, nil); err != nil || string(data) != "12345" {
				t.Fatalf("%q, %v", data, err)
			}
			change(t, dir)
			if _, err := f.ReadBlock(0, nil); !errors.Is(err, folder.ErrChanged) {
				t.Errorf("error is %v, want ErrChanged", err)
			}
		})
	}
}

func TestFileThatIsGoneIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "folder/file", "12345")
	index, _ := scan(t, dir, nil)
	if err := os.RemoveAll(filepath.Join(dir, "folder")); err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Open(openRoot(t, dir), lookup(t, index, "folder/file")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v, want fs.ErrNotExist", err)
	}
}

func TestPathCannotLeadOut(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "secret", "12345")
	write(t, dir, "folder/file", "12345")
	index, _ := scan(t, filepath.Join(dir, "folder"), nil)
	e := lookup(t, index, "file")
	for _, path := range []string{"../secret", filepath.Join(dir, "secret"), "x/../../secret"} {
		e.Path = path
		if f, err := folder.Open(openRoot(t, filepath.Join(dir, "folder")), e); err == nil {
			f.Close()
			t.Errorf("%s was opened", path)
		}
	}
}
