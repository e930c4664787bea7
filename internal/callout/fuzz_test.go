package callout

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/throttle"
)

// How a fuzzed input becomes a request: each way gets deeper than the one before.
const (
	asMessage = iota // the bytes are what is heard, under a good xkey header
	asHeader         // the bytes are the xkey header of a good request
	asToken          // the bytes are sealed as a server would
	asClaims         // the bytes are the claims, which are signed and sealed
	ways
)

// fuzzHall is both ends of a callout without a server in between.
type fuzzHall struct {
	respondent respondent
	backends   []Backend
	server     nkeys.KeyPair
	serverKey  string
	serverX    nkeys.KeyPair
	serverXKey string
	calloutX   string
}

func newFuzzHall(t testing.TB) *fuzzHall {
	t.Helper()
	pair := func(create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		kp, err := create()
		if err != nil {
			t.Fatal(err)
		}
		return kp, publicOf(t, kp)
	}
	h := &fuzzHall{}
	auth, authKey := pair(nkeys.CreateAccount)
	xkey, xkeyPublic := pair(nkeys.CreateCurveKeys)
	target, targetKey := pair(nkeys.CreateAccount)
	h.server, h.serverKey = pair(nkeys.CreateServer)
	h.serverX, h.serverXKey = pair(nkeys.CreateCurveKeys)
	h.calloutX = xkeyPublic
	boxes, err := newBoxes(xkey)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := newSigner(auth)
	if err != nil {
		t.Fatal(err)
	}
	h.respondent = respondent{
		account: authKey, issuer: issuer, boxes: boxes, signers: newSigners(), maxAnswer: 1 << 20,
		checkServer: func(s Server) error { return CheckServerVersion(s.Version) },
		replays:     newReplays(), throttle: throttle.New(Throttle{}.WithDefaults()),
		logger: slog.New(slog.DiscardHandler),
	}
	h.backends = []Backend{Only("fuzz", func(_ context.Context, r *Request) (*Grant, error) {
		g := &Grant{Account: targetKey, Signer: target, Name: r.User, Expires: time.Now().Add(time.Hour)}
		if r.Client.Name != "" {
			g.Tags = []string{r.Client.Name}
		}
		g.Subscribe.Allow = strings.Split(r.User, ",")
		if r.VerifySignature(r.User) == nil {
			return nil, errors.New("a signature nobody made")
		}
		return g, nil
	})}
	return h
}

// answer takes a request from its bytes to the bytes of the answer.
func (h *fuzzHall) answer(header nats.Header, data []byte) answer {
	l, err := h.respondent.receive(h.backends, header, data)
	if err != nil {
		return h.respondent.refuse(l, err)
	}
	return h.respondent.decide(context.Background(), l)
}

// message makes what the engine hears.
func (h *fuzzHall) message(t testing.TB, way uint8, data []byte) (nats.Header, []byte) {
	t.Helper()
	header := nats.Header{xkeyHeader: {h.serverXKey}}
	switch way % ways {
	case asMessage:
		return header, data
	case asHeader:
		return nats.Header{xkeyHeader: {string(data)}}, h.seal(t, []byte("eyJ"))
	case asToken:
		return header, h.seal(t, data)
	default:
		return header, h.seal(t, h.sign(t, data))
	}
}

func (h *fuzzHall) seal(t testing.TB, data []byte) []byte {
	t.Helper()
	sealed, err := h.serverX.Seal(data, h.calloutX)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// sign puts the claims of a request into a JWT of our server's, which is live.
func (h *fuzzHall) sign(t testing.TB, data []byte) []byte {
	t.Helper()
	claims := jwt.NewAuthorizationRequestClaims(h.respondent.account)
	if err := json.Unmarshal(data, &claims.AuthorizationRequest); err != nil {
		t.Skip("not claims")
	}
	claims.Audience = requestAudience
	claims.Expires = time.Now().Add(time.Hour).Unix()
	claims.Server.ID, claims.Server.XKey = h.serverKey, h.serverXKey
	claims.UserNkey = newUserKey(t) // a server makes one for each request
	token, err := claims.Encode(h.server)
	if err != nil {
		t.Skip("not encodable")
	}
	return []byte(token)
}

func newUserKey(t testing.TB) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return publicOf(t, pair)
}

