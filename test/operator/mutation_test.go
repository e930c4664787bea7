package operator_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// All of them take minutes: go test ./test/operator -run Lies/in.any -mutations 100000.
var mutations = flag.Int("mutations", 50, "how many altered answers are tried")

// mutant is an answer of the hub's that was altered in one place.
type mutant struct {
	who, does string
	number    int // of the answer, among those to the command
	verb      string
	how       string
	make      func() []byte // nil where nothing is altered
}

// anyAnswer takes every answer of the hub to every command,
// alters it in every place in every way that JSON has, and looks at what the member makes
// of it: an error in one clear line, or the truth, or less than the truth, never
// something else. When the hub is honest again, so is what the same profile shows.
func anyAnswer(t *testing.T, s *stage) {
	t.Helper()
	truths := make(map[string]result)
	var all []mutant
	for _, who := range []string{"newcomer", "bob"} {
		for _, does := range []string{
			"people --json", "inbox --json", "shares --json", "history general --json", "history market --json", "room list --json",
			"room members general --json", "device list --json", "verify dave --show --json", "ls --json", "ls alice/films --json",
			"get alice/films $DIR --json",
		} {
			if who == "newcomer" && strings.Contains(does, "alice/") {
				continue // the listing is asked for at the end of what inbox does
			}
			truth, answers := s.answers(t, who, does)
			truths[who+does] = truth
			all = append(all, mutantsOf(who, does, answers)...)
		}
	}
	t.Logf("%d altered answers", len(all))
	rng := rand.New(rand.NewPCG(7, uint64(len(all))))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, part := range [][]mutant{all[:min(*mutations, len(all))/2], all[min(*mutations, len(all))/2 : min(*mutations, len(all))]} {
		t.Run(fmt.Sprintf("half %d", i+1), func(t *testing.T) {
			t.Parallel()
			for _, m := range part {
				s.try(t, m, truths[m.who+m.does])
			}
		})
	}
}

// answers are those of the hub API to a command, as the hub gives them.
func (s *stage) answers(t *testing.T, who, does string) (result, []*said) {
	t.Helper()
	liar := newLiar(t, s.Hall)
	var answers []*said
	liar.heard = func(one *said) {
		if strings.HasPrefix(one.Of, "hub.") {
			answers = append(answers, one)
		}
	}
	truth := s.run(t, s.home(t, who, liar.Origin), strings.Fields(does)...)
	if truth.status != 0 {
		t.Fatalf("%s: %+v", does, truth)
	}
	return truth, answers
}

func mutantsOf(who, does string, answers []*said) []mutant {
	var pool []any // what answers hold elsewhere
	for _, one := range answers {
		each(decodeJSON(one.data), func(_ []any, value any) { pool = append(pool, value) })
	}
	var all []mutant
	for number, one := range answers {
		for _, alteration := range alterations(one.data, pool) {
			alteration.who, alteration.does, alteration.number, alteration.verb = who, does, number, one.Of
			all = append(all, alteration)
		}
	}
	return all
}

// try runs a command with one answer altered, and once more without.
func (s *stage) try(t *testing.T, m mutant, truth result) {
	t.Helper()
	altered := m.make()
	if altered == nil {
		return
	}
	liar := newLiar(t, s.Hall)
	defer liar.close()
	home := s.home(t, m.who, liar.Origin)
	count := 0
	liar.lies(func(one *said) []*said {
		if !strings.HasPrefix(one.Of, "hub.") {
			return []*said{one}
		}
		if count++; count-1 != m.number || one.Of != m.verb {
			return []*said{one}
		}
		return []*said{one.with(altered)}
	})
	about := fmt.Sprintf("%s as %s, answer %d (%s), %s", m.does, m.who, m.number, m.verb, m.how)
	got := s.run(t, home, strings.Fields(m.does)...)
	if liar.tells() != 1 {
		t.Errorf("%s: %d lies were told", about, liar.tells())
	}
	switch {
	case got.status == 1 && !oneLine.MatchString(got.err):
		t.Errorf("%s: said %q", about, got.err)
	case got.status != 0 && got.status != 1:
		t.Errorf("%s: %+v", about, got)
	}
	if more := beyond(m.sees(got.out), m.sees(truth.out)); more != "" {
		t.Errorf("%s: shows %q, which is not the truth %q", about, more, truth.out)
	}
	liar.lies(nil)
	if again := s.run(t, home, strings.Fields(m.does)...); again.status != 0 || known(again.out) != known(truth.out) {
		t.Errorf("%s: when the hub is honest again: %+v, want %+v", about, again, truth)
	}
}

var oneLine = regexp.MustCompile(`\Akeyhall: [[:print:]…“”’]+\n\z`)

// hubsWord are the parts of what is shown that are the hub's word and nothing more:
// sequences of messages and what is unread (docs/protocol/limits.md).
var hubsWord = regexp.MustCompile(`"(seq|unread)":\d+`)

// progress of a file comes as it comes.
var progress = regexp.MustCompile(`(?m)^{"path":.*"done":.*\n`)

func known(out string) string {
	return progress.ReplaceAllString(hubsWord.ReplaceAllString(out, ""), "")
}

