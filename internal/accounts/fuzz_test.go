package accounts_test

import (
	"regexp"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/accounts"
)

// What a NATS server says it has for an account: the same only if it says the same.
func FuzzSameAccount(f *testing.F) {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		f.Fatal(err)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		f.Fatal(err)
	}
	public, err := account.PublicKey()
	if err != nil {
		f.Fatal(err)
	}
	claims := jwt.NewAccountClaims(public)
	claims.Name = "alice"
	token, err := claims.Encode(operator)
	if err != nil {
		f.Fatal(err)
	}
	other := jwt.NewAccountClaims(public)
	other.Name, other.Limits.Conn = "alice", 1
	limited, err := other.Encode(operator)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{token, limited, token + "\n", "", "a.b.c", token[:len(token)/2]} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !accounts.SameAccount(text, claims) {
			return
		}
		known, err := jwt.DecodeAccountClaims(text)
		if err != nil || known.Name != "alice" || known.Limits.Conn != claims.Limits.Conn || len(known.Exports)+len(known.Imports) > 0 {
			t.Fatalf("%q passes for the account's", text)
		}
	})
}

// A server whose version cannot be read is not a safe one.
func FuzzCheckVersion(f *testing.F) {
	for _, version := range []string{"2.15.1", "2.15.0", "2.14.8", "2.14.7", "2.13.99", "3.0.0", "2.16.0-beta", "", "v2.15.1", "2.15", "2.-1.9", "99999999999999999999.1.1", "2.15.1\n"} {
		f.Add(version)
	}
	numbers := regexp.MustCompile(`^\d+\.\d+\.\d+`)
	f.Fuzz(func(t *testing.T, version string) {
		if accounts.CheckVersion("n1", version) == nil && !numbers.MatchString(version) {
			t.Fatalf("%q passes for a safe version", version)
		}
	})
}
