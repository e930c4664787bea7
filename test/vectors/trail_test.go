package vectors_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

type trailFile struct {
	about
	Access   []string       `json:"access"` // what can be found by its hash; its accounts are believed
	Is       string         `json:"is"`     // whom the reader is
	Cases    []messageCase  `json:"cases"`
	Receipts []receiptCase  `json:"receipts"`
	Refused  []trailRefusal `json:"refused"`
}

// receiptCase is whether a case is the receipt for another one.
type receiptCase struct {
	Receipt string `json:"receipt"`
	For     string `json:"for"`
	Good    bool   `json:"good"`
}

type trailRefusal struct {
	refusal
	Disbelieved string `json:"disbelieved,omitempty"` // an account that is not believed here
	message
}

// hop is an event of a trail.
type hop struct {
	of     messageCase
	access []byte // the hash of another access token than its own
}

func (h hop) bytes() []byte {
	form := get(base64.RawURLEncoding.DecodeString(h.of.Token))
	access := h.access
	if access == nil {
		access = hash([]byte(h.of.Access))
	}
	return slices.Concat(binary.BigEndian.AppendUint16(nil, uint16(len(form))), access, form) //nolint:gosec // short
}

func trailBytes(hops []hop) []byte {
	b := []byte{1, byte(len(hops))}
	for _, h := range hops {
		b = append(b, h.bytes()...)
	}
	return b
}

// people of trails: identity and device.
var trailPeople = [][2]string{{"alice identity", "alice laptop"}, {"bob identity", "bob laptop"}, {"carol identity", "carol phone"}}

// out is an event that comes out of another one.
func out(name, subject string, who int, cause *messageCase, change func(f *fields)) messageCase {
	identity, device := pair(trust.Account, trailPeople[who][0]), pair(trust.Device, trailPeople[who][1])
	c := messageCase{Name: name, Access: userToken(trailPeople[who][0], trailPeople[who][1]), Fields: publicFields(name), Body: octets(name)}
	author, by := identity.Public(), device.Public()
	c.Fields.Author, c.Fields.Device, c.Fields.Subject = author[:], by[:], subject
	if cause != nil {
		c.Fields.Cause, c.Fields.Time = cause.Fields.hash(string(cause.Body)), cause.Fields.Time+1000
		c.trail = append(slices.Clone(cause.trail), hop{of: *cause})
	}
	if change != nil {
		change(&c.Fields)
	}
	c.complete(device)
	return c
}

