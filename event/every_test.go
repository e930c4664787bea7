//go:build !race

// What is tried here one byte after another is tried by one goroutine: the race detector
// finds nothing in it and takes ten times as long. make test runs it without.

package event_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// TestEveryByteOfAnEventCounts: whatever byte is changed on the way, and however, the
// reader notices.
func TestEveryByteOfAnEventCounts(t *testing.T) {
	device, second := trust.NewKeyPair(trust.Device), trust.NewKeyPair(trust.Device)
	single := sign(t, device, "a body of more than sixty-four bytes, so that it could pass for a signature")
	double := sign(t, device, "")
	if err := double.CoSign(second); err != nil {
		t.Fatal(err)
	}
	for what, row := range map[string]struct {
		data []byte
		ok   func(ev *event.Event) error
	}{
		"signed":    {single.Encode(), (*event.Event).Check},
		"co-signed": {double.Encode(), func(ev *event.Event) error { return errors.Join(ev.Check(), ev.CheckCoSignature(second.Public())) }},
		"withheld":  {single.EncodeWithheld(), (*event.Event).CheckWithheld},
	} {
		if err := row.ok(decode(t, row.data)); err != nil {
			t.Fatalf("%s: unchanged: %v", what, err)
		}
		for i := range row.data {
			for _, bits := range []byte{0x01, 0x02, 0x03, 0x80, 0xff} {
				changed := slices.Clone(row.data)
				changed[i] ^= bits
				if ev, err := event.Decode(changed); err == nil && row.ok(ev) == nil {
					t.Errorf("%s: byte %d ^ %#x: not noticed", what, i, bits)
				}
			}
		}
		for n := range row.data {
			if ev, err := event.Decode(row.data[:n]); err == nil && row.ok(ev) == nil {
				t.Errorf("%s: cut to %d bytes: not noticed", what, n)
			}
		}
	}
}

func TestEveryByteOfAnEventOfABatchCounts(t *testing.T) {
	alice := newCompany(t).hire()
	for n, at := range map[int]int{2: 0, 5: 4} { // the last of five has a short path
		for _, e := range batchOf(t, alice, n)[at : at+1] {
			form := e.Encode()
			for i := range form {
				for bit := range 8 {
					mutant := bytes.Clone(form)
					mutant[i] ^= 1 << bit
					read, err := event.DecodeAny(mutant)
					if err == nil {
						err = read.Check()
					}
					if err == nil || !typed(err) {
						t.Fatalf("batch of %d: bit %d of byte %d changed, and it holds: %v", n, bit, i, err)
					}
				}
			}
		}
	}
}

func TestEveryMutationOfAMessageIsRefused(t *testing.T) {
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	reader := bob.manager(alice)
	all := specimens(t, alice, bob)
	for name, v := range all {
		for _, form := range []event.Form{event.Headers, event.Compact} {
			msg := v.Msg(form)
			if err := verdict(t, reader, clone(msg)); err != nil {
				t.Fatalf("%s is refused as it is: %v", name, err)
			}
			refuse := func(what string, mutant *nats.Msg) {
				t.Helper()
				if err := verdict(t, reader, mutant); err == nil || !typed(err) {
					t.Errorf("%s, %s: %v", name, what, err)
				}
			}
			for header, values := range msg.Header {
				mutate(clone(msg), header, func(mutant *nats.Msg) { delete(mutant.Header, header) }, "dropped", refuse)
				mutate(clone(msg), header, func(mutant *nats.Msg) { mutant.Header.Add(header, values[0]) }, "doubled", refuse)
				mutate(clone(msg), header, func(mutant *nats.Msg) { mutant.Header[header] = nil }, "emptied", refuse)
				mutate(clone(msg), header, func(mutant *nats.Msg) {
					mutant.Header[header] = []string{values[0] + "x"}
				}, "lengthened", refuse)
				mutate(clone(msg), header, func(mutant *nats.Msg) {
					mutant.Header[header] = []string{values[0][:len(values[0])-1]}
				}, "shortened", refuse)
				for i := range values[0] {
					mutate(clone(msg), header, func(mutant *nats.Msg) {
						mutant.Header[header] = []string{values[0][:i] + string(values[0][i]^1) + values[0][i+1:]}
					}, "changed", refuse)
				}
			}
			for i := range msg.Data {
				mutant := clone(msg)
				mutant.Data[i] ^= 1
				refuse("a byte changed", mutant)
			}
			for length := range msg.Data {
				mutant := clone(msg)
				mutant.Data = mutant.Data[:length]
				refuse("truncated", mutant)
			}
			for what, change := range map[string]func(*nats.Msg){
				"lengthened":      func(m *nats.Msg) { m.Data = append(m.Data, 0) },
				"oversized":       func(m *nats.Msg) { m.Data = append(m.Data, make([]byte, event.MaxBody)...) },
				"moved":           func(m *nats.Msg) { m.Subject = "orders.old" },
				"another header":  func(m *nats.Msg) { m.Header["ce-urgent"] = []string{"yes"} },
				"in other case":   func(m *nats.Msg) { m.Header["CE-Type"] = []string{"refund"} },
				"a stranger's id": func(m *nats.Msg) { m.Header[nats.MsgIdHdr] = []string{"00000000-0000-7000-8000-000000000000"} },
			} {
				mutant := clone(msg)
				change(mutant)
				refuse(what, mutant)
			}
			for other, w := range all {
				if other == name {
					continue
				}
				from := w.Msg(form)
				for header := range msg.Header {
					if slices.Equal(from.Header[header], msg.Header[header]) {
						continue
					}
					mutant := clone(msg)
					mutant.Header[header] = slices.Clone(from.Header[header])
					refuse(header+" of the one that is "+other, mutant)
				}
				if form == event.Headers {
					mutant := clone(msg)
					mutant.Data = from.Data
					refuse("the body of the one that is "+other, mutant)
				}
			}
		}
	}
}

