package callout

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"pgregory.net/rapid"
)

// readsAsTheLibrary holds readToken against the jwt library: what it takes the library
// takes, with the same values; and it refuses nothing that a server may write.
func readsAsTheLibrary(t testing.TB, token string) {
	t.Helper()
	got, err := readToken(token)
	want, refused := jwt.DecodeAuthorizationRequestClaims(token)
	if err == nil {
		if refused != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q reads as\n%+v, the library as\n%+v, %v", token, got, want, refused)
		}
		return
	}
	if refused == nil && isAsServersWrite(token, want) {
		t.Fatalf("%q is refused: %v", token, err)
	}
}

// isAsServersWrite: the header of version 2 and nothing loose around the claims.
func isAsServersWrite(token string, claims *jwt.AuthorizationRequestClaims) bool {
	parts := strings.Split(token, ".")
	for _, part := range parts {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(raw) != part {
			return false
		}
	}
	return parts[0] == encodedHeader && claims.Version == 2 && isKey(nkeys.PrefixByteServer, claims.Issuer)
}

func FuzzToken(f *testing.F) {
	server, err := nkeys.FromRawSeed(nkeys.PrefixByteServer, bytes.Repeat([]byte{7}, 32)) // the same in each process
	if err != nil {
		f.Fatal(err)
	}
	key := publicOf(f, server)
	for _, token := range recordedRequests(f) {
		f.Add(false, []byte(token))
		f.Add(true, payloadOf(f, token, key))
	}
	f.Add(true, []byte(`{"iss":"`+key+`","type":"user","nats":{"type":"authorization_request","version":2}}`))
	f.Add(true, []byte(`{"iss":"`+key+`","nats":{"type":"authorization_request","version":1}}`))
	f.Add(true, []byte(`{"iss":"`+key+`","nats":{"type":"authorization_request","version":3}}`))
	f.Add(true, []byte(`{"iss":"`+key+`","nats":{"type":"user","version":2},"Nats":{"type":"authorization_request"}}`))
	f.Add(true, []byte(`{"iss":"`+key+`","nats":null}`))
	f.Add(true, []byte(`[]`))
	f.Add(false, []byte(`..`))
	f.Fuzz(func(t *testing.T, sign bool, data []byte) {
		token := string(data)
		if sign { // the bytes are what a server says
			token = encodedHeader + "." + base64.RawURLEncoding.EncodeToString(data)
			signature, err := server.Sign([]byte(token))
			if err != nil {
				t.Fatal(err)
			}
			token += "." + base64.RawURLEncoding.EncodeToString(signature)
		}
		readsAsTheLibrary(t, token)
	})
}

// payloadOf is what a recorded token says, of another server.
func payloadOf(t testing.TB, token, server string) []byte {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	claims, err := jwt.DecodeAuthorizationRequestClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(payload, []byte(claims.Issuer), []byte(server))
}

func TestATokenThatIsNotQuiteOneIsRefused(t *testing.T) {
	token := recordedRequests(t)["password"]
	if _, err := readToken(token); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for name, bad := range map[string]string{
		"nothing":             "",
		"two parts":           parts[0] + "." + parts[1],
		"four parts":          token + "." + parts[2],
		"no signature":        parts[0] + "." + parts[1] + ".",
		"another's signature": parts[0] + "." + parts[1] + "." + strings.Split(recordedRequests(t)["token"], ".")[2],
		"loose last bits":     token[:len(token)-1] + string(token[len(token)-1]+1),
		"line break":          parts[0] + "." + parts[1][:9] + "\n" + parts[1][9:] + "." + parts[2],
		"line break at end":   token + "\n",
		"break in signature":  parts[0] + "." + parts[1] + "." + parts[2][:9] + "\n" + parts[2][9:],
		"padded":              token + "==",
		"algorithm of none":   header(`{"typ":"JWT","alg":"none"}`) + "." + parts[1] + "." + parts[2],
		"header of version 1": header(`{"typ":"jwt","alg":"ed25519"}`) + "." + parts[1] + "." + parts[2],
		"space in the header": header(`{"typ":"JWT", "alg":"ed25519-nkey"}`) + "." + parts[1] + "." + parts[2],
	} {
		if _, err := readToken(bad); err == nil {
			t.Errorf("%s: read", name)
		}
		readsAsTheLibrary(t, bad)
	}
}

