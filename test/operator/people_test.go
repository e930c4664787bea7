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

// chainOf alters what the hub shows of somebody's chain.
func chainOf(account string, change func(after uint64, page *api.ChainPage)) lie {
	return instead("people.chain", func(asked []byte, page *api.ChainPage) {
		if request := asks[api.ChainRequest](asked); request.Account == account {
			change(request.After, page)
		}
	})
}

// endless shows the first page of people for ever.
func endless() lie {
	var first *api.PeoplePage
	return instead("people.list", func(_ []byte, p *api.PeoplePage) {
		if first == nil {
			first = &api.PeoplePage{People: p.People, More: true}
		}
		*p = *first
	})
}

func whoIsWho(t *testing.T, s *stage) {
	t.Helper()
	carol, alice := s.account("carol"), s.account("alice")
	fake, other := s.puppet(t, "carol"), s.puppet(t, "alice")
	find := func(change func(a *api.Person)) lie {
		return instead("people.find", func(_ []byte, a *api.Person) { change(a) })
	}
	list := func(change func(p *api.PeoplePage)) lie {
		return instead("people.list", func(_ []byte, p *api.PeoplePage) { change(p) })
	}
	raw := func(verb string, data []byte) lie {
		return of(verb, func(s *said) []*said { return []*said{s.with(data)} })
	}
	s.tell(t, []row{
		{
			name: "a handle is somebody else's", who: "stranger", does: "verify carol --show",
			lie:  find(func(a *api.Person) { a.Account = s.account("mallory") }),
			says: `^keyhall: the hub says that carol is A.*, but that account's own name is mallory; do not trust it\n`,
		},
		{
			name: "a handle is the asker's own", who: "stranger", does: "verify carol --show",
			lie:  find(func(a *api.Person) { a.Account = s.account("bob") }),
			says: `that account's own name is bob; do not trust it`,
		},
		{
			name: "a known handle has another key, of somebody made up", does: "verify carol --show",
			lie:  fake.shown(find(func(a *api.Person) { a.Account = fake.account })),
			says: `the hub says that carol has another key than before \(A.*, it was A.*\); do not trust it`,
		},
		{
			name: "a known person is replaced in the list", does: "people",
			lie: fake.shown(list(func(p *api.PeoplePage) {
				for i := range p.People {
					if p.People[i].Account == carol {
						p.People[i].Account = fake.account
					}
				}
			})),
			says: `the hub says that carol has another key than before`,
		},
		{
			name: "somebody has a namesake in the list", who: "stranger", does: "people",
			lie: fake.shown(list(func(p *api.PeoplePage) {
				p.People = append(p.People, api.Person{Account: fake.account, Handle: "carol"})
			})),
			says: `the hub says that carol has another key than before`,
		},
		{
			name: "an inviter's namesake vouches for a stranger", does: "people",
			lie:  other.shown(list(func(p *api.PeoplePage) { p.People[0].Account = other.account })),
			says: `the hub says that alice has another key than before`,
		},
		{
			name: "an account that is none", does: "verify carol --show",
			lie:  find(func(a *api.Person) { a.Account = "A\x1b[2J" + strings.Repeat("x", 100_000) }),
			says: `^keyhall: "A[^\x1b]{1,60}" is not an account\n`,
		},
		{
			name: "another xkey, handle and head", does: "verify carol --show",
			lie: find(func(a *api.Person) {
				a.XKey, a.Handle, a.Seq = trust.NewXKey().String(), "mallory", 99
			}),
		},
		{
			name: "nobody at all", does: "verify carol --show", lie: raw("people.find", []byte("{}")),
			says: `"" is not an account`,
		},
		{
			name: "null", does: "verify carol --show", lie: raw("people.find", []byte("null")), says: `"" is not an account`,
		},
		{
			name: "no JSON", does: "verify carol --show", lie: raw("people.find", []byte("\x1b[31mtrust me")),
			says: `^keyhall: the hub answered something that cannot be read\n`,
		},
		{
			name: "a megabyte of nothing", does: "verify carol --show", lie: raw("people.find", make([]byte, 1<<20)),
			says: `^keyhall: the hub answered something that cannot be read\n`,
		},
		{
			name: "another type", does: "verify carol --show", lie: raw("people.find", []byte(`{"account":[1]}`)),
			says: `the hub answered something that cannot be read`,
		},
		{
			name: "two answers", does: "verify carol --show",
			lie: of("people.find", func(s *said) []*said { return []*said{s, s.with([]byte(`{"account":"` + alice + `"}`))} }),
		},
		{
			name: "a flood of answers", does: "verify carol --show",
			lie: of("people.find", func(s *said) []*said {
				return append([]*said{s}, slices.Repeat([]*said{s.with(make([]byte, 100))}, 20_000)...)
			}),
		},
		{
			name: "an error that would work the terminal", does: "verify carol --show",
			lie:  fails("people.find", "refused", "\x1b]0;owned\x07\x1b[2Jall is well"),
			says: `^keyhall: [^\x1b\x07]+\n$`,
		},
		{
			name: "an endless error", does: "verify carol --show", lie: fails("people.find", "refused", strings.Repeat("so long ", 50_000)),
			says: `^keyhall: .{300,310}\n`,
		},
		{
			name: "an error without words", does: "verify carol --show", lie: fails("people.find", "refused", ""),
			says: `^keyhall: the hub refused this \(refused\) and did not say why\n`,
		},
		{
			name: "an error of no known kind", does: "verify carol --show", lie: fails("people.find", "all-is-well", "go on"),
			says: `^keyhall: the hub answered something that cannot be read\n`,
		},
		{
			name: "nobody answers", does: "verify carol --show",
			lie: of("people.find", func(s *said) []*said {
				one := s.with(nil)
				one.header = []byte("NATS/1.0 503\r\n\r\n")
				return []*said{one}
			}),
			says: `the hub's services do not answer; is the hub running\?`,
		},
		{
			name: "another time of day", does: "say lounge hello",
			lie: func(one *said) []*said {
				if !strings.HasPrefix(one.Of, "hub.") {
					return []*said{one}
				}
				late := one.with(one.data)
				late.header = []byte("NATS/1.0\r\nKeyhall-Time: " + time.Now().Add(2*time.Hour).Format(time.RFC3339Nano) + "\r\n\r\n")
				return []*said{late}
			},
			says: `^keyhall: the clocks of this machine and of the hub are (2h0m0s|1h59m[0-9]+s) apart; set the wrong one right and try again\n`,
		},
		{
			name: "the list has somebody twice", does: "people", lie: list(func(p *api.PeoplePage) { p.People = append(p.People[:1], p.People...) }),
			says: `the hub lists alice twice or out of order; do not trust it`,
		},
		{
			name: "the list is in another order", does: "people", lie: list(func(p *api.PeoplePage) { slices.Reverse(p.People) }),
			says: `the hub lists dave twice or out of order; do not trust it`,
		},
		{
			name: "the list never ends", does: "people", lie: endless(),
			says: `the hub lists alice twice or out of order; do not trust it`,
		},
		{
			name: "the list goes on with nobody", does: "people", lie: instead("people.list", func(asked []byte, p *api.PeoplePage) {
				p.More = true
				if asks[api.PeopleRequest](asked).After != "" {
					p.People = nil
				}
			}),
		},
		{
			name: "somebody is left out of the list", does: "people", lie: list(func(p *api.PeoplePage) { p.People = p.People[1:] }),
			shows: `bob`, // a limit: who is not shown is not missed
		},
		{
			name: "the list has other handles and xkeys", does: "people", lie: list(func(p *api.PeoplePage) {
				for i := range p.People {
					p.People[i].Handle, p.People[i].XKey = "mallory", trust.NewXKey().String()
				}
			}),
		},
		{
			name: "the list has an account that is none", does: "people", lie: list(func(p *api.PeoplePage) { p.People[1].Account = "bob" }),
			says: `"bob" is not an account`,
		},
	})
}