func mutate(mutant *nats.Msg, header string, change func(*nats.Msg), what string, refuse func(string, *nats.Msg)) {
	change(mutant)
	refuse(header+" "+what, mutant)
}

func TestEveryMutationOfTheJSONFormIsRefused(t *testing.T) {
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	reader := bob.manager(alice)
	judge := func(data []byte) error {
		v, err := event.ReadJSON(data)
		if err != nil {
			return err
		}
		return reader.Verify(t.Context(), v, event.Moment{Stored: time.Now()}, tokens{})
	}
	for name, v := range specimens(t, alice, bob) {
		data, err := v.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := judge(data); err != nil {
			t.Fatalf("%s is refused as it is: %v\n%s", name, err, data)
		}
		for i := range data {
			mutant := slices.Clone(data)
			mutant[i] ^= 1
			if err := judge(mutant); err == nil || !typed(err) {
				t.Errorf("%s: byte %d changed to %q: %v", name, i, mutant[i], err)
			}
		}
		for i := range data {
			if err := judge(data[:i]); err == nil || !typed(err) {
				t.Errorf("%s: cut to %d bytes: %v", name, i, err)
			}
		}
		text := string(data)
		for what, mutant := range map[string]string{
			"doubled":       strings.Replace(text, `{"id"`, `{"id":"x","id"`, 1),
			"another field": strings.Replace(text, `{"id"`, `{"more":"x","id"`, 1),
			"followed":      text + "{}",
			"no object":     `["` + text + `"]`,
			"no text":       strings.Replace(text, `"data":"`, `"data":1,"x":"`, 1),
			"a line break":  strings.Replace(text, `"event_auth":"`, `"event_auth":"\n`, 1),
		} {
			if err := judge([]byte(mutant)); err == nil || !typed(err) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestEveryExplanationOfTheJSONFormHoldsWhatVerifyAccepts(t *testing.T) {
	company := newCompany(t)
	alice, bob := company.hire(), company.hire()
	for name, v := range specimens(t, alice, bob) {
		data, err := v.JSON()
		if err != nil {
			t.Fatal(err)
		}
		judge := func(what string, mutant []byte) {
			t.Helper()
			var verified error
			read, err := event.ReadJSON(mutant)
			if verified = err; err == nil {
				verified = bob.manager(alice).Verify(t.Context(), read, event.Moment{}, nil)
			}
			agree(t, name+", "+what, verified, bob.manager(alice).ExplainJSON(t.Context(), mutant, event.Moment{}, nil))
		}
		judge("as it is", data)
		for i := 0; i < len(data); i += 3 {
			mutant := slices.Clone(data)
			mutant[i] ^= 1
			judge("a bit changed", mutant)
			if i%7 == 0 {
				judge("cut", data[:i])
			}
		}
		judge("doubled", []byte(strings.Replace(string(data), `{"id"`, `{"id":"x","id"`, 1)))
		judge("another member", []byte(strings.Replace(string(data), `{"id"`, `{"more":{"x":[1]},"id"`, 1)))
		judge("followed", append(slices.Clone(data), '{', '}'))
	}
}
