package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"keyhall.dev/keyhall/internal/hubtest"
)

var b64 = base64.RawURLEncoding.EncodeToString

// authenticator holds one passkey, as a phone or a stick does.
type authenticator struct {
	t       *testing.T
	id      []byte
	key     *ecdsa.PrivateKey
	user    []byte // handle
	origin  string // that it is told by the browser
	host    string // RP ID
	counter uint32
}

func newAuthenticator(t *testing.T, b *hubtest.Browser) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	a := &authenticator{t: t, id: make([]byte, 32), key: key, origin: b.Origin, host: "localhost"}
	_, err = rand.Read(a.id)
	must(t, err)
	return a
}

// options are what the hub asks for.
type options struct {
	Options struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
		Extensions struct {
			PRF struct {
				Eval struct {
					First string `json:"first"`
				} `json:"eval"`
			} `json:"prf"`
		} `json:"extensions"`
	} `json:"options"`
}

func asked(t *testing.T, answer *hubtest.Answer) *options {
	t.Helper()
	if answer.Status != 200 {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	o := new(options)
	must(t, json.Unmarshal(answer.Body, o))
	return o
}

func (a *authenticator) client(kind, challenge string) []byte {
	a.t.Helper()
	data, err := json.Marshal(map[string]any{"type": "webauthn." + kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	must(a.t, err)
	return data
}

// data is what an authenticator signs of itself: user present and verified.
func (a *authenticator) data(more byte) []byte {
	hash := sha256.Sum256([]byte(a.host))
	a.counter++
	data := append(hash[:], 0x01|0x04|more)
	return binary.BigEndian.AppendUint32(data, a.counter)
}

// make makes the credential that the hub asked for.
func (a *authenticator) make(o *options) any {
	a.t.Helper()
	user, err := base64.RawURLEncoding.DecodeString(o.Options.User.ID)
	must(a.t, err)
	a.user = user
	raw, err := a.key.PublicKey.Bytes() // 0x04 ‖ x ‖ y
	must(a.t, err)
	public, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: raw[1:33], -3: raw[33:]})
	must(a.t, err)
	data := append(a.data(0x40), make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), public...)
	attestation, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	must(a.t, err)
	return map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "clientExtensionResults": map[string]any{"prf": map[string]any{"enabled": true}},
		"response": map[string]any{"clientDataJSON": b64(a.client("create", o.Options.Challenge)), "attestationObject": b64(attestation)},
	}
}

// sign signs what the hub asked.
func (a *authenticator) sign(o *options) any {
	a.t.Helper()
	client, data := a.client("get", o.Options.Challenge), a.data(0)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	must(a.t, err)
	return map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{
			"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(sig), "userHandle": b64(a.user),
		},
	}
}

// register makes a passkey of who is signed in.
func register(t *testing.T, b *hubtest.Browser, name string) *authenticator {
	t.Helper()
	a := newAuthenticator(t, b)
	made := hubtest.Read[struct {
		ID string `json:"id"`
	}](t, b.Post("/api/passkeys/finish", map[string]any{"credential": a.make(asked(t, b.Post("/api/passkeys/begin", struct{}{}))), "name": name}))
	if made.ID != b64(a.id) {
		t.Fatalf("it is called %s", made.ID)
	}
	return a
}

func credential(of any) map[string]any { return map[string]any{"credential": of} }

func hostOf(b *hubtest.Browser) string { return strings.TrimPrefix(b.Origin, "http://") }
