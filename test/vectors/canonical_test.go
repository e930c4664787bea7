package vectors_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

type canonicalFile struct {
	about
	Strings []stringCase       `json:"strings"` // of {"text"}: what is said, and the body that says it
	Cases   []canonicalCase    `json:"cases"`
	Refused []canonicalRefusal `json:"refused"`
}

type stringCase struct {
	Text string `json:"text"`
	Body octets `json:"body"`
}

type canonicalCase struct {
	Shape string `json:"shape"`
	Body  string `json:"body"`
}

type canonicalRefusal struct {
	refusal
	Shape string `json:"shape"`
	Body  octets `json:"body"`
}

// textBody is what a room message says.
type textBody struct {
	Text string `json:"text"`
}

// shapes read the body of a kind: its form, and for the bodies of transfers its bounds too.
var shapes = map[string]func(data []byte) error{
	"room.message":        form[textBody],
	"share.sealed":        form[chain.SealedShare],
	chain.HubInvite:       form[chain.InviteBody],
	chain.Admit:           form[chain.AdmitBody],
	chain.AddDevice:       form[chain.DeviceBody],
	chain.Grant:           form[chain.GrantBody],
	chain.CreateRoom:      form[chain.CreateRoomBody],
	chain.GrantRoom:       form[chain.GrantRoomBody],
	chain.LeaveRoom:       form[chain.LeaveRoomBody],
	chain.Epoch:           form[chain.EpochBody],
	"transfer.request":    func(data []byte) error { _, err := seal.ParseRequest(data); return err },
	"transfer.answer":     func(data []byte) error { _, err := seal.ParseAnswer(data); return err },
	"transfer.refusal":    func(data []byte) error { _, err := seal.ParseRefusal(data); return err },
	"transfer.plain":      parsePlain,
	"listing.header.line": func(data []byte) error { return readListing(append(data, '\n')) },
}

func form[T any](data []byte) error { return trust.ParseCanonical(data, new(T)) }

func parsePlain(data []byte) error {
	_, err := seal.ParseReply(append([]byte{0}, data...))
	return err
}

func readListing(data []byte) error {
	_, err := seal.NewListingReader(bytes.NewReader(data))
	return err
}

