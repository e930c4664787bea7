package httpd_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/httpd"
)

// file is read from memory.
type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

// opening is a file whose readers a test hands out.
func opening(open func() io.ReadSeekCloser) httpd.MediaOptions {
	return httpd.MediaOptions{
		Address: "127.0.0.1:0", Name: "my film #1.mkv", Type: "video/x-matroska", Modified: time.Unix(1e9, 0), Tag: "root",
		Open: func(context.Context) io.ReadSeekCloser { return open() }, Logger: slog.New(slog.DiscardHandler),
	}
}

func startMedia(t *testing.T, o httpd.MediaOptions) string {
	t.Helper()
	s, at, err := httpd.StartMedia(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return at
}

func ten() io.ReadSeekCloser { return file{bytes.NewReader([]byte("0123456789"))} }

func TestAPlayerReadsRangesOfAFile(t *testing.T) {
	at := startMedia(t, opening(ten))
	for _, row := range []struct {
		method, header, value string
		status                int
		body                  string
	}{
		{"GET", "Accept", "*/*", 200, "0123456789"},
		{"HEAD", "Accept", "*/*", 200, ""},
		{"GET", "Range", "bytes=3-5", 206, "345"},
		{"GET", "Range", "bytes=-2", 206, "89"},
		{"GET", "Range", "bytes=8-", 206, "89"},
		{"GET", "Range", "bytes=10-", 416, "invalid range: failed to overlap\n"},
		{"GET", "If-None-Match", `"root"`, 304, ""},
		{"POST", "Accept", "*/*", 405, "this can be read, and nothing else\n"},
		{"OPTIONS", "Access-Control-Request-Method", "GET", 405, "this can be read, and nothing else\n"},
	} {
		response, body := ask(t, row.method, at, row.header, row.value)
		if response.StatusCode != row.status || body != row.body {
			t.Errorf("%s %s %s: %s %q", row.method, row.header, row.value, response.Status, body)
		}
		h := response.Header
		if h.Get("Content-Security-Policy") != "sandbox" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: %v", row.method, row.value, h)
		}
	}
	response, body := ask(t, http.MethodGet, at, "Range", "bytes=3-5", "If-Range", `"another"`)
	if body != "0123456789" || response.Header.Get("Content-Type") != "video/x-matroska" {
		t.Errorf("of another content, %q went on, of type %s", body, response.Header.Get("Content-Type"))
	}
}

func TestOnlyTheURLOfAFileAnswers(t *testing.T) {
	at, err := url.Parse(startMedia(t, opening(ten)))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.Split(at.Path, "/")[1]
	if len(token) != 32 || net.ParseIP(at.Hostname()).String() != "127.0.0.1" {
		t.Errorf("the URL is %s", at)
	}
	origin := "http://" + at.Host
	for _, path := range []string{
		"", "/", "/" + token, "/" + token + "/", "/" + token + "/other", "//" + token + "/my%20film%20%231.mkv", "/" + token + "/my%20film%20%231.mkv/",
		"/" + token[:31] + "/my%20film%20%231.mkv", "/" + strings.Repeat("0", 32) + "/my%20film%20%231.mkv", "//my%20film%20%231.mkv",
		"/" + token + "/../" + token + "/my%20film%20%231.mkv", "/" + strings.ToUpper(token) + "x/my%20film%20%231.mkv",
	} {
		if response, body := ask(t, http.MethodGet, origin+path); response.StatusCode != http.StatusNotFound || strings.Contains(body, "123") {
			t.Errorf("%s: %s %q", path, response.Status, body)
		}
	}
	for _, good := range []string{"127.0.0.1:", "localhost:", "[::1]:"} {
		if response, _ := ask(t, http.MethodGet, at.String(), "Host", good+at.Port()); response.StatusCode != http.StatusOK {
			t.Errorf("as %s: %s", good, response.Status)
		}
	}
	for _, strange := range []string{"evil.example", "evil.example:" + at.Port(), "127.0.0.1", "127.0.0.1:1", "192.0.2.1:" + at.Port()} {
		if response, body := ask(t, http.MethodGet, at.String(), "Host", strange); response.StatusCode != http.StatusMisdirectedRequest || strings.Contains(body, "123") {
			t.Errorf("as %s: %s %q", strange, response.Status, body)
		}
	}
	if response, _ := ask(t, http.MethodGet, at.String(), "Origin", "http://evil.example"); response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("for a page of another site: %s", response.Status)
	}
}

func TestAFileIsServedOnThisMachineAlone(t *testing.T) {
	for _, address := range []string{"", ":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:80", "127.0.0.1"} {
		o := opening(ten)
		o.Address = address
		if _, _, err := httpd.StartMedia(o); !fault.Is(err, fault.Malformed) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// stuck is a file that does not come until it is closed.
type stuck struct {
	io.ReadSeeker
	begun chan<- struct{}
	until <-chan struct{}
}

func (s stuck) Read([]byte) (int, error) {
	s.begun <- struct{}{}
	<-s.until
	return 0, io.ErrUnexpectedEOF
}
func (stuck) Close() error { return nil }

func TestABrokenFileBreaksTheAnswerAndManyPlayersAreRefused(t *testing.T) {
	const atOnce = 16
	begun, until := make(chan struct{}), make(chan struct{})
	at := startMedia(t, opening(func() io.ReadSeekCloser { return stuck{ten(), begun, until} }))
	ended := make(chan error)
	for range atOnce {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
			if err == nil {
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
			ended <- err
		}()
		<-begun
	}
	if response, _ := ask(t, http.MethodGet, at); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one more: %s", response.Status)
	}
	close(until)
	for range atOnce {
		if err := <-ended; err == nil {
			t.Error("an answer that broke looks whole")
		}
	}
}
