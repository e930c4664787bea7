package vectors_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tyler-smith/go-bip39/wordlists"
	"golang.org/x/crypto/argon2"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

type passwordFile struct {
	about
	Hub         string         `json:"hub"`
	Fingerprint octets         `json:"fingerprint"`
	Account     string         `json:"account"`
	Plaintext   string         `json:"plaintext"` // of the backup: that of recovery.json
	Cases       []passwordCase `json:"cases"`
	Passkey     passkeyCase    `json:"passkey"`
	Refused     []costRefusal  `json:"refused"`      // costs out of bounds
	Blobs       []blobRefusal  `json:"refusedBlobs"` // under the first case's wrapping key
}

type passwordCase struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Text     octets `json:"text"` // in NFKC
	passwordCost
	Master   octets `json:"master"`
	Verifier octets `json:"verifier"`
	Hash     octets `json:"hash"` // of the verifier
	Wrap     octets `json:"wrap"`
	Data     octets `json:"ad"`
	Nonce    octets `json:"nonce"`
	Blob     octets `json:"blob"`
}

type passwordCost struct {
	Salt   octets `json:"salt"`
	Memory uint32 `json:"memory"`
	Passes uint32 `json:"passes"`
}

func (c passwordCost) cost() trust.PasswordCost {
	return trust.PasswordCost{Salt: [16]byte(c.Salt), Memory: c.Memory, Passes: c.Passes}
}

type passkeyCase struct {
	Credential string `json:"credential"` // in base64url
	Input      octets `json:"input"`      // of the PRF
	Output     octets `json:"output"`
	Wrap       octets `json:"wrap"`
	Data       octets `json:"ad"`
	Nonce      octets `json:"nonce"`
	Blob       octets `json:"blob"`
}

type costRefusal struct {
	refusal
	passwordCost
}

type blobRefusal struct {
	refusal
	Blob octets `json:"blob"`
}

func person() *trust.KeyPair { return pair(trust.Account, "alice identity") }

func makePasswords() passwordFile {
	fingerprint, account := hash([]byte(hubID()))[:16], person().Public()
	f := passwordFile{
		about: about{"What a password and a passkey yield, and the backups that they open.", "web.md#logins"},
		Hub:   hubID(), Fingerprint: fingerprint, Account: person().String(), Plaintext: makeRecovery().Plaintext,
	}
	data := func(kind string, tail []byte) []byte {
		return slices.Concat(label(kind), []byte(f.Hub), []byte{0}, account[:], tail)
	}
	for _, c := range []struct {
		name, password, text string
		memory, passes       uint32
	}{
		{"the least", "alice", "alice", 8 << 10, 1},
		{"two passes", "correct horse battery staple", "correct horse battery staple", 8 << 10, 2},
		{"brought to NFKC", "ﬁne café Ⅻ", "fine café XII", 9 << 10, 1},
		{"white space and case count", " Alice ", " Alice ", 8 << 10, 1},
	} {
		one := passwordCase{Name: c.name, Password: c.password, Text: []byte(c.text), passwordCost: passwordCost{secret("salt " + c.name)[:16], c.memory, c.passes}}
		one.Master = argon2.IDKey(one.Text, one.Salt, one.Passes, one.Memory, 1, 32)
		one.Verifier = hkdfKey(one.Master, fingerprint, label("password-verifier"))
		one.Hash = hash(one.Verifier)
		one.Wrap = hkdfKey(one.Master, fingerprint, label("password-wrap"))
		one.Data, one.Nonce = data("password", nil), secret("password nonce " + c.name)[:12]
		one.Blob = aesGCM(one.Wrap, one.Nonce, []byte(f.Plaintext), one.Data)
		f.Cases = append(f.Cases, one)
	}
	credential := secret("credential")
	f.Passkey = passkeyCase{
		Credential: base64.RawURLEncoding.EncodeToString(credential), Input: label("passkey"), Output: secret("prf"),
		Wrap: hkdfKey(secret("prf"), fingerprint, label("passkey-wrap")), Data: data("passkey", credential), Nonce: secret("passkey nonce")[:12],
	}
	f.Passkey.Blob = aesGCM(f.Passkey.Wrap, f.Passkey.Nonce, []byte(f.Plaintext), f.Passkey.Data)
	for _, r := range []struct {
		name           string
		memory, passes uint32
	}{{"too little memory", 8<<10 - 1, 3}, {"too much memory", 1<<20 + 1, 1}, {"no pass", 8 << 10, 0}, {"too many passes", 8 << 10, 17}} {
		f.Refused = append(f.Refused, costRefusal{refusal{r.name, "cost"}, passwordCost{secret("salt")[:16], r.memory, r.passes}})
	}
	first := f.Cases[0]
	refuse := func(name string, key, ad []byte) {
		f.Blobs = append(f.Blobs, blobRefusal{refusal{name, "sealed"}, aesGCM(key, first.Nonce, []byte(f.Plaintext), ad)})
	}
	refuse("of another password", f.Cases[1].Wrap, first.Data)
	refuse("of the verifier", first.Verifier, first.Data)
	refuse("of a passkey", first.Wrap, data("passkey", nil))
	refuse("of another person", first.Wrap, flipped(first.Data, -1))
	refuse("of a recovery code", first.Wrap, data("recovery", nil))
	f.Blobs = append(f.Blobs, blobRefusal{refusal{"27 bytes", "sealed"}, first.Blob[:27]})
	return f
}

