package dist_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/natstest"
)

// freshMain is a program around what the package comment of event shows.
const freshMain = `package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

func main() {
	ctx := context.Background()
	nc, err := nats.Connect(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	run(ctx, nc)
}

func run(ctx context.Context, nc *nats.Conn) {
`

// TestAFreshModuleRunsTheExample: a module of its own, outside the repository, compiles what
// the package comment shows, and it does what it says.
func TestAFreshModuleRunsTheExample(t *testing.T) {
	var example strings.Builder
	for line := range strings.Lines(string(read(t, filepath.Join(root(t), "event", "doc.go")))) {
		if code, isCode := strings.CutPrefix(line, "//\t"); isCode {
			example.WriteString("\t" + code)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": freshMain + example.String() + "}\n",
		"go.sum":  string(read(t, filepath.Join(root(t), "go.sum"))), // nothing is fetched but what the repository's own build needs
		"go.mod": "module fresh.example\n\ngo 1.26\n\nrequire keyhall.dev/keyhall v0.0.0\n\nreplace keyhall.dev/keyhall => " +
			root(t) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-mod=mod", "-o", "fresh", ".")
	build.Dir = dir
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, output, example.String())
	}
	server := natstest.Start(t, nil)
	output, err := exec.Command(filepath.Join(dir, "fresh"), server.ClientURL()).CombinedOutput()
	if err != nil || string(output) != "order.placed: two loaves\n" {
		t.Errorf("%v\n%s", err, output)
	}
}
