package operator_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/hubtest"
)

// ear is bob in a room, behind a liar, and alice who talks there.
type ear struct {
	t       *testing.T
	stage   *stage
	room    string
	liar    *Liar
	session *client.Session
}

// listen has bob enter a new room of alice's.
func (s *stage) listen(t *testing.T, room string) *ear {
	t.Helper()
	e := &ear{t: t, stage: s, liar: newLiar(t, s.Hall), room: room}
	alice, ctx := s.people["alice"], hubtest.Context(t)
	_, err := alice.CreateRoom(ctx, room, client.RoomOptions{})
	must(t, err)
	_, err = alice.GrantRoom(ctx, room, "bob", "writer", 0)
	must(t, err)
	profile, err := client.OpenProfile(s.home(t, "bob", e.liar.Origin))
	must(t, err)
	bob := s.Connect(profile)
	e.session, err = bob.Enter(ctx, 0, room)
	must(t, err)
	t.Cleanup(e.session.Close)
	return e
}

// say has alice say something.
func (e *ear) say(text string) {
	e.t.Helper()
	_, err := e.stage.people["alice"].Say(hubtest.Context(e.t), e.room, text)
	must(e.t, err)
}

// hears waits for messages, which come in this order and with nothing between.
func (e *ear) hears(texts ...string) {
	e.t.Helper()
	for _, text := range texts {
		select {
		case message := <-e.session.Messages():
			if message.Text != text || message.Author != "alice" {
				e.t.Fatalf("heard %+v, want %q", message, text)
			}
		case <-hubtest.Context(e.t).Done():
			e.t.Fatalf("never heard %q", text)
		}
	}
}

// learns waits for a problem; others may come before. ROOM is the room.
func (e *ear) learns(pattern string) {
	e.t.Helper()
	pattern = strings.ReplaceAll(pattern, "ROOM", e.room)
	var before []string
	for {
		select {
		case problem := <-e.session.Problems():
			if regexp.MustCompile(pattern).MatchString(problem.Error()) {
				return
			}
			before = append(before, problem.Error())
		case <-hubtest.Context(e.t).Done():
			e.t.Fatalf("never learned %q, but %q", pattern, before)
		}
	}
}

// feed tells lies about what comes live.
func feed(tell func(s *said) []*said) lie {
	return func(s *said) []*said {
		if !strings.HasPrefix(s.Of, "feed.") {
			return []*said{s}
		}
		return tell(s)
	}
}

// breaks ends the member's connections: they come back, and compare what they know.
func (l *Liar) breaks() {
	for _, one := range l.open() {
		_ = one.member.Close()
	}
}

// numbered is a message with another sequence, and another of the message before it.
func (s *said) numbered(seq, last uint64) *said {
	one := s.with(s.data)
	header := regexp.MustCompile(`Nats-Sequence: \d+`).ReplaceAllString(string(s.header), fmt.Sprintf("Nats-Sequence: %d", seq))
	header = regexp.MustCompile(`Nats-Last-Sequence: \d+`).ReplaceAllString(header, fmt.Sprintf("Nats-Last-Sequence: %d", last))
	one.header = []byte(header)
	return one
}

// last is the sequence of the message before it.
func (s *said) last() (last uint64) {
	_, _ = fmt.Sscanf(regexp.MustCompile(`Nats-Last-Sequence: \d+`).FindString(string(s.header)), "Nats-Last-Sequence: %d", &last)
	return last
}