func TestPasswords(t *testing.T) {
	f := load[passwordFile](t, "password.json")
	account := get(trust.ParsePublicKey(trust.Account, f.Account))
	for _, c := range f.Cases {
		yields, err := trust.DerivePassword(f.Hub, c.Password, c.cost())
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		verifier, kept := yields.Verifier(), yields.VerifierHash()
		sameBytes(t, c.Name, verifier[:], c.Verifier)
		sameBytes(t, c.Name, kept[:], c.Hash)
		opens(t, c.Name, &yields.Wrap, f.Hub, account, c.Blob, f.Plaintext)
	}
	for _, r := range f.Refused {
		_, err := trust.DerivePassword(f.Hub, "alice", r.cost())
		wantErr(t, r.Name, err, trust.ErrPassword)
	}
	first := get(trust.DerivePassword(f.Hub, f.Cases[0].Password, f.Cases[0].cost()))
	for _, r := range f.Blobs {
		_, err := first.Open(f.Hub, account, r.Blob)
		wantErr(t, r.Name, err, trust.ErrBackup)
	}
	sameBytes(t, "input", trust.PasskeyInput(), f.Passkey.Input)
	credential := get(base64.RawURLEncoding.DecodeString(f.Passkey.Credential))
	opens(t, "passkey", trust.NewPasskeyWrap(f.Hub, f.Passkey.Output, credential), f.Hub, account, f.Passkey.Blob, f.Plaintext)
	if _, err := trust.NewPasskeyWrap(f.Hub, f.Passkey.Output, credential[1:]).Open(f.Hub, account, f.Passkey.Blob); err == nil {
		t.Error("another credential opens it")
	}
}

func opens(t *testing.T, name string, wrap *trust.Wrap, hub string, account trust.PublicKey, blob []byte, want string) {
	t.Helper()
	text, err := wrap.Open(hub, account, blob)
	if err != nil || string(text) != want {
		t.Errorf("%s: it opens to %q, %v", name, text, err)
	}
	again, err := wrap.Open(hub, account, wrap.Seal(hub, account, text))
	if err != nil || string(again) != want {
		t.Errorf("%s: sealed anew it opens to %q, %v", name, again, err)
	}
}

type loginFile struct {
	about
	Hub     string         `json:"hub"`
	Cases   []loginCase    `json:"cases"`
	Refused []loginRefusal `json:"refused"`
}

type loginCase struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Body       string `json:"body"`
	Credential string `json:"credential"` // that it is about; empty: the password
	Event      octets `json:"event"`
}

type loginRefusal struct {
	refusal
	Event octets `json:"event"`
}

