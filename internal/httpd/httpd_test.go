package httpd_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var document = api.Document{Version: 1, NATS: []string{"nats://h:4222"}, WebSocket: "/nats", Sentinel: "a.b.c&<>"}

// options are those of an origin that proves nothing.
func options() httpd.Options {
	return httpd.Options{
		Address: "127.0.0.1:0", Document: document, Logger: slog.New(slog.DiscardHandler),
		Mark: func(from netip.Addr) *http.Cookie { return &http.Cookie{Name: "from", Value: from.String()} },
		Prove: func(context.Context, [32]byte, [32]byte) (api.ProveAnswer, error) {
			return api.ProveAnswer{}, fault.New(fault.Unavailable, "the signer is away")
		},
	}
}

func start(t *testing.T, o httpd.Options) *httpd.Server {
	t.Helper()
	s, err := httpd.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s
}

// get asks without keeping the connection.
func get(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// hub is an operator and what its signer answers.
func hub(t *testing.T) (id string, prove func(context.Context, [32]byte, [32]byte) (api.ProveAnswer, error)) {
	t.Helper()
	identity, signing := trust.NewKeyPair(trust.Operator), trust.NewKeyPair(trust.Operator)
	claims := jwt.NewOperatorClaims(identity.String())
	claims.SigningKeys.Add(signing.String())
	operator, err := claims.Encode(identity.NKey())
	if err != nil {
		t.Fatal(err)
	}
	return identity.String(), func(_ context.Context, challenge, document [32]byte) (api.ProveAnswer, error) {
		proof := trust.ProveHub(signing, challenge, document)
		return api.ProveAnswer{Hub: operator, Proof: proof[:]}, nil
	}
}

func TestAChallengeIsAnswered(t *testing.T) {
	o := options()
	id, prove := hub(t)
	o.Prove = prove
	s := start(t, o)
	challenge := [32]byte{1, 2, 3}
	response, body := get(t, http.MethodGet, s.URL()+"/.well-known/keyhall?challenge="+hex.EncodeToString(challenge[:]))
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s %s", response.Status, body)
	}
	if got := response.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("it may be kept: %q", got)
	}
	var answer api.Proof
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	proved, err := trust.ParseHub(answer.Hub)
	if err != nil || proved.ID != id {
		t.Fatalf("%+v, %v", proved, err)
	}
	if err := proved.CheckProof(challenge, []byte(answer.Document), answer.Proof); err != nil {
		t.Error(err)
	}
	if err := proved.CheckProof([32]byte{9}, []byte(answer.Document), answer.Proof); err == nil {
		t.Error("it proves another challenge too")
	}
	var got api.Document
	if err := json.Unmarshal([]byte(answer.Document), &got); err != nil || got.Sentinel != document.Sentinel || got.NATS[0] != document.NATS[0] {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestABadChallengeIsRefused(t *testing.T) {
	o := options()
	o.Prove = func(context.Context, [32]byte, [32]byte) (api.ProveAnswer, error) {
		t.Error("the signer was asked")
		return api.ProveAnswer{}, nil
	}
	s := start(t, o)
	good := strings.Repeat("ab", 32)
	for what, query := range map[string]string{
		"none": "", "an empty one": "?challenge=", "too short": "?challenge=" + good[:62], "too long": "?challenge=" + good + "ab",
		"an odd digit": "?challenge=" + good[:63], "no digits": "?challenge=" + strings.Repeat("xy", 32),
		"a space in front": "?challenge=%20" + good, "another name": "?Challenge=" + good,
	} {
		if response, body := get(t, http.MethodGet, s.URL()+"/.well-known/keyhall"+query); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", what, response.Status, body)
		}
	}
}

