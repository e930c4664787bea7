package vectors_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

type accessFile struct {
	about
	Cases   []accessCase    `json:"cases"`
	Refused []accessRefusal `json:"refused"`
}

type accessCase struct {
	Name     string     `json:"name"`
	Text     string     `json:"text"`
	Hash     octets     `json:"hash"`
	Device   string     `json:"device"`
	Account  string     `json:"account"`
	Operator string     `json:"operator,omitempty"`
	Called   string     `json:"called"`
	Good     []accessAt `json:"good"`
	Believed []believed `json:"believed"`
}

// accessAt is when a token is good, with a skew of ten minutes.
type accessAt struct {
	Millis int64  `json:"time"`
	Why    string `json:"why,omitempty"` // it is not
}

// believed is who is believed, and whether the token is then.
type believed struct {
	Accounts  []string `json:"accounts"`
	Operators []string `json:"operators"`
	Believed  bool     `json:"believed"`
}

type accessRefusal struct {
	refusal
	Text string `json:"text"`
}

// userClaims are those of a NATS user JWT. Members without a value are left out.
type userClaims struct {
	device, issuer, account string
	issued, begins, expires int64
}

func (c userClaims) payload() string {
	optional := func(name string, value int64) string {
		if value == 0 {
			return ""
		}
		return `"` + name + `":` + strconv.FormatInt(value, 10) + ","
	}
	account := ""
	if c.account != "" {
		account = `"issuer_account":"` + c.account + `",`
	}
	return `{` + optional("exp", c.expires) + `"jti":"TEST",` + optional("iat", c.issued) + `"iss":"` + c.issuer + `","name":"till",` +
		optional("nbf", c.begins) + `"sub":"` + c.device + `","nats":{"pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1,` + account + `"type":"user","version":2}}`
}

// accountPayload are the claims of a NATS account JWT.
func accountPayload(account, issuer, more string) string {
	return `{"jti":"TEST","iat":` + strconv.FormatInt(start.Unix(), 10) + `,"iss":"` + issuer + `","name":"shop","sub":"` + account +
		`","nats":{"limits":{"subs":-1,"conn":-1,"tiered_limits":{"R1":{"mem_storage":1}}}` + more + `,"default_permissions":{"pub":{},"sub":{}},"type":"account","version":2}}`
}

// userToken is the user JWT of a person, as an identity issues it for an hour.
func userToken(account, device string) string { return userTokenAt(start, account, device) }

func userTokenAt(at time.Time, account, device string) string {
	by := pair(trust.Account, account)
	return signJWT(jwtHeader, userClaims{device: pair(trust.Device, device).String(), issuer: by.String(), issued: at.Unix(), expires: at.Unix() + 3600}.payload(), by)
}

