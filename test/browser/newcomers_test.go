package browser_test

import (
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
)

// invited makes an invite by the page People, and gives the link that it shows.
func invited(t *testing.T, page *chromiumtest.Page) (link string) {
	t.Helper()
	page.Click("link", "People")
	page.Click("button", "Invite somebody")
	page.Click("button", "Make the invite")
	page.Find("heading", "Pass it on")
	for word := range strings.FieldsSeq(page.Text()) {
		if strings.Contains(word, "/join#kh-") {
			link = word
		}
	}
	if link == "" {
		t.Fatalf("no link to pass on:\n%s", page.Text())
	}
	page.Click("button", "Done")
	return link
}

// joins is a newcomer who follows a link and does what the pages say.
func joins(t *testing.T, page *chromiumtest.Page, link, handle string) {
	t.Helper()
	page.Open(link)
	page.Find("heading", "You are invited")
	page.Fill("Your name here", handle)
	page.Fill("Password", password(handle))
	page.Press("Enter")
	page.Find("heading", "Write this down")
	groups := page.Things("listitem")
	if len(groups) < 5 {
		t.Fatalf("a recovery code of %d groups", len(groups))
	}
	last := chromiumtest.On[string](page, &groups[len(groups)-1], `function () { return this.textContent; }`)
	page.Click("button", "I have it")

	// Who has not written it down does not come in.
	page.Fill("The last group of your code", "nonsense")
	page.Click("button", "Enter the hall")
	page.See("That is not the last group")
	page.Fill("The last group of your code", last)
	page.Press("Enter")
	page.Find("link", "Settings")
}

// admit lets somebody into the room that is open.
func admit(page *chromiumtest.Page, handle string) {
	if !page.Has("button", "Hide the members") {
		page.Click("button", "Show the members")
	}
	page.Fill("Handle", handle)
	page.Press("Enter")
	page.See(handle + " writes")
}

// TestFromInviteToFilm goes from an invite link to a friend's film playing and a message answered, for two newcomers, with
// nothing but what the pages say.
func TestFromInviteToFilm(t *testing.T) {
	h, browser := begin(t)
	keepers := signIn(t, browser, h, "keeper")
	keepers.Click("button", "New room")
	keepers.Fill("Name", "lounge")
	keepers.Click("button", "Create the room")
	keepers.Find("textbox", "Write to #lounge")

	ines, jan := browser.Person(t, h.HTTP()), browser.Person(t, h.HTTP())
	joins(t, ines, invited(t, keepers), "ines")
	joins(t, jan, invited(t, ines), "jan") // who is new can invite, too

	keepers.Click("link", "Rooms")
	goTo(keepers, "lounge")
	admit(keepers, "ines")
	admit(keepers, "jan")
	write(keepers, "lounge", "Welcome, you two. How is the film?")
	for _, newcomer := range []*chromiumtest.Page{ines, jan} {
		newcomer.Click("link", "Rooms")
		goTo(newcomer, "lounge")
		newcomer.See("Welcome, you two. How is the film?")
	}

	for _, handle := range []string{"ines", "jan"} {
		keepers.Click("link", "Catalogs")
		keepers.Click("button", "Share a catalog")
		keepers.Find("textbox", "With whom")
		if keepers.Has("textbox", "What it is called") { // which this browser has not heard yet
			keepers.Fill("What it is called", "films")
		}
		keepers.Fill("With whom", handle)
		keepers.Press("Enter")
		keepers.Lacks("dialog", "Share a catalog")
	}
	for page, words := range map[*chromiumtest.Page]string{ines: "The sea is wonderful.", jan: "I saw the end first."} {
		page.Click("link", "Catalogs")
		page.Click("button", "Accept films")
		page.Gone("would share this with you")
		watch(page)
		page.Click("link", "Rooms")
		goTo(page, "lounge")
		write(page, "lounge", words)
	}
	keepers.Click("link", "Rooms")
	goTo(keepers, "lounge")
	keepers.See("The sea is wonderful.", "I saw the end first.")
	ines.See("I saw the end first.")
	keepers.Shot(pictures + "/newcomers.png")
}
