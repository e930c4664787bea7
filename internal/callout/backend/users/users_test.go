package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/callout/backend/users"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bearer has the form of a JWT.
const bearer = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2ln"

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, content string, accounts callout.Accounts, roles map[string]policy.Role) *users.Backend {
	t.Helper()
	b, _, err := users.Load(write(t, content), accounts, roles)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func login(user, password string) callout.Request {
	return callout.Request{User: user, Password: callout.Secret(password)}
}

func own(account string) policy.Role {
	mine := policy.List{"people.{{name()}}.>"}
	return policy.Role{Account: account, Permissions: &policy.Permissions{
		Pub: policy.Subjects{Allow: mine}, Sub: policy.Subjects{Allow: mine}, Resp: &policy.Responses{},
	}}
}

// file is a users file in which everything is that may be, and all people with hostile names
// that it takes.
func file(t *testing.T, accounts callout.Accounts, roles map[string]policy.Role) string {
	t.Helper()
	hash := users.Cheap("right horse")
	all := map[string]any{
		"alice": map[string]any{"pass": hash, "role": "own"},
		"bob":   map[string]any{"pass": "battery staple", "account": "APP2", "permissions": own("APP2").Permissions, "life": "5m", "tags": "x"},
		"carol": map[string]any{"pass": hash, "role": "scoped"},
		"dan":   map[string]any{"pass": hash, "account": "APP1", "inbox": "shared"},
	}
	taken := 0
	for _, word := range backendtest.HostileWords("alice", "bob", "carol", "dan") {
		for _, role := range []string{"own", "scoped", "plain"} {
			one, err := json.Marshal(map[string]any{word: map[string]any{"pass": hash, "role": role}})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := users.Parse("x", one, accounts, roles); err == nil && all[word] == nil {
				all[word] = map[string]any{"pass": hash, "role": role}
				taken++
			}
		}
	}
	if taken == 0 {
		t.Fatal("no hostile name is taken, which proves less")
	}
	content, err := json.Marshal(map[string]any{"users": all})
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestConformance(t *testing.T) {
	accounts := backendtest.Accounts(t, "APP1", "APP2", "SCOPED")
	accounts[2].Scoped = true
	scope := jwt.NewUserScope()
	scope.Key = natstest.PublicKey(t, accounts[2].Signer)
	scope.Template.Permissions.Pub.Allow.Add("scoped.{{name()}}.>")
	scope.Template.Permissions.Sub.Allow.Add("_INBOX_{{name()}}.>")
	roles := map[string]policy.Role{
		"own": own("APP1"), "scoped": {Account: "SCOPED"}, "plain": {Account: "APP1", Permissions: &policy.Permissions{}},
	}
	query := func(name string) *callout.Query { return &callout.Query{User: name} }
	backendtest.Run(t, backendtest.Subject{
		Backend:  load(t, file(t, accounts, roles), accounts, roles),
		Accounts: accounts,
		Scopes:   []*jwt.UserScope{scope},
		Good: []backendtest.Login{
			{Name: "alice", Request: login("alice", "right horse"), Query: query("alice")},
			{Name: "bob", Request: login("bob", "battery staple"), Query: query("bob")},
			{Name: "carol", Request: login("carol", "right horse"), Query: query("carol")},
			{Name: "dan", Request: login("dan", "right horse"), Query: query("dan")},
		},
		Wrong: []backendtest.Login{
			{Name: "a wrong password", Request: login("alice", "wrong horse")},
			{Name: "another's password", Request: login("alice", "battery staple")},
			{Name: "a wrong plain password", Request: login("bob", "wrong horse")},
			{Name: "nobody", Request: login("mallory", "right horse")},
			{Name: "nobody, in other letters", Request: login("aLICE", "right horse")},
			{Name: "a hash", Request: login("alice", users.Cheap("right horse"))},
			{Name: "a password that is long", Request: login("alice", strings.Repeat("x", 5000))},
		},
		Foreign: []backendtest.Login{
			{Name: "a token", Request: callout.Request{Token: bearer}},
			{Name: "a token beside a password", Request: callout.Request{User: "alice", Password: "right horse", Token: bearer}},
			{Name: "a bearer token as password", Request: login("alice", bearer)},
			{Name: "a device", Request: callout.Request{User: "rooms U", Nonce: "n", Signature: "s"}},
			{Name: "a name alone", Request: login("alice", "")},
			{Name: "a password alone", Request: login("", "right horse")},
			{Name: "a certificate", Request: callout.Request{TLS: callout.TLS{Chains: [][]string{{"x"}}}}},
		},
		Hostile: func(_ *testing.T, word string) *callout.Request {
			request := login(word, "right horse")
			return &request
		},
		Private: backendtest.Private{
			Publish:   []string{"people.alice.x", "people.bob.x", "scoped.carol.x"},
			Subscribe: []string{"people.alice.x", "people.bob.x", "_INBOX_alice.x", "_INBOX_bob.x", "_INBOX_carol.x"},
		},
	})
}

// TestEveryLoginCostsTheSame: nobody learns from the time of a login whether there is such a
// user, nor what is known of one.
func TestEveryLoginCostsTheSame(t *testing.T) {
	accounts := backendtest.Accounts(t, "A")
	for what, row := range map[string]struct {
		content string
		want    string
	}{
		"hashes":           {`{"ada": {"pass": "` + users.Cheap("x") + `", "account": "A"}, "bob": {"pass": "` + users.Cheap("y") + `", "account": "A"}}`, "m=8,t=1,p=1"},
		"a plain one too":  {`{"ada": {"pass": "` + users.Cheap("x") + `", "account": "A"}, "bob": {"pass": "y", "account": "A"}}`, "m=8,t=1,p=1"},
		"plain ones alone": {`{"ada": {"pass": "x", "account": "A"}, "bob": {"pass": "y", "account": "A"}}`, ""},
	} {
		b := load(t, row.content, accounts, nil)
		made := users.Hashing(b, func() {})
		for who, request := range map[string]callout.Request{
			"right": login("ada", "x"), "right, another": login("bob", "y"), "wrong": login("ada", "y"), "nobody": login("eve", "x"),
		} {
			_, err := b.Authorize(natstest.Within(t), &request)
			if right := strings.HasPrefix(who, "right"); right != (err == nil) {
				t.Errorf("%s, %s: %v", what, who, err)
			}
			if got := made(); got != row.want {
				t.Errorf("%s, %s: hashes %q, want %q", what, who, got, row.want)
			}
		}
	}
	mixed := load(t, `{"ada": {"pass": "`+users.Cheap("x")+`", "account": "A"}, "bob": {"pass": "`+users.Costing(16, 2, "y")+`", "account": "A"}}`, accounts, nil)
	made := users.Hashing(mixed, func() {})
	for _, request := range []callout.Request{login("ada", "x"), login("bob", "y"), login("ada", "y"), login("eve", "x")} {
		_, _ = mixed.Authorize(natstest.Within(t), &request)
		if got := made(); !strings.Contains(got, "m=8,t=1,p=1") || !strings.Contains(got, "m=16,t=2,p=1") || strings.Count(got, "m=") != 2 {
			t.Errorf("%s: hashes %q, want one of each cost", request.User, got)
		}
	}
}

// watched is a context that tells when somebody waits for its end.
type watched struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func (w *watched) Done() <-chan struct{} {
	w.once.Do(func() { close(w.waits) })
	return w.Context.Done()
}

// TestHashesRunAtATimeAsThereAreCPUs: and who waits for a place waits no longer than its
// server.
func TestHashesRunAtATimeAsThereAreCPUs(t *testing.T) {
	b := load(t, `{"ada": {"pass": "`+users.Cheap("x")+`", "account": "A"}}`, backendtest.Accounts(t, "A"), nil)
	release := make(chan struct{})
	var running, most atomic.Int32
	users.Hashing(b, func() {
		now := running.Add(1)
		for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
		}
		<-release
		running.Add(-1)
	})
	places := users.Places(b)
	var wait sync.WaitGroup
	for range places + 3 {
		wait.Go(func() {
			request := login("ada", "x")
			if _, err := b.Authorize(natstest.Within(t), &request); err != nil {
				t.Error(err)
			}
		})
	}
	natstest.Eventually(t, "all places are taken", func() bool { return int(running.Load()) == places })
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan struct{})
	impatient := make(chan error, 1)
	go func() {
		request := login("ada", "x")
		_, err := b.Authorize(&watched{Context: ctx, waits: waits}, &request)
		impatient <- err
	}()
	<-waits
	cancel()
	select {
	case err := <-impatient:
		if !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Unavailable) || errors.Is(err, callout.ErrWrong) {
			t.Errorf("who stopped waiting is refused with %v", err)
		}
	case <-natstest.Within(t).Done():
		t.Fatal("who stopped waiting waits on")
	}
	close(release)
	wait.Wait()
	if int(most.Load()) > places {
		t.Errorf("%d hashes at a time, with %d places", most.Load(), places)
	}
}