func makeCanonical() canonicalFile {
	f := canonicalFile{about: about{"The one form of a JSON body. Bodies of the ledger are held against their form alone here; chain.json has their rules.", "README.md#canonical-json"}}
	for _, c := range [][2]string{
		{"", ""},
		{"hello", "hello"},
		{`"\/`, `\"\\/`},
		{"<&>'", "<&>'"},
		{"\b\f\n\r\t", `\b\f\n\r\t`},
		{"\x00\x01\x0b\x1f", `\u0000\u0001\u000b\u001f`},
		{"\x7f\u0080\u00a0", "\x7f\u0080\u00a0"},
		{"\u2028\u2029", "\u2028\u2029"},
		{"\ufeff\ufffd\uffff", "\ufeff\ufffd\uffff"},
		{"é e\u0301", "é e\u0301"},
		{"𝒳😀", "𝒳😀"},
		{`\u2028 \ufffd \n`, `\\u2028 \\ufffd \\n`},
	} {
		f.Strings = append(f.Strings, stringCase{c[0], octets(`{"text":"` + c[1] + `"}`)})
	}
	account, room, hexed := pair(trust.Account, "alice identity").String(), id("room"), strings.Repeat("0a", 32)
	invite := `{"invite":"` + pair(trust.Device, "alice laptop").String() + `","uses":3,"expires":"2026-12-22T14:08:50Z"}`
	grant := `{"grant":"` + id("grant") + `","account":"` + account + `","role":"reader"}`
	epoch := `{"number":2,"previous":"` + hexed + `","commitment":"` + hexed + `","keys":[{"account":"` + account + `","key":"AQI="}],"name":"AQID"}`
	answer := `{"open":"` + hexed + `","transfer":"` + id("transfer") + `","node":"` + id("node") + `","key":"` + strings.Repeat("A", 43) +
		`=","size":0,"block":262144,"root":"` + hexed + `","expires":"2026-11-22T14:08:50.12Z"}`
	request := `{"hub":"` + hubID() + `","grant":"` + id("grant") + `","entry":"a/b","root":"` + hexed + `","xkey":"` + xkey("alice xkey").String() + `"}`
	plain := `{"code":"busy","message":"later"}`
	header := `{"catalog":"films","revision":7,"entries":0}`
	f.Cases = []canonicalCase{
		{chain.HubInvite, invite},
		{chain.LeaveRoom, `{}`},
		{chain.CreateRoom, `{"room":"` + room + `","kind":"sealed","listed":false}`},
		{chain.CreateRoom, `{"room":"` + room + `","kind":"open","listed":true,"name":"hall"}`},
		{chain.GrantRoom, grant},
		{chain.GrantRoom, changed(grant, `"reader"`, `"reader","expires":"2027-01-01T00:00:00Z","epoch":"`+hexed+`","key":"AQI="`)},
		{chain.Epoch, epoch},
		{chain.Epoch, changed(epoch, `"previous":"`+hexed+`",`, ``)},
		{"transfer.answer", answer},
		{"transfer.answer", changed(answer, `50.12Z`, `50Z`)},
		{"transfer.answer", changed(answer, `50.12Z`, `50.001Z`)},
		{"transfer.answer", changed(answer, `"size":0`, `"size":1125899906842624`)},
		{"transfer.request", request},
		{"transfer.request", changed(changed(request, `"root":"`+hexed+`",`, ``), `"a/b"`, `""`)},
		{"transfer.refusal", `{"open":"` + hexed + `","code":"changed","message":"\"x\""}`},
		{"transfer.plain", plain},
		{"listing.header.line", header},
		{"listing.header.line", changed(header, `:7,`, `:9007199254740991,`)},
	}
	add := func(name, shape, body, why string) {
		f.Refused = append(f.Refused, canonicalRefusal{refusal{name, why}, shape, octets(body)})
	}
	message := `{"text":"hello"}`
	const m = "room.message"
	add("empty", m, "", "JSON")
	add("null", m, "null", "null")
	add("a string", m, `"text"`, "JSON")
	add("an array", m, `[]`, "JSON")
	add("no end", m, `{"text":"hello"`, "JSON")
	add("trailing bytes", m, message+"x", "JSON")
	add("a line break behind", m, message+"\n", "white space")
	add("white space before", m, " "+message, "white space")
	add("white space inside", m, `{"text": "hello"}`, "white space")
	add("a byte order mark", m, "\ufeff"+message, "JSON")
	add("no member", m, `{}`, "absent member")
	add("a null member", m, `{"text":null}`, "null")
	add("a number for a string", m, `{"text":1}`, "type")
	add("a member twice", m, `{"text":"a","text":"hello"}`, "members")
	add("a member that nobody knows", m, `{"text":"hello","more":1}`, "members")
	add("a member in capitals", m, `{"Text":"hello"}`, "members")
	add("a member with an escape", m, `{"\u0074ext":"hello"}`, "members")
	add("an escape that is not needed", m, `{"text":"\u0068ello"}`, "escape")
	add("an escaped slash", m, `{"text":"a\/b"}`, "escape")
	add("an escaped arrow", m, `{"text":"\u003c"}`, "escape")
	add("an escape in capitals", m, `{"text":"\u000B"}`, "escape")
	add("a line break as \\u000a", m, `{"text":"\u000a"}`, "escape")
	add("U+2028 escaped", m, `{"text":"\u2028"}`, "escape")
	add("U+FFFD escaped", m, `{"text":"\ufffd"}`, "escape")
	add("a surrogate pair escaped", m, `{"text":"\ud83d\ude00"}`, "escape")
	add("half a surrogate pair", m, `{"text":"\ud800"}`, "escape")
	add("a control character as it is", m, "{\"text\":\"a\nb\"}", "escape")
	add("a byte that is not UTF-8", m, "{\"text\":\"a\xff\"}", "UTF-8")
	add("an overlong encoding", m, "{\"text\":\"\xc0\xaf\"}", "UTF-8")
	add("a surrogate in UTF-8", m, "{\"text\":\"\xed\xa0\x80\"}", "UTF-8")
	inv := func(name, old, new, why string) { add(name, chain.HubInvite, changed(invite, old, new), why) }
	inv("a fraction", `:3,`, `:3.0,`, "number")
	inv("an exponent", `:3,`, `:3e0,`, "number")
	inv("a leading zero", `:3,`, `:03,`, "number")
	inv("a plus", `:3,`, `:+3,`, "number")
	inv("minus zero", `:3,`, `:-0,`, "number")
	inv("a number in quotes", `:3,`, `:"3",`, "type")
	inv("a time of another zone", `50Z`, `50+00:00`, "time")
	inv("a time an hour off", `50Z`, `50+01:00`, "time")
	inv("a small z", `50Z`, `50z`, "time")
	inv("a small t", `22T`, `22t`, "time")
	inv("a fraction of zero", `50Z`, `50.0Z`, "time")
	inv("a trailing zero", `50Z`, `50.120Z`, "time")
	inv("microseconds", `50Z`, `50.1234Z`, "time")
	inv("a leap second", `50Z`, `60Z`, "time")
	inv("a comma", `50Z`, `50,5Z`, "time")
	inv("the 30th of February", `12-22`, `02-30`, "time")
	inv("hour 24", `T14`, `T24`, "time")
	inv("no time", `"2026-12-22T14:08:50Z"`, `""`, "time")
	inv("members in another order", `"uses":3,"expires":"2026-12-22T14:08:50Z"`, `"expires":"2026-12-22T14:08:50Z","uses":3`, "members")
	add("an absent member that is null", chain.GrantRoom, changed(grant, `"reader"`, `"reader","expires":null`), "null")
	add("an absent member that is empty", chain.GrantRoom, changed(grant, `"reader"`, `"reader","key":""`), "absent member")
	add("an absent hash that is empty", chain.GrantRoom, changed(grant, `"reader"`, `"reader","epoch":""`), "absent member")
	add("an absent hash that is zero", chain.GrantRoom, changed(grant, `"reader"`, `"reader","epoch":"`+strings.Repeat("0", 64)+`"`), "absent member")
	add("an absent name that is empty", chain.CreateRoom, `{"room":"`+room+`","kind":"sealed","listed":false,"name":""}`, "absent member")
	add("a word for true", chain.CreateRoom, `{"room":"`+room+`","kind":"sealed","listed":0}`, "type")
	add("a hash in capitals", chain.Epoch, changed(epoch, `"commitment":"`+hexed, `"commitment":"`+strings.ToUpper(hexed)), "hash")
	add("a hash of 31 bytes", chain.Epoch, changed(epoch, `"commitment":"`+hexed, `"commitment":"`+hexed[2:]), "hash")
	add("base64 without padding", chain.Epoch, changed(epoch, `AQI=`, `AQI`), "base64")
	add("base64 with loose bits", chain.Epoch, changed(epoch, `AQI=`, `AQJ=`), "base64")
	add("base64 with a line break", chain.Epoch, changed(epoch, `AQI=`, `AQ\nI=`), "base64")
	add("base64url", chain.Epoch, changed(epoch, `AQID`, `__8_`), "base64")
	add("keys that are null", chain.Epoch, changed(epoch, `[{"account":"`+account+`","key":"AQI="}]`, `null`), "null")
	add("a member of a member twice", chain.Epoch, changed(epoch, `"key":"AQI="`, `"key":"AQI=","key":"AQI="`), "members")
	add("a body behind a body", chain.LeaveRoom, `{}{}`, "JSON")
	ans := func(name, old, new, why string) { add(name, "transfer.answer", changed(answer, old, new), why) }
	ans("another size of block", `262144`, `262145`, "bounds")
	ans("a size above 2^50", `"size":0`, `"size":1125899906842625`, "bounds")
	ans("a size below zero", `"size":0`, `"size":-1`, "bounds")
	ans("a key of 31 bytes", strings.Repeat("A", 43)+"=", strings.Repeat("A", 40)+"AA==", "key")
	ans("a key with loose bits", strings.Repeat("A", 43)+"=", strings.Repeat("A", 42)+"B=", "key")
	ans("a transfer that is no id", `"transfer":"`+id("transfer"), `"transfer":"`+id("transfer")[1:], "id")
	ans("a time before 1970", `2026-11-22T14:08:50.12Z`, `1969-12-31T23:59:59Z`, "time")
	req := func(name, old, new, why string) { add(name, "transfer.request", changed(request, old, new), why) }
	req("a root of zeros", hexed, strings.Repeat("0", 64), "absent member")
	req("a path that leads out", `a/b`, `../b`, "path")
	req("an absolute path", `a/b`, `/b`, "path")
	req("an xkey of small order", xkey("alice xkey").String(), makeKeys().Refused[len(makeKeys().Refused)-1].Text, "key")
	req("an account as an xkey", xkey("alice xkey").String(), account, "key")
	req("an account as the hub", hubID(), account, "key")
	add("a code that nobody knows", "transfer.refusal", `{"open":"`+hexed+`","code":"tired","message":""}`, "code")
	add("a message of 1025 bytes", "transfer.refusal", `{"open":"`+hexed+`","code":"changed","message":"`+strings.Repeat("x", 1025)+`"}`, "bounds")
	add("a code that is not said in the clear", "transfer.plain", changed(plain, `busy`, `changed`), "code")
	add("a revision of 2^53", "listing.header.line", changed(header, `:7,`, `:9007199254740992,`), "bounds")
	add("a revision that rounds to a good one", "listing.header.line", changed(header, `:7,`, `:9007199254740993,`), "bounds")
	add("a catalog that is no name", "listing.header.line", changed(header, `films`, `Films`), "name")
	add("fewer entries than none", "listing.header.line", changed(header, `"entries":0`, `"entries":-1`), "bounds")
	return f
}

