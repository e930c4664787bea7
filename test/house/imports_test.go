// Package house_test holds the house to its plan: which package may know which.
package house_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "keyhall.dev/keyhall/"

// imports are the direct imports of each package of the module, tests left out.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		found[strings.TrimPrefix(fields[0], module)] = fields[1:]
	}
	return found
}

// own are those of the module itself.
func own(imports []string) []string {
	var found []string
	for _, path := range imports {
		if name, ours := strings.CutPrefix(path, module); ours {
			found = append(found, name)
		}
	}
	return found
}

func TestImportsPointInward(t *testing.T) {
	all := imports(t)
	for name, allowed := range map[string][]string{
		"trust":           {},
		"seal":            {"trust"},
		"event":           {"trust"},
		"internal/fault":  {},
		"internal/chain":  {"trust", "event"},
		"internal/folder": {"seal"},
		"internal/ledger": {"trust", "event", "internal/chain", "internal/fault"},
	} {
		if all[name] == nil {
			t.Errorf("there is no package %s", name)
		}
		for _, path := range own(all[name]) {
			if !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

func TestPurePackagesKnowNoNetworkAndNoDisk(t *testing.T) {
	all := imports(t)
	for _, name := range []string{"trust", "seal", "event", "internal/chain"} {
		for _, path := range all[name] {
			switch {
			case name == "event" && strings.HasPrefix(path, "github.com/nats-io/nats.go"): // its publishers and subscribers
			case path == "os", path == "net", strings.HasPrefix(path, "net/"), strings.Contains(path, "nats-server"),
				strings.HasSuffix(path, "/nats.go"), strings.Contains(path, "/nats.go/"):
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// Services run beside the embedded server or against one outside: they know a NATS
// connection, and none of the keys.
func TestOnlyTheWiringKnowsTheServer(t *testing.T) {
	may := []string{"internal/natsd", "internal/hub", "internal/hubtest", "internal/natstest", "internal/callout/backend/backendtest", "internal/backup", "internal/cli", "test/attack", "bench"}
	for name, paths := range imports(t) {
		for _, path := range paths {
			server := strings.Contains(path, "nats-server") || path == module+"internal/natsd"
			if server && !slices.Contains(may, name) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// Whoever says something proves it by an event: no other package verifies signatures. (The
// callout holds the server's nonce against a key with the library of NATS.)
func TestProofIsEventsBusinessAlone(t *testing.T) {
	curves := []string{"crypto/ed25519", "github.com/hdevalence/ed25519consensus", "filippo.io/edwards25519"}
	for name, paths := range imports(t) {
		for _, path := range paths {
			if slices.Contains(curves, path) && name != "trust" && name != "bench" && name != "test/vectors" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
	may := map[string]bool{"trust": true, "event": true}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		dir, err := filepath.Rel("../..", filepath.Dir(path))
		if err != nil || may[filepath.ToSlash(dir)] || strings.HasPrefix(dir, "test") {
			return err
		}
		source, err := os.ReadFile(path)
		if strings.Contains(string(source), "trust.Verify(") || strings.Contains(string(source), "trust.Batch") {
			t.Errorf("%s verifies a signature itself", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
