//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/chromedp/cdproto/page"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/sample"
)

const (
	webFilm     = "film.mp4"
	webLongFilm = "long film.mp4"
	webLong     = 10 << 30 // bytes of the film during which memory is measured, most of them holes
	webSeconds  = 3600     // and how long it is
	webRoom     = "benchweb"

	webFilmFloor     = 0.5
	webDownloadFloor = 0.4
	webMessages      = 50 // of one run
	webFilms         = 9  // of one run
	webSeeks         = 30
	webPassword      = "a hall for all of us"
)

// theatre is a hub with alice, who serves films, and bob and alice in a browser each.
type theatre struct {
	hall       *hall
	browser    *chromium
	serving    *process
	plain      *plainOrigin
	bob, alice *tab
	origin     string
}

// web is the web app in Chromium: how soon it is there, films and downloads beside the same bytes without Keyhall, and how
// long a message takes from a key to the other's screen.
func web(ctx context.Context, s *stage) (results []Result, err error) {
	h, err := openTheatre(ctx, s)
	if h != nil {
		defer func() { err = errors.Join(err, h.close()) }()
	}
	if err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context, *stage) ([]Result, error){h.start, h.memory, h.films, h.download, h.messages} {
		rows, err := part(ctx, s)
		if err != nil {
			return results, err
		}
		results = append(results, rows...)
	}
	return results, nil
}

func webRows() []string {
	return []string{"web-start-paint", "web-start-ready", "web-frame", "web-seek", "web-download", "web-message-p50", "web-message-p99", "web-memory"}
}

func openTheatre(ctx context.Context, s *stage) (*theatre, error) {
	shared, err := s.hall(ctx)
	if err != nil {
		return nil, err
	}
	note(s.log, "web: films of 1 GB and of 10 GB with holes")
	dir := s.path("cinema")
	if err := sample.Write(filepath.Join(dir, "samples"), sample.Size{Wide: 640, Seconds: 10}); err != nil {
		return nil, err
	}
	if err := sample.FilmOf(1e9).WriteFile(filepath.Join(dir, webFilm)); err != nil {
		return nil, err
	}
	long := sample.Film{Seconds: webSeconds, Gap: webLong / webSeconds}
	if err := long.WriteFile(filepath.Join(dir, webLongFilm)); err != nil {
		return nil, err
	}
	t := &theatre{hall: shared, plain: newPlainOrigin(dir)}
	return t, t.furnish(ctx, s, dir)
}

func (t *theatre) furnish(ctx context.Context, s *stage, dir string) (err error) {
	if _, err := t.hall.offer(ctx, "cinema", dir); err != nil {
		return err
	}
	if t.serving, err = t.hall.serve(ctx, "cinema"); err != nil {
		return err
	}
	for _, args := range [][]string{{"room", "create", webRoom}, {"room", "grant", webRoom, "bob"}} {
		if _, err := t.hall.alice.keyhall(ctx, args...); err != nil {
			return err
		}
	}
	if t.browser, err = startChromium(ctx); err != nil {
		return err
	}
	if t.bob, t.origin, err = t.signIn(ctx, t.hall.bob); err != nil {
		return err
	}
	t.alice, _, err = t.signIn(ctx, t.hall.alice)
	return err
}

func (t *theatre) close() error {
	t.plain.server.Close()
	if t.browser != nil {
		t.browser.close()
	}
	if t.serving == nil {
		return nil
	}
	return t.serving.stop()
}

// signIn brings a member into a browser of their own, with name and password.
func (t *theatre) signIn(ctx context.Context, m *member) (*tab, string, error) {
	profile, err := client.OpenProfile(m.home)
	if err != nil {
		return nil, "", err
	}
	c, err := client.Connect(ctx, profile)
	if err != nil {
		return nil, "", err
	}
	defer c.Close()
	if _, err := c.SetPassword(ctx, webPassword); err != nil {
		return nil, "", err
	}
	origin := profile.Settings.URL
	in := t.browser.person()
	for _, step := range []func() error{
		func() error { return in.open(origin, "") },
		func() error { return in.fill(`input[autocomplete~="username"]`, m.handle) },
		func() error { return in.fill(`input[type="password"]`, webPassword) },
		in.enter,
		func() error { return in.until(`document.querySelector('a[href="/settings"], a[href^="/settings/"]')`) },
	} {
		if err := step(); err != nil {
			return nil, "", fmt.Errorf("%s signs in: %w", m.handle, err)
		}
	}
	return in, origin, nil
}

// watching notes when the first paint came and when something can be typed.
const watching = `addEventListener("DOMContentLoaded", () => {
	const look = () => {
		const field = document.querySelector("main textarea");
		if (field && !field.disabled) globalThis.readyToType = performance.now();
		else requestAnimationFrame(look);
	};
	look();
});`

