package httpd_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/httpd"
)

func handler(f *testing.F, o httpd.Options) http.Handler {
	f.Helper()
	h, err := httpd.Handler(o)
	if err != nil {
		f.Fatal(err)
	}
	return h
}

// The proof is signed for 64 hexadecimal digits and for nothing else.
func FuzzChallenge(f *testing.F) {
	o := options()
	asked := make(chan [32]byte, 1)
	o.Prove = func(_ context.Context, challenge, _ [32]byte) (api.ProveAnswer, error) {
		asked <- challenge
		return api.ProveAnswer{Hub: "hub", Proof: challenge[:]}, nil
	}
	origin := handler(f, o)
	good := hex.EncodeToString(make([]byte, 32))
	for _, query := range []string{"challenge=" + good, "challenge=" + good + "00", "challenge=" + good[1:], "challenge=", "", "challenge=" + good + "&challenge=x", "%zz", "challenge=%00"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		request := httptest.NewRequest(http.MethodGet, "/.well-known/keyhall", nil)
		request.URL.RawQuery = query
		answer := httptest.NewRecorder()
		origin.ServeHTTP(answer, request)
		said := request.URL.Query().Get("challenge")
		challenge, err := hex.DecodeString(said)
		want := http.StatusBadRequest
		if err == nil && len(challenge) == 32 {
			want = http.StatusOK
		}
		if answer.Code != want || answer.Header().Get("Content-Security-Policy") == "" {
			t.Fatalf("%q: %d, want %d", query, answer.Code, want)
		}
		if want != http.StatusOK {
			return
		}
		var proof api.Proof
		if err := json.Unmarshal(answer.Body.Bytes(), &proof); err != nil || [32]byte(proof.Proof) != [32]byte(challenge) || <-asked != [32]byte(challenge) {
			t.Fatalf("%q: another challenge is answered: %v", query, err)
		}
	})
}

// Of a folder of downloads the files in it are served, and nothing beside or below it.
func FuzzDownload(f *testing.F) {
	dir := f.TempDir()
	for _, name := range []string{"secret", "downloads/keyhall", "downloads/.hidden", "downloads/deep/secret"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(filepath.Base(name)), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(dir, "downloads", "link")); err != nil {
		f.Skip(err)
	}
	o := options()
	o.Downloads = filepath.Join(dir, "downloads")
	origin := handler(f, o)
	for _, path := range []string{"keyhall", "", "../secret", "deep/secret", "link", ".hidden", "..%2fsecret", "./keyhall", "keyhall/", "/keyhall", "deep", "\x00", "..\\secret"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		request := httptest.NewRequest(http.MethodGet, "/download/", nil)
		request.URL = &url.URL{Path: "/download/" + path}
		answer := httptest.NewRecorder()
		origin.ServeHTTP(answer, request)
		body, err := io.ReadAll(answer.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Code == http.StatusOK && path != "" && string(body) != "keyhall" && answer.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%q: %q", path, body)
		}
		if text := string(body); text == "secret" || text == ".hidden" {
			t.Fatalf("%q is served: %q", path, text)
		}
	})
}
