package vectors_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the app works out by itself, without a browser or a hub: its own tests, in Node.
func TestTheAppsOwnTestsPassInNode(t *testing.T) {
	built := appTests(t)
	all, err := filepath.Glob(filepath.Join(built, "*.test.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, path := range all {
		name := strings.TrimSuffix(filepath.Base(path), ".test.mjs")
		if name == "vectors" {
			continue // it is given vectors
		}
		ran++
		t.Run(name, func(t *testing.T) {
			if out, err := exec.Command("node", path).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if ran == 0 {
		t.Error("there are none")
	}
}