func TestHashesOfMuchMemoryRunOneAfterTheOther(t *testing.T) {
	hash := strings.Replace(users.OfDefaultCost(), "m=65536", "m=262144", 1)
	if b := load(t, `{"ada": {"pass": "`+hash+`", "account": "A"}}`, backendtest.Accounts(t, "A"), nil); users.Places(b) > 4 {
		t.Errorf("%d hashes of 256 MiB at a time", users.Places(b))
	}
}

// TestTheUsersFileOfAHandMadeCallout: the file of reference system 5 as it is, with a real
// system around it.
func TestTheUsersFileOfAHandMadeCallout(t *testing.T) {
	company := natstest.StartCompany(t, natstest.CompanyOptions{})
	accounts := callout.Accounts{
		{Name: "APP1", ID: company.APP1.ID, Signer: company.APP1.Signer}, {Name: "APP2", ID: company.APP2.ID, Signer: company.APP2.Signer},
	}
	b, warnings, err := users.Load(company.Path("users.json"), accounts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(warnings, "\n"); len(warnings) != 2 || !strings.Contains(text, "alice and bob stand in users.json as they are") ||
		!strings.Contains(text, "alice may do everything") || !strings.Contains(text, "keyhall callout passwd") {
		t.Errorf("warnings %q", warnings)
	}
	backendtest.Serve(t, company, b)
	alice := mustEnter(t, company, "alice", "alice")
	bob := mustEnter(t, company, "bob", "bob")
	if _, err := company.Connect(company.Path("sentinel.creds"), nats.UserInfo("bob", "alice")); err == nil {
		t.Error("bob got in with the password of alice")
	}
	if !may(alice.Publish("anything.at.all", nil), alice) {
		t.Errorf("alice: %v", alice.LastError())
	}
	if !may(bob.Publish("bob.x", nil), bob) || may(bob.Publish("bob.secret.x", nil), bob) || may(bob.Publish("anything.at.all", nil), bob) {
		t.Error("bob may not what the file says, or more")
	}
	answers, err := bob.SubscribeSync("requests.bob")
	if err != nil || bob.Flush() != nil {
		t.Fatal(err)
	}
	in, err := company.Connect(company.Path("app2.creds")) // from before there was a callout
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if request, err := answers.NextMsg(natstest.Patience); err == nil {
			_ = request.Respond([]byte("yes"))
		}
	}()
	if answer, err := in.Request("requests.bob", nil, natstest.Patience); err != nil || string(answer.Data) != "yes" {
		t.Errorf("bob answers %v, %v", answer, err)
	}
}

