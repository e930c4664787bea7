package signin_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/trust"
)

type passkey struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Made  time.Time `json:"made"`
	Opens bool      `json:"opens"`
}

type passkeys struct {
	Passkeys []passkey `json:"passkeys"`
}

type passkeyOwner struct {
	Account string `json:"account"`
	Handle  string `json:"handle"`
	Event   []byte `json:"event,omitempty"`
}

func TestAPasskeySaysWhoseItIsAndOpensTheBackup(t *testing.T) {
	hall := hubtest.Start(t)
	alice := hall.Join("alice")
	b := alice.Browser("firefox")
	begun := asked(t, b.Post("/api/passkeys/begin", struct{}{}))
	if begun.Options.RP.ID != "localhost" || begun.Options.Extensions.PRF.Eval.First != b64(trust.PasskeyInput()) {
		t.Errorf("%+v", begun.Options)
	}
	a := register(t, b, "My stick")
	if list := hubtest.Read[passkeys](t, b.Get("/api/passkeys")).Passkeys; len(list) != 1 || list[0].Name != "My stick" || list[0].Opens || list[0].ID != b64(a.id) {
		t.Errorf("%+v", list)
	}

	fresh := hall.Browser()
	signed := asked(t, fresh.Post("/api/passkey/begin", struct{}{}))
	if signed.Options.RPID != "localhost" || signed.Options.Extensions.PRF.Eval.First != b64(trust.PasskeyInput()) {
		t.Errorf("%+v", signed.Options)
	}
	got := hubtest.Read[passkeyOwner](t, fresh.Post("/api/passkey/finish", credential(a.sign(signed))))
	if got.Account != alice.Profile.Settings.Account || got.Handle != "alice" || got.Event != nil {
		t.Errorf("%+v", got)
	}

	key := identity(t, alice)
	wrap := trust.NewPasskeyWrap(alice.HubID(), []byte("what the PRF gives"), a.id)
	ev, err := event.NewLogin(alice.HubID(), key, time.Now(), event.Login{Passkey: &event.PasskeyBody{
		Credential: b64(a.id), Blob: wrap.Seal(alice.HubID(), key.Public(), []byte("everything")),
	}})
	must(t, err)
	if code := put(t, alice, ev); code != "" {
		t.Fatalf("the backup: %s", code)
	}
	got = hubtest.Read[passkeyOwner](t, fresh.Post("/api/passkey/finish", credential(a.sign(asked(t, fresh.Post("/api/passkey/begin", struct{}{}))))))
	back, err := event.Decode(got.Event)
	must(t, err)
	login, err := back.CheckLogin(alice.HubID())
	must(t, err)
	if text, err := wrap.Open(alice.HubID(), back.Author, login.Passkey.Blob); err != nil || string(text) != "everything" {
		t.Errorf("it opens to %q, %v", text, err)
	}
	if list := hubtest.Read[passkeys](t, b.Get("/api/passkeys")).Passkeys; len(list) != 1 || !list[0].Opens {
		t.Errorf("%+v", list)
	}
	want(t, "it goes", b.Delete("/api/passkeys/"+b64(a.id), struct{}{}), 200, "")
	want(t, "it goes once more", b.Delete("/api/passkeys/"+b64(a.id), struct{}{}), 404, fault.NotFound)
	want(t, "after that", fresh.Post("/api/passkey/finish", credential(a.sign(asked(t, fresh.Post("/api/passkey/begin", struct{}{}))))), 401, fault.Refused)
	if code := put(t, alice, ev); code != fault.NotFound {
		t.Errorf("its backup comes back: %q", code)
	}
}

func TestAPasskeyOfSomebodyElseOrSomewhereElseIsRefused(t *testing.T) {
	hall := hubtest.Start(t)
	alice, mallory := hall.Join("alice"), hall.Join("mallory")
	a := register(t, alice.Browser("firefox"), "alice's")
	hers := mallory.Browser("firefox")
	m := register(t, hers, "mallory's")
	b := hall.Browser()
	begin := func() *options { return asked(t, b.Post("/api/passkey/begin", struct{}{})) }
	finish := func(of any) *hubtest.Answer { return b.Post("/api/passkey/finish", credential(of)) }
	want(t, "the positive control", finish(a.sign(begin())), 200, "")

	posing := *m
	posing.user = a.user
	want(t, "mallory's key, in alice's name", finish(posing.sign(begin())), 401, fault.Refused)
	posing.id = a.id
	want(t, "under alice's id", finish(posing.sign(begin())), 401, fault.Refused)
	elsewhere := *a
	elsewhere.origin = "https://evil.example"
	want(t, "made for another site", finish(elsewhere.sign(begin())), 401, fault.Refused)
	elsewhere = *a
	elsewhere.host = "evil.example"
	want(t, "of another party", finish(elsewhere.sign(begin())), 401, fault.Refused)
	once := begin()
	first := a.sign(once)
	want(t, "once", finish(first), 200, "")
	want(t, "the same once more", finish(first), 410, fault.Expired)
	want(t, "its challenge once more", finish(a.sign(once)), 410, fault.Expired)
	invented := *once
	invented.Options.Challenge = b64(make([]byte, 32))
	want(t, "a challenge that nobody made", finish(a.sign(&invented)), 410, fault.Expired)
	session := *once
	other, err := hex.DecodeString(b.Challenge())
	must(t, err)
	session.Options.Challenge = b64(other)
	want(t, "a challenge for something else", finish(a.sign(&session)), 410, fault.Expired)
	registration := asked(t, hers.Post("/api/passkeys/begin", struct{}{}))
	want(t, "a challenge for a registration", finish(a.sign(registration)), 410, fault.Expired)
	a.counter = 1
	want(t, "a copy, whose counter is behind", finish(a.sign(begin())), 401, fault.Refused)
	want(t, "nothing", finish(map[string]any{}), 400, fault.Malformed)

	// A registration is for who asked for it.
	asker := asked(t, alice.Browser("chromium").Post("/api/passkeys/begin", struct{}{}))
	planted := newAuthenticator(t, b)
	want(t, "alice's registration, finished by mallory",
		hers.Post("/api/passkeys/finish", map[string]any{"credential": planted.make(asker), "name": "x"}), 410, fault.Expired)
	own := asked(t, hers.Post("/api/passkeys/begin", struct{}{}))
	for _, name := range []string{"", " ", "a\nb", strings.Repeat("x", 65), "\u202eevil"} {
		want(t, "the name "+name, hers.Post("/api/passkeys/finish", map[string]any{"credential": planted.make(own), "name": name}), 400, fault.Malformed)
	}
	want(t, "without a session", b.Post("/api/passkeys/begin", struct{}{}), 401, fault.Refused)
	want(t, "alice's, removed by mallory", hers.Delete("/api/passkeys/"+b64(a.id), struct{}{}), 404, fault.NotFound)
}

func TestPasskeysNeedAName(t *testing.T) {
	hall := hubtest.Start(t)
	b := hall.Browser()
	b.Origin = "http://127.0.0.1:" + hostOf(b)[strings.LastIndexByte(hostOf(b), ':')+1:]
	want(t, "at an address", b.Post("/api/passkey/begin", struct{}{}), 503, fault.Unavailable)
}
