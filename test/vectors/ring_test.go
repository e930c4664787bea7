package vectors_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

type ringFile struct {
	about
	Subject  string            `json:"subject"`
	Keepers  []string          `json:"keepers"`
	Access   []string          `json:"access"`  // of everybody who says something; their accounts are believed
	Readers  map[string]string `json:"readers"` // seeds of xkeys, by name
	Keys     []octets          `json:"keys"`    // of the epochs, in their order
	Boxes    []epochBox        `json:"boxes"`
	Log      []ringEvent       `json:"log"`
	Messages []sealedMessage   `json:"messages"`
}

// epochBox is how a key was sealed to a reader.
type epochBox struct {
	To         string `json:"to"`
	Key        octets `json:"key"`
	Commitment octets `json:"commitment"`
	Ephemeral  octets `json:"ephemeral"`
	Box        octets `json:"box"`
}

// ringEvent is an event on the keys subject, and who reads the current epoch after it.
type ringEvent struct {
	Name    string   `json:"name"`
	Why     string   `json:"why,omitempty"` // it is refused, and changes nothing
	Stored  int64    `json:"stored"`
	Access  octets   `json:"access"` // the hash of its publisher's access token
	Body    string   `json:"body"`
	Compact octets   `json:"compact"`
	Hash    octets   `json:"hash"`
	Current octets   `json:"current"` // epoch, after it
	Reading []string `json:"reading"` // xkeys in their order, after it
}

// sealedMessage is an event of the private stream and what each reader makes of it at the end of the log.
type sealedMessage struct {
	Name      string            `json:"name"`
	Fields    fields            `json:"fields"`
	Nonce     octets            `json:"nonce"`
	Data      octets            `json:"ad"`
	Plaintext string            `json:"plaintext"`
	Compact   octets            `json:"compact"`
	Opens     map[string]string `json:"opens"` // by reader: "" or why not
}

// ringStart is long ago: a ring goes by the clock of the machine too.
var ringStart = time.Date(2021, 11, 22, 14, 8, 50, 0, time.UTC)

// ringMaker makes the log of a private stream.
type ringMaker struct {
	ringFile
	epochs  []octets // hashes of the epoch events that count
	reading []string
	at      uint64
}

func (r *ringMaker) commitment(key []byte) []byte {
	return hash(label("epoch"), []byte(r.Subject), key)
}

// box seals a key for a reader.
func (r *ringMaker) box(reader string, key, commitment []byte) string {
	to := xkey(reader + " xkey").String()
	ephemeral := secret(fmt.Sprintf("ring ephemeral %d", len(r.Boxes)))
	sealed := boxFor(to, "epoch", slices.Concat([]byte(r.Subject), commitment), ephemeral, key).Box
	r.Boxes = append(r.Boxes, epochBox{to, key, commitment, ephemeral, sealed})
	return base64.StdEncoding.EncodeToString(sealed)
}

// object is a JSON object with its members in bytewise order of name.
func object(values map[string]string) string {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%q", name, values[name])
	}
	return "{" + b.String() + "}"
}

func epochJSON(commitment []byte, boxes map[string]string, previous []byte) string {
	end := "}"
	if previous != nil {
		end = fmt.Sprintf(`,"previous":"%x"}`, previous)
	}
	return fmt.Sprintf(`{"commitment":"%x","boxes":%s`, commitment, object(boxes)) + end
}

func grantJSON(reader string, boxes map[string]string) string {
	return fmt.Sprintf(`{"reader":%q,"boxes":%s}`, reader, object(boxes))
}

func text(x *trust.XKey) string { return x.String() }

