package event_test

import (
	"bytes"
	"fmt"
	"log"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

// A device signs, anybody verifies, and nobody changes a byte.
func ExampleEvent_Sign() {
	alice, laptop := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	ev := &event.Event{
		Author: alice.Public(), Type: "room.message", Subject: "room.plans.say.alice", Audience: "the hub",
		Body: []byte(`{"text":"hello"}`),
	}
	if err := ev.Sign(laptop); err != nil {
		log.Fatal(err)
	}
	data := ev.Encode() // this is what travels

	read, err := event.Decode(data)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("checked:", read.Check())
	fmt.Println("for this place:", read.Meant("room.message", "room.plans.say.alice", "the hub"))
	fmt.Println("by alice's laptop:", read.Author == alice.Public() && read.Device == laptop.Public())
	fmt.Println(string(read.Body))

	forged, err := event.Decode(bytes.Replace(data, []byte("hello"), []byte("hullo"), 1))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("forged:", forged.Check())
	// Output:
	// checked: <nil>
	// for this place: <nil>
	// by alice's laptop: true
	// {"text":"hello"}
	// forged: body is not the one that was signed
}

// A relay verifies a sealed event without reading it; who has the epoch's key reads it.
func ExampleEvent_Seal() {
	const room = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	alice, laptop := trust.NewKeyPair(trust.Account), trust.NewKeyPair(trust.Device)
	bob := trust.NewXKey()

	// Whoever begins an epoch announces the key's commitment and boxes the key for each reader.
	key := event.NewEpochKey()
	commitment := key.Commitment(room)
	box, err := key.BoxFor(bob.String(), room)
	if err != nil {
		log.Fatal(err)
	}

	epoch := event.Hash{1} // the hash of the event that began the epoch
	ev := &event.Event{Author: alice.Public(), Type: "room.message", Subject: "room." + room + ".say.alice"}
	if err := ev.Seal(key, epoch, laptop.Public(), []byte("the door is green")); err != nil {
		log.Fatal(err)
	}
	if err := ev.Sign(laptop); err != nil {
		log.Fatal(err)
	}

	read, err := event.Decode(ev.Encode())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the relay:", read.Check(), bytes.Contains(read.Body, []byte("door")))

	bobsKey, err := event.OpenEpochKey(bob, room, commitment, box)
	if err != nil {
		log.Fatal(err)
	}
	text, err := read.Open(bobsKey)
	fmt.Println("bob:", string(text), err)
	_, err = read.Open(event.NewEpochKey())
	fmt.Println("somebody:", err)
	// Output:
	// the relay: <nil> false
	// bob: the door is green <nil>
	// somebody: sealed body does not open
}
