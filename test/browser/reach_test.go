package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
)

// tabTo presses Tab until something with this role and beginning of its name has the focus, which has to be seen.
func tabTo(t *testing.T, page *chromiumtest.Page, role, name string) {
	t.Helper()
	var passed []string
	for range 60 {
		page.Press("Tab")
		gotRole, gotName := page.Focused()
		if gotRole == role && strings.HasPrefix(gotName, name) {
			if !chromiumtest.Eval[bool](page, visible) {
				t.Errorf("the focus on the %s %q cannot be seen", role, name)
			}
			return
		}
		passed = append(passed, fmt.Sprintf("%s %q", gotRole, gotName))
	}
	t.Fatalf("Tab does not come to the %s %q, but to %q", role, name, passed)
}

// visible: what has the focus has an outline, a ring or a border of its own.
const visible = `(() => {
	const of = (e) => { const s = getComputedStyle(e); return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.borderColor, s.backgroundColor].join(); };
	const at = document.activeElement, focused = of(at);
	at.blur();
	const plain = of(at);
	at.focus();
	return focused !== plain;
})()`

func TestWithTheKeyboardAlone(t *testing.T) {
	h, browser := begin(t)
	typist, reader := h.member(t, "typist"), h.member(t, "listener")
	typist.room(t, "office", reader)
	h.lend(t, typist)
	page := browser.Person(t, h.HTTP())
	page.Open("/")
	page.Find("textbox", "Name")
	page.Eventually("one can type at once", func() bool { _, name := page.Focused(); return name == "Name" })
	page.Type("typist")
	page.Press("Tab")
	page.Type(password("typist"))
	page.Press("Enter")
	page.Find("link", "#office")

	tabTo(t, page, "link", "#office")
	page.Press("Enter")
	page.Eventually("one can type at once", func() bool { _, name := page.Focused(); return name == "Write to #office" })
	page.Type("typed without a mouse")
	page.Press("Enter")
	page.See("typed without a mouse")
	page.Shot(pictures + "/keyboard.png")

	tabTo(t, page, "link", "Catalogs")
	page.Press("Enter")
	page.Find("link", "films")
	tabTo(t, page, "link", "films")
	page.Press("Enter")
	page.Find("link", filmName)
	tabTo(t, page, "link", "film")
	page.Press("End")
	page.Find("link", filmName)
	page.Press("Escape")
	page.Find("heading", "Catalogs")

	// A dialog keeps the focus, and gives it back.
	page.Press("g", "p")
	page.Find("button", "Invite somebody")
	tabTo(t, page, "button", "Invite somebody")
	page.Press("Enter")
	page.Find("dialog", "Invite somebody")
	for range 12 {
		page.Press("Tab")
		if !chromiumtest.Eval[bool](page, `document.querySelector("dialog").contains(document.activeElement) || document.activeElement === document.body`) {
			t.Fatal("the focus has left the dialog")
		}
	}
	page.Press("Escape")
	page.Lacks("dialog", "Invite somebody")
	if _, name := page.Focused(); name != "Invite somebody" {
		t.Errorf("after the dialog the focus is at %q", name)
	}
}

func TestOnAPhone(t *testing.T) {
	h, browser := begin(t)
	walker, friend := h.member(t, "walker"), h.member(t, "talker")
	walker.room(t, "street", friend)
	friend.say(t, "street", "Where are you? "+longWord)
	h.lend(t, walker)
	page := browser.Person(t, h.HTTP())
	page.Size(320, 568, true)
	enter(page, "walker")
	fits(t, page, "rooms")
	goTo(page, "street")
	page.See("Where are you?")
	write(page, "street", "On my way.")
	page.See("On my way.")
	fits(t, page, "room")
	page.Click("button", "Show the members")
	page.See("talker writes")
	fits(t, page, "members")
	page.Click("button", "Close the members")
	page.Click("link", "All rooms")
	page.Click("link", "Catalogs")
	fits(t, page, "catalogs")
	page.Click("link", "films")
	page.Find("link", filmName)
	fits(t, page, "catalog")
	page.Click("link", filmName)
	plays(page, 0)
	fits(t, page, "film")
	page.Click("link", "People")
	page.Find("heading", "People")
	fits(t, page, "people")
	page.Click("link", "Settings")
	page.See("this one")
	fits(t, page, "settings")
}