func makeTrails() trailFile {
	alice := pair(trust.Account, "alice identity").String()
	f := trailFile{about: about{"Events that came out of others: their trails, and a receipt.", "streams.md#trails"}, Is: alice}
	for _, who := range trailPeople {
		f.Access = append(f.Access, userToken(who[0], who[1]))
	}
	placed := out("placed", "orders.new", 0, nil, func(f *fields) { f.Receipt = "receipts.alice" })
	paid := out("paid", "orders.paid", 1, &placed, nil)
	sent := out("sent", "orders.sent", 2, &paid, nil)
	receipt := out("receipt", "receipts.alice", 2, &sent, func(f *fields) { f.Type, f.Audience = "receipt", alice })
	ahead := out("by a clock that is ahead", "orders.new", 0, nil, func(f *fields) { f.Time += 600000 })
	behind := out("by a clock that is behind", "orders.paid", 1, &ahead, func(f *fields) { f.Time -= 601000 })
	f.Cases = []messageCase{placed, paid, sent, receipt, behind}
	f.Receipts = []receiptCase{{"receipt", "placed", true}, {"receipt", "paid", false}, {"receipt", "sent", false}, {"sent", "placed", false}, {"placed", "placed", false}}

	add := func(name, why string, c messageCase, header ...string) {
		f.Refused = append(f.Refused, trailRefusal{refusal: refusal{name, why}, message: c.Headers.with("Keyhall-Trail", header...)})
	}
	trail := func(name, why string, c messageCase, data []byte) {
		add(name, why, c, base64.RawURLEncoding.EncodeToString(data))
	}
	first, second := hop{of: placed}, hop{of: paid}
	good := trailBytes([]hop{first, second})
	text := base64.RawURLEncoding.EncodeToString(good)
	add("none", "trail", sent)
	add("an empty one", "malformed", sent, "")
	add("twice", "malformed", sent, text, text)
	add("padding", "trail", sent, text+strings.Repeat("=", 3-(len(text)+2)%3))
	add("a line break", "trail", sent, text[:20]+"\n"+text[20:])
	trail("for an event that came out of none", "trail", placed, good)
	trail("of no hops", "trail", sent, []byte{1, 0})
	trail("version 2", "trail", sent, slices.Concat([]byte{2}, good[1:]))
	trail("a hop less than it says", "trail", sent, slices.Concat([]byte{1, 3}, good[2:]))
	trail("a hop more than it says", "trail", sent, slices.Concat([]byte{1, 1}, good[2:]))
	trail("a byte more", "trail", sent, append(slices.Clone(good), 0))
	trail("a byte less", "trail", sent, good[:len(good)-1])
	trail("the first cut off", "trail", sent, trailBytes([]hop{second}))
	trail("the last cut off", "trail", sent, trailBytes([]hop{first}))
	trail("the other way round", "trail", sent, trailBytes([]hop{second, first}))
	trail("a hop twice", "trail", sent, trailBytes([]hop{first, second, second}))
	trail("another event in its place", "trail", sent, trailBytes([]hop{{of: out("another", "orders.new", 0, nil, nil)}, second}))
	long := placed
	long.Token = base64.RawURLEncoding.EncodeToString(long.Compact)
	trail("a hop with its body", "trail", sent, trailBytes([]hop{{of: long}, second}))
	hops := []messageCase{placed}
	for len(hops) < 18 {
		hops = append(hops, out("a", "a", 0, &hops[len(hops)-1], func(f *fields) { f.Time -= 1000 }))
	}
	last := hops[17]
	f.Refused = append(f.Refused, trailRefusal{refusal: refusal{"of 17 hops", "trail"}, message: last.Headers})
	late := out("late", "orders.new", 0, nil, func(f *fields) { f.Time += 600001 })
	soon := out("soon", "orders.paid", 1, &late, func(f *fields) { f.Time -= 601001 })
	f.Refused = append(f.Refused, trailRefusal{refusal: refusal{"a cause that is much later", "trail"}, message: soon.Headers})
	forged := placed
	forged.complete(pair(trust.Device, "bob laptop"))
	trail("a hop that another device signed", "signature", sent, trailBytes([]hop{{of: forged}, second}))
	trail("another's access token", "access", sent, trailBytes([]hop{{placed, hash([]byte(paid.Access))}, second}))
	trail("an access token that nobody has", "not found", sent, trailBytes([]hop{{placed, secret("nothing")}, second}))
	otherDigest := out("under another digest", "orders.new", 0, nil, func(f *fields) { f.Digest = 1 })
	f.Refused = append(f.Refused, trailRefusal{refusal: refusal{"a hop under another digest", "digest"}, message: out("x", "orders.paid", 1, &otherDigest, nil).Headers})
	early := out("early", "orders.new", 0, nil, func(f *fields) { f.Time -= 700000 })
	f.Refused = append(f.Refused, trailRefusal{refusal: refusal{"a hop from before its access token", "expired"}, message: out("y", "orders.paid", 1, &early, nil).Headers})
	for i, who := range trailPeople {
		f.Refused = append(f.Refused, trailRefusal{
			refusal{"of which hop " + string(rune('1'+i)) + " is not believed", "untrusted"}, pair(trust.Account, who[0]).String(), receipt.Headers,
		})
	}
	return f
}

// found finds access tokens among some.
type found []string

func (f found) FindAccess(_ context.Context, which event.Hash) (string, error) {
	for _, text := range f {
		if [32]byte(hash([]byte(text))) == which {
			return text, nil
		}
	}
	return "", event.ErrNoAccess
}

func TestTrails(t *testing.T) {
	f := load[trailFile](t, "event-trail.json")
	byName := make(map[string]*event.Received)
	for _, c := range f.Cases {
		c.meet(t)
		v, err := f.judge(t, c.Headers, "")
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		byName[c.Name] = &event.Received{Event: v.Event, Trail: v.Trail}
	}
	for _, r := range f.Receipts {
		if err := byName[r.Receipt].IsReceiptFor(byName[r.For].Event); r.Good != (err == nil) || (err != nil && !isErr(err, event.ErrNotMeant)) {
			t.Errorf("%s as the receipt for %s: %v", r.Receipt, r.For, err)
		}
	}
	for _, r := range f.Refused {
		_, err := f.judge(t, r.message, r.Disbelieved)
		want := streamErrors[r.Why]
		if r.Why == "not found" {
			want = event.ErrNoAccess
		}
		wantErr(t, r.Name, err, want)
	}
}

// judge judges a message when it was made.
func (f *trailFile) judge(t *testing.T, m message, disbelieved string) (*event.Envelope, error) {
	t.Helper()
	v, err := event.ReadMsg(m.msg())
	if err != nil {
		return nil, err
	}
	rules := event.Rules{Is: []string{f.Is}}
	for _, text := range f.Access {
		if account := get(event.ParseAccess(text)).Account.Text(trust.Account); account != disbelieved {
			rules.Accounts = append(rules.Accounts, account)
		}
	}
	at := v.Event.Time
	return v, get(event.NewTokenManager(rules)).Verify(t.Context(), v, event.Moment{Now: at.Add(time.Hour), Stored: at}, found(f.Access))
}

func guardedTrails(t *testing.T) []guarded {
	t.Helper()
	f := load[trailFile](t, "event-trail.json")
	return f.Cases[2].guarded(t, f.Access...)
}
