package client

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

func FuzzParseListing(f *testing.F) {
	var vectors listingVectors
	readVectors(f, "listing.json", &vectors)
	for _, c := range vectors.Cases {
		f.Add([]byte(c.Text))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		listing, err := parseListing("alice/films", text)
		if err != nil {
			if !fault.Is(err, fault.Malformed) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		again, err := seal.AppendHeader(nil, seal.ListingHeader{Catalog: "films", Revision: listing.Revision, Entries: len(listing.Entries)})
		for _, entry := range listing.Entries {
			if err == nil {
				again, err = seal.AppendEntry(again, entry)
			}
		}
		// The name inside is the owner's; everything else comes out as it went in.
		_, lines, _ := bytes.Cut(again, []byte("\n"))
		_, wanted, _ := bytes.Cut(text, []byte("\n"))
		if err != nil || !bytes.Equal(lines, wanted) {
			t.Fatalf("%q comes out as %q, %v", wanted, lines, err)
		}
	})
}

func FuzzOpenBackup(f *testing.F) {
	var vectors recoveryVectors
	readVectors(f, "recovery.json", &vectors)
	code, err := trust.ParseRecovery(vectors.Code)
	if err != nil {
		f.Fatal(err)
	}
	good := vectors.event(f, vectors.Event)
	f.Add(good, []byte(vectors.Plaintext))
	for _, r := range vectors.Refused {
		f.Add(vectors.event(f, r.Event), []byte(vectors.Plaintext))
	}
	f.Add([]byte{}, []byte(strings.Replace(vectors.Plaintext, `"xkeys":["`, `"xkeys":["","`, 1)))
	identity, err := trust.ParseSeed(trust.Account, []byte(vectors.Identity))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data, plaintext []byte) {
		// What a hub hands out: nothing but the backup itself opens.
		if _, err := openBackup(vectors.Hub, code, data); err == nil && !bytes.Equal(data, good) {
			t.Fatalf("%x opens", data)
		}
		// What an earlier version, or a thief with the code and the identity, might have sealed.
		ev, err := event.NewRecovery(vectors.Hub, identity, code.Key(), time.Now(), code.Seal(vectors.Hub, plaintext))
		if err != nil {
			return // too long
		}
		found, err := openBackup(vectors.Hub, code, ev.Encode())
		if err != nil {
			return
		}
		again, err := trust.Canonical(found)
		if err != nil || !bytes.Equal(again, plaintext) || found.Account != identity.String() || found.Hub != vectors.Hub || len(found.XKeys) == 0 {
			t.Fatalf("%s comes out as %s, %v", plaintext, again, err)
		}
	})
}

func FuzzAddresses(f *testing.F) {
	for _, document := range []string{
		`{"version":1,"nats":["nats://:4222","nats://10.0.0.1:4222","tls://hub.example:4222"],"websocket":"/nats"}`,
		`{"nats":["nats://localhost:4222","nats://127.0.0.1:1","nats://[::1]:2","x","","nats://h",":%zz"],"websocket":"wss://evil.example/"}`,
		`{"nats":null,"websocket":"//evil.example/"}`, `{}`, `[]`,
	} {
		f.Add("https://hub.example/base", document)
		f.Add("http://localhost:8420", document)
	}
	f.Fuzz(func(t *testing.T, origin, text string) {
		base, err := url.Parse(origin)
		if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
			return // discover refuses it
		}
		var found discovered
		if json.Unmarshal([]byte(text), &found.document) != nil {
			return
		}
		ports, socket, path := found.addresses(origin)
		for _, address := range ports {
			at, err := url.Parse(address)
			if err != nil || at.Hostname() == "" && base.Hostname() != "" || at.Port() == "" {
				t.Fatalf("address %q of %q", address, text)
			}
			if isLoopback(at.Hostname()) && !isLoopback(base.Hostname()) {
				t.Fatalf("a hub at %s sends its members to %s", origin, address)
			}
		}
		if socket == "" {
			return
		}
		if want := map[string]string{"http": "ws://", "https": "wss://"}[base.Scheme] + base.Host; socket != want || path[0] != '/' {
			t.Fatalf("socket %q, path %q at %q", socket, path, origin)
		}
	})
}

func FuzzParseRef(f *testing.F) {
	account := trust.NewKeyPair(trust.Account).String()
	for _, ref := range []string{"alice/films", "Alice/FILMS/a/b/", account + "/films", "alice", "/", "a/b/../c", "*/>", "a.b/c", "\xff/a", "alice//x"} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		owner, name, path, err := parseRef(ref)
		if err != nil {
			if !fault.Is(err, fault.Malformed) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		_, keyErr := trust.ParsePublicKey(trust.Account, owner)
		if (keyErr != nil && !trust.IsName(owner)) || !trust.IsName(name) || !strings.Contains(ref, path) {
			t.Fatalf("%q names %q, %q, %q", ref, owner, name, path)
		}
		ownerAgain, nameAgain, _, err := parseRef(owner + "/" + name)
		if err != nil || ownerAgain != owner || nameAgain != name {
			t.Fatalf("%q is not stable: %v", ref, err)
		}
	})
}

