package callout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/natstest"
)

// intruder is a second auth user of AUTH, who may publish everything there.
func (h *hall) intruder() *nats.Conn {
	h.t.Helper()
	keys := h.Keys()
	user := newDevice(h.t)
	auth := h.authClaims()
	auth.Authorization.AuthUsers.Add(user.public)
	h.push(auth)
	claims := jwt.NewUserClaims(user.public)
	claims.IssuerAccount = keys.Auth
	return h.mustEnter(user, claims, keys.AuthSigner)
}

// stranger is a user of an account to which AUTH exports the callout's subject as
// "ask": a mistake of a host, and the one way past the server to the callout.
func (h *hall) stranger() *nats.Conn {
	h.t.Helper()
	auth := h.authClaims()
	auth.Exports.Add(&jwt.Export{Subject: "$SYS.REQ.USER.AUTH", Type: jwt.Service})
	h.push(auth)
	account, user := newPair(h.t, nkeys.CreateAccount), newDevice(h.t)
	claims := jwt.NewAccountClaims(account.public)
	claims.Imports.Add(&jwt.Import{Account: h.Keys().Auth, Subject: "$SYS.REQ.USER.AUTH", LocalSubject: "ask", Type: jwt.Service})
	h.push(claims)
	return h.mustEnter(user, jwt.NewUserClaims(user.public), account)
}

func (h *hall) mustEnter(user device, claims *jwt.UserClaims, signer nkeys.KeyPair) *nats.Conn {
	h.t.Helper()
	claims.Pub.Allow.Add(">")
	claims.Sub.Allow.Add(">")
	token, err := claims.Encode(signer)
	if err != nil {
		h.t.Fatal(err)
	}
	nc, err := h.dial(nats.UserJWT(func() (string, error) { return token, nil }, user.pair.Sign))
	if err != nil {
		h.t.Fatal(err)
	}
	return nc
}

func (h *hall) authClaims() *jwt.AccountClaims {
	h.t.Helper()
	auth, err := jwt.DecodeAccountClaims(h.Keys().AccountJWTs()[h.Keys().Auth])
	if err != nil {
		h.t.Fatal(err)
	}
	return auth
}

// push gives the server new claims of an account.
func (h *hall) push(claims *jwt.AccountClaims) {
	h.t.Helper()
	token, err := claims.Encode(h.Keys().OperatorSigner)
	if err != nil {
		h.t.Fatal(err)
	}
	sys, err := h.Connect(h.Keys().SystemUser)
	if err != nil {
		h.t.Fatal(err)
	}
	defer sys.Close()
	reply, err := sys.Request("$SYS.REQ.CLAIMS.UPDATE", []byte(token), natstest.Patience)
	if err != nil || !strings.Contains(string(reply.Data), `"code":200`) {
		h.t.Fatalf("push: %v, %v", reply, err)
	}
}

// TestAUserOfTheAccountCannotAskAsAServer pins what the callout stands on: no user of
// AUTH, whatever its permissions, reaches the callout's subject.
func TestAUserOfTheAccountCannotAskAsAServer(t *testing.T) {
	h := newHall(t)
	nc := h.intruder()
	mustReport(t, nc, h.refused, "Publish to", "$SYS.REQ.USER.AUTH", func() error { return nc.Publish("$SYS.REQ.USER.AUTH", nil) })
}

