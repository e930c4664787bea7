package vectors_test

import (
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

type judgeFile struct {
	about
	Events map[string]judgedEvent `json:"events"`
	Cases  []judgeCase            `json:"cases"`
}

type judgedEvent struct {
	Access  string `json:"access"`
	Compact octets `json:"compact"`
	Hash    octets `json:"hash"`
}

// judgeCase is what a reader says of an event at a moment. Times and spans are milliseconds;
// a time of 0 is none.
type judgeCase struct {
	Name    string       `json:"name"`
	Event   string       `json:"event"`
	Rules   judgeRules   `json:"rules"`
	Revoked *revokedCase `json:"revoked,omitempty"` // the device of the event
	Now     int64        `json:"now"`
	Stored  int64        `json:"stored"`
	Acts    bool         `json:"acts"`
	Why     string       `json:"why,omitempty"` // it is refused
}

type judgeRules struct {
	Accounts  []string `json:"accounts"`
	Operators []string `json:"operators"`
	Digest    uint8    `json:"digest"`
	Skew      int64    `json:"skew"`
	Life      int64    `json:"life"` // 0: as long as one likes
	Is        []string `json:"is"`
}

type revokedCase struct {
	After int64                `json:"after"`
	Last  map[string]placeCase `json:"last,omitempty"` // by subject
}

type placeCase struct {
	Seq  uint64 `json:"seq,string"`
	Hash octets `json:"hash"`
}

func makeJudged() judgeFile {
	f := judgeFile{about: about{"What a reader says of events, by its rules and at a moment.", "streams.md#judging"}, Events: make(map[string]judgedEvent)}
	at := start.UnixMilli() + 123
	bob := pair(trust.Account, "bob identity").String()
	event := func(name string, change func(f *fields)) []byte {
		c := publicEvent(name, "body", change)
		h := c.Fields.hash("body")
		f.Events[name] = judgedEvent{c.Access, c.Compact, h}
		return h
	}
	event("plain", nil)
	event("for bob", func(f *fields) { f.Audience = bob })
	event("for a minute", func(f *fields) { f.NotAfter = f.Time + 60000 })
	event("under another digest", func(f *fields) { f.Digest = 1 })
	first := event("first", func(f *fields) { f.Seq = 1 })
	second := event("second", func(f *fields) { f.Seq, f.Prev = 2, first })
	event("another second", func(f *fields) { f.Seq, f.Prev, f.Content = 2, first, "text/plain" })
	event("third", func(f *fields) { f.Seq, f.Prev = 3, second })
	event("before its access token", func(f *fields) { f.Time -= 700000 })
	event("after its access token", func(f *fields) { f.Time += 3600000 })
	plain := f.Events["plain"]
	forged := publicEvent("plain", "body", nil)
	forged.complete(pair(trust.Device, "bob laptop"))
	f.Events["forged"] = judgedEvent{plain.Access, forged.Compact, plain.Hash}
	f.Events["with another body"] = judgedEvent{plain.Access, append(plain.Compact[:len(plain.Compact)-4:len(plain.Compact)-4], "else"...), plain.Hash}
	f.Events["with another's access token"] = judgedEvent{userToken("bob identity", "bob laptop"), plain.Compact, plain.Hash}
	f.Events["with another device's access token"] = judgedEvent{userToken("alice identity", "alice phone"), plain.Compact, plain.Hash}

	both := judgeRules{Accounts: []string{pair(trust.Account, "alice identity").String(), bob}, Operators: []string{}, Skew: 600000, Is: []string{}}
	add := func(name, of, why string, change func(c *judgeCase)) {
		c := judgeCase{Name: name, Event: of, Rules: both, Now: at, Stored: at, Why: why}
		if change != nil {
			change(&c)
		}
		f.Cases = append(f.Cases, c)
	}
	add("as it is", "plain", "", nil)
	add("by nobody who is believed", "plain", "untrusted", func(c *judgeCase) { c.Rules.Accounts = []string{bob} })
	add("by an operator who says nothing of it", "plain", "untrusted", func(c *judgeCase) { c.Rules.Accounts, c.Rules.Operators = []string{}, []string{hubID()} })
	add("under another digest", "under another digest", "digest", nil)
	add("under the digest that is taken", "under another digest", "", func(c *judgeCase) { c.Rules.Digest = 1 })
	add("under the usual digest, where another is taken", "plain", "digest", func(c *judgeCase) { c.Rules.Digest = 1 })
	for _, name := range []string{"forged", "with another body", "with another's access token", "with another device's access token"} {
		why := map[string]string{"forged": "signature", "with another body": "body"}[name]
		if why == "" {
			why = "access"
		}
		add(name, name, why, nil)
	}
	add("of before its access token", "before its access token", "expired", func(c *judgeCase) { c.Stored -= 700000 })
	add("of after its access token", "after its access token", "expired", func(c *judgeCase) { c.Now, c.Stored = c.Now+3600000, c.Stored+3600000 })
	add("read long after its access token has expired", "plain", "", func(c *judgeCase) { c.Now += 86400000 })
	add("for this reader", "for bob", "", func(c *judgeCase) { c.Rules.Is = []string{"x", bob} })
	add("for another", "for bob", "not-meant", nil)

	time := func(name, of, why string, now, stored int64, acts bool, change func(r *judgeRules)) {
		add(name, of, why, func(c *judgeCase) {
			c.Now, c.Acts = at+now, acts
			if c.Stored = 0; stored != noStream {
				c.Stored = at + stored
			}
			if change != nil {
				change(&c.Rules)
			}
		})
	}
	time("ten minutes ahead of the reader", "plain", "", -600000, noStream, true, nil)
	time("more than ten minutes ahead of the reader", "plain", "time", -600001, noStream, true, nil)
	time("more than ten minutes ahead of the reader, in a stream", "plain", "time", -600001, 0, false, nil)
	time("ten minutes old, on no stream", "plain", "", 600000, noStream, true, nil)
	time("more than ten minutes old, on no stream", "plain", "time", 600001, noStream, true, nil)
	time("stored ten minutes later", "plain", "", 86400000, 600000, false, nil)
	time("stored more than ten minutes later", "plain", "time", 86400000, 600001, false, nil)
	time("stored ten minutes before", "plain", "", 86400000, -600000, false, nil)
	time("stored more than ten minutes before", "plain", "time", 86400000, -600001, false, nil)
	time("stored ten seconds later, where that is too much", "plain", "time", 86400000, 10000, false, func(r *judgeRules) { r.Skew = 9999 })
	time("at its end", "for a minute", "", 60000, noStream, true, nil)
	time("after its end", "for a minute", "time", 60001, noStream, true, nil)
	time("after its end, read and not acted on", "for a minute", "", 60001, noStream, false, nil)
	time("after its end, in a stream, acted on", "for a minute", "time", 60001, 0, true, nil)
	time("a day after its end, in a stream", "for a minute", "", 86400000, 0, false, nil)
	time("with an end, long ago, on no stream", "for a minute", "", 86400000, noStream, false, nil)
	time("of the life that is taken", "for a minute", "", 0, 0, false, func(r *judgeRules) { r.Life = 60000 })
	time("of too long a life", "for a minute", "time", 0, 0, false, func(r *judgeRules) { r.Life = 59999 })
	time("of no end, where one is wanted", "plain", "time", 0, 0, false, func(r *judgeRules) { r.Life = 60000 })

	revoked := func(name, of, why string, after, stored, now int64, last map[string]placeCase) {
		add(name, of, why, func(c *judgeCase) {
			c.Revoked = &revokedCase{at + after, last}
			c.Now = at + now
			if c.Stored = 0; stored != noStream {
				c.Stored = at + stored
			}
		})
	}
	revoked("at the last good moment", "plain", "", 0, 0, 86400000, nil)
	revoked("after it", "plain", "revoked", -1, 0, 86400000, nil)
	revoked("on its way then", "plain", "", 0, 600000, 86400000, nil)
	revoked("put there later", "plain", "revoked", 0, 600001, 86400000, nil)
	revoked("seen later, on no stream", "plain", "revoked", 0, noStream, 600001, nil)
	revoked("seen then, on no stream", "plain", "", 0, noStream, 600000, nil)
	last := map[string]placeCase{"orders.new": {2, second}}
	revoked("before the last good place", "first", "", -86400000, 0, 86400000, last)
	revoked("the last good place", "second", "", -86400000, 0, 86400000, last)
	revoked("another at the last good place", "another second", "revoked", 86400000, 0, 86400000, last)
	revoked("beyond the last good place", "third", "revoked", 86400000, 0, 86400000, last)
	revoked("on no chain, where one is known", "plain", "revoked", 86400000, 0, 86400000, last)
	revoked("on another subject than the one that is known", "third", "", 0, 0, 86400000, map[string]placeCase{"orders.old": {2, second}})
	return f
}

// noStream is in the place of when a stream stored something.
const noStream = -1 << 62

func TestJudging(t *testing.T) {
	f := load[judgeFile](t, "event-judge.json")
	for _, c := range f.Cases {
		wantErr(t, c.Name, f.judge(&c, f.Events[c.Event].Compact), streamErrors[c.Why])
	}
}

func (f *judgeFile) judge(c *judgeCase, data []byte) error {
	m, err := event.NewTokenManager(event.Rules{
		Accounts: c.Rules.Accounts, Operators: c.Rules.Operators, Digest: event.Digest(c.Rules.Digest), Is: c.Rules.Is,
		Skew: time.Duration(c.Rules.Skew) * time.Millisecond, Life: time.Duration(c.Rules.Life) * time.Millisecond,
	})
	if err != nil {
		return err
	}
	e, err := event.DecodeAny(data)
	if err != nil {
		return err
	}
	if c.Revoked != nil {
		from := event.Revocation{After: time.UnixMilli(c.Revoked.After), Last: make(map[string]event.Place)}
		for subject, place := range c.Revoked.Last {
			from.Last[subject] = event.Place{Seq: place.Seq, Hash: event.Hash(place.Hash)}
		}
		m.Revoke(e.Device, from)
	}
	at := event.Moment{Now: time.UnixMilli(c.Now), Acts: c.Acts}
	if c.Stored != 0 {
		at.Stored = time.UnixMilli(c.Stored)
	}
	return m.Check(e, get(event.ParseAccess(f.Events[c.Event].Access)), at)
}

func guardedJudged(t *testing.T) (all []guarded) {
	t.Helper()
	f := load[judgeFile](t, "event-judge.json")
	for _, c := range f.Cases {
		if c.Why == "" {
			all = append(all, guarded{name: "judged " + c.Name, data: f.Events[c.Event].Compact, take: func(data []byte) error { return f.judge(&c, data) }})
		}
	}
	return all
}
