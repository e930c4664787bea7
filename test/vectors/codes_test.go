package vectors_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	"github.com/tyler-smith/go-bip39/wordlists"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

type namesFile struct {
	about
	Unicode string        `json:"unicode"`
	Cases   []nameCase    `json:"cases"`
	Refused []nameRefusal `json:"refused"`
}

type nameCase struct {
	Text string `json:"text"`
	Name string `json:"name"`
}

type nameRefusal struct {
	refusal
	Text string `json:"text"`
}

func makeNames() namesFile {
	f := namesFile{about: about{"Names and what their normal form is, with the tables of one version of Unicode.", "keys.md#names"}, Unicode: "15.0.0"}
	for _, c := range [][2]string{
		{"alice", "alice"},
		{"ALICE", "alice"},
		{"Alice_2-b", "alice_2-b"},
		{"9lives", "9lives"},
		{"Straße", "strasse"},
		{"ẞ", "ss"},
		{"Ａｌｉｃｅ", "alice"},
		{"e\u0301t\u0113", "été"[:2] + "tē"},
		{"ﬁn", "fin"},
		{"ſ", "s"},
		{"\u212aelvin", "kelvin"},
		{"ΟΔΟΣ", "οδοσ"},
		{"οδος", "οδοσ"},
		{"ı", "ı"},
		{"ᾳ", "αι"},
		{"α\u0345\u0301", "άι"},
		{"Иван", "иван"},
		{"漢字かなカナ", "漢字かなカナ"},
		{"ｶﾅ", "カナ"},
		{"한글", "한글"},
		{"漢글", "漢글"},
		{"ㄅ漢", "ㄅ漢"},
		{"ก๑", "ก๑"},
		{"\u0627\u0661", "\u0627\u0661"},
		{"๑๒", "๑๒"},
		{"लता१", "लता१"},
		{"ꮳꮃꭹ", "ᏣᎳᎩ"},
		{"ᏣᎳᎩ", "ᏣᎳᎩ"},
		{"Ꮳꮃꭹ", "ᏣᎳᎩ"},
		{"ᏸ", "Ᏸ"},
		{strings.Repeat("a", 32), strings.Repeat("a", 32)},
		{strings.Repeat("한", 21), strings.Repeat("한", 21)},
	} {
		f.Cases = append(f.Cases, nameCase{c[0], c[1]})
	}
	add := func(name, text, why string) { f.Refused = append(f.Refused, nameRefusal{refusal{name, why}, text}) }
	add("empty", "", "length")
	add("33 characters", strings.Repeat("a", 33), "length")
	add("66 bytes", strings.Repeat("한", 22), "length")
	add("32 characters that fold to 64", strings.Repeat("ß", 32), "length")
	add("an account key", pair(trust.Account, "alice identity").String(), "length")
	add("a dot", "a.b", "alphabet")
	add("a star", "*", "alphabet")
	add("an arrow", "a>", "alphabet")
	add("a slash", "a/b", "alphabet")
	add("a backslash", `a\b`, "alphabet")
	add("a space", "a b", "alphabet")
	add("a NUL", "a\x00", "alphabet")
	add("an at sign", "a@b", "alphabet")
	add("a wide full stop", "a．b", "alphabet: NFKC makes it a dot")
	add("a roman number that NFKC makes letters with a space", "a\u00a0b", "alphabet: NFKC makes it a space")
	add("a symbol", "a☃", "alphabet")
	add("a fraction", "½", "alphabet: NFKC makes it 1⁄2")
	add("a hyphen first", "-a", "beginning")
	add("an underscore first", "_a", "beginning")
	add("a mark first", "\u0301a", "beginning")
	add("a mark after a digit", "a1\u0315", "mark")
	add("a mark after a hyphen", "a-\u0301", "mark")
	add("a dot above an i", "i\u0307", "a dot on a letter that has one")
	add("a capital I with a dot", "İ", "a dot on a letter that has one: it folds to i and a dot")
	add("latin and cyrillic", "аlice", "one script")
	add("latin and greek", "aα", "one script")
	add("han and latin", "漢a", "one script")
	add("hiragana and hangul", "か한", "one script")
	add("bopomofo and hiragana", "ㄅか", "one script")
	add("latin letters and thai digits", "a๑", "one script")
	add("a variation selector", "ali\ufe0fce", "shown as nothing")
	add("a joiner", "a\u200db", "shown as nothing")
	add("a soft hyphen", "a\u00adb", "shown as nothing")
	add("a hangul filler", "\u3164", "shown as nothing")
	add("a grapheme joiner", "al\u034fice", "shown as nothing")
	add("a letter of Unicode 15.1", "\U0002ebf0", "assigned after Unicode 15.0")
	add("a letter of Unicode 16", "\u1c8a", "assigned after Unicode 15.0")
	add("a letter that NFKC of Unicode 16 makes an a", "\U0001ccd6", "assigned after Unicode 15.0")
	add("a letter of Unicode 17", "\U000323b0", "assigned after Unicode 15.0")
	return f
}

