// Package backendtest is what every backend of the auth callout has to pass: Run puts one
// through logins that are good, wrong, foreign and hostile, alone and at the same time, and
// has a real NATS server judge what its grants reach.
package backendtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

// Subject is a backend under test, and the logins to try on it. Of Good there have to be
// two people or more, and one in Wrong; the rest may be empty.
type Subject struct {
	Backend  callout.Backend
	Accounts callout.Accounts // the backend's own; every grant has to be in one of them
	// Scopes are the templates of those signing keys that are Scoped.
	Scopes []*jwt.UserScope

	Good    []Login // are let in
	Wrong   []Login // wrong proofs and unknown people: refused with callout.ErrWrong
	Refused []Login // prove who they are and are not let in all the same
	Foreign []Login // are another backend's to decide

	// Hostile is a login that is let in, or would be, of somebody who may choose one word
	// and chose this one: a name, a claim, a list of rooms. Nil where it cannot be said.
	Hostile func(t *testing.T, word string) *callout.Request
	// Private are literal subjects, each of which somebody of Good may use and no hostile
	// login.
	Private Private

	// Secrets are texts that may stand in no error, grant or log, beside the passwords and
	// tokens of the logins.
	Secrets []string
	// Log is what the backend has logged; nil for one that has no logger.
	Log func() string
}

// Login is one login, by what it is called in the test's reports.
type Login struct {
	Name    string
	Request callout.Request
	// Query is how Explain is asked for the same; nil where that cannot be explained.
	Query *callout.Query
}

// Private are subjects of each direction.
type Private struct{ Publish, Subscribe []string }

// Words are what hostile people are called: what would mean more than one token, another's
// subjects, or another line, if it were put into a subject or a log as it is.
var Words = []string{
	"*", ">", "*.>", ".", "..", "a.b", "a.>", ".a", "a.", "a*", ">a", " ", "a b", "\t", "\n", "a\nb", "\r\n", "\x00", "a\x00b",
	"\u2028", "a\u00a0b", "\u200b", "\x7f", "\xff", "{{name()}}", "{{tag(x)}}", "{{claim(sub)}}", "{{", "}}", "$SYS", "_INBOX", "$JS.API.>",
	"", strings.Repeat("x", 300), strings.Repeat("x.", 130) + "x",
}

const (
	together = 4  // goroutines that log in at the same time
	rounds   = 2  // logins of each
	maxWords = 99 // bounds the hostile words, with those made of good names
)

// Run tests a backend.
func Run(t *testing.T, s Subject) {
	t.Helper()
	if len(s.Good) < 2 || len(s.Wrong) < 1 {
		t.Fatal("a conformance test needs two people who are let in, and one login that is wrong")
	}
	if err := s.Accounts.Check(); err != nil {
		t.Fatal(err)
	}
	t.Run("it takes its own logins and no others", s.takes)
	t.Run("good logins get a whole grant", s.lets)
	t.Run("wrong proofs are refused alike", s.refuses)
	t.Run("no secret is told", s.hides)
	t.Run("nothing that is sent ends it", s.stands)
	t.Run("it returns when nobody waits", s.returns)
	t.Run("logins at the same time", s.concurs)
	t.Run("an explanation is what a login gets", s.explains)
	t.Run("a server takes the grants, and no name widens them", s.judged)
}

func (s Subject) all() []Login {
	var all []Login
	for _, list := range [][]Login{s.Good, s.Wrong, s.Refused} {
		all = append(all, list...)
	}
	return all
}

func (s Subject) authorize(t *testing.T, login Login) (*callout.Grant, error) {
	t.Helper()
	request := login.Request
	grant, err := s.Backend.Authorize(natstest.Within(t), &request)
	if err == nil && grant == nil {
		t.Errorf("%s: neither a grant nor an error", login.Name)
		return nil, errors.New("no grant")
	}
	return grant, err
}

// takes holds that a backend chooses its logins by their form: a wrong secret is its own
// as much as a right one, and asking changes nothing.
func (s Subject) takes(t *testing.T) {
	if name := s.Backend.Name(); name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < 'a' || r > 'z' }) {
		t.Errorf("the backend is called %q, want one short word", name)
	}
	for range 2 {
		for _, login := range s.all() {
			request := login.Request
			if !s.Backend.Takes(&request) {
				t.Errorf("%s: not taken", login.Name)
			}
			if !reflect.DeepEqual(request, login.Request) {
				t.Errorf("%s: the request was changed", login.Name)
			}
		}
		for _, login := range append([]Login{{Name: "a login of nothing"}}, s.Foreign...) {
			request := login.Request
			if s.Backend.Takes(&request) {
				t.Errorf("%s: taken", login.Name)
			}
		}
	}
}

func (s Subject) lets(t *testing.T) {
	for _, login := range s.Good {
		grant, err := s.authorize(t, login)
		if err != nil {
			t.Errorf("%s: %v", login.Name, err)
			continue
		}
		s.checkGrant(t, login.Name, grant)
	}
	for _, login := range s.Refused {
		grant, err := s.authorize(t, login)
		if grant != nil || err == nil || errors.Is(err, callout.ErrWrong) {
			t.Errorf("%s: %+v, %v, want a refusal that is no wrong proof", login.Name, grant, err)
		}
	}
}

func (s Subject) checkGrant(t *testing.T, name string, grant *callout.Grant) {
	t.Helper()
	account, err := s.Accounts.Find(grant.Account)
	switch {
	case err != nil:
		t.Errorf("%s: %v", name, err)
	case grant.Signer != account.Signer || grant.Scoped != account.Scoped:
		t.Errorf("%s: signed by another key than the account's", name)
	case grant.Name == "" || grant.Rule == "":
		t.Errorf("%s: the name is %q and the rule %q", name, grant.Name, grant.Rule)
	case !grant.Expires.After(time.Now()):
		t.Errorf("%s: expires at %v, want a time to come", name, grant.Expires)
	}
}

