package operator_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// opened tells lies about the answers to opens, blocks about the replies to reads.
func opened(tell func(s *said) []*said) lie { return fromOwner(".open", tell) }
func blocks(tell func(s *said) []*said) lie { return fromOwner(".read.", tell) }

func fromOwner(what string, tell func(s *said) []*said) lie {
	return func(s *said) []*said {
		if !strings.HasPrefix(s.Of, "from.") || !strings.Contains(s.Of, what) || len(s.data) == 0 {
			return []*said{s}
		}
		return tell(s)
	}
}

// first tells a lie once.
func first(tell func(s *said) []*said) func(s *said) []*said {
	var once sync.Once
	return func(s *said) []*said {
		told := []*said{s}
		once.Do(func() { told = tell(s) })
		return told
	}
}

func plain(t *testing.T, code seal.Code, message string) []byte {
	t.Helper()
	data, err := seal.Reason{Code: code, Message: message}.AppendPlain(nil)
	must(t, err)
	return data
}

func aboutTransfers(t *testing.T, s *stage) {
	t.Helper()
	as := func(data []byte) func(s *said) []*said {
		return func(s *said) []*said { return []*said{s.with(data)} }
	}
	flip := func(at int) func(s *said) []*said {
		return func(s *said) []*said { return []*said{s.with(flipped(s.data, at))} }
	}
	var older []byte
	liar := newLiar(t, s.Hall)
	liar.heard = func(said *said) {
		if strings.HasPrefix(said.Of, "from.") && len(said.data) > 0 {
			older = said.data
		}
	}
	s.mustRun(s.home(t, "bob", liar.Origin), "ls", "alice/films")
	const get = "get alice/films $DIR"
	s.tell(t, []row{
		{
			name: "the hub refuses in alice's name", does: get, lie: opened(as(plain(t, seal.CodeRefused, "alice hates you\x1b[2J"))),
			says: `^keyhall: "alice/films": alice hates you\\x1b\[2J \(alice has not signed this answer; it may be the hub's\)\n$`,
		},
		{
			name: "the hub calls it malformed", does: get, lie: opened(as(plain(t, seal.CodeMalformed, "no"))),
			says: `alice has not signed this answer; it may be the hub's`,
		},
		{
			name: "the hub says once that alice is busy", does: get, lie: opened(first(as(plain(t, seal.CodeBusy, "wait")))),
		},
		{
			name: "the hub says in the clear that the file has changed", does: get,
			lie:  opened(as([]byte("\x00" + `{"code":"changed","message":"it has changed"}`))),
			says: `the answer for "alice/films"`,
		},
		{
			name: "nobody serves", does: get, lie: opened(func(s *said) []*said {
				one := s.with(nil)
				one.header = []byte("NATS/1.0 503\r\n\r\n")
				return []*said{one}
			}),
			says: `^keyhall: alice is not serving films at the moment\n$`,
		},
		{
			name: "an older answer, of an older listing", does: get, lie: opened(func(s *said) []*said { return []*said{s.with(older)} }),
			says: `the answer for "alice/films"`,
		},
		{name: "a bit of the answer", does: get, lie: opened(flip(-1)), says: `the answer for "alice/films"`},
		{name: "a bit of the answer's key", does: get, lie: opened(flip(5)), says: `the answer for "alice/films"`},
		{name: "half an answer", does: get, lie: opened(func(s *said) []*said { return []*said{s.with(s.data[:len(s.data)/2])} }), says: `the answer for "alice/films"`},
		{name: "an answer of a megabyte", does: get, lie: opened(as(append([]byte{1}, make([]byte, 1<<20-1)...))), says: `the answer for "alice/films"`},
		{name: "rubbish", does: get, lie: opened(as([]byte("trust me"))), says: `the answer for "alice/films"`},
		{name: "two answers", does: get, lie: opened(func(s *said) []*said { return []*said{s, s.with([]byte("trust me"))} })},
		{name: "a bit of one block", does: get, lie: blocks(first(flip(100)))},
		{name: "a bit of every block", does: get, lie: blocks(flip(100)), says: `the answer for "alice/films"`},
		{name: "a bit of every proof", does: "get alice/films/a.mp4 $DIR", lie: blocks(flip(-20)), says: `the answer for`},
		{name: "blocks in another place", does: get, lie: blocks(func(s *said) []*said {
			data := slices.Clone(s.data)
			data[1] = 3
			return []*said{s.with(data)}
		}), says: `the answer for "alice/films"`},
		{name: "every block twice", does: get, lie: blocks(func(s *said) []*said { return []*said{s, s} })},
		{name: "one block twice", does: get, lie: blocks(first(func(s *said) []*said { return []*said{s, s} }))},
		{name: "one block left out", does: get, lie: blocks(first(func(*said) []*said { return nil }))},
		{
			name: "the transfer is not known", does: get, lie: blocks(as(plain(t, seal.CodeRefused, "no such transfer"))),
			says: `the answer for "alice/films"`,
		},
		{name: "the transfer was not known once", does: get, lie: blocks(first(as(plain(t, seal.CodeRefused, "no such transfer"))))},
		{name: "the end before the blocks", does: get, lie: blocks(as(nil)), says: `the answer for "alice/films"`},
		{name: "a refusal that alice has not sealed", does: get, lie: blocks(as(append([]byte{2}, make([]byte, 100)...))), says: `the answer for "alice/films"`},
		{name: "a flood behind the blocks", does: get, lie: blocks(first(func(s *said) []*said {
			return append([]*said{s}, slices.Repeat([]*said{s.with(make([]byte, 1000))}, 5000)...)
		}))},
	})
}

