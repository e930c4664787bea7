package seal_test

import (
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// The package is pure: what it may import is part of its promise.
func TestImportsAreTheStandardLibraryAndTrust(t *testing.T) {
	impure := map[string]bool{"net": true, "net/http": true, "os": true, "io/ioutil": true, "path/filepath": true}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if impure[path] || strings.Contains(path, ".") && path != "keyhall.dev/keyhall/trust" {
				t.Errorf("%s imports %s", file.Name(), path)
			}
		}
	}
}
