package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/web"
)

// TestTheAppOfThisProgramIsForTheHubOfTheProfile: without an address, it is the one that was joined.
func TestTheAppOfThisProgramIsForTheHubOfTheProfile(t *testing.T) {
	if _, err := fs.Stat(web.App(), "index.html"); err != nil {
		t.Skip("the web app is not built (make web): keyhall web has nothing to serve")
	}
	hall := hubtest.Start(t)
	home := hall.Join("alice").Profile.Dir()
	ctx, stop := context.WithCancel(hubtest.Context(t))
	defer stop()
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, System{
			Args: []string{"web", "--json", "--http", "127.0.0.1:0"}, In: strings.NewReader(""), Out: in, Err: t.Output(),
			Env: func(name string) string { return map[string]string{homeVariable: home}[name] },
		})
		_ = in.Close()
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready webReady
	if err := json.Unmarshal(line, &ready); err != nil || ready.Hub != hall.HTTP() || ready.HTTP == ready.Hub {
		t.Fatalf("it says %s: %v", line, err)
	}
	for path, kind := range map[string]string{"/": "text/html; charset=utf-8", "/api/config": "application/json"} {
		response, err := http.Get(ready.HTTP + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != kind {
			t.Errorf("%s: %s, %q: %v", path, response.Status, response.Header.Get("Content-Type"), err)
		}
	}
	stop()
	if status := <-ended; status != exitOK {
		t.Errorf("it ended with %d", status)
	}
}
