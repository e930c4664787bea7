package trust_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"keyhall.dev/keyhall/trust"
)

// letter has a member of every kind that bodies have.
type letter struct {
	Text  string    `json:"text"`
	Count int       `json:"count"`
	Yes   bool      `json:"yes"`
	Data  []byte    `json:"data"`
	When  time.Time `json:"when,omitzero"`
	Note  string    `json:"note,omitempty"`
	Parts []part    `json:"parts,omitempty"`
}

type part struct {
	Name string `json:"name"`
}

const plainLetter = `{"text":"hello","count":1,"yes":true,"data":"AQI="}`

func TestCanonicalJSONHasOneForm(t *testing.T) {
	full := letter{
		Text: "a\"b\\c\b\f\n\r\t\x01\x1f\x7f/<>&é\u2028\u2029🙂", Count: -12, Data: []byte{0xfb, 0xff},
		When: time.Date(2026, 11, 22, 14, 8, 50, 120e6, time.UTC), Note: "n", Parts: []part{{"x"}, {""}},
	}
	const want = `{"text":"a\"b\\c\b\f\n\r\t\u0001\u001f` + "\x7f/<>&é\u2028\u2029🙂" +
		`","count":-12,"yes":false,"data":"+/8=","when":"2026-11-22T14:08:50.12Z","note":"n","parts":[{"name":"x"},{"name":""}]}`
	got, err := trust.Canonical(full)
	if err != nil || string(got) != want {
		t.Fatalf("%s, %v; want\n%s", got, err, want)
	}
	var again letter
	if err := trust.ParseCanonical(got, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full, again); diff != "" {
		t.Error(diff)
	}
}

func TestJSONThatIsNotCanonicalIsRefused(t *testing.T) {
	if err := trust.ParseCanonical([]byte(plainLetter), new(letter)); err != nil {
		t.Fatal(err)
	}
	with := func(old, text string) string { return strings.Replace(plainLetter, old, text, 1) }
	for what, data := range map[string]string{
		"nothing":                        "",
		"null":                           "null",
		"an array":                       "[]",
		"a string":                       `"text"`,
		"cut short":                      plainLetter[:len(plainLetter)-1],
		"an unknown member":              with(`,"yes"`, `,"no":1,"yes"`),
		"a doubled member":               with(`"count":1`, `"count":1,"count":1`),
		"a doubled member, other value":  with(`"count":1`, `"count":2,"count":1`),
		"another case":                   with(`"count"`, `"Count"`),
		"another case, doubled":          with(`"count":1`, `"COUNT":2,"count":1`),
		"another order":                  `{"count":1,"text":"hello","yes":true,"data":"AQI="}`,
		"a member that is missing":       with(`"yes":true,`, ``),
		"a member that should be absent": with(`"data":"AQI="`, `"data":"AQI=","note":""`),
		"an absent member as null":       with(`"data":"AQI="`, `"data":"AQI=","note":null`),
		"a string as null":               with(`"hello"`, `null`),
		"a number as null":               with(`1`, `null`),
		"an empty list":                  with(`"data":"AQI="`, `"data":"AQI=","parts":[]`),
		"a space":                        with(`:1`, `: 1`),
		"a space in front":               " " + plainLetter,
		"a line break behind":            plainLetter + "\n",
		"something behind":               plainLetter + "{}",
		"an escape too many":             with("hello", `\u0068ello`),
		"an escaped slash":               with("hello", `\/`),
		"escaped as for a web page":      with("hello", `\u003c`),
		"a control character as \\u":     with("hello", `\u000a`),
		"upper-case hex":                 with("hello", `\u001F`),
		"U+2028 escaped":                 with("hello", `\u2028`),
		"U+2029 escaped":                 with("hello", `\u2029`),
		"a pair of surrogates":           with("hello", `\ud83d\ude42`),
		"half a surrogate":               with("hello", `\ud83d`),
		"not utf-8":                      with("hello", "\xff"),
		"the member's name escaped":      with(`"text"`, `"te\u0078t"`),
		"an exponent":                    with(`:1`, `:1e0`),
		"a fraction":                     with(`:1`, `:1.0`),
		"minus zero":                     with(`:1`, `:-0`),
		"a leading zero":                 with(`:1`, `:01`),
		"a number too large":             with(`:1`, `:9223372036854775808`),
		"base64 with a line break":       with(`AQI=`, `AQ\nI=`),
		"base64 with loose bits":         with(`AQI=`, `AQJ=`),
		"base64 without padding":         with(`AQI=`, `AQI`),
		"base64 for addresses":           with(`AQI=`, `-_8=`),
		"a time with an empty fraction":  with(`"data":"AQI="`, `"data":"AQI=","when":"2026-11-22T14:08:50.0Z"`),
		"a time with trailing zeros":     with(`"data":"AQI="`, `"data":"AQI=","when":"2026-11-22T14:08:50.120Z"`),
		"a time with +00:00":             with(`"data":"AQI="`, `"data":"AQI=","when":"2026-11-22T14:08:50+00:00"`),
		"a time in small letters":        with(`"data":"AQI="`, `"data":"AQI=","when":"2026-11-22t14:08:50z"`),
		"no time":                        with(`"data":"AQI="`, `"data":"AQI=","when":"0001-01-01T00:00:00Z"`),
	} {
		if err := trust.ParseCanonical([]byte(data), new(letter)); !errors.Is(err, trust.ErrCanonical) {
			t.Errorf("%s: %s: %v", what, data, err)
		}
	}
}

