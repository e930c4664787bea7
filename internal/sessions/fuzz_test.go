package sessions

import (
	"testing"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

// An event of the ledger closes connections of the one account that it is about, and in a room
// only those that are in the room.
func FuzzWhoseRights(f *testing.F) {
	account, room := trust.NewKeyPair(trust.Account).String(), trust.NewID()
	kinds := []string{chain.RevokeRoom, chain.GrantRoom, chain.LeaveRoom, chain.RevokeDevice, chain.Epoch, "x"}
	for which, body := range []string{
		`{"account":"` + account + `"}`, `{"grant":"` + room + `","account":"` + account + `","role":"reader"}`, `{}`, `{"device":"U"}`, `{}`, ``,
	} {
		f.Add(uint8(which), chain.RoomSubject(room), body) //nolint:gosec // a few
		f.Add(uint8(which), chain.PersonSubject(account), body+" ")
	}
	f.Fuzz(func(t *testing.T, which uint8, subject, body string) {
		ev := &event.Event{Author: trust.PublicKey{1}, Type: kinds[int(which)%len(kinds)], Subject: subject, Body: []byte(body)}
		account, ended := whoseRights(ledger.Entry{Event: ev})
		if ended == nil {
			if account != "" {
				t.Fatalf("nothing ends, for %q", account)
			}
			return
		}
		elsewhere := Session{Account: account, Device: "another", Rooms: []string{"another room"}}
		if ev.Type != chain.RevokeDevice && ended(elsewhere) && subject != chain.RoomSubject("another room") && subject != "another room" {
			t.Fatalf("%s on %q ends a connection to another room", ev.Type, subject)
		}
		if ev.Type == chain.RevokeDevice && account != ev.Author.Text(trust.Account) {
			t.Fatalf("a revocation by one ends the connections of %q", account)
		}
	})
}
