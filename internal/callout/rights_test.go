package callout_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyhall.dev/keyhall/internal/callout"
)

// matches is NATS's own meaning of a pattern, token by token.
func matches(pattern, subject string) bool {
	wants, has := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range wants {
		if token == ">" {
			return i < len(has)
		}
		if i >= len(has) || token != "*" && token != has[i] {
			return false
		}
	}
	return len(wants) == len(has)
}

func may(r callout.Rights, subject string) bool {
	match := func(pattern string) bool { return matches(pattern, subject) }
	return slices.ContainsFunc(r.Publish.Allow, match) && !slices.ContainsFunc(r.Publish.Deny, match)
}

// Rights that are within others allow no subject that those do not.
func TestRightsWithinOthersAllowNothingMore(t *testing.T) {
	token := rapid.SampledFrom([]string{"a", "b", "*"})
	pattern := rapid.Custom(func(t *rapid.T) string {
		tokens := rapid.SliceOfN(token, 1, 3).Draw(t, "tokens")
		if rapid.Bool().Draw(t, "open") {
			tokens = append(tokens, ">")
		}
		return strings.Join(tokens, ".")
	})
	rights := rapid.Custom(func(t *rapid.T) callout.Rights {
		return callout.Rights{Publish: callout.Subjects{
			Allow: rapid.SliceOfN(pattern, 0, 3).Draw(t, "allow"), Deny: rapid.SliceOfN(pattern, 0, 2).Draw(t, "deny"),
		}}
	})
	within := 0
	rapid.Check(t, func(t *rapid.T) {
		one, other := rights.Draw(t, "one"), rights.Draw(t, "other")
		if rapid.Bool().Draw(t, "widened") { // else hardly any pair is within
			one = callout.Rights{Publish: callout.Subjects{Allow: other.Publish.Allow, Deny: append(other.Publish.Deny[:len(other.Publish.Deny):len(other.Publish.Deny)], one.Publish.Deny...)}}
		}
		if !one.Within(other) {
			return
		}
		within++
		subject := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 4).Draw(t, "subject"), ".")
		if may(one, subject) && !may(other, subject) {
			t.Fatalf("%+v is within %+v, and may use %s", one, other, subject)
		}
	})
	if within == 0 {
		t.Error("none was within another")
	}
}

func TestRightsAreComparedWhole(t *testing.T) {
	grant := callout.Grant{
		Account: "A", Name: "alice", Publish: callout.Subjects{Allow: []string{"a.>"}, Deny: []string{"a.b"}}, Inbox: "_INBOX_alice",
		Responses: callout.Responses{Max: 2, Within: time.Second},
	}
	rights := grant.Rights()
	if !rights.Within(rights) || rights.Digest() != grant.Rights().Digest() {
		t.Error("rights are not those that they are")
	}
	for what, change := range map[string]func(*callout.Grant){
		"another account":   func(g *callout.Grant) { g.Account = "B" },
		"a subject less":    func(g *callout.Grant) { g.Publish.Allow = []string{"a.x"} },
		"nothing":           func(g *callout.Grant) { g.Publish.Allow = nil },
		"one more denied":   func(g *callout.Grant) { g.Publish.Deny = []string{"a.b", "a.c"} },
		"another inbox":     func(g *callout.Grant) { g.Inbox = "_INBOX_bob" },
		"fewer responses":   func(g *callout.Grant) { g.Responses.Max = 1 },
		"shorter responses": func(g *callout.Grant) { g.Responses.Within = time.Millisecond },
		"no responses":      func(g *callout.Grant) { g.Responses = callout.Responses{} },
		"a scope":           func(g *callout.Grant) { *g = callout.Grant{Account: "A", Name: "alice", Scoped: true} },
	} {
		changed := grant
		change(&changed)
		if now := changed.Rights(); rights.Within(now) || now.Digest() == rights.Digest() {
			t.Errorf("%s: within, or with the same digest", what)
		}
	}
	wider := grant
	wider.Publish = callout.Subjects{Allow: []string{">"}, Deny: []string{"a.b"}}
	if !rights.Within(wider.Rights()) || wider.Rights().Within(rights) {
		t.Error("more is less")
	}
	scoped := callout.Grant{Account: "A", Name: "alice", Scoped: true, Tags: []string{"team:a"}}
	other := callout.Grant{Account: "A", Name: "alice", Scoped: true, Tags: []string{"team:b"}}
	if !scoped.Rights().Within(scoped.Rights()) || scoped.Rights().Within(other.Rights()) {
		t.Error("tags of a template")
	}
}
