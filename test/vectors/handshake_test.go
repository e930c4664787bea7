package vectors_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/seal"
	"keyhall.dev/keyhall/trust"
)

type handshakeFile struct {
	about
	Now          int64  `json:"now"` // when everything is judged, in milliseconds
	Hub          string `json:"hub"`
	Reader       octets `json:"reader"`
	ReaderDevice octets `json:"readerDevice"`
	Owner        octets `json:"owner"`
	OwnerDevice  octets `json:"ownerDevice"`
	OwnerXKey    string `json:"ownerXKey"` // seed
	Subject      string `json:"subject"`
	Grant        string `json:"grant"`
	Root         octets `json:"root"`

	Request       string `json:"request"`
	ReaderXKey    string `json:"readerXKey"` // seed, single use
	OpenContext   octets `json:"openContext"`
	OpenEphemeral octets `json:"openEphemeral"`
	Open          octets `json:"open"`     // compact
	OpenHash      octets `json:"openHash"` // Hₒ

	Answer          string `json:"answer"` // body
	AnswerEvent     octets `json:"answerEvent"`
	AnswerEphemeral octets `json:"answerEphemeral"`
	AnswerMessage   octets `json:"answerMessage"`
	Key             octets `json:"key"`
	ReadKey         octets `json:"readKey"`
	BlockKey        octets `json:"blockKey"`

	Refusal        string `json:"refusal"` // body
	RefusalMessage octets `json:"refusalMessage"`
	Plain          string `json:"plain"`
	PlainMessage   octets `json:"plainMessage"`

	RefusedOpens   []openRefusal   `json:"refusedOpens"`
	RefusedAnswers []answerRefusal `json:"refusedAnswers"`
}

type openRefusal struct {
	refusal
	Open octets `json:"open"`
}

type answerRefusal struct {
	refusal
	Message octets `json:"message"`
}