// TestTokensAreThoseOfTheLibrary: byte for byte, for whatever is granted and answered.
func TestTokensAreThoseOfTheLibrary(t *testing.T) {
	g, user := testGrant(t)
	signer, err := newSigner(g.Signer)
	if err != nil {
		t.Fatal(err)
	}
	server, err := nkeys.CreateServer()
	if err != nil {
		t.Fatal(err)
	}
	serverKey := publicOf(t, server)
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "ada", "<&>", "\u2028", `"\`, "\xff"}))
	rapid.Check(t, func(t *rapid.T) {
		claims := jwt.NewUserClaims(user)
		claims.Name, claims.IssuerAccount = text.Draw(t, "name"), g.Account
		claims.Tags.Add(rapid.SliceOf(text).Draw(t, "tags")...)
		claims.Expires = rapid.Int64Min(0).Draw(t, "expires")
		claims.Pub.Allow = rapid.SliceOf(text).Draw(t, "allow")
		claims.Sub.Deny = rapid.SliceOf(text).Draw(t, "deny")
		if rapid.Bool().Draw(t, "responses") {
			claims.Resp = &jwt.ResponsePermission{MaxMsgs: rapid.Int().Draw(t, "max"), Expires: time.Second}
		}
		claims.SetScoped(rapid.Bool().Draw(t, "scoped"))
		want, err := claims.Encode(g.Signer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := signer.token(claims, time.Unix(claims.IssuedAt, 0))
		if err != nil || got != want {
			t.Fatalf("user token\n%s, %v, the library's\n%s", got, err, want)
		}

		answer := jwt.NewAuthorizationResponseClaims(user)
		answer.Audience, answer.IssuerAccount = serverKey, g.Account
		answer.Jwt, answer.Error = text.Draw(t, "jwt"), text.Draw(t, "error")
		if want, err = answer.Encode(g.Signer); err != nil {
			t.Fatal(err)
		}
		if got, err = signer.token(answer, time.Unix(answer.IssuedAt, 0)); err != nil || got != want {
			t.Fatalf("answer\n%s, %v, the library's\n%s", got, err, want)
		}
	})
}

// TestWhatIsIssuedIsOfTheRightKind: the types and versions that the library would set.
func TestWhatIsIssuedIsOfTheRightKind(t *testing.T) {
	h := newFuzzHall(t)
	header, data := h.message(t, asClaims, claimsOf(t, recordedRequests(t)["password"]))
	a := h.answer(header, data)
	h.checkAnswer(t, a)
	token, err := h.serverX.Open(a.Data, h.calloutX)
	if err != nil {
		t.Fatal(err)
	}
	var answer, user struct {
		NATS struct {
			Type    string
			Version int
			JWT     string
		}
	}
	read := func(token string, into any) {
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read(string(token), &answer)
	read(answer.NATS.JWT, &user)
	if answer.NATS.Type != "authorization_response" || answer.NATS.Version != 2 || user.NATS.Type != "user" || user.NATS.Version != 2 {
		t.Errorf("answer %+v with user %+v", answer, user)
	}
}

func TestASignerHasTheKeyOfItsPair(t *testing.T) {
	all := newSigners()
	g, _ := testGrant(t)
	one, err := all.of(g.Signer)
	if err != nil || one.public != publicOf(t, g.Signer) {
		t.Fatalf("%+v, %v", one, err)
	}
	if again, err := all.of(g.Signer); err != nil || again != one {
		t.Errorf("the same pair again: %p and %p, %v", one, again, err)
	}
	other, _ := testGrant(t)
	if two, err := all.of(other.Signer); err != nil || two.public == one.public {
		t.Errorf("another pair: %+v, %v", two, err)
	}
	for name, create := range map[string]func() (nkeys.KeyPair, error){
		"user":        nkeys.CreateUser,
		"curve":       nkeys.CreateCurveKeys,
		"public only": func() (nkeys.KeyPair, error) { return nkeys.FromPublicKey(publicOf(t, g.Signer)) },
	} {
		pair, err := create()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all.of(pair); err == nil {
			t.Errorf("%s: it signs", name)
		}
	}
}

// TestBoxesAreThoseOfXKeys in both directions, and refuse what those refuse.
func TestBoxesAreThoseOfXKeys(t *testing.T) {
	create := func() (nkeys.KeyPair, string) {
		pair, err := nkeys.CreateCurveKeys()
		if err != nil {
			t.Fatal(err)
		}
		return pair, publicOf(t, pair)
	}
	ours, us := create()
	server, them := create()
	_, stranger := create()
	boxes, err := newBoxes(ours)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 1, 3000).Draw(t, "text")
		sealed, err := boxes.seal(text, them)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := server.Open(sealed, us); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("their reading: %v", err)
		}
		if sealed, err = server.Seal(text, us); err != nil {
			t.Fatal(err)
		}
		if got, err := boxes.open(sealed, them); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("our reading: %v", err)
		}
		if _, err := boxes.open(sealed, stranger); err == nil {
			t.Fatal("opened as another's")
		}
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= 1
		if _, err := boxes.open(sealed, them); err == nil {
			t.Fatal("opened though changed")
		}
		short := rapid.SliceOfN(rapid.Byte(), 0, boxStart+20).Draw(t, "short")
		if _, err := boxes.open(append([]byte(boxVersion), short...), them); err == nil {
			t.Fatal("opened what is none")
		}
	})
	for range maxServers + 1 {
		_, key := create()
		if _, err := boxes.seal([]byte("x"), key); err != nil {
			t.Fatal(err)
		}
	}
	if n := boxes.shared.Len(); n != maxServers {
		t.Errorf("%d keys kept", n)
	}
}
