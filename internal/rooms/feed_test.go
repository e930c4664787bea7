package rooms_test

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/natstest"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/trust"
)

const room = "abcdefghijklmnopqrstuvwxya"

// hall is a feed on a real server, and a connection that may publish to it as a member.
type hall struct {
	feed   *rooms.Feed
	member *nats.Conn
}

func open(t *testing.T) *hall {
	t.Helper()
	server, err := natsd.Start(natstest.Within(t), natsd.Options{
		DataDir: t.TempDir(), NATS: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	service, err := server.Connect(server.Keys().RoomsUser)
	must(t, err)
	t.Cleanup(service.Close)
	h := new(hall)
	h.feed, err = rooms.OpenFeed(natstest.Within(t), service, 1)
	must(t, err)
	h.member = asMember(t, server)
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// say is a message of the room with a body of so many bytes, stored.
func (h *hall) say(t *testing.T, size int) {
	t.Helper()
	author := trust.NewKeyPair(trust.Account)
	subject := fmt.Sprintf("room.%s.say.%s", room, author)
	ev := &event.Event{Author: author.Public(), Type: "room.message", Subject: subject, Body: make([]byte, size)}
	must(t, ev.Sign(trust.NewKeyPair(trust.Device)))
	_, err := h.member.Request(subject, ev.Encode(), time.Second)
	must(t, err)
}

func TestAMessageWithBrokenHeadersStopsNoReading(t *testing.T) {
	h := open(t)
	h.say(t, 10)
	broken := nats.NewMsg("room." + room + ".say.x")
	broken.Header.Set("Status", "503")
	must(t, h.member.PublishMsg(broken))
	publishRaw(t, h.member, broken.Subject, "NATS/1.0\r\nno colon\r\n\r\n")
	publishRaw(t, h.member, broken.Subject, "HTTP/1.0\r\n\r\n")
	for _, read := range map[string]func() (*api.History, error){
		"from the start": func() (*api.History, error) { return h.feed.After(natstest.Within(t), room, 0, 10) },
		"the newest":     func() (*api.History, error) { return h.feed.Newest(natstest.Within(t), room, 0, 10) },
	} {
		history, err := read()
		if err != nil || len(history.Messages) != 1 || history.Messages[0].Seq != 1 {
			t.Errorf("%+v, %v", history, err)
		}
	}
}

func TestTheNewestMessagesFitAnAnswer(t *testing.T) {
	h := open(t)
	const size = 200 << 10
	for range 6 {
		h.say(t, size)
	}
	h.say(t, 10)
	history, err := h.feed.Newest(natstest.Within(t), room, 0, 500)
	must(t, err)
	if got := len(history.Messages); got != 3 || history.Messages[2].Seq != 7 || history.Last != 7 {
		t.Errorf("%d messages, the last at %d of %d", got, history.Messages[got-1].Seq, history.Last)
	}
	history, err = h.feed.Newest(natstest.Within(t), room, 0, 1)
	must(t, err)
	if len(history.Messages) != 1 || history.Messages[0].Seq != 7 {
		t.Errorf("%d messages", len(history.Messages))
	}
}

func TestThePastComesInPagesUpwards(t *testing.T) {
	h := open(t)
	for range 5 {
		h.say(t, 10)
	}
	for before, want := range map[uint64][]uint64{1: {}, 2: {1}, 4: {2, 3}, 6: {4, 5}, 99: {4, 5}, 0: {4, 5}} {
		history, err := h.feed.Newest(natstest.Within(t), room, before, 2)
		must(t, err)
		got := []uint64{}
		for _, entry := range history.Messages {
			got = append(got, entry.Seq)
		}
		through := uint64(5)
		if before > 0 {
			through = min(through, before-1)
		}
		if !slices.Equal(got, want) || history.Last != 5 || history.Through != through {
			t.Errorf("below %d: %v through %d of %d, want %v", before, got, history.Through, history.Last, want)
		}
	}
}

func TestAfterComesInPages(t *testing.T) {
	h := open(t)
	for range 5 {
		h.say(t, 200<<10)
	}
	for after, want := range map[uint64][2]uint64{0: {2, 2}, 2: {2, 4}, 4: {1, 5}, 5: {0, 5}, 9: {0, 9}} {
		history, err := h.feed.After(natstest.Within(t), room, after, 10)
		must(t, err)
		if uint64(len(history.Messages)) != want[0] || history.Through != want[1] || history.Last != 5 {
			t.Errorf("after %d: %d messages through %d of %d", after, len(history.Messages), history.Through, history.Last)
		}
	}
	history, err := h.feed.After(natstest.Within(t), "baaaaaaaaaaaaaaaaaaaaaaaaa", 0, 10)
	if err != nil || len(history.Messages) != 0 || history.Last != 0 {
		t.Errorf("an empty room: %+v, %v", history, err)
	}
}
