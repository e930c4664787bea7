package browser_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/chromiumtest"
	"keyhall.dev/keyhall/internal/sample"
)

// open opens a file of a catalog, as an address does that somebody kept.
func open(page *chromiumtest.Page, catalog, path string) {
	page.Click("link", "Catalogs")
	page.Click("link", catalog)
	page.Find("heading", catalog)
	chromiumtest.Eval[string](page, fmt.Sprintf(`location.hash = encodeURI(%q)`, path))
	page.Find("heading", strings.ReplaceAll(path[strings.LastIndex(path, "/")+1:], "\u202e", "\ufffd"))
}

// source is the address of what is shown.
func source(page *chromiumtest.Page, element string) string {
	address := ""
	page.Eventually("there is a "+element, func() bool {
		address, _ = chromiumtest.TryEval[string](page, fmt.Sprintf(`document.querySelector(%q)?.getAttribute("src") ?? ""`, element))
		return strings.HasPrefix(address, "/media/")
	})
	return address
}

// answered is what a request of the page was answered with.
type answered struct {
	Status  int
	Headers map[string]string
	Body    string // its beginning, in base64; nothing unless it is a part
}

func ask(page *chromiumtest.Page, address, method, ranges string) answered {
	return chromiumtest.Eval[answered](page, fmt.Sprintf(`(async () => {
		const answer = await fetch(%q, { method: %q, headers: %s });
		const Headers = Object.fromEntries(answer.headers);
		const begin = new Uint8Array(64);
		let got = 0;
		const all = Number(Headers["content-length"]);
		const reader = answer.status === 206 ? answer.body.getReader() : undefined;
		for (let part; reader && (all < 1000 || got < 64) && !(part = await reader.read()).done; got += part.value.length) begin.set(part.value.subarray(0, Math.max(0, 64 - got)), Math.min(got, 64));
		await (reader ?? answer.body)?.cancel();
		return { Status: answer.status, Headers: { ...Headers, got: String(got) }, Body: btoa(String.fromCharCode(...begin.subarray(0, Math.min(got, 64)))) };
	})()`, address, method, ranges))
}

func TestPartsOfAFilmAreAnsweredAsTheyAreAskedFor(t *testing.T) {
	h, browser := begin(t)
	h.lend(t, h.member(t, "parts"))
	page := signIn(t, browser, h, "parts")
	watch(page)
	address := source(page, "video")
	film, err := os.Open(filepath.Join(h.dir, "films", filmName))
	if err != nil {
		t.Fatal(err)
	}
	defer film.Close() //nolint:errcheck // only read
	info, err := film.Stat()
	if err != nil {
		t.Fatal(err)
	}
	size := info.Size()
	const most = 8 << 20
	for ranges, want := range map[string][2]int64{ // first byte and number of them
		"bytes=0-0":                           {0, 1},
		"bytes=262140-262150":                 {262140, 11},
		"bytes=0-":                            {0, most},
		fmt.Sprintf("bytes=%d-", size-100):    {size - 100, 100},
		"bytes=-7":                            {size - 7, 7},
		fmt.Sprintf("bytes=%d-", size/2):      {size / 2, min(most, size-size/2)},
		fmt.Sprintf("bytes=5-%d", int64(6e6)): {5, 6e6 - 4},
	} {
		got := ask(page, address, "GET", fmt.Sprintf(`{ Range: %q }`, ranges))
		said := fmt.Sprintf("bytes %d-%d/%d", want[0], want[0]+want[1]-1, size)
		length := strconv.FormatInt(want[1], 10)
		if got.Status != 206 || got.Headers["content-range"] != said || got.Headers["content-length"] != length || (want[1] < 1000 && got.Headers["got"] != length) {
			t.Errorf("%s: %d %v", ranges, got.Status, got.Headers)
		}
		begin := make([]byte, min(64, want[1]))
		if _, err := film.ReadAt(begin, want[0]); err != nil {
			t.Fatal(err)
		}
		if got.Body != base64.StdEncoding.EncodeToString(begin) {
			t.Errorf("%s: other bytes than the film's", ranges)
		}
	}
	whole := strconv.FormatInt(size, 10)
	for _, ranges := range []string{`{}`, `{ Range: "bytes=0-1,4-5" }`, `{ Range: "bytes=9-3" }`} {
		if got := ask(page, address, "GET", ranges); got.Status != 200 || got.Headers["content-length"] != whole || got.Headers["content-type"] != "video/mp4" {
			t.Errorf("%s: %d %v", ranges, got.Status, got.Headers)
		}
	}
	if got := ask(page, address, "HEAD", `{}`); got.Status != 200 || got.Headers["content-length"] != whole {
		t.Errorf("the head alone: %d %v", got.Status, got.Headers)
	}
	if got := ask(page, address, "GET", fmt.Sprintf(`{ Range: "bytes=%d-" }`, size)); got.Status != 416 || got.Headers["content-range"] != "bytes */"+whole {
		t.Errorf("beyond the end: %d %v", got.Status, got.Headers)
	}
	if got := ask(page, address, "POST", `{}`); got.Status != 405 {
		t.Errorf("a change: %d", got.Status)
	}
	token := strings.Split(address, "/")[2]
	page.Press("Escape")
	page.Click("link", "Settings")
	page.Eventually("the address of a catalog that was left leads nowhere", func() bool {
		return ask(page, address, "GET", `{ Range: "bytes=0-0" }`).Status == 404
	})
	if got := ask(page, "/media/"+token[1:]+"A/x", "GET", `{}`); got.Status != 404 {
		t.Errorf("an address that nobody made: %d", got.Status)
	}
}

