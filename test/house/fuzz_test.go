package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readers is what functions are called that read bytes from outside.
var readers = regexp.MustCompile(`^(Parse|Decode|Open|Unbox|Unmarshal|Read|Valid|Check)([A-Z]|$)|^(NewListingReader|Verify|Name)$`)

// Every exported function of the packages that read what others wrote is called in a file
// with a fuzz target of its package, but for those that say below what stands for them.
func TestReadersOfOutsideBytesAreFuzzed(t *testing.T) {
	judged := map[string]bool{
		"trust.CheckProof":       true, // its parts are a fixed statement and a signature
		"trust.Verify":           true, // a signature: vectors and properties
		"event.CheckWithheld":    true, // called by Check
		"event.CheckCoSignature": true, // a signature
		"event.CheckRecovery":    true, // client.FuzzOpenBackup
		"seal.Verify":            true, // a proof of hashes: properties
		"seal.CheckDescription":  true, // called for every entry of a listing
		"seal.NewListingReader":  true, // seal.FuzzListingReader, by a helper
		"seal.ReadTransfer":      true, // called by OpenRead
		"seal.UnmarshalText":     true, // called by ParseHash, and for every key of an answer
	}
	for _, dir := range []string{"trust", "event", "seal", "internal/api"} {
		fuzzed := namesInFuzzFiles(t, filepath.Join("../..", dir))
		for _, name := range exportedFunctions(t, filepath.Join("../..", dir)) {
			if readers.MatchString(name) && !fuzzed[name] && !judged[dir+"."+name] {
				t.Errorf("%s.%s: no fuzz target of its package calls it", dir, name)
			}
		}
	}
}

// Every fuzz target begins with seeds: without them it tests nothing in an ordinary run.
func TestEveryFuzzTargetHasSeeds(t *testing.T) {
	targets := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for name, body := range fuzzTargets(t, path) {
			targets++
			if !calls(body, "Add") && !calls(body, "addBodies") {
				t.Errorf("%s: %s has no seeds", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if targets < 40 {
		t.Errorf("only %d targets", targets)
	}
}

func parsed(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func goFiles(t *testing.T, dir string, tests bool) (paths []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".go") && strings.HasSuffix(entry.Name(), "_test.go") == tests {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	return paths
}

func exportedFunctions(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, path := range goFiles(t, dir, false) {
		for _, declared := range parsed(t, path).Decls {
			if f, is := declared.(*ast.FuncDecl); is && f.Name.IsExported() {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// fuzzTargets are the bodies of a file's fuzz targets.
func fuzzTargets(t *testing.T, path string) map[string]ast.Node {
	t.Helper()
	targets := make(map[string]ast.Node)
	for _, declared := range parsed(t, path).Decls {
		if f, is := declared.(*ast.FuncDecl); is && strings.HasPrefix(f.Name.Name, "Fuzz") {
			targets[f.Name.Name] = f.Body
		}
	}
	return targets
}

// namesInFuzzFiles are all names that files with a fuzz target mention.
func namesInFuzzFiles(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, path := range goFiles(t, dir, true) {
		if len(fuzzTargets(t, path)) == 0 {
			continue
		}
		ast.Inspect(parsed(t, path), func(n ast.Node) bool {
			if id, is := n.(*ast.Ident); is {
				names[id.Name] = true
			}
			return true
		})
	}
	return names
}

func calls(body ast.Node, name string) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		call, is := n.(*ast.CallExpr)
		if !is {
			return true
		}
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			found = found || f.Sel.Name == name
		case *ast.Ident:
			found = found || f.Name == name
		}
		return true
	})
	return found
}
