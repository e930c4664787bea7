package vectors_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"keyhall.dev/keyhall/trust"
)

// Nobody without a key makes an event that a ledger takes, whatever they make of those that
// are in it.
func FuzzLedger(f *testing.F) {
	data, err := os.ReadFile(filepath.Join(folder, "chain.json"))
	if err != nil {
		f.Fatal(err)
	}
	var file chainFile
	if err := json.Unmarshal(data, &file); err != nil {
		f.Fatal(err)
	}
	w := newWorld(get(trust.ParseHub(file.Hub)))
	for _, e := range file.Ledger {
		must(w.apply(e.Event))
		f.Add([]byte(e.Event))
	}
	for _, r := range file.Refused {
		f.Add([]byte(r.Event))
	}
	before := encode(w.state())
	f.Fuzz(func(t *testing.T, data []byte) {
		if w.apply(data) == nil {
			t.Fatalf("%x is taken", data)
		}
		if !bytes.Equal(encode(w.state()), before) {
			t.Fatalf("%x was refused, and something is another", data)
		}
	})
}
