package trust_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keyhall.dev/keyhall/trust"
)

func TestAnIDComesBackFromItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		text := trust.FormatID(raw)
		if len(text) != 26 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Fatalf("text %q", text)
		}
		if again, err := trust.ParseID(text); err != nil || again != raw {
			t.Fatalf("%x, %v; want %x", again, err, raw)
		}
	})
}

func TestNewIDsDiffer(t *testing.T) {
	if a, b := trust.NewID(), trust.NewID(); a == b {
		t.Errorf("%s twice", a)
	}
}

// TestAnIDHasOneText: of the 32 last characters only those with the two unused bits
// zero stand for an id.
func TestAnIDHasOneText(t *testing.T) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	text := strings.Repeat("a", 25)
	for i, last := range alphabet {
		_, err := trust.ParseID(text + string(last))
		if canonical := i%4 == 0; canonical != (err == nil) {
			t.Errorf("last character %c: %v", last, err)
		}
	}
}

func TestTextThatIsNoIDIsRefused(t *testing.T) {
	id := trust.NewID()
	for name, text := range map[string]string{
		"nothing":             "",
		"upper case":          strings.ToUpper("a" + id[1:]),
		"a line break":        id[:5] + "\n" + id[5:],
		"a line break behind": id + "\n",
		"padding":             id + "======",
		"one character less":  id[:25],
		"one character more":  id + "a",
		"a wildcard":          "*" + id[1:],
		"a dot":               "." + id[1:],
		"a 1":                 "1" + id[1:],
	} {
		if _, err := trust.ParseID(text); !errors.Is(err, trust.ErrID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