// A room's message is worth its two sequences only if each stands there once: a publisher can
// put headers of its own in front.
func FuzzSequences(f *testing.F) {
	f.Add("7", "", "6", "")
	f.Add("7", "8", "6", "")
	f.Add("-1", "", "0x1", "")
	f.Add("18446744073709551616", "", "1", "")
	f.Fuzz(func(t *testing.T, seq, seqAgain, last, lastAgain string) {
		header := nats.Header{"Nats-Sequence": {seq}, "Nats-Last-Sequence": {last}}
		if seqAgain != "" {
			header["Nats-Sequence"] = append(header["Nats-Sequence"], seqAgain)
		}
		if lastAgain != "" {
			header["Nats-Last-Sequence"] = append(header["Nats-Last-Sequence"], lastAgain)
		}
		if _, _, ok := sequences(header); ok && (seqAgain != "" || lastAgain != "" || seq == "" || last == "" || strings.ContainsAny(seq+last, "+-_ x")) {
			t.Fatalf("%v is taken", header)
		}
	})
}

// What a hub shows of a chain: nothing of it counts that the person did not sign.
func FuzzChainPage(f *testing.F) {
	f.Add([]byte(`{"events":[{"seq":1,"time":"2026-11-22T14:08:50Z","event":"AQEAAA==","withheld":true}],"head":1}`), uint64(0))
	f.Add([]byte(`{"events":[],"head":0}`), uint64(3))
	var vectors struct {
		Ledger []struct{ Event hexed }
	}
	readVectors(f, "chain.json", &vectors)
	for _, e := range vectors.Ledger {
		data, err := json.Marshal(api.ChainPage{Events: []api.Entry{{Seq: 1, Event: e.Event}}, Head: 1})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint64(0))
		f.Add(data, uint64(1))
	}
	hub := trust.NewKeyPair(trust.Operator).String() // another hub than that of the vectors
	f.Fuzz(func(t *testing.T, data []byte, seq uint64) {
		var answer api.ChainPage
		if json.Unmarshal(data, &answer) != nil {
			return
		}
		entries, err := continued(answer, seq, event.Hash{1}, "of somebody")
		if err == nil && seq > 0 {
			t.Fatalf("another past is taken: %+v", answer)
		}
		if err != nil {
			return
		}
		for _, entry := range entries {
			known := &page{}
			if err := known.apply(hub, entry); err == nil || known.Person.Seq != 0 || known.Shares.Seq != 0 {
				t.Fatalf("%+v is taken: %v", entry, err)
			}
		}
	})
}

func FuzzJudgeBody(f *testing.F) {
	var vectors struct {
		Answer, Refusal string
		OpenHash, Root  hexed
	}
	readVectors(f, "handshake.json", &vectors)
	f.Add(answerType, []byte(vectors.Answer))
	f.Add(refusalType, []byte(vectors.Refusal))
	f.Add(refusalType, []byte(vectors.Answer))
	f.Add(answerType, []byte("{}"))
	hash, root := seal.Hash(vectors.OpenHash), seal.Hash(vectors.Root)
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		if kind != refusalType {
			kind = answerType
		}
		answer, err := (&source{root: root}).judgeBody(kind, hash, body)
		var reason *seal.Reason
		switch {
		case err == nil && (kind == refusalType || answer.Open != hash || answer.Root != root || seal.Blocks(answer.Size) == 0):
			t.Fatalf("%s is taken: %+v", body, answer)
		case errors.As(err, &reason) && len(reason.Message) > seal.MaxMessage:
			t.Fatalf("a reason of %d bytes", len(reason.Message))
		case err != nil && reason == nil && !errors.Is(err, seal.ErrMalformed) && !errors.Is(err, event.ErrNotMeant):
			t.Fatalf("unexpected error: %v", err)
		}
	})
}

// hexed are bytes that stand in a vector as hex.
type hexed []byte

func (h *hexed) UnmarshalText(text []byte) error {
	*h = make([]byte, len(text)/2)
	_, err := hex.Decode(*h, text)
	return err
}

type listingVectors struct {
	Cases []struct{ Text string }
}

type recoveryVectors struct {
	Hub, Code, Identity, Plaintext string
	Event                          string
	Refused                        []struct{ Name, Why, Event string } `json:"refusedBackups"`
}

func (recoveryVectors) event(t testing.TB, text string) []byte {
	t.Helper()
	var data hexed
	if err := data.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return data
}

func readVectors(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile("../testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseState(f *testing.F) {
	for _, text := range []string{`{"state":"here"}`, `{"state":"typing"}`, `{"state":"gone"}`, `{"state":""}`, `{"state":"here","x":1}`, `{}`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		state, err := parseState(text)
		if err != nil {
			return
		}
		again, err := trust.Canonical(liveBody{state})
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%q comes out as %q, %v", text, again, err)
		}
	})
}
