package demo

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/internal/sample"
	"keyhall.dev/keyhall/trust"
)

func TestADemoHasTwoPeopleWithSomethingToDo(t *testing.T) {
	ctx := hubtest.Context(t)
	d, err := Start(ctx, Options{Samples: sample.Size{Wide: 80, Seconds: 2}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	t.Cleanup(func() {
		if !closed {
			_ = d.Close()
		}
	})
	said(t, ctx, d)
	shared(t, ctx, d)
	for _, name := range []string{"alice", "bob"} {
		opensByName(t, d, name)
	}
	if body := ask(t, http.MethodGet, d.HTTP()+"/api/config", ""); !strings.Contains(body, `"demo":true`) {
		t.Errorf("browsers are not told what it is: %s", body)
	}
	first, second := d.Windows()
	for _, window := range []string{first, second} {
		at, err := url.Parse(window)
		if err != nil || first == second || (at.Hostname() != "localhost" && at.Hostname() != "127.0.0.1") {
			t.Errorf("a window at %s: %v", window, err)
		}
		ask(t, http.MethodGet, window+"/api/config", "")
	}
	closed = true
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(d.dir); !os.IsNotExist(err) {
		t.Errorf("something of it stays in %s: %v", d.dir, err)
	}
}

// said checks the rooms: one for both, and one for each, whose door is closed to the other.
func said(t *testing.T, ctx context.Context, d *Demo) {
	t.Helper()
	for _, who := range []*client.Client{d.alice, d.bob} {
		messages, _, err := who.History(ctx, "all1", 10)
		if err != nil || len(messages) != 4 {
			t.Errorf("all1 has %d messages: %v", len(messages), err)
		}
	}
	for room, who := range map[string][2]*client.Client{"alice1": {d.alice, d.bob}, "bob1": {d.bob, d.alice}} {
		if _, _, err := who[0].History(ctx, room, 10); err != nil {
			t.Errorf("%s for its owner: %v", room, err)
		}
		if _, _, err := who[1].History(ctx, room, 10); err == nil || !strings.Contains(err.Error(), "you are not in "+room) {
			t.Errorf("%s for the other: %v", room, err)
		}
	}
}

// shared checks what each has of the other: some taken, some offered, all of it served.
func shared(t *testing.T, ctx context.Context, d *Demo) {
	t.Helper()
	var states []string
	items, err := d.bob.Inbox(ctx)
	for _, item := range items {
		states = append(states, item.Catalog+" "+item.State)
	}
	slices.Sort(states)
	if err != nil || !slices.Equal(states, []string{"evenings accepted", "letters pending"}) {
		t.Errorf("bob has %q: %v", states, err)
	}
	for who, ref := range map[*client.Client]string{d.alice: "bob/views", d.bob: "alice/evenings"} {
		natstest.Eventually(t, ref+" can be listed", func() bool {
			listing, err := who.List(ctx, ref)
			return err == nil && len(listing.Entries) > 0
		})
	}
}

// opensByName signs somebody in as a browser does: with their name as the password.
func opensByName(t *testing.T, d *Demo, name string) {
	t.Helper()
	var begun struct {
		Salt           []byte
		Memory, Passes uint32
	}
	if err := json.Unmarshal([]byte(ask(t, http.MethodPost, d.HTTP()+"/api/login/begin", `{"name":"`+name+`"}`)), &begun); err != nil {
		t.Fatal(err)
	}
	hub, err := trust.ParseHub(d.profiles[name].Settings.Hub)
	if err != nil {
		t.Fatal(err)
	}
	password, err := trust.DerivePassword(hub.ID, name, trust.PasswordCost{Salt: [16]byte(begun.Salt), Memory: begun.Memory, Passes: begun.Passes})
	if err != nil {
		t.Fatal(err)
	}
	verifier := password.Verifier()
	body := ask(t, http.MethodPost, d.HTTP()+"/api/login/finish", `{"name":"`+name+`","verifier":"`+base64.StdEncoding.EncodeToString(verifier[:])+`"}`)
	if !strings.Contains(body, `"event"`) {
		t.Errorf("%s is not let in: %s", name, body)
	}
}

func ask(t *testing.T, method, url, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s %s: %s %s %v", method, url, response.Status, text, err)
	}
	return string(text)
}

func TestADemoIsForThisMachineAlone(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "hall.example.org:80", "x"} {
		if d, err := Start(t.Context(), Options{HTTP: address}); !fault.Is(err, fault.Malformed) {
			t.Errorf("%s: %v", address, err)
			if d != nil {
				_ = d.Close()
			}
		}
	}
}

// What cannot be started leaves nothing.
func TestADemoThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	_, err := Start(t.Context(), Options{NATS: "nowhere"})
	left, readErr := os.ReadDir(dir)
	if err == nil || readErr != nil || len(left) > 0 {
		t.Errorf("%v; left: %v %v", err, left, readErr)
	}
}
