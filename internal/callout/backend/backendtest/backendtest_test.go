package backendtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

// toy is a backend in which everybody's password is their name backwards, with a defect.
type toy struct {
	accounts callout.Accounts
	defect   string
}

func (b *toy) Name() string { return "toy" }

func (b *toy) Takes(r *callout.Request) bool {
	switch b.defect {
	case "takes tokens":
		return r.User != "" || r.Token != ""
	case "takes right passwords alone":
		return r.Password.Reveal() == backwards(r.User) && r.User != ""
	}
	return r.User != "" && r.Password != ""
}

func (b *toy) Guessed(r *callout.Request) string { return r.User }

func backwards(name string) string {
	text := []byte(name)
	slices.Reverse(text)
	return "secret " + string(text)
}

func (b *toy) Authorize(_ context.Context, r *callout.Request) (*callout.Grant, error) {
	password := r.Password.Reveal()
	known := r.User != "nobody"
	switch {
	case b.defect == "panics" && strings.Contains(r.User, "\x00"):
		panic(r.User)
	case b.defect == "lets nothing in" && password == "":
		return b.grant("ada")
	case b.defect == "neither" && r.User == "ada":
		return nil, nil
	case b.defect == "tells passwords" && password != backwards(r.User):
		return nil, fault.Wrap(fault.Refused, fmt.Errorf("%w: %s", callout.ErrWrong, password), "wrong")
	case b.defect == "tells names" && !known:
		return nil, callout.Wrong("nobody is called that")
	case b.defect == "is never wrong" && password != backwards(r.User):
		return nil, fault.New(fault.Refused, "wrong")
	case b.defect == "lets everybody in" && known:
	case b.Takes(r) && password == backwards(r.User) && known:
	default:
		return nil, callout.Wrong("wrong")
	}
	if r.User == "gone" {
		return nil, fault.New(fault.Refused, "gone")
	}
	return b.grant(r.User)
}

func (b *toy) grant(name string) (*callout.Grant, error) {
	own := policy.List{"people.{{name()}}.>"}
	role := policy.Role{Account: "A", Permissions: &policy.Permissions{Pub: policy.Subjects{Allow: own}, Sub: policy.Subjects{Allow: own}}}
	person := policy.Person{Name: name, Rule: "everybody"}
	switch b.defect {
	case "widens":
		wide := policy.Subjects{Allow: policy.List{"people." + name + ".>"}}
		role.Permissions = &policy.Permissions{Pub: wide, Sub: wide}
	case "mixes capitals up":
		person.Name = strings.ToLower(name)
	case "gives no rule":
		person.Rule = ""
	}
	grant, err := role.Grant(b.accounts, person, time.Now())
	if err != nil {
		return nil, err
	}
	switch b.defect {
	case "gives no end":
		grant.Expires = time.Time{}
	case "gives another account":
		grant.Account = "B"
	case "gives no subject":
		grant.Publish.Allow = append(grant.Publish.Allow, "a..b")
	case "gives too little":
		grant.Subscribe.Allow = nil
	}
	return grant, nil
}

func (b *toy) Explain(_ context.Context, query callout.Query) (*callout.Grant, error) {
	if query.User != "ada" && query.User != "bob" {
		if b.defect == "explains nobody" {
			return nil, errors.New("what?")
		}
		return nil, fault.New(fault.NotFound, "nobody")
	}
	grant, err := b.grant(query.User)
	if err == nil && b.defect == "explains something else" {
		grant.Publish.Allow = []string{">"}
	}
	return grant, err
}

const defectVariable = "KEYHALL_TEST_DEFECT"

// TestTheSuiteTakesAGoodBackend is the control, and what runs with a defect in a process of
// its own.
func TestTheSuiteTakesAGoodBackend(t *testing.T) {
	b := &toy{accounts: backendtest.Accounts(t, "A"), defect: os.Getenv(defectVariable)}
	login := func(user, password string) callout.Request {
		return callout.Request{User: user, Password: callout.Secret(password)}
	}
	backendtest.Run(t, backendtest.Subject{
		Backend: b, Accounts: b.accounts,
		Good: []backendtest.Login{
			{Name: "ada", Request: login("ada", backwards("ada")), Query: &callout.Query{User: "ada"}},
			{Name: "bob", Request: login("bob", backwards("bob"))},
		},
		Wrong: []backendtest.Login{
			{Name: "a wrong password", Request: login("ada", "secret of mine")}, {Name: "nobody", Request: login("nobody", backwards("nobody"))},
		},
		Refused: []backendtest.Login{{Name: "gone", Request: login("gone", backwards("gone"))}},
		Foreign: []backendtest.Login{{Name: "a token", Request: callout.Request{Token: "x"}}},
		Hostile: func(_ *testing.T, word string) *callout.Request {
			request := login(word, backwards(word))
			return &request
		},
		Private: backendtest.Private{
			Publish: []string{"people.ada.x", "people.bob.x"}, Subscribe: []string{"people.ada.x", "_INBOX_ada.x"},
		},
	})
}

// TestTheSuiteFindsEveryDefect runs the suite on backends that are wrong in one thing each.
func TestTheSuiteFindsEveryDefect(t *testing.T) {
	for defect, row := range map[string]struct{ test, want string }{
		"takes tokens":                {"it_takes", "a token: taken"},
		"takes right passwords alone": {"it_takes", "a wrong password: not taken"},
		"neither":                     {"good_logins", "neither a grant nor an error"},
		"gives no rule":               {"good_logins", `the rule ""`},
		"gives no end":                {"good_logins", "want a time to come"},
		"gives another account":       {"good_logins", "there is no account"},
		"lets everybody in":           {"wrong_proofs", "a wrong password: let in"},
		"tells names":                 {"wrong_proofs", "where another wrong proof is"},
		"is never wrong":              {"wrong_proofs", "want a wrong proof refused"},
		"tells passwords":             {"no_secret", "was told"},
		"panics":                      {"nothing_that_is_sent", "panic:"},
		"lets nothing in":             {"nothing_that_is_sent", "let in with"},
		"explains something else":     {"an_explanation", "it is explained as"},
		"explains nobody":             {"an_explanation", "nobody is explained as"},
		"gives no subject":            {"a_server", "does not take the grant"},
		"gives too little":            {"a_server", "allowed to nobody"},
		"widens":                      {"a_server", `somebody who says "*" may publish to people.ada.x`},
		"mixes capitals up":           {"a_server", `somebody who says "ADA" may`},
	} {
		t.Run(defect, func(t *testing.T) {
			run := exec.Command(os.Args[0], "-test.run=^TestTheSuiteTakesAGoodBackend$/^"+row.test) //nolint:gosec // this test itself
			run.Env = append(os.Environ(), defectVariable+"="+defect)
			output, err := run.CombinedOutput()
			if err == nil || !strings.Contains(string(output), row.want) {
				t.Errorf("%v, want %s of\n%s", err, row.want, output)
			}
		})
	}
}
