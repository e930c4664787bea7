package chaos_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

var (
	kills = flag.Int("kills", 12, "how many times something is killed")
	seed  = flag.Uint64("seed", 1, "what decides what is killed, and when")
)

const (
	longFile  = 24 << 20 // bytes
	roomFull  = 350      // acknowledged messages, so that one history holds all of a room
	historyOf = 500
)

// load is what goes on while things are killed.
type load struct {
	t     *testing.T
	hub   *hub
	films string // folder of alice's catalog

	alice, bob, carol *member
	owner             *program // alice's keyhall serve

	said  tally[said]
	got   tally[string] // destinations that bob's gets completed
	ended tally[string] // what else bob's programs did to the end

	mu     sync.Mutex
	room   string
	rooms  []string // acknowledged
	reader *program // bob's program of the moment
	shared bool     // whether alice shares music with carol,
	sure   bool     // if that is known
}

// said is an acknowledged message.
type said struct{ room, text string }

func TestWhateverIsKilledNothingAcknowledgedIsLost(t *testing.T) {
	t.Logf("seed %d, %d kills; again with: make chaos SEED=%[1]d KILLS=%[2]d", *seed, *kills)
	dice := rand.New(rand.NewPCG(*seed, 0)) //nolint:gosec // to be repeated, not to be secret
	l := newLoad(t, dice)

	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	for _, work := range []func(context.Context){
		func(ctx context.Context) { l.talk(ctx, l.alice) },
		func(ctx context.Context) { l.talk(ctx, l.carol) },
		l.share, l.open, l.read,
	} {
		working.Go(func() { work(ctx) })
	}
	for i := range *kills {
		time.Sleep(time.Duration(dice.IntN(900)) * time.Millisecond)
		l.breakSomething(dice, i)
	}
	l.awaitProgress()
	stop()
	working.Wait()
	t.Logf("acknowledged: %d messages in %d rooms; %d gets and %d other commands ended well",
		l.said.size(), len(l.rooms), l.got.size(), l.ended.size())

	l.hub.kill()
	l.hub.start()
	l.owner.kill()
	l.serve()
	l.checkRooms()
	l.checkShares()
	l.checkFiles()
	l.checkLedger()
	l.owner.end(t)
	l.hub.end(t)
}

func newLoad(t *testing.T, dice *rand.Rand) *load {
	dir := t.TempDir()
	l := &load{t: t, hub: newHub(t, filepath.Join(dir, "hub")), films: filepath.Join(dir, "films")}
	l.hub.start()
	l.alice = l.hub.joins("alice", l.hub.invite)
	a := l.alice.connect()
	for _, one := range []struct {
		name string
		at   **member
	}{{"bob", &l.bob}, {"carol", &l.carol}} {
		invite, err := a.Invite(within(t), 1, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		*one.at = l.hub.joins(one.name, invite.Code)
	}
	l.write("long", longFile, dice)
	for i := range 30 {
		l.write(fmt.Sprintf("some/small-%d", i), 1+dice.IntN(40_000), dice)
	}
	l.alice.run("catalog", "add", "films", l.films)
	l.alice.run("catalog", "add", "music", l.films)
	l.alice.run("share", "films", "bob")
	l.bob.run("accept", "alice/films")
	l.serve()
	if err := l.newRoom(within(t), a, "room-0"); err != nil {
		t.Fatal(err)
	}
	return l
}

// write puts a whole file into the catalog's folder at once.
func (l *load) write(name string, size int, dice *rand.Rand) {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(dice.Uint32())
	}
	path := filepath.Join(l.films, filepath.FromSlash(name))
	beside := filepath.Join(filepath.Dir(l.films), "beside")
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(beside, data, 0o600), os.Rename(beside, path))
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *load) serve() { l.owner = launch(l.t, l.alice.home, "serve", "--quiet") }

// breakSomething kills some of hub, owner and reader, looks at what is left and has them
// go on.
func (l *load) breakSomething(dice *rand.Rand, round int) {
	which := 1 + dice.IntN(7) // a bit for each
	hub, owner, reader := which&1 != 0, which&2 != 0, which&4 != 0
	if hub {
		l.hub.kill()
	}
	if owner {
		l.owner.kill()
	}
	if reader {
		l.mu.Lock()
		if l.reader != nil {
			_ = l.reader.cmd.Process.Kill()
		}
		l.mu.Unlock()
	}
	if err := unfinished(l.films, filepath.Join(l.destinations(), "films")); err != nil {
		l.t.Errorf("after kill %d: %v", round, err)
	}
	l.write(fmt.Sprintf("new/%d", round), 1+dice.IntN(10_000), dice)
	if hub {
		time.Sleep(time.Duration(dice.IntN(300)) * time.Millisecond)
		l.hub.start()
	}
	if owner || !l.owner.running() {
		l.serve()
	}
	if dice.IntN(4) == 0 {
		l.awaitProgress()
	}
}

