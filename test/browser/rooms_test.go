package browser_test

import (
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
)

// goTo goes to a room as somebody does who sees it in the list.
func goTo(page *chromiumtest.Page, room string) {
	page.Click("link", "#"+room)
}

// write says something in the room that is open.
func write(page *chromiumtest.Page, room, text string) {
	page.Fill("Write to #"+room, text)
	page.Press("Enter")
}

// TestTwoPeopleTalkInTwoBrowsers is the story of reference system 2, step by step.
func TestTwoPeopleTalkInTwoBrowsers(t *testing.T) {
	h, browser := begin(t)
	alice, bob := h.member(t, "alice"), h.member(t, "bob")
	alice.listed(t, "all1", bob)
	alice.listed(t, "alice1")
	bob.listed(t, "bob1")

	bobs := signIn(t, browser, h, "bob")
	alices := signIn(t, browser, h, "alice")
	alices.WatchRequests()

	goTo(bobs, "all1")
	goTo(alices, "all1")
	write(alices, "all1", "Hello bob, this is alice.")
	bobs.See("Hello bob, this is alice.")
	write(bobs, "all1", "Hello alice, this is bob.")
	alices.See("Hello alice, this is bob.", "bob is here")
	bobs.See("alice is here")
	alices.Lacks("link", "unread")
	alices.Shot(pictures + "/story-alice.png")
	bobs.Shot(pictures + "/story-bob.png")

	goTo(bobs, "alice1")
	bobs.See("You may not enter #alice1")
	goTo(alices, "bob1")
	alices.See("You may not enter #bob1")
	bobs.Shot(pictures + "/story-refused.png")

	// What was refused left the others alone.
	goTo(bobs, "all1")
	write(bobs, "all1", "You shut me out there.")
	goTo(alices, "all1")
	alices.See("You shut me out there.")
	write(alices, "all1", "And you me.")
	bobs.See("And you me.")
}