func TestNames(t *testing.T) {
	f := load[namesFile](t, "names.json")
	for _, c := range f.Cases {
		name, err := trust.Name(c.Text)
		if err != nil || name != c.Name {
			t.Errorf("%q: %q, %v", c.Text, name, err)
		}
		if trust.IsName(c.Text) != (c.Text == c.Name) || !trust.IsName(c.Name) {
			t.Errorf("%q: normal or not", c.Text)
		}
	}
	for _, r := range f.Refused {
		_, err := trust.Name(r.Text)
		wantErr(t, r.Name, err, trust.ErrName)
	}
}

const wordList = "bip39-english.txt"

type wordsFile struct {
	about
	Cases []wordsCase `json:"cases"`
}

type wordsCase struct {
	Name      string `json:"name"`
	Hub       string `json:"hub"`
	A         octets `json:"a"`
	B         octets `json:"b"`
	Statement octets `json:"statement"`
	Hash      octets `json:"hash"`
	Words     string `json:"words"`
}

func makeWords() wordsFile {
	f := wordsFile{about: about{"Fingerprint words of two people, and of one. The list is in " + wordList + ".", "keys.md#fingerprint-words"}}
	alice, bob := pair(trust.Account, "alice identity").Public(), pair(trust.Account, "bob identity").Public()
	for _, c := range []struct {
		name string
		a, b trust.PublicKey
	}{{"alice and bob", alice, bob}, {"bob and alice", bob, alice}, {"alice alone", alice, alice}} {
		low, high := c.a[:], c.b[:]
		if bytes.Compare(low, high) > 0 {
			low, high = high, low
		}
		statement := slices.Concat(label("words"), []byte(hubID()), []byte{0}, low, high)
		sum := hash(statement)
		bits := ""
		for _, b := range sum[:11] {
			for i := 7; i >= 0; i-- {
				bits += string('0' + rune(b>>i&1))
			}
		}
		var words []string
		for ; bits != ""; bits = bits[11:] {
			index := 0
			for _, bit := range bits[:11] {
				index = 2*index + int(bit-'0')
			}
			words = append(words, wordlists.English[index])
		}
		f.Cases = append(f.Cases, wordsCase{c.name, hubID(), c.a[:], c.b[:], statement, sum, strings.Join(words, " ")})
	}
	return f
}

func TestWords(t *testing.T) {
	f := load[wordsFile](t, "words.json")
	for _, c := range f.Cases {
		same(t, c.Name, trust.Words(c.Hub, trust.PublicKey(c.A), trust.PublicKey(c.B)), c.Words)
	}
	list, err := os.ReadFile(filepath.Join(folder, wordList))
	if err != nil {
		t.Fatal(err)
	}
	if string(list) != strings.Join(wordlists.English, "\n")+"\n" {
		t.Error("the list is another than BIP-39's")
	}
}

// readings are ways to type a code that mean the same.
func readings(code string) []string {
	return []string{
		strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", " ") + "\n",
		strings.ReplaceAll(code, "-", "-\r\n"), strings.ReplaceAll(code, "-", "\u00a0- "),
		strings.Replace(code, "k", "\u212a", 1), "-" + code[:1] + "-" + code[1:] + "-",
	}
}

type invitesFile struct {
	about
	Cases   []inviteCase  `json:"cases"`
	Refused []codeRefusal `json:"refused"`
}

type inviteCase struct {
	Name        string   `json:"name"`
	Hub         string   `json:"hub"`
	Fingerprint octets   `json:"fingerprint"`
	Inviter     octets   `json:"inviter"`
	Secret      octets   `json:"secret"`
	Raw         octets   `json:"raw"` // what base32 writes
	Code        string   `json:"code"`
	Readings    []string `json:"readings"` // the same invite
	Seed        octets   `json:"seed"`
	Key         string   `json:"key"`
}

type codeRefusal struct {
	refusal
	Code string `json:"code"`
}

