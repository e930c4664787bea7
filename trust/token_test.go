package trust_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/trust"
)

const (
	day      = 24 * time.Hour
	tokenTop = `{"typ":"JWT","alg":"ed25519-nkey"}`
)

// claims are those of a device token, as a map that tests change.
func claims(t testing.TB, identity, device *trust.KeyPair) map[string]any {
	t.Helper()
	token, err := trust.IssueDevice(identity, device.Public(), "laptop", time.Now(), time.Now().Add(day))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Text, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// payloadOf is the JSON of claims, with its members in the order of nats-io/jwt where that
// library has them at all.
func payloadOf(t testing.TB, m map[string]any) string {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var known jwt.UserClaims
	if json.Unmarshal(data, &known) != nil {
		return string(data)
	}
	if data, err = json.Marshal(known); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// signJWT signs a JWT as version 2 of nats-io/jwt does, whatever it says.
func signJWT(t testing.TB, signer *trust.KeyPair, payload any) string {
	t.Helper()
	raw, isText := payload.(string)
	if !isText {
		raw = payloadOf(t, payload.(map[string]any))
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(tokenTop)) + "." + base64.RawURLEncoding.EncodeToString([]byte(raw))
	sig := signer.Sign([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(sig[:])
}

func TestADeviceTokenSaysWhoseDeviceItIs(t *testing.T) {
	identity, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	now := time.Now()
	token, err := trust.IssueDevice(identity, device.Public(), "laptop", now, now.Add(day))
	if err != nil {
		t.Fatal(err)
	}
	again, err := trust.ParseDeviceToken(token.Text)
	if err != nil {
		t.Fatal(err)
	}
	if *again != *token {
		t.Errorf("%+v came back as %+v", token, again)
	}
	if token.Account != identity.Public() || token.Device != device.Public() || token.Name != "laptop" {
		t.Errorf("it says %+v", token)
	}
	if !token.Expires.Equal(now.Add(day).Truncate(time.Second)) || token.Expires.Location() != time.UTC {
		t.Errorf("it expires at %s", token.Expires)
	}
}

func TestADeviceTokenOpensItsAccountAtNATS(t *testing.T) {
	identity, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	token, err := trust.IssueDevice(identity, device.Public(), "laptop", time.Now(), time.Now().Add(day))
	if err != nil {
		t.Fatal(err)
	}
	user, err := jwt.DecodeUserClaims(token.Text)
	if err != nil {
		t.Fatal(err)
	}
	checked := jwt.CreateValidationResults()
	if user.Validate(checked); !checked.IsEmpty() {
		t.Errorf("NATS finds fault with it: %v", checked.Issues)
	}
	inbox := "_INBOX_" + device.String()
	if got := trust.InboxPrefix(device.Public()); got != inbox {
		t.Errorf("inbox %s", got)
	}
	want := jwt.Permissions{ // docs/protocol/subjects.md
		Pub: jwt.Permission{
			Allow: jwt.StringList{"hub.>", "from.>", "live.*.*", "own.>"}, Deny: jwt.StringList{"_INBOX.>", "_R_.>"},
		},
		Sub: jwt.Permission{
			Allow: jwt.StringList{inbox + ".>", "catalog.>", "news.>", "own.>"}, Deny: jwt.StringList{"_INBOX.>", "_R_.>"},
		},
		Resp: &jwt.ResponsePermission{MaxMsgs: 64, Expires: 2 * time.Minute},
	}
	got := user.Permissions
	if !slices.Equal(got.Pub.Allow, want.Pub.Allow) || !slices.Equal(got.Pub.Deny, want.Pub.Deny) ||
		!slices.Equal(got.Sub.Allow, want.Sub.Allow) || !slices.Equal(got.Sub.Deny, want.Sub.Deny) || *got.Resp != *want.Resp {
		t.Errorf("permissions %+v", got)
	}
}

func TestATokenIsNotIssuedForTooLongOrNotAtAll(t *testing.T) {
	identity, device, now := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device).Public(), time.Now()
	for life, good := range map[time.Duration]bool{
		time.Hour: true, 366 * day: true, 366*day + time.Second: false, 0: false, -time.Hour: false,
	} {
		if _, err := trust.IssueDevice(identity, device, "laptop", now, now.Add(life)); good != (err == nil) {
			t.Errorf("for %s: %v", life, err)
		} else if !good && !errors.Is(err, trust.ErrToken) {
			t.Errorf("for %s: %v", life, err)
		}
	}
	for _, name := range []string{"", "Laptop", "my laptop", "a.b"} {
		if _, err := trust.IssueDevice(identity, device, name, now, now.Add(day)); !errors.Is(err, trust.ErrName) {
			t.Errorf("named %q: %v", name, err)
		}
	}
	if _, err := trust.IssueDevice(trust.NewKeyPair(trust.Device), device, "laptop", now, now.Add(day)); err == nil {
		t.Error("a device issued a token")
	}
}

func TestATokenIsGoodFromTheTimeThatWasGiven(t *testing.T) {
	identity, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device).Public()
	now := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	token, err := trust.IssueDevice(identity, device, "laptop", now, now.Add(day))
	if err != nil {
		t.Fatal(err)
	}
	if !token.Issued.Equal(now) {
		t.Errorf("issued %s", token.Issued)
	}
}

// inner is a member of the token's nats object.
func inner(m map[string]any, path ...string) map[string]any {
	m = m["nats"].(map[string]any)
	for _, name := range path {
		m = m[name].(map[string]any)
	}
	return m
}

func TestATokenThatIsNoDevicesIsRefused(t *testing.T) {
	identity, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	other := trust.NewKeyPair(trust.Account)
	plain := claims(t, identity, device)
	issued := int64(plain["iat"].(float64))
	for what, change := range map[string]func(m map[string]any){
		"one subject more to publish":  func(m map[string]any) { add(inner(m, "pub"), "allow", "catalog.>") },
		"everything to publish":        func(m map[string]any) { delete(inner(m), "pub") },
		"no list of what to publish":   func(m map[string]any) { delete(inner(m, "pub"), "allow") },
		"one denial less":              func(m map[string]any) { inner(m, "pub")["deny"] = []string{"_R_.>"} },
		"no denial":                    func(m map[string]any) { delete(inner(m, "sub"), "deny") },
		"another's inbox":              func(m map[string]any) { add(inner(m, "sub"), "allow", "_INBOX_UAAA.>") },
		"everything to subscribe":      func(m map[string]any) { delete(inner(m), "sub") },
		"no responses":                 func(m map[string]any) { delete(inner(m), "resp") },
		"more responses":               func(m map[string]any) { inner(m, "resp")["max"] = 65 },
		"longer responses":             func(m map[string]any) { inner(m, "resp")["ttl"] = int64(time.Hour) },
		"bearer":                       func(m map[string]any) { inner(m)["bearer_token"] = true },
		"issued for another account":   func(m map[string]any) { inner(m)["issuer_account"] = other.String() },
		"another issuer than signed":   func(m map[string]any) { m["iss"] = other.String() },
		"no issuer":                    func(m map[string]any) { delete(m, "iss") },
		"about an account":             func(m map[string]any) { m["sub"] = other.String() },
		"about nobody":                 func(m map[string]any) { delete(m, "sub") },
		"a key with a line break":      func(m map[string]any) { m["sub"] = device.String() + "\n" },
		"an issuer with a line break":  func(m map[string]any) { m["iss"] = identity.String() + "\n" },
		"a name that is not normal":    func(m map[string]any) { m["name"] = "Laptop" },
		"no name":                      func(m map[string]any) { delete(m, "name") },
		"no end":                       func(m map[string]any) { delete(m, "exp") },
		"no beginning":                 func(m map[string]any) { delete(m, "iat") },
		"an end before the beginning":  func(m map[string]any) { m["exp"] = issued - 1 },
		"an end at the beginning":      func(m map[string]any) { m["exp"] = issued },
		"367 days":                     func(m map[string]any) { m["exp"] = issued + 367*86400 },
		"366 days and a second":        func(m map[string]any) { m["exp"] = issued + 366*86400 + 1 },
		"the end of time":              func(m map[string]any) { m["exp"] = int64(1<<63 - 1) },
		"all of time":                  func(m map[string]any) { m["iat"], m["exp"] = int64(-1<<63), int64(1<<63-1) },
		"another kind of token":        func(m map[string]any) { inner(m)["type"] = "activation" },
		"a newer version":              func(m map[string]any) { inner(m)["version"] = 3 },
		"a text of more than 4096":     func(m map[string]any) { inner(m)["tags"] = []string{strings.Repeat("x", 4096)} },
		"the permissions of another":   func(m map[string]any) { m["sub"] = trust.NewKeyPair(trust.Device).String() },
		"the permissions in any order": func(m map[string]any) { slices.Reverse(inner(m, "pub")["deny"].([]any)) },
	} {
		m := clone(t, plain)
		change(m)
		if _, err := trust.ParseDeviceToken(signJWT(t, identity, m)); !errors.Is(err, trust.ErrToken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := trust.ParseDeviceToken(signJWT(t, identity, plain)); err != nil {
		t.Errorf("unchanged it is refused too: %v", err)
	}
}

func add(m map[string]any, list, subject string) { m[list] = append(m[list].([]any), subject) }

func clone(t testing.TB, m map[string]any) map[string]any {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	c["iat"], c["exp"] = int64(m["iat"].(float64)), int64(m["exp"].(float64))
	return c
}

// A device key could otherwise vouch for others, and so could one that the identity once
// listed as an account signing key.
func TestATokenIsSignedByTheIdentityItself(t *testing.T) {
	identity, signing := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Account)
	device := trust.NewKeyPair(trust.Device)
	bySigningKey := claims(t, identity, device)
	bySigningKey["iss"] = signing.String()
	inner(bySigningKey)["issuer_account"] = identity.String()
	byDevice := claims(t, identity, device)
	byDevice["iss"] = device.String()
	for what, text := range map[string]string{
		"a signing key of the account": signJWT(t, signing, bySigningKey),
		"a signing key, unsaid":        signJWT(t, signing, claims(t, identity, device)),
		"a device":                     signJWT(t, device, byDevice),
		"an operator":                  signJWT(t, trust.NewKeyPair(trust.Operator), claims(t, identity, device)),
	} {
		if _, err := trust.ParseDeviceToken(text); !errors.Is(err, trust.ErrToken) {
			t.Errorf("by %s: %v", what, err)
		}
	}
}

func TestAChangedTokenIsRefused(t *testing.T) {
	identity, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	text := signJWT(t, identity, claims(t, identity, device))
	for i := 0; i < len(text); i += 7 {
		changed := []byte(text)
		if changed[i]++; changed[i] == '[' || changed[i] == '{' || changed[i] == ':' {
			changed[i] = 'A'
		}
		if _, err := trust.ParseDeviceToken(string(changed)); !errors.Is(err, trust.ErrToken) {
			t.Errorf("character %d changed: %v", i, err)
		}
	}
	for _, wrong := range []string{"", ".", "..", "a.b.c", text[:len(text)/2], text + ".", "SU" + text} {
		if _, err := trust.ParseDeviceToken(wrong); !errors.Is(err, trust.ErrToken) {
			t.Errorf("%.20q: %v", wrong, err)
		}
	}
}

func TestATokenIsGoodForItsTime(t *testing.T) {
	token := &trust.DeviceToken{
		Issued:  time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		Expires: time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC),
	}
	for _, row := range []struct {
		what string
		at   time.Time
		good bool
	}{
		{"at its beginning", token.Issued, true},
		{"ten minutes before", token.Issued.Add(-10 * time.Minute), true},
		{"more than ten minutes before", token.Issued.Add(-10*time.Minute - time.Millisecond), false},
		{"at its end", token.Expires, true},
		{"after its end", token.Expires.Add(time.Millisecond), false},
	} {
		if err := token.GoodAt(row.at); row.good != (err == nil) || (err != nil && !errors.Is(err, trust.ErrToken)) {
			t.Errorf("%s: %v", row.what, err)
		}
	}
}

func TestATokenHasOneTextAndOneReading(t *testing.T) {
	identity, device, other := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device), trust.NewKeyPair(trust.Device)
	plain := claims(t, identity, device)
	text := signJWT(t, identity, plain)
	payload := payloadOf(t, plain)
	with := func(old, new string) string {
		if !strings.Contains(payload, old) {
			t.Fatalf("no %s in %s", old, payload)
		}
		return strings.Replace(payload, old, new, 1)
	}
	sub := `"sub":"` + device.String() + `"`
	for what, text := range map[string]string{
		"a line break in the signature": text[:len(text)-4] + "\n" + text[len(text)-4:],
		"loose bits in the signature":   text[:len(text)-1] + string(rune(text[len(text)-1]+1)),
		"version 1":                     signVersion1(t, identity, plain),
		"a member twice":                signJWT(t, identity, with(sub, `"sub":"`+other.String()+`",`+sub)),
		"a member in another case":      signJWT(t, identity, with(sub, `"sub":"`+other.String()+`","Sub":"`+device.String()+`"`)),
		"a member that nobody knows":    signJWT(t, identity, with(sub, `"crit":["x"],`+sub)),
		"white space":                   signJWT(t, identity, " "+payload),
	} {
		if token, err := trust.ParseDeviceToken(text); err == nil {
			t.Errorf("%s: taken for the token of %s", what, token.Device.Text(trust.Device))
		}
	}
}

func signVersion1(t testing.TB, identity *trust.KeyPair, m map[string]any) string {
	t.Helper()
	m = maps.Clone(m)
	m["type"] = "user"
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	payload := base64.RawURLEncoding.EncodeToString(data)
	sig := identity.Sign([]byte(payload))
	return base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"jwt","alg":"ed25519"}`)) + "." + payload +
		"." + base64.RawURLEncoding.EncodeToString(sig[:])
}

func TestATokensSignatureFollowsTheOneRule(t *testing.T) {
	identity := trust.PublicKey(unhex(t, smallOrder[4])) // order 8
	text, err := nkeys.Encode(nkeys.PrefixByteAccount, identity[:])
	if err != nil {
		t.Fatal(err)
	}
	m := claims(t, trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device))
	m["iss"] = string(text)
	sig := append(unhex(t, smallOrder[0]), make([]byte, 32)...)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		m["name"] = name
		data := []byte(payloadOf(t, m))
		signed := base64.RawURLEncoding.EncodeToString([]byte(tokenTop)) + "." + base64.RawURLEncoding.EncodeToString(data)
		_, parsed := trust.ParseDeviceToken(signed + "." + base64.RawURLEncoding.EncodeToString(sig))
		if holds := trust.Verify(identity, []byte(signed), sig); holds != (parsed == nil) {
			t.Errorf("name %s: the signature holds: %v, the token: %v", name, holds, parsed)
		}
	}
}

func TestATokensTimesHaveAText(t *testing.T) {
	identity, device := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	for _, issued := range []int64{253402300800, 1 << 40, 1 << 62, -62135596801 - 86400, -1 << 40} {
		m := clone(t, claims(t, identity, device))
		m["iat"], m["exp"] = issued, issued+86400
		token, err := trust.ParseDeviceToken(signJWT(t, identity, m))
		if err != nil {
			continue
		}
		if _, err := json.Marshal(token); err != nil {
			t.Errorf("issued at %d: accepted, and %v", issued, err)
		}
	}
}
