package httpd

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

var (
	//go:embed page.html
	page []byte
	//go:embed page.css
	pageStyle []byte
)

// mediaPath is where the app's service worker answers for the films, pictures and texts of others, which come to
// the browser sealed. A hub has none of them.
const mediaPath = "/media/"

// pages are the first parts of the paths at which the app shows something (web/src/ui/parse.ts), and whether there are
// pages below.
var pages = map[string]bool{"": false, "join": false, "link": false, "people": false, "rooms": true, "catalogs": true, "settings": true}

// types are named here, and not by the machine's own table.
var types = map[string]string{
	".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".ico": "image/x-icon",
	".js": "text/javascript; charset=utf-8", ".json": "application/json", ".png": "image/png", ".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2",
}

// hashed is a name that belongs to one content for ever.
var hashed = regexp.MustCompile(`-[A-Z0-9]{8}\.[a-z0-9]+$`)

// app serves the web app. Its pages are all the same file: which one it shows, it sees from the address.
type app struct {
	files map[string]*appFile // by path
	index *appFile
}

// appFile is one file of the app, as it is and compressed.
type appFile struct {
	kind      string
	immutable bool
	plain     []byte
	tag       string
	packed    func() []byte // nil where it would not be smaller
}

// newApp reads the app of a build; nil where nothing was built.
func newApp(built fs.FS) (*app, error) {
	if built == nil {
		return nil, nil
	}
	a := &app{files: make(map[string]*appFile)}
	err := fs.WalkDir(built, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		content, err := fs.ReadFile(built, name)
		a.files["/"+name] = newAppFile(name, content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the app: %w", err)
	}
	if a.index = a.files["/index.html"]; a.index == nil {
		return nil, nil
	}
	delete(a.files, "/index.html")
	return a, nil
}

// showApp serves the app, or says that there is none.
func (o Options) showApp(mux *http.ServeMux) error {
	a, err := newApp(o.App)
	if err != nil {
		return err
	}
	mux.HandleFunc("GET /page.css", showStyle)
	if a != nil {
		mux.Handle("/", a)
		return nil
	}
	mux.HandleFunc("GET /{$}", showPage)
	mux.HandleFunc("GET /join", showPage)
	return nil
}

func newAppFile(name string, content []byte) *appFile {
	sum := sha256.Sum256(content)
	kind := types[path.Ext(name)]
	if kind == "" {
		kind = "application/octet-stream"
	}
	return &appFile{
		kind: kind, immutable: hashed.MatchString(name), plain: content, tag: hex.EncodeToString(sum[:12]),
		packed: sync.OnceValue(func() []byte { return pack(content) }),
	}
}

func pack(content []byte) []byte {
	var packed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = writer.Write(content)
		err = errors.Join(err, writer.Close())
	}
	if err != nil || packed.Len() >= len(content) {
		return nil
	}
	return packed.Bytes()
}

// ServeHTTP serves a file of the app, or its page. To a browser that goes where there is nothing the app itself says so.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file := a.files[r.URL.Path]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "there is nothing here but to be read", http.StatusMethodNotAllowed)
	case strings.HasPrefix(r.URL.Path, mediaPath):
		http.Error(w, "what others share does not come from the hub: the app fetches it, sealed, once it runs in this browser", http.StatusNotFound)
	case file != nil:
		file.serve(w, r)
	case isPage(r.URL.Path):
		a.index.serve(w, r)
	case strings.Contains(r.Header.Get("Accept"), "text/html"):
		a.index.serve(&notFound{w}, r)
	default:
		http.NotFound(w, r)
	}
}

func isPage(at string) bool {
	first, rest, _ := strings.Cut(strings.TrimPrefix(at, "/"), "/")
	below, known := pages[first]
	return known && (below || rest == "")
}

func (f *appFile) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	body, tag := f.plain, f.tag
	if packed := f.packed(); packed != nil && takesGzip(r.Header) {
		body, tag = packed, tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Security-Policy", appPolicy)
	h.Set("Content-Type", f.kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("ETag", `"`+tag+`"`)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if f.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if isKnown(r.Header, tag) {
		h.Del("Content-Length")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a reader that went away needs none
	}
}

// isKnown reports whether a client has what has this tag.
func isKnown(h http.Header, tag string) bool {
	for known := range strings.SplitSeq(strings.Join(h.Values("If-None-Match"), ","), ",") {
		if strings.TrimPrefix(strings.TrimSpace(known), "W/") == `"`+tag+`"` {
			return true
		}
	}
	return false
}

// takesGzip reports whether a client takes gzip. Browsers say so in a list, without weights; one that refuses it says so by
// a weight of nothing.
func takesGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.TrimLeft(strings.TrimPrefix(strings.TrimSpace(weight), "q="), "0.")
			return weight != "" || !strings.Contains(coding, ";")
		}
	}
	return false
}

// notFound gives an answer that is found the status of one that is not.
type notFound struct{ http.ResponseWriter }

func (w *notFound) WriteHeader(status int) {
	if status == http.StatusOK {
		status = http.StatusNotFound
	}
	w.ResponseWriter.WriteHeader(status)
}

// showPage is what stands in the place of an app that was not built.
func showPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", types[".html"])
	_, _ = w.Write(page) // a reader that went away needs none
}

func showStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", types[".css"])
	_, _ = w.Write(pageStyle)
}
