package operator_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestTheOperatorLies tells all lies on one stage. The last ones change it.
func TestTheOperatorLies(t *testing.T) {
	s := set(t)
	for _, group := range []struct {
		name string
		tell func(t *testing.T, s *stage)
	}{
		{"in any answer", anyAnswer},
		{"about who is who", whoIsWho},
		{"at first contact", firstContact},
		{"about chains of people", chainsOfPeople},
		{"about rooms", aboutRooms},
		{"about chains of rooms", chainsOfRooms},
		{"about what was said", whatWasSaid},
		{"about what is said now", whatIsSaidNow},
		{"about what was stored", whatWasStored},
		{"about transfers", aboutTransfers},
		{"about which hub it is", whichHub},
		{"to who joins", whoJoins},
		{"to who comes back", whoComesBack},
		{"to the terminal", toTheTerminal},
		{"by silence", bySilence},
		{"about the way to a catalog", anotherWay},
		{"about what was done", whatWasDone},
		{"by two pasts of one person", twoPasts},
		{"by the old head of a revoked device", oldHead},
		{"about shares", aboutShares},
		{"to who serves", whoServes},
	} {
		t.Run(group.name, func(t *testing.T) { group.tell(t, s) })
	}
}

// row is a lie and what becomes of it.
type row struct {
	name  string
	who   string // whose profile, as it was kept; bob's if empty
	lie   lie
	keeps func(l *line, f *frame) (pass bool) // what the member says is kept from the hub
	does  string                              // the command
	says  string                              // what the member then reads: a pattern; it failed
	shows string                              // or what it shows, a pattern: it did not fail, and what is shown is short of the truth
	// where neither is said, the lie does no harm: what is shown is what is shown without it
}

// tell tells every lie: the command with the truth, the command with the lie, and the
// command once more on the same profile when the hub is honest again. Commands that change
// something go first, one after the other.
func (s *stage) tell(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		if !r.looks() {
			t.Run(r.name, func(t *testing.T) { s.tellOne(t, &r, s.truth(t, &r)) })
		}
	}
	truths := make(map[string]result)
	for _, r := range rows {
		if about := r.who + " " + r.does; r.looks() && truths[about] == (result{}) {
			truths[about] = s.truth(t, &r)
		}
	}
	t.Run("seen", func(t *testing.T) {
		for _, r := range rows {
			if r.looks() {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					s.tellOne(t, &r, truths[r.who+" "+r.does])
				})
			}
		}
	})
}

// looks reports whether the command changes nothing.
func (r *row) looks() bool {
	for _, does := range []string{"say", "share ", "room grant"} {
		if strings.HasPrefix(r.does, does) {
			return false
		}
	}
	return true
}

// whose is the profile.
func (r *row) whose() string { return cmp.Or(r.who, "bob") }

// truth is what the command shows without the lie.
func (s *stage) truth(t *testing.T, r *row) result {
	t.Helper()
	liar := newLiar(t, s.Hall)
	defer liar.close()
	truth := s.run(t, s.home(t, r.whose(), liar.Origin), strings.Fields(r.does)...)
	if truth.status != 0 {
		t.Fatalf("%s, without a lie: status %d, said %q", r.does, truth.status, truth.err)
	}
	return truth
}

func (s *stage) tellOne(t *testing.T, r *row, truth result) {
	t.Helper()
	liar := newLiar(t, s.Hall)
	args := strings.Fields(r.does)
	home := s.home(t, r.whose(), liar.Origin)
	liar.lies(r.lie)
	liar.listens(r.keeps)
	got := s.run(t, home, args...)
	if liar.tells() == 0 {
		t.Error("no lie was told")
	}
	r.judge(t, got, truth)
	liar.lies(nil)
	liar.listens(nil)
	if again := s.run(t, home, args...); again != truth {
		t.Errorf("when the hub is honest again: %+v, want %+v", again, truth)
	}
}

func (r *row) judge(t *testing.T, got, truth result) {
	t.Helper()
	switch {
	case r.says != "":
		if got.status != 1 || !regexp.MustCompile(r.says).MatchString(got.err) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("status %d, said %q, shown %q; want %q", got.status, got.err, got.out, r.says)
		}
	case r.shows != "":
		if got.status != 0 || !regexp.MustCompile(r.shows).MatchString(got.out+got.err) {
			t.Errorf("status %d, said %q, shown %q; want %q", got.status, got.err, got.out, r.shows)
		}
	case got != truth:
		t.Errorf("status %d, said %q, shown %q; want it unharmed: %+v", got.status, got.err, got.out, truth)
	}
}

// of tells a lie about the answers to one verb of the hub API.
func of(verb string, tell func(s *said) []*said) lie {
	return func(s *said) []*said {
		if s.Of != "hub."+verb {
			return []*said{s}
		}
		return tell(s)
	}
}

// instead changes an answer, read as T, before the member gets it.
func instead[T any](verb string, change func(asked []byte, answer *T)) lie {
	return of(verb, func(s *said) []*said {
		answer := new(T)
		if json.Unmarshal(s.data, answer) != nil {
			return []*said{s}
		}
		change(s.Asked, answer)
		return []*said{s.with(jsonOf(answer))}
	})
}

// with is the same message with other content.
func (s *said) with(data []byte) *said {
	f := *s.frame
	f.data = data
	return &said{Of: s.Of, Asked: s.Asked, frame: &f, line: s.line}
}

// fails answers with an error.
func fails(verb, code, sentence string) lie {
	return of(verb, func(s *said) []*said {
		one := s.with(nil)
		one.header = errorHeader(code, sentence)
		return []*said{one}
	})
}

// errorHeader is how a service says that it failed.
func errorHeader(code, sentence string) []byte {
	return fmt.Appendf(nil, "NATS/1.0\r\nNats-Service-Error: %s\r\nNats-Service-Error-Code: %s\r\n\r\n", sentence, code)
}

// asks reads what was asked.
func asks[T any](asked []byte) T {
	var request T
	_ = json.Unmarshal(asked, &request) // what the real client made
	return request
}

func matchesText(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }
