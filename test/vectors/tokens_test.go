package vectors_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/trust"
)

type tokensFile struct {
	about
	Cases   []tokenCase    `json:"cases"`
	Refused []tokenRefusal `json:"refused"`
}

type tokenCase struct {
	Name     string   `json:"name"`
	Identity string   `json:"identity"` // seed
	Account  string   `json:"account"`
	Device   string   `json:"device"`
	Called   string   `json:"called"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	Payload  string   `json:"payload"`
	Token    string   `json:"token"`
	Good     []goodAt `json:"good"`
}

type goodAt struct {
	Millis int64 `json:"time"` // in milliseconds
	Good   bool  `json:"good"`
}

type tokenRefusal struct {
	refusal
	Token string `json:"token"`
}

const jwtHeader = `{"typ":"JWT","alg":"ed25519-nkey"}`

var jwtText = base64.RawURLEncoding

// payload is the text of keys.md with its five values.
func payload(account, device, name string, issued, expires int64) string {
	return `{"exp":` + strconv.FormatInt(expires, 10) + `,"iat":` + strconv.FormatInt(issued, 10) + `,"iss":"` + account +
		`","name":"` + name + `","sub":"` + device + `","nats":{` +
		`"pub":{"allow":["hub.\u003e","from.\u003e","live.*.*","own.\u003e"],"deny":["_INBOX.\u003e","_R_.\u003e"]},` +
		`"sub":{"allow":["_INBOX_` + device + `.\u003e","catalog.\u003e","news.\u003e","own.\u003e"],"deny":["_INBOX.\u003e","_R_.\u003e"]},` +
		`"resp":{"max":64,"ttl":120000000000},"subs":-1,"data":-1,"payload":-1,` +
		`"allowed_connection_types":["STANDARD","WEBSOCKET"],"type":"user","version":2}}`
}

func signJWT(header, payload string, signer *trust.KeyPair) string {
	signed := jwtText.EncodeToString([]byte(header)) + "." + jwtText.EncodeToString([]byte(payload))
	sig := signer.Sign([]byte(signed))
	return signed + "." + jwtText.EncodeToString(sig[:])
}

func makeTokens() tokensFile {
	f := tokensFile{about: about{"Device tokens: each is determined by five values and the identity's key.", "keys.md#device-token"}}
	alice, laptop := pair(trust.Account, "alice identity"), pair(trust.Device, "alice laptop")
	from := start.Unix()
	year := int64(366 * 86400)
	for _, c := range []struct {
		name, called string
		life         int64
	}{{"a laptop", "laptop", 90 * 86400}, {"for as long as may be", "漢字", year}, {"for a second", "ı", 1}} {
		p := payload(alice.String(), laptop.String(), c.called, from, from+c.life)
		f.Cases = append(f.Cases, tokenCase{
			c.name, string(alice.Seed()), alice.String(), laptop.String(), c.called, from, from + c.life, p, signJWT(jwtHeader, p, alice),
			[]goodAt{
				{(from-600)*1000 - 1, false},
				{(from - 600) * 1000, true},
				{from * 1000, true},
				{(from + c.life) * 1000, true},
				{(from+c.life)*1000 + 1, false},
			},
		})
	}
	good, text := f.Cases[0].Payload, f.Cases[0].Token
	parts := strings.Split(text, ".")
	add := func(name, token, why string) { f.Refused = append(f.Refused, tokenRefusal{refusal{name, why}, token}) }
	with := func(name, old, new string) { add(name, signJWT(jwtHeader, changed(good, old, new), alice), "payload") }
	add("empty", "", "form")
	add("two parts", parts[0]+"."+parts[1], "form")
	add("four parts", text+".", "form")
	add("padding", text+"=", "base64url")
	add("a line break", text[:90]+"\n"+text[90:], "base64url")
	add("loose bits in the signature", text[:len(text)-1]+string(text[len(text)-1]+1), "base64url")
	add("another header", signJWT(`{"alg":"ed25519-nkey","typ":"JWT"}`, good, alice), "header")
	add("the header of version 1", signJWT(`{"typ":"jwt","alg":"ed25519"}`, good, alice), "header")
	add("another signature", parts[0]+"."+parts[1]+"."+strings.Split(f.Cases[1].Token, ".")[2], "signature")
	add("signed by another", signJWT(jwtHeader, good, pair(trust.Account, "bob identity")), "signature")
	add("a signature of 63 bytes", parts[0]+"."+parts[1]+"."+jwtText.EncodeToString(make([]byte, 63)), "signature")
	device := pair(trust.Device, "alice laptop")
	add("issued by a device", signJWT(jwtHeader, changed(good, `"iss":"`+alice.String(), `"iss":"`+device.String()), device), "issuer")
	with("about an account", `"sub":"`+laptop.String(), `"sub":"`+alice.String())
	with("the inbox of another device", `_INBOX_`+laptop.String(), `_INBOX_`+pair(trust.Device, "bob laptop").String())
	with("one subject more", `"live.*.*",`, `"live.*.*","catalog.\u003e",`)
	with("a denial less", `["_INBOX.\u003e","_R_.\u003e"]},"resp"`, `["_INBOX.\u003e"]},"resp"`)
	with("more answers", `"max":64`, `"max":65`)
	with("no answers", `"resp":{"max":64,"ttl":120000000000},`, ``)
	with("a limit", `"subs":-1`, `"subs":10`)
	with("any kind of connection", `"allowed_connection_types":["STANDARD","WEBSOCKET"],`, ``)
	with("bearer", `,"allowed_`, `,"bearer_token":true,"allowed_`)
	with("from some addresses", `"subs":-1`, `"src":["10.0.0.0/8"],"subs":-1`)
	with("a later beginning", `"sub":"U`, `"nbf":1,"sub":"U`)
	with("an audience", `{"exp"`, `{"aud":"x","exp"`)
	with("an id", `"iss"`, `"jti":"x","iss"`)
	with("an issuer account", `,"type":"user"`, `,"issuer_account":"`+alice.String()+`","type":"user"`)
	with("tags", `,"type":"user"`, `,"tags":["x"],"type":"user"`)
	with("another type", `"type":"user"`, `"type":"activation"`)
	with("version 3", `"version":2`, `"version":3`)
	with("a member twice", `"name":"laptop"`, `"name":"desk","name":"laptop"`)
	with("a member in capitals", `"name":"laptop"`, `"Name":"desk","name":"laptop"`)
	with("a member that nobody knows", `"name"`, `"crit":["x"],"name"`)
	with("white space", `"name":`, `"name": `)
	with("an arrow that is not escaped", `"hub.\u003e"`, `"hub.>"`)
	with("a name with an escape", `"name":"laptop"`, `"name":"\u006captop"`)
	with("a name that is not in normal form", `"name":"laptop"`, `"name":"Laptop"`)
	with("no name", `"name":"laptop",`, ``)
	with("an end at the beginning", `"exp":`+strconv.FormatInt(from+90*86400, 10), `"exp":`+strconv.FormatInt(from, 10))
	with("an end before the beginning", `"exp":`+strconv.FormatInt(from+90*86400, 10), `"exp":`+strconv.FormatInt(from-1, 10))
	with("366 days and a second", `"exp":`+strconv.FormatInt(from+90*86400, 10), `"exp":`+strconv.FormatInt(from+year+1, 10))
	with("no end", `"exp":`+strconv.FormatInt(from+90*86400, 10)+`,`, ``)
	with("no beginning", `"iat":`+strconv.FormatInt(from, 10)+`,`, ``)
	with("a fraction", `"iat":`+strconv.FormatInt(from, 10), `"iat":`+strconv.FormatInt(from, 10)+".0")
	last := int64(253402300799)
	add("a beginning before 1970", signJWT(jwtHeader, payload(alice.String(), laptop.String(), "laptop", -1, 86400), alice), "times")
	add("an end after the year 9999", signJWT(jwtHeader, payload(alice.String(), laptop.String(), "laptop", last-1, last+1), alice), "times")
	return f
}

func TestDeviceTokens(t *testing.T) {
	f := load[tokensFile](t, "device-token.json")
	for _, c := range f.Cases {
		token, err := trust.ParseDeviceToken(c.Token)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		same(t, c.Name, token.Account.Text(trust.Account), c.Account)
		same(t, c.Name, token.Device.Text(trust.Device), c.Device)
		same(t, c.Name, token.Name, c.Called)
		same(t, c.Name, token.Issued.Unix(), c.Issued)
		same(t, c.Name, token.Expires.Unix(), c.Expires)
		identity, err := trust.ParseSeed(trust.Account, []byte(c.Identity))
		if err != nil {
			t.Fatal(err)
		}
		again, err := trust.IssueDevice(identity, token.Device, c.Called, time.Unix(c.Issued, 0), time.Unix(c.Expires, 0))
		if err != nil || again.Text != c.Token {
			t.Errorf("%s: issued anew it is another: %v", c.Name, err)
		}
		for _, g := range c.Good {
			if err := token.GoodAt(time.UnixMilli(g.Millis)); g.Good != (err == nil) {
				t.Errorf("%s at %d: %v", c.Name, g.Millis, err)
			}
		}
	}
	for _, r := range f.Refused {
		_, err := trust.ParseDeviceToken(r.Token)
		wantErr(t, r.Name, err, trust.ErrToken)
	}
}

type proofFile struct {
	about
	Hub          string         `json:"hub"` // operator JWT
	ID           string         `json:"id"`
	Signing      []string       `json:"signing"`
	SigningSeed  string         `json:"signingSeed"`
	Challenge    octets         `json:"challenge"`
	Document     string         `json:"document"`
	DocumentHash octets         `json:"documentHash"`
	Statement    octets         `json:"statement"`
	Proof        octets         `json:"proof"`
	RefusedHubs  []hubRefusal   `json:"refusedHubs"`
	Refused      []proofRefusal `json:"refused"`
}

type hubRefusal struct {
	refusal
	Hub string `json:"hub"`
}

type proofRefusal struct {
	refusal
	Challenge octets `json:"challenge"`
	Document  string `json:"document"`
	Proof     octets `json:"proof"`
}

func operatorPayload() string {
	return `{"jti":"TEST","iat":` + strconv.FormatInt(start.Unix(), 10) + `,"iss":"` + hubID() + `","name":"keyhall","sub":"` + hubID() +
		`","nats":{"signing_keys":["` + signing().String() + `"],"type":"operator","version":2}}`
}

func makeProof() proofFile {
	f := proofFile{
		about: about{"A hub's operator JWT and its answer to a challenge.", "keys.md#the-hubs-proof"},
		Hub:   signJWT(jwtHeader, operatorPayload(), operator()), ID: hubID(), Signing: []string{signing().String()},
		SigningSeed: string(signing().Seed()), Challenge: secret("challenge"),
		Document: `{"version":1,"nats":["nats://:4222"],"websocket":"/nats","sentinel":""}`,
	}
	f.DocumentHash = hash([]byte(f.Document))
	f.Statement = append(append(label("hub"), f.Challenge...), f.DocumentHash...)
	f.Proof = sigOf(signing(), f.Statement)
	good, parts := operatorPayload(), strings.Split(f.Hub, ".")
	add := func(name, hub, why string) {
		f.RefusedHubs = append(f.RefusedHubs, hubRefusal{refusal{name, why}, hub})
	}
	add("empty", "", "form")
	add("two parts", parts[0]+"."+parts[1], "form")
	add("a line break", f.Hub[:80]+"\n"+f.Hub[80:], "base64url")
	add("loose bits in the signature", f.Hub[:len(f.Hub)-1]+string(f.Hub[len(f.Hub)-1]+1), "base64url")
	add("another header", signJWT(`{"typ":"jwt","alg":"ed25519"}`, good, operator()), "header")
	add("signed by its signing key", signJWT(jwtHeader, good, signing()), "signature")
	add("issued by its signing key", signJWT(jwtHeader, changed(good, `"iss":"`+hubID(), `"iss":"`+signing().String()), signing()), "issuer")
	add("of an account", signJWT(jwtHeader, changed(good, `"type":"operator"`, `"type":"account"`), operator()), "type")
	add("of version 1", signJWT(jwtHeader, changed(good, `"version":2`, `"version":1`), operator()), "version")
	add("an account as a signing key", signJWT(jwtHeader, changed(good, signing().String(), pair(trust.Account, "alice identity").String()), operator()), "signing key")
	add("a changed claim", parts[0]+"."+jwtText.EncodeToString([]byte(changed(good, "keyhall", "keyhell")))+"."+parts[2], "signature")

	refuse := func(name, why string, challenge []byte, document string, proof []byte) {
		f.Refused = append(f.Refused, proofRefusal{refusal{name, why}, challenge, document, proof})
	}
	refuse("another challenge", "signature", flipped(f.Challenge, 0), f.Document, f.Proof)
	refuse("another document", "signature", f.Challenge, f.Document+" ", f.Proof)
	refuse("signed by the operator identity", "signature", f.Challenge, f.Document, sigOf(operator(), f.Statement))
	refuse("of the challenge alone", "signature", f.Challenge, f.Document, sigOf(signing(), f.Challenge))
	refuse("without a label", "signature", f.Challenge, f.Document, sigOf(signing(), f.Statement[len(label("hub")):]))
	refuse("no proof", "signature", f.Challenge, f.Document, nil)
	return f
}

func TestHubProof(t *testing.T) {
	f := load[proofFile](t, "hub-proof.json")
	hub, err := trust.ParseHub(f.Hub)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "hub id", hub.ID, f.ID)
	same(t, "signing keys", len(hub.Signing), len(f.Signing))
	for i, key := range hub.Signing {
		same(t, "signing key", key.Text(trust.Operator), f.Signing[i])
	}
	if err := hub.CheckProof([32]byte(f.Challenge), []byte(f.Document), f.Proof); err != nil {
		t.Error(err)
	}
	key, err := trust.ParseSeed(trust.Operator, []byte(f.SigningSeed))
	if err != nil {
		t.Fatal(err)
	}
	proof := trust.ProveHub(key, [32]byte(f.Challenge), sha256.Sum256([]byte(f.Document)))
	sameBytes(t, "proof", proof[:], f.Proof)
	for _, r := range f.RefusedHubs {
		_, err := trust.ParseHub(r.Hub)
		wantErr(t, r.Name, err, trust.ErrHub)
	}
	for _, r := range f.Refused {
		wantErr(t, r.Name, hub.CheckProof([32]byte(r.Challenge), []byte(r.Document), r.Proof), trust.ErrHub)
	}
}
