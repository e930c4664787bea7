package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestWhatOthersWroteCannotControlTheTerminal(t *testing.T) {
	for given, want := range map[string]string{
		"plain text, naïve 日本語 👩‍🚀":  "plain text, naïve 日本語 👩‍🚀",
		"red \x1b[31mtext":           `red \x1b[31mtext`,
		"\x1b]0;title\a":             `\x1b]0;title\x07`,
		"two\nlines":                 `two\nlines`,
		"over\rwritten":              `over\rwritten`,
		"tab\there":                  `tab\there`,
		"rub\bout\x7f":               `rub\x08out\x7f`,
		"eight-bit \u009b31m":        `eight-bit \u009b31m`,
		"raw eight-bit \x9b31m":      `raw eight-bit \x9b31m`,
		"photo\u202egpj.exe":         `photo\u202egpj.exe`,
		"iso\u2066late\u2069":        `iso\u2066late\u2069`,
		"line\u2028paragraph\u2029":  `line\u2028paragraph\u2029`,
		"invisible\u200b\ufeff":      `invisible\u200b\ufeff`,
		"tagged\U000e0041":           `tagged\U000e0041`,
		"nul\x00":                    `nul\x00`,
		"a backslash \\n stays":      `a backslash \n stays`,
		"the replacement \ufffd too": "the replacement \ufffd too",
	} {
		if got := clean(given); got != want {
			t.Errorf("clean(%q) = %q, want %q", given, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "hello", "\x1b[2J", "\xff\xfe", "\u202e", "\u009b", "é", "\U000e0041"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		if !utf8.ValidString(got) {
			t.Fatalf("clean(%q) is not UTF-8", text)
		}
		if at := strings.IndexFunc(got, controls); at >= 0 {
			t.Fatalf("clean(%q) = %q has a control character at %d", text, got, at)
		}
		if clean(got) != got {
			t.Fatalf("a second clean changes %q to %q", got, clean(got))
		}
		if utf8.ValidString(text) && strings.IndexFunc(text, invisible) < 0 && got != text {
			t.Fatalf("clean changed %q to %q, and need not have", text, got)
		}
	})
}

// controls is written apart from the code under test, from what terminals and the
// bidirectional algorithm obey.
func controls(r rune) bool {
	return r < 0x20 || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 || r == 0x061c ||
		r == 0x200e || r == 0x200f || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

func invisible(r rune) bool {
	return controls(r) || !(unicode.IsGraphic(r) || r == zeroWidthJoiner || r == zeroWidthNonJoiner)
}

func FuzzCleanJSON(f *testing.F) {
	for _, seed := range []string{"", "hello", "\x1b[2J", "\u202e", "\u009b\x7f", "\U000e0041 <&>", "\\u0041"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out strings.Builder
		p := &printer{w: &out}
		p.object(map[string]string{"text": text})
		line, ended := strings.CutSuffix(out.String(), "\n")
		if !ended || strings.IndexFunc(line, controls) >= 0 {
			t.Fatalf("%q became %q", text, out.String())
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(line), &back); err != nil {
			t.Fatalf("%q became %q: %v", text, line, err)
		}
		if want := strings.ToValidUTF8(text, "\ufffd"); utf8.ValidString(text) && back["text"] != want {
			t.Fatalf("%q came back as %q", text, back["text"])
		}
	})
}