func makeLogins() loginFile {
	f := loginFile{about: about{"Login events, which the identity itself signs.", "web.md#logins"}, Hub: hubID()}
	passwords := makePasswords()
	first, credential := passwords.Cases[0], passwords.Passkey.Credential
	b64 := base64.StdEncoding.EncodeToString
	password := `{"salt":"` + b64(first.Salt) + `","memory":8192,"passes":1,"verifier":"` + hex.EncodeToString(first.Hash) + `","blob":"` + b64(first.Blob) + `"}`
	passkey := `{"credential":"` + credential + `","blob":"` + b64(passwords.Passkey.Blob) + `"}`
	make := func(kind, body string, signer *trust.KeyPair, change func(*event.Event)) []byte {
		ev := &event.Event{
			ID: eventID("login " + kind), Author: person().Public(), Type: kind, Subject: "login." + person().String(),
			Audience: f.Hub, Time: start, Body: []byte(body),
		}
		if change != nil {
			change(ev)
		}
		must(ev.Sign(signer))
		return ev.Encode()
	}
	for _, c := range []struct{ name, kind, body, credential string }{
		{"a password", "login.password", password, ""},
		{"a passkey", "login.passkey", passkey, credential},
		{"the password goes", "login.remove", `{}`, ""},
		{"a passkey's backup goes", "login.remove", `{"credential":"` + credential + `"}`, credential},
	} {
		f.Cases = append(f.Cases, loginCase{c.name, c.kind, c.body, c.credential, make(c.kind, c.body, person(), nil)})
	}
	laptop, bob := pair(trust.Device, "alice laptop"), pair(trust.Account, "bob identity")
	refuse := func(name, why string, data []byte) {
		f.Refused = append(f.Refused, loginRefusal{refusal{name, why}, data})
	}
	with := func(name, why string, change func(*event.Event)) {
		refuse(name, why, make("login.password", password, person(), change))
	}
	refuse("signed by a device", "signature", make("login.password", password, laptop, nil))
	refuse("signed by another identity", "signature", make("login.password", password, bob, nil))
	refuse("of a changed body", "body", flipped(f.Cases[0].Event, -3))
	with("for another hub", "not-meant", func(ev *event.Event) { ev.Audience = "O" })
	with("of another person's", "not-meant", func(ev *event.Event) { ev.Subject = "login." + bob.String() })
	with("of another type", "not-meant", func(ev *event.Event) { ev.Type = "login.code" })
	with("a backup of recovery.md", "not-meant", func(ev *event.Event) { ev.Type = "recovery.put" })
	with("on a chain", "malformed", func(ev *event.Event) { ev.Seq = 1 })
	with("in an epoch", "malformed", func(ev *event.Event) { ev.Epoch = event.Hash{1} })
	with("with an end", "malformed", func(ev *event.Event) { ev.NotAfter = start.Add(time.Hour) })
	body := func(name, kind, text string) { refuse(name, "malformed", make(kind, text, person(), nil)) }
	body("white space", "login.password", changed(password, `,"passes"`, `, "passes"`))
	body("a member that nobody knows", "login.password", changed(password, `{"salt"`, `{"more":1,"salt"`))
	body("a salt of 15 bytes", "login.password", changed(password, b64(first.Salt), b64(first.Salt[:15])))
	body("too little memory", "login.password", changed(password, "8192", "8191"))
	body("too much memory", "login.password", changed(password, "8192", "1048577"))
	body("no pass", "login.password", changed(password, `"passes":1`, `"passes":0`))
	body("too many passes", "login.password", changed(password, `"passes":1`, `"passes":17`))
	body("no verifier", "login.password", changed(password, hex.EncodeToString(first.Hash), ""))
	body("no blob", "login.password", changed(password, b64(first.Blob), ""))
	body("no credential", "login.passkey", changed(passkey, credential, ""))
	body("a credential with padding", "login.passkey", changed(passkey, credential, credential+"="))
	body("loose bits in a credential", "login.passkey", changed(passkey, credential, credential[:len(credential)-1]+"9"))
	body("a password as a passkey", "login.passkey", password)
	body("nothing", "login.remove", "")
	return f
}

func TestLogins(t *testing.T) {
	f := load[loginFile](t, "login.json")
	for _, c := range f.Cases {
		ev := get(event.Decode(c.Event))
		login, err := ev.CheckLogin(f.Hub)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		same(t, c.Name, ev.Type, c.Type)
		same(t, c.Name, string(ev.Body), c.Body)
		same(t, c.Name, login.Credential(), c.Credential)
		again := get(event.NewLogin(f.Hub, person(), start, *login))
		same(t, c.Name+", made anew", string(again.Body), c.Body)
		same(t, c.Name+", made anew", again.Type, c.Type)
	}
	want := map[string]error{
		"signature": event.ErrSignature, "not-meant": event.ErrNotMeant, "malformed": event.ErrMalformed, "body": event.ErrBody,
	}
	for _, r := range f.Refused {
		_, err := get(event.Decode(r.Event)).CheckLogin(f.Hub)
		wantErr(t, r.Name, err, want[r.Why])
	}
}

