package browser_test

import (
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
)

// markup is what would run, or show a picture of somebody else's, if it ever became markup.
const markup = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script><a href="javascript:document.title='taken'">here</a>`

// hostileName is a name of a file that turns what follows it around, and is markup.
const hostileName = "<img src=x onerror=alert(1)> \u202egpj.exe"

func TestHostileTextStaysText(t *testing.T) {
	h, browser := begin(t)
	mallory, victim := h.member(t, "mallory"), h.member(t, "victim")
	mallory.room(t, "trap", victim)
	mallory.say(t, "trap", markup)
	mallory.say(t, "trap", "see javascript:alert(1) and data:text/html,<b>x</b> and https://example.com/\"><b>")
	h.lend(t, victim)

	page := signIn(t, browser, h, "victim")
	goTo(page, "trap")
	page.See(markup, "see javascript:alert(1)")
	untouched(t, page)
	for _, link := range page.Things("link") {
		if href := chromiumtest.On[string](page, &link, `function () { return this.href; }`); !strings.HasPrefix(href, "http") {
			t.Errorf("a link goes to %s", href)
		}
	}

	page.Click("link", "Catalogs")
	page.Click("link", "films")
	page.See("<img src=x onerror=alert(1)>")
	untouched(t, page)
	if text := page.Text(); strings.ContainsRune(text, '\u202e') {
		t.Error("a name of a file turns the text around")
	}
}

// untouched: nothing of what others say has become a part of the page.
func untouched(t *testing.T, page *chromiumtest.Page) {
	t.Helper()
	if title := chromiumtest.Eval[string](page, `document.title`); strings.Contains(title, "taken") {
		t.Error("a script of somebody else's ran")
	}
	const made = `[...document.querySelectorAll("img[src=x], [onerror], main script, main b, iframe, object, embed")].length`
	if n := chromiumtest.Eval[int](page, made); n != 0 {
		t.Errorf("%d elements were made of somebody else's text", n)
	}
}
