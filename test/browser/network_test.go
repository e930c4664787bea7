package browser_test

import (
	"testing"
)

func TestWhatIsTypedWithoutANetworkIsSentWhenItIsBack(t *testing.T) {
	h, browser := begin(t)
	traveller, friend := h.member(t, "traveller"), h.member(t, "friend")
	traveller.room(t, "journey", friend)
	travellers, friends := signIn(t, browser, h, "traveller"), signIn(t, browser, h, "friend")
	goTo(travellers, "journey")
	goTo(friends, "journey")
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
	h, browser := begin(t)
	sailor, friend := h.member(t, "sailor"), h.member(t, "shore")
	sailor.room(t, "harbour", friend)
	sailors, friends := signIn(t, browser, h, "sailor"), signIn(t, browser, h, "shore")
	goTo(sailors, "harbour")
	goTo(friends, "harbour")
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
