package operator_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// swallows keeps what the member asks of a verb from the hub, and says that it was done.
func swallows(verb string, answer string) func(l *line, f *frame) bool {
	return func(l *line, f *frame) bool {
		if f.subject != "hub."+verb {
			return true
		}
		l.say(f.reply, "", nil, []byte(answer))
		return false
	}
}

// refuses keeps what the member asks of a verb from the hub, and answers with an error.
func refuses(verb, code, sentence string) func(l *line, f *frame) bool {
	return func(l *line, f *frame) bool {
		if f.subject != "hub."+verb {
			return true
		}
		l.say(f.reply, "", errorHeader(code, sentence), nil)
		return false
	}
}

func aboutShares(t *testing.T, s *stage) {
	t.Helper()
	inbox := func(change func(i *api.Inbox)) lie {
		return instead("shares.inbox", func(_ []byte, i *api.Inbox) { change(i) })
	}
	altered := func(change func(one *api.Share)) lie {
		return inbox(func(i *api.Inbox) {
			for at := range i.Shares {
				change(&i.Shares[at])
			}
		})
	}
	s.tell(t, []row{
		{name: "nothing", does: "inbox", lie: inbox(func(i *api.Inbox) { i.Shares = nil }), shows: `^$`}, // a limit
		{
			name: "the list never ends", does: "inbox", lie: inbox(func(i *api.Inbox) { i.More = true }),
			says: `the hub lists shares without end; do not trust it`,
		},
		{name: "everything twice", does: "inbox", lie: inbox(func(i *api.Inbox) { i.Shares = append(i.Shares, i.Shares...) })},
		{name: "in another order", does: "inbox", lie: inbox(func(i *api.Inbox) { slices.Reverse(i.Shares) })},
		{
			name: "accepted is pending, and pending accepted", does: "inbox", lie: altered(func(one *api.Share) {
				if one.State == api.Pending {
					one.State = api.Accepted
				} else {
					one.State = api.Pending
				}
			}),
		},
		{name: "no state at all", does: "inbox", lie: altered(func(one *api.Share) { one.State = "gone" })},
		{name: "another end", does: "inbox", lie: altered(func(one *api.Share) { one.Expires = time.Unix(1, 0) })},
		{
			name: "another owner", does: "inbox", lie: altered(func(one *api.Share) { one.Owner = s.account("carol") }), shows: `^$`,
		},
		{name: "another catalog", does: "inbox", lie: altered(func(one *api.Share) { one.Catalog = trust.NewID() }), shows: `^$`},
		{name: "a grant that nobody gave", does: "inbox", lie: inbox(func(i *api.Inbox) {
			i.Shares = append(i.Shares, api.Share{Grant: trust.NewID(), Owner: s.account("carol"), Catalog: trust.NewID(), State: api.Accepted})
		})},
		{name: "an owner who is nobody", does: "inbox", lie: inbox(func(i *api.Inbox) {
			i.Shares = append(i.Shares, api.Share{Grant: trust.NewID(), Owner: "\x1b[2J", Catalog: trust.NewID()})
		})},
		{
			name: "a share is taken and dropped", who: "alice", does: "share films carol", keeps: swallows("shares.append", `{"seq":99}`),
			says: `^keyhall: the hub says that it has done this, but your chain does not show it; do not rely on it\n`,
		},
	})
	// What ends a share works once: the truth comes after the lie, and no control before it.
	liar := newLiar(t, s.Hall)
	home := s.home(t, "alice", liar.Origin)
	for _, does := range []string{"unshare music bob", "device revoke phone"} {
		args := strings.Fields(does)
		if does == "device revoke phone" {
			_, _, err := s.people["alice"].AddDevice(t.Context(), "phone")
			must(t, err)
		}
		verb := map[string]string{"unshare": "shares.append", "device": "people.append"}[args[0]]
		liar.listens(swallows(verb, `{"seq":99}`))
		got := s.run(t, home, args...)
		if got.status != 1 || !strings.Contains(got.err, "the hub says that it has done this, but your chain does not show it; do not rely on it") {
			t.Errorf("%s, taken and dropped: %+v", does, got)
		}
		liar.listens(nil)
		if got := s.run(t, home, args...); got.status != 0 {
			t.Errorf("%s, when the hub is honest again: %+v", does, got)
		}
	}
}

