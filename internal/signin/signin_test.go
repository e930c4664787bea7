package signin_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/trust"
)

type session struct {
	ID      string    `json:"id"`
	Account string    `json:"account"`
	Handle  string    `json:"handle"`
	Device  string    `json:"device"`
	Name    string    `json:"name"`
	Made    time.Time `json:"made"`
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires"`
	From    string    `json:"from"`
	Agent   string    `json:"agent"`
	This    bool      `json:"this"`
}

type sessions struct {
	Sessions []session `json:"sessions"`
}

type cost struct {
	Salt   []byte `json:"salt"`
	Memory uint32 `json:"memory"`
	Passes uint32 `json:"passes"`
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want checks how a request was answered.
func want(t *testing.T, what string, got *hubtest.Answer, status int, code fault.Code) {
	t.Helper()
	if got.Status != status || got.Code() != code {
		t.Errorf("%s: %d %s, want %d %s", what, got.Status, got.Body, status, code)
	}
	if got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: it may be kept: %q", what, got.Header.Get("Cache-Control"))
	}
}

func identity(t *testing.T, m *hubtest.Member) *trust.KeyPair {
	t.Helper()
	seed, err := os.ReadFile(filepath.Join(m.Profile.Dir(), "keys", "identity.nk"))
	must(t, err)
	key, err := trust.ParseSeed(trust.Account, seed)
	must(t, err)
	return key
}

func answered(a *hubtest.Answer) error {
	if a.Status != http.StatusOK {
		return fmt.Errorf("%d %s", a.Status, a.Body)
	}
	return nil
}

func setPassword(t *testing.T, m *hubtest.Member, password string) {
	t.Helper()
	if _, err := m.SetPasswordAt(hubtest.Context(t), password, hubtest.CheapPassword); err != nil {
		t.Fatal(err)
	}
}

func tryPassword(b *hubtest.Browser, name string, verifier []byte) *hubtest.Answer {
	return b.Post("/api/login/finish", map[string]any{"name": name, "verifier": verifier})
}

func TestNameAndPasswordOpenTheBackupInAnyBrowser(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	hall.Join("bob")
	setPassword(t, alice, "a good password")
	b := hall.Browser()
	ev, text := b.Unlock(alice.HubID(), "Alice", "a good password")
	var backup struct{ Handle, Identity string }
	must(t, json.Unmarshal(text, &backup))
	if key := identity(t, alice); backup.Handle != "alice" || backup.Identity != string(key.Seed()) || ev.Author != key.Public() {
		t.Errorf("it holds %s's", backup.Handle)
	}

	wrong := bytes.Repeat([]byte{7}, 32)
	want(t, "a wrong password", tryPassword(b, "alice", wrong), 401, fault.Refused)
	same := tryPassword(b, "alice", wrong).Body
	for name, attempt := range map[string]string{"nobody": "zoe", "somebody without a password": "bob", "no name": "a b", "a long one": strings.Repeat("x", 1000)} {
		answer := tryPassword(b, attempt, wrong)
		if answer.Status != 401 || !bytes.Equal(answer.Body, same) {
			t.Errorf("%s: %d %s", name, answer.Status, answer.Body)
		}
		begun := hubtest.Read[cost](t, b.Post("/api/login/begin", map[string]string{"name": attempt}))
		again := hubtest.Read[cost](t, b.Post("/api/login/begin", map[string]string{"name": attempt}))
		usual := trust.NewPasswordCost()
		if len(begun.Salt) != 16 || !bytes.Equal(begun.Salt, again.Salt) || begun.Memory != usual.Memory || begun.Passes != usual.Passes {
			t.Errorf("%s: %+v, then %+v", name, begun, again)
		}
	}
	want(t, "a short verifier", tryPassword(b, "alice", wrong[:31]), 400, fault.Malformed)

	// What the hub makes up stays the same when it comes back.
	before := b.Post("/api/login/begin", map[string]string{"name": "zoe"}).Body
	hall.Stop()
	hall.Restart()
	if after := b.Post("/api/login/begin", map[string]string{"name": "zoe"}).Body; !bytes.Equal(before, after) {
		t.Errorf("%s, and after a restart %s", before, after)
	}
	setPassword(t, hall.Connect(alice.Profile), "another")
	b.Unlock(alice.HubID(), "alice", "another")
	must(t, hall.Connect(alice.Profile).RemovePassword(hubtest.Context(t)))
	yields, err := trust.DerivePassword(alice.HubID(), "another", hubtest.CheapPassword)
	must(t, err)
	verifier := yields.Verifier()
	want(t, "a password that was taken away", tryPassword(b, "alice", verifier[:]), 401, fault.Refused)
}

