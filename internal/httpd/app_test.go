package httpd_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"keyhall.dev/keyhall/internal/httpd"
)

// built is an app as a build leaves it.
var built = fstest.MapFS{
	"index.html":       {Data: []byte("<!doctype html><title>the app</title>" + strings.Repeat(" ", 2000))},
	"app-ABCD2345.js":  {Data: []byte(strings.Repeat("let a = 1;\n", 500))},
	"app-ABCD2345.css": {Data: []byte(strings.Repeat("p { margin: 0 }\n", 500))},
	"worker.js":        {Data: []byte("self.onfetch = undefined")},
	"icon.svg":         {Data: []byte("<svg/>")},
	".gitkeep":         {},
}

func startApp(t *testing.T) *httpd.Server {
	t.Helper()
	o := options()
	o.App = built
	return start(t, o)
}

// ask asks with headers and gives the answer as it came over the wire.
func ask(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	response, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestThePagesOfTheAppAreOneFile(t *testing.T) {
	s := startApp(t)
	for _, path := range []string{
		"/", "/join", "/link", "/rooms", "/rooms/abc", "/catalogs/A/b/c", "/people", "/people/", "/settings", "/settings/devices",
	} {
		response, body := ask(t, http.MethodGet, s.URL()+path)
		if response.StatusCode != http.StatusOK || !strings.Contains(body, "the app") || response.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %s %.40q", path, response.Status, body)
		}
	}
	for _, path := range []string{"/nothing", "/join/more", "/people/more", "/index.html", "/.gitkeep", "/app-ABCD2345.js/more", "/web/embed.go"} {
		if response, body := ask(t, http.MethodGet, s.URL()+path); response.StatusCode != http.StatusNotFound || strings.Contains(body, "the app") {
			t.Errorf("%s: %s %.40q", path, response.Status, body)
		}
		// A browser that goes there is shown the app, which says that there is nothing.
		response, body := ask(t, http.MethodGet, s.URL()+path, "Accept", "text/html,*/*")
		if response.StatusCode != http.StatusNotFound || !strings.Contains(body, "the app") {
			t.Errorf("%s in a browser: %s %.40q", path, response.Status, body)
		}
	}
	if response, _ := ask(t, http.MethodPost, s.URL()+"/"); response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", response.Status)
	}
}

func TestMediaNeverComesFromTheHub(t *testing.T) {
	s := startApp(t)
	for _, accept := range []string{"*/*", "text/html"} {
		response, body := ask(t, http.MethodGet, s.URL()+"/media/some/film.mp4", "Accept", accept)
		if response.StatusCode != http.StatusNotFound || !strings.Contains(body, "sealed") || strings.Contains(body, "<title>") {
			t.Errorf("%s %.60q", response.Status, body)
		}
	}
}

func TestFilesOfTheAppHaveTypesAndAreKeptAsLongAsTheyAreGood(t *testing.T) {
	s := startApp(t)
	for path, want := range map[string][2]string{
		"/app-ABCD2345.js":  {"text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"/app-ABCD2345.css": {"text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		"/worker.js":        {"text/javascript; charset=utf-8", "no-cache"},
		"/icon.svg":         {"image/svg+xml", "no-cache"},
		"/":                 {"text/html; charset=utf-8", "no-cache"},
	} {
		response, _ := ask(t, http.MethodGet, s.URL()+path)
		if got := [2]string{response.Header.Get("Content-Type"), response.Header.Get("Cache-Control")}; got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		tag := response.Header.Get("ETag")
		if again, body := ask(t, http.MethodGet, s.URL()+path, "If-None-Match", tag); tag == "" || again.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s: the same again is %s, with %d bytes (%s)", path, again.Status, len(body), tag)
		}
		if again, _ := ask(t, http.MethodGet, s.URL()+path, "If-None-Match", `"other"`); again.StatusCode != http.StatusOK {
			t.Errorf("%s: another is %s", path, again.Status)
		}
		if head, body := ask(t, http.MethodHead, s.URL()+path); head.StatusCode != http.StatusOK || body != "" || head.ContentLength <= 0 {
			t.Errorf("%s: HEAD is %s, with %d bytes of %d", path, head.Status, len(body), head.ContentLength)
		}
	}
}

