// Package dist_test holds what `make dist` gives to people against what is promised of it:
// the same bytes from wherever it is built, nothing of the machine it was built on, nothing
// that it needs from the one it runs on, and checksums.
//
// Compiled packages are taken from the machine's build cache; with -cold each of the two
// builds makes everything itself, which takes minutes (make dist-check).
package dist_test

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const goos, goarch = runtime.GOOS, runtime.GOARCH

var cold = flag.Bool("cold", false, "build everything anew, twice")

func TestABinaryIsTheSameFromAnywhere(t *testing.T) {
	here, there := copied(t, "keyhall"), copied(t, filepath.Join("another", "place"))
	name := thisBinary()
	first := build(t, here, name, nil)
	second := build(t, there, name, []string{"TZ=Pacific/Auckland", "LC_ALL=C", "HOME=" + t.TempDir(), "USER=somebody"})
	if !bytes.Equal(first, second) {
		t.Fatalf("two builds differ: %x and %x", sha256.Sum256(first), sha256.Sum256(second))
	}
	for _, trace := range []string{here, there, filepath.Dir(root(t)), os.Getenv("HOME") + "/go/"} {
		if strings.Count(trace, "/") > 1 && bytes.Contains(first, []byte(trace)) {
			t.Errorf("the binary says that it was built in %s", trace)
		}
	}
	sum := sha256.Sum256(first)
	sums := read(t, filepath.Join(here, "bin", "dist", "SHA256SUMS"))
	if want := hex.EncodeToString(sum[:]) + "  " + name + "\n"; string(sums) != want {
		t.Errorf("SHA256SUMS is\n%swant\n%s", sums, want)
	}
	if output, err := exec.Command(filepath.Join(here, "bin", "dist", name), "version").CombinedOutput(); err != nil {
		t.Errorf("it does not run: %v\n%s", err, output)
	}
	if goos == "linux" {
		needsNothing(t, first)
	}
}

// needsNothing fails the test for a binary that is not static.
func needsNothing(t *testing.T, binary []byte) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is linked dynamically (%s)", part.Type)
		}
	}
}

// build runs make dist for this platform in a folder and returns the binary.
func build(t *testing.T, dir, name string, env []string) []byte {
	t.Helper()
	cmd := exec.Command("make", "dist", "DIST="+strings.TrimPrefix(name, "keyhall-"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "MAKEFLAGS=")
	if *cold {
		cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
	}
	cmd.Env = append(cmd.Env, env...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make dist: %v\n%s", err, output)
	}
	return read(t, filepath.Join(dir, "bin", "dist", name))
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	output, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(output))
}

// parts are what a build is made of: the web app as it was built or, in a cold build, its source.
func parts() []string {
	all := []string{"Makefile", "go.mod", "go.sum", "client", "cmd", "event", "internal", "login", "seal", "trust", "web/embed.go", "web/dist"}
	if *cold {
		all[len(all)-1] = "web/dist/.gitkeep"
		all = append(all, "web/package.json", "web/package-lock.json", "web/build.mjs", "web/tsconfig.json", "web/src")
	}
	return all
}

// copied is a folder with everything that a build needs and nothing else.
func copied(t *testing.T, name string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), name)
	for _, part := range parts() {
		from := filepath.Join(root(t), part)
		err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			below, err := filepath.Rel(root(t), path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Join(to, filepath.Dir(below)), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, below), read(t, path), 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