func makeAccess() accessFile {
	f := accessFile{about: about{"Access tokens: who an account, and an operator, says that a device is.", "streams.md#access-tokens"}}
	account, device := pair(trust.Account, "alice identity"), pair(trust.Device, "alice laptop")
	other, scoped := pair(trust.Account, "bob identity"), pair(trust.Account, "alice scoped signing")
	key, stranger := pair(trust.Account, "alice signing"), pair(trust.Operator, "another operator")
	from := start.Unix()
	hour := userClaims{device: device.String(), issuer: account.String(), issued: from, expires: from + 3600}
	user := signJWT(jwtHeader, hour.payload(), account)
	keys := `,"signing_keys":["` + key.String() + `",{"kind":"user_scope","key":"` + scoped.String() + `","role":"till","template":{}}]`
	said := func(more string) string {
		return signJWT(jwtHeader, accountPayload(account.String(), hubID(), more), operator())
	}
	bySigning := func(by *trust.KeyPair) string {
		c := hour
		c.issuer, c.account = by.String(), account.String()
		return signJWT(jwtHeader, c.payload(), by)
	}
	usual := []accessAt{{(from-600)*1000 - 1, "expired"}, {(from - 600) * 1000, ""}, {(from + 3600) * 1000, ""}, {(from+3600)*1000 + 1, "expired"}}
	byAccount, byOperator := []string{account.String()}, []string{hubID()}
	nobody := []string{}
	add := func(name, text, by string, good []accessAt, judged ...believed) {
		f.Cases = append(f.Cases, accessCase{name, text, hash([]byte(text)), device.String(), account.String(), by, "till", good, judged})
	}
	ownWord := []believed{{byAccount, nobody, true}, {nobody, byOperator, false}, {[]string{other.String()}, nobody, false}, {nobody, nobody, false}}
	add("by the account", user, "", usual, ownWord...)
	endless := hour
	endless.expires = 0
	add("without an end", signJWT(jwtHeader, endless.payload(), account), "", []accessAt{{(from-600)*1000 - 1, "expired"}, {1 << 52, ""}}, ownWord...)
	old := hour
	old.issued = 0
	add("without a beginning", signJWT(jwtHeader, old.payload(), account), "", []accessAt{{1, ""}, {(from+3600)*1000 + 1, "expired"}}, ownWord...)
	later := hour
	later.begins = from + 1800
	add("that begins later", signJWT(jwtHeader, later.payload(), account), "", []accessAt{{(from+1200)*1000 - 1, "expired"}, {(from + 1200) * 1000, ""}}, ownWord...)
	both := []believed{{byAccount, nobody, true}, {nobody, byOperator, true}, {nobody, []string{stranger.String()}, false}}
	add("by the account, with its operator's word", user+" "+said(""), hubID(), usual, both...)
	add("with an account token that ends sooner", user+" "+signJWT(jwtHeader, changed(accountPayload(account.String(), hubID(), ""), `{"jti"`, `{"exp":`+strconv.FormatInt(from+60, 10)+`,"jti"`), operator()),
		hubID(), []accessAt{{(from + 60) * 1000, ""}, {(from+60)*1000 + 1, "expired"}}, both...)
	operatorsWord := []believed{{byAccount, nobody, false}, {nobody, byOperator, true}, {nobody, []string{stranger.String()}, false}}
	add("by a signing key", bySigning(key)+" "+said(keys), hubID(), usual, operatorsWord...)
	add("by a signing key with a scope", bySigning(scoped)+" "+said(keys), hubID(), usual, operatorsWord...)
	add("by a signing key, by another operator's word", bySigning(key)+" "+signJWT(jwtHeader, accountPayload(account.String(), stranger.String(), keys), stranger), stranger.String(), usual,
		believed{byAccount, nobody, false}, believed{nobody, byOperator, false}, believed{byAccount, byOperator, false}, believed{nobody, []string{stranger.String()}, true})
	add("by an operator's signing key", user+" "+signJWT(jwtHeader, accountPayload(account.String(), signing().String(), ""), signing()), signing().String(), usual,
		believed{nobody, byOperator, false}, believed{nobody, []string{signing().String()}, true})
	revoked := []accessAt{{from * 1000, "revoked"}, {(from-600)*1000 - 1, "expired"}}
	since := strconv.FormatInt(from, 10)
	add("revoked", user+" "+said(`,"revocations":{"`+device.String()+`":`+since+`}`), hubID(), revoked, both...)
	add("revoked with all others", user+" "+said(`,"revocations":{"*":`+since+`}`), hubID(), revoked, both...)
	add("revoked before it begins", signJWT(jwtHeader, later.payload(), account)+" "+said(`,"revocations":{"`+device.String()+`":`+strconv.FormatInt(from+60, 10)+`}`), hubID(),
		[]accessAt{{(from + 1200) * 1000, "revoked"}}, both...)
	add("issued after a revocation", user+" "+said(`,"revocations":{"*":`+strconv.FormatInt(from-1, 10)+`,"`+other.String()+`":`+since+`}`), hubID(), usual, both...)
	f.refuse(user, said(""), bySigning(key), keys)
	return f
}