func TestFilesOfTheAppAreCompressedForWhoTakesIt(t *testing.T) {
	s := startApp(t)
	const path = "/app-ABCD2345.js"
	plain, body := ask(t, http.MethodGet, s.URL()+path)
	for accept, packed := range map[string]bool{
		"gzip": true, "gzip, deflate, br, zstd": true, "br;q=1.0, GZIP;q=0.8": true, "deflate,gzip;q=0.001": true,
		"br": false, "gzip;q=0": false, "gzip; q=0.000": false, "": false, "notgzip": false,
	} {
		response, got := ask(t, http.MethodGet, s.URL()+path, "Accept-Encoding", accept)
		if (response.Header.Get("Content-Encoding") == "gzip") != packed || response.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %v", accept, response.Header)
		}
		if packed {
			reader, err := gzip.NewReader(strings.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			inside, err := io.ReadAll(reader)
			if err != nil || string(inside) != body || len(got) >= len(body) || response.ContentLength != int64(len(got)) {
				t.Errorf("%q: %d bytes of %d, %v", accept, len(got), len(body), err)
			}
			if response.Header.Get("ETag") == plain.Header.Get("ETag") {
				t.Errorf("%q: two forms have one tag", accept)
			}
		}
	}
	// What would not become smaller goes as it is.
	if response, _ := ask(t, http.MethodGet, s.URL()+"/icon.svg", "Accept-Encoding", "gzip"); response.Header.Get("Content-Encoding") != "" {
		t.Error("six bytes were compressed")
	}
}

func TestThePolicyOfTheAppAllowsItsOwnOriginAlone(t *testing.T) {
	s := startApp(t)
	for _, path := range []string{"/", "/rooms/x", "/worker.js", "/app-ABCD2345.js"} {
		response, _ := ask(t, http.MethodGet, s.URL()+path)
		policy := make(map[string]string)
		for part := range strings.SplitSeq(response.Header.Get("Content-Security-Policy"), ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
			policy[name] = value
		}
		for name, want := range map[string]string{
			"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "worker-src": "'self'",
			"frame-ancestors": "'none'", "base-uri": "'none'", "form-action": "'none'",
			"require-trusted-types-for": "'script'", "trusted-types": "keyhall",
		} {
			if policy[name] != want {
				t.Errorf("%s: %s is %q, want %q", path, name, policy[name], want)
			}
		}
		for name, value := range policy {
			if strings.ContainsAny(value, "*:/") && name != "img-src" || strings.Contains(value, "unsafe") || strings.Contains(value, "http") {
				t.Errorf("%s: %s is %q", path, name, value)
			}
		}
	}
}

func TestWithoutABuildThePageSaysHowToMakeOne(t *testing.T) {
	o := options()
	o.App = fstest.MapFS{".gitkeep": {}}
	s := start(t, o)
	response, body := ask(t, http.MethodGet, s.URL()+"/")
	if response.StatusCode != http.StatusOK || !strings.Contains(body, "make build") || !strings.Contains(body, "/download/") || strings.Contains(body, "<style") {
		t.Errorf("%s %s", response.Status, body)
	}
	if response, body := ask(t, http.MethodGet, s.URL()+"/page.css"); response.Header.Get("Content-Type") != "text/css; charset=utf-8" || body == "" {
		t.Errorf("%s %v", response.Status, response.Header)
	}
}

// Whatever is asked for, the answer has its headers, is a file of the app or says that there is none.
func FuzzApp(f *testing.F) {
	o := options()
	o.App = built
	origin := handler(f, o)
	for _, seed := range [][3]string{
		{"/", "gzip", ""},
		{"/media/x", "", "text/html"},
		{"/rooms/..%2f", "gzip;q=0", "*/*"},
		{"/worker.js", ",;q=", "text/html"},
		{"/.gitkeep", "identity", ""},
		{"//", "", ""},
		{"/app-ABCD2345.js", "gzip", "x"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, path, encoding, accept string) {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.URL = &url.URL{Path: path}
		request.Header.Set("Accept-Encoding", encoding)
		request.Header.Set("Accept", accept)
		answer := httptest.NewRecorder()
		origin.ServeHTTP(answer, request)
		if policy := answer.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
			t.Fatalf("%q: policy %q", path, policy)
		}
		known := false
		for _, file := range built {
			known = known || bytes.Equal(answer.Body.Bytes(), file.Data)
		}
		if answer.Code == http.StatusOK && !known && answer.Header().Get("Content-Encoding") != "gzip" && !strings.HasPrefix(path, "/download/") && path != "/page.css" {
			t.Fatalf("%q: %q", path, answer.Body)
		}
		if strings.HasPrefix(path, "/media/") && answer.Code == http.StatusOK {
			t.Fatalf("%q is served", path)
		}
	})
}