// awaitProgress waits until both talk again, without anybody's help.
func (l *load) awaitProgress() {
	l.t.Helper()
	for _, name := range []string{"alice ", "carol "} {
		before := l.sayings(name)
		eventually(l.t, name+"talks again", func() bool { return l.sayings(name) > before })
	}
}

func (l *load) sayings(name string) (n int) {
	l.said.mu.Lock()
	defer l.said.mu.Unlock()
	for one := range l.said.seen {
		if strings.HasPrefix(one.text, name) {
			n++
		}
	}
	return n
}

func (l *load) destinations() string { return filepath.Join(filepath.Dir(l.films), "got") }

func (l *load) current() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.room
}

// newRoom opens a room and has everybody talk there.
func (l *load) newRoom(ctx context.Context, a *client.Client, name string) error {
	if _, err := a.CreateRoom(ctx, name, client.RoomOptions{}); err != nil {
		return err
	}
	for _, who := range []string{"bob", "carol"} {
		if _, err := a.GrantRoom(ctx, name, who, "writer", 0); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.room, l.rooms = name, append(l.rooms, name)
	return nil
}

// open opens the next room when the present one has had enough.
func (l *load) open(ctx context.Context) {
	a := l.alice.connect()
	for tries := 1; pause(ctx, 50*time.Millisecond); {
		l.said.mu.Lock()
		n := 0
		for one := range l.said.seen {
			if one.room == l.current() {
				n++
			}
		}
		l.said.mu.Unlock()
		if n > roomFull {
			_ = l.newRoom(ctx, a, fmt.Sprintf("room-%d", tries)) // a name may be spent without an answer
			tries++
		}
	}
}

// talk says one numbered thing after the other and notes what was acknowledged.
func (l *load) talk(ctx context.Context, who *member) {
	c := who.connect()
	var session *client.Session
	var room string
	var hearing sync.WaitGroup
	leave := func() {
		if session != nil {
			session.Close()
			hearing.Wait()
			session = nil
		}
	}
	defer leave()
	for n := 0; pause(ctx, 15*time.Millisecond); n++ {
		if l.current() != room || session == nil {
			leave()
			room = l.current()
			var err error
			if session, err = c.Enter(ctx, 0, room); err != nil {
				session = nil
				continue
			}
			hearing.Go(func() { l.hear(who, session) })
		}
		text := fmt.Sprintf("%s %d", who.name, n)
		if _, err := session.Say(ctx, room, text); err == nil {
			l.said.add(said{room, text})
		}
	}
}

// hear expects to hear nothing twice.
func (l *load) hear(who *member, session *client.Session) {
	heard := make(map[string]bool)
	for message := range session.Messages() {
		if heard[message.ID] {
			l.t.Errorf("%s hears %q twice", who.name, message.Text)
		}
		heard[message.ID] = true
	}
}

// share shares a catalog and ends the share, by turns.
func (l *load) share(ctx context.Context) {
	a := l.alice.connect()
	for pause(ctx, 40*time.Millisecond) {
		l.mu.Lock()
		to := !l.shared
		l.mu.Unlock()
		var err error
		if to {
			_, err = a.Share(ctx, "music", "carol", 0)
		} else {
			err = a.Unshare(ctx, "music", "carol")
		}
		l.mu.Lock()
		switch {
		case err == nil, to && fault.Is(err, fault.Taken), !to && fault.Is(err, fault.NotFound):
			l.shared, l.sure = to, true
		default:
			l.sure = false
		}
		l.mu.Unlock()
	}
}

// read runs bob's programs, one after the other.
func (l *load) read(ctx context.Context) {
	dest := l.destinations()
	for n := 0; pause(ctx, 0); n++ {
		room, text := l.current(), fmt.Sprintf("bob %d", n)
		get := []string{"get", "alice/films", dest}
		args := [][]string{get, {"say", room, text}, get, {"history", room}, get, {"inbox"}, get, {"room", "list"}, get, {"ls"}}[n%10]
		p := launch(l.t, l.bob.home, args...)
		l.mu.Lock()
		l.reader = p
		l.mu.Unlock()
		select {
		case <-p.done:
		case <-time.After(patience):
			l.t.Errorf("keyhall %v neither works nor ends:\n%s", args, p.output())
			p.kill()
		}
		code := p.cmd.ProcessState.ExitCode()
		if code > 0 && code != 1 && code != 3 {
			l.t.Errorf("keyhall %v ended with %d:\n%s", args, code, p.output())
		}
		if code != 0 {
			continue
		}
		l.ended.add(fmt.Sprint(n))
		switch args[0] {
		case "say":
			l.said.add(said{room, text})
		case "get":
			l.got.add(fmt.Sprint(n))
			l.mustHave(dest)
			if err := os.RemoveAll(dest); err != nil {
				l.t.Error(err)
			}
		}
	}
}

// mustHave fails the test unless dir has the files that were there at the beginning, and
// nothing else than what is in the catalog.
func (l *load) mustHave(dir string) {
	for _, name := range []string{"long", "some/small-0", "some/small-29"} {
		if _, err := os.Stat(filepath.Join(dir, "films", filepath.FromSlash(name))); err != nil {
			l.t.Errorf("a get that ended well: %v", err)
		}
	}
	if err := unfinished(l.films, filepath.Join(dir, "films")); err != nil {
		l.t.Errorf("a get that ended well: %v", err)
	}
}

func (l *load) checkRooms() {
	c := l.carol.connect()
	if l.said.size() == 0 {
		l.t.Error("nothing was acknowledged")
	}
	for _, room := range l.rooms {
		messages, skipped, err := c.History(within(l.t), room, historyOf)
		if err != nil || len(skipped) > 0 {
			l.t.Errorf("history of %s: %v, skipped %v", room, err, skipped)
		}
		if len(messages) == historyOf {
			l.t.Errorf("%s has too many messages to be checked", room)
		}
		there := make(map[string]int)
		newest := make(map[string]int)
		for _, message := range messages {
			there[message.Text]++
			var number int
			if _, err := fmt.Sscanf(message.Text, message.Author+" %d", &number); err != nil {
				l.t.Errorf("%s says %q: %v", message.Author, message.Text, err)
			}
			if l.said.has(said{room, message.Text}) {
				if number <= newest[message.Author] && number > 0 {
					l.t.Errorf("%s: %q stands after %d", room, message.Text, newest[message.Author])
				}
				newest[message.Author] = number
			}
		}
		for one := range l.said.seen {
			if one.room == room && there[one.text] != 1 {
				l.t.Errorf("%s: acknowledged %q stands there %d times", room, one.text, there[one.text])
			}
		}
	}
}

func (l *load) checkShares() {
	a := l.alice.connect()
	shares, err := a.Shares(within(l.t))
	if err != nil {
		l.t.Fatal(err)
	}
	shared := slices.ContainsFunc(shares, func(s client.Share) bool { return s.Catalog == "music" && s.To == "carol" })
	if l.sure && shared != l.shared {
		l.t.Errorf("alice shares music with carol: %t; acknowledged was %t", shared, l.shared)
	}
	rooms, err := a.Rooms(within(l.t))
	if err != nil {
		l.t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, room := range rooms {
		known[room.Room] = true
	}
	for _, room := range l.rooms {
		if !known[room] {
			l.t.Errorf("acknowledged %s is not among %v", room, slices.Sorted(maps.Keys(known)))
		}
	}
}

func (l *load) checkFiles() {
	dest := l.destinations() // with what the last killed get left
	eventually(l.t, "everything is fetched", func() bool {
		p := launch(l.t, l.bob.home, "get", "alice/films", dest)
		<-p.done
		return p.cmd.ProcessState.ExitCode() == 0
	})
	l.mustHave(dest)
	if left, err := filepath.Glob(filepath.Join(dest, "*", ".*")); err != nil || len(left) > 0 {
		l.t.Errorf("left over: %v, %v", left, err)
	}
}

func (l *load) checkLedger() {
	everybody := l.carol.run("people", "--json") + l.carol.run("room", "list", "--json")
	l.alice.run("ledger", "verify", "--data", l.hub.data)
	l.alice.run("ledger", "rebuild", "--data", l.hub.data)
	if after := l.carol.run("people", "--json") + l.carol.run("room", "list", "--json"); after != everybody {
		l.t.Errorf("the views were\n%s\nand are, folded anew,\n%s", everybody, after)
	}
}

// pause waits; false when it is over.
func pause(ctx context.Context, length time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(length):
		return ctx.Err() == nil
	}
}