func TestRequestsNoServerMadeAreRefused(t *testing.T) {
	h := newHall(t)
	var decisions journal
	config := h.config(func(_ context.Context, r *callout.Request) (*callout.Grant, error) {
		if r.Client.Name == "forged" {
			t.Error("a forged request reached the authorizer")
		}
		return h.grant(newDevice(t).public, "kitchen"), nil
	})
	config.Decided = decisions.add
	h.run(config)
	nc := h.stranger()
	forged := newForger(t, h)

	for name, message := range map[string]*nats.Msg{
		"nothing":               {},
		"garbage":               {Data: []byte("garbage")},
		"unencrypted":           {Data: forged.token(t, nil)},
		"unencrypted with xkey": {Data: forged.token(t, nil), Header: forged.header(forged.xkey.public)},
		"garbage with xkey":     {Data: bytes.Repeat([]byte("xkv1"), 100), Header: forged.header(forged.xkey.public)},
		"short with xkey":       {Data: []byte("xkv1"), Header: forged.header(forged.xkey.public)},
		"xkey that is none":     {Data: forged.seal(t, forged.token(t, nil)), Header: forged.header("X")},
		"xkey that is long":     {Data: forged.seal(t, forged.token(t, nil)), Header: forged.header(strings.Repeat("X", 4000))},
		"two xkeys":             {Data: forged.seal(t, forged.token(t, nil)), Header: forged.header(forged.xkey.public, forged.xkey.public)},
		"sealed to another":     {Data: forged.sealTo(t, forged.token(t, nil), forged.xkey.public), Header: forged.header(forged.xkey.public)},
		"sealed garbage":        {Data: forged.seal(t, []byte("garbage")), Header: forged.header(forged.xkey.public)},
		"other server id":       {Data: forged.seal(t, forged.token(t, func(c *jwt.AuthorizationRequestClaims) { c.Server.ID = newServerKey(t).public })), Header: forged.header(forged.xkey.public)},
		"other xkey inside":     {Data: forged.seal(t, forged.token(t, func(c *jwt.AuthorizationRequestClaims) { c.Server.XKey = newXKey(t).public })), Header: forged.header(forged.xkey.public)},
		"other account":         {Data: forged.seal(t, forged.token(t, func(c *jwt.AuthorizationRequestClaims) { c.Subject = h.Keys().Hub })), Header: forged.header(forged.xkey.public)},
		"other audience":        {Data: forged.seal(t, forged.token(t, func(c *jwt.AuthorizationRequestClaims) { c.Audience = "x" })), Header: forged.header(forged.xkey.public)},
		"no user key":           {Data: forged.seal(t, forged.token(t, func(c *jwt.AuthorizationRequestClaims) { c.UserNkey = "" })), Header: forged.header(forged.xkey.public)},
		"no deadline":           {Data: forged.seal(t, forged.token(t, func(c *jwt.AuthorizationRequestClaims) { c.Expires = 0 })), Header: forged.header(forged.xkey.public)},
		"leaf node":             {Data: forged.seal(t, forged.token(t, func(c *jwt.AuthorizationRequestClaims) { c.ClientInformation.Kind = "Leafnode" })), Header: forged.header(forged.xkey.public)},
		"another kind of JWT":   {Data: forged.seal(t, []byte(h.Keys().Sentinel)), Header: forged.header(forged.xkey.public)},
	} {
		before := len(decisions.list())
		message.Subject, message.Reply = "ask", nc.NewInbox()
		answers, err := nc.SubscribeSync(message.Reply)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishMsg(message); err != nil {
			t.Fatal(err)
		}
		reply, err := answers.NextMsg(natstest.Patience)
		if err != nil || len(reply.Data) > 0 {
			t.Errorf("%s: answered %v, %v, want an empty message", name, reply, err)
		}
		eventually(t, func() error {
			if all := decisions.list(); len(all) == before+1 && !all[before].Allowed {
				return nil
			}
			return fmt.Errorf("%s: decisions %+v", name, decisions.list())
		})
	}
	if _, err := newDevice(t).enter(h, "kitchen"); err != nil {
		t.Errorf("after all that the callout answers no more: %v", err)
	}
}

// TestAServerWithoutTheXKeyIsRefusedAtOnce: the account's JWT lost its xkey, so the
// server asks in the clear; its clients are refused and do not wait.
func TestAServerWithoutTheXKeyIsRefusedAtOnce(t *testing.T) {
	h := newHall(t)
	h.run(h.config(h.byDevice))
	auth := h.authClaims()
	ada := newDevice(t)
	if _, err := ada.enter(h, "kitchen"); err != nil {
		t.Fatal(err)
	}
	auth.Authorization.XKey = ""
	h.push(auth)
	h.mustRefuse("asked in the clear", ada.options(h, "rooms "+ada.public+" kitchen")...)
	auth.Authorization.XKey = newXKey(t).public
	h.push(auth)
	h.mustRefuse("asked with another xkey", ada.options(h, "rooms "+ada.public+" kitchen")...)
}

