package browser_test

import (
	"testing"

	"keyhall.dev/keyhall/internal/chromiumtest"
)

// inOneRoom are the pages of two people who have the same room open: it is the first one's.
func inOneRoom(t *testing.T, room, one, other string) (ones, others *chromiumtest.Page) {
	t.Helper()
	h, browser := begin(t)
	h.member(t, one).room(t, room, h.member(t, other))
	ones, others = signIn(t, browser, h, one), signIn(t, browser, h, other)
	goTo(ones, room)
	goTo(others, room)
	return ones, others
}

func TestWhatIsTypedWithoutANetworkIsSentWhenItIsBack(t *testing.T) {
	travellers, friends := inOneRoom(t, "journey", "traveller", "friend")
	write(travellers, "journey", "The train leaves.")
	friends.See("The train leaves.")

	travellers.Network(false)
	travellers.See("You are offline")
	write(travellers, "journey", "In the tunnel, first.")
	write(travellers, "journey", "In the tunnel, second.")
	travellers.See("In the tunnel, first.", "In the tunnel, second.")
	friends.See("The train leaves.")
	write(friends, "journey", "Where are you?")

	travellers.Network(true)
	travellers.Gone("You are offline")
	friends.See("In the tunnel, first.", "In the tunnel, second.")
	travellers.See("Where are you?")
	travellers.Shot(pictures + "/back.png")
}

func TestTheAppStartsWithoutANetwork(t *testing.T) {
	sailors, friends := inOneRoom(t, "harbour", "sailor", "shore")
	write(sailors, "harbour", "Casting off.")
	friends.See("Casting off.")

	sailors.Network(false)
	sailors.See("You are offline")
	sailors.Reload()
	sailors.See("Offline", "Waiting for the network")
	sailors.Find("link", "#harbour") // the rooms are known here
	write(friends, "harbour", "Fair winds.")

	sailors.Network(true)
	sailors.See("Casting off.", "Fair winds.")
	write(sailors, "harbour", "Thank you.")
	friends.See("Thank you.")
}
