// Package vectors_test holds Keyhall against testdata/vectors: the byte-exact examples that
// every implementation of docs/protocol has to meet, and what each has to refuse.
//
//	go test ./test/vectors            meets them, and fails if making them again would change a byte
//	go test ./test/vectors -update    writes them
//
// What is sealed with random bytes is made here with bytes that the files name, by a few
// lines that share nothing with the packages under test.
package vectors_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/trust"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

const folder = "../../testdata/vectors"

// makers make each file.
var makers = map[string]func() any{
	"keys.json":           func() any { return makeKeys() },
	"signatures.json":     func() any { return makeSignatures() },
	"ids.json":            func() any { return makeIDs() },
	"names.json":          func() any { return makeNames() },
	"words.json":          func() any { return makeWords() },
	"invite.json":         func() any { return makeInvites() },
	"recovery.json":       func() any { return makeRecovery() },
	"password.json":       func() any { return makePasswords() },
	"login.json":          func() any { return makeLogins() },
	"session.json":        func() any { return makeSession() },
	"link.json":           func() any { return makeLink() },
	"device-token.json":   func() any { return makeTokens() },
	"hub-proof.json":      func() any { return makeProof() },
	"canonical-json.json": func() any { return makeCanonical() },
	"box.json":            func() any { return makeBoxes() },
	"event.json":          func() any { return makeEvents() },
	"event-access.json":   func() any { return makeAccess() },
	"event-batch.json":    func() any { return makeBatches() },
	"event-judge.json":    func() any { return makeJudged() },
	"event-message.json":  func() any { return makeMessages() },
	"event-private.json":  func() any { return makeRing() },
	"event-trail.json":    func() any { return makeTrails() },
	"epoch-key.json":      func() any { return makeEpoch() },
	"handshake.json":      func() any { return makeHandshake() },
	"blocks.json":         func() any { return makeBlocks() },
	"tree.json":           func() any { return makeTrees() },
	"listing.json":        func() any { return makeListings() },
	"chain.json":          func() any { return makeLedger() },
}

func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		for name, make := range makers {
			must(os.WriteFile(filepath.Join(folder, name), encode(make()), 0o644)) //nolint:gosec // public
		}
	}
	os.Exit(m.Run())
}

func TestVectorsComeOutTheSameWhenMadeAgain(t *testing.T) {
	for name, make := range makers {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, encode(make())) {
			t.Errorf("%s is not what -update writes", name)
		}
	}
}

// Nothing lies there that no test reads.
func TestEveryVectorFileIsMade(t *testing.T) {
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if makers[file.Name()] == nil && file.Name() != wordList {
			t.Errorf("nothing makes %s", file.Name())
		}
	}
}

func encode(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	must(enc.Encode(v))
	return out.Bytes()
}

// load reads a file as it lies there, and fails for what its type does not know.
func load[T any](t *testing.T, name string) *T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	v := new(T)
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		t.Fatal(err)
	}
	return v
}

// octets are bytes that stand in a file as hex.
type octets []byte

func (o octets) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(o)), nil }

func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}

// about is how every file begins.
type about struct {
	About string `json:"about"`
	Page  string `json:"page"` // of docs/protocol
}

// refusal is a case that must be refused.
type refusal struct {
	Name string `json:"name"`
	Why  string `json:"why"` // the check that refuses it
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func get[T any](v T, err error) T {
	must(err)
	return v
}

func hash(parts ...[]byte) []byte {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return sum[:]
}

func label(kind string) []byte { return []byte("\xffkeyhall/" + kind + "/v1\x00") }

func unhex(text string) []byte { return get(hex.DecodeString(text)) }

// secret is 32 bytes that a name stands for: every key of the vectors is made of one.
func secret(name string) []byte { return hash([]byte("keyhall vectors: " + name)) }

// pair is the key pair of a name.
var pair = cached(func(kind trust.Kind, name string) *trust.KeyPair {
	prefix := map[trust.Kind]nkeys.PrefixByte{
		trust.Operator: nkeys.PrefixByteOperator, trust.Account: nkeys.PrefixByteAccount, trust.Device: nkeys.PrefixByteUser,
	}[kind]
	return get(trust.ParseSeed(kind, get(nkeys.EncodeSeed(prefix, secret(name)))))
})

func cached(f func(trust.Kind, string) *trust.KeyPair) func(trust.Kind, string) *trust.KeyPair {
	var mu sync.Mutex
	known := make(map[string]*trust.KeyPair)
	return func(kind trust.Kind, name string) *trust.KeyPair {
		mu.Lock()
		defer mu.Unlock()
		key := string(rune(kind)) + name
		if known[key] == nil {
			known[key] = f(kind, name)
		}
		return known[key]
	}
}

func xkey(name string) *trust.XKey {
	return get(trust.ParseXKeySeed(get(nkeys.EncodeSeed(nkeys.PrefixByteCurve, secret(name)))))
}

// id is the id of a name.
func id(name string) string { return trust.FormatID([16]byte(secret(name)[:16])) }

// The hub of all vectors, and the moment at which they play.
var (
	operator = func() *trust.KeyPair { return pair(trust.Operator, "hub operator") }
	signing  = func() *trust.KeyPair { return pair(trust.Operator, "hub signing") }
	start    = time.Date(2026, 11, 22, 14, 8, 50, 0, time.UTC)
)

func hubID() string { return operator().String() }

// wantErr fails unless err matches want.
func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func sameBytes(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %x, want %x", what, got, want)
	}
}

// changed is text in which old, which it holds once, is new.
func changed(text, old, new string) string {
	if strings.Count(text, old) != 1 {
		panic(fmt.Sprintf("%q holds %q %d times", text, old, strings.Count(text, old)))
	}
	return strings.Replace(text, old, new, 1)
}

// flipped is a copy of data in which a bit is another.
func flipped(data []byte, at int) []byte {
	copied := bytes.Clone(data)
	copied[(at+len(data))%len(data)] ^= 1
	return copied
}
