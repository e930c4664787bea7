package attack

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
)

// repeat publishes once more what somebody said in a room, byte for byte, in one's own name
// and in that room, or in another one.
func repeat(c *call) error {
	into := c.flags.String("into", "", "the room to publish it in")
	head := headers{}
	c.flags.Var(head, "header", "a header")
	if err := c.parse(2, 2); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	data, err := c.said(c.arg(0), c.arg(1))
	if err != nil {
		return err
	}
	if *into == "" {
		*into = c.arg(0)
	}
	*c.login = "rooms:" + *into
	nc, err := c.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	answer, err := nc.ask(head.on(&nats.Msg{Subject: "room." + *into + ".say." + s.account(), Data: data}))
	if err != nil {
		return err
	}
	report("stored %s", answer.Data)
	return nil
}

// said is the message with an id, from a room's history.
func (c *call) said(room, id string) ([]byte, error) {
	nc, err := c.dial()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	var history api.History
	if err := nc.call("rooms.history", api.HistoryRequest{Room: room, Last: true}, &history); err != nil {
		return nil, err
	}
	for _, entry := range history.Messages {
		if ev, err := event.Decode(entry.Event); err == nil && ev.ID.String() == id {
			return entry.Event, nil
		}
	}
	return nil, fmt.Errorf("nobody said %s in %s", id, room)
}
