package trust_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"keyhall.dev/keyhall/trust"
)

func TestANameIsBroughtToItsNormalForm(t *testing.T) {
	for _, row := range []struct{ what, text, want string }{
		{"plain", "alice", "alice"},
		{"digits, dash and underscore", "4lice-b_2", "4lice-b_2"},
		{"capitals are folded", "ALICE", "alice"},
		{"sharp s is folded", "Straße", "strasse"},
		{"final sigma is folded", "ΣΊΣΥΦΟΣ", "σίσυφοσ"},
		{"a ligature comes apart", "ﬁnn", "finn"},
		{"full width becomes plain", "Ａｌｉｃｅ２", "alice2"},
		{"a mark joins its letter", "re\u0301mi", "rémi"},
		{"two marks are put in order", "a\u0323\u0302", "ậ"},
		{"the kelvin sign is a k", "\u212Aeyhall", "keyhall"},
		{"han with hiragana", "漢字かな", "漢字かな"},
		{"hiragana with katakana", "かなカナ", "かなカナ"},
		{"half width katakana", "ｶﾅ", "カナ"},
		{"han with hangul", "漢한", "漢한"},
		{"han with bopomofo", "漢ㄅ", "漢ㄅ"},
		{"jamo become syllables", "\u1112\u1161\u11ab", "한"},
		{"marks of devanagari", "हिन्दी", "हिन्दी"},
		{"arabic", "مريم", "مريم"},
		{"digits of another script", "मीरा४", "मीरा४"},
		{"a letter of all scripts", "taʼalla", "taʼalla"},
		{"all cyrillic", "Мария", "мария"},
	} {
		got, err := trust.Name(row.text)
		if err != nil || got != row.want {
			t.Errorf("%s: %q gives %q, %v; want %q", row.what, row.text, got, err, row.want)
		}
		if !trust.IsName(row.want) {
			t.Errorf("%s: %q is not in its normal form", row.what, row.want)
		}
	}
}

func TestTextThatCanBeNoNameIsRefused(t *testing.T) {
	for what, text := range map[string]string{
		"nothing":                    "",
		"a star":                     "*",
		"a star inside":              "ali*ce",
		"an arrow":                   ">",
		"an arrow behind":            "alice>",
		"a full width star":          "ali＊ce",
		"a full width arrow":         "＞",
		"a dot":                      "alice.bob",
		"a full width dot":           "alice．bob",
		"an ideographic dot":         "alice。bob",
		"a one dot leader":           "alice\u2024bob",
		"an ellipsis":                "alice…",
		"dots alone":                 "..",
		"a slash":                    "alice/bob",
		"a division slash":           "alice\u2215bob",
		"a full width slash":         "alice／bob",
		"account of":                 "℀",
		"a backslash":                `alice\bob`,
		"a space":                    "alice bob",
		"a space behind":             "alice ",
		"a no-break space":           "alice\u00a0bob",
		"an ideographic space":       "alice\u3000bob",
		"a tab":                      "alice\tbob",
		"a line break":               "alice\n",
		"a zero byte":                "alice\x00",
		"delete":                     "alice\x7f",
		"a c1 control":               "alice\u0085",
		"a zero width space":         "ali\u200bce",
		"a zero width joiner":        "ali\u200dce",
		"a soft hyphen":              "ali\u00adce",
		"a byte order mark":          "\ufeffalice",
		"right to left override":     "\u202ealice",
		"a line separator":           "alice\u2028",
		"not utf-8":                  "ali\xffce",
		"half a surrogate":           "ali\xed\xa0\x80ce",
		"an emoji":                   "alice🙂",
		"a dollar":                   "$SYS",
		"a colon":                    "a:b",
		"an at sign":                 "a@b",
		"an equals sign":             "a=b",
		"a quote":                    `a"b`,
		"a dash first":               "-alice",
		"an underscore first":        "_INBOX",
		"a mark first":               "\u0301alice",
		"a mark after a digit":       "4\u0301",
		"a mark after a dash":        "a-\u0301",
		"a spacing accent":           "a\u00b4", // NFKC: a space and a mark
		"a roman numeral in cyrilic": "аⅣ",
		"a fraction":                 "½",
		"a circled digit alone":      "⓪a⒈", // the second comes apart into a digit and a dot
	} {
		if got, err := trust.Name(text); !errors.Is(err, trust.ErrName) {
			t.Errorf("%s: %q gives %q, %v", what, text, got, err)
		}
		if trust.IsName(text) {
			t.Errorf("%s: %q passes for a name", what, text)
		}
	}
}

func TestLettersOfTwoScriptsDoNotMix(t *testing.T) {
	for _, text := range []string{
		"аlice",   // a Cyrillic a
		"aliсe",   // a Cyrillic es
		"αlice",   // Greek
		"alicе",   // Cyrillic, last
		"p\u03bf", // a Greek omicron
		"漢字abc", "かなabc", "한abc", "ㄅabc", "かな한", "カナㄅ", "漢かな한", "한ㄅ", "漢한かな",
		"מariam", "հello", "ꭺlice"[:3] + "bob",
	} {
		if got, err := trust.Name(text); !errors.Is(err, trust.ErrName) {
			t.Errorf("%+q gives %+q, %v", text, got, err)
		}
	}
}