func TestTheFormsOfAFile(t *testing.T) {
	accounts := backendtest.Accounts(t, "APP1", "APP2")
	hash := users.Cheap("x")
	for what, content := range map[string]string{
		"as the public example has it": `{"alice": {"pass": "x", "account": "APP1"}, "bob": {"pass": "x", "account": "APP2",
			"permissions": {"pub": {"allow": ["bob.>"]}, "sub": {"allow": ["bob.>"]}, "resp": {"max": 1}}}}`,
		"under users":            `{"users": {"alice": {"pass": "` + hash + `", "account": "APP1"}}}`,
		"a user called users":    `{"users": {"pass": "x", "account": "APP1"}, "alice": {"pass": "x", "account": "APP1"}}`,
		"only one called users":  `{"users": {"pass": "x", "account": "APP1"}}`,
		"one of users is a pass": `{"users": {"pass": {"pass": "x", "account": "APP1"}, "alice": {"pass": "x", "account": "APP1"}}}`,
		"by the account's key":   `{"alice": {"pass": "x", "account": "` + accounts[0].ID + `"}}`,
	} {
		b := load(t, content, accounts, nil)
		user := "alice"
		if what == "only one called users" {
			user = "users"
		}
		request := login(user, "x")
		grant, err := b.Authorize(natstest.Within(t), &request)
		if err != nil || grant.Account != accounts[0].ID || grant.Name != user || !strings.HasPrefix(grant.Rule, "line 1 of users.json") {
			t.Errorf("%s: %+v, %v", what, grant, err)
		}
	}
	b := load(t, "{\n\n\"alice\": {\"pass\": \"x\",\n\"role\": \"r\"}}", accounts, map[string]policy.Role{"r": {Account: "APP1", Life: policy.Duration(time.Minute)}})
	grant, err := b.Explain(natstest.Within(t), callout.Query{User: "alice"})
	if err != nil || grant.Rule != "line 3 of users.json, role r" || grant.Inbox != "_INBOX_alice" || time.Until(grant.Expires) > time.Minute {
		t.Errorf("%+v, %v", grant, err)
	}
}