// put sends a login event as its author would.
func put(t *testing.T, m *hubtest.Member, ev *event.Event) fault.Code {
	t.Helper()
	token, key, err := m.AddDevice(hubtest.Context(t), "dev"+strings.ToLower(trust.NewID()[:6]))
	must(t, err)
	nc, err := nats.Connect(m.Hall().NATS(), nats.UserJWTAndSeed(token.Text, string(key.Seed())), nats.CustomInboxPrefix(trust.InboxPrefix(key.Public())))
	must(t, err)
	defer nc.Close()
	return fault.CodeOf(api.Call(hubtest.Context(t), nc, "hub.logins.put", ev.Encode(), &api.Appended{}))
}

func TestOnlyTheIdentityMakesALoginAndNoOlderOneComesBack(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	hubID, key := alice.HubID(), identity(t, alice)
	laptop := trust.NewKeyPair(trust.Device)
	body := &event.PasswordBody{Salt: make([]byte, 16), Memory: 8 << 10, Passes: 1, Verifier: event.Hash{1}, Blob: make([]byte, 64)}
	now := time.Now()
	made := func(at time.Duration, login event.Login) *event.Event {
		ev, err := event.NewLogin(hubID, key, now.Add(at), login)
		must(t, err)
		return ev
	}
	byDevice := made(0, event.Login{Password: body})
	must(t, byDevice.Sign(laptop))
	if got := put(t, alice, byDevice); got != fault.Refused {
		t.Errorf("signed by a device: %q", got)
	}
	elsewhere, err := event.NewLogin("OANOTHERHUB", key, now, event.Login{Password: body})
	must(t, err)
	if got := put(t, alice, elsewhere); got != fault.Refused {
		t.Errorf("for another hub: %q", got)
	}
	first, second := made(time.Second, event.Login{Password: body}), made(2*time.Second, event.Login{Password: body})
	if got := put(t, bob, first); got != fault.Refused {
		t.Errorf("alice's, from bob: %q", got)
	}
	if got := put(t, alice, second); got != "" {
		t.Fatalf("a good one: %q", got)
	}
	if got := put(t, alice, second); got != "" {
		t.Errorf("the same once more: %q", got)
	}
	if got := put(t, alice, first); got != fault.Conflict {
		t.Errorf("an older one: %q", got)
	}
	if got := put(t, alice, made(3*time.Second, event.Login{Remove: &event.RemoveBody{}})); got != "" {
		t.Fatalf("the removal: %q", got)
	}
	if got := put(t, alice, second); got != fault.Conflict {
		t.Errorf("one from before the removal: %q", got)
	}
	credential := base64.RawURLEncoding.EncodeToString([]byte("nobody's"))
	if got := put(t, alice, made(4*time.Second, event.Login{Passkey: &event.PasskeyBody{Credential: credential, Blob: make([]byte, 64)}})); got != fault.NotFound {
		t.Errorf("for a passkey that there is not: %q", got)
	}
}

