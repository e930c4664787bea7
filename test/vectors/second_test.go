package vectors_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// second runs the implementation in JavaScript, which was written from docs/protocol, over a
// folder of vectors.
func second(t *testing.T, folder string) (out string, err error) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: the second implementation was not run")
	}
	said, err := exec.Command(node, "second/run.mjs", folder).CombinedOutput()
	return string(said), err
}

var tally = regexp.MustCompile(`(?m)^([0-9]+) met, ([0-9]+) not met$`)

func TestTheSecondImplementationMeetsEveryVector(t *testing.T) {
	out, err := second(t, folder)
	counts := tally.FindStringSubmatch(out)
	if err != nil || counts == nil || counts[2] != "0" {
		t.Fatalf("%v\n%s", err, out)
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

// A runner that compares nothing would pass the test above.
func TestTheSecondImplementationNoticesAChangedVector(t *testing.T) {
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
	out, err := second(t, spoiled)
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