type sessionFile struct {
	about
	Hub       string           `json:"hub"`
	Device    string           `json:"device"`
	Seed      string           `json:"seed"`
	Challenge octets           `json:"challenge"`
	Statement octets           `json:"statement"`
	Signature octets           `json:"signature"`
	Refused   []sessionRefusal `json:"refused"`
}

type sessionRefusal struct {
	refusal
	Device    string `json:"device"`
	Hub       string `json:"hub"`
	Challenge octets `json:"challenge"`
	Signature octets `json:"signature"`
}

func makeSession() sessionFile {
	laptop := pair(trust.Device, "alice laptop")
	f := sessionFile{
		about: about{"What opens a session: a device's signature on the hub's challenge.", "web.md#sessions"},
		Hub:   hubID(), Device: laptop.String(), Seed: string(laptop.Seed()), Challenge: secret("session challenge"),
	}
	f.Statement = slices.Concat(label("session"), []byte(f.Hub), []byte{0}, f.Challenge)
	sign := func(message []byte) []byte { sig := laptop.Sign(message); return sig[:] }
	f.Signature = sign(f.Statement)
	other := pair(trust.Operator, "hub signing").String()
	add := func(name, device, hub string, challenge, signature []byte) {
		f.Refused = append(f.Refused, sessionRefusal{refusal{name, "session"}, device, hub, challenge, signature})
	}
	add("another device", pair(trust.Device, "bob laptop").String(), f.Hub, f.Challenge, f.Signature)
	add("another hub", f.Device, other, f.Challenge, f.Signature)
	add("another challenge", f.Device, f.Hub, flipped(f.Challenge, 0), f.Signature)
	add("the challenge alone", f.Device, f.Hub, f.Challenge, sign(f.Challenge))
	add("a challenge of NATS", f.Device, f.Hub, f.Challenge, sign([]byte(hex.EncodeToString(f.Challenge))))
	add("no signature", f.Device, f.Hub, f.Challenge, nil)
	return f
}

func TestSession(t *testing.T) {
	f := load[sessionFile](t, "session.json")
	laptop := get(trust.ParseSeed(trust.Device, []byte(f.Seed)))
	sig := trust.SignSession(laptop, f.Hub, [32]byte(f.Challenge))
	sameBytes(t, "signature", sig[:], f.Signature)
	if err := trust.CheckSession(laptop.Public(), f.Hub, [32]byte(f.Challenge), f.Signature); err != nil {
		t.Error(err)
	}
	for _, r := range f.Refused {
		device := get(trust.ParsePublicKey(trust.Device, r.Device))
		wantErr(t, r.Name, trust.CheckSession(device, r.Hub, [32]byte(r.Challenge), r.Signature), trust.ErrSession)
	}
}

type linkFile struct {
	about
	Hub         string   `json:"hub"`
	Fingerprint octets   `json:"fingerprint"`
	Secret      octets   `json:"secret"`
	Code        string   `json:"code"`
	Readings    []string `json:"readings"`
	Link        string   `json:"link"` // id
	Key         octets   `json:"key"`

	AskPlaintext string `json:"askPlaintext"`
	AskData      octets `json:"askAd"`
	AskNonce     octets `json:"askNonce"`
	Ask          octets `json:"ask"`
	AskHash      octets `json:"askHash"`
	Words        string `json:"words"`

	XKey            string `json:"xkey"` // seed of the single-use one
	AnswerPlaintext string `json:"answerPlaintext"`
	Context         octets `json:"context"`
	Ephemeral       octets `json:"ephemeral"` // the sender's scalar
	Answer          octets `json:"answer"`

	Refused []codeRefusal `json:"refused"`
	Asks    []blobRefusal `json:"refusedAsks"`
	Answers []blobRefusal `json:"refusedAnswers"`
}

