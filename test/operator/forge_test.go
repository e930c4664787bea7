package operator_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// seeds are somebody's keys: the operator has those of a friend's, and of people made up.
type seeds struct {
	identity, device *trust.KeyPair
	person           *trust.XKey
}

// seedsOf are those of a profile.
func seedsOf(t *testing.T, home string) seeds {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(home, "keys", name))
		must(t, err)
		return data
	}
	var k seeds
	var err error
	k.identity, err = trust.ParseSeed(trust.Account, read("identity.nk"))
	must(t, err)
	k.device, err = trust.ParseSeed(trust.Device, read("device.nk"))
	must(t, err)
	k.person, err = trust.ParseXKeySeed(read("person.xk"))
	must(t, err)
	return k
}

// puppet is somebody whom the operator made up, with a chain that verifies: an invite of
// the hub's own, which nobody knows of, let them in.
type puppet struct {
	seeds
	account string
	chain   []api.Entry // of the puppet
	hub     api.Entry   // what the hub's chain goes on with
}

// puppet makes up somebody with a handle.
func (s *stage) puppet(t *testing.T, handle string) *puppet {
	t.Helper()
	p := &puppet{seeds: seeds{
		identity: trust.NewKeyPair(trust.Account), device: trust.NewKeyPair(trust.Device), person: trust.NewXKey(),
	}}
	p.account = p.identity.String()
	liar := newLiar(t, s.Hall)
	hub, err := trust.ParseHub(liar.keys.OperatorJWT)
	must(t, err)
	invite := trust.NewInvite(hub.ID, hub.Key)
	newest := decoded(t, s.events(t, "people.chain", api.ChainRequest{Account: "hub"}))
	last := newest[len(newest)-1]
	ev := &event.Event{
		Author: hub.Key, Type: chain.HubInvite, Subject: chain.HubSubject, Audience: hub.ID,
		Seq: last.Seq + 1, Prev: last.Hash(), Head: last.Hash(),
		Body: canonical(t, chain.InviteBody{Invite: invite.Key().String(), Uses: 1, Expires: hour()}),
	}
	must(t, ev.Sign(liar.signing))
	p.hub = entryOf(ev)
	token, err := trust.IssueDevice(p.identity, p.device.Public(), "laptop", time.Now(), time.Now().Add(time.Hour))
	must(t, err)
	ev = &event.Event{
		Author: p.identity.Public(), Type: chain.Admit, Subject: chain.PersonSubject(p.account), Audience: hub.ID, Seq: 1,
		Body: canonical(t, chain.AdmitBody{
			Handle: handle, Account: p.account, XKey: p.person.String(), Device: token.Text,
			Invite: invite.Key().String(), Inviter: hub.ID,
		}),
	}
	must(t, ev.Sign(p.identity))
	must(t, ev.CoSign(invite.Key()))
	p.chain = []api.Entry{entryOf(ev)}
	return p
}

// shown has the hub show the puppet's chain, and the invite on its own.
func (p *puppet) shown(also lie) lie {
	return both(also, instead("people.chain", func(asked []byte, page *api.ChainPage) {
		switch request := asks[api.ChainRequest](asked); request.Account {
		case p.account:
			*page = api.ChainPage{Events: p.chain[request.After:], Head: uint64(len(p.chain))}
		case "hub":
			page.Events, page.Head = append(page.Events, p.hub), page.Head+1
		}
	}), of("people.chain", func(s *said) []*said { // the honest hub knows no puppet
		request := asks[api.ChainRequest](s.Asked)
		if request.Account != p.account {
			return []*said{s}
		}
		one := s.with(jsonOf(api.ChainPage{Events: p.chain[min(request.After, 1):], Head: uint64(len(p.chain))}))
		one.header = nil
		return []*said{one}
	}))
}

// both tells several lies, one after the other.
func both(lies ...lie) lie {
	return func(s *said) []*said {
		all := []*said{s}
		for _, tell := range lies {
			var next []*said
			for _, one := range all {
				next = append(next, tell(one)...)
			}
			all = next
		}
		return all
	}
}

// events is all of a chain, as the honest hub shows it to bob.
func (s *stage) events(t *testing.T, verb string, request api.ChainRequest) []api.Entry {
	t.Helper()
	liar := newLiar(t, s.Hall)
	var page api.ChainPage
	liar.heard = func(said *said) {
		if said.Of == "hub."+verb && asks[api.ChainRequest](said.Asked) == request {
			page = asks[api.ChainPage](said.data)
		}
	}
	home := s.home(t, "newcomer", liar.Origin)
	if got := s.run(t, home, "people"); got.status != 0 {
		t.Fatalf("people: %q", got.err)
	}
	if request.Room != "" {
		s.run(t, home, "room", "members", request.Room)
	}
	if len(page.Events) == 0 {
		t.Fatalf("no chain of %+v was shown", request)
	}
	return page.Events
}

// copyOf are entries that can be changed without harm.
func copyOf(entries []api.Entry) []api.Entry { return append([]api.Entry(nil), entries...) }

func decoded(t *testing.T, entries []api.Entry) []*event.Event {
	t.Helper()
	var events []*event.Event
	for _, entry := range entries {
		ev, err := event.Decode(entry.Event)
		must(t, err)
		events = append(events, ev)
	}
	return events
}

// entryOf is an event as a hub would show it.
func entryOf(ev *event.Event) api.Entry {
	return api.Entry{Seq: ev.Seq, Time: ev.Time, Event: ev.Encode()}
}

// after makes the event that would come after the newest of a chain, signed by key.
func after(t *testing.T, newest *event.Event, author trust.PublicKey, key *trust.KeyPair, kind string, body any) api.Entry {
	t.Helper()
	ev := &event.Event{
		Author: author, Type: kind, Subject: newest.Subject, Audience: newest.Audience,
		Seq: newest.Seq + 1, Prev: newest.Hash(), Head: newest.Hash(), Body: canonical(t, body),
	}
	must(t, ev.Sign(key))
	return entryOf(ev)
}

func canonical(t *testing.T, body any) []byte {
	t.Helper()
	data, err := trust.Canonical(body)
	must(t, err)
	return data
}

// flipped is data with one bit changed.
func flipped(data []byte, at int) []byte {
	changed := append([]byte(nil), data...)
	if len(changed) > 0 {
		changed[(at+len(changed))%len(changed)] ^= 1
	}
	return changed
}

func decodedOne(t *testing.T, data []byte) *event.Event {
	t.Helper()
	ev, err := event.Decode(data)
	must(t, err)
	return ev
}
