package hubtest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// SessionCookie is the cookie of a session.
const SessionCookie = "keyhall_session"

// CheapPassword is a cost at which tests derive passwords: the least that there may be.
var CheapPassword = trust.PasswordCost{Salt: [16]byte{1, 2, 3}, Memory: trust.MinPasswordMemory, Passes: 1}

// Browser speaks to a hub as a browser does: with the headers that browsers send, a cookie
// jar, and NATS through a WebSocket. It may be changed to be an attacker's.
type Browser struct {
	t      *testing.T
	hubID  string
	Origin string // of the hub
	HTTP   *http.Client
	Header http.Header // sent with every request

	Key   *trust.KeyPair // of the device, once there is one
	Token *trust.DeviceToken
}

// Answer is what the hub answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// T is the test that the hall is for.
func (h *Hall) T() *testing.T { return h.t }

// Browser opens a browser that nobody has used.
func (h *Hall) Browser() *Browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	transport := &http.Transport{}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &Browser{
		t: h.t, Origin: h.HTTP(),
		HTTP: &http.Client{
			Jar: jar, Transport: transport, Timeout: Patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Header: http.Header{"Sec-Fetch-Site": {"same-origin"}, "Content-Type": {"application/json"}, "User-Agent": {"Browser/1 (test)"}},
	}
}

// Browser opens a browser in which the member is signed in.
func (m *Member) Browser(name string) *Browser {
	m.hall.t.Helper()
	b := m.hall.Browser()
	m.Lend(b, name)
	if answer := b.OpenSession(); answer.Status != http.StatusOK {
		m.hall.t.Fatalf("no session: %d %s", answer.Status, answer.Body)
	}
	return b
}

// Lend makes a browser a device of the member's, which has opened no session yet.
func (m *Member) Lend(b *Browser, name string) {
	m.hall.t.Helper()
	token, key, err := m.AddDevice(Context(m.hall.t), name)
	if err != nil {
		m.hall.t.Fatal(err)
	}
	b.Token, b.Key, b.hubID = token, key, m.HubID()
}

// HubID is the id of the member's hub.
func (m *Member) HubID() string {
	m.hall.t.Helper()
	hub, err := trust.ParseHub(m.Profile.Settings.Hub)
	if err != nil {
		m.hall.t.Fatal(err)
	}
	return hub.ID
}

// Do makes a request. Its body is JSON of a value, or a text as it is; nil for none.
func (b *Browser) Do(method, path string, body any) *Answer {
	b.t.Helper()
	var reader io.Reader
	if text, is := body.(string); is {
		reader = strings.NewReader(text)
	} else if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	if strings.HasPrefix(path, "/") {
		path = b.Origin + path
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, path, reader)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range b.Header {
		request.Header[name] = values
	}
	response, err := b.HTTP.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return &Answer{response.StatusCode, response.Header, data}
}

// Get gets something.
func (b *Browser) Get(path string) *Answer { b.t.Helper(); return b.Do(http.MethodGet, path, nil) }

// Post posts JSON, or a text as it is.
func (b *Browser) Post(path string, body any) *Answer {
	b.t.Helper()
	return b.Do(http.MethodPost, path, body)
}

// Delete deletes, with JSON.
func (b *Browser) Delete(path string, body any) *Answer {
	b.t.Helper()
	return b.Do(http.MethodDelete, path, body)
}

// Code is the code of a refusal; empty for none.
func (a *Answer) Code() fault.Code {
	var refusal struct {
		Code fault.Code `json:"code"`
	}
	_ = json.Unmarshal(a.Body, &refusal) // an answer of another form has none
	return refusal.Code
}