// firstContact is with somebody made up, before the real one is met: a limit, and the way out.
func firstContact(t *testing.T, s *stage) {
	t.Helper()
	liar, fake := newLiar(t, s.Hall), s.puppet(t, "carol")
	home := s.home(t, "newcomer", liar.Origin)
	liar.lies(fake.shown(instead("people.find", func(_ []byte, a *api.Person) { a.Account = fake.account })))
	made := s.run(t, home, "verify", "carol", "--show")
	if made.status != 0 || liar.tells() == 0 {
		t.Errorf("somebody made up: %+v", made)
	}
	liar.lies(nil)
	const refused = `the hub says that carol has another key than before \(A.*, it was A.*\); do not trust it`
	if got := s.run(t, home, "verify", "carol", "--show"); got.status != 1 || !matchesText(refused, got.err) {
		t.Errorf("the real one: %+v", got)
	}
	own, err := trust.ParsePublicKey(trust.Account, s.account("bob"))
	must(t, err)
	other, err := trust.ParsePublicKey(trust.Account, s.account("carol"))
	must(t, err)
	words := trust.Words(liar.keys.OperatorID, own, other)
	if strings.Contains(made.out, words) {
		t.Error("the words of somebody made up are those of the real one")
	}
	s.mustRun(home, "verify", s.account("carol"), "--words", words)
	if got := s.run(t, home, "verify", "carol", "--show"); got.status != 0 || !strings.Contains(got.out, words) {
		t.Errorf("the real one, verified: %+v", got)
	}
	liar.lies(fake.shown(instead("people.find", func(_ []byte, a *api.Person) { a.Account = fake.account })))
	if got := s.run(t, home, "verify", "carol", "--show"); got.status != 1 || !matchesText(refused, got.err) {
		t.Errorf("the one made up, once more: %+v", got)
	}
}