func makeHandshake() handshakeFile {
	reader, owner := pair(trust.Account, "bob identity"), pair(trust.Account, "alice identity")
	readerDevice, ownerDevice := pair(trust.Device, "bob laptop"), pair(trust.Device, "alice laptop")
	readerKey, ownerKey := reader.Public(), owner.Public()
	readerDeviceKey, ownerDeviceKey := readerDevice.Public(), ownerDevice.Public()
	ownerX, readerX := xkey("alice xkey"), xkey("single use")
	f := handshakeFile{
		about: about{"The open of a transfer, what the owner answers, and the keys that both then have.", "transfers.md#1-open"},
		Now:   start.Add(time.Second).UnixMilli(), Hub: hubID(), Reader: readerKey[:], ReaderDevice: readerDeviceKey[:],
		Owner: ownerKey[:], OwnerDevice: ownerDeviceKey[:], OwnerXKey: string(ownerX.Seed()),
		Subject: "catalog." + reader.String() + "." + id("films") + ".open", Grant: id("grant"), Root: makeTree(1).Root,
		ReaderXKey: string(readerX.Seed()), OpenEphemeral: secret("open ephemeral"), AnswerEphemeral: secret("answer ephemeral"),
		Key: secret("handshake key"),
	}
	f.Request = `{"hub":"` + f.Hub + `","grant":"` + f.Grant + `","entry":"a/\"b\"","root":"` + hex.EncodeToString(f.Root) +
		`","xkey":"` + readerX.String() + `"}`
	uid := eventID("open")
	f.OpenContext = slices.Concat(uid[:], readerKey[:], readerDeviceKey[:])
	openEvent := func(change func(ev *event.Event), signer *trust.KeyPair, body []byte) []byte {
		ev := &event.Event{
			ID: uid, Author: readerKey, Time: start, NotAfter: start.Add(30 * time.Second), Head: event.Hash(secret("reader head")),
			Type: "transfer.open", Subject: f.Subject, Audience: owner.String(), Body: body,
		}
		if change != nil {
			change(ev)
		}
		must(ev.Sign(signer))
		return ev.Encode()
	}
	boxed := func(context []byte, request string) []byte {
		return boxFor(ownerX.String(), "open", context, f.OpenEphemeral, []byte(request)).Box
	}
	box := boxed(f.OpenContext, f.Request)
	f.Open = openEvent(nil, readerDevice, box)
	hash := get(event.Decode(f.Open)).SignedHash()
	f.OpenHash = hash[:]

	f.Answer = `{"open":"` + hex.EncodeToString(f.OpenHash) + `","transfer":"` + id("transfer") + `","node":"` + id("node") +
		`","key":"` + get(textOf(seal.Key(f.Key))) + `","size":1,"block":` + strconv.Itoa(seal.BlockSize) + `,"root":"` +
		hex.EncodeToString(f.Root) + `","expires":"2026-11-22T15:08:51Z"}`
	answerEvent := func(change func(ev *event.Event), signer *trust.KeyPair, body string) []byte {
		ev := &event.Event{
			ID: eventID("answer"), Author: ownerKey, Time: start.Add(time.Second), Head: event.Hash(secret("owner head")),
			Type: "transfer.answer", Subject: f.Subject, Audience: reader.String(), Body: []byte(body),
		}
		if change != nil {
			change(ev)
		}
		must(ev.Sign(signer))
		return ev.Encode()
	}
	message := func(ev []byte) []byte {
		return append([]byte{1}, boxFor(readerX.String(), "answer", f.OpenHash, f.AnswerEphemeral, ev).Box...)
	}
	f.AnswerEvent = answerEvent(nil, ownerDevice, f.Answer)
	f.AnswerMessage = message(f.AnswerEvent)
	f.ReadKey, f.BlockKey = hkdfKey(f.Key, f.OpenHash, label("read")), hkdfKey(f.Key, f.OpenHash, label("block"))
	f.Refusal = `{"open":"` + hex.EncodeToString(f.OpenHash) + `","code":"changed","message":"the file has changed"}`
	asRefusal := func(ev *event.Event) { ev.Type = "transfer.refusal" }
	f.RefusalMessage = message(answerEvent(asRefusal, ownerDevice, f.Refusal))
	f.Plain = `{"code":"refused","message":"this catalog is not shared with you"}`
	f.PlainMessage = append([]byte{0}, f.Plain...)

	open := func(name, why string, data []byte) {
		f.RefusedOpens = append(f.RefusedOpens, openRefusal{refusal{name, why}, data})
	}
	opened := func(name, why string, change func(ev *event.Event)) {
		open(name, why, openEvent(change, readerDevice, box))
	}
	opened("of another type", "not-meant", func(ev *event.Event) { ev.Type = "transfer.answer" })
	opened("for another subject", "not-meant", func(ev *event.Event) { ev.Subject = changed(f.Subject, ".open", ".read") })
	opened("for another owner", "not-meant", func(ev *event.Event) { ev.Audience = reader.String() })
	opened("for the hub", "not-meant", func(ev *event.Event) { ev.Audience = f.Hub })
	opened("without an end", "time", func(ev *event.Event) { ev.NotAfter = time.Time{} })
	opened("for more than 30 seconds", "time", func(ev *event.Event) { ev.NotAfter = ev.Time.Add(30*time.Second + time.Millisecond) })
	opened("from the future", "time", func(ev *event.Event) {
		ev.Time = start.Add(time.Second + trust.ClockSkew + time.Millisecond)
		ev.NotAfter = ev.Time.Add(time.Second)
	})
	opened("from the past", "time", func(ev *event.Event) {
		ev.NotAfter = start.Add(time.Second - trust.ClockSkew - time.Millisecond)
		ev.Time = ev.NotAfter.Add(-time.Second)
	})
	opened("by another person", "author", func(ev *event.Event) { ev.Author = ownerKey })
	opened("boxed under another id", "box", func(ev *event.Event) { ev.ID = eventID("another") })
	open("by another device", "device", openEvent(nil, pair(trust.Device, "alice phone"), box))
	open("a changed box", "box", openEvent(nil, readerDevice, flipped(box, 40)))
	open("boxed for another purpose", "box", openEvent(nil, readerDevice, boxFor(ownerX.String(), "share", f.OpenContext, f.OpenEphemeral, []byte(f.Request)).Box))
	open("boxed for nobody's open", "box", openEvent(nil, readerDevice, boxed(nil, f.Request)))
	open("for another hub inside", "hub", openEvent(nil, readerDevice, boxed(f.OpenContext, changed(f.Request, f.Hub, signing().String()))))
	open("a request that is not canonical", "malformed", openEvent(nil, readerDevice, boxed(f.OpenContext, f.Request+" ")))
	open("a path that leads out", "malformed", openEvent(nil, readerDevice, boxed(f.OpenContext, changed(f.Request, `a/\"b\"`, `a/../..`))))
	open("a changed signature", "signature", flipped(f.Open, len(f.Open)-len(box)-1))
	open("another body", "body", slices.Concat(f.Open[:len(f.Open)-len(box)], flipped(box, 50)))

	answer := func(name, why string, data []byte) {
		f.RefusedAnswers = append(f.RefusedAnswers, answerRefusal{refusal{name, why}, data})
	}
	made := func(name, why string, change func(ev *event.Event)) {
		answer(name, why, message(answerEvent(change, ownerDevice, f.Answer)))
	}
	with := func(name, why, old, new string) {
		answer(name, why, message(answerEvent(nil, ownerDevice, changed(f.Answer, old, new))))
	}
	made("for another subject", "not-meant", func(ev *event.Event) { ev.Subject += "x" })
	made("for another reader", "not-meant", func(ev *event.Event) { ev.Audience = owner.String() })
	made("of another type", "not-meant", func(ev *event.Event) { ev.Type = "transfer.open" })
	made("an answer as a refusal", "malformed", asRefusal)
	made("by another author", "author", func(ev *event.Event) { ev.Author = readerKey })
	answer("by another device", "device", message(answerEvent(nil, pair(trust.Device, "alice phone"), f.Answer)))
	answer("by the reader", "device", message(answerEvent(nil, readerDevice, f.Answer)))
	answer("a changed signature", "signature", message(flipped(f.AnswerEvent, len(f.AnswerEvent)-len(f.Answer)-1)))
	answer("another body", "body", message(flipped(f.AnswerEvent, -3)))
	answer("boxed for another open", "box", append([]byte{1}, boxFor(readerX.String(), "answer", flipped(f.OpenHash, 0), f.AnswerEphemeral, f.AnswerEvent).Box...))
	answer("boxed for the reader's person", "box", append([]byte{1}, boxFor(xkey("bob xkey").String(), "answer", f.OpenHash, f.AnswerEphemeral, f.AnswerEvent).Box...))
	answer("boxed for another purpose", "box", append([]byte{1}, boxFor(readerX.String(), "open", f.OpenHash, f.AnswerEphemeral, f.AnswerEvent).Box...))
	with("to another open", "open", hex.EncodeToString(f.OpenHash), hex.EncodeToString(secret("another open")))
	with("of another root", "changed", hex.EncodeToString(f.Root), hex.EncodeToString(secret("another root")))
	with("of another size of block", "malformed", `"block":262144`, `"block":65536`)
	with("white space", "malformed", `"size":1`, `"size": 1`)
	answer("a refusal of another open", "open", message(answerEvent(asRefusal, ownerDevice, changed(f.Refusal, hex.EncodeToString(f.OpenHash), hex.EncodeToString(secret("another open"))))))
	answer("not boxed", "malformed", append([]byte{2}, f.AnswerEvent...))
	answer("empty", "malformed", nil)
	answer("the kind alone", "malformed", []byte{1})
	answer("a code that is not said in the clear", "malformed", []byte("\x00"+`{"code":"changed","message":""}`))
	return f
}