// refuses holds that a refusal says nothing of what was wrong where secrets can be guessed:
// neither whether a name is known, nor in what a secret differs.
func (s Subject) refuses(t *testing.T) {
	guessable, can := s.Backend.(callout.Guessable)
	text := ""
	for _, login := range s.Wrong {
		grant, err := s.authorize(t, login)
		switch {
		case grant != nil || err == nil:
			t.Errorf("%s: let in", login.Name)
			continue
		case !errors.Is(err, callout.ErrWrong) || !fault.Is(err, fault.Refused):
			t.Errorf("%s: %v (%s), want a wrong proof refused", login.Name, err, fault.CodeOf(err))
		case can && text != "" && err.Error() != text:
			t.Errorf("%s: %q, where another wrong proof is %q", login.Name, err, text)
		}
		text = err.Error()
		request := login.Request
		if can && request.User != "" && guessable.Guessed(&request) == "" {
			t.Errorf("%s: nobody's secret was guessed", login.Name)
		}
	}
}

// hides holds that what a client proves itself with goes no further.
func (s Subject) hides(t *testing.T) {
	var told []string
	secrets := append([]string(nil), s.Secrets...)
	for _, login := range s.all() {
		grant, err := s.authorize(t, login)
		told = append(told, fmt.Sprintf("%v %+v %#v", err, err, grant))
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			told = append(told, fmt.Sprintf("%v %+v", cause, cause))
		}
		for _, secret := range []callout.Secret{login.Request.Password, login.Request.Token} {
			if len(secret) > 3 && secret.Reveal() != login.Request.User {
				secrets = append(secrets, secret.Reveal())
			}
		}
	}
	told = append(told, fmt.Sprintf("%v %+v %s", s.Backend, s.Backend, s.Backend))
	if s.Log != nil {
		told = append(told, s.Log())
	}
	all := strings.Join(told, "\n")
	for i, secret := range secrets {
		if secret != "" && strings.Contains(all, secret) {
			t.Errorf("secret %d of %d was told", i+1, len(secrets))
		}
	}
}

// stands holds that no request makes a backend panic, and none that says nothing gets in.
func (s Subject) stands(t *testing.T) {
	long := strings.Repeat("x", 1<<16)
	parts := []string{"", " ", "\x00", "\xff\xfe", "*", long, "rooms", "admit ", "recover  ", "a.b.c", "eyJ.eyJ.", "$argon2id$"}
	for _, user := range parts {
		for _, secret := range parts {
			requests := []callout.Request{
				{User: user, Password: callout.Secret(secret)},
				{User: user, Token: callout.Secret(secret)},
				{User: user, Bearer: secret, Signature: secret, Nonce: user},
				{User: user, TLS: callout.TLS{Chains: [][]string{nil, {}, {secret}, {secret, user}}}},
			}
			for i := range requests {
				s.Backend.Takes(&requests[i])
				if guessable, can := s.Backend.(callout.Guessable); can {
					guessable.Guessed(&requests[i])
				}
				grant, err := s.Backend.Authorize(natstest.Within(t), &requests[i])
				if err == nil || grant != nil {
					t.Errorf("let in with %.20q and %.20q", user, secret)
				}
			}
		}
	}
}

// returns holds that a login whose server gave up keeps no place: an answer or an error,
// but one or the other.
func (s Subject) returns(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, login := range s.all() {
			request := login.Request
			if grant, err := s.Backend.Authorize(ctx, &request); err == nil && grant == nil {
				t.Errorf("%s: neither a grant nor an error", login.Name)
			}
		}
	}()
	select {
	case <-done:
	case <-natstest.Within(t).Done():
		t.Fatal("logins that nobody waits for do not end")
	}
}

func (s Subject) concurs(t *testing.T) {
	var wait sync.WaitGroup
	ctx := natstest.Within(t)
	for range together {
		wait.Go(func() {
			for range rounds {
				for i, login := range s.all() {
					request := login.Request
					_, err := s.Backend.Authorize(ctx, &request)
					if good := i < len(s.Good); good != (err == nil) {
						t.Errorf("%s, beside others: %v", login.Name, err)
					}
				}
			}
		})
	}
	wait.Wait()
}

func (s Subject) explains(t *testing.T) {
	explainer, can := s.Backend.(callout.Explainer)
	if !can {
		return
	}
	explained := 0
	for _, login := range s.Good {
		if login.Query == nil {
			continue
		}
		explained++
		want, err := s.authorize(t, login)
		if err != nil {
			t.Errorf("%s: %v", login.Name, err)
			continue
		}
		got, err := explainer.Explain(natstest.Within(t), *login.Query)
		if err != nil {
			t.Errorf("%s: it is explained as %v", login.Name, err)
			continue
		}
		if between := want.Expires.Sub(got.Expires).Abs(); between > natstest.Patience {
			t.Errorf("%s: it is explained to last until %v, and lasts until %v", login.Name, got.Expires, want.Expires)
		}
		plain := *got
		plain.Expires = want.Expires
		if !reflect.DeepEqual(&plain, want) {
			t.Errorf("%s: it is explained as\n%+v\nand gets\n%+v", login.Name, got, want)
		}
	}
	if explained == 0 {
		t.Error("none of the good logins can be explained")
	}
	nobody := callout.Query{User: "nobody at all", Claims: map[string]any{"sub": "nobody at all", "iss": "nowhere"}}
	if grant, err := explainer.Explain(natstest.Within(t), nobody); grant != nil || !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody is explained as %+v, %v", grant, err)
	}
}