func grouped(prefix string, raw []byte) string {
	text := base32Text.EncodeToString(raw)
	for ; len(text) > 8; text = text[8:] {
		prefix += "-" + text[:8]
	}
	return prefix + "-" + text
}

func inviteRaw(version byte, fingerprint, inviter, secret []byte) []byte {
	body := slices.Concat([]byte{version}, fingerprint, inviter, secret)
	return slices.Concat(body, hash(body)[:4])
}

func makeInvites() invitesFile {
	f := invitesFile{about: about{"Invite codes and the keys they yield.", "keys.md#invites"}}
	fingerprint := hash([]byte(hubID()))[:16]
	for _, c := range []struct {
		name    string
		inviter trust.PublicKey
	}{{"the host's", operator().Public()}, {"alice's", pair(trust.Account, "alice identity").Public()}} {
		invite := inviteCase{Name: c.name, Hub: hubID(), Fingerprint: fingerprint, Inviter: c.inviter[:], Secret: secret("invite " + c.name)[:16]}
		invite.Raw = inviteRaw(1, fingerprint, invite.Inviter, invite.Secret)
		invite.Code = grouped("kh", invite.Raw)
		invite.Readings = readings(invite.Code)
		invite.Seed = hkdfKey(invite.Secret, fingerprint, label("invite"))
		invite.Key = inviteKey(c.name).String()
		f.Cases = append(f.Cases, invite)
	}
	first := f.Cases[0]
	code := first.Code
	add := func(name, code, why string) { f.Refused = append(f.Refused, codeRefusal{refusal{name, why}, code}) }
	add("empty", "", "prefix")
	add("no prefix", code[3:], "prefix")
	add("the prefix of a recovery code", "kr"+code[2:], "prefix")
	add("the prefix alone", "kh-", "length")
	add("a group less", code[:len(code)-8], "length")
	add("a group more", code+"-aaaaaaaa", "length")
	add("a byte less", grouped("kh", first.Raw[:len(first.Raw)-1]), "length")
	add("a changed character", code[:20]+string('a'+(code[20]-'a'+1)%26)+code[21:], "check")
	add("loose bits", code[:len(code)-1]+string(code[len(code)-1]+1), "unused bits")
	add("a 1", code[:5]+"1"+code[6:], "alphabet")
	add("padding", code+"=", "alphabet")
	add("version 0", grouped("kh", inviteRaw(0, fingerprint, first.Inviter, first.Secret)), "version")
	add("version 2", grouped("kh", inviteRaw(2, fingerprint, first.Inviter, first.Secret)), "version")
	return f
}

// inviteKey is the key of an invite of these files.
func inviteKey(name string) *trust.KeyPair {
	inviter := operator().Public()
	if name != "the host's" {
		inviter = pair(trust.Account, "alice identity").Public()
	}
	raw := inviteRaw(1, hash([]byte(hubID()))[:16], inviter[:], secret("invite " + name)[:16])
	return get(trust.ParseInvite(grouped("kh", raw))).Key()
}

func TestInvites(t *testing.T) {
	f := load[invitesFile](t, "invite.json")
	for _, c := range f.Cases {
		invite, err := trust.ParseInvite(c.Code)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		same(t, c.Name, invite.Hub, [16]byte(c.Fingerprint))
		same(t, c.Name, invite.Hub, trust.Fingerprint(c.Hub))
		same(t, c.Name, invite.Inviter, trust.PublicKey(c.Inviter))
		same(t, c.Name, invite.Code(), c.Code)
		same(t, c.Name, invite.Key().String(), c.Key)
		if seeded := seedText(c.Seed); string(invite.Key().Seed()) != seeded {
			t.Errorf("%s: another seed", c.Name)
		}
		for _, text := range c.Readings {
			if again, err := trust.ParseInvite(text); err != nil || *again != *invite {
				t.Errorf("%s: %q: %v", c.Name, text, err)
			}
		}
	}
	for _, r := range f.Refused {
		_, err := trust.ParseInvite(r.Code)
		wantErr(t, r.Name, err, trust.ErrInvite)
	}
}

// seedText is the text of a device's seed.
func seedText(seed []byte) string {
	return string(get(nkeys.EncodeSeed(nkeys.PrefixByteUser, seed)))
}