func TestAFileThatIsWrongSaysWhere(t *testing.T) {
	accounts := backendtest.Accounts(t, "A", "S")
	accounts[1].Scoped = true
	roles := map[string]policy.Role{"r": own("A"), "broken": {Account: "B"}}
	many := make([]string, 5)
	for i := range many {
		many[i] = fmt.Sprintf(`"u%d": {"pass": %q, "account": "A"}`, i, users.Costing(8, uint32(i+1), "x"))
	}
	for content, want := range map[string]string{
		"":                       "it is not JSON",
		"{":                      "it is not JSON",
		"{\n\"a\": {\n\n,}}":     "line 4",
		"{} {}":                  "it is not JSON",
		"[]":                     "want an object of users",
		"{}":                     "no users",
		`{"users": {}}`:          "no users",
		`{"users": []}`:          "want an object of users",
		"\xff":                   "UTF-8",
		"{\"a\": \n\n 5}":        "line 3: a: want an object, not a number",
		`{"a": {"pass": "x"}}`:   "a: it has neither an account nor a role",
		`{"a": {"account":"A"}}`: "a: pass: it is missing",
		"{\"a\": {\"pass\": \"x\", \"account\": \"A\"},\n\n\"a\": {\"pass\": \"y\", \"account\": \"A\"}}": `line 3: "a" is there twice`,
		`{"a": {"pass": "secret1", "pass": "secret2", "account": "A"}}`:                                   `"pass" is there twice`,
		`{"a": {"pass": "secret1", "PASS": "secret2", "account": "A"}}`:                                   `"PASS" is there twice`,
		`{"a": {"pass": "secret1", "account": "A", "permissions": {"pub": {}, "Pub": {}}}}`:               `"Pub" is there twice`,
		`{"a": {"password": "secret1", "account": "A"}}`:                                                  `unknown field "password"`,
		`{"a": {"pass": "secret1", "account": "A", "permissions": {"publish": {}}}}`:                      `unknown field "publish"`,
		`{"a": {"pass": 12345, "account": "A"}}`:                                                          "pass is a number",
		`{"a": {"pass": ["secret1"], "account": "A"}}`:                                                    "pass is a array",
		`{"a": {"pass": "secret1", "account": "B"}}`:                                                      `none called "B"`,
		`{"a": {"pass": "secret1", "account": "A", "life": "soon"}}`:                                      "no duration",
		`{"a": {"pass": "secret1", "account": "A", "inbox": "mine"}}`:                                     "neither private nor shared",
		`{"a": {"pass": "secret1", "account": "A", "permissions": {"pub": {"allow": "a..b"}}}}`:           `"a..b" is no subject`,
		`{"a": {"pass": "secret1", "account": "A", "permissions": {"pub": {"allow": 5}}}}`:                "a text or a list of texts",
		`{"a": {"pass": "secret1", "account": "A", "permissions": {"resp": {"max": -1}}}}`:                "resp.max",
		`{"a": {"pass": "secret1", "account": "S", "permissions": {}}}`:                                   "scope",
		`{"a": {"pass": "secret1", "role": "none"}}`:                                                      `no role "none"`,
		`{"a": {"pass": "secret1", "role": "broken"}}`:                                                    "role broken: account",
		`{"a": {"pass": "secret1", "role": "r", "account": "A"}}`:                                         "nothing else but pass",
		`{"a.b": {"pass": "secret1", "role": "r"}}`:                                                       "name() cannot stand in a subject",
		`{"a.b": {"pass": "secret1", "account": "S"}}`:                                                    "cannot stand in a subject",
		`{"": {"pass": "secret1", "account": "A"}}`:                                                       "cannot be the name",
		`{"a\nb": {"pass": "secret1", "account": "A"}}`:                                                   "cannot be the name",
		`{" a": {"pass": "secret1", "account": "A"}}`:                                                     "spaces around it",
		`{"a\u202eb": {"pass": "secret1", "account": "A"}}`:                                               "cannot be the name",
		`{"` + strings.Repeat("a", 300) + `": {"pass": "secret1", "account": "A"}}`:                       "cannot be the name",
		`{"a": {"pass": "$2a$11$secret1", "account": "A"}}`:                                               "bcrypt",
		`{"a": {"pass": "$argon2id$secret1", "account": "A"}}`:                                            "want $argon2id",
		`{"a": {"pass": "$argon2i$secret1", "account": "A"}}`:                                             "want $argon2id",
		`{"a": {"pass": "` + bearer + `", "account": "A"}}`:                                               "bearer token",
		`{"a": {"pass": "` + strings.Repeat("x", 1025) + `", "account": "A"}}`:                            "at most 1024 bytes",
		`{"a": {"permissions": ` + strings.Repeat(`{"pub": `, 40) + `{}` + strings.Repeat(`}`, 40) + `}}`: "objects within objects",
		"{" + strings.Join(many, ",") + "}":                                                               "5 different costs",
	} {
		b, _, err := users.Load(write(t, content), accounts, roles)
		if err == nil || b != nil || !strings.Contains(err.Error(), want) || strings.Contains(fmt.Sprintf("%+v", err), "secret") {
			t.Errorf("%.90q: %v, want %s", content, err, want)
		}
		if code := fault.CodeOf(err); code != fault.Malformed && code != fault.TooLarge {
			t.Errorf("%.90q: %s", content, code)
		}
	}
}