func TestWithoutItsSignerTheHubProvesNothing(t *testing.T) {
	s := start(t, options())
	response, body := get(t, http.MethodGet, s.URL()+"/.well-known/keyhall?challenge="+strings.Repeat("ab", 32))
	if response.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "signer is away") {
		t.Errorf("%s %s", response.Status, body)
	}
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	s := start(t, options())
	for _, row := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/", http.StatusOK},
		{http.MethodHead, "/", http.StatusOK},
		{http.MethodGet, "/join", http.StatusOK},
		{http.MethodGet, "/download/", http.StatusOK},
		{http.MethodGet, "/.well-known/keyhall", http.StatusBadRequest},
		{http.MethodPost, "/", http.StatusMethodNotAllowed},
		{http.MethodPost, "/.well-known/keyhall", http.StatusMethodNotAllowed},
		{http.MethodGet, "/nothing", http.StatusNotFound},
		{http.MethodGet, "/join/more", http.StatusNotFound},
		{http.MethodGet, "/nats", http.StatusNotFound}, // there is no WebSocket behind this one
	} {
		response, _ := get(t, row.method, s.URL()+row.path)
		if response.StatusCode != row.status {
			t.Errorf("%s %s: %s, want %d", row.method, row.path, response.Status, row.status)
		}
		policy := response.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s %s: policy %q lacks %s", row.method, row.path, policy, part)
			}
		}
		if strings.Contains(policy, "script") {
			t.Errorf("%s %s: scripts are allowed: %q", row.method, row.path, policy)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "", // this one speaks plain HTTP
		} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%s %s: %s %q, want %q", row.method, row.path, name, got, want)
			}
		}
		if got := response.Header.Get("Permissions-Policy"); !strings.Contains(got, "camera=()") || !strings.Contains(got, "microphone=()") {
			t.Errorf("%s %s: Permissions-Policy %q", row.method, row.path, got)
		}
	}
}

func TestThePageSaysWhatToDo(t *testing.T) {
	s := start(t, options())
	for _, path := range []string{"/", "/join", "/join?x=1"} {
		response, body := get(t, http.MethodGet, s.URL()+path)
		if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") || !strings.Contains(body, "keyhall join") {
			t.Errorf("%s: %s", path, body)
		}
		if strings.Contains(body, "<script") {
			t.Errorf("%s has a script", path)
		}
	}
}

func TestOnlyTheFilesOfTheFolderAreOffered(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "secret.txt")
	folder := filepath.Join(dir, "downloads")
	deeper := filepath.Join(folder, "deeper")
	if err := os.MkdirAll(deeper, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		outside: "secret", filepath.Join(deeper, "file"): "secret", filepath.Join(folder, ".hidden"): "secret",
		filepath.Join(folder, "keyhall<1>.tar"): "program",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Downloads = folder
	s := start(t, o)
	_, list := get(t, http.MethodGet, s.URL()+"/download/")
	if !strings.Contains(list, "keyhall&lt;1&gt;.tar") || !strings.Contains(list, "7 bytes") || strings.Count(list, "<li>") != 1 {
		t.Errorf("it offers %s", list)
	}
	response, body := get(t, http.MethodGet, s.URL()+"/download/keyhall%3C1%3E.tar")
	if response.StatusCode != http.StatusOK || body != "program" || response.Header.Get("Content-Type") != "application/octet-stream" ||
		response.Header.Get("Content-Disposition") != "attachment" {
		t.Errorf("%s %v %q", response.Status, response.Header, body)
	}
	for _, path := range []string{
		"link", ".hidden", "deeper", "deeper/file", "deeper%2Ffile", "..%2Fsecret.txt", "%2e%2e/secret.txt", "../secret.txt",
		"..", ".", "nothing", "%00", "deeper/../keyhall%3C1%3E.tar/",
	} {
		if response, body := get(t, http.MethodGet, s.URL()+"/download/"+path); response.StatusCode == http.StatusOK || body == "secret" {
			t.Errorf("%s: %s %q", path, response.Status, body)
		}
	}
	o.Downloads = filepath.Join(dir, "nothing")
	none := start(t, o)
	if response, body := get(t, http.MethodGet, none.URL()+"/download/"); response.StatusCode != http.StatusOK || strings.Contains(body, "<li>") {
		t.Errorf("no folder: %s %s", response.Status, body)
	}
	if response, _ := get(t, http.MethodGet, none.URL()+"/download/x"); response.StatusCode != http.StatusNotFound {
		t.Errorf("no folder: %s", response.Status)
	}
}

