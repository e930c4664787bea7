package certs_test

import (
	"strings"
	"testing"

	"keyhall.dev/keyhall/internal/callout/backend/certs"
)

// What a pattern matches has as many labels as it, and none of them is a wildcard or empty.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][3]string{
		{"cn", "*.workers", "a.workers"},
		{"cn", "ada", "ada"},
		{"cn", "*", "a.b"},
		{"dns", "*.example.org", "*.example.org"},
		{"dns", "a", "A"},
		{"email", "*@example.org", "ada@example.org"},
		{"email", "*@*", "@"},
		{"uri", "spiffe://a/*", "spiffe://a/b"},
		{"uri", "spiffe://a/*", "spiffe://a/"},
		{"cn", "", ""},
		{"cn", "\xff", "\xff"},
		{"uri", "::", "::"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, kind, pattern, name string) {
		matched, isPattern := certs.Matches(kind, pattern, name)
		if !matched {
			same := pattern == name && isPattern && !strings.Contains(pattern, "*")
			if same && kind != "uri" {
				t.Fatalf("%s: %q does not match itself", kind, pattern)
			}
			return
		}
		if strings.Count(pattern, ".") != strings.Count(name, ".") && kind != "uri" && kind != "email" {
			t.Fatalf("%s: %q matches %q", kind, pattern, name)
		}
		if strings.ContainsAny(name, "*>\x00\n\t") || name == "" {
			t.Fatalf("%s: %q matches %q", kind, pattern, name)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"ada", "cn=ada email=ada@example.org", "uri=spiffe://a/b", "AA:BB", "", "cn=", "dns=*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for kind, list := range certs.NamesIn(text) {
			for _, name := range list {
				if name == "" || strings.ContainsAny(name, "*>\n") {
					t.Fatalf("%q has the %s %q", text, kind, name)
				}
			}
		}
	})
}
