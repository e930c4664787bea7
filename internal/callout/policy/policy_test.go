package policy_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func accounts(t testing.TB) callout.Accounts {
	t.Helper()
	var all callout.Accounts
	for _, name := range []string{"APP", "SCOPED"} {
		identity, err := nkeys.CreateAccount()
		if err != nil {
			t.Fatal(err)
		}
		signer, err := nkeys.CreateAccount()
		if err != nil {
			t.Fatal(err)
		}
		id, err := identity.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, callout.Account{Name: name, ID: id, Signer: signer, Scoped: name == "SCOPED"})
	}
	return all
}

func role(t testing.TB, text string) policy.Role {
	t.Helper()
	var r policy.Role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func TestARoleIsReadAsAUserJWTHasIt(t *testing.T) {
	claims := jwt.Permissions{
		Pub:  jwt.Permission{Allow: jwt.StringList{"a.>", "b"}, Deny: jwt.StringList{"a.c"}},
		Sub:  jwt.Permission{Allow: jwt.StringList{"d.*"}},
		Resp: &jwt.ResponsePermission{MaxMsgs: 3, Expires: 5 * time.Second},
	}
	text, err := json.Marshal(map[string]any{"account": "APP", "permissions": claims, "life": "90m", "tags": []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	got := role(t, string(text))
	want := policy.Role{
		Account: "APP", Life: policy.Duration(90 * time.Minute), Tags: policy.List{"x"},
		Permissions: &policy.Permissions{
			Pub:  policy.Subjects{Allow: policy.List{"a.>", "b"}, Deny: policy.List{"a.c"}},
			Sub:  policy.Subjects{Allow: policy.List{"d.*"}},
			Resp: &policy.Responses{Max: 3, TTL: policy.Duration(5 * time.Second)},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v\nwant\n%+v", got, want)
	}
	if one := role(t, `{"account":"APP","permissions":{"pub":{"allow":"a"}}}`); !reflect.DeepEqual(one.Permissions.Pub.Allow, policy.List{"a"}) {
		t.Errorf("one subject is read as %q", one.Permissions.Pub.Allow)
	}
}

func TestARoleIsReadFromYAMLAlike(t *testing.T) {
	var got policy.Role
	err := got.UnmarshalYAML(func(value any) error {
		*value.(*map[string]any) = map[string]any{
			"account": "APP", "life": "2h", "permissions": map[string]any{"pub": map[string]any{"allow": "a"}, "resp": map[string]any{"ttl": 7}},
		}
		return nil
	})
	want := role(t, `{"account":"APP","life":"2h","permissions":{"pub":{"allow":["a"]},"resp":{"ttl":7}}}`)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	err = got.UnmarshalYAML(func(value any) error {
		*value.(*map[string]any) = map[string]any{"acount": "APP"}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "acount") {
		t.Errorf("an unknown field: %v", err)
	}
}

func TestAListIsReadFromYAMLAlike(t *testing.T) {
	for _, row := range []struct {
		value any
		want  policy.List
	}{{"a", policy.List{"a"}}, {[]string{"a", "b"}, policy.List{"a", "b"}}, {5, nil}} {
		var got policy.List
		err := got.UnmarshalYAML(func(into any) error {
			to, from := reflect.ValueOf(into).Elem(), reflect.ValueOf(row.value)
			if to.Type() != from.Type() {
				return errors.New("another kind")
			}
			to.Set(from)
			return nil
		})
		if !reflect.DeepEqual(got, row.want) || (err == nil) != (row.want != nil) {
			t.Errorf("%v is read as %q, %v", row.value, got, err)
		}
	}
}

func TestWhatARoleDoesNotHaveIsRefused(t *testing.T) {
	for _, text := range []string{
		`{"acount":"APP"}`, `{"account":"APP","permission":{}}`, `{"account":"APP","permissions":{"publish":{}}}`,
		`{"account":"APP","permissions":{"pub":{"alow":["a"]}}}`, `{"account":"APP","permissions":{"resp":{"maximum":1}}}`,
		`{"account":"APP","permissions":{"pub":{"allow":[1]}}}`, `{"account":"APP","permissions":{"pub":{"allow":[null]}}}`,
		`{"account":"APP","permissions":{"pub":{"allow":{}}}}`, `{"account":"APP","permissions":{"pub":"a"}}`,
		`{"account":"APP","life":"soon"}`, `{"account":"APP","life":-1}`, `{"account":"APP","life":1.5}`, `{"account":"APP","life":true}`,
		`{"account":"APP","life":"-1h"}`, `{"account":5}`, `[]`,
	} {
		var r policy.Role
		if err := json.Unmarshal([]byte(text), &r); err == nil {
			t.Errorf("%s is read as %+v", text, r)
		}
	}
}

func TestARoleIsCheckedBeforeAnybodyHasIt(t *testing.T) {
	all := accounts(t)
	for text, want := range map[string]string{
		`{"account":"APP"}`: "",
		`{"account":"APP","inbox":"shared","life":"720h","tags":["a:{{claim(x)}}","b"]}`:                                           "",
		`{"account":"SCOPED","tags":["team:{{name()}}"]}`:                                                                          "",
		`{"account":"APP","permissions":{"pub":{"allow":["a.{{name()}}.>","{{ claim(https://example.org/team) }}.*"]},"resp":{}}}`: "",
		`{"account":"APP","permissions":{}}`:                                                                                       "",
		`{}`:                                                                                                                       "account: it is missing",
		`{"account":"NONE"}`:                                                                                                       `"NONE"`,
		`{"account":"APP","inbox":"mine"}`:                                                                                         "inbox",
		`{"account":"APP","life":"10ms"}`:                                                                                          "life",
		`{"account":"APP","life":3600}`:                                                                                            "life", // nanoseconds
		`{"account":"APP","life":"721h"}`:                                                                                          "life",
		`{"account":"SCOPED","permissions":{}}`:                                                                                    "scope",
		`{"account":"SCOPED","inbox":"shared"}`:                                                                                    "scope",
		`{"account":"APP","tags":["Team"]}`:                                                                                        "lower case",
		`{"account":"APP","tags":[""]}`:                                                                                            "line of text",
		`{"account":"APP","tags":[" a"]}`:                                                                                          "spaces",
		`{"account":"APP","tags":["{{name()}}"]}`:                                                                                  "colon",
		`{"account":"APP","tags":["{{name()}}:x"]}`:                                                                                "colon",
		`{"account":"APP","tags":["a:{{tag(x)}}"]}`:                                                                                "braces",
		`{"account":"APP","permissions":{"pub":{"allow":[""]}}}`:                                                                   "pub.allow",
		`{"account":"APP","permissions":{"pub":{"deny":["a..b"]}}}`:                                                                "pub.deny",
		`{"account":"APP","permissions":{"sub":{"allow":["a.>.b"]}}}`:                                                              "sub.allow",
		`{"account":"APP","permissions":{"sub":{"deny":["a queue"]}}}`:                                                             "sub.deny",
		`{"account":"APP","permissions":{"sub":{"allow":["{{name}}"]}}}`:                                                           "braces",
		`{"account":"APP","permissions":{"sub":{"allow":["{{name(x)}}"]}}}`:                                                        "braces",
		`{"account":"APP","permissions":{"sub":{"allow":["{{claim()}}"]}}}`:                                                        "braces",
		`{"account":"APP","permissions":{"sub":{"allow":["{{subject()}}"]}}}`:                                                      "braces",
		`{"account":"APP","permissions":{"sub":{"allow":["{{name()}}*"]}}}`:                                                        "sub.allow",
		`{"account":"APP","permissions":{"resp":{"max":-1}}}`:                                                                      "resp.max",
		`{"account":"APP","permissions":{"resp":{"max":10001}}}`:                                                                   "resp.max",
		`{"account":"APP","permissions":{"resp":{"max":1,"ttl":"61m"}}}`:                                                           "resp.ttl",
		`{"account":"APP","permissions":{"pub":{"allow":["` + strings.Repeat("a", 256) + `"]}}}`:                                   "too long",
		`{"account":"APP","tags":[` + strings.Repeat(`"a",`, 64) + `"a"]}`:                                                         "tags",
		`{"account":"APP","permissions":{"pub":{"deny":[` + strings.Repeat(`"a",`, 1000) + `"a"]}}}`:                               "pub.deny",
	} {
		err := role(t, text).Check(all)
		switch {
		case want == "" && err != nil:
			t.Errorf("%.80s: %v", text, err)
		case want != "" && (!fault.Is(err, fault.Malformed) || !strings.Contains(err.Error(), want)):
			t.Errorf("%.80s: %v, want something of %s", text, err, want)
		}
	}
}

func TestARoleGivesAPersonExactlyThis(t *testing.T) {
	all := accounts(t)
	ada := policy.Person{Name: "ada", Rule: "line 3", Claims: map[string]string{"team": "blue"}}
	plain := func(change func(*callout.Grant)) *callout.Grant {
		g := &callout.Grant{
			Account: all[0].ID, Signer: all[0].Signer, Name: "ada", Rule: "line 3", Expires: now.Add(time.Hour), Inbox: "_INBOX_ada",
		}
		change(g)
		return g
	}
	for text, want := range map[string]*callout.Grant{
		`{"account":"APP","permissions":{}}`: plain(func(*callout.Grant) {}),
		`{"account":"APP"}`: plain(func(g *callout.Grant) {
			g.Publish.Allow, g.Subscribe.Allow = []string{">"}, []string{">"}
		}),
		`{"account":"APP","inbox":"shared","life":"5m","tags":["team:{{claim(team)}}","x"],"permissions":{}}`: plain(func(g *callout.Grant) {
			g.Inbox, g.SharedInbox, g.Expires, g.Tags = "", true, now.Add(5*time.Minute), []string{"team:blue", "x"}
		}),
		`{"account":"APP","permissions":{"pub":{"allow":["p.{{name()}}.>"],"deny":["p.{{name()}}.x"]},"sub":{"allow":["{{claim(team)}}.*"],"deny":["q"]},"resp":{"max":1}}}`: plain(func(g *callout.Grant) {
			g.Publish = callout.Subjects{Allow: []string{"p.ada.>"}, Deny: []string{"p.ada.x"}}
			g.Subscribe = callout.Subjects{Allow: []string{"blue.*"}, Deny: []string{"q"}}
			g.Responses = callout.Responses{Max: 1, Within: 2 * time.Minute} // as NATS has it
		}),
		`{"account":"APP","permissions":{"resp":{"max":7,"ttl":1000000000}}}`: plain(func(g *callout.Grant) {
			g.Responses = callout.Responses{Max: 7, Within: time.Second}
		}),
		`{"account":"SCOPED","tags":["team:{{claim(team)}}"]}`: {
			Account: all[1].ID, Signer: all[1].Signer, Scoped: true, Name: "ada", Rule: "line 3", Expires: now.Add(time.Hour), Tags: []string{"team:blue"},
		},
	} {
		r := role(t, text)
		if err := r.Check(all); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		got, err := r.Grant(all, ada, now)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n%+v\nwant\n%+v", text, err, got, want)
		}
	}
}

func TestAPersonWhoDoesNotFitARoleIsRefused(t *testing.T) {
	all := accounts(t)
	named := `{"account":"APP","permissions":{"pub":{"allow":["p.{{name()}}"]}}}`
	leading := `{"account":"APP","permissions":{"pub":{"allow":["{{name()}}.>"]}}}`
	tagged := `{"account":"APP","permissions":{},"tags":["team:{{claim(team)}}"]}`
	for what, row := range map[string]struct {
		role   string
		person policy.Person
	}{
		"no name":                 {`{"account":"APP"}`, policy.Person{}},
		"a name of two lines":     {`{"account":"APP"}`, policy.Person{Name: "a\nb"}},
		"a name that is long":     {`{"account":"APP"}`, policy.Person{Name: strings.Repeat("x", 300)}},
		"a wildcard":              {named, policy.Person{Name: "*"}},
		"two tokens":              {named, policy.Person{Name: "a.b"}},
		"the subjects of NATS":    {leading, policy.Person{Name: "$JS"}},
		"another's inbox":         {leading, policy.Person{Name: "_INBOX_bob"}},
		"a claim that is not":     {tagged, policy.Person{Name: "ada"}},
		"a tag in capitals":       {tagged, policy.Person{Name: "ada", Claims: map[string]string{"team": "Blue"}}},
		"a tag of another name":   {tagged, policy.Person{Name: "ada", Claims: map[string]string{"team": "blue:x"}}},
		"a scope, two tokens":     {`{"account":"SCOPED"}`, policy.Person{Name: "a.b"}},
		"a scope, NATS's own":     {`{"account":"SCOPED"}`, policy.Person{Name: "$SYS"}},
		"a scope, a placeholder":  {`{"account":"SCOPED"}`, policy.Person{Name: "{{tag(x)}}"}},
		"a subject that is long":  {`{"account":"APP","permissions":{"pub":{"allow":["` + strings.Repeat("p", 200) + `.{{name()}}"]}}}`, policy.Person{Name: strings.Repeat("x", 100)}},
		"a deny that is no token": {`{"account":"APP","permissions":{"pub":{"deny":["p.{{name()}}"]}}}`, policy.Person{Name: "a.b"}},
	} {
		r := role(t, row.role)
		if err := r.Check(all); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if grant, err := r.Grant(all, row.person, now); !fault.Is(err, fault.Refused) {
			t.Errorf("%s: %+v, %v, want it refused", what, grant, err)
		}
	}
	if _, err := role(t, named).Grant(all, policy.Person{Name: "$JS"}, now); err != nil {
		t.Errorf("a name that is strange and does no harm: %v", err)
	}
}

func TestWhatARolesAuthorMayNotExpectIsPointedOut(t *testing.T) {
	for text, want := range map[string]int{
		`{"account":"APP"}`: 0, `{"account":"APP","permissions":{}}`: 0,
		`{"account":"APP","permissions":{"pub":{"deny":["a"]}}}`:                          1,
		`{"account":"APP","permissions":{"pub":{"deny":["a"]},"sub":{"deny":"b"}}}`:       2,
		`{"account":"APP","permissions":{"pub":{"allow":["c"],"deny":["a"]},"sub":{}}}`:   0,
		`{"account":"APP","permissions":{"pub":{"allow":[">"]},"sub":{"allow":["a.>"]}}}`: 0,
		`{"account":"APP","permissions":{"sub":{"allow":["a",">"]}}}`:                     1, // inboxes among it
		`{"account":"APP","permissions":{"sub":{"allow":["*.x"]}}}`:                       1,
	} {
		if got := role(t, text).Warnings("ada"); len(got) != want {
			t.Errorf("%s: %q, want %d", text, got, want)
		}
	}
}
