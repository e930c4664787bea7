package inspect

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"
)

// words are the tokens of which subjects are made here. No pattern holds the last: it stands
// for all the others.
var words = []string{"a", "b", "_INBOX_a", "other"}

// subjects are all of one to four words.
func subjects() (all []string) {
	level := []string{""}
	for range 4 {
		var next []string
		for _, start := range level {
			for _, word := range words {
				next = append(next, strings.TrimPrefix(start+"."+word, "."))
			}
		}
		all = append(all, next...)
		level = next
	}
	return all
}

func drawPattern(t *rapid.T, name string) string {
	tokens := rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(words[:3]), "*", "*")), 1, 3).Draw(t, name)
	if rapid.Bool().Draw(t, name+" is open") {
		tokens[len(tokens)-1] = ">"
	}
	return strings.Join(tokens, ".")
}

func drawPatterns(t *rapid.T, name string, most int) (patterns []string) {
	for range rapid.IntRange(0, most).Draw(t, "number of "+name) {
		patterns = append(patterns, drawPattern(t, name))
	}
	return patterns
}

// matches is the server's own matcher.
func matches(subject string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return server.SubjectMatchesFilter(subject, pattern) })
}

// TestRightsAreTheServersOwn: something is found exactly where the server's matcher lets some
// subject through, and what is found is such a subject.
func TestRightsAreTheServersOwn(t *testing.T) {
	all := subjects()
	found, none := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := jwt.Permission{Allow: drawPatterns(t, "allow", 3), Deny: drawPatterns(t, "deny", 4)}
		inbox := drawPattern(t, "inbox")
		allowed := func(subject string) bool {
			return server.SubjectMatchesFilter(subject, inbox) &&
				(len(p.Allow) == 0 || matches(subject, p.Allow)) && !matches(subject, p.Deny)
		}
		for _, r := range []rights{newSubscribe(p), newPublish(p)} {
			subject, is := r.within(inbox)
			if is && !allowed(subject) {
				t.Fatalf("%q is not within %q of %+v", subject, inbox, p)
			}
			if really := slices.ContainsFunc(all, allowed); really != is {
				t.Fatalf("%q of %+v: found %v, the server says %v", inbox, p, is, really)
			}
			if is {
				found++
			} else {
				none++
			}
		}
	})
	if found == 0 || none == 0 {
		t.Errorf("found %d times, and %d times not", found, none)
	}
}

// TestIntersectIsTheServersOwn holds the one pattern that matches what both match against the
// server's matcher, and against what it says of collisions.
func TestIntersectIsTheServersOwn(t *testing.T) {
	all := subjects()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPattern(t, "a"), drawPattern(t, "b")
		both, meet := intersect(a, b)
		if meet != server.SubjectsCollide(a, b) {
			t.Fatalf("%q and %q: %v", a, b, meet)
		}
		for _, subject := range all {
			want := server.SubjectMatchesFilter(subject, a) && server.SubjectMatchesFilter(subject, b)
			if got := meet && server.SubjectMatchesFilter(subject, both); got != want {
				t.Fatalf("%q and %q make %q; of %q that says %v", a, b, both, subject, got)
			}
			if covers(a, strings.Split(subject, ".")) != server.SubjectMatchesFilter(subject, a) {
				t.Fatalf("%q covers %q", a, subject)
			}
		}
	})
}

func TestPatternsAreThoseOfTheServer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"a", "*", ">", ".", " ", "\t", "a*", "_INBOX"})).Draw(t, "text"), "")
		if isPattern(text) != server.IsValidSubject(text) {
			t.Fatalf("%q: %v", text, isPattern(text))
		}
	})
}