func TestCanonicalJSON(t *testing.T) {
	f := load[canonicalFile](t, "canonical-json.json")
	for _, c := range f.Strings {
		body, err := trust.Canonical(textBody{c.Text})
		if err != nil || !bytes.Equal(body, c.Body) {
			t.Errorf("%q is written %q, %v", c.Text, body, err)
		}
		read := new(textBody)
		if err := trust.ParseCanonical(c.Body, read); err != nil || read.Text != c.Text {
			t.Errorf("%q is read %q, %v", c.Body, read.Text, err)
		}
	}
	for _, c := range f.Cases {
		if err := shapes[c.Shape]([]byte(c.Body)); err != nil {
			t.Errorf("%s %s: %v", c.Shape, c.Body, err)
		}
	}
	for _, r := range f.Refused {
		if err := shapes[r.Shape](bytes.Clone(r.Body)); err == nil {
			t.Errorf("%s: %s %s is taken", r.Name, r.Shape, r.Body)
		}
	}
}

// The times of these files have the text that bodies have.
func TestTimesHaveOneText(t *testing.T) {
	got, err := trust.Canonical(chain.InviteBody{Expires: start.Add(120 * time.Millisecond)})
	if err != nil || string(got) != `{"invite":"","uses":0,"expires":"2026-11-22T14:08:50.12Z"}` {
		t.Errorf("%s, %v", got, err)
	}
}