func TestADeviceOpensASessionByItsSignatureAndByNothingElse(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	b := hall.Browser()
	alice.Lend(b, "firefox")
	want(t, "no session yet", b.Get("/api/session"), 401, fault.Refused)
	challenge := b.Challenge()
	answer := b.Prove(challenge)
	got := hubtest.Read[session](t, answer)
	if got.Account != alice.Profile.Settings.Account || got.Handle != "alice" || got.Device != b.Key.String() || got.Name != "firefox" ||
		got.From != "127.0.0.1" || got.Agent != "Browser/1 (test)" || !got.This || !got.Expires.After(got.Made) {
		t.Errorf("%+v", got)
	}
	set := answer.Header.Get("Set-Cookie")
	for _, part := range []string{hubtest.SessionCookie + "=", "Path=/;", "HttpOnly", "SameSite=Strict"} {
		if !strings.Contains(set, part) {
			t.Errorf("the cookie is %s", set)
		}
	}
	if strings.Contains(set, "Secure") {
		t.Errorf("over plain HTTP: %s", set)
	}
	if own := hubtest.Read[session](t, b.Get("/api/session")); own.ID != got.ID {
		t.Errorf("%+v", own)
	}

	thief := hall.Browser()
	thief.Token, thief.Key = b.Token, b.Key
	want(t, "the challenge once more", b.Prove(challenge), 410, fault.Expired)
	want(t, "an invented challenge", b.Prove(strings.Repeat("ab", 32)), 410, fault.Expired)
	sign := func(b *hubtest.Browser, hubID string, key *trust.KeyPair, token string) *hubtest.Answer {
		challenge := b.Challenge()
		raw, err := hex.DecodeString(challenge)
		must(t, err)
		sig := trust.SignSession(key, hubID, [32]byte(raw))
		return b.Post("/api/session", map[string]any{"token": token, "challenge": challenge, "signature": sig[:]})
	}
	other := hall.Browser()
	bob.Lend(other, "firefox")
	hubID := alice.HubID()
	want(t, "the positive control", sign(thief, hubID, b.Key, b.Token.Text), 200, "")
	want(t, "for another hub", sign(thief, "OANOTHERHUB", b.Key, b.Token.Text), 401, fault.Refused)
	want(t, "another device's signature", sign(thief, hubID, other.Key, b.Token.Text), 401, fault.Refused)
	key := identity(t, alice)
	unlisted := trust.NewKeyPair(trust.Device)
	token, err := trust.IssueDevice(key, unlisted.Public(), "unlisted", time.Now(), time.Now().Add(time.Hour))
	must(t, err)
	want(t, "a device that is on no chain", sign(thief, hubID, unlisted, token.Text), 401, fault.Refused)
	longer, err := trust.IssueDevice(key, b.Key.Public(), "firefox", time.Now(), time.Now().Add(300*24*time.Hour))
	must(t, err)
	want(t, "a token that does not stand on the chain", sign(thief, hubID, b.Key, longer.Text), 401, fault.Refused)
	want(t, "no token", sign(thief, hubID, b.Key, "x"), 400, fault.Malformed)
	must(t, alice.RevokeDevice(hubtest.Context(t), "firefox"))
	hubtest.Eventually(t, "a revoked device opens none", func() bool { return sign(thief, hubID, b.Key, b.Token.Text).Status == 401 })
	hubtest.Eventually(t, "its session has ended", func() bool { return b.Get("/api/session").Status == 401 })
}

