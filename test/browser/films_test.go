package browser_test

import (
	"fmt"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
)

// watch opens the keeper's film, and returns when it plays.
func watch(page *chromiumtest.Page) {
	page.Click("link", "Catalogs")
	page.Click("link", "films")
	page.Click("link", filmName)
	plays(page, 0)
}

const video = `document.querySelector("video")`

// plays waits until the film is beyond a second, and shows pictures there.
func plays(page *chromiumtest.Page, from float64) {
	page.Eventually(fmt.Sprintf("the film plays from second %g on", from), func() bool {
		at, err := chromiumtest.TryEval[float64](page, `(() => { const v = `+video+`; return v && v.readyState >= 3 && !v.seeking && !v.error && v.videoWidth > 0 ? v.currentTime : -1; })()`)
		return err == nil && at > from
	})
}

// seek goes to a second, as the slider of the player does.
func seek(page *chromiumtest.Page, second int) {
	chromiumtest.Eval[bool](page, fmt.Sprintf(`(%s.currentTime = %d, true)`, video, second))
	plays(page, float64(second))
}

func TestSeekToTheLastMinuteOfALongFilm(t *testing.T) {
	h, browser := begin(t)
	h.lend(t, h.member(t, "watcher"))
	page := signIn(t, browser, h, "watcher")
	watch(page)
	if length := chromiumtest.Eval[float64](page, video+`.duration`); length < filmSeconds-1 || length > filmSeconds+1 {
		t.Errorf("a film of %g s", length)
	}
	seek(page, filmSeconds-40)
	seek(page, 10)
	seek(page, filmSeconds-5)
	page.Shot(pictures + "/film.png")

	page.Press("Escape")
	page.Click("link", brokenName)
	page.See("keyhall play", "Download")
	page.Press("Escape")
	page.Click("link", oldName)
	page.See("keyhall play", "Download")
}

func TestAWorkerThatIsKilledInTheMiddleOfAFilmGoesOn(t *testing.T) {
	h, browser := begin(t)
	h.lend(t, h.member(t, "patient"))
	page := signIn(t, browser, h, "patient")
	watch(page)
	page.KillWorkers()
	seek(page, 60)
	page.KillWorkers()
	plays(page, chromiumtest.Eval[float64](page, video+`.currentTime`)+2)
}

func TestASessionThatIsEndedWhileWatching(t *testing.T) {
	h, browser := begin(t)
	h.lend(t, h.member(t, "visitor"))
	here, there := signIn(t, browser, h, "visitor"), signIn(t, browser, h, "visitor")
	watch(there)

	here.Click("link", "Settings")
	here.Click("button", "Sign out everywhere else")
	here.Find("dialog", "Sign out everywhere else?")
	here.ClickIn("dialog", "Sign out everywhere else?", "button", "Sign out everywhere else")
	there.See("Come in", "signed out")
	there.Shot(pictures + "/ended.png")
	there.Reload()
	there.Find("button", "Sign in")
	if left := chromiumtest.Eval[int](there, `fetch("/api/session").then((answer) => answer.status)`); left != 401 {
		t.Errorf("the session of a browser that was signed out: %d", left)
	}
	here.Click("link", "Catalogs")
	here.Find("link", "films")
}