func TestANameHasItsBounds(t *testing.T) {
	for _, row := range []struct {
		what, text string
		good       bool
	}{
		{"one character", "a", true},
		{"32 characters", strings.Repeat("a", 32), true},
		{"33 characters", strings.Repeat("a", 33), false},
		{"32 characters of two bytes", strings.Repeat("é", 32), true},
		{"21 characters of three bytes", strings.Repeat("한", 21), true},
		{"22 characters of three bytes", strings.Repeat("한", 22), false},
		{"16 characters of four bytes", strings.Repeat("𠀀", 16), true},
		{"17 characters of four bytes", strings.Repeat("𠀀", 17), false},
		{"longer before it is normalized", strings.Repeat("Ａ", 32), true},
		{"longer after it is normalized", strings.Repeat("ﬃ", 11), false},
		{"one character of eighteen", "\ufdfa", false}, // and it holds spaces
		{"an account key", trust.NewKeyPair(trust.Account).String(), false},
		{"very long", strings.Repeat("a", 1<<20), false},
	} {
		name, err := trust.Name(row.text)
		if row.good != (err == nil) {
			t.Errorf("%s: %q, %v", row.what, name, err)
		}
		if err != nil && !errors.Is(err, trust.ErrName) {
			t.Errorf("%s: %v", row.what, err)
		}
	}
}

func TestANameInAnotherFormIsNotOne(t *testing.T) {
	for _, text := range []string{"Alice", "re\u0301mi", "ﬁnn", "ａlice", "Straße", ""} {
		if trust.IsName(text) {
			t.Errorf("%q passes for a normal form", text)
		}
	}
}

// checkName holds what a name promises to everybody who puts it into a subject or a path.
func checkName(t interface {
	Helper()
	Fatalf(string, ...any)
}, text string,
) {
	t.Helper()
	name, err := trust.Name(text)
	if err != nil {
		if !errors.Is(err, trust.ErrName) || name != "" {
			t.Fatalf("%+q: %q, %v", text, name, err)
		}
		return
	}
	if again, err := trust.Name(name); err != nil || again != name {
		t.Fatalf("%+q gives %+q, and that gives %+q, %v", text, name, again, err)
	}
	if !trust.IsName(name) {
		t.Fatalf("%+q gives %+q, which is no name", text, name)
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > 32 || len(name) > 64 || !utf8.ValidString(name) {
		t.Fatalf("%+q gives %+q of %d characters", text, name, n)
	}
	for _, r := range name {
		special := strings.ContainsRune(`.*>/\$:"'<|?`, r) || unicode.IsSpace(r) || unicode.IsControl(r)
		if special || unicode.Is(unicode.Cf, r) || unicode.IsUpper(r) && unicode.ToLower(r) != r && !isCherokee(r) {
			t.Fatalf("%+q gives %+q with %q in it", text, name, r)
		}
	}
}

func isCherokee(r rune) bool { return unicode.Is(unicode.Cherokee, r) }

// nameText draws text near the edge of what can be a name.
func nameText() *rapid.Generator[string] {
	tricky := []rune("aAzß٣4-_.*>/\\ \u0301\u0345\u0327αάΣςᾴ\u1fb4漢かカー한ㄅ\u1112\u1161\u11abﬁﷺİıſK½…․\u200d\u00ad\u2028\x00")
	one := rapid.OneOf(
		rapid.Rune(), rapid.SampledFrom(tricky), rapid.RuneFrom(nil, unicode.L, unicode.M),
		rapid.RuneFrom(nil, unicode.Latin, unicode.Greek, unicode.Inherited),
	)
	return rapid.StringOfN(one, 0, 8, -1)
}

func TestNameOfANameIsTheName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := nameText().Draw(t, "text")
		checkName(t, text)
	})
}

func TestCherokeeNamesHaveANormalForm(t *testing.T) {
	for text, want := range map[string]string{
		"Ꮳ": "Ꮳ", "ꮳ": "Ꮳ", "ᏣᎳᎩ": "ᏣᎳᎩ", "ꮳꮃꭹ": "ᏣᎳᎩ", "ꮳᎳꭹ": "ᏣᎳᎩ", "Ꮳꮃꭹ": "ᏣᎳᎩ", "ᏸ": "Ᏸ", "Ᏸ": "Ᏸ",
	} {
		name, err := trust.Name(text)
		if err != nil || name != want || !trust.IsName(name) {
			t.Errorf("%s gives %s, want %s: %v", text, name, want, err)
		}
	}
}

// TestANameShowsAllItsCharacters: characters that nobody sees are letters and marks by their
// category; with them "alice" would have twins that look the same.
func TestANameShowsAllItsCharacters(t *testing.T) {
	for what, text := range map[string]string{
		"a variation selector":                "ali\ufe0fce",
		"a variation selector of the rest":    "alice\U000e0100",
		"the combining grapheme joiner":       "al\u034fice",
		"the hangul filler":                   "\u3164",
		"the hangul filler among letters":     "한\u3164",
		"the choseong filler":                 "\u115f",
		"a mongolian free variation selector": "ᠠ\u180b",
		"an inherent vowel of khmer":          "ក\u17b4",
	} {
		if name, err := trust.Name(text); err == nil {
			t.Errorf("%s: %+q is a name", what, name)
		}
	}
}
