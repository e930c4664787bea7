package event_test

import (
	"bytes"
	"errors"
	"testing"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

func FuzzHash(f *testing.F) {
	for _, text := range []string{"", "0", "00", string(bytes.Repeat([]byte("0"), 64)), string(bytes.Repeat([]byte("0a"), 32)), string(bytes.Repeat([]byte("0A"), 32))} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var h event.Hash
		if err := h.UnmarshalText(text); err != nil {
			if !errors.Is(err, event.ErrMalformed) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		if again, err := h.MarshalText(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%q comes out as %q, %v", text, again, err)
		}
	})
}

// A key seals bodies and names; what one made is nothing to the other, and no change opens.
func FuzzOpen(f *testing.F) {
	key, err := event.EpochKeyFrom(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	device, err := trust.ParseSeed(trust.Device, []byte(fuzzSeed))
	if err != nil {
		f.Fatal(err)
	}
	sealed := &event.Event{Author: trust.PublicKey{1}, Type: "room.message", Subject: "room.r.say.A", Audience: "O"}
	if err := sealed.Seal(key, event.Hash{1}, device.Public(), []byte("hello")); err != nil {
		f.Fatal(err)
	}
	name := key.SealName("room", "hall")
	f.Add("room", sealed.Body)
	f.Add("room", name)
	f.Add("other", name)
	f.Add("", []byte{})
	f.Add("", make([]byte, 28))
	f.Fuzz(func(t *testing.T, room string, data []byte) {
		ev := *sealed
		ev.Body = data
		plaintext, err := ev.Open(key)
		if err != nil && !errors.Is(err, event.ErrSealed) || err == nil && (string(plaintext) != "hello" || len(data) != len(sealed.Body)) {
			t.Fatalf("%x opens to %q, %v", data, plaintext, err)
		}
		got, err := key.OpenName(room, data)
		if err != nil && !errors.Is(err, event.ErrSealed) || err == nil && (got != "hall" || room != "room" || len(data) != len(name)) {
			t.Fatalf("%x is the name %q of %q, %v", data, got, room, err)
		}
	})
}

func FuzzOpenEpochKey(f *testing.F) {
	own, err := trust.ParseXKeySeed([]byte("SXABRBREO62NBRGJ4OQACL3C6AZ4F7ZKMUKFQ3HYADD6EBT74PTREFL52A"))
	if err != nil {
		f.Fatal(err)
	}
	key, err := event.EpochKeyFrom(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	commitment := key.Commitment("room")
	box, err := key.BoxFor(own.String(), "room")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("room", commitment[:], box, key.Bytes())
	f.Add("room", make([]byte, 32), box, []byte{})
	f.Add("", commitment[:], []byte{}, make([]byte, 31))
	f.Fuzz(func(t *testing.T, room string, committed, box, secret []byte) {
		if len(committed) != 32 {
			return
		}
		sound := func(opened *event.EpochKey, err error) {
			t.Helper()
			if err != nil {
				if !errors.Is(err, trust.ErrBox) && !errors.Is(err, event.ErrCommitment) {
					t.Fatalf("unexpected error: %v", err)
				}
				return
			}
			if got := opened.Commitment(room); !bytes.Equal(got[:], committed) {
				t.Fatalf("a key is taken that does not meet its commitment")
			}
		}
		sound(event.OpenEpochKey(own, room, [32]byte(committed), box))
		// Whatever a hostile maker of epochs puts into a box that opens.
		hostile, err := trust.Box(own.String(), "epoch", append([]byte(room), committed...), secret)
		if err != nil {
			t.Fatal(err)
		}
		sound(event.OpenEpochKey(own, room, [32]byte(committed), hostile))
	})
}