// start is a room opened in a new tab, by somebody who has signed in before.
func (t *theatre) start(_ context.Context, s *stage) ([]Result, error) {
	note(s.log, "web-start: %d tabs", s.runs)
	if err := t.bob.click("nav a, main a", "#"+webRoom); err != nil {
		return nil, err
	}
	if err := t.bob.until(`document.querySelector("main textarea")`); err != nil {
		return nil, err
	}
	room, err := eval[string](t.bob, "location.href")
	if err != nil {
		return nil, err
	}
	var paint, ready []float64
	for range s.runs {
		fresh := t.bob.another()
		err := errors.Join(fresh.open(room, watching), fresh.until("globalThis.readyToType"))
		if err == nil {
			var took [2]float64
			took, err = eval[[2]float64](fresh, `[performance.getEntriesByName("first-contentful-paint")[0].startTime, readyToType]`)
			paint, ready = append(paint, took[0]), append(ready, took[1])
		}
		fresh.close()
		if err != nil {
			return nil, err
		}
	}
	return []Result{
		bounded("web-start-paint", "ms", paint, median(paint), noLimit),
		bounded("web-start-ready", "ms", ready, median(ready), noLimit),
	}, nil
}

// show opens a file of the cinema in bob's page and gives its address there. It is the one page of his, as most people have
// one: the service worker then lives in its process. The page takes what comes from elsewhere too, so that both sides are
// measured in it.
func (t *theatre) show(file string) (address string, err error) {
	if err := t.bob.open(t.origin+"/catalogs", ""); err != nil {
		return "", err
	}
	if _, err := send(t.bob, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true}); err != nil {
		return "", err
	}
	if err := t.bob.open(t.origin+"/catalogs", ""); err != nil {
		return "", err
	}
	if err := t.bob.click("main a", "cinema"); err != nil {
		return "", err
	}
	if err := t.bob.until(`document.querySelector("main h1")?.innerText.includes("cinema")`); err != nil {
		return "", err
	}
	if _, err := eval[string](t.bob, fmt.Sprintf(`location.hash = %q`, url.PathEscape(file))); err != nil {
		return "", err
	}
	if err := t.bob.until(`document.querySelector("main video")?.readyState >= 2`); err != nil {
		return "", err
	}
	if _, err := eval[bool](t.bob, `(document.querySelector("main video").pause(), true)`); err != nil {
		return "", err
	}
	return eval[string](t.bob, `document.querySelector("main video").getAttribute("src")`)
}

// watch times a film in a page: its first picture, and, after a seek to the middle, the first picture there.
const watch = `(async (address) => {
	const film = document.createElement("video");
	Object.assign(film, { muted: true, preload: "auto" });
	document.body.append(film);
	const picture = (at) => new Promise((resolve, reject) => {
		film.onerror = () => reject(new Error(film.error.message));
		const look = (_, { mediaTime }) => Math.abs(mediaTime - at) < 2 ? resolve() : film.requestVideoFrameCallback(look);
		film.requestVideoFrameCallback(look);
	});
	let began = performance.now();
	film.src = address;
	await picture(0);
	const first = performance.now() - began;
	const middle = film.duration / 2;
	began = performance.now();
	film.currentTime = middle;
	await picture(middle);
	const seek = performance.now() - began;
	film.removeAttribute("src");
	film.load();
	film.remove();
	return [first, seek];
})`

// films is a film of 1 GB: its first picture and a seek to its middle, each time with a new element, beside the same file
// from a plain HTTP server of this process. Pictures come sixty times a second, so a run is the median of several.
func (t *theatre) films(ctx context.Context, s *stage) ([]Result, error) {
	note(s.log, "web-frame, web-seek: 2 × %d × %d", s.runs, webFilms)
	address, err := t.show(webFilm)
	if err != nil {
		return nil, err
	}
	var seeks [2][]float64
	count := 0
	side := func(side int, address string) side {
		return func(context.Context) (float64, error) {
			var frames, after []float64
			for range webFilms {
				count++
				took, err := eval[[2]float64](t.bob, fmt.Sprintf("%s(%q)", watch, fmt.Sprintf("%s?%d", address, count)))
				if err != nil {
					return 0, err
				}
				frames, after = append(frames, took[0]), append(after, took[1])
			}
			seeks[side] = append(seeks[side], median(after))
			return median(frames), nil
		}
	}
	values, err := turns(ctx, s.runs, side(0, address), side(1, t.plain.address("/"+webFilm)))
	if err != nil {
		return nil, err
	}
	return []Result{
		compared("web-frame", "ms", values[0], values[1], true, webFilmFloor),
		compared("web-seek", "ms", seeks[0], seeks[1], true, webFilmFloor),
	}, nil
}

