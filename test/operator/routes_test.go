package operator_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/hubtest"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

// routes pushes account JWTs of the operator's own making: who hears whom is as they say.
type routes struct {
	t   *testing.T
	s   *stage
	sys *nats.Conn
	l   *Liar
}

// of is what an account's JWT says now.
func (r *routes) of(account string) *jwt.AccountClaims {
	r.t.Helper()
	msg, err := r.sys.Request("$SYS.REQ.ACCOUNT."+account+".CLAIMS.LOOKUP", nil, hubtest.Patience)
	must(r.t, err)
	claims, err := jwt.DecodeAccountClaims(string(msg.Data))
	must(r.t, err)
	return claims
}

// push pushes claims. Two JWTs of one account in one second count as one.
func (r *routes) push(claims *jwt.AccountClaims) {
	r.t.Helper()
	for claims.IssuedAt >= time.Now().Unix() {
		time.Sleep(20 * time.Millisecond)
	}
	token, err := claims.Encode(r.l.keys.OperatorSigner)
	must(r.t, err)
	msg, err := r.sys.Request("$SYS.REQ.CLAIMS.UPDATE", []byte(token), hubtest.Patience)
	must(r.t, err)
	var reply struct {
		Error any `json:"error"`
	}
	must(r.t, json.Unmarshal(msg.Data, &reply))
	if reply.Error != nil {
		r.t.Fatalf("push: %s", msg.Data)
	}
}

// newRoutes connects as the hub's own account signer does.
func newRoutes(t *testing.T, s *stage) *routes {
	t.Helper()
	r := &routes{t: t, s: s, l: newLiar(t, s.Hall)}
	var err error
	r.sys, err = nats.Connect(s.NATS(), append(r.l.keys.SystemUser.Options(), nats.Timeout(hubtest.Patience))...)
	must(t, err)
	t.Cleanup(r.sys.Close)
	return r
}

// anotherWay has the hub lead catalogs elsewhere: a friend's account hears alice's readers in
// her place, and asks her in theirs.
func anotherWay(t *testing.T, s *stage) {
	t.Helper()
	r := newRoutes(t, s)
	alice, bob, mallory := s.account("alice"), s.account("bob"), s.account("mallory")
	liar := newLiar(t, s.Hall)
	home := s.home(t, "bob", liar.Origin)
	s.mustRun(home, "ls", "alice/films")

	friend := seedsOf(t, s.people["mallory"].Profile.Dir())
	nc, err := nats.Connect(s.NATS(), nats.UserJWTAndSeed(s.people["mallory"].Profile.Settings.Token, string(friend.device.Seed())),
		nats.CustomInboxPrefix(trust.InboxPrefix(friend.device.Public())), nats.Timeout(hubtest.Patience))
	must(t, err)
	t.Cleanup(nc.Close)
	var asked [][]byte
	_, err = nc.Subscribe("catalog.>", func(msg *nats.Msg) {
		asked = append(asked, msg.Data)
		open, err := event.Decode(msg.Data)
		if err != nil {
			return
		}
		answer := &event.Event{
			Author: friend.identity.Public(), Type: "transfer.answer", Subject: open.Subject, Audience: open.Author.Text(trust.Account),
			Head: open.Head, Body: []byte("{}"),
		}
		if answer.Sign(friend.device) == nil {
			hash := open.SignedHash()
			box, _ := trust.Box(friend.person.String(), "answer", hash[:], answer.Encode()) // whose key was asked for, alice alone can read
			_ = msg.Respond(seal.AppendAnswerMessage(nil, box))
		}
	})
	must(t, err)
	must(t, nc.FlushTimeout(hubtest.Patience))

	// bob's way to alice leads to the friend
	claims := r.of(bob)
	for _, one := range claims.Imports {
		if one.Account == alice {
			one.Account = mallory
		}
	}
	r.push(claims)
	hubtest.Eventually(t, "bob is heard by the friend", func() bool {
		got := s.run(t, home, "ls", "alice/films")
		if got.status == 0 {
			t.Fatalf("bob believes the friend: %+v", got)
		}
		return matchesText(`^keyhall: the answer for "alice/films": `, got.err)
	})
	if len(asked) == 0 {
		t.Error("the friend heard nothing")
	}
	for i, one := range claims.Imports {
		if one.Account == mallory {
			claims.Imports[i].Account = alice
		}
	}
	r.push(claims)
	hubtest.Eventually(t, "bob reads again when the hub is honest", func() bool {
		return s.run(t, home, "ls", "alice/films").status == 0
	})

	// the friend gets a way to alice
	claims = r.of(mallory)
	claims.Imports = append(claims.Imports, &jwt.Import{
		Name: "films", Account: alice, Type: jwt.Service,
		Subject: jwt.Subject("catalog." + mallory + "." + s.films + ".>"), LocalSubject: jwt.RenamingSubject("from." + alice + "." + s.films + ".>"),
	})
	r.push(claims)
	from := "from." + alice + "." + s.films + ".open"
	var answer *nats.Msg
	hubtest.Eventually(t, "alice hears the friend", func() bool {
		answer, err = nc.Request(from, asked[0], hubtest.Patience)
		return err == nil
	})
	if _, reason, err := seal.ParseAnswerMessage(answer.Data); err != nil || reason == nil || reason.Code != seal.CodeRefused {
		t.Errorf("bob's own open, from the friend: %v, %q", err, answer.Data)
	}
	profile, err := client.OpenProfile(s.people["mallory"].Profile.Dir())
	must(t, err)
	c, err := client.Connect(hubtest.Context(t), profile)
	must(t, err)
	defer c.Close()
	if _, err := c.List(hubtest.Context(t), "alice/films"); err == nil || !strings.Contains(err.Error(), "nobody shares alice/films with you") {
		t.Errorf("the friend reads: %v", err)
	}
}