// startNATS starts a server that is reached by WebSocket.
func startNATS(t *testing.T) *natsserver.Server {
	t.Helper()
	s := natstest.Start(t, &natsserver.Options{
		Websocket: natsserver.WebsocketOpts{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoTLS: true, SameOrigin: true},
	})
	return s
}

func through(t *testing.T, s *httpd.Server) (*nats.Conn, error) {
	t.Helper()
	nc, err := nats.Connect("ws"+strings.TrimPrefix(s.URL(), "http"), nats.ProxyPath(httpd.SocketPath), nats.NoReconnect())
	if err == nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

func TestTheWebSocketGoesThroughTheOrigin(t *testing.T) {
	o := options()
	o.WebSocket = startNATS(t).WebsocketURL()
	s := start(t, o)
	nc, err := through(t, s)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := nc.SubscribeSync("a")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("x", 512<<10)
	if err := nc.Publish("a", []byte(want)); err != nil {
		t.Fatal(err)
	}
	if msg, err := sub.NextMsg(natstest.Patience); err != nil || string(msg.Data) != want {
		t.Errorf("%v", err)
	}
	if response, _ := get(t, http.MethodGet, s.URL()+httpd.SocketPath); response.StatusCode == http.StatusOK {
		t.Errorf("without an upgrade: %s", response.Status)
	}
}

// TestAnotherSitesPageIsHeldAgainstTheHost: the listener compares a browser's Origin with
// the Host header, so that has to be the browser's own.
func TestAnotherSitesPageIsHeldAgainstTheHost(t *testing.T) {
	o := options()
	o.WebSocket = startNATS(t).WebsocketURL()
	s := start(t, o)
	for origin, want := range map[string]int{
		s.URL(): http.StatusSwitchingProtocols, "https://elsewhere.example": http.StatusForbidden, "": http.StatusSwitchingProtocols,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+httpd.SocketPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": origin,
		} {
			if value != "" {
				request.Header.Set(name, value)
			}
		}
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != want {
			t.Errorf("origin %q: %s, want %d", origin, response.Status, want)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClosingCutsWebSockets(t *testing.T) {
	o := options()
	o.WebSocket = startNATS(t).WebsocketURL()
	s, err := httpd.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := through(t, s)
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(cut) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-cut:
	case <-time.After(2 * time.Second):
		t.Error("the WebSocket is open after Close")
	}
}

func TestAnOriginWithoutItsBackEndFails(t *testing.T) {
	o := options()
	o.WebSocket = "ws://127.0.0.1:1"
	s := start(t, o)
	if response, _ := get(t, http.MethodGet, s.URL()+httpd.SocketPath); response.StatusCode != http.StatusBadGateway {
		t.Errorf("%s", response.Status)
	}
	o.WebSocket = "ws://%zz"
	if _, err := httpd.Start(o); err == nil {
		t.Error("it starts with an address that is none")
	}
}

func TestAnAddressInUseIsSaidInOneSentence(t *testing.T) {
	s := start(t, options())
	o := options()
	o.Address = strings.Replace(strings.TrimPrefix(s.URL(), "http://"), "localhost", "127.0.0.1", 1)
	_, err := httpd.Start(o)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), o.Address) || !strings.Contains(err.Error(), "--http") {
		t.Errorf("%v", err)
	}
	var op *net.OpError
	if !errors.As(err, &op) {
		t.Errorf("the cause is lost: %v", errors.Unwrap(err))
	}
}

func TestTheURLIsWhatAMemberOnThisMachineTypes(t *testing.T) {
	for address, prefix := range map[string]string{
		"127.0.0.1:0": "http://localhost:", "0.0.0.0:0": "http://localhost:", ":0": "http://localhost:", "localhost:0": "http://localhost:",
	} {
		o := options()
		o.Address = address
		s := start(t, o)
		if !strings.HasPrefix(s.URL(), prefix) {
			t.Errorf("%s is %s", address, s.URL())
		}
		natstest.Eventually(t, "it answers there", func() bool {
			response, _ := get(t, http.MethodGet, s.URL())
			return response.StatusCode == http.StatusOK
		})
	}
}
