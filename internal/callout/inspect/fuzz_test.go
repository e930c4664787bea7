package inspect

import (
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// FuzzReadAnswer: whatever servers answer, in JSON or not, a report comes of it or an error.
func FuzzReadAnswer(f *testing.F) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		f.Fatal(err)
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		f.Fatal(err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		f.Fatal(err)
	}
	claims := jwt.NewUserClaims(key)
	claims.Name = "joe"
	claims.Sub.Allow.Add("_INBOX_joe.>")
	token, err := claims.Encode(account)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"server":{"id":"S","name":"one"},"data":{"total":1,"offset":0,"connections":[{"cid":7,"kind":"Client","account":"A","jwt":"` + token + `","subscriptions_list":["_INBOX_joe.>"]}]}}`))
	f.Add([]byte(`{"server":{"id":"S"},"data":{"total":2,"connections":[{"kind":"Leafnode"},{"authorized_user":"x","subscriptions_list":["_INBOX.>","_INBOX",""]}]}}`))
	f.Add([]byte(`{"server":{"id":"S"},"error":{"description":"no"}}`))
	f.Add([]byte(`{"server":{"id":"S"},"data":{"total":-1}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readAnswer(data)
		if err != nil {
			return
		}
		c := census{users: make(map[string]*user)}
		for _, one := range a.Data.Connections {
			c.add(one, nil)
			c.add(one, &Login{Account: one.Account, Scoped: one.ID%2 == 0})
		}
		for _, found := range findings(c.finish()) {
			if found.Remedy == "" || found.Detail == "" {
				t.Errorf("%+v", found)
			}
		}
		c.unseen()
	})
}

// FuzzReadUser: whatever stands in a JWT, its rights are those that the server's matcher
// gives, and never more than it takes.
func FuzzReadUser(f *testing.F) {
	f.Add("x.eyJzdWIiOiJVIiwibmFtZSI6ImpvZSIsIm5hdHMiOnsicHViIjp7ImFsbG93IjpbIj4iXX19fQ.y", "_INBOX_a.>", "{{name()}}.{{tag(x)}}.>")
	f.Add("x.e30.y", "_INBOX_a.*", "{{subject()}}")
	f.Add("..", "a", "{{account-tag(x)}}.{{account-name()}}.{{account-subject()}}")
	f.Add("x", "", "{{nothing()}}")
	f.Fuzz(func(t *testing.T, token, inbox, template string) {
		claims, err := readUser(token)
		if err != nil {
			claims = jwt.NewUserClaims("U")
			claims.Tags = jwt.TagList{"x:a", "x:b"}
		}
		fill := filler{claims, jwt.NewAccountClaims("A")}
		filled, err := fill.permissions(jwt.Permissions{Sub: jwt.Permission{Allow: jwt.StringList{template}}})
		if err == nil && len(filled.Sub.Allow) == 0 && !strings.Contains(strings.Join(filled.Sub.Deny, " "), ">") {
			t.Errorf("%q became everything", template)
		}
		if !isPattern(inbox) {
			return
		}
		for _, p := range []jwt.Permission{claims.Sub, filled.Sub} {
			if subject, found := newSubscribe(p).within(inbox); found && !server.SubjectMatchesFilter(subject, inbox) {
				t.Errorf("%q is not within %q", subject, inbox)
			}
		}
	})
}