// TestACookieThatWasThereBeforeIsNotKept: who put one into somebody's browser has nothing of it.
func TestACookieThatWasThereBeforeIsNotKept(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	b := hall.Browser()
	planted := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{5}, 32))
	b.SetCookie(hubtest.SessionCookie, planted)
	alice.Lend(b, "firefox")
	if answer := b.OpenSession(); answer.Status != 200 {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	if b.Cookie(hubtest.SessionCookie) == planted {
		t.Error("the session has the cookie that was planted")
	}
	mallory := hall.Browser()
	mallory.SetCookie(hubtest.SessionCookie, planted)
	answer := mallory.Get("/api/session")
	want(t, "the planted cookie", answer, 401, fault.Refused)
	if !strings.Contains(answer.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("a dead cookie is left: %q", answer.Header.Get("Set-Cookie"))
	}
	first := b.Cookie(hubtest.SessionCookie)
	if answer := b.OpenSession(); answer.Status != 200 {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	mallory.SetCookie(hubtest.SessionCookie, first)
	want(t, "the cookie of the session before", mallory.Get("/api/session"), 401, fault.Refused)
	mallory.HTTP.Jar = nil
	mallory.Header.Set("Cookie", hubtest.SessionCookie+"="+b.Cookie(hubtest.SessionCookie))
	want(t, "the positive control", mallory.Get("/api/session"), 200, "")
	mallory.Header.Set("Cookie", hubtest.SessionCookie+"="+b.Cookie(hubtest.SessionCookie)+"; "+hubtest.SessionCookie+"=x")
	want(t, "two cookies", mallory.Get("/api/session"), 401, fault.Refused)
}

func TestRequestsOfOtherSitesAndFormsAreRefused(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	b := alice.Browser("firefox")
	good := b.Header.Clone()
	for name, change := range map[string]func(http.Header){
		"from another site":         func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		"from a sister site":        func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		"from nowhere":              func(h http.Header) { h.Set("Sec-Fetch-Site", "none") },
		"two sites":                 func(h http.Header) { h["Sec-Fetch-Site"] = []string{"same-origin", "cross-site"} },
		"another origin":            func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Set("Origin", "https://evil.example") },
		"no origin":                 func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Set("Origin", "null") },
		"another origin beside":     func(h http.Header) { h.Set("Origin", "https://evil.example") },
		"a form":                    func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") },
		"a form of text":            func(h http.Header) { h.Set("Content-Type", "text/plain") },
		"a form of parts":           func(h http.Header) { h.Set("Content-Type", "multipart/form-data; boundary=x") },
		"text that says it is JSON": func(h http.Header) { h.Set("Content-Type", "text/plain; application/json") },
		"no type":                   func(h http.Header) { h.Del("Content-Type") },
	} {
		b.Header = good.Clone()
		change(b.Header)
		for _, request := range [][2]string{
			{"DELETE", "/api/session"},
			{"DELETE", "/api/sessions"},
			{"POST", "/api/passkeys/begin"},
			{"POST", "/api/login/begin"},
			{"POST", "/api/session/challenge"},
			{"POST", "/api/link/ask"},
			{"POST", "/api/oidc/bind"},
		} {
			want(t, name+" "+request[1], b.Do(request[0], request[1], struct{}{}), 403, fault.Refused)
		}
	}
	b.Header = good.Clone()
	b.Header.Del("Sec-Fetch-Site")
	b.Header.Set("Origin", b.Origin)
	want(t, "the own origin", b.Post("/api/session/challenge", struct{}{}), 200, "")
	b.Header.Del("Origin")
	b.Header.Set("Content-Type", "application/json; charset=utf-8")
	want(t, "a program", b.Post("/api/session/challenge", struct{}{}), 200, "")
	b.Header = good
	want(t, "a member that nobody knows", b.Post("/api/session/challenge", `{"more":1}`), 400, fault.Malformed)
	want(t, "something behind it", b.Post("/api/session/challenge", `{}{}`), 400, fault.Malformed)
	want(t, "no JSON", b.Post("/api/login/begin", `name=alice`), 400, fault.Malformed)
	want(t, "nothing", b.Post("/api/session/challenge", ``), 400, fault.Malformed)
	want(t, "too much", b.Post("/api/login/begin", `{"name":"`+strings.Repeat("x", 129<<10)+`"}`), 400, fault.TooLarge)
	want(t, "what is not there", b.Get("/api/nothing"), 404, fault.NotFound)
	want(t, "another method", b.Get("/api/login/begin"), 404, fault.NotFound)
	if got := hubtest.Read[sessions](t, b.Get("/api/sessions")); len(got.Sessions) != 1 {
		t.Errorf("it has %d sessions after all that", len(got.Sessions))
	}
	if answer := b.Get("/api/config"); answer.Header.Get("Access-Control-Allow-Origin") != "" || string(answer.Body) != "{}\n" {
		t.Errorf("%s %v", answer.Body, answer.Header)
	}
}

func TestAGuesserWaitsAndLocksNobodyElseOut(t *testing.T) {
	hall := hubtest.StartBehind(t, "127.0.0.1/32")
	alice, bob := hall.Join("alice"), hall.Join("bob")
	setPassword(t, alice, "a good password")
	setPassword(t, bob, "bob's")
	home, evil, office := hall.Browser(), hall.Browser(), hall.Browser()
	home.Header.Set("X-Forwarded-For", "192.0.2.1")
	evil.Header.Set("X-Forwarded-For", "203.0.113.9")
	office.Header.Set("X-Forwarded-For", "198.51.100.7")
	home.Unlock(alice.HubID(), "alice", "a good password") // alice has been here before

	wrong := bytes.Repeat([]byte{7}, 32)
	var throttled *hubtest.Answer
	for range 12 {
		if answer := tryPassword(evil, "alice", wrong); answer.Status != 401 {
			throttled = answer
		}
	}
	if throttled == nil || throttled.Status != 429 || throttled.Code() != "throttled" || throttled.Header.Get("Retry-After") == "" {
		t.Fatalf("nobody is held up: %+v", throttled)
	}
	yields, err := trust.DerivePassword(alice.HubID(), "a good password", hubtest.CheapPassword)
	must(t, err)
	verifier := yields.Verifier()
	want(t, "the right one in the middle of it", tryPassword(evil, "alice", verifier[:]), 429, "throttled")
	want(t, "alice at home", tryPassword(home, "alice", verifier[:]), 200, "")
	office.Unlock(bob.HubID(), "bob", "bob's") // another name from another address
	// From one address names can be tried no faster: neither real ones, nor made up ones.
	for i := range 40 {
		throttled = tryPassword(evil, "name"+string(rune('a'+i%26))+string(rune('a'+i/26)), wrong)
	}
	want(t, "many names", throttled, 429, "throttled")
	want(t, "devices", evil.Post("/api/session/challenge", struct{}{}), 200, "")
}