func chainsOfPeople(t *testing.T, s *stage) {
	t.Helper()
	carol, alice := s.account("carol"), s.account("alice")
	friend := seedsOf(t, s.people["mallory"].Profile.Dir())
	whole := s.events(t, "people.chain", api.ChainRequest{Account: carol})
	newest := decoded(t, whole)[len(whole)-1]
	mallorys := s.events(t, "people.chain", api.ChainRequest{Account: s.account("mallory")})
	// on appends an event to carol's chain that she did not make.
	on := func(entry api.Entry) lie {
		return chainOf(carol, func(_ uint64, page *api.ChainPage) { page.Events, page.Head = append(page.Events, entry), entry.Seq })
	}
	of := func(change func(after uint64, page *api.ChainPage)) lie { return chainOf(carol, change) }
	token := func(k seeds) chain.DeviceBody {
		one, err := trust.IssueDevice(k.identity, friend.device.Public(), "phone", time.Now(), time.Now().Add(time.Hour))
		must(t, err)
		return chain.DeviceBody{Token: one.Text}
	}
	s.tell(t, []row{
		{
			name: "an earlier end, to who knows more", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events, page.Head = nil, page.Head-1 }),
			says: `the hub has rolled the chain of A.* back \(from place \d+ to \d+\); do not trust it`,
		},
		{
			name: "nothing, to who knows more", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { *page = api.ChainPage{} }),
			says: `the hub has rolled the chain of A.* back \(from place \d+ to 0\); do not trust it`,
		},
		{
			name: "another past, to who knows it", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events = copyOf(whole[:1]) }),
			says: `the hub shows another past of the chain of A.*: event .* stands where .* was seen; do not trust it`,
		},
		{
			name: "nothing", who: "stranger", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { *page = api.ChainPage{} }),
			says: `the chain of A.* does not verify: .*it is not there`,
		},
		{
			name: "somebody else's", who: "stranger", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events, page.Head = mallorys, uint64(len(mallorys)) }),
			says: `the chain of A.* does not verify`,
		},
		{
			name: "somebody else's, to who knows it", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events, page.Head = mallorys, 9 }),
			says: `the hub shows another past of the chain of A`,
		},
		{
			name: "without its beginning", who: "stranger", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events = page.Events[1:] }),
			says: `the chain of A.* does not verify`,
		},
		{
			name: "with a hole", who: "newcomer", does: "verify alice --show",
			lie: chainOf(alice, func(after uint64, page *api.ChainPage) {
				page.Events = slices.Delete(copyOf(page.Events), len(page.Events)-2, len(page.Events)-1)
			}),
			says: `the chain of A.* does not verify: .*place \d+ after \d+`,
		},
		{
			name: "in another order", who: "newcomer", does: "verify alice --show",
			lie:  chainOf(alice, func(_ uint64, page *api.ChainPage) { slices.Reverse(page.Events[2:]) }),
			says: `the chain of A.* does not verify: .*place \d+ after \d+`,
		},
		{
			name: "an event twice", who: "stranger", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events = append(page.Events[:2], page.Events[1:]...) }),
			says: `the chain of A.* does not verify: .*place 2 after 2`,
		},
		{
			name: "a bit of a body changed", who: "stranger", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events[0].Event = flipped(page.Events[0].Event, -30) }),
			says: `the chain of A.* does not verify: body is not the one that was signed`,
		},
		{
			name: "a bit of a signature changed", who: "stranger", does: "verify carol --show",
			lie: of(func(_ uint64, page *api.ChainPage) {
				ev := decoded(t, page.Events)[1]
				page.Events[1].Event = flipped(page.Events[1].Event, -len(ev.Body)-10)
			}),
			says: `the chain of A.* does not verify: signature does not hold`,
		},
		{
			name: "an event cut short", who: "stranger", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Events[1].Event = page.Events[1].Event[:100] }),
			says: `the chain of A.* does not verify: malformed event`,
		},
		{
			name: "a device that the hub has added", does: "verify carol --show",
			lie:  on(after(t, newest, newest.Author, friend.device, chain.AddDevice, token(friend))),
			says: `the chain of A.* does not verify: .*the device is not the author's`,
		},
		{
			name: "a device that the hub has added, signed by a made-up identity", does: "verify carol --show",
			lie:  on(after(t, newest, newest.Author, friend.identity, chain.AddDevice, token(friend))),
			says: `the chain of A.* does not verify`,
		},
		{
			name: "an xkey of the hub's", does: "verify carol --show",
			lie:  on(after(t, newest, newest.Author, friend.device, chain.RotateXKey, chain.XKeyBody{XKey: friend.person.String()})),
			says: `the chain of A.* does not verify: .*the device is not the author's`,
		},
		{
			name: "an xkey of a friend's, to share with carol", who: "alice", does: "share films carol",
			lie:  on(after(t, newest, newest.Author, friend.device, chain.RotateXKey, chain.XKeyBody{XKey: friend.person.String()})),
			says: `the chain of A.* does not verify: .*the device is not the author's`,
		},
		{
			name: "an event by its real author for another hub", does: "verify carol --show",
			lie: on(func() api.Entry {
				ev := *newest
				ev.Seq, ev.Prev, ev.Head, ev.Audience = newest.Seq+1, newest.Hash(), newest.Hash(), "OAAA"
				return api.Entry{Seq: ev.Seq, Event: ev.Encode()}
			}()),
			says: `the chain of A.* does not verify`,
		},
		{
			name: "the body of a device withheld", who: "newcomer", does: "verify alice --show",
			lie: chainOf(alice, func(_ uint64, page *api.ChainPage) {
				page.Events[0].Withheld = true
			}),
			says: `the chain of A.* does not verify: .*its body was withheld`,
		},
		{
			name: "what was shared with the reader withheld", who: "newcomer", does: "inbox",
			lie: chainOf(alice, func(_ uint64, page *api.ChainPage) {
				for i, ev := range decoded(t, page.Events) {
					if strings.HasPrefix(ev.Type, "share.") {
						page.Events[i].Withheld, page.Events[i].Event = true, ev.EncodeWithheld()
					}
				}
			}),
			shows: `^$`, // a limit; that it comes back when the hub is honest is no limit
		},
		{
			name: "one's own doings withheld", who: "alice", does: "shares",
			lie: chainOf(alice, func(_ uint64, page *api.ChainPage) {
				last := len(page.Events) - 1
				page.Events[last].Withheld = true
				more := after(t, decoded(t, page.Events)[last], friend.identity.Public(), friend.device, chain.Revoke,
					chain.RevokeBody{Grant: trust.NewID(), To: carol})
				more.Withheld = true
				page.Events, page.Head = append(page.Events, more), page.Head+1
			}),
			says: `the hub withholds from you what you did yourself; do not trust it`,
		},
		{
			name: "an end that never comes", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { page.Head = 1 << 60 }),
			says: `the hub does not show the chain of A.* to its end \(\d+ of \d+ events\); try again`,
		},
		{
			name: "the same page for ever", who: "stranger", does: "verify carol --show",
			lie:  of(func(_ uint64, page *api.ChainPage) { *page = api.ChainPage{Events: copyOf(whole), Head: 1 << 60} }),
			says: `the hub shows another past of the chain`,
		},
		{
			name: "other times and places beside the events", who: "stranger", does: "people",
			lie: instead("people.chain", func(_ []byte, page *api.ChainPage) {
				for i := range page.Events {
					page.Events[i].Seq, page.Events[i].Time = 7, time.Unix(7, 0)
				}
			}),
		},
		{
			name: "an end before what it shows", who: "stranger", does: "verify carol --show",
			lie: of(func(_ uint64, page *api.ChainPage) { page.Head = 1 }),
		},
		{
			name: "the invite of an inviter left out", who: "stranger", does: "people",
			lie:   of(func(after uint64, page *api.ChainPage) { page.Events, page.Head = page.Events[:1], 1 }),
			shows: `dave +unverified`,
		},
		{
			name: "the host's invites left out", who: "newcomer", does: "people",
			lie:   chainOf("hub", func(_ uint64, page *api.ChainPage) { *page = api.ChainPage{} }),
			shows: `dave +unverified`,
		},
		{
			name: "the host's invites signed by another", who: "newcomer", does: "people",
			lie: chainOf("hub", func(_ uint64, page *api.ChainPage) {
				ev := decoded(t, page.Events)[0]
				must(t, ev.Sign(friend.device))
				page.Events[0].Event = ev.Encode()
			}),
			shows: `dave +unverified`,
		},
	})
}