func (f *accessFile) refuse(user, account, bySigning, keys string) {
	identity, device := pair(trust.Account, "alice identity"), pair(trust.Device, "alice laptop")
	add := func(name, why, text string) { f.Refused = append(f.Refused, accessRefusal{refusal{name, why}, text}) }
	add("nothing", "form", "")
	add("a space behind", "form", user+" ")
	add("two spaces", "form", user+"  "+account)
	add("three", "form", user+" "+account+" "+account)
	add("endless", "form", user+strings.Repeat(" "+account, 20))
	add("two users", "kind", user+" "+userToken("bob identity", "bob laptop"))
	add("the other way round", "kind", account+" "+user)
	add("an account alone", "kind", account)
	add("an operator in the user's place", "kind", signJWT(jwtHeader, operatorPayload(), operator())+" "+account)
	add("an operator in the account's place", "kind", user+" "+signJWT(jwtHeader, operatorPayload(), operator()))
	add("another account's token", "account", userToken("bob identity", "bob laptop")+" "+account)
	add("by a signing key, alone", "signing key", bySigning)
	add("by a key that is none of the account's", "signing key", bySigning+" "+account)
	own := func(more string) string {
		return signJWT(jwtHeader, accountPayload(identity.String(), identity.String(), more), identity)
	}
	add("an account token by the account itself", "issuer", bySigning+" "+own(keys))

	good := userClaims{device: device.String(), issuer: identity.String(), issued: start.Unix(), expires: start.Unix() + 3600}.payload()
	parts := strings.Split(user, ".")
	sign := func(payload string) string { return signJWT(jwtHeader, payload, identity) }
	add("two parts", "form", parts[0]+"."+parts[1])
	add("padding", "base64url", user+"==")
	add("a line break", "base64url", parts[0]+"."+parts[1]+"\n."+parts[2])
	add("loose bits in the signature", "base64url", user[:len(user)-1]+string(user[len(user)-1]+1))
	add("signed by another", "signature", signJWT(jwtHeader, good, pair(trust.Account, "bob identity")))
	add("another signature", "signature", parts[0]+"."+parts[1]+"."+strings.Split(account, ".")[2])
	add("a changed claim", "signature", parts[0]+"."+jwtText.EncodeToString([]byte(changed(good, "till", "tall")))+"."+parts[2])
	add("the header of version 1", "version", signJWT(`{"typ":"jwt","alg":"ed25519"}`, good, identity))
	add("another order in the header", "version", signJWT(`{"alg":"ed25519-nkey","typ":"JWT"}`, good, identity))
	old := changed(changed(good, `"type":"user","version":2`, `"x":1`), `"jti":"TEST"`, `"jti":"TEST","type":"user"`)
	text := jwtText.EncodeToString([]byte(old))
	add("version 1", "version", jwtText.EncodeToString([]byte(`{"typ":"jwt","alg":"ed25519"}`))+"."+text+"."+jwtText.EncodeToString(sigOf(identity, []byte(text))))
	add("version 1 behind the header of version 2", "version", parts[0]+"."+text+"."+jwtText.EncodeToString(sigOf(identity, []byte(text))))
	add("a payload of version 1", "version", sign(changed(good, `"version":2`, `"version":1`)))
	add("a payload of version 3", "version", sign(changed(good, `"version":2`, `"version":3`)))
	add("no version", "version", sign(changed(good, `,"version":2`, ``)))
	add("a member twice", "payload", sign(changed(good, `"name":"till"`, `"name":"safe","name":"till"`)))
	add("a member twice, deeper", "payload", sign(changed(good, `"pub":{}`, `"pub":{"allow":["a"],"allow":["b"]}`)))
	add("a member in capitals", "account", sign(changed(good, `"iss"`, `"ISS"`)))
	add("a name that is no text", "payload", sign(changed(good, `"name":"till"`, `"name":7`)))
	add("an end that is no number", "payload", sign(changed(good, `"exp":`+strconv.FormatInt(start.Unix()+3600, 10), `"exp":"never"`)))
	add("an end with a fraction", "payload", sign(changed(good, `"exp":`+strconv.FormatInt(start.Unix()+3600, 10), `"exp":1.5`)))
	add("an end before 1970", "payload", sign(changed(good, `"exp":`+strconv.FormatInt(start.Unix()+3600, 10), `"exp":-1`)))
	add("an end after the year 9999", "payload", sign(changed(good, `"exp":`+strconv.FormatInt(start.Unix()+3600, 10), `"exp":253402300800`)))
	add("not JSON", "payload", sign(good[:len(good)-1]))
	add("not UTF-8", "payload", sign(changed(good, "till", "t\xffll")))
	add("33 deep", "payload", sign(changed(good, `"pub":{}`, `"pub":`+strings.Repeat("[", 31)+strings.Repeat("]", 31))))
	add("about an account", "user", sign(changed(good, device.String(), identity.String())))
	add("about nobody", "user", sign(changed(good, `"sub":"`+device.String()+`",`, ``)))
	add("by a user", "issuer", signJWT(jwtHeader, changed(good, identity.String(), device.String()), device))
	add("of an account that is none", "account", sign(changed(good, `"type":"user"`, `"issuer_account":"x","type":"user"`)))
	add("signing keys that are no list", "payload", bySigning+" "+signJWT(jwtHeader, accountPayload(identity.String(), hubID(), `,"signing_keys":{}`), operator()))
	add("a signing key that is no text", "payload", bySigning+" "+signJWT(jwtHeader, accountPayload(identity.String(), hubID(), changed(keys, `[`, `[7,`)), operator()))
	add("a revocation that is no time", "payload", user+" "+signJWT(jwtHeader, accountPayload(identity.String(), hubID(), `,"revocations":{"*":"now"}`), operator()))
}