func TestABrowsersDeviceEntersRoomsOnlyWithItsOwnSession(t *testing.T) {
	hall := hubtest.Start(t)
	alice, bob := hall.Join("alice"), hall.Join("bob")
	room, err := alice.CreateRoom(hubtest.Context(t), "kitchen", client.RoomOptions{})
	must(t, err)
	b := hall.Browser()
	alice.Lend(b, "firefox")
	if _, err := b.Rooms(room.ID); err != nil {
		t.Fatalf("a device that is no browser's: %v", err)
	}
	must(t, answered(b.OpenSession()))
	rooms, err := b.Rooms(room.ID)
	must(t, err)
	if _, err := rooms.SubscribeSync("feed." + room.ID); err != nil {
		t.Fatal(err)
	}
	account, err := b.Account()
	must(t, err)
	if _, err := account.Request("hub.stats.get", nil, hubtest.Patience); err != nil {
		t.Errorf("the own account, with the cookie: %v", err)
	}
	cookie := b.Cookie(hubtest.SessionCookie)
	other := alice.Browser("chromium")
	foreign := bob.Browser("firefox")
	refused := func(what string, b *hubtest.Browser, want error) {
		t.Helper()
		nc, err := b.Rooms(room.ID)
		if err == nil {
			nc.Close()
			t.Errorf("%s: it is let in", what)
		} else if want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	thief := hall.Browser()
	thief.Key, thief.Token = b.Key, b.Token
	refused("without a cookie", thief, nats.ErrAuthorization)
	thief.SetCookie(hubtest.SessionCookie, other.Cookie(hubtest.SessionCookie))
	refused("with that of another device of hers", thief, nats.ErrAuthorization)
	thief.SetCookie(hubtest.SessionCookie, foreign.Cookie(hubtest.SessionCookie))
	refused("with bob's", thief, nats.ErrAuthorization)
	thief.SetCookie(hubtest.SessionCookie, "x")
	refused("with none that there is", thief, nil)
	thief.SetCookie(hubtest.SessionCookie, cookie)
	if nc, err := thief.Rooms(room.ID); err != nil {
		t.Errorf("the positive control: %v", err)
	} else {
		nc.Close()
	}
	wrongKey := hall.Browser()
	wrongKey.Key, wrongKey.Token = trust.NewKeyPair(trust.Device), b.Token
	wrongKey.SetCookie(hubtest.SessionCookie, cookie)
	refused("the cookie without the device", wrongKey, nats.ErrAuthorization)

	beside, err := b.RoomsBeside(hall.NATS(), room.ID)
	must(t, err)
	closed := map[string]chan struct{}{"rooms": make(chan struct{}), "account": make(chan struct{}), "rooms at the NATS port": make(chan struct{})}
	beside.SetClosedHandler(func(*nats.Conn) { close(closed["rooms at the NATS port"]) })
	rooms.SetClosedHandler(func(*nats.Conn) { close(closed["rooms"]) })
	account.SetClosedHandler(func(*nats.Conn) { close(closed["account"]) })
	stays, err := other.Rooms(room.ID)
	must(t, err)
	want(t, "signing out", b.Delete("/api/session", struct{}{}), 200, "")
	if b.Cookie(hubtest.SessionCookie) != "" {
		t.Error("the cookie is still there")
	}
	for what, done := range closed {
		select {
		case <-done:
		case <-hubtest.Context(t).Done():
			t.Errorf("the connection to %s goes on", what)
		}
	}
	thief.SetCookie(hubtest.SessionCookie, cookie)
	refused("with the cookie of a session that has ended", thief, nil)
	refused("after signing out", b, nats.ErrAuthorization)
	must(t, stays.FlushTimeout(hubtest.Patience))
	must(t, answered(b.OpenSession()))
	if _, err := b.Rooms(room.ID); err != nil {
		t.Errorf("signed in again: %v", err)
	}
}