func TestCanonicalJSONHasNoSecondForm(t *testing.T) {
	for what, data := range map[string]string{
		"bytes as null":           strings.Replace(plainLetter, `"AQI="`, `null`, 1),
		"a time somewhere else":   strings.Replace(plainLetter, `"AQI="`, `"AQI=","when":"2026-11-22T15:08:50+01:00"`, 1),
		"a fraction of 4 digits":  strings.Replace(plainLetter, `"AQI="`, `"AQI=","when":"2026-11-22T14:08:50.1234Z"`, 1),
		"a fraction of 9 digits":  strings.Replace(plainLetter, `"AQI="`, `"AQI=","when":"2026-11-22T14:08:50.123456789Z"`, 1),
		"a time behind Greenwich": strings.Replace(plainLetter, `"AQI="`, `"AQI=","when":"2026-11-22T14:08:50-23:59"`, 1),
	} {
		if err := trust.ParseCanonical([]byte(data), new(letter)); !errors.Is(err, trust.ErrCanonical) {
			t.Errorf("%s: %s: %v", what, data, err)
		}
	}
}

func letters() *rapid.Generator[letter] {
	text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("\\u2028\u2028\u2029\"<&\x00\x1f\x7f"))))
	return rapid.Custom(func(t *rapid.T) letter {
		l := letter{
			Text: text.Draw(t, "text"), Count: rapid.Int().Draw(t, "count"), Yes: rapid.Bool().Draw(t, "yes"),
			Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data"), Note: text.Draw(t, "note"),
			When: time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "when")).UTC(),
		}
		for _, name := range rapid.SliceOfN(text, 0, 3).Draw(t, "parts") {
			l.Parts = append(l.Parts, part{name})
		}
		return l
	})
}

func TestWhatCanonicalWritesParseCanonicalReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := letters().Draw(t, "letter")
		data, err := trust.Canonical(want)
		if err != nil {
			t.Fatal(err)
		}
		var got letter
		if err := trust.ParseCanonical(data, &got); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTextThatIsNotUTF8IsNotWritten(t *testing.T) {
	for _, text := range []string{"\xff", "a\xc3", "\xed\xa0\x80"} {
		data, err := trust.Canonical(letter{Text: text, Data: []byte{}})
		if err != nil {
			continue
		}
		if err := trust.ParseCanonical(data, new(letter)); err != nil {
			t.Errorf("%q is written as %s and not read: %v", text, data, err)
		}
	}
}

func TestWhatHasNoJSONIsAnError(t *testing.T) {
	if _, err := trust.Canonical(struct{ C chan int }{}); err == nil {
		t.Error("a channel was written")
	}
	if err := trust.ParseCanonical([]byte("{}"), letter{}); !errors.Is(err, trust.ErrCanonical) {
		t.Errorf("read into something that is no pointer: %v", err)
	}
}
