package users_test

import (
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/callout/backend/backendtest"
	"keyhall.dev/keyhall/internal/callout/backend/users"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/natstest"
)

// The parts of a hash.
const (
	salt = "c29tZXNhbHQ"
	key  = "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

func TestTheHashOfAPasswordIsItsOwn(t *testing.T) {
	first, err := users.Hash("right horse")
	if err != nil || !strings.HasPrefix(first, users.Default) {
		t.Fatalf("%s, %v", first, err)
	}
	if one, other := users.Cheap("right horse"), users.Cheap("right horse"); one == other {
		t.Errorf("two hashes of one password are %s", one)
	}
	b := load(t, `{"ada": {"pass": "`+first+`", "account": "A"}}`, backendtest.Accounts(t, "A"), nil)
	for password, want := range map[string]bool{"right horse": true, "right horse ": false} {
		request := login("ada", password)
		if _, err := b.Authorize(natstest.Within(t), &request); want != (err == nil) {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestWhatIsNoPasswordHasNoHash(t *testing.T) {
	for what, password := range map[string]string{
		"nothing": "", "two lines": "a\nb", "a zero": "a\x00", "not UTF-8": "\xff", "a bearer token": bearer,
	} {
		if hash, err := users.Hash(password); !fault.Is(err, fault.Malformed) {
			t.Errorf("%s: %s, %v", what, hash, err)
		}
	}
	if hash, err := users.Hash(strings.Repeat("x", 1025)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("a long one: %s, %v", hash, err)
	}
}

func TestAHashHasOneForm(t *testing.T) {
	good := "$argon2id$v=19$m=64,t=2,p=1$" + salt + "$" + key
	if got, err := users.ParseHash(good); err != nil || got != good {
		t.Errorf("%s, %v", got, err)
	}
	for what, text := range map[string]string{
		"nothing": "", "another kind": strings.Replace(good, "argon2id", "argon2i", 1), "another version": strings.Replace(good, "v=19", "v=16", 1),
		"no version": strings.Replace(good, "$v=19", "", 1), "another order": strings.Replace(good, "m=64,t=2", "t=2,m=64", 1),
		"a leading zero": strings.Replace(good, "m=64", "m=064", 1), "a sign": strings.Replace(good, "t=2", "t=+2", 1),
		"a space": strings.Replace(good, "t=2", "t= 2", 1), "too much memory": strings.Replace(good, "m=64", "m=262145", 1),
		"too little memory": strings.Replace(good, "m=64", "m=7", 1), "too many passes": strings.Replace(good, "t=2", "t=17", 1),
		"no pass": strings.Replace(good, "t=2", "t=0", 1), "too many lanes": strings.Replace(good, "p=1", "p=17", 1),
		"no lane": strings.Replace(good, "p=1", "p=0", 1), "a number that overflows": strings.Replace(good, "m=64", "m=4294967360", 1),
		"lanes that overflow": strings.Replace(good, "p=1", "p=257", 1), "a short salt": strings.Replace(good, salt, "c29tZQ", 1),
		"padding": strings.Replace(good, salt, salt+"=", 1), "loose bits": strings.Replace(good, salt, "c29tZXNhbHR", 1),
		"a line break": strings.Replace(good, salt, "c29tZ\nXNhbHQ", 1), "no hash": strings.Replace(good, key, "", 1),
		"a short hash": strings.Replace(good, key, "CTFhFdXPJO0", 1), "something behind": good + "$", "a line break behind": good + "\n",
		"a field more": strings.Replace(good, "p=1", "p=1,x=1", 1), "a long hash": good + strings.Repeat("A", 80),
	} {
		if got, err := users.ParseHash(text); err == nil {
			t.Errorf("%s is read as %s", what, got)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	good := "$argon2id$v=19$m=64,t=2,p=1$" + salt + "$" + key
	for _, seed := range []string{good, "", "$argon2id$", good + "$", strings.Replace(good, "64", "064", 1), "$2a$11$x", "$argon2id$v=19$m=,t=,p=$$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if again, err := users.ParseHash(text); err == nil && again != text {
			t.Fatalf("%q is %q", text, again)
		}
	})
}

func FuzzUsersFile(f *testing.F) {
	for _, seed := range []string{
		`{"alice": {"pass": "x", "account": "A"}}`, `{"users": {"alice": {"pass": "` + users.Cheap("x") + `", "role": "r"}}}`,
		`{"bob": {"pass": "x", "account": "A", "permissions": {"pub": {"allow": "bob.>"}, "resp": {"max": 1}}, "life": "1h", "tags": ["a"]}}`,
		`{"a": {}, "a": {}}`, `{"a": {"pass": "x", "Pass": "y"}}`, `{`, `[]`, ``, `{"a": 5}`, "{\"\x00\": {}}",
	} {
		f.Add([]byte(seed))
	}
	accounts := backendtest.Accounts(f, "A")
	roles := map[string]policy.Role{"r": own("A")}
	f.Fuzz(func(t *testing.T, content []byte) {
		b, _, err := users.Parse("users.json", content, accounts, roles)
		if err != nil {
			if code := fault.CodeOf(err); code != fault.Malformed && code != fault.TooLarge && code != fault.Refused {
				t.Fatalf("%q: %v", content, err)
			}
			return
		}
		if b == nil || strings.Contains(b.String(), "argon2") {
			t.Fatalf("%q: %v", content, b)
		}
	})
}