func whoServes(t *testing.T, s *stage) {
	t.Helper()
	s.silent()
	liar := newLiar(t, s.Hall)
	profile, err := client.OpenProfile(s.home(t, "alice", liar.Origin))
	must(t, err)
	alice := s.Connect(profile)
	reports, ready := make(chan client.ServeReport, 64), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := alice.ServeReady(ctx, nil, func() { close(ready) }, func(r client.ServeReport) { reports <- r }); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	defer serving.Wait()
	defer stop()
	<-ready

	reader := newLiar(t, s.Hall)
	var asked []byte
	reader.listens(func(_ *line, f *frame) bool {
		if strings.HasSuffix(f.subject, ".open") {
			asked = f.data
		}
		return true
	})
	home := s.home(t, "bob", reader.Origin)
	works := func() {
		t.Helper()
		if got := s.run(t, home, "ls", "alice/films"); got.status != 0 || (<-reports).Outcome != "ok" {
			t.Fatalf("bob reads: %+v", got)
		}
	}
	works()
	bob, carol, mallory := s.account("bob"), s.account("carol"), s.account("mallory")
	friend := seedsOf(t, s.people["mallory"].Profile.Dir())
	open := decodedOne(t, asked)
	as := func(author trust.PublicKey, account string) []byte {
		ev := &event.Event{
			Author: author, Type: open.Type, Subject: "catalog." + account + "." + s.films + ".open", Audience: open.Audience,
			Head: open.Head, Time: time.Now(), NotAfter: time.Now().Add(20 * time.Second), Body: open.Body,
		}
		must(t, ev.Sign(friend.device))
		return ev.Encode()
	}
	for name, row := range map[string]struct {
		account string
		data    []byte
	}{
		"bob's own, once more":            {bob, asked},
		"bob's own, for carol":            {carol, asked},
		"bob's own, altered":              {bob, flipped(asked, -1)},
		"bob's own, with a bit of a head": {bob, flipped(asked, 160)},
		"made up in bob's name":           {bob, as(open.Author, bob)},
		"a friend's, with bob's request":  {mallory, as(friend.identity.Public(), mallory)},
		"rubbish":                         {bob, []byte("trust me")},
		"nothing":                         {bob, nil},
	} {
		if !liar.says("catalog."+row.account+"."+s.films+".open", "own.nowhere", nil, row.data) {
			t.Fatalf("%s: alice does not listen", name)
		}
		if got := <-reports; got.Outcome != "refused" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	works()

	// What the hub makes up about alice's own doings ends nothing.
	own := decoded(t, s.events(t, "people.chain", api.ChainRequest{Account: s.account("alice")}))
	grant := ""
	for _, ev := range own {
		if body, err := chain.Parse[chain.GrantBody](ev); ev.Type == chain.Grant && err == nil && body.Catalog == s.films {
			grant = body.Grant
		}
	}
	forged := after(t, own[len(own)-1], own[0].Author, friend.device, chain.Revoke, chain.RevokeBody{Grant: grant, To: bob})
	liar.says("own.chain", "", nil, forged.Event)
	works()
	// What she did herself ends it, whatever the hub says: control, and what it withholds.
	liar.lies(chainOf(s.account("alice"), func(_ uint64, page *api.ChainPage) { page.Events, page.Head = page.Events[:1], page.Head-1 }))
	_, err = s.people["alice"].Share(hubtest.Context(t), "films", "bob", time.Hour)
	must(t, err)
	must(t, s.people["alice"].Unshare(hubtest.Context(t), "films", "bob"))
	hubtest.Eventually(t, "alice's other program ends it", func() bool {
		got := s.run(t, home, "ls", "alice/films")
		return got.status == 1
	})
}