// download is 300 MB of a file: opened, verified and handed on to where the browser saves them, beside as many bytes that
// one WebSocket brings into the same page.
func (t *theatre) download(ctx context.Context, s *stage) ([]Result, error) {
	note(s.log, "web-download: 2 × %d × %d MB", s.runs, rawBytes/1_000_000)
	address, err := t.show(webFilm)
	if err != nil {
		return nil, err
	}
	ours := fmt.Sprintf(`(async () => {
		const began = performance.now();
		const reader = (await fetch("%s?save")).body.getReader();
		let got = 0;
		while (got < %d) got += (await reader.read()).value.length;
		await reader.cancel();
		return got / 1000 / (performance.now() - began);
	})()`, address, rawBytes)
	raw := fmt.Sprintf(`new Promise((resolve, reject) => {
		const began = performance.now();
		const socket = Object.assign(new WebSocket(%q), { binaryType: "arraybuffer", onerror: reject });
		let got = 0;
		socket.onmessage = ({ data }) => {
			got += data.byteLength;
			if (got >= %d) resolve((socket.close(), got / 1000 / (performance.now() - began)));
		};
	})`, t.plain.socket(), rawBytes)
	rate := func(expression string) side {
		return func(context.Context) (float64, error) { return eval[float64](t.bob, expression) }
	}
	values, err := turns(ctx, s.runs, rate(ours), rate(raw))
	if err != nil {
		return nil, err
	}
	return []Result{compared("web-download", "MB/s", values[0], values[1], false, webDownloadFloor)}, nil
}

// messages is the time from a key in one browser to the picture that shows what was said in the other. Both pages go by
// the clock of this machine.
func (t *theatre) messages(_ context.Context, s *stage) ([]Result, error) {
	note(s.log, "web-message: %d × %d", s.runs, webMessages)
	for _, in := range []*tab{t.alice, t.bob} {
		if err := in.click("nav a", "Rooms"); err != nil {
			return nil, err
		}
		if err := in.click("nav a, main a", "#"+webRoom); err != nil {
			return nil, err
		}
		if err := in.until(`document.querySelector("main textarea")?.disabled === false`); err != nil {
			return nil, err
		}
	}
	var middle, slow []float64
	for run := range s.runs + 1 {
		took := make([]float64, 0, webMessages)
		for i := range webMessages {
			one, err := t.message(fmt.Sprintf("a sentence of about the usual length, number %d-%d.", run, i))
			if err != nil {
				return nil, err
			}
			took = append(took, one)
		}
		if run > 0 { // the first warms up
			middle, slow = append(middle, quantile(took, 0.5)), append(slow, quantile(took, 0.99))
		}
	}
	return []Result{
		bounded("web-message-p50", "ms", middle, median(middle), noLimit),
		bounded("web-message-p99", "ms", slow, median(slow), noLimit),
	}, nil
}

func (t *theatre) message(text string) (float64, error) {
	if err := t.alice.fill("main textarea", text); err != nil {
		return 0, err
	}
	_, err := eval[bool](t.alice, `(document.querySelector("main textarea").addEventListener("keydown", (event) => {
		globalThis.pressed = performance.timeOrigin + event.timeStamp;
	}, { once: true, capture: true }), true)`)
	if err != nil {
		return 0, err
	}
	_, err = eval[bool](t.bob, fmt.Sprintf(`(globalThis.shown = new Promise((resolve) => {
		const look = () => document.querySelector("main").innerText.includes(%q)
			? requestAnimationFrame(() => resolve(performance.timeOrigin + performance.now())) : requestAnimationFrame(look);
		look();
	}), true)`, text))
	if err != nil {
		return 0, err
	}
	if err := t.alice.enter(); err != nil {
		return 0, err
	}
	shown, err := eval[float64](t.bob, "shown")
	if err != nil {
		return 0, err
	}
	pressed, err := eval[float64](t.alice, "pressed")
	return shown - pressed, err
}

// memory is the peak of the process that shows the page, while a film of 10 GB is played and sought through. It comes before
// the downloads: a peak is never unlearned.
func (t *theatre) memory(_ context.Context, s *stage) ([]Result, error) {
	note(s.log, "web-memory: %d × %d seeks in 10 GB", s.runs, webSeeks)
	address, err := t.show(webLongFilm)
	if err != nil {
		return nil, err
	}
	var peaks []float64
	for range s.runs {
		if _, err := eval[bool](t.bob, fmt.Sprintf(`(async () => {
			const film = document.querySelector("main video");
			Object.assign(film, { muted: true, playbackRate: 8 });
			if (!film.src.endsWith(%q)) throw new Error("another film");
			await film.play();
			for (let i = 0; i < %d; i++) {
				const sought = new Promise((resolve) => film.addEventListener("seeked", resolve, { once: true }));
				film.currentTime = film.duration * ((i * 7) %% 30) / 31;
				await sought;
				await new Promise((resolve) => film.addEventListener("timeupdate", resolve, { once: true }));
			}
			return true;
		})()`, address, webSeeks)); err != nil {
			return nil, err
		}
		peak, err := t.browser.renderers()
		if err != nil {
			return nil, err
		}
		peaks = append(peaks, peak)
	}
	return []Result{bounded("web-memory", "MB", peaks, slices.Max(peaks), noLimit)}, nil
}
