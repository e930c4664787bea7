package event_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// gcm is the cipher of an epoch key, from its bytes.
func gcm(t testing.TB, secret []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// sealed is a sealed and signed message, as a reader gets it.
func sealed(t testing.TB, key *event.EpochKey, text string) *event.Event {
	t.Helper()
	device := trust.NewKeyPair(trust.Device)
	ev := &event.Event{
		Author: trust.PublicKey{1}, Type: "room.message", Subject: "room.r.say.A", Audience: "O", Head: event.Hash{2},
	}
	if err := ev.Seal(key, event.Hash{9}, device.Public(), []byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := ev.Sign(device); err != nil {
		t.Fatal(err)
	}
	return decode(t, ev.Encode())
}

func TestASealedBodyOpensForWhoHasTheKey(t *testing.T) {
	key := event.NewEpochKey()
	for _, text := range []string{"", "hello", string(make([]byte, 32<<10))} {
		ev := sealed(t, key, text)
		if err := ev.Check(); err != nil {
			t.Error(err)
		}
		if got, err := ev.Open(key); err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
		if len(ev.Body) != len(text)+28 || bytes.Contains(ev.Body, []byte("hello")) {
			t.Errorf("%d bytes were sealed to %q", len(text), ev.Body)
		}
	}
}

func TestASealedBodyIsTheProtocols(t *testing.T) {
	key := event.NewEpochKey()
	ev := sealed(t, key, "hello")
	k := token{
		id: ev.ID, author: ev.Author, device: ev.Device, time: uint64(ev.Time.UnixMilli()), head: ev.Head, epoch: ev.Epoch,
		kind: ev.Type, subject: ev.Subject, audience: ev.Audience,
	}
	ad := append([]byte("\xffkeyhall/sealed/v1\x00"), k.bytes()...)
	got, err := gcm(t, key.Bytes()).Open(nil, ev.Body[:12], ev.Body[12:], ad)
	if err != nil || string(got) != "hello" {
		t.Errorf("opened by hand: %q, %v", got, err)
	}
}

func TestASealedBodyIsOfOneEventAndOneKey(t *testing.T) {
	key := event.NewEpochKey()
	for what, change := range map[string]func(ev *event.Event){
		"another id":       func(ev *event.Event) { ev.ID = uuid.Must(uuid.NewV7()) },
		"another author":   func(ev *event.Event) { ev.Author[0] ^= 1 },
		"another device":   func(ev *event.Event) { ev.Device[0] ^= 1 },
		"another time":     func(ev *event.Event) { ev.Time = ev.Time.Add(time.Millisecond) },
		"a limit":          func(ev *event.Event) { ev.NotAfter = ev.Time },
		"another place":    func(ev *event.Event) { ev.Seq = 1 },
		"another previous": func(ev *event.Event) { ev.Prev[0] ^= 1 },
		"another head":     func(ev *event.Event) { ev.Head[0] ^= 1 },
		"another epoch":    func(ev *event.Event) { ev.Epoch[0] ^= 1 },
		"another type":     func(ev *event.Event) { ev.Type = "room.massage" },
		"another subject":  func(ev *event.Event) { ev.Subject = "room.r.say.B" },
		"another audience": func(ev *event.Event) { ev.Audience = "P" },
		"half a body":      func(ev *event.Event) { ev.Body = ev.Body[:len(ev.Body)/2] },
		"a nonce alone":    func(ev *event.Event) { ev.Body = ev.Body[:12] },
		"no body":          func(ev *event.Event) { ev.Body = nil },
	} {
		ev := sealed(t, key, "hello")
		change(ev)
		if got, err := ev.Open(key); !errors.Is(err, event.ErrSealed) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	if _, err := sealed(t, key, "hello").Open(event.NewEpochKey()); !errors.Is(err, event.ErrSealed) {
		t.Errorf("another key: %v", err)
	}
}

func TestEveryByteOfASealedBodyCounts(t *testing.T) {
	key := event.NewEpochKey()
	ev := sealed(t, key, "hello")
	for i := range ev.Body {
		changed := *ev
		changed.Body = slices.Clone(ev.Body)
		changed.Body[i] ^= 1
		if _, err := changed.Open(key); !errors.Is(err, event.ErrSealed) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

func TestTwoSealsOfOneTextDiffer(t *testing.T) {
	key := event.NewEpochKey()
	if a, b := sealed(t, key, "hello"), sealed(t, key, "hello"); bytes.Equal(a.Body[:12], b.Body[:12]) {
		t.Error("one nonce twice")
	}
	if bytes.Equal(event.NewEpochKey().Bytes(), event.NewEpochKey().Bytes()) {
		t.Error("one key twice")
	}
}

const room = "aaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestAnEpochKeyReachesItsMember(t *testing.T) {
	key, member := event.NewEpochKey(), trust.NewXKey()
	box, err := key.BoxFor(member.String(), room)
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.OpenEpochKey(member, room, key.Commitment(room), box)
	if err != nil || !bytes.Equal(got.Bytes(), key.Bytes()) {
		t.Errorf("another key came, %v", err)
	}
	statement := append([]byte("\xffkeyhall/epoch/v1\x00"+room), key.Bytes()...)
	if got := key.Commitment(room); got != sha256.Sum256(statement) {
		t.Errorf("commitment %x", got)
	}
	if _, err := key.BoxFor("XAAA", room); !errors.Is(err, trust.ErrKey) {
		t.Errorf("sealed to no key: %v", err)
	}
}

func TestAnEpochKeyReachesNobodyElse(t *testing.T) {
	key, member := event.NewEpochKey(), trust.NewXKey()
	commitment := key.Commitment(room)
	box, err := key.BoxFor(member.String(), room)
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(box)
	changed[40] ^= 1
	other := event.NewEpochKey().Commitment(room)
	for what, row := range map[string]struct {
		member     *trust.XKey
		room       string
		commitment [32]byte
		box        []byte
	}{
		"another member":     {trust.NewXKey(), room, commitment, box},
		"another room":       {member, "baaaaaaaaaaaaaaaaaaaaaaaaa", commitment, box},
		"another commitment": {member, room, other, box},
		"another box":        {member, room, commitment, changed},
		"no box":             {member, room, commitment, nil},
	} {
		if _, err := event.OpenEpochKey(row.member, row.room, row.commitment, row.box); !errors.Is(err, trust.ErrBox) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAKeyThatTheEpochDidNotCommitToIsRefused: a maker of epochs who boxes one key for you
// and another for me, so that one message says two things, is found out by one of us.
func TestAKeyThatTheEpochDidNotCommitToIsRefused(t *testing.T) {
	announced, smuggled, member := event.NewEpochKey(), event.NewEpochKey(), trust.NewXKey()
	commitment := announced.Commitment(room)
	context := append([]byte(room), commitment[:]...)
	box, err := trust.Box(member.String(), "epoch", context, smuggled.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := event.OpenEpochKey(member, room, commitment, box); !errors.Is(err, event.ErrCommitment) {
		t.Errorf("a smuggled key: %v", err)
	}
	for _, length := range []int{0, 16, 31, 33} {
		if box, err = trust.Box(member.String(), "epoch", context, make([]byte, length)); err != nil {
			t.Fatal(err)
		}
		if _, err := event.OpenEpochKey(member, room, commitment, box); !errors.Is(err, trust.ErrBox) {
			t.Errorf("a key of %d bytes: %v", length, err)
		}
	}
}

func TestAnEpochKeyIsKeptByItsBytes(t *testing.T) {
	key := event.NewEpochKey()
	ev := sealed(t, key, "hello")
	kept := key.Bytes()
	again, err := event.EpochKeyFrom(kept)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ev.Open(again); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	clear(kept)
	if bytes.Equal(key.Bytes(), kept) || bytes.Equal(again.Bytes(), kept) {
		t.Error("the key shares its bytes")
	}
	for _, length := range []int{0, 16, 31, 33, 64} {
		if _, err := event.EpochKeyFrom(make([]byte, length)); err == nil {
			t.Errorf("%d bytes are a key", length)
		}
	}
}

func TestARoomsNameIsSealedForTheRoom(t *testing.T) {
	key := event.NewEpochKey()
	sealed := key.SealName(room, "plans")
	if got, err := key.OpenName(room, sealed); err != nil || got != "plans" {
		t.Errorf("%q, %v", got, err)
	}
	ad := []byte("\xffkeyhall/room-name/v1\x00" + room)
	if got, err := gcm(t, key.Bytes()).Open(nil, sealed[:12], sealed[12:], ad); err != nil || string(got) != "plans" {
		t.Errorf("opened by hand: %q, %v", got, err)
	}
	if _, err := key.OpenName("baaaaaaaaaaaaaaaaaaaaaaaaa", sealed); !errors.Is(err, event.ErrSealed) {
		t.Errorf("another room: %v", err)
	}
	if _, err := event.NewEpochKey().OpenName(room, sealed); !errors.Is(err, event.ErrSealed) {
		t.Errorf("another key: %v", err)
	}
	for i := range sealed {
		changed := slices.Clone(sealed)
		changed[i] ^= 1
		if _, err := key.OpenName(room, changed); !errors.Is(err, event.ErrSealed) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	if _, err := key.OpenName(room, nil); !errors.Is(err, event.ErrSealed) {
		t.Errorf("nothing: %v", err)
	}
}