// say puts an event on the keys subject, by who it is said to be.
func (r *ringMaker) say(name, why string, who int, kind, body string, change func(f *fields, stored *int64)) []byte {
	c := messageCase{Access: userTokenAt(ringStart, trailPeople[who][0], trailPeople[who][1]), Fields: publicFields("ring " + name), Body: octets(body)}
	author, device := pair(trust.Account, trailPeople[who][0]), pair(trust.Device, trailPeople[who][1])
	by, key := author.Public(), device.Public()
	r.at += 1000
	c.Fields.Author, c.Fields.Device, c.Fields.Subject, c.Fields.Type, c.Fields.Content, c.Fields.Time = by[:], key[:], r.Subject, kind, "application/json", r.at
	stored := int64(r.at) + 5 //nolint:gosec // after 1970
	if change != nil {
		change(&c.Fields, &stored)
	}
	c.complete(device)
	e := ringEvent{Name: name, Why: why, Stored: stored, Access: hash([]byte(c.Access)), Body: body, Compact: c.Compact, Hash: c.Fields.hash(body)}
	if why == "" && kind == "epoch" {
		r.epochs = append(r.epochs, e.Hash)
	}
	r.Log = append(r.Log, e)
	return e.Hash
}

// now says who reads after the last event.
func (r *ringMaker) now(readers ...string) {
	if len(readers) > 0 {
		r.reading = nil
		for _, name := range readers {
			r.reading = append(r.reading, text(xkey(name+" xkey")))
		}
		slices.Sort(r.reading)
	}
	last := &r.Log[len(r.Log)-1]
	last.Reading, last.Current = slices.Clone(r.reading), zeros()
	if last.Reading == nil {
		last.Reading = []string{}
	}
	if len(r.epochs) > 0 {
		last.Current = r.epochs[len(r.epochs)-1]
	}
}

