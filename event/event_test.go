package event_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// sign makes a signed event of a person's laptop.
func sign(t testing.TB, device *trust.KeyPair, body string) *event.Event {
	t.Helper()
	ev := &event.Event{
		Author: trust.NewKeyPair(trust.Account).Public(), Type: "person.invite",
		Subject: "ledger.person.A", Audience: "O", Body: []byte(body),
	}
	if err := ev.Sign(device); err != nil {
		t.Fatal(err)
	}
	return ev
}

func decode(t testing.TB, data []byte) *event.Event {
	t.Helper()
	ev, err := event.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func TestSigningGivesWhatAnEventLacks(t *testing.T) {
	device := trust.NewKeyPair(trust.Device)
	before := time.Now().Truncate(time.Millisecond)
	ev := sign(t, device, "hello")
	if ev.ID.Version() != 7 || ev.Device != device.Public() || ev.Time.Location() != time.UTC {
		t.Errorf("id %s, device %x, time %s", ev.ID, ev.Device, ev.Time)
	}
	if ev.Time.Before(before) || ev.Time.After(time.Now()) || ev.Time.Nanosecond()%1e6 != 0 {
		t.Errorf("it was signed at %s, not at %s", ev.Time, before)
	}
	id, at := ev.ID, ev.Time
	if err := ev.Sign(trust.NewKeyPair(trust.Device)); err != nil {
		t.Fatal(err)
	}
	if ev.ID != id || !ev.Time.Equal(at) || ev.Device == device.Public() || ev.Check() != nil {
		t.Error("signed again by another device, it is another event, or none")
	}
}

func TestAStampIsKeptBySigning(t *testing.T) {
	device := trust.NewKeyPair(trust.Device)
	ev := &event.Event{Author: trust.PublicKey{1}, Type: "a", Subject: "a"}
	if err := ev.Stamp(device.Public()); err != nil {
		t.Fatal(err)
	}
	id, at := ev.ID, ev.Time
	if ev.Device != device.Public() || at.IsZero() {
		t.Errorf("stamped %+v", ev)
	}
	if err := ev.Sign(device); err != nil {
		t.Fatal(err)
	}
	if ev.ID != id || !ev.Time.Equal(at) {
		t.Error("signing gave it another id or time")
	}
}

func TestTimesAreCutToMilliseconds(t *testing.T) {
	ev := &event.Event{
		Author: trust.PublicKey{1}, Type: "a", Subject: "a",
		Time:     time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.FixedZone("", 7200)),
		NotAfter: time.Date(2026, 5, 6, 7, 8, 39, 987654321, time.FixedZone("", 7200)),
	}
	if err := ev.Sign(trust.NewKeyPair(trust.Device)); err != nil {
		t.Fatal(err)
	}
	got := decode(t, ev.Encode())
	if want := time.Date(2026, 5, 6, 5, 8, 9, 123e6, time.UTC); !got.Time.Equal(want) || !ev.Time.Equal(want) {
		t.Errorf("signed %s, read %s", ev.Time, got.Time)
	}
	if want := time.Date(2026, 5, 6, 5, 8, 39, 987e6, time.UTC); !got.NotAfter.Equal(want) || !ev.NotAfter.Equal(want) {
		t.Errorf("signed %s, read %s", ev.NotAfter, got.NotAfter)
	}
}