func TestHostileUserFieldsAreRefusedAndHarmNobody(t *testing.T) {
	h := newHall(t)
	ada := newDevice(t)
	var mu sync.Mutex
	var log bytes.Buffer
	config := h.config(h.byDevice)
	config.Logger = slog.New(slog.NewTextHandler(&lockedWriter{mu: &mu, w: &log}, nil))
	h.run(config)
	me := "rooms " + ada.public + " "
	for _, user := range []string{
		"", " ", "rooms", me + "*", me + ">", me + "a.b", me + "kitchen,>", me + "kitchen,", me + "*.say", me + "kitchen\x00", me + "küche\u2028",
		me + "a\tb", "rooms  ", "rooms * kitchen", "rooms > kitchen", "rooms " + strings.Repeat("U", 56) + " kitchen",
		"rooms " + strings.ToLower(ada.public) + " kitchen", "rooms " + ada.public + "\n kitchen", me + "{{name()}}.>",
		me + strings.Repeat("x", 2000), "admit " + ada.public, "\xff\xfe", `","user":"x`, "level=ERROR\nmsg=forged",
	} {
		h.mustRefuse(fmt.Sprintf("%.60q", user), ada.options(h, user)...)
	}
	if _, err := ada.enter(h, "kitchen"); err != nil {
		t.Errorf("a good login after the hostile ones: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(log.String(), "\nmsg=forged") {
		t.Error("a user field wrote a log line of its own")
	}
}

func TestNoSecretReachesTheLog(t *testing.T) {
	h := newHall(t)
	var mu sync.Mutex
	var log bytes.Buffer
	config := h.config(func(_ context.Context, r *callout.Request) (*callout.Grant, error) {
		if r.Password == "" && r.Token == "" {
			t.Error("no password and no token")
		}
		return nil, fmt.Errorf("not %v, not %+v", r.Password, *r)
	})
	config.Logger = slog.New(slog.NewJSONHandler(&lockedWriter{mu: &mu, w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.run(config)
	h.mustRefuse("password", nats.UserInfo("ada", "hunter2"))
	h.mustRefuse("token", nats.Token("hunter2"))
	eventually(t, func() error { // the refusal is answered before it is logged
		mu.Lock()
		defer mu.Unlock()
		if strings.Count(log.String(), "login refused") < 2 {
			return fmt.Errorf("logged %s", log.String())
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	if text := log.String(); strings.Contains(text, "hunter2") || strings.Count(text, "login refused") != 2 || !json.Valid([]byte(strings.SplitN(text, "\n", 2)[0])) {
		t.Errorf("logged %s", text)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

type keyPair struct {
	nkeys.KeyPair
	public string
}

func newServerKey(t testing.TB) keyPair { return newPair(t, nkeys.CreateServer) }
func newXKey(t testing.TB) keyPair      { return newPair(t, nkeys.CreateCurveKeys) }

func newPair(t testing.TB, create func() (nkeys.KeyPair, error)) keyPair {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{pair, public}
}

// forger makes requests as a server would, without being one.
type forger struct {
	h      *hall
	server keyPair
	xkey   keyPair
	callee string // the callout's xkey
}

func newForger(t *testing.T, h *hall) forger {
	t.Helper()
	callee, err := h.Keys().CalloutXKey.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return forger{h: h, server: newServerKey(t), xkey: newXKey(t), callee: callee}
}

func (f forger) token(t *testing.T, change func(*jwt.AuthorizationRequestClaims)) []byte {
	t.Helper()
	claims := jwt.NewAuthorizationRequestClaims(f.h.Keys().Auth)
	claims.Audience = "nats-authorization-request"
	claims.UserNkey = newDevice(t).public
	claims.Server = jwt.ServerID{ID: f.server.public, XKey: f.xkey.public, Version: "2.15.2"}
	claims.ClientInformation = jwt.ClientInformation{Name: "forged", Kind: "Client"}
	claims.Expires = time.Now().Add(time.Minute).Unix()
	if change != nil {
		change(claims)
	}
	token, err := claims.Encode(f.server)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(token)
}

func (f forger) seal(t *testing.T, data []byte) []byte { return f.sealTo(t, data, f.callee) }

func (f forger) sealTo(t *testing.T, data []byte, to string) []byte {
	t.Helper()
	sealed, err := f.xkey.Seal(data, to)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func (f forger) header(xkeys ...string) nats.Header {
	return nats.Header{"Nats-Server-Xkey": xkeys}
}