func TestAFileThatIsNotPrivateIsNotRead(t *testing.T) {
	accounts := backendtest.Accounts(t, "A")
	path := write(t, `{"ada": {"pass": "x", "account": "A"}}`)
	for mode, want := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o644: false, 0o604: false, 0o660: false, 0o602: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, _, err := users.Load(path, accounts, nil)
		if want != (err == nil) || err != nil && (!fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "chmod 600")) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	for what, path := range map[string]string{"a folder": t.TempDir(), "nothing": filepath.Join(t.TempDir(), "none.json")} {
		if _, _, err := users.Load(path, accounts, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhatAFileIsWarnedOf(t *testing.T) {
	accounts := backendtest.Accounts(t, "A")
	good := users.OfDefaultCost()
	for content, want := range map[string]string{
		`{"a": {"pass": "` + good + `", "account": "A", "permissions": {}}}`:                                                         "",
		`{"a": {"pass": "x", "account": "A", "permissions": {}}}`:                                                                    "the password of a stands in",
		`{"a": {"pass": "` + good + `", "account": "A"}}`:                                                                            "a may do everything",
		`{"a": {"pass": "` + users.Cheap("x") + `", "account": "A", "permissions": {}}}`:                                             "a cheap one",
		`{"a": {"pass": "` + good + `", "account": "A", "permissions": {"sub": {"allow": ">"}}}}`:                                    "everybody's inbox",
		`{"a": {"pass": "` + good + `", "role": "all"}, "b": {"pass": "` + good + `", "role": "all"}}`:                               "role all may subscribe",
		`{"a": {"pass": "` + good + `", "account": "A", "permissions": {"pub": {"deny": ["x"]}}}}`:                                   "publish nothing",
		`{"a": {"pass": "` + good + `", "role": "r"}, "b": {"pass": "` + strings.Replace(good, "t=3", "t=4", 1) + `", "role": "r"}}`: "2 different costs",
	} {
		_, warnings, err := users.Load(write(t, content), accounts, map[string]policy.Role{
			"r": own("A"), "all": {Account: "A", Permissions: &policy.Permissions{Sub: policy.Subjects{Allow: policy.List{">"}}}},
		})
		if err != nil || len(warnings) > 1 || want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], want)) || want == "" && len(warnings) > 0 {
			t.Errorf("%.90q: %q, %v, want %s", content, warnings, err, want)
		}
	}
}
