package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/hubtest"
)

func TestBackupAndRestoreFromTheCommandLine(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice").Profile.Dir()
	mustRun(t, alice, "room", "create", "general")
	mustRun(t, alice, "say", "general", "hello")
	dir := t.TempDir()
	file := filepath.Join(dir, "hall.backup")

	shape(t, objects(t, alice, "backup", file, "--data", hall.Dir), "file", "hub", "created", "bytes", "parts")
	if got := run(t, alice, "backup", file, "--data", hall.Dir); got.status != exitFailed || !strings.Contains(got.err, "is there already") {
		t.Errorf("a second one in its place: %+v", got)
	}
	restored := objects(t, alice, "restore", file, "--data", filepath.Join(dir, "new"))
	shape(t, restored, "data", "hub", "created", "messages", "events", "people", "rooms", "problems", "unjudged")
	if one := restored[0]; one["people"] != 1.0 || one["rooms"] != 1.0 || one["messages"] != 1.0 {
		t.Errorf("restored %v", one)
	}
	out := mustRun(t, alice, "restore", file, "--data", filepath.Join(dir, "newer"))
	if !strings.Contains(out, "1 person and 1 room") || !strings.Contains(out, "keyhall up --data") {
		t.Errorf("restore said %q", out)
	}

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	writeFile(t, filepath.Join(dir, "bad"), string(data))
	for line, want := range map[string]string{
		"restore " + filepath.Join(dir, "bad") + " --data " + filepath.Join(dir, "x"):  "is damaged",
		"restore " + file + " --data " + filepath.Join(dir, "new"):                     "is not empty",
		"restore " + filepath.Join(dir, "none") + " --data " + filepath.Join(dir, "x"): "cannot be read",
		"backup " + file + "2 --data " + filepath.Join(dir, "x"):                       "no hub has been started",
		"backup " + filepath.Join(dir, "no", "file") + " --data " + hall.Dir:           "no file can be made",
	} {
		got := run(t, alice, strings.Fields(line)...)
		if got.status != exitFailed || !strings.Contains(got.err, want) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: status %d, said %q", line, got.status, got.err)
		}
	}
	if got := run(t, alice, "restore", file); got.status != exitUsage {
		t.Errorf("restore without a folder: %+v", got)
	}
}