type recoveryFile struct {
	about
	Hub         string   `json:"hub"`
	Fingerprint octets   `json:"fingerprint"`
	Secret      octets   `json:"secret"`
	Raw         octets   `json:"raw"`
	Code        string   `json:"code"`
	Readings    []string `json:"readings"`
	Seed        octets   `json:"seed"` // of the recovery key
	Key         string   `json:"key"`
	Wrap        octets   `json:"wrap"`

	Identity  string          `json:"identity"` // seed
	Plaintext string          `json:"plaintext"`
	Data      octets          `json:"ad"`
	Nonce     octets          `json:"nonce"`
	Blob      octets          `json:"blob"`
	Event     octets          `json:"event"`
	Refused   []codeRefusal   `json:"refused"`
	Backups   []backupRefusal `json:"refusedBackups"`
}

type backupRefusal struct {
	refusal
	Event octets `json:"event"`
}

func recoveryRaw(version byte, fingerprint, secret []byte) []byte {
	body := slices.Concat([]byte{version}, fingerprint, secret)
	return slices.Concat(body, hash(body)[:3])
}

func makeRecovery() recoveryFile {
	f := recoveryFile{
		about: about{"A recovery code, what comes of it, and a backup that it opens.", "recovery.md"},
		Hub:   hubID(), Fingerprint: hash([]byte(hubID()))[:16], Secret: secret("recovery")[:20],
	}
	f.Raw = recoveryRaw(1, f.Fingerprint, f.Secret)
	f.Code = grouped("kr", f.Raw)
	f.Readings = readings(f.Code)
	f.Seed = hkdfKey(f.Secret, f.Fingerprint, label("recovery-key"))
	f.Wrap = hkdfKey(f.Secret, f.Fingerprint, label("recovery-wrap"))
	key := get(trust.ParseSeed(trust.Device, []byte(seedText(f.Seed))))
	f.Key = key.String()
	raw := key.Public()
	f.Data = slices.Concat(label("recovery"), []byte(f.Hub), []byte{0}, raw[:])

	alice := pair(trust.Account, "alice identity")
	f.Identity = string(alice.Seed())
	f.Plaintext = `{"hub":"` + f.Hub + `","account":"` + alice.String() + `","handle":"alice","identity":"` + f.Identity +
		`","xkeys":["` + string(xkey("alice xkey").Seed()) + `","` + string(xkey("alice old xkey").Seed()) + `"],"device":"` +
		pair(trust.Device, "alice laptop").String() + `","seq":3,"head":"` + hex.EncodeToString(secret("head")) +
		`","catalogs":[{"name":"films","id":"` + id("films") + `","dir":"/home/alice/Films \"old\" & <new>"}]}`
	f.Nonce = secret("recovery nonce")[:12]
	f.Blob = aesGCM(f.Wrap, f.Nonce, []byte(f.Plaintext), f.Data)
	backup := func(change func(ev *event.Event), body []byte, signer, second *trust.KeyPair) []byte {
		ev := &event.Event{
			ID: eventID("backup"), Author: alice.Public(), Type: "recovery.put", Subject: "recovery." + f.Key,
			Audience: f.Hub, Time: start, Body: body,
		}
		if change != nil {
			change(ev)
		}
		must(ev.Sign(signer))
		if second != nil {
			must(ev.CoSign(second))
		}
		return ev.Encode()
	}
	f.Event = backup(nil, f.Blob, alice, key)

	add := func(name, code, why string) { f.Refused = append(f.Refused, codeRefusal{refusal{name, why}, code}) }
	code := f.Code
	add("empty", "", "prefix")
	add("no prefix", code[3:], "prefix")
	add("the prefix of an invite", "kh"+code[2:], "prefix")
	add("the prefix alone", "kr", "length")
	add("a character less", code[:len(code)-1], "length")
	add("a character more", code+"a", "length")
	add("a changed character", code[:20]+string('a'+(code[20]-'a'+1)%26)+code[21:], "check")
	add("a 1", code[:5]+"1"+code[6:], "alphabet")
	add("version 0", grouped("kr", recoveryRaw(0, f.Fingerprint, f.Secret)), "version")
	add("version 2", grouped("kr", recoveryRaw(2, f.Fingerprint, f.Secret)), "version")

	refuse := func(name, why string, data []byte) {
		f.Backups = append(f.Backups, backupRefusal{refusal{name, why}, data})
	}
	with := func(old, new string) []byte {
		return aesGCM(f.Wrap, f.Nonce, []byte(changed(f.Plaintext, old, new)), f.Data)
	}
	device := pair(trust.Device, "alice laptop")
	refuse("signed by a device", "signature", backup(nil, f.Blob, device, key))
	refuse("not co-signed", "co-signature", backup(nil, f.Blob, alice, nil))
	refuse("co-signed by another", "co-signature", backup(nil, f.Blob, alice, device))
	refuse("for another hub", "not-meant", backup(func(ev *event.Event) { ev.Audience = "O" }, f.Blob, alice, key))
	refuse("of another type", "not-meant", backup(func(ev *event.Event) { ev.Type = "recovery.get" }, f.Blob, alice, key))
	refuse("under another key", "not-meant", backup(func(ev *event.Event) { ev.Subject = "recovery." + device.String() }, f.Blob, alice, key))
	refuse("on a chain", "malformed", backup(func(ev *event.Event) { ev.Seq = 1 }, f.Blob, alice, key))
	refuse("in an epoch", "malformed", backup(func(ev *event.Event) { ev.Epoch = event.Hash{1} }, f.Blob, alice, key))
	refuse("with an end", "malformed", backup(func(ev *event.Event) { ev.NotAfter = start }, f.Blob, alice, key))
	refuse("a changed blob", "sealed", backup(nil, flipped(f.Blob, 40), alice, key))
	refuse("a blob of another hub", "sealed", backup(nil, aesGCM(f.Wrap, f.Nonce, []byte(f.Plaintext), append(f.Data[:len(f.Data):len(f.Data)], 0)), alice, key))
	refuse("a blob of no bytes", "sealed", backup(nil, nil, alice, key))
	refuse("white space", "canonical", backup(nil, with(`"seq":3`, `"seq": 3`), alice, key))
	refuse("a member that nobody knows", "canonical", backup(nil, with(`"seq":3`, `"seq":3,"more":1`), alice, key))
	refuse("another hub inside", "content", backup(nil, with(`{"hub":"O`, `{"hub":"A`), alice, key))
	refuse("another account inside", "content", backup(nil, with(alice.String(), pair(trust.Account, "bob identity").String()), alice, key))
	refuse("another's identity inside", "content", backup(nil, with(f.Identity, string(pair(trust.Account, "bob identity").Seed())), alice, key))
	refuse("no xkey inside", "content", backup(nil, with(`"xkeys":["`+string(xkey("alice xkey").Seed())+`","`+string(xkey("alice old xkey").Seed())+`"]`, `"xkeys":[]`), alice, key))
	return f
}