func TestAccessTokens(t *testing.T) {
	f := load[accessFile](t, "event-access.json")
	for _, c := range f.Cases {
		access, err := event.ParseAccess(c.Text)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		h := access.Hash()
		sameBytes(t, c.Name, h[:], c.Hash)
		same(t, c.Name, access.Device.Text(trust.Device), c.Device)
		same(t, c.Name, access.Account.Text(trust.Account), c.Account)
		if by := access.Operator.Text(trust.Operator); !access.Operator.IsZero() || c.Operator != "" {
			same(t, c.Name, by, c.Operator)
		}
		same(t, c.Name, access.Name, c.Called)
		for _, g := range c.Good {
			err := access.GoodAt(time.UnixMilli(g.Millis), trust.ClockSkew)
			wantErr(t, c.Name+" at "+strconv.FormatInt(g.Millis, 10), err, streamErrors[g.Why])
		}
		for _, b := range c.Believed {
			want := streamErrors["untrusted"]
			if b.Believed {
				want = nil
			}
			wantErr(t, c.Name+", believed", believes(access, b), want)
		}
	}
	for _, r := range f.Refused {
		_, err := event.ParseAccess(r.Text)
		wantErr(t, r.Name, err, event.ErrAccess)
	}
}

// believes judges an event of the token's device, the time of which the token may not cover.
func believes(access *event.Access, b believed) error {
	m := get(event.NewTokenManager(event.Rules{Accounts: b.Accounts, Operators: b.Operators}))
	e := &event.Event{Author: access.Account, Type: "x", Subject: "x", Time: start}
	must(e.Sign(pair(trust.Device, "alice laptop")))
	err := m.Check(e, access, event.Moment{Now: start, Stored: start})
	for _, late := range []string{"expired", "revoked"} {
		if why := streamErrors[late]; why != nil && isErr(err, why) {
			return nil
		}
	}
	return err
}

func guardedAccess(t *testing.T) (all []guarded) {
	t.Helper()
	for _, c := range load[accessFile](t, "event-access.json").Cases {
		all = append(all, guarded{name: "access token " + c.Name, data: []byte(c.Text), take: func(data []byte) error {
			_, err := event.ParseAccess(string(data))
			return err
		}})
	}
	return all
}