// sees is what is shown but for open rooms that the newcomer has never entered: what they
// are called, and how many are in them, is the hub's word until then.
func (m *mutant) sees(out string) string {
	if m.who != "newcomer" || !strings.HasPrefix(m.does, "room list") {
		return out
	}
	return regexp.MustCompile(`(?m)^.*"kind":"open".*\n`).ReplaceAllString(out, "")
}

// beyond is a line that the truth does not hold. Somebody for whom nobody answers is
// shown as such: less than the truth.
func beyond(out, truth string) string {
	lines := strings.Split(known(truth), "\n")
	for line := range strings.Lines(known(out)) {
		line = strings.TrimSuffix(line, "\n")
		at := slices.IndexFunc(lines, func(one string) bool { return line == one || line == unverified(one) })
		if at < 0 {
			return line
		}
		lines = slices.Delete(lines, at, at+1)
	}
	return ""
}

// unverified is a person's line as it is where the chain of introductions is broken.
func unverified(line string) string {
	line = regexp.MustCompile(`"path":\[[^\]]*\]`).ReplaceAllString(line, `"path":[]`)
	return strings.Replace(line, `"known":"introduced"`, `"known":"unverified"`, 1)
}

func decodeJSON(data []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	_ = decoder.Decode(&value)
	return value
}

// each visits a value and all that is in it.
func each(value any, visit func(path []any, value any)) {
	var walk func(path []any, value any)
	walk = func(path []any, value any) {
		visit(slices.Clone(path), value)
		switch v := value.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(append(path, key), v[key])
			}
		case []any:
			for i, one := range v {
				walk(append(path, i), one)
			}
		}
	}
	walk(nil, value)
}

// drop stands for nothing at all.
type drop struct{}

// replaced is a document with another value at a path.
func replaced(root any, path []any, value any) any {
	if len(path) == 0 {
		return value
	}
	switch v := root.(type) {
	case map[string]any:
		v = maps.Clone(v)
		key := path[0].(string)
		if _, gone := value.(drop); gone && len(path) == 1 {
			delete(v, key)
			return v
		}
		v[key] = replaced(v[key], path[1:], value)
		return v
	case []any:
		v = slices.Clone(v)
		at := path[0].(int)
		if _, gone := value.(drop); gone && len(path) == 1 {
			return slices.Delete(v, at, at+1)
		}
		v[at] = replaced(v[at], path[1:], value)
		return v
	}
	return root
}

// alterations are an answer altered in every place.
func alterations(data []byte, pool []any) []mutant {
	root := decodeJSON(data)
	rng := rand.New(rand.NewPCG(1, uint64(len(data))))
	all := []mutant{
		{how: "cut short", make: func() []byte { return data[:len(data)/2] }},
		{how: "nothing", make: func() []byte { return []byte{} }},
		{how: "twice", make: func() []byte { return append(slices.Clone(data), data...) }},
		{how: "a bit flipped", make: func() []byte { return flipped(data, len(data)/3) }},
	}
	some := &drawn{pool: pool, rng: rng}
	each(root, func(path []any, value any) {
		others := []any{drop{}, nil, map[string]any{}, []any{}, "", "\x1b[2J", json.Number("7"), true}
		switch v := value.(type) {
		case string:
			others = append(others, v+v, strings.ToUpper(v), v+"\n", strings.Repeat("x", 100_000), some.other(v), some.other(v))
			if raw, err := base64.StdEncoding.DecodeString(v); err == nil && len(raw) > 64 {
				for range 3 {
					others = append(others, base64.StdEncoding.EncodeToString(flipped(raw, rng.IntN(len(raw)))))
				}
				others = append(others, base64.StdEncoding.EncodeToString(raw[:len(raw)-1]))
			}
		case json.Number:
			others = append(others, json.Number("0"), json.Number("-1"), json.Number("1"), json.Number("1.5"),
				json.Number("1e30"), json.Number("1152921504606846976"), json.Number("18446744073709551615"), json.Number(string(v)+"0"))
		case bool:
			others = append(others, !v)
		case []any:
			backwards := slices.Clone(v)
			slices.Reverse(backwards)
			others = append(others, backwards, append(slices.Clone(v), v...), some.other(value))
			if len(v) > 0 {
				others = append(others, v[1:], v[:len(v)-1], append(slices.Clone(v), v[0]), slices.Repeat(v[:1], 300))
			}
		case map[string]any:
			others = append(others, some.other(value))
		}
		for i, other := range others {
			if _, gone := other.(drop); gone && len(path) == 0 {
				continue
			}
			all = append(all, mutant{how: fmt.Sprintf("%v altered (%d)", path, i), make: func() []byte {
				text, err := json.Marshal(replaced(root, path, other))
				if err != nil || bytes.Equal(text, data) {
					return nil
				}
				return text
			}})
		}
	})
	return all
}

// drawn are values from elsewhere.
type drawn struct {
	pool []any
	rng  *rand.Rand
}

// other is another value of the same type.
func (d *drawn) other(value any) any {
	for range 50 {
		other := d.pool[d.rng.IntN(len(d.pool))]
		if reflect.TypeOf(other) == reflect.TypeOf(value) && !reflect.DeepEqual(other, value) {
			return other
		}
	}
	return value
}
