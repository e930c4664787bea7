package event_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
)

// seeds are messages of every kind of event, by a publisher whom the manager believes.
func seeds(f *testing.F) (*event.TokenManager, []*event.Envelope) {
	t := new(testing.T)
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	var all []*event.Envelope
	for _, v := range specimens(t, alice, bob) {
		all = append(all, v)
	}
	if len(all) == 0 {
		f.Fatal("there are no seeds")
	}
	return bob.manager(alice), all
}

// headerText is headers as one text, to be fuzzed: NAME:VALUE, line by line.
func headerText(header nats.Header) string {
	var b strings.Builder
	for name, values := range header {
		for _, value := range values {
			b.WriteString(name + ":" + value + "\n")
		}
	}
	return b.String()
}

func headersOf(text string) nats.Header {
	header := make(nats.Header)
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), ":"); found {
			header[name] = append(header[name], value)
		}
	}
	return header
}

// FuzzReadMsg: what is read comes out the same when it is written again, and only what
// alice signed is hers.
func FuzzReadMsg(f *testing.F) {
	m, all := seeds(f)
	for _, v := range all {
		for _, form := range []event.Form{event.Headers, event.Compact} {
			msg := v.Msg(form)
			f.Add(msg.Subject, headerText(msg.Header), msg.Data)
		}
	}
	f.Fuzz(func(t *testing.T, subject, headers string, data []byte) {
		msg := &nats.Msg{Subject: subject, Header: headersOf(headers), Data: data}
		v, err := event.ReadMsg(msg)
		if err != nil {
			if !typed(err) {
				t.Fatalf("%v", err)
			}
			return
		}
		form := event.Headers
		if _, there := msg.Header["ce-specversion"]; !there {
			form = event.Compact
		}
		again, err := event.ReadMsg(v.Msg(form))
		if err != nil || again.Event.Hash() != v.Event.Hash() || !bytes.Equal(again.Event.Encode(), v.Event.Encode()) {
			t.Fatalf("it comes out as another: %v", err)
		}
		if err := m.Verify(t.Context(), v, event.Moment{Stored: time.Now()}, tokens{}); err != nil && !typed(err) {
			t.Fatalf("%v", err)
		}
	})
}

// FuzzReadJSON: what is read is written the same.
func FuzzReadJSON(f *testing.F) {
	_, all := seeds(f)
	for _, v := range all {
		data, err := v.JSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := event.ReadJSON(data)
		if err != nil {
			if !typed(err) {
				t.Fatalf("%v", err)
			}
			return
		}
		written, err := v.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := event.ReadJSON(written)
		if err != nil || again.Event.Hash() != v.Event.Hash() || again.Access != v.Access {
			t.Fatalf("it comes out as another: %v\n%s", err, written)
		}
	})
}

// FuzzDecodeAny: what is read is written the same, and CheckAll says what Check says.
func FuzzDecodeAny(f *testing.F) {
	_, all := seeds(f)
	for _, v := range all {
		f.Add(v.Event.Encode())
	}
	good := all[0].Event
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := event.DecodeAny(data)
		if err != nil {
			if !typed(err) {
				t.Fatalf("%v", err)
			}
			return
		}
		if !bytes.Equal(e.Encode(), data) {
			t.Fatalf("%x is written as %x", data, e.Encode())
		}
		errs := event.CheckAll([]*event.Event{good, e, good})
		if alone := e.Check(); errs[0] != nil || errs[2] != nil || (alone == nil) != (errs[1] == nil) {
			t.Fatalf("alone %v, together %v", alone, errs)
		}
	})
}

// FuzzParseAccess: what is read is named by its text, and says who.
func FuzzParseAccess(f *testing.F) {
	company := newCompany(new(testing.T))
	alice := company.hire()
	f.Add(alice.access)
	f.Add(alice.access + " " + alice.accountToken())
	f.Fuzz(func(t *testing.T, text string) {
		access, err := event.ParseAccess(text)
		if err != nil {
			if !typed(err) {
				t.Fatalf("%v", err)
			}
			return
		}
		if access.String() != text || access.Device.IsZero() || access.Account.IsZero() {
			t.Fatalf("%+v", access)
		}
	})
}
