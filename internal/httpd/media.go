package httpd

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// playersAtOnce is how many answers are under way: a player needs one or two.
const playersAtOnce = 16

// MediaOptions say which file is served to players on this machine.
type MediaOptions struct {
	Address  string // host:port on loopback
	Name     string // of the file; the last part of its URL
	Type     string // as its owner says
	Modified time.Time
	Tag      string // the same for the same content
	// Open is called for each request, and what it gives is read until it is closed.
	Open   func(ctx context.Context) io.ReadSeekCloser
	Logger *slog.Logger
}

// media serves one file to whoever knows its token.
type media struct {
	MediaOptions
	token string
	slots chan struct{}
}

// StartMedia serves one file on loopback until Close, at a URL that nobody can guess.
func StartMedia(o MediaOptions) (*Server, string, error) {
	if err := onLoopback(o.Address); err != nil {
		return nil, "", err
	}
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // never fails
	m := &media{MediaOptions: o, token: hex.EncodeToString(secret[:]), slots: make(chan struct{}, playersAtOnce)}
	life, cut := context.WithCancel(context.Background())
	s := &Server{cut: cut}
	listening := Options{Logger: o.Logger}
	if err := s.listen(life, listening, o.Address, "--http", nil, listening.secure(m)); err != nil {
		cut()
		return nil, "", err
	}
	return s, "http://" + s.listeners[0].at.Addr().String() + "/" + m.token + "/" + url.PathEscape(o.Name), nil
}

// ServeHTTP implements http.Handler. The file is its owner's: it is data, and no page of
// this origin, whatever type it claims to have.
func (m *media) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "sandbox")
	switch {
	case !isHere(r):
		http.Error(w, "this is reached as localhost, and not by pages of others", http.StatusMisdirectedRequest)
		return
	case !m.named(r.URL.Path):
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this can be read, and nothing else", http.StatusMethodNotAllowed)
		return
	}
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
		m.serve(w, r)
	default:
		http.Error(w, "too many read this at once", http.StatusServiceUnavailable)
	}
}

// named reports whether a path is the file's, in a time that says nothing about the token.
func (m *media) named(path string) bool {
	token, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return subtle.ConstantTimeCompare([]byte(token), []byte(m.token)) == 1 && name == m.Name
}

func (m *media) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", m.Type)
	h.Set("Cache-Control", "private, no-store")
	h.Set("ETag", `"`+m.Tag+`"`)
	content := m.Open(r.Context())
	defer content.Close() //nolint:errcheck // it was only read
	http.ServeContent(w, r, "", m.Modified, content)
}