// longWord has no place to break it.
const longWord = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft"

// fits: nothing lies beside the screen, and what is pressed is as large as a fingertip.
func fits(t *testing.T, page *chromiumtest.Page, name string) {
	t.Helper()
	page.Shot(fmt.Sprintf("%s/phone-%s.png", pictures, name))
	if wide := chromiumtest.Eval[int](page, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		t.Errorf("%s is %d pixels wider than the screen", name, wide)
	}
	const small = `[...document.querySelectorAll("button, select, .side-place, .room-link, .share")].filter((e) => {
		const { width, height } = e.getBoundingClientRect();
		return e.checkVisibility() && width > 0 && (width < 24 || height < 24);
	}).map((e) => e.outerHTML.slice(0, 120))`
	for _, thing := range chromiumtest.Eval[[]string](page, small) {
		t.Errorf("%s: too small for a finger: %s", name, thing)
	}
}

// TestEveryPageIsForEverybody has axe judge all pages, by day and by night, and leaves pictures of them.
func TestEveryPageIsForEverybody(t *testing.T) {
	h, browser := begin(t)
	source := axe(t)
	judy, guest := h.member(t, "judy"), h.member(t, "juror")
	judy.listed(t, "court", guest)
	guest.listed(t, "chambers")
	guest.say(t, "court", "All rise. https://example.com/ is a link, and #court a room.")
	h.lend(t, judy)
	outside := browser.Person(t, h.HTTP())
	for path, heading := range map[string]string{"/": "Come in", "/join": "Join with an invite", "/link": "Link this browser"} {
		outside.Open(path)
		outside.Find("heading", heading)
		judge(t, outside, source, "door"+map[string]string{"/": "", "/join": "-join", "/link": "-link"}[path])
	}
	outside.Open("/")
	outside.Click("button", "I have only my recovery code")
	outside.Find("heading", "recovery code")
	judge(t, outside, source, "door-recover")

	page := signIn(t, browser, h, "judy")
	judge(t, page, source, "rooms")
	goTo(page, "court")
	page.See("All rise.")
	write(page, "court", "Be seated.")
	page.See("Stored by the hub")
	page.Click("button", "Show the members")
	page.See("juror")
	judge(t, page, source, "room")
	goTo(page, "chambers")
	page.See("You may not enter")
	judge(t, page, source, "room-refused")
	page.Click("button", "New room")
	page.Find("dialog", "New room")
	judge(t, page, source, "room-new")
	page.Press("Escape")

	page.Click("link", "Catalogs")
	page.Find("link", "films")
	judge(t, page, source, "catalogs")
	page.Click("link", "films")
	page.Find("link", filmName)
	judge(t, page, source, "catalog")
	page.Click("link", oldName)
	page.See("keyhall play")
	judge(t, page, source, "unplayable")
	page.Press("Escape")
	page.Click("link", "pictures")
	page.Click("link", "evening.jpg")
	page.Find("image", "evening.jpg")
	judge(t, page, source, "picture")

	for path, waits := range map[string]string{"/people": "juror", "/settings/devices": "this one", "/settings/signin": "Set", "/settings/look": "Dark", "/nowhere": "Nothing behind this door"} {
		page.Open(path)
		page.See(waits)
		judge(t, page, source, strings.ReplaceAll(path[1:], "/", "-"))
	}
	page.Open("/people")
	page.Click("button", "juror")
	page.Find("list", "words")
	judge(t, page, source, "people-verify")
}