func makeRing() ringFile {
	r := &ringMaker{at: uint64(ringStart.UnixMilli())} //nolint:gosec // after 1970
	r.about = about{"The keys of a private stream, and what is sealed under them.", "streams.md#private-streams"}
	r.Subject, r.Keepers = "plans.keys", []string{pair(trust.Account, "alice identity").String()}
	r.Readers = make(map[string]string)
	for _, name := range []string{"alice", "bob", "carol", "dave", "erin"} {
		r.Readers[name] = string(xkey(name + " xkey").Seed())
	}
	for _, who := range trailPeople {
		r.Access = append(r.Access, userTokenAt(ringStart, who[0], who[1]))
	}
	r.Keys = []octets{secret("ring key 1"), secret("ring key 2"), secret("ring key 3")}
	one, two, three := r.Keys[0], r.Keys[1], r.Keys[2]
	x := func(name string) string { return text(xkey(name + " xkey")) }
	refuse := func(name, why string, who int, kind, body string, change func(f *fields, stored *int64)) {
		r.say(name, why, who, kind, body, change)
		r.now()
	}
	c1, c2, c3 := r.commitment(one), r.commitment(two), r.commitment(three)

	refuse("a grant before the first epoch", "malformed", 0, "epoch.grant", grantJSON(x("erin"), map[string]string{strings.Repeat("1", 64): r.box("erin", one, c1)}), nil)
	refuse("a first epoch that follows another", "malformed", 0, "epoch", epochJSON(c1, map[string]string{x("alice"): r.box("alice", one, c1)}, secret("nothing")), nil)
	firstBoxes := map[string]string{x("alice"): r.box("alice", one, c1), x("bob"): r.box("bob", one, c1)}
	first := r.say("the first epoch", "", 0, "epoch", epochJSON(c1, firstBoxes, nil), nil)
	r.now("alice", "bob")
	again := r.Log[len(r.Log)-1]
	again.Name = "the first epoch, once more"
	r.Log = append(r.Log, again)
	r.now()
	refuse("by who is no keeper", "untrusted", 1, "epoch", epochJSON(c2, map[string]string{x("bob"): r.box("bob", two, c2)}, first), nil)
	refuse("another first epoch", "malformed", 0, "epoch", epochJSON(c2, map[string]string{x("alice"): r.box("alice", two, c2)}, nil), nil)
	r.say("a grant", "", 0, "epoch.grant", grantJSON(x("carol"), map[string]string{fmt.Sprintf("%x", first): r.box("carol", one, c1)}), nil)
	r.now("alice", "bob", "carol")

	erin := func() string { return r.box("erin", one, c1) }
	refuse("a grant for an epoch that there is none of", "malformed", 0, "epoch.grant",
		grantJSON(x("erin"), map[string]string{fmt.Sprintf("%x", first): erin(), strings.Repeat("f", 64): erin()}), nil)
	refuse("a grant for what is no hash", "malformed", 0, "epoch.grant", grantJSON(x("erin"), map[string]string{"current": erin()}), nil)
	refuse("a grant with white space", "malformed", 0, "epoch.grant", changed(grantJSON(x("erin"), map[string]string{fmt.Sprintf("%x", first): erin()}), `,"boxes"`, `, "boxes"`), nil)
	refuse("a grant with another member", "malformed", 0, "epoch.grant", changed(grantJSON(x("erin"), map[string]string{fmt.Sprintf("%x", first): erin()}), `,"boxes"`, `,"role":"x","boxes"`), nil)
	refuse("a grant without boxes", "malformed", 0, "epoch.grant", fmt.Sprintf(`{"reader":%q}`, x("erin")), nil)
	body := grantJSON(x("erin"), map[string]string{fmt.Sprintf("%x", first): erin()})
	refuse("on another subject", "untrusted", 0, "epoch.grant", body, func(f *fields, _ *int64) { f.Subject = "plans.other" })
	refuse("of another type", "not-meant", 0, "epoch.give", body, nil)
	refuse("stored ten minutes too late", "time", 0, "epoch.grant", body, func(_ *fields, stored *int64) { *stored += 600000 })
	refuse("for another reader", "not-meant", 0, "epoch.grant", body, func(f *fields, _ *int64) { f.Audience = "somebody" })
	refuse("an epoch without a commitment", "malformed", 0, "epoch", changed(epochJSON(c2, map[string]string{}, first), fmt.Sprintf("%x", c2), ""), nil)
	refuse("an epoch with a commitment of zeros", "malformed", 0, "epoch", epochJSON(zeros(), map[string]string{}, first), nil)
	refuse("an epoch with null for boxes", "malformed", 0, "epoch", changed(epochJSON(c2, map[string]string{}, first), "{}", "null"), nil)
	swapped := epochJSON(c2, map[string]string{"B": "", "A": ""}, first)
	refuse("an epoch with readers in another order", "malformed", 0, "epoch", changed(swapped, `"A":"","B":""`, `"B":"","A":""`), nil)

	// bob is out; carol's box has another key than was committed to, and dave's is for somebody else
	second := r.say("the second epoch", "", 0, "epoch", epochJSON(c2, map[string]string{
		x("alice"): r.box("alice", two, c2), x("carol"): r.box("carol", three, c2), x("dave"): r.box("erin", two, c2),
	}, first), nil)
	r.now("alice", "carol", "dave")
	r.say("a grant for the epoch before", "", 0, "epoch.grant", grantJSON(x("erin"), map[string]string{fmt.Sprintf("%x", first): r.box("erin", one, c1)}), nil)
	r.now()
	third := r.say("the third epoch", "", 0, "epoch", epochJSON(c3, map[string]string{x("alice"): r.box("alice", three, c3)}, second), nil)
	r.now("alice")
	r.say("a grant with the past", "", 0, "epoch.grant", grantJSON(x("dave"), map[string]string{
		fmt.Sprintf("%x", first): r.box("dave", one, c1), fmt.Sprintf("%x", second): r.box("dave", two, c2), fmt.Sprintf("%x", third): r.box("dave", three, c3),
	}), nil)
	r.now("alice", "dave")

	has := map[string][]bool{"alice": {true, true, true}, "bob": {true, false, false}, "carol": {true, false, false}, "dave": {true, true, true}, "erin": {true, false, false}}
	for i, epoch := range r.epochs {
		m := sealedMessage{Name: fmt.Sprintf("in epoch %d", i+1), Opens: make(map[string]string)}
		for name, keys := range has {
			if !keys[i] {
				m.Opens[name] = "no-key"
			} else {
				m.Opens[name] = ""
			}
		}
		r.seal(m, epoch, r.Keys[i], "the door is green")
	}
	everybody := func(why string, but ...string) map[string]string {
		opens := make(map[string]string)
		for name := range has {
			opens[name] = why
		}
		for _, name := range but {
			opens[name] = "no-key"
		}
		return opens
	}
	r.seal(sealedMessage{Name: "in an epoch that there is none of", Opens: everybody("no-key")}, secret("no epoch"), three, "x")
	r.seal(sealedMessage{Name: "under the key of another epoch", Opens: everybody("sealed", "bob", "carol", "erin")}, third, two, "x")
	return r.ringFile
}

