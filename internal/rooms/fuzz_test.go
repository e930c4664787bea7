package rooms

import (
	"strings"
	"testing"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// What lies in a room's stream and is no message of this room is junk, and is cleared.
func FuzzIsMessage(f *testing.F) {
	identity, device, room := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device), trust.NewID()
	for _, subject := range []string{"room." + room + ".say." + identity.String(), "room.x.say." + identity.String(), "room." + room + ".say.A"} {
		ev := &event.Event{Author: identity.Public(), Type: "room.message", Subject: subject, Audience: "O", Body: []byte("{}")}
		if err := ev.Sign(device); err != nil {
			f.Fatal(err)
		}
		f.Add(room, ev.Encode())
	}
	f.Add("", []byte(`{"stream":"ROOMS","seq":1}`))
	f.Fuzz(func(t *testing.T, room string, data []byte) {
		if !isMessage(room, data) {
			return
		}
		ev, err := event.Decode(data)
		if err != nil || !strings.HasPrefix(ev.Subject, "room."+room+".say.") || !strings.HasSuffix(ev.Subject, ev.Author.Text(trust.Account)) {
			t.Fatalf("%x is taken for a message of %q", data, room)
		}
	})
}
