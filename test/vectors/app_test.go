package vectors_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
)

// The app in web/ is written in TypeScript from docs/protocol: a second implementation. Its own
// code is held against the vectors where it runs: in Node, which is quick to ask, and in a browser.

const appFolder = "../../web"

// appTests bundles the tests of the app and gives the folder where they are.
func appTests(t *testing.T) string {
	t.Helper()
	_, missing := os.Stat(filepath.Join(appFolder, "node_modules", "esbuild"))
	node, err := exec.LookPath("node")
	if err != nil || missing != nil {
		t.Skip("node is not installed, or the packages of web are not (npm ci in web): the app was not held against the vectors")
	}
	built := t.TempDir()
	if out, err := exec.Command(node, filepath.Join(appFolder, "build.mjs"), "--tests", "--out", built).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return built
}

// inNode holds the app against a folder of vectors.
func inNode(t *testing.T, folder string) (out string, err error) {
	t.Helper()
	said, err := exec.Command("node", filepath.Join(appTests(t), "vectors.test.mjs"), folder).CombinedOutput()
	return string(said), err
}

var tally = regexp.MustCompile(`(?m)^([0-9]+) met, ([0-9]+) not met$`)

// meetsAll judges what the app says of all vectors.
func meetsAll(t *testing.T, out string) {
	t.Helper()
	counts := tally.FindStringSubmatch(out)
	if counts == nil || counts[2] != "0" {
		t.Fatal(out)
	}
	if met, err := strconv.Atoi(counts[1]); err != nil || met < 3000 {
		t.Errorf("only %d met: something was passed over", met)
	}
	for name := range makers {
		if !strings.Contains(out, name+": ") {
			t.Errorf("%s was passed over", name)
		}
	}
}

func TestTheAppMeetsEveryVectorInNode(t *testing.T) {
	out, err := inNode(t, folder)
	meetsAll(t, out)
	if err != nil {
		t.Error(err)
	}
}

func TestTheAppMeetsEveryVectorInChromium(t *testing.T) {
	built := appTests(t)
	browser, err := chromiumtest.Launch()
	if errors.Is(err, chromiumtest.ErrNone) {
		t.Skipf("the app was not held against the vectors in a browser: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>Vectors</title><link rel="icon" href="data:,"><script type="module" src="/vectors.page.mjs"></script>`))
	})
	mux.HandleFunc("GET /vectors.page.mjs", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		http.ServeFile(w, r, filepath.Join(built, "vectors.page.mjs"))
	})
	mux.HandleFunc("GET /vectors.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(filesOf(t, folder))
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	page := browser.Person(t, server.URL)
	page.Open("/")
	page.Eventually("the program is there", func() bool {
		return chromiumtest.Eval[bool](page, `"meetVectors" in globalThis`)
	})
	meetsAll(t, chromiumtest.Eval[string](page, `fetch("/vectors.json").then((r) => r.json()).then(meetVectors)`))
}

// filesOf are the texts of a folder, by name.
func filesOf(t *testing.T, folder string) map[string]string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Error(err)
	}
	files := make(map[string]string)
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Error(err)
		}
		files[entry.Name()] = string(data)
	}
	return files
}

// A runner that compares nothing would pass the test above.
func TestTheAppNoticesAChangedVector(t *testing.T) {
	spoiled := t.TempDir()
	for name, change := range map[string][2]string{
		wordList:              {"abandon\n", "abandon\n"},
		"keys.json":           {`"name": "alice identity"`, `"name": "alice idantity"`},
		"signatures.json":     {`"valid": true`, `"valid": false`},
		"ids.json":            {`"raw": "00`, `"raw": "01`},
		"names.json":          {`"name": "alice"`, `"name": "alicf"`},
		"words.json":          {`"statement": "ff`, `"statement": "fe`},
		"invite.json":         {`"fingerprint": "`, `"fingerprint": "0`},
		"recovery.json":       {`\"handle\":\"alice\"`, `\"handle\":\"alicf\"`},
		"device-token.json":   {`"called": "laptop"`, `"called": "labtop"`},
		"hub-proof.json":      {`"signing": [`, `"signing": ["x",`},
		"canonical-json.json": {`"text": "hello"`, `"text": "hallo"`},
		"box.json":            {`"purpose": "share"`, `"purpose": "shark"`},
		"event.json":          {`"type": "room.message"`, `"type": "room.massage"`},
		"event-access.json":   {`"called": "till"`, `"called": "tall"`},
		"event-batch.json":    {`"count": 5`, `"count": 6`},
		"event-judge.json":    {`"why": "time"`, `"why": "digest"`},
		"event-message.json":  {`"ce-type",`, `"ce-tyqe",`},
		"event-private.json":  {`the door is green`, `the door is red`},
		"event-trail.json":    {`"good": false`, `"good": true`},
		"epoch-key.json":      {`"name": "hall"`, `"name": "hill"`},
		"handshake.json":      {`"why": "not-meant"`, `"why": "tag"`},
		"blocks.json":         {`"fresh": true`, `"fresh": false`},
		"tree.json":           {`"blocks": 1`, `"blocks": 2`},
		"listing.json":        {`"revision": 1`, `"revision": 2`},
		"chain.json":          {`"uses": 2`, `"uses": 3`},
		"password.json":       {`"password": "alice"`, `"password": "alicf"`},
		"login.json":          {`"type": "login.passkey"`, `"type": "login.passkeys"`},
		"session.json":        {`"challenge": "0f`, `"challenge": "1f`},
		"link.json":           {`"words": "casual`, `"words": "casuel`},
	} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), change[0]) {
			t.Fatalf("%s does not hold %s", name, change[0])
		}
		text := strings.Replace(string(data), change[0], change[1], 1)
		if err := os.WriteFile(filepath.Join(spoiled, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := inNode(t, spoiled)
	if err == nil {
		t.Error("it finds nothing wrong")
	}
	_, failures, _ := strings.Cut(out, " not met\n")
	for name := range makers {
		if !strings.Contains(failures, name+": ") {
			t.Errorf("it does not notice the change of %s", name)
		}
	}
}