func (r *ringMaker) seal(m sealedMessage, epoch, key []byte, plaintext string) {
	laptop := pair(trust.Device, "alice laptop")
	m.Fields = publicFields("sealed " + m.Name)
	m.Fields.Type, m.Fields.Subject, m.Fields.Content, m.Fields.Digest, m.Fields.Epoch, m.Fields.Seq = "talk", "plans.talk", "text/plain", 1, epoch, 1
	m.Fields.BodyHash = zeros()
	m.Data = slices.Concat(label("sealed"), m.Fields.token())
	m.Nonce, m.Plaintext = secret("nonce " + m.Name)[:12], plaintext
	body := aesGCM(key, m.Nonce, []byte(plaintext), m.Data)
	m.Fields.BodyHash = m.Fields.bodyHash(body)
	token := m.Fields.token()
	m.Compact = compact(token, body, sigOf(laptop, signed(token)))
	r.Messages = append(r.Messages, m)
}

func TestRings(t *testing.T) {
	f := load[ringFile](t, "event-private.json")
	for name, seed := range f.Readers {
		ring := f.ring(t, seed)
		for _, e := range f.Log {
			err := f.take(t, ring, e.Compact, e)
			wantErr(t, name+", "+e.Name, err, streamErrors[e.Why])
			got := ring.Readers()
			if !slices.Equal(got, e.Reading) {
				t.Errorf("%s, after %s: %v read", name, e.Name, got)
			}
		}
		for _, m := range f.Messages {
			e := get(event.Decode(m.Compact))
			must(e.Check())
			plaintext, err := ring.Open(e)
			wantErr(t, name+", "+m.Name, err, streamErrors[m.Opens[name]])
			if err == nil {
				same(t, name+", "+m.Name, string(plaintext), m.Plaintext)
			}
		}
	}
	for _, b := range f.Boxes {
		sameBytes(t, "box", boxFor(b.To, "epoch", slices.Concat([]byte(f.Subject), b.Commitment), b.Ephemeral, b.Key).Box, b.Box)
	}
}

func (f *ringFile) ring(t *testing.T, seed string) *event.Ring {
	t.Helper()
	rules := event.Rules{}
	for _, text := range f.Access {
		rules.Accounts = append(rules.Accounts, get(event.ParseAccess(text)).Account.Text(trust.Account))
	}
	own := get(trust.ParseXKeySeed([]byte(seed)))
	return get(event.NewRing(f.Subject, f.Keepers, own, get(event.NewTokenManager(rules)), found(f.Access)))
}

func (f *ringFile) take(t *testing.T, ring *event.Ring, data []byte, e ringEvent) error {
	t.Helper()
	ev, err := event.DecodeAny(data)
	if err != nil {
		return err
	}
	return ring.Take(t.Context(), &event.Envelope{Event: ev, Which: event.Hash(e.Access)}, time.UnixMilli(e.Stored))
}

func guardedRings(t *testing.T) (all []guarded) {
	t.Helper()
	f := load[ringFile](t, "event-private.json")
	for i, e := range f.Log {
		if e.Why != "" || strings.Contains(e.Name, "once more") {
			continue
		}
		all = append(all, guarded{name: "keys: " + e.Name, data: e.Compact, take: func(data []byte) error {
			ring := f.ring(t, f.Readers["alice"])
			for _, before := range f.Log[:i] {
				if before.Why == "" {
					must(f.take(t, ring, before.Compact, before))
				}
			}
			return f.take(t, ring, data, e)
		}})
	}
	ring := f.ring(t, f.Readers["alice"])
	for _, e := range f.Log {
		if e.Why == "" {
			must(f.take(t, ring, e.Compact, e))
		}
	}
	for _, m := range f.Messages[:3] {
		all = append(all, guarded{name: "message " + m.Name, data: m.Compact, take: func(data []byte) error {
			if err := checkEvent(data, ""); err != nil {
				return err
			}
			_, err := ring.Open(get(event.Decode(data)))
			return err
		}})
	}
	return all
}
