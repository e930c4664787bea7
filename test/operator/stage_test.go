package operator_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/cli"
	"keyhall.dev/keyhall/internal/hubtest"
)

// stage is a hub and what its members had done before the operator began to lie.
//
//   - alice, whom the host invited, shares films with bob, who has accepted, and music, who
//     has not; she serves both
//   - in general, a sealed room, are alice, bob and carol; in lounge as well, to talk; market
//     is an open room
//   - carol was invited by alice, and dave by carol; mallory is the operator's friend
type stage struct {
	*hubtest.Hall
	t      *testing.T
	people map[string]*hubtest.Member
	homes  map[string]string // profiles as they were at the beginning, by name
	rooms  map[string]string // ids by name
	films  string            // id of the catalog
	silent func()            // ends alice's serving
}

// the people, and who invited them.
var invited = [][2]string{{"alice", ""}, {"bob", "alice"}, {"carol", "alice"}, {"dave", "carol"}, {"mallory", "alice"}}

// set sets the stage.
func set(t *testing.T) *stage {
	t.Helper()
	s := &stage{
		Hall: hubtest.Start(t), t: t,
		people: make(map[string]*hubtest.Member), homes: make(map[string]string), rooms: make(map[string]string),
	}
	for _, who := range invited {
		if who[1] == "" {
			s.people[who[0]] = s.Join(who[0])
			continue
		}
		s.people[who[0]] = s.JoinWith(who[0], s.people[who[1]].MustInvite(1))
	}
	s.keep("newcomer", "bob")
	alice, bob := s.people["alice"], s.people["bob"]
	films, music := t.TempDir(), t.TempDir()
	write(t, filepath.Join(films, "a.mp4"), content(600_000))
	write(t, filepath.Join(films, "shorts", "b.mp4"), content(1000))
	write(t, filepath.Join(music, "c.ogg"), content(2000))
	alice.MustAdd("films", films)
	alice.MustAdd("music", music)
	alice.MustShare("films", bob)
	catalogs, err := alice.Profile.Catalogs()
	must(t, err)
	s.films = catalogs[0].ID
	ctx := hubtest.Context(t)
	_, err = alice.Share(ctx, "music", "bob", 0)
	must(t, err)
	s.silent = alice.Serving()
	for _, name := range []string{"general", "lounge"} {
		s.open(name, client.RoomOptions{})
		for _, who := range []string{"bob", "carol"} {
			_, err := alice.GrantRoom(ctx, name, who, "writer", 0)
			must(t, err)
		}
	}
	s.open("market", client.RoomOptions{Open: true})
	for _, text := range []string{"one", "two", "three"} {
		_, err := alice.Say(ctx, "general", text)
		must(t, err)
	}
	_, err = s.people["carol"].Say(ctx, "general", "four")
	must(t, err)
	s.keep("stranger", "bob") // bob, who knows of all this only that it was accepted
	for _, line := range []string{
		"people", "inbox", "shares", "room list", "room members general", "history general", "history lounge", "history market", "ls alice/films",
	} {
		s.mustRun(bob.Profile.Dir(), strings.Fields(line)...)
	}
	s.keep("bob", "bob")
	s.keep("alice", "alice")
	s.keep("carol", "carol")
	return s
}

func (s *stage) open(name string, options client.RoomOptions) {
	s.t.Helper()
	room, err := s.people["alice"].CreateRoom(hubtest.Context(s.t), name, options)
	must(s.t, err)
	s.rooms[name] = room.ID
}

// account is somebody's account.
func (s *stage) account(handle string) string { return s.people[handle].Profile.Settings.Account }

// keep keeps somebody's profile as it is now, under a name.
func (s *stage) keep(name, who string) {
	s.t.Helper()
	dir := filepath.Join(s.t.TempDir(), name)
	copyHome(s.t, s.people[who].Profile.Dir(), dir)
	s.homes[name] = dir
}

// copyHome copies a profile.
func copyHome(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(from)))
	must(t, filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	}))
}

// home is a copy of a profile that was kept, of a member who reaches the hub at origin.
func (s *stage) home(t *testing.T, name, origin string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	copyHome(t, s.homes[name], dir)
	path := filepath.Join(dir, "profile.json")
	data, err := os.ReadFile(path)
	must(t, err)
	settings := make(map[string]any)
	must(t, json.Unmarshal(data, &settings))
	settings["url"] = origin
	data, err = json.Marshal(settings)
	must(t, err)
	must(t, os.WriteFile(path, data, 0o600))
	return dir
}

// result is what a person gets of a command.
type result struct {
	status   int
	out, err string
}

// run runs a command as a member whose profile is at home. $DIR is an empty folder.
func (s *stage) run(t *testing.T, home string, args ...string) result {
	t.Helper()
	return s.runWith(t, home, "", args...)
}

// runWith is run with something on standard input.
func (s *stage) runWith(t *testing.T, home, in string, args ...string) result {
	t.Helper()
	var out, errs buffer
	line := make([]string, 0, len(args))
	dir := ""
	for _, arg := range args {
		if strings.Contains(arg, "$DIR") {
			dir = t.TempDir()
			arg = strings.ReplaceAll(arg, "$DIR", dir)
		}
		line = append(line, arg)
	}
	status := cli.Run(hubtest.Context(t), cli.System{
		Args: append([]string{"--home", home}, line...), In: strings.NewReader(in), Out: &out, Err: &errs,
		Env: func(string) string { return "" },
	})
	got := result{status, out.String(), errs.String()}
	if dir != "" {
		got.out = steady.ReplaceAllString(got.out, "some time") + sums(t, dir)
	}
	return got
}

// steady is what differs from one get to the next.
var steady = regexp.MustCompile(`[0-9.]+ s\b|"seconds":[0-9.e-]+`)

// sums are the files of a folder and what is in them, in short.
func sums(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") { // what is not whole yet
			return err
		}
		data, err := os.ReadFile(path)
		sum := sha256.Sum256(data)
		rel, _ := filepath.Rel(dir, path)
		b.WriteString(rel + " " + string(jsonOf(sum[:8])) + "\n")
		return err
	}))
	return b.String()
}

func (s *stage) mustRun(home string, args ...string) string {
	s.t.Helper()
	got := s.run(s.t, home, args...)
	if got.status != 0 {
		s.t.Fatalf("%v: status %d, said %q", args, got.status, got.err)
	}
	return got.out
}

// buffer is a bytes.Buffer for several writers.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(data)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// content is some content of a file, the same every time and no block like another.
func content(size int) []byte {
	data := make([]byte, 0, size+32)
	for block := sha256.Sum256([]byte("content")); len(data) < size; block = sha256.Sum256(block[:]) {
		data = append(data, block[:]...)
	}
	return data[:size]
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, data, 0o600))
}

func jsonOf(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return data
}

// hour is a moment of this test that bodies can hold, an hour from now.
func hour() time.Time { return time.Now().Add(time.Hour).UTC().Truncate(time.Second) }