func TestNothingIsSignedThatWouldBeRefused(t *testing.T) {
	device := trust.NewKeyPair(trust.Device)
	for what, change := range map[string]func(ev *event.Event){
		"no author":             func(ev *event.Event) { ev.Author = trust.PublicKey{} },
		"no type":               func(ev *event.Event) { ev.Type = "" },
		"a long type":           func(ev *event.Event) { ev.Type = strings.Repeat("a", 65) },
		"a wildcard":            func(ev *event.Event) { ev.Subject = "ledger.>" },
		"a long subject":        func(ev *event.Event) { ev.Subject = strings.Repeat("a", 1<<16) },
		"a long audience":       func(ev *event.Event) { ev.Audience = strings.Repeat("a", 1<<16) },
		"a place after nothing": func(ev *event.Event) { ev.Seq = 2 },
		"a previous at no place": func(ev *event.Event) {
			ev.Prev = event.Hash{1}
		},
		"a body beyond 512 KiB": func(ev *event.Event) { ev.Body = make([]byte, event.MaxBody+1) },
		"an id of version 4":    func(ev *event.Event) { ev.ID[6] = 0x40 },
	} {
		ev := sign(t, device, "hello")
		change(ev)
		if err := ev.Sign(device); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestATimeThatIsSignedIsRead(t *testing.T) {
	device := trust.NewKeyPair(trust.Device)
	now := time.Now()
	for _, row := range []struct{ at, until time.Time }{
		{time.UnixMilli(0), time.Time{}},
		{time.UnixMilli(-1), time.Time{}},
		{time.UnixMilli(1 << 62), time.Time{}},
		{now, time.UnixMilli(0)},
		{now, time.UnixMilli(-1)},
		{now, time.UnixMilli(1 << 62)},
	} {
		ev := &event.Event{Author: trust.PublicKey{1}, Type: "a", Subject: "a", Time: row.at, NotAfter: row.until}
		if err := ev.Sign(device); err != nil {
			continue
		}
		got, err := event.Decode(ev.Encode())
		if err != nil {
			t.Errorf("at %s until %s: signed, and read as %v", row.at.UTC(), row.until.UTC(), err)
		} else if !got.Time.Equal(ev.Time) || !got.NotAfter.Equal(ev.NotAfter) {
			t.Errorf("at %s until %s: read as %s until %s", row.at.UTC(), row.until.UTC(), got.Time, got.NotAfter)
		}
	}
}

func TestTheErrorSaysWhatDoesNotHold(t *testing.T) {
	device := trust.NewKeyPair(trust.Device)
	ev := sign(t, device, "hello")
	data := ev.Encode()
	body := slices.Clone(data)
	body[len(body)-1] ^= 1
	if err := decode(t, body).Check(); !errors.Is(err, event.ErrBody) {
		t.Errorf("another body: %v", err)
	}
	if err := decode(t, append(slices.Clone(data), '!')).Check(); !errors.Is(err, event.ErrBody) {
		t.Errorf("a longer body: %v", err)
	}
	author := slices.Clone(data)
	author[4+16] ^= 1
	if err := decode(t, author).Check(); !errors.Is(err, event.ErrSignature) {
		t.Errorf("another author: %v", err)
	}
	signature := slices.Clone(data)
	signature[len(signature)-6] ^= 1
	if err := decode(t, signature).Check(); !errors.Is(err, event.ErrSignature) {
		t.Errorf("another signature: %v", err)
	}
	if err := new(event.Event).CheckWithheld(); !errors.Is(err, event.ErrSignature) {
		t.Errorf("no signature: %v", err)
	}
	ev.Body = []byte("changed after signing")
	if err := ev.Check(); !errors.Is(err, event.ErrBody) {
		t.Errorf("changed after signing: %v", err)
	}
}

// A signature on the same token under another label, or on the bare token, is none.
func TestASignatureOnSomethingElseIsNone(t *testing.T) {
	device := trust.NewKeyPair(trust.Device)
	k := plain()
	k.device = device.Public()
	for what, message := range map[string][]byte{
		"the bare token": k.bytes(),
		"another label":  append([]byte("\xffkeyhall/sealed/v1\x00"), k.bytes()...),
		"no 0xff":        signed(k.bytes())[1:],
	} {
		sig := device.Sign(message)
		if err := decode(t, compact(k.bytes(), []byte("hello"), sig[:])).Check(); !errors.Is(err, event.ErrSignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestACoSignatureIsOfTheKeyThatTheBodyNames(t *testing.T) {
	device, second := trust.NewKeyPair(trust.Device), trust.NewKeyPair(trust.Device)
	ev := sign(t, device, "hello")
	if err := ev.CheckCoSignature(second.Public()); !errors.Is(err, event.ErrSignature) {
		t.Errorf("without one: %v", err)
	}
	hash := ev.Hash()
	if err := ev.CoSign(second); err != nil {
		t.Fatal(err)
	}
	got := decode(t, ev.Encode())
	if err := errors.Join(got.Check(), got.CheckCoSignature(second.Public())); err != nil {
		t.Error(err)
	}
	if got.Hash() != hash {
		t.Error("it has another hash with the co-signature")
	}
	for what, key := range map[string]trust.PublicKey{
		"the device": device.Public(), "somebody": trust.NewKeyPair(trust.Device).Public(), "nobody": {},
	} {
		if err := got.CheckCoSignature(key); !errors.Is(err, event.ErrSignature) {
			t.Errorf("by %s: %v", what, err)
		}
	}
	if err := ev.CoSign(second); !errors.Is(err, event.ErrSignature) {
		t.Errorf("a third signature: %v", err)
	}
	if err := new(event.Event).CoSign(second); !errors.Is(err, event.ErrSignature) {
		t.Errorf("before the first: %v", err)
	}
}

func TestAWithheldBodyLeavesTheSignature(t *testing.T) {
	ev := sign(t, trust.NewKeyPair(trust.Device), "hello")
	got := decode(t, ev.EncodeWithheld())
	if len(got.Body) != 0 || got.Hash() != ev.Hash() {
		t.Errorf("body %q, hash %s instead of %s", got.Body, got.Hash(), ev.Hash())
	}
	if err := got.CheckWithheld(); err != nil {
		t.Error(err)
	}
	if err := got.Check(); !errors.Is(err, event.ErrBody) {
		t.Errorf("it passes for the whole event: %v", err)
	}
}

func TestAnEventIsMeantForOnePlace(t *testing.T) {
	ev := sign(t, trust.NewKeyPair(trust.Device), "hello")
	for what, row := range map[string]struct {
		kind, subject, audience string
		meant                   bool
	}{
		"this one":         {"person.invite", "ledger.person.A", "O", true},
		"another type":     {"person.device", "ledger.person.A", "O", false},
		"another subject":  {"person.invite", "ledger.person.B", "O", false},
		"another audience": {"person.invite", "ledger.person.A", "P", false},
		"nothing":          {"", "", "", false},
	} {
		if err := ev.Meant(row.kind, row.subject, row.audience); row.meant != (err == nil) || (err != nil && !errors.Is(err, event.ErrNotMeant)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnEventIsActedOnInItsTime(t *testing.T) {
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	limited := &event.Event{Time: at, NotAfter: at.Add(30 * time.Second)}
	free := &event.Event{Time: at}
	for _, row := range []struct {
		what string
		ev   *event.Event
		now  time.Time
		good bool
	}{
		{"at once", limited, at, true},
		{"at its limit", limited, at.Add(30 * time.Second), true},
		{"after its limit", limited, at.Add(30*time.Second + time.Millisecond), false},
		{"a year later, without a limit", free, at.AddDate(1, 0, 0), true},
		{"ten minutes early", free, at.Add(-10 * time.Minute), true},
		{"earlier than that", free, at.Add(-10*time.Minute - time.Millisecond), false},
	} {
		if err := row.ev.Fresh(row.now); row.good != (err == nil) || (err != nil && !errors.Is(err, event.ErrTime)) {
			t.Errorf("%s: %v", row.what, err)
		}
	}
}

func TestAHashHasOneText(t *testing.T) {
	hash := event.Hash{0xab, 31: 0x01}
	text, err := json.Marshal(hash)
	if err != nil || string(text) != `"ab`+strings.Repeat("00", 30)+`01"` {
		t.Fatalf("%s, %v", text, err)
	}
	got := event.Hash{1, 2, 3}
	if err := json.Unmarshal(text, &got); err != nil || got != hash {
		t.Errorf("%s, %v", got, err)
	}
	if err := json.Unmarshal([]byte(`""`), &got); err != nil || !got.IsZero() || got.String() != "" {
		t.Errorf("the absent hash: %s, %v", got, err)
	}
	for what, text := range map[string]string{
		"capitals": strings.ToUpper(hash.String()), "too short": hash.String()[:62], "too long": hash.String() + "00",
		"no digits": strings.Repeat("g", 64), "all zero": strings.Repeat("0", 64), "a space": " " + hash.String()[1:],
	} {
		if err := got.UnmarshalText([]byte(text)); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