func textOf(k seal.Key) (string, error) {
	text, err := k.MarshalText()
	return string(text), err
}

// Errors of the judgements that a caller makes with what the packages say.
var (
	errAuthor  = errors.New("another author")
	errDevice  = errors.New("another device")
	errHub     = errors.New("another hub")
	errOpen    = errors.New("another open")
	errChanged = errors.New("another root")
)

var handshakeErrors = map[string]error{
	"not-meant": event.ErrNotMeant, "time": event.ErrTime, "signature": event.ErrSignature, "body": event.ErrBody, "box": trust.ErrBox,
	"malformed": seal.ErrMalformed, "author": errAuthor, "device": errDevice, "hub": errHub, "open": errOpen, "changed": errChanged,
}

// judgeOpen is what an owner does with an open; that the device is the reader's stands here
// for the reader's chain.
func (f *handshakeFile) judgeOpen(data []byte) (seal.Request, error) {
	var none seal.Request
	ev, err := event.Decode(data)
	if err != nil {
		return none, err
	}
	if err := ev.Meant("transfer.open", f.Subject, trust.PublicKey(f.Owner).Text(trust.Account)); err != nil {
		return none, err
	}
	if err := ev.Check(); err != nil {
		return none, err
	}
	now := time.UnixMilli(f.Now)
	switch {
	case ev.NotAfter.IsZero() || ev.NotAfter.Sub(ev.Time) > 30*time.Second, ev.Time.After(now.Add(trust.ClockSkew)), now.Add(-trust.ClockSkew).After(ev.NotAfter):
		return none, event.ErrTime
	case ev.Author != trust.PublicKey(f.Reader):
		return none, errAuthor
	case ev.Device != trust.PublicKey(f.ReaderDevice):
		return none, errDevice
	}
	key, err := trust.ParseXKeySeed([]byte(f.OwnerXKey))
	if err != nil {
		return none, err
	}
	text, err := trust.Unbox(key, "open", slices.Concat(ev.ID[:], ev.Author[:], ev.Device[:]), ev.Body)
	if err != nil {
		return none, err
	}
	request, err := seal.ParseRequest(text)
	if err == nil && request.Hub != f.Hub {
		err = errHub
	}
	return request, err
}