func whatIsSaidNow(t *testing.T, s *stage) {
	t.Helper()
	_, err := s.people["alice"].Say(t.Context(), "lounge", "elsewhere")
	must(t, err)
	elsewhere := s.said(t, s.rooms["lounge"])[0].Event
	honest := func(t *testing.T, e *ear) {
		t.Helper()
		e.liar.lies(nil)
		e.say("and now")
		e.hears("and now")
	}
	rows := map[string]func(t *testing.T, e *ear){
		"a message withheld is found when the next one comes": func(t *testing.T, e *ear) {
			var count atomic.Int32
			e.liar.lies(feed(func(s *said) []*said {
				if count.Add(1) == 1 {
					return nil
				}
				return []*said{s}
			}))
			e.say("withheld")
			e.say("next")
			e.hears("withheld", "next")
		},
		"what is withheld altogether is found when ends are compared": func(_ *testing.T, e *ear) {
			e.liar.lies(feed(func(*said) []*said { return nil }))
			e.say("withheld")
			e.liar.breaks() // sooner than the half minute
			e.hears("withheld")
		},
		"messages in another order come in theirs": func(_ *testing.T, e *ear) {
			var held *said
			e.liar.lies(feed(func(s *said) []*said {
				if held == nil {
					held = s
					return nil
				}
				return []*said{s, held}
			}))
			e.say("first")
			e.say("second")
			e.hears("first", "second")
		},
		"a message twice is shown once": func(_ *testing.T, e *ear) {
			e.liar.lies(feed(func(s *said) []*said { return slices.Repeat([]*said{s}, 3) }))
			e.say("once")
			e.say("again")
			e.hears("once", "again")
		},
		"a message twice, as if it came anew, is shown once": func(_ *testing.T, e *ear) {
			at := uint64(1 << 20)
			e.liar.lies(feed(func(s *said) []*said {
				last := at - 1
				if at == 1<<20 {
					last = s.last()
				}
				at += 2
				return []*said{s.numbered(at-2, last), s.numbered(at-1, at-2)}
			}))
			e.say("once")
			e.say("again")
			e.hears("once", "again")
			e.liar.lies(nil)
			e.liar.breaks() // sooner than the half minute
			e.learns(`^the hub shows less of ROOM than before`)
		},
		"a bit changed is said": func(_ *testing.T, e *ear) {
			e.liar.lies(feed(func(s *said) []*said { return []*said{s.with(flipped(s.data, -1))} }))
			e.say("altered")
			e.learns(`^message \d+ in ROOM: body is not the one that was signed$`)
		},
		"a message of another room is said": func(_ *testing.T, e *ear) {
			e.liar.lies(feed(func(s *said) []*said { return []*said{s.with(elsewhere)} }))
			e.say("replaced")
			e.learns(`^message \d+ in ROOM: event was made for another place: its subject is another$`)
		},
		"rubbish is passed over": func(_ *testing.T, e *ear) {
			e.liar.lies(feed(func(s *said) []*said {
				none := s.with([]byte("trust me"))
				none.header = nil
				return []*said{none, s}
			}))
			e.say("after rubbish")
			e.hears("after rubbish")
		},
		"a sequence far away does not deafen for good": func(t *testing.T, e *ear) {
			e.liar.lies(feed(func(s *said) []*said {
				none := s.with([]byte("trust me"))
				header := regexp.MustCompile(`Nats-Sequence: \d+`).ReplaceAllString(string(s.header), "Nats-Sequence: 1152921504606846976")
				none.header = []byte(header)
				return []*said{none}
			}))
			e.say("skipped")
			e.liar.breaks()
			e.liar.lies(nil)
			e.say("after it")
			e.hears("skipped", "after it")
		},
		"a room that ends earlier than it did is said": func(_ *testing.T, e *ear) {
			e.say("shown")
			e.hears("shown")
			e.liar.lies(instead("rooms.history", func(_ []byte, h *api.History) { *h = api.History{Through: h.Through, Last: h.Last - 1} }))
			e.liar.breaks()
			e.learns(`^the hub shows less of ROOM than before \(up to message \d+, and \d+ was shown\); do not trust it$`)
		},
		"a history without end is said": func(_ *testing.T, e *ear) {
			e.liar.lies(instead("rooms.history", func(asked []byte, h *api.History) {
				*h = api.History{Through: asks[api.HistoryRequest](asked).After, Last: 1 << 60}
			}))
			e.liar.breaks()
			e.learns(`^the hub does not show the chain of messages in ROOM to its end \(\d+ of \d+ events\); try again$`)
		},
		"the same piece of a history for ever is said": func(_ *testing.T, e *ear) {
			e.say("shown")
			e.hears("shown")
			e.liar.lies(instead("rooms.history", func(_ []byte, h *api.History) {
				h.Messages = []api.Entry{{Seq: 1, Event: elsewhere}}
				h.Last = 1 << 60
			}))
			e.liar.breaks()
			e.learns(`^what the hub shows of ROOM does not fit together; do not trust it$`)
		},
		"an author who cannot be looked up is said": func(_ *testing.T, e *ear) {
			e.liar.lies(both(
				fails("people.chain", "unavailable", "later"),
				feed(func(s *said) []*said { return []*said{s} }),
			))
			e.say("held up")
			e.learns(`later`)
			e.liar.lies(nil)
			e.hears("held up")
		},
	}
	for i, name := range slices.Sorted(maps.Keys(rows)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := s.listen(t, fmt.Sprintf("room-%d", i))
			rows[name](t, e)
			honest(t, e)
		})
	}
}

func whatWasStored(t *testing.T, s *stage) {
	t.Helper()
	stored := func(tell func(s *said) []*said) lie {
		return func(s *said) []*said {
			if !strings.HasPrefix(s.Of, "room.") {
				return []*said{s}
			}
			return tell(s)
		}
	}
	s.tell(t, []row{
		{
			name: "it was refused", does: "say lounge hello",
			lie:  stored(func(s *said) []*said { return []*said{s.with([]byte(`{"error":{"description":"no room \u001b[2J"}}`))} }),
			says: `^keyhall: the hub did not confirm the message; it may or may not have been sent\n`,
		},
		{
			name: "it says nothing that can be read", does: "say lounge hello",
			lie:  stored(func(s *said) []*said { return []*said{s.with([]byte("yes"))} }),
			says: `the hub did not confirm the message; it may or may not have been sent`,
		},
		{
			name: "nothing and everything", does: "say lounge hello",
			lie:  stored(func(s *said) []*said { return []*said{s.with([]byte("[]")), s} }),
			says: `the hub did not confirm the message; it may or may not have been sent`,
		},
		{
			name: "another place", does: "say lounge hello",
			lie: stored(func(s *said) []*said { return []*said{s.with([]byte(`{"stream":"ROOMS","seq":99999}`))} }),
		},
	})
	// A message that was taken and not stored: a limit of say. Who is in the room misses it.
	liar := newLiar(t, s.Hall)
	home := s.home(t, "bob", liar.Origin)
	liar.listens(func(l *line, f *frame) bool {
		if !strings.HasPrefix(f.subject, "room.") {
			return true
		}
		l.say(f.reply, "", nil, []byte(`{"stream":"ROOMS","seq":99999}`))
		return false
	})
	if got := s.run(t, home, "say", "lounge", "lost"); got.status != 0 || liar.tells() != 1 {
		t.Errorf("%+v", got)
	}
	got := s.runWith(t, home, "lost as well\n", "chat", "lounge")
	if got.status != 1 || !strings.Contains(got.err, "what you said last was stored, but did not come back in time") {
		t.Errorf("%+v", got)
	}
}