func TestADownloadIsTheFileByteForByte(t *testing.T) {
	h, browser := begin(t)
	h.lend(t, h.member(t, "saver"))
	page := signIn(t, browser, h, "saver")
	dir := t.TempDir()
	page.DownloadsTo(dir)
	for _, path := range []string{sample.FilmName, sample.PaperName, hostileName} {
		open(page, "films", path)
		page.Click("button", "Download")
		want, err := os.ReadFile(filepath.Join(h.dir, "films", filepath.FromSlash(path)))
		if err != nil {
			t.Fatal(err)
		}
		page.Eventually("the file is on the disk", func() bool {
			found, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(found) != 1 || strings.HasSuffix(found[0], ".crdownload") {
				return false
			}
			got, err := os.ReadFile(found[0])
			if err != nil || !bytes.Equal(got, want) {
				return false
			}
			if name := filepath.Base(found[0]); strings.ContainsAny(name, "<>\u202e") {
				t.Errorf("it was saved as %q", name)
			}
			return os.Remove(found[0]) == nil
		})
	}
	page.Forgive("chrome-extension://") // what the browser's viewer of papers consists of
}

func TestPicturesSoundsPapersAndTextsOpen(t *testing.T) {
	h, browser := begin(t)
	h.lend(t, h.member(t, "looker"))
	page := signIn(t, browser, h, "looker")

	open(page, "films", sample.PictureName)
	page.Eventually("the picture is shown", func() bool {
		wide, _ := chromiumtest.TryEval[int](page, `document.querySelector("img[src^='/media/']")?.naturalWidth ?? 0`)
		return wide > 0
	})
	page.Shot(pictures + "/picture.png")

	open(page, "films", sample.FLACName)
	page.Eventually("the sound plays", func() bool {
		at, _ := chromiumtest.TryEval[float64](page, `document.querySelector("audio")?.currentTime ?? 0`)
		return at > 0.5
	})
	end := chromiumtest.Eval[float64](page, `document.querySelector("audio").duration`)
	chromiumtest.Eval[bool](page, fmt.Sprintf(`(document.querySelector("audio").currentTime = %g, true)`, end-2))
	page.Eventually("the sound plays near its end", func() bool {
		at, _ := chromiumtest.TryEval[float64](page, `document.querySelector("audio")?.currentTime ?? 0`)
		return at > end-1.5
	})
	page.Shot(pictures + "/sound.png")

	open(page, "films", sample.PaperName)
	source(page, "iframe")
	page.Eventually("the paper is in the browser's own viewer", func() bool {
		kind, _ := chromiumtest.TryEval[string](page, `document.querySelector("iframe").contentDocument?.contentType ?? ""`)
		return kind == "application/pdf"
	})
	page.Shot(pictures + "/paper.png")
	page.Forgive("chrome-extension://") // what the viewer consists of

	open(page, "films", sample.TextName)
	text, err := os.ReadFile(filepath.Join(h.dir, "films", filepath.FromSlash(sample.TextName)))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	page.See(line)
}