func makeLink() linkFile {
	f := linkFile{
		about: about{"A link code, what one device asks by it, the words to compare, and the answer.", "web.md#linking"},
		Hub:   hubID(), Fingerprint: hash([]byte(hubID()))[:16], Secret: secret("link")[:10],
	}
	text := base32Text.EncodeToString(f.Secret)
	f.Code = "kl-" + text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
	f.Readings = readings(f.Code)
	raw := hkdfKey(f.Secret, f.Fingerprint, label("link-id"))[:16]
	f.Link = trust.FormatID([16]byte(raw))
	f.Key = hkdfKey(f.Secret, f.Fingerprint, label("link-key"))
	phone, single := pair(trust.Device, "alice phone"), xkey("link xkey")
	f.XKey = string(single.Seed())
	f.AskPlaintext = `{"hub":"` + f.Hub + `","device":"` + phone.String() + `","xkey":"` + single.String() + `","name":"firefox"}`
	f.AskData, f.AskNonce = slices.Concat(label("link-ask"), raw), secret("link nonce")[:12]
	f.Ask = aesGCM(f.Key, f.AskNonce, []byte(f.AskPlaintext), f.AskData)
	f.AskHash = hash(f.Ask)
	f.Words = linkWordsOf(f.Key, f.AskHash)
	token := get(trust.IssueDevice(person(), phone.Public(), "firefox", start, start.Add(24*time.Hour)))
	f.AnswerPlaintext = `{"hub":"` + f.Hub + `","account":"` + person().String() + `","handle":"alice","token":"` + token.Text +
		`","xkeys":["` + string(xkey("alice xkey").Seed()) + `","` + string(xkey("alice old xkey").Seed()) + `"],"seq":4,"head":"` + hex.EncodeToString(secret("head")) + `"}`
	f.Context, f.Ephemeral = slices.Concat(raw, f.AskHash), secret("link ephemeral")
	answer := func(text string, context []byte) []byte {
		return boxFor(single.String(), "link", context, f.Ephemeral, []byte(text)).Box
	}
	f.Answer = answer(f.AnswerPlaintext, f.Context)
	f.refuse(answer)
	return f
}

// linkWordsOf are four words for the first 44 bits.
func linkWordsOf(key, askHash []byte) string {
	sum := hash(label("link-words"), key, askHash)
	bits := uint64(0)
	for _, b := range sum[:6] {
		bits = bits<<8 | uint64(b)
	}
	list := wordlists.English
	var words []string
	for shift := 48 - 11; len(words) < 4; shift -= 11 {
		words = append(words, list[bits>>shift&2047])
	}
	return strings.Join(words, " ")
}

func (f *linkFile) refuse(answer func(string, []byte) []byte) {
	code := func(name, text, why string) { f.Refused = append(f.Refused, codeRefusal{refusal{name, why}, text}) }
	code("empty", "", "prefix")
	code("no prefix", f.Code[3:], "prefix")
	code("the prefix of an invite", "kh"+f.Code[2:], "prefix")
	code("a character less", f.Code[:len(f.Code)-1], "length")
	code("a character more", f.Code+"a", "length")
	code("a group more", f.Code+"-aaaa", "length")
	code("a 1", f.Code[:5]+"1"+f.Code[6:], "alphabet")

	phone, single := pair(trust.Device, "alice phone").String(), xkey("link xkey").String()
	ask := func(name, why, text string) {
		f.Asks = append(f.Asks, blobRefusal{refusal{name, why}, aesGCM(f.Key, f.AskNonce, []byte(text), f.AskData)})
	}
	ask("for another hub", "content", changed(f.AskPlaintext, `{"hub":"O`, `{"hub":"A`))
	ask("no device", "content", changed(f.AskPlaintext, phone, person().String()))
	ask("no xkey", "content", changed(f.AskPlaintext, single, phone))
	ask("no name", "content", changed(f.AskPlaintext, "firefox", "Fire fox"))
	ask("white space", "canonical", changed(f.AskPlaintext, `,"name"`, `, "name"`))
	ask("a member that nobody knows", "canonical", changed(f.AskPlaintext, `"}`, `","more":1}`))
	f.Asks = append(f.Asks,
		blobRefusal{refusal{"changed", "sealed"}, flipped(f.Ask, 20)},
		blobRefusal{refusal{"of another link", "sealed"}, aesGCM(f.Key, f.AskNonce, []byte(f.AskPlaintext), flipped(f.AskData, -1))},
		blobRefusal{refusal{"27 bytes", "sealed"}, f.Ask[:27]})

	say := func(name, why, old, new string) {
		f.Answers = append(f.Answers, blobRefusal{refusal{name, why}, answer(changed(f.AnswerPlaintext, old, new), f.Context)})
	}
	say("for another hub", "content", `{"hub":"O`, `{"hub":"A`)
	say("of another person", "content", `"account":"`+person().String(), `"account":"`+pair(trust.Account, "bob identity").String())
	say("no handle", "content", `"handle":"alice"`, `"handle":""`)
	say("a token that does not hold", "content", `"token":"ey`, `"token":"ay`)
	say("no xkey", "content", `"xkeys":["`+string(xkey("alice xkey").Seed())+`","`+string(xkey("alice old xkey").Seed())+`"]`, `"xkeys":[]`)
	say("an identity for an xkey", "content", string(xkey("alice old xkey").Seed()), string(person().Seed()))
	say("no place", "content", `"seq":4`, `"seq":0`)
	say("no head", "content", hex.EncodeToString(secret("head")), "")
	say("white space", "canonical", `,"seq"`, `, "seq"`)
	f.Answers = append(f.Answers,
		blobRefusal{refusal{"to something else that was asked", "box"}, answer(f.AnswerPlaintext, flipped(f.Context, -1))},
		blobRefusal{refusal{"of another link", "box"}, answer(f.AnswerPlaintext, flipped(f.Context, 0))},
		blobRefusal{refusal{"changed", "box"}, flipped(f.Answer, 40)})
}

