package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/policy"
)

// words are what hostile people are called, and ordinary ones.
func words() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[a-zA-Z0-9_-]{1,8}`),
		rapid.StringMatching(`[ab.*>$_{} \t\r\n:]{0,5}`),
		rapid.SampledFrom([]string{"*", ">", ".", "a.b", "a.>", "$SYS", "$JS.API", "_INBOX", "_INBOX.x", "{{name()}}", "{{tag(x)}}", "ADA", "ada", "a\u00a0b", "\xff"}),
	)
}

// patterns are subjects of a role with a placeholder.
func patterns() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		tokens := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", "$JS", "{{name()}}", "{{ claim(x) }}", "p-{{name()}}", "{{claim(x)}}-q"}), 1, 5).Draw(t, "tokens")
		if rapid.Bool().Draw(t, "rest") {
			tokens = append(tokens, ">")
		}
		return strings.Join(tokens, ".")
	})
}

// TestNoWordWidensASubject asks the server's own matcher: whatever a filled subject matches
// has the person's own word where the placeholder was, and nothing of NATS's own in front.
func TestNoWordWidensASubject(t *testing.T) {
	filledIn := 0
	rapid.Check(t, func(t *rapid.T) {
		pattern := patterns().Draw(t, "pattern")
		person := policy.Person{Name: words().Draw(t, "name"), Claims: map[string]string{"x": words().Draw(t, "claim")}}
		filled, err := policy.Fill(pattern, person)
		if err != nil {
			return
		}
		filledIn++
		if !server.IsValidSubject(filled) {
			t.Fatalf("%q is %q, which is no subject", pattern, filled)
		}
		mine := strings.NewReplacer("{{name()}}", person.Name, "{{ claim(x) }}", person.Claims["x"], "{{claim(x)}}", person.Claims["x"])
		wild := strings.Split(pattern, ".")
		for i, token := range wild {
			if strings.Contains(token, "{{") {
				wild[i] = "*"
			}
		}
		// As wide as its own wildcards, in the place of the placeholder nothing but the word.
		if !server.SubjectMatchesFilter(filled, strings.Join(wild, ".")) {
			t.Fatalf("%q is %q, and more than %q", pattern, filled, strings.Join(wild, "."))
		}
		for i, token := range strings.Split(pattern, ".") {
			if !strings.Contains(token, "{{") {
				continue
			}
			for _, other := range []string{mine.Replace(token) + "x", strings.ToUpper(mine.Replace(token)) + "Y", "other", "$JS", "_INBOX_bob"} {
				probe := append([]string(nil), wild...)
				for j := range probe {
					if probe[j] == "*" {
						probe[j] = "any"
					}
				}
				probe[i] = other
				subject := strings.ReplaceAll(strings.Join(probe, "."), ">", "rest")
				if mine.Replace(token) != other && server.SubjectsCollide(subject, filled) {
					t.Fatalf("%q is %q, which is %q too", pattern, filled, subject)
				}
			}
		}
		if first := strings.Split(filled, ".")[0]; strings.HasPrefix(pattern, "{{") && strings.IndexAny(first, "$_") == 0 {
			t.Fatalf("%q is %q, NATS's own", pattern, filled)
		}
	})
	if filledIn == 0 {
		t.Error("no word was good enough to be tried")
	}
}

// TestNoWordChangesATag: two people who differ never have one tag, in lower case either.
func TestNoWordChangesATag(t *testing.T) {
	all := accounts(t)
	r := role(t, `{"account":"SCOPED","tags":["team:{{claim(x)}}"]}`)
	rapid.Check(t, func(t *rapid.T) {
		word := words().Draw(t, "word")
		grant, err := r.Grant(all, policy.Person{Name: "ada", Claims: map[string]string{"x": word}}, now)
		if err != nil {
			return
		}
		if tag := grant.Tags[0]; tag != "team:"+word || strings.ToLower(tag) != tag || strings.Count(tag, ":") != 1 {
			t.Fatalf("the tag of %q is %q", word, tag)
		}
	})
}

// TestInboxesAreEachPersonsOwn: a single token, and no two names have one.
func TestInboxesAreEachPersonsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, other := words().Draw(t, "one"), words().Draw(t, "other")
		// Somebody may choose to be called as another's inbox.
		for _, other := range []string{other, strings.TrimPrefix(policy.InboxPrefix(one), "_INBOX_"), policy.InboxPrefix(one)} {
			a, b := policy.InboxPrefix(one), policy.InboxPrefix(other)
			if a == b && one != other {
				t.Fatalf("%q and %q have the inbox %s", one, other, a)
			}
			if err := callout.CheckToken(b); err != nil || !strings.HasPrefix(b, "_INBOX_") || len(b) > 7+64 {
				t.Fatalf("the inbox of %q is %q", other, b)
			}
		}
	})
	for name, want := range map[string]string{
		"ada": "_INBOX_ada", "Ada_L-1": "_INBOX_Ada_L-1", "ada@example.org": "_INBOX_x", "": "_INBOX_x",
		strings.Repeat("a", 65): "_INBOX_x", "x" + strings.Repeat("0", 32): "_INBOX_x",
	} {
		if got := policy.InboxPrefix(name); got != want && (want != "_INBOX_x" || !strings.HasPrefix(got, want) || len(got) != len(want)+32) {
			t.Errorf("%q has %s, want %s", name, got, want)
		}
	}
}

func FuzzRole(f *testing.F) {
	for _, seed := range []string{
		`{"account":"APP"}`, `{"account":"APP","permissions":{"pub":{"allow":"a.{{name()}}","deny":[]},"sub":{},"resp":{"max":1,"ttl":"5s"}},"life":5,"tags":["a"]}`,
		`{"account":"APP","life":"1h","inbox":"shared"}`, `{"account":"SCOPED","tags":["a:{{claim(x)}}"]}`, `{"tags":[null]}`, `null`, `{`,
	} {
		f.Add([]byte(seed), "ada")
	}
	all := accounts(f)
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		var r policy.Role
		if json.Unmarshal(text, &r) != nil || r.Check(all) != nil {
			return
		}
		grant, err := r.Grant(all, policy.Person{Name: name, Rule: "x"}, now)
		if err != nil {
			return
		}
		for _, list := range [][]string{grant.Publish.Allow, grant.Publish.Deny, grant.Subscribe.Allow, grant.Subscribe.Deny} {
			for _, subject := range list {
				if !server.IsValidSubject(subject) {
					t.Fatalf("%s gives %q", text, subject)
				}
			}
		}
		if !grant.Expires.After(now) {
			t.Fatalf("%s gives a grant until %s", text, grant.Expires)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"1h", "90m", "5", "-5", "-1s", "", "1e9", "9223372036854775808", "999999h", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d policy.Duration
		if d.UnmarshalText([]byte(text)) == nil && d < 0 {
			t.Fatalf("%q is %d", text, d)
		}
	})
}
