package browser_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/chromiumtest"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/natstest"
)

// invite is a link that lets one person in.
func (h *hall) invite(t *testing.T) string {
	t.Helper()
	invite, err := h.keeper.Invite(t.Context(), 1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return invite.URL
}

// join fills the page of an invite in, up to the recovery code, which it returns.
func join(page *chromiumtest.Page, invite, handle string) string {
	page.Open(invite)
	page.Fill("Your name here", handle)
	page.Fill("Password", password(handle))
	page.Click("button", "Join")
	return paperCode(page)
}

// paperCode is the recovery code on the page.
func paperCode(page *chromiumtest.Page) string {
	page.Find("figure", "Your recovery code")
	return chromiumtest.Eval[string](page, `[...document.querySelectorAll(".paper-code li")].map((li) => li.textContent.replace("-", "").trim()).join("-")`)
}

// writeDown is what somebody does who has written the code down.
func writeDown(page *chromiumtest.Page, code string) {
	page.Click("button", "I have it")
	page.Fill("The last group of your code", code[strings.LastIndexByte(code, '-')+1:])
	page.Click("button", "Enter the hall")
	page.Find("link", "Settings")
}

// secrets counts what a script of the page can get at in its store: keys that can be exported, and texts that are seeds or
// codes. known is how many keys it found at all.
const secrets = `(async () => {
	const done = (request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
	const db = await done(indexedDB.open("keyhall"));
	let known = 0, open = 0;
	const look = async (value) => {
		if (value instanceof CryptoKey) {
			if (value.type !== "public") known++;
			for (const form of ["pkcs8", "jwk", "raw"]) await crypto.subtle.exportKey(form, value).then(() => open++, () => undefined);
		} else if (typeof value === "string") {
			if (/\bS[AUX][A-Z2-7]{56}\b|\bk[rl]-/.test(value)) open++;
		} else if (value && typeof value === "object" && !ArrayBuffer.isView(value)) {
			for (const inner of Object.values(value)) await look(inner);
		}
	};
	for (const store of db.objectStoreNames) for (const value of await done(db.transaction(store).objectStore(store).getAll())) await look(value);
	db.close();
	return { known, open };
})()`

type found struct{ Known, Open int }

func TestANewcomerJoinsWithKeysThatNoScriptCanTake(t *testing.T) {
	h, browser := begin(t)
	page := browser.Person(t, h.HTTP())
	code := join(page, h.invite(t), "newcomer")
	page.Shot(pictures + "/recovery-code.png")
	writeDown(page, code)

	got := chromiumtest.Eval[found](page, secrets)
	if got.Known < 3 || got.Open != 0 { // device, identity, xkey
		t.Errorf("a script finds %d keys and takes %d secrets", got.Known, got.Open)
	}
	page.Reload()
	page.Find("link", "Settings")

	fresh := signIn(t, browser, h, "newcomer")
	fresh.Open("/settings/devices")
	fresh.See("this one", "chrome-linux-2")
	fresh.Eventually("two devices and two sessions are there", func() bool { return len(fresh.Things("listitem")) >= 4 })
	fresh.Shot(pictures + "/devices.png")
}

// TestAnAdmissionWhoseAnswerIsLostIsTakenUp: the invite is for one person, and used up by the first try.
func TestAnAdmissionWhoseAnswerIsLostIsTakenUp(t *testing.T) {
	h, browser := begin(t)
	page := browser.Person(t, h.HTTP())
	invite := h.invite(t)
	page.Open(invite)
	page.Fill("Your name here", "unlucky")
	page.Fill("Password", password("unlucky"))
	chromiumtest.Eval[bool](page, `(() => {
		const send = WebSocket.prototype.send;
		WebSocket.prototype.send = function (data) {
			if (new TextDecoder().decode(data).includes("PUB admission.")) this.onmessage = () => { this.onmessage = null; this.close(); };
			send.call(this, data);
		};
		return true;
	})()`)
	page.Click("button", "Join")
	page.See("connection to the hub was lost")
	page.Reload()
	code := join(page, invite, "unlucky")
	writeDown(page, code)
	if got := chromiumtest.Eval[found](page, secrets); got.Open != 0 {
		t.Errorf("%d secrets of the first try are left", got.Open)
	}
	signIn(t, browser, h, "unlucky")
}

// TestTheRecoveryCodeBringsAPersonBack: made by a program on a computer that is lost, used in a browser.
func TestTheRecoveryCodeBringsAPersonBack(t *testing.T) {
	h, browser := begin(t)
	loser, friend := h.member(t, "loser"), h.member(t, "finder")
	loser.room(t, "kitchen", friend)
	friend.say(t, "kitchen", "The soup is ready.")
	code, err := loser.MakeRecovery(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page := browser.Person(t, h.HTTP())
	page.Open("/")
	page.Click("button", "I have only my recovery code")
	page.Fill("Recovery code", code.Code)
	page.Click("button", "Bring me back")
	page.See("You are back", "The device computer counts as lost", "Your password opened the old keys")
	page.Shot(pictures + "/recovered.png")
	page.Click("button", "Enter the hall")

	goTo(page, "kitchen")
	page.See("The soup is ready.")
	write(page, "kitchen", "I am back.")
	page.Eventually("the computer is turned away", func() bool { return loser.Err() != nil })
	fresh := signInRefused(t, browser, h, "loser")
	fresh.See("The name or the password is not right")

	// The same code goes on to work.
	again := browser.Person(t, h.HTTP())
	again.Open("/")
	again.Click("button", "I have only my recovery code")
	again.Fill("Recovery code", strings.ToUpper(strings.ReplaceAll(code.Code, "-", " ")))
	again.Click("button", "Bring me back")
	again.See("You are back")
	again.Click("button", "Enter the hall")
	goTo(again, "kitchen")
	again.See("The soup is ready.", "I am back.")
	page.See("signed out from another of your devices")
}

// signInRefused tries a password that does not work.
func signInRefused(t *testing.T, browser *chromiumtest.Browser, h *hall, handle string) *chromiumtest.Page {
	t.Helper()
	page := browser.Person(t, h.HTTP())
	page.Open("/")
	page.Fill("Name", handle)
	page.Fill("Password", password(handle))
	page.Press("Enter")
	return page
}

// words are those that somebody compares.
func words(page *chromiumtest.Page) string {
	page.Find("list", "words")
	return chromiumtest.Eval[string](page, `[...document.querySelectorAll(".words li")].map((li) => li.textContent).join(" ")`)
}

func TestABrowserIsLetInByAnother(t *testing.T) {
	h, browser := begin(t)
	owner, friend := h.member(t, "owner"), h.member(t, "caller")
	owner.room(t, "attic", friend)
	friend.say(t, "attic", "Mind the beam.")
	old := signIn(t, browser, h, "owner")

	fresh := browser.Person(t, h.HTTP())
	fresh.Open("/link")
	fresh.Fill("Name of this browser", "tablet")
	fresh.Click("button", "Show a code here")
	fresh.Find("image", "QR code")
	code := chromiumtest.Eval[string](fresh, `document.body.innerText.match(/kl(-[a-z2-7]{4}){4}/)[0]`)
	fresh.Shot(pictures + "/link-code.png")

	letIn(old, code, "owner")
	old.See("tablet")
	if here, there := words(old), words(fresh); here != there || len(strings.Fields(here)) != 4 {
		t.Errorf("one shows %q, the other %q", here, there)
	}
	old.Shot(pictures + "/link-words.png")
	old.Click("button", "Yes, let it in")
	goTo(fresh, "attic")
	fresh.See("Mind the beam.")

	// Whoever has no identity hands nothing on.
	fresh.Open("/settings/devices")
	if !fresh.Find("button", "Let a device in").Disabled() {
		t.Error("a linked browser may let others in")
	}
}

// letIn is what somebody does who lets a device in that shows a code.
func letIn(page *chromiumtest.Page, code, handle string) {
	page.Open("/settings/devices")
	page.Click("button", "Let a device in")
	page.Click("radio", "The device shows one")
	page.Fill("Code that the device shows", code)
	page.Fill("Your password", password(handle))
	page.Click("button", "Go on")
}

func TestABrowserThatIsRefusedStaysOut(t *testing.T) {
	h, browser := begin(t)
	h.member(t, "wary")
	old := signIn(t, browser, h, "wary")
	stranger := browser.Person(t, h.HTTP())
	stranger.Open("/link")
	stranger.Click("button", "Show a code here")
	stranger.Find("image", "QR code")
	code := chromiumtest.Eval[string](stranger, `document.body.innerText.match(/kl(-[a-z2-7]{4}){4}/)[0]`)
	letIn(old, code, "wary")
	words(old)
	old.Click("button", "No, they differ")
	stranger.See("Your other device said no")
	old.Open("/settings/devices")
	old.See("this one")
	if strings.Contains(old.Text(), "-2") {
		t.Error("it is among the devices")
	}
}

// TestSigningOutElsewhereTakesTheKeysAway, of every tab, and of a browser that was closed meanwhile.
func TestSigningOutElsewhereTakesTheKeysAway(t *testing.T) {
	h, browser := begin(t)
	h.member(t, "careless")
	left := signIn(t, browser, h, "careless")
	tab := left.Tab()
	tab.Open("/")
	tab.Find("link", "Settings")
	away := signIn(t, browser, h, "careless")
	away.Open("about:blank")

	own := signIn(t, browser, h, "careless")
	own.Open("/settings/devices")
	own.Click("button", "Sign out everywhere else")
	own.ClickIn("dialog", "Sign out everywhere else?", "button", "Sign out everywhere else")
	for _, page := range []*chromiumtest.Page{left, tab} {
		page.See("signed out from another of your devices")
	}
	away.Open(h.HTTP() + "/")
	away.See("signed out from another of your devices")
	for _, page := range []*chromiumtest.Page{left, away} {
		if got := chromiumtest.Eval[found](page, secrets); got.Known != 0 {
			t.Errorf("%d keys are left", got.Known)
		}
	}
	own.Open("/settings/devices")
	own.See("this one")
}

// TestAHubThatRefusesABrowserTakesNoKeys: only what the person has signed takes them away.
func TestAHubThatRefusesABrowserTakesNoKeys(t *testing.T) {
	h, browser := begin(t)
	h.member(t, "steady")
	foreign, err := hub.Start(t.Context(), hub.Options{
		DataDir: filepath.Join(t.TempDir(), "hub"), HTTP: "localhost:0", NATS: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = foreign.Close() })
	var refuses atomic.Bool
	own, others := passing(t, h.HTTP()), passing(t, foreign.HTTP()) // whose NATS refuses everybody from here
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !refuses.Load():
			own.ServeHTTP(w, r)
		case r.URL.Path == "/nats":
			r.Header.Del("Cookie")
			others.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/api/session"):
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"code":"refused","message":"this device is not, or no longer, one of a member here"}`)
		default:
			own.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(evil.Close)
	page := browser.Person(t, strings.Replace(evil.URL, "127.0.0.1", "localhost", 1))
	enter(page, "steady")
	before := chromiumtest.Eval[found](page, secrets)

	refuses.Store(true)
	page.Reload()
	page.See("the hub opens no session for this browser", "do not sign out unless")
	page.Shot(pictures + "/refused.png")
	if got := chromiumtest.Eval[found](page, secrets); got != before || got.Known < 3 {
		t.Errorf("of %d keys %d are left", before.Known, got.Known)
	}

	refuses.Store(false)
	page.Reload()
	page.Click("link", "Settings")
	page.See("this one")
	page.Gone("the hub opens no session")
}

// passing hands requests on to a hub at another address.
func passing(t *testing.T, to string) http.Handler {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		if r.In.Header.Get("Origin") != "" {
			r.Out.Header.Set("Origin", to)
		}
	}}
}

func TestAPasskeyBringsTheKeys(t *testing.T) {
	h, browser := begin(t)
	bearer, friend := h.member(t, "bearer"), h.member(t, "porter")
	bearer.room(t, "vault", friend)
	friend.say(t, "vault", "Only for those who have the key.")
	page := browser.Person(t, h.HTTP())
	page.Authenticator(true)
	enter(page, "bearer")
	page.Open("/settings/signin")
	page.Click("button", "Add a passkey")
	page.Fill("Name", "the blue key")
	page.Fill("Your password", password("bearer"))
	page.Click("button", "Add it")
	page.See("the blue key", "brings your keys")

	page.Click("button", "Sign out")
	page.ClickIn("dialog", "Sign out of this browser?", "button", "Sign out")
	page.Click("button", "Sign in with a passkey")
	goTo(page, "vault")
	page.See("Only for those who have the key.")
}

// TestAnotherHubAtTheSameAddressIsRefused: a browser keeps to the hub that it met first.
func TestAnotherHubAtTheSameAddressIsRefused(t *testing.T) {
	_, browser := begin(t)
	start := func(http string) (*hub.Hub, error) {
		return hub.Start(t.Context(), hub.Options{
			DataDir: filepath.Join(t.TempDir(), "hub"), HTTP: http, NATS: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler),
		})
	}
	first, err := start("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	page := browser.Person(t, first.HTTP())
	page.Open("/")
	page.Find("button", "Sign in")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var second *hub.Hub
	natstest.Eventually(t, "another hub takes the address", func() bool {
		second, err = start(strings.TrimPrefix(first.HTTP(), "http://"))
		return err == nil
	})
	t.Cleanup(func() { _ = second.Close() })
	page.Open("/")
	page.See("Another hub answers at this address")
}

// TestAPlainAddressOfAnotherMachineSaysWhyItHoldsNoKeys: to Chromium this is no address of its own machine.
func TestAPlainAddressOfAnotherMachineSaysWhyItHoldsNoKeys(t *testing.T) {
	h, browser := begin(t)
	page := browser.Person(t, strings.Replace(h.HTTP(), "localhost", "0.0.0.0", 1))
	page.Open("/")
	page.See("This page came over plain http from another machine")
	page.Forgive("Cross-Origin-Opener-Policy") // of which Chromium says that it means nothing there
}
