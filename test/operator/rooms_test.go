package operator_test

import (
	"slices"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// roomChain alters what the hub shows of a room's chain.
func roomChain(room string, change func(after uint64, page *api.ChainPage)) lie {
	return instead("rooms.chain", func(asked []byte, page *api.ChainPage) {
		if request := asks[api.ChainRequest](asked); request.Room == room {
			change(request.After, page)
		}
	})
}

func aboutRooms(t *testing.T, s *stage) {
	t.Helper()
	general, lounge := s.rooms["general"], s.rooms["lounge"]
	list := func(change func(r *api.Rooms)) lie {
		return instead("rooms.list", func(_ []byte, r *api.Rooms) { change(r) })
	}
	// each changes what is listed of every room, or takes it out.
	each := func(change func(r *api.Room) (stays bool)) lie {
		return list(func(r *api.Rooms) {
			r.Rooms = slices.DeleteFunc(r.Rooms, func(room api.Room) bool { return !change(&room) })
		})
	}
	altered := func(change func(r *api.Room)) lie {
		return list(func(r *api.Rooms) {
			for i := range r.Rooms {
				change(&r.Rooms[i])
			}
		})
	}
	s.tell(t, []row{
		{
			name: "a room is left out, for who has not seen it", who: "newcomer", does: "history general", lie: each(func(r *api.Room) bool { return r.Room != general }),
			says: `you are in no room called "general"`,
		},
		{
			name: "a room is listed twice", does: "room list", lie: list(func(r *api.Rooms) { r.Rooms = append(r.Rooms, r.Rooms...) }),
		},
		{
			name: "rooms in another order", does: "room list", lie: list(func(r *api.Rooms) { slices.Reverse(r.Rooms) }),
		},
		{
			name: "another name, kind and role, and other numbers", does: "room list",
			lie: altered(func(r *api.Room) {
				r.Name, r.Kind, r.Role, r.Members, r.Listed = "payroll", "open", "moderator", 99, true
			}),
		},
		{
			name: "one room's name on another, to who has seen neither", who: "newcomer", does: "say general hello",
			lie: list(func(r *api.Rooms) {
				r.Rooms = []api.Room{{Room: lounge, Kind: chain.Sealed, Listed: true, Name: "general"}}
			}),
			says: `you are not in general; its moderators can let you in`,
		},
		{
			name: "a room that is a subject for everything", does: "room list",
			lie: list(func(r *api.Rooms) {
				r.Rooms = append(r.Rooms, api.Room{Room: ">", Kind: chain.Sealed, Listed: true, Name: "all"})
			}),
			says: `the hub lists a room that cannot be; do not trust it`,
		},
		{
			name: "a room of one's own that is not there", does: "room list",
			lie: list(func(r *api.Rooms) {
				r.Rooms = append(r.Rooms, api.Room{Room: trust.NewID(), Kind: chain.Sealed, Role: "writer"})
			}),
			says: `no such room`,
		},
		{
			name: "a name that would work the terminal", does: "room list",
			lie: list(func(r *api.Rooms) {
				r.Rooms = append(r.Rooms, api.Room{Room: trust.NewID(), Kind: chain.Open, Listed: true, Name: "a\x1b[2Jb"})
			}),
		},
		{
			name: "the list never ends", does: "room list", lie: list(func(r *api.Rooms) { r.More = true }),
			says: `the hub lists rooms without end; do not trust it`,
		},
		{name: "nothing", does: "room list", lie: list(func(r *api.Rooms) { *r = api.Rooms{} }), shows: `^$`}, // a limit
		{
			name: "not in a room", does: "room list", lie: altered(func(r *api.Room) { r.Role = "" }),
			says: `the hub lists a room that cannot be; do not trust it`,
		},
	})
}

func chainsOfRooms(t *testing.T, s *stage) {
	t.Helper()
	general, lounge := s.rooms["general"], s.rooms["lounge"]
	whole := s.events(t, "rooms.chain", api.ChainRequest{Room: general})
	loungesEvents := s.events(t, "rooms.chain", api.ChainRequest{Room: lounge})
	newest := decoded(t, whole)[len(whole)-1]
	friend := seedsOf(t, s.people["mallory"].Profile.Dir())
	malloryHead := decoded(t, s.events(t, "people.chain", api.ChainRequest{Account: s.account("mallory")}))
	of := func(change func(after uint64, page *api.ChainPage)) lie { return roomChain(general, change) }
	// on appends an event to general's chain that mallory, or mallory as alice, has signed.
	on := func(author string, kind string, body any) lie {
		entry := after(t, newest, newest.Author, friend.device, kind, body)
		if author == "mallory" {
			ev := decoded(t, []api.Entry{entry})[0]
			ev.Author, ev.Head = friend.identity.Public(), malloryHead[len(malloryHead)-1].Hash()
			must(t, ev.Sign(friend.device))
			entry = entryOf(ev)
		}
		return of(func(_ uint64, page *api.ChainPage) { page.Events, page.Head = append(page.Events, entry), entry.Seq })
	}
	grant := chain.GrantRoomBody{Grant: trust.NewID(), Account: s.account("mallory"), Role: chain.Moderator}
	key := event.NewEpochKey()
	box, err := key.BoxFor(friend.person.String(), general)
	must(t, err)
	epoch := chain.EpochBody{
		Number: 2, Commitment: key.Commitment(general), Name: key.SealName(general, "general"),
		Keys: []chain.EpochBox{{Account: s.account("mallory"), Key: box}},
	}
	s.tell(t, []row{
		{
			name: "an earlier end", does: "history general",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events, page.Head = nil, page.Head-1 }),
			says: `the hub has rolled the chain of room .* back \(from place \d+ to \d+\); do not trust it`,
		},
		{
			name: "another past", does: "room members general",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events = copyOf(whole[:1]) }),
			says: `the hub shows another past of the chain of room .*; do not trust it`,
		},
		{
			name: "another room's", who: "newcomer", does: "room members general",
			lie: of(func(_ uint64, page *api.ChainPage) {
				page.Events, page.Head = loungesEvents, uint64(len(loungesEvents))
			}),
			says: `the chain of room .* does not verify: .*it is not there`,
		},
		{
			name: "nothing", who: "newcomer", does: "room list", lie: of(func(_ uint64, page *api.ChainPage) { *page = api.ChainPage{} }),
			says: `the chain of room .* does not verify: .*it is not there`,
		},
		{
			name: "with a hole", who: "newcomer", does: "room list",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events = slices.Delete(page.Events, 1, 2) }),
			says: `the chain of room .* does not verify: .*place 3 after 1`,
		},
		{
			name: "in another order", who: "newcomer", does: "room list",
			lie:  of(func(_ uint64, page *api.ChainPage) { slices.Reverse(page.Events[1:]) }),
			says: `the chain of room .* does not verify`,
		},
		{
			name: "a bit changed", who: "newcomer", does: "room list",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events[2].Event = flipped(page.Events[2].Event, -3) }),
			says: `the chain of room .* does not verify`,
		},
		{
			name: "bodies withheld", who: "newcomer", does: "room list",
			lie: of(func(_ uint64, page *api.ChainPage) {
				for i, ev := range decoded(t, page.Events) {
					page.Events[i].Event, page.Events[i].Withheld = ev.EncodeWithheld(), true
				}
			}),
			says: `the chain of room .* does not verify`,
		},
		{
			name: "an end that never comes", does: "room members general", lie: of(func(_ uint64, page *api.ChainPage) { page.Head = 1 << 60 }),
			says: `the hub does not show the chain of room .* to its end`,
		},
		{
			name: "a friend let in, as if by alice", does: "say general hello", lie: on("alice", chain.GrantRoom, grant),
			says: `the chain of room .* does not verify`,
		},
		{
			name: "a friend let in by himself", does: "say general hello", lie: on("mallory", chain.GrantRoom, grant),
			says: `the chain of room .* does not verify: .*only moderators let people in and out`,
		},
		{
			name: "an epoch for a friend, as if by alice", does: "say general hello", lie: on("alice", chain.Epoch, epoch),
			says: `the chain of room .* does not verify`,
		},
		{
			name: "an epoch for a friend, by himself", does: "say general hello", lie: on("mallory", chain.Epoch, epoch),
			says: `the chain of room .* does not verify: .*only writers begin an epoch`,
		},
		{
			name: "somebody put out by a friend", does: "room members general",
			lie:  on("mallory", chain.RevokeRoom, chain.RevokeRoomBody{Account: s.account("carol")}),
			says: `the chain of room .* does not verify: .*only moderators let people in and out`,
		},
		{
			name: "the author's chain of before", who: "newcomer", does: "room members general",
			lie: chainOf(s.account("alice"), func(_ uint64, page *api.ChainPage) {
				page.Events, page.Head = page.Events[:2], 2
			}),
			says: `the chain of room .* does not verify: .*it names a head that is not on its author's chain`,
		},
	})
}

