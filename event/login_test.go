package event_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

func FuzzCheckLogin(f *testing.F) {
	identity := trust.NewKeyPair(trust.Account)
	const hub = "OAD4WVAPCKMHZNCCBQ5JA3GZ4T33C6W4ZXNSW7BQZ5Z7VQ4Q4J5J4U2M"
	made := func(login event.Login) *event.Event {
		ev, err := event.NewLogin(hub, identity, time.Now(), login)
		if err != nil {
			f.Fatal(err)
		}
		return ev
	}
	for _, ev := range []*event.Event{
		made(event.Login{Password: &event.PasswordBody{Salt: make([]byte, 16), Memory: 8 << 10, Passes: 1, Verifier: event.Hash{1}, Blob: make([]byte, 28)}}),
		made(event.Login{Passkey: &event.PasskeyBody{Credential: "AAAA", Blob: make([]byte, 28)}}),
		made(event.Login{Remove: &event.RemoveBody{}}),
	} {
		f.Add(ev.Type, ev.Body)
		f.Add(ev.Type, bytes.ReplaceAll(ev.Body, []byte(":"), []byte(": ")))
	}
	f.Add("login.password", []byte(`{"salt":"","memory":8192,"passes":1,"verifier":"","blob":""}`))
	f.Add("login.passkey", []byte(`{"credential":"A=","blob":""}`))
	f.Add("login.code", []byte(`{}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		ev := &event.Event{
			Author: identity.Public(), Type: kind, Subject: event.LoginSubject(identity.String()), Audience: hub, Body: body,
		}
		if ev.Sign(identity) != nil {
			return
		}
		login, err := ev.CheckLogin(hub)
		if err != nil {
			if !errors.Is(err, event.ErrMalformed) && !errors.Is(err, event.ErrNotMeant) {
				t.Fatal(err)
			}
			return
		}
		again, err := event.NewLogin(hub, identity, time.Now(), *login)
		if err != nil || again.Type != kind || !bytes.Equal(again.Body, body) {
			t.Fatalf("%s %q is made anew as %s %q, %v", kind, body, again.Type, again.Body, err)
		}
	})
}
