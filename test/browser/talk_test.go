package browser_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/chromiumtest"
	"keyhall.dev/keyhall/internal/hub"
)

// TestAPageAndAProgramTalk: what a program says is read in a page and the other way round, and each
// sees that the other is there.
func TestAPageAndAProgramTalk(t *testing.T) {
	h, browser := begin(t)
	piper, drummer := h.member(t, "piper"), h.member(t, "drummer")
	drummer.room(t, "band", piper)
	const verses = 60
	session, err := drummer.Enter(t.Context(), 0, "band")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for i := range verses {
		if _, err := session.Say(t.Context(), "band", fmt.Sprintf("verse %d", i)); err != nil {
			t.Fatal(err)
		}
	}

	page := signIn(t, browser, h, "piper")
	page.Find("link", fmt.Sprintf("#band %d unread", verses))
	goTo(page, "band")
	page.See("verse 0", fmt.Sprintf("verse %d", verses-1), "drummer is here")
	hears(t, session, "drummer", fmt.Sprintf("verse %d", verses-1)) // the program's own come back first
	write(page, "band", "A page answers.")
	hears(t, session, "piper", "A page answers.")
	page.Lacks("link", "unread")
	page.Eventually("the program sees who has the page open", func() bool {
		present := session.Present("band")
		return len(present) == 1 && present[0].Handle == "piper"
	})
	page.Shot(pictures + "/band.png")

	if err := drummer.RevokeRoom(t.Context(), "band", "piper"); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Say(t.Context(), "band", "Without the piper."); err != nil {
		t.Fatal(err)
	}
	page.See("The hub does not let you into band.")
	page.Gone("Without the piper.")
}

// hears waits for what somebody says; others come before it.
func hears(t *testing.T, session *client.Session, author, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), chromiumtest.Patience)
	defer cancel()
	for {
		select {
		case message := <-session.Messages():
			if message.Author == author && message.Text == text {
				return
			}
		case problem := <-session.Problems():
			t.Fatal(problem)
		case <-ctx.Done():
			t.Fatalf("%s was never heard to say %q", author, text)
		}
	}
}

// TestARoomIsMadeAndSharedInPages: nothing but what the pages say.
func TestARoomIsMadeAndSharedInPages(t *testing.T) {
	h, browser := begin(t)
	h.member(t, "hostess")
	h.member(t, "guest")
	hostess, guest := signIn(t, browser, h, "hostess"), signIn(t, browser, h, "guest")
	hostess.Click("button", "New room")
	hostess.Fill("Name", "salon")
	hostess.Click("button", "Create the room")
	write(hostess, "salon", "Who is there?")
	hostess.See("Stored by the hub")
	hostess.Click("button", "Members")
	hostess.Fill("Handle", "guest")
	hostess.Click("button", "Let in")
	hostess.See("guest")

	goTo(guest, "salon")
	guest.See("Who is there?", "hostess is here")
	write(guest, "salon", "It is me.")
	hostess.See("It is me.", "guest is here")

	guest.Reload()
	guest.See("Who is there?", "It is me.")
	goTo(guest, "salon")
	guest.Click("button", "Members")
	guest.Click("button", "Leave this room")
	guest.Click("button", "Leave")
	guest.Lacks("link", "#salon")
	hostess.Gone("guest is here")
}

// TestAPageOutlivesItsConnections: the hub lets a connection to rooms live for a few seconds, and
// nothing is lost or shown twice when the next one takes over.
func TestAPageOutlivesItsConnections(t *testing.T) {
	_, browser := begin(t)
	h := &hall{dir: t.TempDir(), life: t.Context()}
	var err error
	h.Hub, err = hub.Start(t.Context(), hub.Options{
		DataDir: filepath.Join(h.dir, "hub"), HTTP: "localhost:0", NATS: "127.0.0.1:-1", SessionLife: 4 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	if h.keeper, err = h.join("keeper", h.Invite()); err != nil {
		t.Fatal(err)
	}
	watchman, clockmaker := h.member(t, "watchman"), h.member(t, "clockmaker")
	watchman.room(t, "tower", clockmaker)
	page := signIn(t, browser, h, "clockmaker")
	goTo(page, "tower")
	host, err := hub.OpenOnMachine(t.Context(), filepath.Join(h.dir, "hub"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	met := make(map[string]bool)
	strokes := 0
	page.Eventually("the page has had three connections", func() bool {
		strokes++
		watchman.say(t, "tower", fmt.Sprintf("stroke %d.", strokes))
		page.See(fmt.Sprintf("stroke %d.", strokes))
		answer, err := host.Sessions(t.Context(), "clockmaker")
		if err != nil {
			t.Fatal(err)
		}
		for _, session := range answer.Sessions {
			met[session.Session] = true
		}
		return len(met) >= 3
	})
	write(page, "tower", "It goes on.")
	page.See("Stored by the hub")
	shown := page.Text()
	for i := 1; i <= strokes; i++ {
		times := strings.Count(shown, fmt.Sprintf("\nstroke %d.", i))
		if times > 1 || (i == strokes && times != 1) {
			t.Errorf("stroke %d is shown %d times", i, times)
		}
	}
}
