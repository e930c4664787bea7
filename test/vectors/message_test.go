package vectors_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

type messageFile struct {
	about
	Cases        []messageCase `json:"cases"`
	Refused      []formRefusal `json:"refused"`
	RefusedTexts []jsonRefusal `json:"refusedTexts"`
}

// messageCase is an event in all its forms.
type messageCase struct {
	Name    string   `json:"name"`
	Signer  string   `json:"signer"` // seed
	Access  string   `json:"access"`
	Fields  fields   `json:"fields"`
	Body    octets   `json:"body"`
	Compact octets   `json:"compact"` // the event
	Token   string   `json:"token"`   // its form without the body, in base64url
	Headers message  `json:"headers"`
	Payload message  `json:"payload"` // the compact form
	ByHash  message  `json:"byHash"`  // as headers, with the hash of the access token
	JSON    string   `json:"json"`
	trail   []hop    // of those in event-trail.json
	batch   *inBatch // of those in event-batch.json
}

// message is a NATS message. Headers are in bytewise order of name; none are said of their order.
type message struct {
	Subject string      `json:"subject"`
	Headers [][2]string `json:"headers"`
	Data    octets      `json:"data"`
}

type formRefusal struct {
	refusal // why: malformed, not-meant, body or signature
	message
}

type jsonRefusal struct {
	refusal
	JSON string `json:"json"`
}

func (m message) msg() *nats.Msg {
	header := make(nats.Header)
	for _, one := range m.Headers {
		header[one[0]] = append(header[one[0]], one[1])
	}
	return &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}
}