// What a backup says, package client judges, and meets this file as well.
func TestRecovery(t *testing.T) {
	f := load[recoveryFile](t, "recovery.json")
	code, err := trust.ParseRecovery(f.Code)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "hub", code.Hub, [16]byte(f.Fingerprint))
	same(t, "hub", code.Hub, trust.Fingerprint(f.Hub))
	same(t, "code", code.Code(), f.Code)
	same(t, "key", code.Key().String(), f.Key)
	same(t, "seed", string(code.Key().Seed()), seedText(f.Seed))
	for _, text := range f.Readings {
		if again, err := trust.ParseRecovery(text); err != nil || again.Code() != f.Code {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, r := range f.Refused {
		_, err := trust.ParseRecovery(r.Code)
		wantErr(t, r.Name, err, trust.ErrRecovery)
	}
	ev, err := event.Decode(f.Event)
	if err != nil {
		t.Fatal(err)
	}
	if err := ev.CheckRecovery(f.Hub, f.Key); err != nil {
		t.Error(err)
	}
	sameBytes(t, "blob", ev.Body, f.Blob)
	plaintext, err := code.Open(f.Hub, f.Blob)
	if err != nil || string(plaintext) != f.Plaintext {
		t.Errorf("it opens to %s, %v", plaintext, err)
	}
	sealed := code.Seal(f.Hub, plaintext)
	sameBytes(t, "sealed anew", sealed, aesGCM(f.Wrap, sealed[:12], plaintext, f.Data))
	want := map[string]error{
		"signature": event.ErrSignature, "co-signature": event.ErrSignature, "not-meant": event.ErrNotMeant, "malformed": event.ErrMalformed,
	}
	for _, r := range f.Backups {
		ev, err := event.Decode(r.Event)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		err = ev.CheckRecovery(f.Hub, f.Key)
		if w := want[r.Why]; w != nil {
			wantErr(t, r.Name, err, w)
			continue
		}
		if err != nil {
			t.Errorf("%s: refused early: %v", r.Name, err)
		}
		if text, err := code.Open(f.Hub, ev.Body); r.Why == "sealed" {
			wantErr(t, r.Name, err, trust.ErrBackup)
		} else if err != nil || !json.Valid(text) {
			t.Errorf("%s: does not open: %v", r.Name, err)
		}
	}
}