func whatWasSaid(t *testing.T, s *stage) {
	t.Helper()
	general, lounge := s.rooms["general"], s.rooms["lounge"]
	_, err := s.people["alice"].Say(t.Context(), "lounge", "elsewhere")
	must(t, err)
	elsewhere := s.said(t, lounge)
	friend := seedsOf(t, s.people["mallory"].Profile.Dir())
	told := func(change func(h *api.History)) lie {
		return instead("rooms.history", func(asked []byte, h *api.History) {
			if asks[api.HistoryRequest](asked).Room == general {
				change(h)
			}
		})
	}
	next := func(h *api.History, data []byte) api.Entry {
		h.Through, h.Last = h.Last+1, h.Last+1
		return api.Entry{Seq: h.Last, Time: time.Now(), Event: data}
	}
	// forged is a message in alice's name.
	forged := func() []byte {
		newest := decoded(t, s.said(t, general))[0]
		ev := &event.Event{
			Author: newest.Author, Type: newest.Type, Subject: newest.Subject, Audience: newest.Audience,
			Head: newest.Head, Epoch: newest.Epoch, Body: newest.Body,
		}
		must(t, ev.Sign(friend.device))
		return ev.Encode()
	}()
	const all = `(?s)alice  one\n.*alice  two\n.*alice  three\n.*carol  four\n`
	s.tell(t, []row{
		{
			name: "a message left out", does: "history general", lie: told(func(h *api.History) { h.Messages = slices.Delete(h.Messages, 1, 2) }),
			shows: `(?s)alice  one\n[^\n]*alice  three\n`, // a limit
		},
		{
			name: "the newest left out", does: "history general", lie: told(func(h *api.History) { h.Messages = h.Messages[:2] }),
			shows: `(?s)alice  one\n[^\n]*alice  two\n$`, // a limit
		},
		{name: "nothing", does: "history general", lie: told(func(h *api.History) { *h = api.History{} }), shows: `^$`}, // a limit
		{
			name: "in another order", does: "history general", lie: told(func(h *api.History) { slices.Reverse(h.Messages) }),
			says: `what the hub shows of general does not fit together; do not trust it`,
		},
		{
			name: "numbered anew", does: "history general", lie: told(func(h *api.History) {
				for i := range h.Messages {
					h.Messages[i].Seq += 1000
				}
				h.Last, h.Through = h.Last+1000, h.Last+1000
			}),
		},
		{
			name: "a message beyond the end", does: "history general",
			lie:  told(func(h *api.History) { h.Messages[len(h.Messages)-1].Seq = 1 << 60 }),
			says: `what the hub shows of general does not fit together; do not trust it`,
		},
		{
			name: "more than there is", does: "history general", lie: told(func(h *api.History) { h.Through = 1 << 60 }),
			says: `what the hub shows of general does not fit together; do not trust it`,
		},
		{
			name: "an end far away", does: "history general", lie: told(func(h *api.History) { h.Last, h.Through = 1<<60, 1<<60 }),
		},
		{
			name: "a message twice, under the same number", does: "history general",
			lie:  told(func(h *api.History) { h.Messages = append(h.Messages[:1], h.Messages...) }),
			says: `what the hub shows of general does not fit together; do not trust it`,
		},
		{
			name: "a message twice", does: "history general",
			lie: told(func(h *api.History) {
				again := h.Messages[0].Event
				h.Messages = append(h.Messages, next(h, again))
			}),
			shows: all + `.*left out: message \d+: message was seen before\n$`,
		},
		{
			name: "a message of another room", does: "history general",
			lie:   told(func(h *api.History) { h.Messages = append(h.Messages, next(h, elsewhere[0].Event)) }),
			shows: all + `.*left out: message \d+: event was made for another place: its subject is another\n$`,
		},
		{
			name: "a message that its author never signed", does: "history general",
			lie:   told(func(h *api.History) { h.Messages = append(h.Messages, next(h, forged)) }),
			shows: all + `.*left out: message \d+: .*the device is not the author's\n$`,
		},
		{
			name: "no message at all", does: "history general",
			lie:   told(func(h *api.History) { h.Messages = append(h.Messages, next(h, []byte("trust me"))) }),
			shows: all + `.*left out: message \d+: malformed event`,
		},
		{
			name: "a bit changed", does: "history general",
			lie:   told(func(h *api.History) { h.Messages[3].Event = flipped(h.Messages[3].Event, -1) }),
			shows: `(?s)alice  three\n.*left out: message \d+: body is not the one that was signed\n$`,
		},
		{
			name: "backdated by a day", does: "history general",
			lie:   told(func(h *api.History) { h.Messages[3].Time = h.Messages[3].Time.Add(-24 * time.Hour) }),
			shows: `(?s)alice  three\n.*left out: message \d+: event is from another time: it is 24h0m0s away from when it was stored\n$`,
		},
		{
			name: "from the future", does: "history general",
			lie:   told(func(h *api.History) { h.Messages[3].Time = h.Messages[3].Time.Add(24 * time.Hour) }),
			shows: `left out: message \d+: event is from another time: it is 24h0m0s away from when it was stored\n$`,
		},
		{
			name: "another room's history", does: "history general",
			lie:   told(func(h *api.History) { h.Messages = copyOf(elsewhere); h.Last, h.Through = 1<<20, 1<<20 }),
			shows: `^keyhall: .*left out.*: event was made for another place: its subject is another\n$`,
		},
		{
			name: "everything unread", does: "room list",
			lie:   instead("rooms.history", func(_ []byte, h *api.History) { h.Messages = make([]api.Entry, 7) }),
			shows: ` 7`, // a limit: counts are the hub's word
		},
	})
}

// said is what was said in a room, as the honest hub shows it to bob.
func (s *stage) said(t *testing.T, room string) []api.Entry {
	t.Helper()
	liar := newLiar(t, s.Hall)
	var history api.History
	liar.heard = func(said *said) {
		if said.Of == "hub.rooms.history" && asks[api.HistoryRequest](said.Asked).Room == room {
			history = asks[api.History](said.data)
		}
	}
	s.mustRun(s.home(t, "bob", liar.Origin), "history", room)
	return history.Messages
}
