package callout

import (
	"context"
	"encoding/base64"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/natsd"
)

var update = flag.Bool("update", false, "write the requests of the real server to testdata/requests")

const requestsFolder = "testdata/requests"

// logins are the ways in which clients come: with the sentinel's JWT and a
// signature, with what a browser sends, with plain fields, with hostile ones.
func logins(sentinel string, device nkeys.KeyPair) map[string][]nats.Option {
	withSentinel := nats.UserJWT(func() (string, error) { return sentinel, nil }, device.Sign)
	return map[string][]nats.Option{
		"device":   {withSentinel, nats.UserInfo("rooms device kitchen,attic", ""), nats.Name("keyhall")},
		"password": {nats.UserInfo("ada", "hunter2")},
		"token":    {nats.Token("s3ss10n")},
		"nothing":  {},
		"hostile":  {nats.UserInfo("a\n\x00*>\u2028\"}{", strings.Repeat("p", 1000)), nats.Name("\x1b[31m")},
	}
}

// TestRequestsOfTheServer records what the real server asks about each kind of login,
// and checks that it is read as it was said.
func TestRequestsOfTheServer(t *testing.T) {
	server, err := natsd.Start(context.Background(), natsd.Options{
		DataDir: t.TempDir(), NATS: "127.0.0.1:-1", AuthTimeout: 5 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	keys := server.Keys()
	device, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := newBoxes(keys.CalloutXKey)
	if err != nil {
		t.Fatal(err)
	}
	recorded := recordRequests(t, server)
	for name, options := range logins(keys.Sentinel, device) {
		if nc, err := nats.Connect(server.ClientURL(), options...); err == nil {
			nc.Close()
			t.Fatalf("%s: let in", name)
		}
		message := <-recorded
		request, err := openRequest(boxes, keys.Auth, message.Header, message.Data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkRecorded(t, name, request, publicOf(t, device))
		if *update {
			writeRequest(t, name, keys.CalloutXKey, message)
		}
	}
}

// recordRequests stands in for the engine: it keeps each request and refuses it.
func recordRequests(t *testing.T, server *natsd.Server) <-chan *nats.Msg {
	t.Helper()
	nc, err := server.Connect(server.Keys().CalloutUser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	recorded := make(chan *nats.Msg, 16)
	if _, err := nc.Subscribe(requestSubject, func(m *nats.Msg) {
		recorded <- m
		if err := m.Respond(nil); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return recorded
}

func checkRecorded(t *testing.T, name string, r *Request, device string) {
	t.Helper()
	left := time.Until(r.Expires)
	if !nkeys.IsValidPublicUserKey(r.UserKey) || !nkeys.IsValidPublicServerKey(r.Server.ID) || r.Client.ID == 0 ||
		r.Client.Host != "127.0.0.1" || r.Client.Type != "nats" || left < time.Second || left > 5*time.Second {
		t.Errorf("%s: request %+v", name, r)
	}
	var good bool
	switch name {
	case "device":
		raw, err := base64.RawURLEncoding.DecodeString(r.Signature)
		good = r.User == "rooms device kitchen,attic" && r.Client.Name == "keyhall" && r.VerifySignature(device) == nil && err == nil && len(raw) == signatureSize
	case "password":
		good = r.User == "ada" && r.Password.Reveal() == "hunter2" && r.Nonce == ""
	case "token":
		good = r.Token.Reveal() == "s3ss10n" && r.User == ""
	case "nothing":
		good = r.User == "" && r.Password == "" && r.Token == "" && r.Signature == ""
	case "hostile":
		good = r.User == "a\n\x00*>\u2028\"}{" && len(r.Password) == 1000 && r.Client.Name == "\x1b[31m"
	}
	if !good {
		t.Errorf("%s: request %+v", name, r)
	}
}

// writeRequest keeps the request as the server signed it, without the seal around it.
func writeRequest(t *testing.T, name string, xkey nkeys.KeyPair, message *nats.Msg) {
	t.Helper()
	token, err := xkey.Open(message.Data, message.Header.Get(xkeyHeader))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(requestsFolder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(requestsFolder, name+".jwt"), token, 0o644); err != nil {
		t.Fatal(err)
	}
}