// Somebody's page, or picture with a script in it, is never a document of the hub's origin.
func TestWhatCouldRunIsOnlyEverSaved(t *testing.T) {
	h, browser := begin(t)
	owner, reader := h.member(t, "scripter"), h.member(t, "curious")
	const script = `<script>parent.document.title = "taken"; document.title = "taken"</script>`
	owner.offer(t, h, "tricks", reader, map[string][]byte{
		"page.html":   []byte("<!doctype html>" + script),
		"picture.svg": []byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="parent.document.title = 'taken'">` + script + `</svg>`),
	})
	page := signIn(t, browser, h, "curious")
	page.DownloadsTo(t.TempDir())
	for _, name := range []string{"page.html", "picture.svg"} {
		open(page, "tricks", name)
		page.Click("button", "Download")
		address := source(page, "iframe[hidden]:last-of-type")
		plain, _, _ := strings.Cut(address, "?")
		for _, address := range []string{address, plain} {
			got := ask(page, address, "GET", `{}`)
			isFile := strings.HasPrefix(got.Headers["content-disposition"], "attachment;") && got.Headers["content-type"] == "application/octet-stream"
			isLocked := strings.Contains(got.Headers["content-security-policy"], "sandbox") && got.Headers["x-content-type-options"] == "nosniff"
			if !isFile || !isLocked || got.Headers["cross-origin-resource-policy"] != "same-origin" {
				t.Errorf("%s: %v", address, got.Headers)
			}
		}
		chromiumtest.Eval[bool](page, fmt.Sprintf(`(() => {
			for (const make of [(a) => Object.assign(document.createElement("iframe"), { src: a, className: "tried" }), (a) => Object.assign(new Image(), { src: a })]) document.body.append(make(%q));
			return document.querySelectorAll("iframe[hidden]").forEach((frame) => frame.remove()), true;
		})()`, plain))
	}
	page.Find("button", "Download")
	untouchedTitle(t, page)
}

func untouchedTitle(t *testing.T, page *chromiumtest.Page) {
	t.Helper()
	if title := chromiumtest.Eval[string](page, `document.title`); strings.Contains(title, "taken") {
		t.Error("a script of somebody else's ran")
	}
}

// An owner whose computer sends other bytes than it has listed is found out, block by block.
func TestAnOwnerWhoSendsAnotherFileIsRefused(t *testing.T) {
	h, browser := begin(t)
	owner, reader := h.member(t, "forger"), h.member(t, "deceived")
	text := []byte(strings.Repeat("As it was listed. ", 20_000))
	dir := owner.offer(t, h, "papers", reader, map[string][]byte{"true.txt": text, "false.txt": text})
	page := signIn(t, browser, h, "deceived")
	open(page, "papers", "true.txt")
	page.See("As it was listed.")

	// What the owner's program goes by, size and time, stays.
	path := filepath.Join(dir, "false.txt")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte("was"), []byte("wos"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	open(page, "papers", "false.txt")
	page.See("not the file that was listed")
	if strings.Contains(page.Text(), "As it w") {
		t.Error("what was sent is shown")
	}
}

// offer makes a catalog of some files, serves it, and shares it with somebody, who accepts.
func (m *member) offer(t *testing.T, h *hall, name string, to *member, files map[string][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	past := time.Now().Add(-time.Hour) // not so new that the scan looks twice
	for file, content := range files {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.profile.AddCatalog(t.Context(), name, dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Share(t.Context(), name, to.handle, 0); err != nil {
		t.Fatal(err)
	}
	if err := to.Accept(t.Context(), m.handle+"/"+name); err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(h.life)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- m.ServeReady(life, nil, func() { close(ready) }, nil) }()
	select {
	case <-ready:
	case err := <-ended:
		end()
		t.Fatalf("%s does not serve: %v", m.handle, err)
	}
	t.Cleanup(func() { end(); <-ended })
	return dir
}