func whatWasDone(t *testing.T, s *stage) {
	t.Helper()
	const dropped = `the hub says that it has done this, but your chain does not show it; do not rely on it`
	s.tell(t, []row{{
		name: "somebody let into a room", who: "alice", does: "room grant lounge dave", keeps: swallows("rooms.append", `{"seq":99}`),
		says: `^keyhall: the hub says that it has done this, but the room does not show it; do not rely on it\n`,
	}})
	liar := newLiar(t, s.Hall)
	home := s.home(t, "bob", liar.Origin)
	for _, row := range []struct{ does, verb, says string }{
		{"invite", "people.append", dropped},
		{"accept alice/music", "shares.append", dropped},
		{"room create club", "rooms.append", `the hub says that it has done this, but the room does not show it`},
		{"room create plaza --open", "rooms.append", `the hub says that it has done this, but the room does not show it`},
	} {
		liar.listens(swallows(row.verb, `{"seq":1}`))
		got := s.run(t, home, strings.Fields(row.does)...)
		if got.status != 1 || !matchesText(row.says, got.err) {
			t.Errorf("%s: %+v, want %q", row.does, got, row.says)
		}
		liar.listens(nil)
		if got := s.run(t, home, strings.Fields(row.does)...); got.status != 0 {
			t.Errorf("%s, when the hub is honest again: %+v", row.does, got)
		}
	}
	// An event that comes at a place for ever taken is not made for ever.
	liar.listens(refuses("people.append", "conflict", "something changed meanwhile"))
	if got := s.run(t, home, "invite"); got.status != 1 || !strings.Contains(got.err, "your chain changes faster than this could be added; try again") {
		t.Errorf("%+v", got)
	}
	liar.listens(nil)
	if got := s.run(t, home, "invite"); got.status != 0 {
		t.Errorf("%+v", got)
	}
}

func twoPasts(t *testing.T, s *stage) {
	t.Helper()
	carol, before := s.account("carol"), newLiar(t, s.Hall)
	home := s.home(t, "carol", before.Origin)
	// carol signs an event; the hub keeps it and asks for another at the same place.
	var kept []byte
	before.listens(func(l *line, f *frame) bool {
		if f.subject != "hub.people.append" || kept != nil {
			return true
		}
		kept = f.data
		l.say(f.reply, "", errorHeader("conflict", "something changed meanwhile"), nil)
		return false
	})
	if got := s.run(t, home, "invite"); got.status != 0 || kept == nil {
		t.Fatalf("carol invites: %+v", got)
	}
	before.listens(nil)
	for _, line := range []string{"room create club", "room grant club bob"} {
		if got := s.run(t, home, strings.Fields(line)...); got.status != 0 {
			t.Fatalf("%s: %+v", line, got)
		}
	}
	// bob is shown the one, everybody else the other.
	other := decodedOne(t, kept)
	liar := newLiar(t, s.Hall)
	victim := s.home(t, "bob", liar.Origin)
	liar.lies(chainOf(carol, func(_ uint64, page *api.ChainPage) {
		for i, ev := range decoded(t, page.Events) {
			if ev.Seq == other.Seq {
				page.Events, page.Head = append(page.Events[:i], entryOf(other)), ev.Seq
				return
			}
		}
	}))
	if got := s.run(t, victim, "verify", "carol", "--show"); got.status != 0 {
		t.Errorf("a past that verifies: %+v", got)
	}
	got := s.run(t, victim, "room", "list")
	if got.status != 1 || !matchesText(`the chain of room .* does not verify: .*it names a head that is not on its author's chain`, got.err) {
		t.Errorf("carol is heard of in a room: %+v", got)
	}
	liar.lies(nil)
	got = s.run(t, victim, "verify", "carol", "--show")
	if got.status != 1 || !matchesText(`the hub shows another past of the chain of A.*: event .* stands where .* was seen; do not trust it`, got.err) {
		t.Errorf("the other past comes up: %+v", got)
	}
	if got := s.run(t, s.home(t, "bob", liar.Origin), "room", "list"); got.status != 0 {
		t.Errorf("who was shown one past: %+v", got)
	}
}

func oldHead(t *testing.T, s *stage) {
	t.Helper()
	alice := s.people["alice"]
	_, phone, err := alice.AddDevice(t.Context(), "phone")
	must(t, err)
	aliceChain := decoded(t, s.events(t, "people.chain", api.ChainRequest{Account: s.account("alice")}))
	good := aliceChain[len(aliceChain)-1].Hash()
	must(t, alice.RevokeDevice(t.Context(), "phone"))
	forge := func() lie {
		room := decoded(t, s.events(t, "rooms.chain", api.ChainRequest{Room: s.rooms["general"]}))
		ev := decodedOne(t, after(t, room[len(room)-1], room[0].Author, phone, chain.RevokeRoom,
			chain.RevokeRoomBody{Account: s.account("carol")}).Event)
		ev.Head = good
		must(t, ev.Sign(phone))
		return roomChain(s.rooms["general"], func(_ uint64, page *api.ChainPage) {
			page.Events, page.Head = append(page.Events, entryOf(ev)), ev.Seq
		})
	}
	liar := newLiar(t, s.Hall)
	liar.lies(forge())
	// A limit: nothing in the room says yet that the device is gone.
	if got := s.run(t, s.home(t, "bob", liar.Origin), "room", "members", "general"); got.status != 0 || strings.Contains(got.out, "carol") {
		t.Errorf("%+v", got)
	}
	liar.lies(nil)
	_, err = alice.GrantRoom(t.Context(), "general", "dave", "reader", 0)
	must(t, err)
	s.tell(t, []row{{
		name: "after alice has named a newer head in the room", does: "room members general", lie: forge(),
		says: `the chain of room .* does not verify: .*the device was revoked before`,
	}})
}
