package client

import (
	"errors"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/trust"
)

func TestAMessageIsSeenOnceByItsAuthorAndId(t *testing.T) {
	alice := said(t, trust.NewKeyPair(trust.Account), nil)
	mallory := said(t, trust.NewKeyPair(trust.Account), alice)
	page := &roomPage{Seen: make(map[string]seenRecord)}
	at := func(seq uint64) api.Entry { return api.Entry{Seq: seq, Time: time.Now()} }

	steps := []struct {
		about string
		ev    *event.Event
		seq   uint64
		twice bool
	}{
		{"what has the id of another's message, and is read before it", mallory, 9, false},
		{"that other message", alice, 5, false},
		{"the same one, read again", alice, 5, false},
		{"the same bytes further on", alice, 7, true},
		{"the other's, further on", mallory, 11, true},
		{"the other's, where it stood first", mallory, 8, false},
		{"where it was seen first, but is not the first any more", mallory, 9, true},
	}
	for _, step := range steps {
		err := page.see(step.ev, at(step.seq))
		if errors.Is(err, errDuplicate) != step.twice {
			t.Errorf("%s: %v", step.about, err)
		}
	}
}

// said is an event of author; with the id of another one, if that is not nil.
func said(t *testing.T, author *trust.KeyPair, like *event.Event) *event.Event {
	t.Helper()
	ev := &event.Event{Author: author.Public(), Type: messageType, Subject: "room.x.say.y"}
	if like != nil {
		ev.ID = like.ID
	}
	if err := ev.Sign(trust.NewKeyPair(trust.Device)); err != nil {
		t.Fatal(err)
	}
	return ev
}