// checkAnswer reads an answer as the server does.
func (h *fuzzHall) checkAnswer(t testing.TB, a answer) {
	t.Helper()
	if a.Decision.Allowed != (a.Err == nil) || (a.Decision.Reason == "") != a.Decision.Allowed {
		t.Fatalf("decision %+v with error %v", a.Decision, a.Err)
	}
	if len(a.Data) == 0 {
		if a.Decision.Allowed {
			t.Fatal("allowed without an answer")
		}
		return
	}
	token, err := h.serverX.Open(a.Data, h.calloutX)
	if err != nil {
		t.Fatal(err)
	}
	response, err := jwt.DecodeAuthorizationResponseClaims(string(token))
	if err != nil {
		t.Fatal(err)
	}
	mustBeValid(t, response)
	if response.Audience != h.serverKey || response.Subject != a.Decision.UserKey || (response.Error == "") != a.Decision.Allowed {
		t.Fatalf("response %+v to decision %+v", response, a.Decision)
	}
	if !a.Decision.Allowed {
		if response.Error != refusalText || response.Jwt != "" {
			t.Fatalf("refusal %+v", response)
		}
		return
	}
	user, err := jwt.DecodeUserClaims(response.Jwt)
	if err != nil {
		t.Fatal(err)
	}
	mustBeValid(t, user)
	if user.Subject != a.Decision.UserKey || !user.Sub.Deny.Contains("_INBOX.>") || !user.Pub.Deny.Contains(everything) {
		t.Fatalf("user %+v", user)
	}
}

func mustBeValid(t testing.TB, claims jwt.Claims) {
	t.Helper()
	results := jwt.CreateValidationResults()
	claims.Validate(results)
	if len(results.Issues) > 0 {
		t.Fatalf("the server refuses these claims: %v", results.Issues[0])
	}
}

// recordedRequests are what a real server asked (TestRequestsOfTheServer -update).
func recordedRequests(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(requestsFolder, "*.jwt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded requests: %v", err)
	}
	recorded := make(map[string]string, len(files))
	for _, file := range files {
		token, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		recorded[strings.TrimSuffix(filepath.Base(file), ".jwt")] = string(token)
	}
	return recorded
}

// claimsOf is the part of a recorded request that a client can influence.
func claimsOf(t testing.TB, token string) []byte {
	t.Helper()
	claims, err := jwt.DecodeAuthorizationRequestClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(claims.AuthorizationRequest)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestARecordedRequestIsAnswered(t *testing.T) {
	h := newFuzzHall(t)
	allowed := map[string]bool{"password": true} // the toy authorizer makes a subject of the user field
	for name, token := range recordedRequests(t) {
		header, data := h.message(t, asClaims, claimsOf(t, token))
		a := h.answer(header, data)
		h.checkAnswer(t, a)
		if a.Decision.Allowed != allowed[name] || a.Decision.UserKey == "" {
			t.Errorf("%s: decision %+v", name, a.Decision)
		}
		// As recorded, it is for another account.
		header, data = h.message(t, asToken, []byte(token))
		if a := h.answer(header, data); a.Decision.Allowed || a.Decision.UserKey != "" {
			t.Errorf("%s: replayed to another callout: %+v", name, a.Decision)
		}
	}
}

// TestAHugeRequestIsNotOpened: it is a good one but for its size.
func TestAHugeRequestIsNotOpened(t *testing.T) {
	h := newFuzzHall(t)
	for size, want := range map[int]Outcome{maxRequest / 3: Failed, maxRequest: Malformed} { // the first has no name to grant
		header, data := h.message(t, asClaims, []byte(`{"server_id":{"version":"2.15.2"},"client_info":{"kind":"Client"},"connect_opts":{"pass":"`+
			strings.Repeat("x", size*3/4)+`"}}`))
		a := h.answer(header, data)
		if a.Decision.Outcome != want || errors.Is(a.Err, errTooLarge) != (want == Malformed) {
			t.Errorf("a request of %d bytes: %+v, %v", len(data), a.Decision, a.Err)
		}
	}
}

// FuzzRequest: whatever is heard, the engine decides, and what it answers is what a
// server takes. Keys and nonces are random, so that minimizing never settles: run it
// with -fuzzminimizetime 50x.
func FuzzRequest(f *testing.F) {
	for _, token := range recordedRequests(f) {
		f.Add(uint8(asToken), []byte(token))
		f.Add(uint8(asClaims), claimsOf(f, token))
	}
	h := newFuzzHall(f)
	f.Add(uint8(asMessage), []byte("xkv1"))
	f.Add(uint8(asMessage), h.seal(f, []byte("eyJ")))
	f.Add(uint8(asHeader), []byte(h.calloutX))
	f.Add(uint8(asHeader), []byte(strings.Repeat("X", 200)))
	f.Fuzz(func(t *testing.T, way uint8, data []byte) {
		header, message := h.message(t, way, data)
		a := h.answer(header, message)
		h.checkAnswer(t, a)
		if again := h.answer(header, message); again.Decision.Allowed || a.Decision.Allowed && len(again.Data) > 0 {
			t.Fatalf("answered twice: %+v", again.Decision)
		}
	})
}