// asMessage is a message as this file has it.
func asMessage(msg *nats.Msg) message {
	m := message{Subject: msg.Subject, Data: msg.Data}
	for name, values := range msg.Header {
		for _, value := range values {
			m.Headers = append(m.Headers, [2]string{name, value})
		}
	}
	slices.SortFunc(m.Headers, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return m
}

// with is the message with a header in the place of all of a name; without values: with none.
func (m message) with(name string, values ...string) message {
	other := message{Subject: m.Subject, Data: m.Data}
	for _, one := range m.Headers {
		if one[0] != name {
			other.Headers = append(other.Headers, one)
		}
	}
	for _, value := range values {
		other.Headers = append(other.Headers, [2]string{name, value})
	}
	slices.SortStableFunc(other.Headers, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return other
}

func (m message) value(name string) string {
	for _, one := range m.Headers {
		if one[0] == name {
			return one[1]
		}
	}
	panic("no header " + name)
}

func percent(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// jsonTime is a moment as canonical JSON says it.
func jsonTime(millis uint64) string {
	at := time.UnixMilli(int64(millis)).UTC() //nolint:gosec // below 2^62
	text := at.Format("2006-01-02T15:04:05")
	if fraction := millis % 1000; fraction != 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%03d", fraction), "0")
	}
	return text + "Z"
}

// beside are the headers of an event in any form.
func (c *messageCase) beside() [][2]string {
	headers := [][2]string{{"Nats-Msg-Id", uuid.UUID(c.Fields.ID).String()}, {"Keyhall-Access", c.Access}}
	if len(c.trail) > 0 {
		headers = append(headers, [2]string{"Keyhall-Trail", base64.RawURLEncoding.EncodeToString(trailBytes(c.trail))})
	}
	return headers
}

// complete makes all forms of an event of which the fields, the body and the access token are there.
func (c *messageCase) complete(signer *trust.KeyPair) {
	c.Signer = string(signer.Seed())
	c.Fields.BodyHash = c.Fields.bodyHash(c.Body)
	token := c.Fields.token()
	var withheld []byte
	if c.batch == nil {
		withheld = compact(token, nil, sigOf(signer, signed(token)))
	} else {
		withheld = c.batch.envelope(token)
	}
	c.Compact = slices.Concat(withheld, c.Body)
	c.Token = base64.RawURLEncoding.EncodeToString(withheld)
	f := c.Fields
	c.Payload = message{Subject: f.Subject, Headers: c.beside(), Data: c.Compact}.with("")
	c.Headers = message{Subject: f.Subject, Data: c.Body, Headers: append(c.beside(), [][2]string{
		{"ce-specversion", "1.0"},
		{"ce-id", uuid.UUID(f.ID).String()},
		{"ce-source", "nkey:" + trust.PublicKey(f.Author).Text(trust.Account) + "/" + trust.PublicKey(f.Device).Text(trust.Device)},
		{"ce-type", f.Type},
		{"ce-subject", percent(f.Subject)},
		{"ce-time", jsonTime(f.Time)},
		{"ce-keyhalltoken", c.Token},
	}...)}
	content := f.Content
	if !slices.Equal(f.Epoch, zeros()) {
		content = "application/octet-stream"
	}
	if content != "" {
		c.Headers.Headers = append(c.Headers.Headers, [2]string{"ce-datacontenttype", percent(content)})
	}
	c.Headers = c.Headers.with("")
	c.ByHash = c.Headers.with("Keyhall-Access").with("Keyhall-Access-Hash", fmt.Sprintf("%x", hash([]byte(c.Access))))
	trail := ""
	if len(c.trail) > 0 {
		trail = `,"trail":"` + c.Headers.value("Keyhall-Trail") + `"`
	}
	c.JSON = `{"id":"` + uuid.UUID(f.ID).String() + `","data":"` + base64.StdEncoding.EncodeToString(c.Body) + `","jwt":"` + c.Access +
		`","event_auth":"` + c.Token + `"` + trail + `}`
}

// publicFields are those of an event on a stream, for everybody.
func publicFields(name string) fields {
	f := plainFields(name, nil)
	f.Type, f.Subject, f.Audience = "order.placed", "orders.new", ""
	return f
}

func publicEvent(name, body string, change func(f *fields)) messageCase {
	c := messageCase{Name: name, Access: userToken("alice identity", "alice laptop"), Fields: publicFields(name), Body: octets(body)}
	if change != nil {
		change(&c.Fields)
	}
	c.complete(pair(trust.Device, "alice laptop"))
	return c
}

func makeMessages() messageFile {
	f := messageFile{about: about{"Events of streams in their forms: with headers, compact, and as JSON.", "streams.md#forms"}}
	var first fields
	for _, c := range []struct {
		name, body string
		change     func(f *fields)
	}{
		{"public", `{"order":1}`, func(f *fields) { f.Content = "application/json" }},
		{"of no media type", "\x00\xff", nil},
		{"of a media type with a parameter", "ä", func(f *fields) { f.Content = `text/plain; charset="utf-8"` }},
		{"with an empty body", "", nil},
		{"with further fields", "body", func(f *fields) { f.Digest, f.Content, f.Receipt = 1, "text/plain", "receipts.alice" }},
		{"for somebody, with an end", "body", func(f *fields) {
			f.Audience, f.NotAfter = pair(trust.Account, "bob identity").String(), f.Time+60000
		}},
		{"on a subject that headers cannot say", "body", func(f *fields) { f.Subject = `orders."é".100%.~!` }},
		{"at a full second", "body", func(f *fields) { f.Time -= 123 }},
		{"at a tenth of a second", "body", func(f *fields) { f.Time -= 23 }},
		{"first on its chain", "one", func(f *fields) { f.Seq, first = 1, *f }},
		{"second on its chain", "two", func(f *fields) { f.Seq, f.Prev, f.Head = 2, first.hash("one"), secret("head") }},
		{"sealed", "sealed", func(f *fields) { f.Epoch, f.Content = secret("epoch"), "text/plain" }},
	} {
		f.Cases = append(f.Cases, publicEvent(c.name, c.body, c.change))
	}
	f.refuseMessages()
	f.refuseTexts()
	return f
}

// hash names an event with a body.
func (f fields) hash(body string) []byte {
	f.BodyHash = f.bodyHash([]byte(body))
	return hash(signed(f.token()))
}

func (f *messageFile) refuseMessages() {
	plain, other, sealed := f.Cases[0], f.Cases[4], f.Cases[11]
	add := func(name, why string, m message) {
		f.Refused = append(f.Refused, formRefusal{refusal{name, why}, m})
	}
	for _, form := range []struct {
		name string
		message
	}{{"with headers", plain.Headers}, {"compact", plain.Payload}} {
		m := form.message
		for _, one := range m.Headers {
			add(form.name+", without "+one[0], "malformed", m.with(one[0]))
			add(form.name+", twice "+one[0], "malformed", m.with(one[0], one[1], one[1]))
			add(form.name+", with an empty "+one[0], "malformed", m.with(one[0], ""))
		}
		add(form.name+", with another attribute", "malformed", m.with("ce-priority", "1"))
		add(form.name+", with an attribute in capitals", "malformed", m.with("CE-Type", "order.cancelled"))
		add(form.name+", with the id of another", "malformed", m.with("Nats-Msg-Id", other.Headers.value("Nats-Msg-Id")))
		add(form.name+", with an id in capitals", "malformed", m.with("Nats-Msg-Id", strings.ToUpper(m.value("Nats-Msg-Id"))))
		add(form.name+", with both access token and hash", "malformed", m.with("Keyhall-Access-Hash", plain.ByHash.value("Keyhall-Access-Hash")))
		add(form.name+", with a hash in capitals", "malformed", m.with("Keyhall-Access").with("Keyhall-Access-Hash", strings.ToUpper(plain.ByHash.value("Keyhall-Access-Hash"))))
		add(form.name+", with a hash of zeros", "malformed", m.with("Keyhall-Access").with("Keyhall-Access-Hash", strings.Repeat("0", 64)))
		add(form.name+", with a trail that it does not need", "trail", m.with("Keyhall-Trail", base64.RawURLEncoding.EncodeToString(trailBytes([]hop{{plain, nil}}))))
		moved := m
		moved.Subject = "orders.old"
		add(form.name+", on another subject", "not-meant", moved)
		longer := m
		longer.Data = append(slices.Clone(m.Data), ' ')
		add(form.name+", with a byte more", "body", longer)
	}
	m := plain.Headers
	for name, value := range map[string]string{
		"ce-specversion": "1.1", "ce-id": other.Headers.value("ce-id"), "ce-source": "nkey:" + pair(trust.Account, "alice identity").String(),
		"ce-type": "order.cancelled", "ce-subject": "orders.old", "ce-time": "2026-11-22T14:08:50.1230Z", "ce-datacontenttype": "text/html",
		"ce-keyhalltoken": other.Headers.value("ce-keyhalltoken"),
	} {
		f.Refused = append(f.Refused, formRefusal{refusal{"with another " + name, "malformed"}, m.with(name, value)})
	}
	slices.SortStableFunc(f.Refused[len(f.Refused)-8:], func(a, b formRefusal) int { return strings.Compare(a.Name, b.Name) })
	text := plain.Token
	add("padding behind the token", "malformed", m.with("ce-keyhalltoken", text+"="))
	add("loose bits in the token", "malformed", m.with("ce-keyhalltoken", text[:len(text)-1]+string(text[len(text)-1]+1)))
	add("a token with a body", "malformed", m.with("ce-keyhalltoken", base64.RawURLEncoding.EncodeToString(plain.Compact)))
	add("a token that is none", "malformed", m.with("ce-keyhalltoken", text[:40]))
	add("a subject that is not encoded", "malformed", f.Cases[6].Headers.with("ce-subject", f.Cases[6].Fields.Subject))
	add("a subject encoded in small letters", "malformed", f.Cases[6].Headers.with("ce-subject", strings.ToLower(f.Cases[6].Headers.value("ce-subject"))))
	add("more encoded than needs be", "malformed", m.with("ce-subject", "%6Frders.new"))
	add("a fraction of zeros", "malformed", f.Cases[7].Headers.with("ce-time", strings.Replace(f.Cases[7].Headers.value("ce-time"), "Z", ".000Z", 1)))
	add("the media type of what was sealed", "malformed", sealed.Headers.with("ce-datacontenttype", "text/plain"))
	changedBody := m
	changedBody.Data = octets(`{"order":2}`)
	add("another body", "body", changedBody)
	swapped := other.Headers
	swapped.Data = m.Data
	add("the body of another", "body", swapped)
	forged := plain
	forged.complete(pair(trust.Device, "bob laptop"))
	add("signed by another device", "signature", forged.Headers)
	add("signed by another device, compact", "signature", forged.Payload)
	add("compact without headers", "malformed", message{Subject: plain.Payload.Subject, Data: plain.Payload.Data})
}

func (f *messageFile) refuseTexts() {
	plain := f.Cases[0]
	add := func(name, why, text string) {
		f.RefusedTexts = append(f.RefusedTexts, jsonRefusal{refusal{name, why}, text})
	}
	text := plain.JSON
	data := base64.StdEncoding.EncodeToString(plain.Body)
	add("empty", "malformed", "")
	add("a list", "malformed", "["+text+"]")
	add("a text", "malformed", `"x"`)
	add("something behind", "malformed", text+"{}")
	add("cut short", "malformed", text[:len(text)-1])
	for _, member := range []string{"id", "data", "jwt", "event_auth"} {
		add("a member twice: "+member, "malformed", changed(text, `{"id"`, `{"`+member+`":"x","id"`))
		add("a member in capitals: "+member, "malformed", changed(text, `"`+member+`"`, `"`+strings.ToUpper(member)+`"`))
	}
	add("a member twice, the same", "malformed", changed(text, `{"id"`, `{"data":"`+data+`","id"`))
	add("a member more", "malformed", changed(text, `{"id"`, `{"more":"x","id"`))
	add("no id", "malformed", changed(text, `"id":"`+plain.Headers.value("ce-id")+`",`, ""))
	add("no data", "malformed", changed(text, `"data":"`+data+`",`, ""))
	add("no jwt", "malformed", changed(text, `,"jwt":"`+plain.Access+`"`, ""))
	add("no event_auth", "malformed", changed(text, `,"event_auth":"`+plain.Token+`"`, ""))
	add("null", "malformed", changed(text, `"`+data+`"`, "null"))
	add("a number", "malformed", changed(text, `"`+data+`"`, "1"))
	add("another id", "malformed", changed(text, plain.Headers.value("ce-id"), f.Cases[1].Headers.value("ce-id")))
	add("an id in capitals", "malformed", changed(text, plain.Headers.value("ce-id"), strings.ToUpper(plain.Headers.value("ce-id"))))
	add("a line break in the data", "malformed", changed(text, data, data[:4]+`\n`+data[4:]))
	add("data without padding", "malformed", changed(text, data, strings.TrimRight(data, "=")))
	add("other data", "body", changed(text, data, base64.StdEncoding.EncodeToString([]byte("other"))))
	add("a token with a body", "malformed", changed(text, plain.Token, base64.RawURLEncoding.EncodeToString(plain.Compact)))
	add("an empty trail", "malformed", changed(text, `"}`, `","trail":""}`))
	add("a trail that it does not need", "trail", changed(text, `"}`, `","trail":"`+base64.RawURLEncoding.EncodeToString(trailBytes([]hop{{plain, nil}}))+`"}`))
	forged := plain
	forged.complete(pair(trust.Device, "bob laptop"))
	add("signed by another device", "signature", forged.JSON)
}

// streamErrors are the names that the files of streams give to checks.
var streamErrors = map[string]error{
	"malformed": event.ErrMalformed, "not-meant": event.ErrNotMeant, "body": event.ErrBody, "signature": event.ErrSignature, "trail": event.ErrTrail,
	"expired": event.ErrExpired, "revoked": event.ErrRevoked, "untrusted": event.ErrUntrusted, "access": event.ErrAccess,
	"time": event.ErrTime, "digest": event.ErrDigest, "no-key": event.ErrNoKey, "sealed": event.ErrSealed, "commitment": event.ErrCommitment,
}

func isErr(err, want error) bool { return errors.Is(err, want) }

func TestMessages(t *testing.T) {
	f := load[messageFile](t, "event-message.json")
	for _, c := range f.Cases {
		c.meet(t)
	}
	for _, r := range f.Refused {
		wantErr(t, r.Name, readAndCheck(event.ReadMsg(r.msg())), streamErrors[r.Why])
	}
	for _, r := range f.RefusedTexts {
		wantErr(t, r.Name, readAndCheck(event.ReadJSON([]byte(r.JSON))), streamErrors[r.Why])
	}
}

func readAndCheck(v *event.Envelope, err error) error {
	if err != nil {
		return err
	}
	return v.Event.Check()
}

// meet holds an event against all its forms.
func (c *messageCase) meet(t *testing.T) {
	t.Helper()
	for _, form := range []struct {
		name string
		message
		form event.Form
	}{{"headers", c.Headers, event.Headers}, {"compact", c.Payload, event.Compact}, {"by hash", c.ByHash, event.Headers}} {
		v, err := event.ReadMsg(form.msg())
		if err = readAndCheck(v, err); err != nil {
			t.Errorf("%s, %s: %v", c.Name, form.name, err)
			continue
		}
		sameBytes(t, c.Name, v.Event.Encode(), c.Compact)
		sameBytes(t, c.Name, v.Which[:], hash([]byte(c.Access)))
		if again := asMessage(v.Msg(form.form)); !sameMessage(again, form.message) {
			t.Errorf("%s, %s, made again:\n%+v\nwant\n%+v", c.Name, form.name, again, form.message)
		}
	}
	v, err := event.ReadJSON([]byte(c.JSON))
	if err = readAndCheck(v, err); err != nil {
		t.Errorf("%s as JSON: %v", c.Name, err)
		return
	}
	text, err := v.JSON()
	if err != nil {
		t.Error(err)
	}
	same(t, c.Name, string(text), c.JSON)
	sameBytes(t, c.Name, v.Event.Encode(), c.Compact)
	made := fromFields(c.Fields, c.Body)
	got := *v.Event
	if got.ID != made.ID || got.Cause != made.Cause || got.Content != made.Content || got.Receipt != made.Receipt || got.Digest != made.Digest || got.Seq != made.Seq || got.Prev != made.Prev {
		t.Errorf("%s is read as %+v", c.Name, got)
	}
}

func sameMessage(a, b message) bool {
	return a.Subject == b.Subject && slices.Equal(a.Data, b.Data) && slices.Equal(a.Headers, b.Headers)
}

func guardedMessages(t *testing.T) (all []guarded) {
	t.Helper()
	f := load[messageFile](t, "event-message.json")
	for _, name := range []string{"public", "with further fields", "on a subject that headers cannot say", "second on its chain"} {
		c := f.Cases[slices.IndexFunc(f.Cases, func(c messageCase) bool { return c.Name == name })]
		all = append(all, c.guarded(t, c.Access)...)
	}
	return all
}

// guarded are all parts of an event's forms. tokens are the access tokens that can be found.
func (c *messageCase) guarded(t *testing.T, tokens ...string) (all []guarded) {
	t.Helper()
	rules := event.Rules{Is: []string{pair(trust.Account, "bob identity").String()}}
	for _, text := range tokens {
		rules.Accounts = append(rules.Accounts, get(event.ParseAccess(text)).Account.Text(trust.Account))
	}
	rules.Digest = event.Digest(c.Fields.Digest)
	m := get(event.NewTokenManager(rules))
	judge := func(v *event.Envelope, err error) error {
		if err != nil {
			return err
		}
		at := time.UnixMilli(int64(c.Fields.Time)) //nolint:gosec // after 1970
		return m.Verify(t.Context(), v, event.Moment{Now: at, Stored: at}, found(tokens))
	}
	for _, form := range []struct {
		name string
		message
	}{{"headers", c.Headers}, {"compact", c.Payload}, {"by hash", c.ByHash}} {
		name := fmt.Sprintf("message %s, %s, ", c.Name, form.name)
		m := form.message
		if len(m.Data) > 0 {
			all = append(all, guarded{name: name + "data", data: m.Data, take: func(data []byte) error {
				other := m
				other.Data = data
				return judge(event.ReadMsg(other.msg()))
			}})
		}
		all = append(all, guarded{name: name + "subject", data: []byte(m.Subject), take: func(data []byte) error {
			other := m
			other.Subject = string(data)
			return judge(event.ReadMsg(other.msg()))
		}})
		for i, one := range m.Headers {
			for part := range one {
				all = append(all, guarded{name: name + one[0] + " " + strconv.Itoa(part), data: []byte(one[part]), take: func(data []byte) error {
					other := m
					other.Headers = slices.Clone(m.Headers)
					other.Headers[i][part] = string(data)
					return judge(event.ReadMsg(other.msg()))
				}})
			}
		}
	}
	return append(all, guarded{name: "JSON " + c.Name, data: []byte(c.JSON), take: func(data []byte) error { return judge(event.ReadJSON(data)) }})
}