// judgeAnswer is what a reader does with an answer.
func (f *handshakeFile) judgeAnswer(message []byte) (*seal.Answer, *seal.Reason, error) {
	box, reason, err := seal.ParseAnswerMessage(message)
	if err != nil || reason != nil {
		return nil, reason, err
	}
	key, err := trust.ParseXKeySeed([]byte(f.ReaderXKey))
	if err != nil {
		return nil, nil, err
	}
	text, err := trust.Unbox(key, "answer", f.OpenHash, box)
	if err != nil {
		return nil, nil, err
	}
	ev, err := event.Decode(text)
	if err != nil {
		return nil, nil, err
	}
	kind := "transfer.answer"
	if ev.Type == "transfer.refusal" {
		kind = ev.Type
	}
	if err := ev.Meant(kind, f.Subject, trust.PublicKey(f.Reader).Text(trust.Account)); err != nil {
		return nil, nil, err
	}
	if err := ev.Check(); err != nil {
		return nil, nil, err
	}
	switch {
	case ev.Author != trust.PublicKey(f.Owner):
		return nil, nil, errAuthor
	case ev.Device != trust.PublicKey(f.OwnerDevice):
		return nil, nil, errDevice
	}
	if kind == "transfer.refusal" {
		refusal, err := seal.ParseRefusal(ev.Body)
		if err == nil && refusal.Open != seal.Hash(f.OpenHash) {
			err = errOpen
		}
		return nil, &refusal.Reason, err
	}
	answer, err := seal.ParseAnswer(ev.Body)
	switch {
	case err != nil:
	case answer.Open != seal.Hash(f.OpenHash):
		err = errOpen
	case answer.Root != seal.Hash(f.Root):
		err = errChanged
	}
	return &answer, nil, err
}

func TestHandshake(t *testing.T) {
	f := load[handshakeFile](t, "handshake.json")
	request, err := f.judgeOpen(f.Open)
	if err != nil {
		t.Fatal(err)
	}
	text, err := request.Encode()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "request", string(text), f.Request)
	same(t, "entry", request.Entry, `a/"b"`)
	open := get(event.Decode(f.Open))
	hash := open.SignedHash()
	sameBytes(t, "Hₒ", hash[:], f.OpenHash)

	answer, reason, err := f.judgeAnswer(f.AnswerMessage)
	if err != nil || reason != nil {
		t.Fatal(reason, err)
	}
	text, err = answer.Encode()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "answer", string(text), f.Answer)
	same(t, "key", answer.Key, seal.Key(f.Key))

	// The keys are those that the file names: what they seal, the packages open.
	keys, transfer := seal.DeriveKeys(answer.Key, hash), get(trust.ParseID(answer.Transfer))
	read := slices.Concat(transfer[:], aesGCM(f.ReadKey, make([]byte, 12), readPlain(1, 1, 0), transfer[:]))
	if got, err := keys.OpenRead(transfer, read); err != nil || cmp.Diff(seal.Read{Counter: 1, Indexes: []uint32{0}}, got) != "" {
		t.Errorf("a read: %+v, %v", got, err)
	}
	block := slices.Concat([]byte{1, 0}, aesGCM(f.BlockKey, make([]byte, 12), content(1), blockAD(1, transfer[:], 0, 1)))
	if _, err := openBlock(keys, transfer, f.Root, 1, 0, block); err != nil {
		t.Errorf("a block: %v", err)
	}
	for _, c := range []struct {
		message  []byte
		code     seal.Code
		sentence string
	}{{f.RefusalMessage, seal.CodeChanged, "the file has changed"}, {f.PlainMessage, seal.CodeRefused, "this catalog is not shared with you"}} {
		_, reason, err := f.judgeAnswer(c.message)
		if err != nil || reason.Code != c.code || reason.Message != c.sentence {
			t.Errorf("a refusal: %v, %v", reason, err)
		}
	}
	for _, r := range f.RefusedOpens {
		_, err := f.judgeOpen(r.Open)
		wantErr(t, "open "+r.Name, err, handshakeErrors[r.Why])
	}
	for _, r := range f.RefusedAnswers {
		_, _, err := f.judgeAnswer(r.Message)
		wantErr(t, "answer "+r.Name, err, handshakeErrors[r.Why])
	}
}
