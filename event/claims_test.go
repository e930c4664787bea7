package event_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// jwtBy is a NATS JWT with a payload of one's own.
func jwtBy(signer *trust.KeyPair, header, payload string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	sig := signer.Sign([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig[:])
}

const header2 = `{"typ":"JWT","alg":"ed25519-nkey"}`

func TestAnAccessTokenHasOneTextAndOneReading(t *testing.T) {
	alice, mallory := newCompany(t).hire(), newCompany(t).hire()
	user := func(more string) string {
		return fmt.Sprintf(`{"iat":1,"iss":%q,"name":"user","sub":%q,"nats":{"type":"user","version":2}%s}`, alice.account, alice.device, more)
	}
	good := jwtBy(alice.account, header2, user(""))
	if a, err := event.ParseAccess(good); err != nil || a.Name != "user" || a.String() != good {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	old := func(payload string) string { // version 1 signs the payload alone
		text := base64.RawURLEncoding.EncodeToString([]byte(payload))
		sig := alice.account.Sign([]byte(text))
		return parts[0] + "." + text + "." + base64.RawURLEncoding.EncodeToString(sig[:])
	}
	for name, text := range map[string]string{
		"loose bits":                   good[:len(good)-1] + string(good[len(good)-1]+1),
		"a line break":                 parts[0] + "." + parts[1] + "\n." + parts[2],
		"padding":                      good + "==",
		"version 1, in a new header":   old(fmt.Sprintf(`{"iat":1,"iss":%q,"name":"user","sub":%q,"type":"user","nats":{}}`, alice.account, alice.device)),
		"version 2, signed as 1":       old(user("")),
		"version 1":                    jwtBy(alice.account, header2, strings.Replace(user(""), `"version":2`, `"version":1`, 1)),
		"version 3":                    jwtBy(alice.account, header2, strings.Replace(user(""), `"version":2`, `"version":3`, 1)),
		"the header of version 1":      jwtBy(alice.account, `{"typ":"jwt","alg":"ed25519"}`, user("")),
		"a member twice":               jwtBy(alice.account, header2, user(`,"name":"other"`)),
		"a member twice, deeper":       jwtBy(alice.account, header2, user(`,"x":{"y":1,"y":1}`)),
		"a name that is none":          jwtBy(alice.account, header2, strings.Replace(user(""), `"name":"user"`, `"name":7`, 1)),
		"a time that is none":          jwtBy(alice.account, header2, strings.Replace(user(""), `"iat":1`, `"iat":1.5`, 1)),
		"a time before all":            jwtBy(alice.account, header2, strings.Replace(user(""), `"iat":1`, `"iat":-1`, 1)),
		"too deep":                     jwtBy(alice.account, header2, user(`,"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40))),
		"not UTF-8":                    jwtBy(alice.account, header2, user(`,"x":"`+"\xff"+`"`)),
		"by another account":           jwtBy(mallory.account, header2, user("")),
		"about an account":             jwtBy(alice.account, header2, strings.Replace(user(""), alice.device.String(), alice.account.String(), 1)),
		"an issuer account that isn't": jwtBy(alice.account, header2, strings.Replace(user(""), `"type"`, `"issuer_account":"x","type"`, 1)),
	} {
		if _, err := event.ParseAccess(text); !errors.Is(err, event.ErrAccess) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// NATS revokes by when a token was issued; that it begins later does not save it.
func TestARevokedUserTokenThatBeginsLaterIsRevoked(t *testing.T) {
	alice := newCompany(t).hire()
	at := func(seconds int64) time.Time { return time.Unix(1_700_000_000+seconds, 0) }
	user := jwtBy(alice.account, header2, fmt.Sprintf(`{"iat":%d,"nbf":%d,"iss":%q,"sub":%q,"nats":{"type":"user","version":2}}`,
		at(0).Unix(), at(100).Unix(), alice.account, alice.device))
	for name, row := range map[string]struct {
		who     string
		revoked time.Time
		want    error
	}{
		"between":             {alice.device.String(), at(50), event.ErrRevoked},
		"everybody":           {"*", at(50), event.ErrRevoked},
		"before it was made":  {alice.device.String(), at(-1), nil},
		"at that very second": {alice.device.String(), at(0), event.ErrRevoked},
		"somebody else":       {alice.account.String(), at(50), nil},
	} {
		account := jwtBy(alice.operator, header2, fmt.Sprintf(`{"iss":%q,"sub":%q,"nats":{"revocations":{%q:%d},"type":"account","version":2}}`,
			alice.operator, alice.account, row.who, row.revoked.Unix()))
		access, err := event.ParseAccess(user + " " + account)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := access.GoodAt(at(200), time.Minute); !errors.Is(err, row.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := access.GoodAt(at(30), time.Minute); row.want == nil && !errors.Is(err, event.ErrExpired) {
			t.Errorf("%s, before it begins: %v", name, err)
		}
	}
}

// What a keeper says counts as a whole or not at all: who reads a stream must not depend on
// the order in which a program walks through a map.
func TestAnEpochOrGrantCountsAsAWholeOrNotAtAll(t *testing.T) {
	p := newPrivate(t)
	p.announce(p.ring.NewEpoch(nil))
	before := p.ring.Readers()
	epoch, err := p.ring.Grant(trust.NewXKey().String(), false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		reader := trust.NewXKey().String()
		body := strings.Replace(string(epoch.Body), `"boxes":{`, fmt.Sprintf(`"boxes":{"%064x":"AA==",`, i+1), 1)
		_, boxes, _ := strings.Cut(body, `,"boxes"`)
		p.announce(&event.Event{Type: "epoch.grant", Subject: keysSubject, Body: fmt.Appendf(nil, `{"reader":%q,"boxes"%s`, reader, boxes)}, nil)
	}
	empty := `{"commitment":"","boxes":{},"previous":"` + currentEpoch(t, p) + `"}`
	p.announce(&event.Event{Type: "epoch", Subject: keysSubject, Body: []byte(empty)}, nil)
	if got := p.ring.Readers(); len(got) != len(before) {
		t.Errorf("%d readers, want %d", len(got), len(before))
	}
	p.says("and the epoch is the one of before")
}

// currentEpoch is the hash of the epoch in which p's publisher seals.
func currentEpoch(t *testing.T, p *private) string {
	t.Helper()
	e := &event.Event{Type: "x", Subject: "x"}
	if err := p.ring.Seal(e, p.alice.device.Public(), nil); err != nil {
		t.Fatal(err)
	}
	return e.Epoch.String()
}

func TestAContentTypeIsAMediaTypeInAnyProgram(t *testing.T) {
	for text, good := range map[string]bool{
		"text/plain": true, "text/plain; charset=utf-8": true, "text/plain;charset=utf-8": true, "a/b ; c=d  ;e=\"f g\"": true,
		"application/vnd.a+json": true, "a/b;c=\"\"": true, "a/" + strings.Repeat("b", 98): true,
		"text": false, "text/": false, "/plain": false, "text/plain ": false, " text/plain": false, "text/plain;": false,
		"text/plain;a": false, "text/plain;a=": false, "text/plain;a=\"b": false, "a/b;c=\"d\\\"e\"": false, "a/b;c=\"d\ne\"": false,
		"a/b;;c=d": false, "a/b c": false, "a/b/c": false, "a/\u00e4": false, "a/b;c=\"\u00e4\"": false, "a/" + strings.Repeat("b", 99): false,
	} {
		err := (&event.Event{Author: trust.PublicKey{1}, Type: "x", Subject: "x", Content: text}).Sign(trust.NewKeyPair(trust.Device))
		if good != (err == nil) || (err != nil && !errors.Is(err, event.ErrMalformed)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
