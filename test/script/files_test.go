package script_test

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// fill is `fill FILE BYTES [SEED]`.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "fill")
	need(ts, args, 2, 3, "fill FILE BYTES [SEED]")
	length, err := strconv.Atoi(args[1])
	ts.Check(err)
	seed := [32]byte{1}
	if len(args) == 3 {
		copy(seed[:], args[2])
	}
	data := make([]byte, length)
	_, _ = rand.NewChaCha8(seed).Read(data) // never fails
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, data, 0o644))
}

// letters is `letters FILE TEXT TIMES`: one line.
func letters(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "letters")
	need(ts, args, 3, 3, "letters FILE TEXT TIMES")
	times, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat(args[1], times)+"\n"), 0o644))
}

// same is `[!] same FILE FILE`: byte for byte, and without a picture of the difference.
func same(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, 2, "same FILE FILE")
	equal := ts.ReadFile(args[0]) == ts.ReadFile(args[1])
	if equal == neg {
		ts.Fatalf("%s and %s: same is %v", args[0], args[1], equal)
	}
}

// sametree is `sametree DIR DIR`: the same plain files, byte for byte.
func sametree(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "sametree")
	need(ts, args, 2, 2, "sametree DIR DIR")
	left, right := plainFiles(ts, args[0]), plainFiles(ts, args[1])
	for name, data := range left {
		if other, found := right[name]; !found || !bytes.Equal(data, other) {
			ts.Fatalf("%q is not the same in %s", name, args[1])
		}
		delete(right, name)
	}
	for name := range right {
		ts.Fatalf("%q is in %s alone", name, args[1])
	}
}

func plainFiles(ts *testscript.TestScript, dir string) map[string][]byte {
	files := make(map[string][]byte)
	find(ts, dir, func(path string, entry fs.DirEntry) bool {
		if entry.Type().IsRegular() {
			data, err := os.ReadFile(path)
			ts.Check(err)
			name, err := filepath.Rel(ts.MkAbs(dir), path)
			ts.Check(err)
			files[name] = data
		}
		return false
	})
	return files
}

// less is `less NUMBER NUMBER`.
func less(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "less")
	need(ts, args, 2, 2, "less NUMBER NUMBER")
	a, err := strconv.ParseFloat(args[0], 64)
	ts.Check(err)
	b, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	if a >= b {
		ts.Fatalf("%s is not less than %s", args[0], args[1])
	}
}

// traces is `[!] traces FILE DIR...`: whether the content of FILE stands in a file below.
func traces(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, -1, "traces FILE DIR...")
	secret := bytes.TrimSpace([]byte(ts.ReadFile(args[0])))
	if len(secret) < 6 {
		ts.Fatalf("%s holds too little to look for", args[0])
	}
	for _, dir := range args[1:] {
		found := find(ts, dir, func(path string, entry fs.DirEntry) bool {
			if !entry.Type().IsRegular() {
				return false
			}
			data, err := os.ReadFile(path)
			return err == nil && bytes.Contains(data, secret)
		})
		switch {
		case neg && found != "":
			ts.Fatalf("the content of %s stands in %s", args[0], found)
		case !neg && found == "":
			ts.Fatalf("the content of %s is nowhere below %s", args[0], dir)
		}
	}
}

// parts is `[!] parts DIR`: whether an unfinished download lies below.
func parts(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 1, 1, "parts DIR")
	found := find(ts, args[0], func(path string, _ fs.DirEntry) bool { return strings.HasSuffix(path, ".keyhall-part") })
	if (found == "") != neg {
		ts.Fatalf("unfinished below %s: %q", args[0], found)
	}
}

// find is the first path below dir for which wanted holds; "" for none. A folder that is
// not there holds nothing.
func find(ts *testscript.TestScript, dir string, wanted func(string, fs.DirEntry) bool) string {
	found := ""
	err := filepath.WalkDir(ts.MkAbs(dir), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && wanted(path, entry) {
			found = path
			return fs.SkipAll
		}
		if os.IsNotExist(err) {
			return nil // gone meanwhile
		}
		return err
	})
	ts.Check(err)
	return found
}

// filename is `filename FILE GO-QUOTED-NAME`: names that a line of a script can't hold.
func filename(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "filename")
	need(ts, args, 2, 2, "filename FILE GO-QUOTED-NAME")
	name, err := strconv.Unquote(args[1])
	ts.Check(err)
	path := filepath.Join(filepath.Dir(ts.MkAbs(args[0])), filepath.FromSlash(name))
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.Rename(ts.MkAbs(args[0]), path))
}

// copytree is `copytree FROM TO`: what was at TO is gone then.
func copytree(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "copytree")
	need(ts, args, 2, 2, "copytree FROM TO")
	from, to := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	ts.Check(os.RemoveAll(to))
	ts.Check(os.CopyFS(to, os.DirFS(from)))
	ts.Check(private(to))
}

// private gives a folder the permissions that hubs and profiles demand.
func private(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
}
