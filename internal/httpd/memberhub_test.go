package httpd_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// startRawHub is a hub that writes what it likes: each path is answered with the text of its row.
func startRawHub(t *testing.T, answers map[string]string) string {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = at.Close() })
	go func() {
		for {
			conn, err := at.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // it is over
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err == nil {
					_, _ = fmt.Fprint(conn, answers[r.URL.Path])
				}
			}()
		}
	}()
	return "http://" + at.Addr().String()
}

// TestAHubCannotMakeAPageOfAnAnswer: browsers take the last of several types, and of a list. What a hub says before
// its answer goes to nobody, and takes nothing away from what every answer here says.
func TestAHubCannotMakeAPageOfAnAnswer(t *testing.T) {
	const page = "Content-Length: 2\r\nConnection: close\r\n\r\n{}"
	hub := startRawHub(t, map[string]string{
		"/api/good":  "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n" + page,
		"/api/text":  "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n" + page,
		"/api/two":   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Type: text/html\r\n" + page,
		"/api/list":  "HTTP/1.1 200 OK\r\nContent-Type: application/json;,text/html\r\n" + page,
		"/api/quote": "HTTP/1.1 200 OK\r\nContent-Type: text/plain; a=\",text/html\r\n" + page,
		"/api/kept":  "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=31536000\r\nContent-Type: application/json\r\n" + page,
		"/api/early": "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + page,
	})
	s := startMember(t, hub)
	for path, want := range map[string]string{
		"/api/good": "application/json", "/api/two": "application/json", "/api/list": "application/json", "/api/kept": "application/json",
		"/api/early": "application/json", "/api/text": "text/plain; charset=utf-8", "/api/quote": "text/plain; charset=utf-8",
	} {
		response, _ := ask(t, http.MethodGet, s.URL()+path)
		for name, want := range map[string]string{
			"Content-Type": want, "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if got := response.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s %q, want %q", path, name, got, want)
			}
		}
		if policy := response.Header.Values("Content-Security-Policy"); len(policy) != 1 || !strings.Contains(policy[0], "default-src 'none'") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
}

// TestAHubSetsNoCookieButThatOfASession: the browser keeps them beside those of everything else on this machine, and
// drops others' where there are too many.
func TestAHubSetsNoCookieButThatOfASession(t *testing.T) {
	hub := startRawHub(t, map[string]string{
		"/api/session": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: keyhall_session=v; Path=/\r\n" +
			"Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=1; Path=/\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
	})
	s := startMember(t, hub)
	response, _ := ask(t, http.MethodGet, s.URL()+"/api/session")
	if got := response.Cookies(); len(got) != 1 || !strings.HasSuffix(got[0].Name, "-keyhall_session") || got[0].Value != "v" {
		t.Errorf("it sets %v", got)
	}
}