// Read reads a good answer, which has nothing that T does not know.
func Read[T any](t *testing.T, a *Answer) *T {
	t.Helper()
	if a.Status != http.StatusOK {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	value := new(T)
	decoder := json.NewDecoder(bytes.NewReader(a.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
	return value
}

// Cookie is what the browser keeps by a name; empty for nothing.
func (b *Browser) Cookie(name string) string {
	b.t.Helper()
	for _, cookie := range b.HTTP.Jar.Cookies(b.at("/api/oidc/who")) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// SetCookie puts a cookie into the jar.
func (b *Browser) SetCookie(name, value string) {
	b.t.Helper()
	b.HTTP.Jar.SetCookies(b.at("/"), []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

func (b *Browser) at(path string) *url.URL {
	b.t.Helper()
	at, err := url.Parse(b.Origin + path)
	if err != nil {
		b.t.Fatal(err)
	}
	return at
}

// Challenge asks for a challenge.
func (b *Browser) Challenge() string {
	b.t.Helper()
	return Read[struct {
		Challenge string `json:"challenge"`
	}](b.t, b.Post("/api/session/challenge", struct{}{})).Challenge
}

// OpenSession proves the browser's device and gets the cookie.
func (b *Browser) OpenSession() *Answer {
	b.t.Helper()
	return b.Prove(b.Challenge())
}

// Prove answers a challenge with the signature of the browser's device.
func (b *Browser) Prove(challenge string) *Answer {
	b.t.Helper()
	return b.Post("/api/session", b.proof(challenge))
}

// Revoked asks where the browser's device was revoked: for the chain after a place.
func (b *Browser) Revoked(after uint64) *Answer {
	b.t.Helper()
	proof := b.proof(b.Challenge())
	proof["after"] = after
	return b.Post("/api/session/revoked", proof)
}

func (b *Browser) proof(challenge string) map[string]any {
	b.t.Helper()
	raw, err := hex.DecodeString(challenge)
	if err != nil {
		b.t.Fatal(err)
	}
	sig := trust.SignSession(b.Key, b.hubID, [32]byte(raw))
	return map[string]any{"token": b.Token.Text, "challenge": challenge, "signature": sig[:]}
}

// Unlock opens the backup of somebody's password: the event, and what is in it.
func (b *Browser) Unlock(hubID, name, password string) (*event.Event, []byte) {
	b.t.Helper()
	cost := Read[struct {
		Salt   []byte `json:"salt"`
		Memory uint32 `json:"memory"`
		Passes uint32 `json:"passes"`
	}](b.t, b.Post("/api/login/begin", map[string]string{"name": name}))
	yields, err := trust.DerivePassword(hubID, password, trust.PasswordCost{Salt: [16]byte(cost.Salt), Memory: cost.Memory, Passes: cost.Passes})
	if err != nil {
		b.t.Fatal(err)
	}
	verifier := yields.Verifier()
	answer := Read[struct {
		Event []byte `json:"event"`
	}](b.t, b.Post("/api/login/finish", map[string]any{"name": name, "verifier": verifier[:]}))
	ev, err := event.Decode(answer.Event)
	if err != nil {
		b.t.Fatal(err)
	}
	login, err := ev.CheckLogin(hubID)
	if err != nil || login.Password == nil {
		b.t.Fatalf("no login by password: %v", err)
	}
	text, err := yields.Open(hubID, ev.Author, login.Password.Blob)
	if err != nil {
		b.t.Fatal(err)
	}
	return ev, text
}

// Account connects to the account of the browser's device through the WebSocket, with
// whatever cookies there are.
func (b *Browser) Account() (*nats.Conn, error) {
	b.t.Helper()
	return b.dial(nats.UserJWTAndSeed(b.Token.Text, string(b.Key.Seed())))
}

// Rooms connects to ROOMS through the WebSocket.
func (b *Browser) Rooms(rooms ...string) (*nats.Conn, error) {
	b.t.Helper()
	return b.dial(b.enter(rooms)...)
}

// RoomsBeside connects to ROOMS at the NATS port, with the session's cookie as the token.
func (b *Browser) RoomsBeside(address string, rooms ...string) (*nats.Conn, error) {
	b.t.Helper()
	nc, err := nats.Connect(address, append(b.enter(rooms), nats.Token(b.Cookie(SessionCookie)), nats.NoReconnect(), nats.Timeout(Patience))...)
	if err == nil {
		b.t.Cleanup(nc.Close)
	}
	return nc, err
}

// enter is how the browser's device says that it wants into rooms.
func (b *Browser) enter(rooms []string) []nats.Option {
	b.t.Helper()
	proof := Read[api.Proof](b.t, b.Get("/.well-known/keyhall?challenge="+strings.Repeat("00", 32)))
	var document api.Document
	if err := json.Unmarshal([]byte(proof.Document), &document); err != nil {
		b.t.Fatal(err)
	}
	sign := func(nonce []byte) ([]byte, error) {
		sig := b.Key.Sign(nonce)
		return sig[:], nil
	}
	return []nats.Option{
		nats.UserJWT(func() (string, error) { return document.Sentinel, nil }, sign),
		nats.UserInfo("rooms "+b.Key.String()+" "+strings.Join(rooms, ","), ""),
	}
}

func (b *Browser) dial(options ...nats.Option) (*nats.Conn, error) {
	b.t.Helper()
	header := http.Header{"Origin": {b.Origin}, "User-Agent": b.Header["User-Agent"]}
	for _, cookie := range b.HTTP.Jar.Cookies(b.at("/nats")) {
		header.Add("Cookie", cookie.Name+"="+cookie.Value)
	}
	nc, err := nats.Connect("ws"+strings.TrimPrefix(b.Origin, "http"), append(options,
		nats.ProxyPath("/nats"), nats.WebSocketConnectionHeaders(header), nats.NoReconnect(),
		nats.CustomInboxPrefix(trust.InboxPrefix(b.Key.Public())), nats.Timeout(Patience),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err == nil {
		b.t.Cleanup(nc.Close)
	}
	return nc, err
}
