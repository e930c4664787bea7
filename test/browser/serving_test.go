package browser_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
	"keyhall.dev/keyhall/internal/demo"
	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/sample"
	"keyhall.dev/keyhall/web"
)

// TestSamplesPlayAndShow: what the project draws and computes itself is what browsers take it for.
func TestSamplesPlayAndShow(t *testing.T) {
	_, browser := begin(t)
	dir := t.TempDir()
	if err := sample.Write(dir, sample.Size{Wide: 160, Seconds: 3}); err != nil {
		t.Fatal(err)
	}
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprint(w, `<!doctype html><link rel="icon" href="data:,"><title>samples</title>`)
			return
		}
		if path.Ext(r.URL.Path) == ".flac" {
			w.Header().Set("Content-Type", "audio/flac")
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	page := browser.Person(t, server.URL)
	page.Open("/")

	const show = `(async () => { const i = new Image(); i.src = %q; await i.decode(); return i.naturalWidth; })()`
	for name, wide := range map[string]int{sample.PictureName: 160, "pictures/night.png": 120} {
		if got := chromiumtest.Eval[int](page, fmt.Sprintf(show, "/"+name)); got != wide {
			t.Errorf("%s is %d wide, want %d", name, got, wide)
		}
	}
	// Each is begun, and then gone to a place in it; a film says how many of its pictures were damaged. The FLAC has no table
	// of places, and to search it without one Chromium does not always manage.
	const play = `(async () => {
		const m = document.createElement(%q); m.muted = true; m.src = %q;
		const until = (event) => new Promise((done, failed) => { m.addEventListener(event, done, { once: true }); m.onerror = () => failed(new Error(m.error.code + ": " + m.error.message)); });
		await until("loadeddata");
		const length = m.duration;
		const place = %g;
		if (place > 0) {
			m.currentTime = place;
			await until("seeked");
		}
		const playing = until("timeupdate");
		await m.play();
		await playing;
		return [length, m.currentTime, m.getVideoPlaybackQuality?.().corruptedVideoFrames ?? 0, m.videoWidth ?? 0, m.videoHeight ?? 0];
	})()`
	for name, row := range map[string]struct {
		element string
		length  float64
		goTo    float64
		size    [2]float64
	}{
		sample.FilmName: {"video", 3, 1.5, [2]float64{640, 360}}, sample.FLACName: {"audio", 12, 0, [2]float64{}}, "sound/a slow bell.wav": {"audio", 9, 7, [2]float64{}},
	} {
		got := chromiumtest.Eval[[]float64](page, fmt.Sprintf(play, row.element, "/"+strings.ReplaceAll(name, " ", "%20"), row.goTo))
		if got[0] < row.length-.1 || got[0] > row.length+.1 || got[1] < row.goTo || got[2] != 0 || [2]float64{got[3], got[4]} != row.size {
			t.Errorf("%s: length, place, damaged pictures, width and height are %v", name, got)
		}
	}
}

// TestTheDemoInTwoWindows is the first minute of somebody who types no command but one.
func TestTheDemoInTwoWindows(t *testing.T) {
	_, browser := begin(t)
	d, err := demo.Start(t.Context(), demo.Options{
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Samples: sample.Size{Wide: 160, Seconds: 8},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	first, second := d.Windows()
	alice := browser.Person(t, first)
	alice.Open("/")
	alice.See("throw-away demo") // it says so before anybody signs in
	open := func(page *chromiumtest.Page, name string) {
		page.Open("/")
		page.Fill("Name", name)
		page.Fill("Password", name)
		page.Press("Enter")
		page.Find("link", "Settings")
	}
	open(alice, "alice")
	// The other window is one of the same browser: another name of the hub is enough to keep the two apart.
	bob := alice.TabAt(second)
	open(bob, "bob")

	bob.Click("link", "all1")
	bob.See("Hello bob!", "pictures and a film")
	alice.Click("link", "all1")
	bob.Fill("Write to #all1", "I am here now")
	bob.Press("Enter")
	alice.See("I am here now")
	alice.See("demo") // and says so still

	bob.Find("link", "1 to answer") // wherever he is
	bob.Click("link", "Catalogs")
	bob.Click("button", "Accept letters")
	bob.Lacks("link", "to answer")
	bob.Click("link", "evenings")
	bob.Click("link", "film")
	bob.Click("link", path.Base(sample.FilmName))
	plays(bob, 0)
	seek(bob, 6)
	bob.Shot(pictures + "/demo.png")
}

// TestTheAppOfAMembersOwnProgram: the same app, which the hub has no hand in.
func TestTheAppOfAMembersOwnProgram(t *testing.T) {
	h, browser := begin(t)
	h.lend(t, h.member(t, "careful"))
	own, err := httpd.StartMember(httpd.MemberOptions{
		Address: "localhost:0", Hub: h.HTTP(), App: web.App(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	page := browser.Person(t, own.URL())
	enter(page, "careful")
	watch(page)
	page.Open("/rooms") // a session that is kept
	page.Find("link", "Settings")
}