func TestLink(t *testing.T) {
	f := load[linkFile](t, "link.json")
	var link *trust.Link
	for _, code := range append([]string{f.Code}, f.Readings...) {
		var err error
		if link, err = trust.ParseLink(f.Hub, code); err != nil {
			t.Fatalf("%q: %v", code, err)
		}
		same(t, "code", link.Code(), f.Code)
		same(t, "link", link.ID(), f.Link)
	}
	ask, err := link.OpenAsk(f.Ask)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "ask", string(get(trust.Canonical(ask))), f.AskPlaintext)
	same(t, "words", link.Words(f.Ask), f.Words)
	single := get(trust.ParseXKeySeed([]byte(f.XKey)))
	answer, token, err := link.OpenAnswer(single, f.Ask, f.Answer)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "answer", string(get(trust.Canonical(answer))), f.AnswerPlaintext)
	same(t, "device", token.Device.Text(trust.Device), ask.Device)
	again := get(link.SealAnswer(f.Ask, ask.XKey, *answer))
	if _, _, err := link.OpenAnswer(single, f.Ask, again); err != nil {
		t.Errorf("sealed anew: %v", err)
	}
	anew := get(link.SealAsk(*ask))
	if _, err := link.OpenAsk(anew); err != nil || sha256.Sum256(anew) == [32]byte(f.AskHash) {
		t.Errorf("asked anew: %v", err)
	}
	for _, r := range f.Refused {
		_, err := trust.ParseLink(f.Hub, r.Code)
		wantErr(t, r.Name, err, trust.ErrLink)
	}
	for _, r := range f.Asks {
		_, err := link.OpenAsk(r.Blob)
		wantErr(t, r.Name, err, trust.ErrLink)
	}
	for _, r := range f.Answers {
		_, _, err := link.OpenAnswer(single, f.Ask, r.Blob)
		wantErr(t, r.Name, err, trust.ErrLink)
	}
}

func guardedSignin(t *testing.T) []guarded {
	t.Helper()
	passwords, logins := load[passwordFile](t, "password.json"), load[loginFile](t, "login.json")
	session, link := load[sessionFile](t, "session.json"), load[linkFile](t, "link.json")
	yields := get(trust.DerivePassword(passwords.Hub, passwords.Cases[0].Password, passwords.Cases[0].cost()))
	device := get(trust.ParsePublicKey(trust.Device, session.Device))
	opened := get(trust.ParseLink(link.Hub, link.Code))
	single := get(trust.ParseXKeySeed([]byte(link.XKey)))
	return []guarded{
		{name: "blob of a password", data: passwords.Cases[0].Blob, take: func(data []byte) error {
			_, err := yields.Open(passwords.Hub, person().Public(), data)
			return err
		}},
		{name: "login", data: logins.Cases[0].Event, take: func(data []byte) error {
			ev, err := event.Decode(data)
			if err == nil {
				_, err = ev.CheckLogin(logins.Hub)
			}
			return err
		}},
		{name: "session", data: slices.Concat(session.Challenge, session.Signature), take: func(data []byte) error {
			return trust.CheckSession(device, session.Hub, [32]byte(data), data[32:])
		}},
		{name: "ask of a link", data: link.Ask, take: func(data []byte) error {
			_, err := opened.OpenAsk(data)
			return err
		}},
		{name: "answer of a link", data: link.Answer, take: func(data []byte) error {
			_, _, err := opened.OpenAnswer(single, link.Ask, data)
			return err
		}},
	}
}
