package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/hubtest"
)

func TestRecoveryFromTheCommandLine(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice").Profile.Dir()
	mustRun(t, alice, "room", "create", "general")
	mustRun(t, alice, "say", "general", "hello")
	films := t.TempDir()
	writeFile(t, filepath.Join(films, "holiday.mp4"), "content")
	mustRun(t, alice, "catalog", "add", "films", films)

	shape(t, objects(t, alice, "recovery"), "code", "made")
	made := run(t, alice, "recovery")
	code := strings.TrimSpace(made.out)
	if made.status != exitOK || !strings.HasPrefix(code, "kr-") || strings.Contains(code, "\n") {
		t.Fatalf("recovery: %+v", made)
	}
	if !strings.Contains(made.err, "does not work any more") {
		t.Errorf("nothing is said of the code before: %q", made.err)
	}

	fresh := filepath.Join(t.TempDir(), "fresh")
	back := runWith(t, fresh, strings.NewReader(strings.ToUpper(code)+"\n"), "join", hall.HTTP(), "--recover", "-", "--device", "phone")
	if back.status != exitOK || !strings.Contains(back.out, "Welcome back, alice.") || !strings.Contains(back.out, "laptop is revoked") ||
		!strings.Contains(back.out, "Catalog films is in") {
		t.Fatalf("join --recover: %+v", back)
	}
	if out := mustRun(t, fresh, "history", "general"); !strings.Contains(out, "alice  hello") {
		t.Errorf("the history is %q", out)
	}
	again := filepath.Join(t.TempDir(), "again")
	got := runWith(t, again, strings.NewReader(code), "join", hall.HTTP(), "--recover=-", "--device", "tablet", "--json")
	if got.status != exitOK {
		t.Fatalf("the second time: %+v", got)
	}
	for _, name := range []string{`"handle":"alice"`, `"revoked":"phone"`, `"devices":[]`, `"catalogs":[{"name":"films"`, `"problems":[]`} {
		if !strings.Contains(got.out, name) {
			t.Errorf("no %s in %s", name, got.out)
		}
	}
	if strings.Contains(back.out+back.err+got.out+got.err, code[12:24]) {
		t.Error("the code was shown")
	}
}

func TestARecoveryCodeIsNotTakenFromTheCommandLine(t *testing.T) {
	secret := "kr-aaaaaaaa-bbbbbbbb"
	for line, want := range map[string]string{
		"join x --recover":                         `there is nobody to ask for the code here`,
		"join x --recover=" + secret:               `seen by everybody on this machine`,
		"join x --recover - --handle alice":        `needs no --invite and no --handle`,
		"join --recover -":                         `join needs HUB_URL`,
		"join x y --recover":                       `does not know what to do with "y"`,
		"recovery more":                            `recovery takes no arguments`,
		"join http://localhost:1 --recover - -":    `does not know what to do with`,
		"join http://localhost:1 --recover more -": `does not know what to do with`,
	} {
		got := run(t, t.TempDir(), strings.Fields(line)...)
		if got.status != exitUsage || !strings.Contains(got.err, want) || strings.Contains(got.err, secret) {
			t.Errorf("%s: status %d, said %q", line, got.status, got.err)
		}
	}
	got := runWith(t, t.TempDir(), strings.NewReader(secret+"\n"), "join", "localhost:1", "--recover", "-")
	if got.status != exitFailed || !strings.Contains(got.err, "not a recovery code") || strings.Contains(got.err, secret) {
		t.Errorf("a mistyped code: %+v", got)
	}
}
