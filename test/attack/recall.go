package attack

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/trust"
)

// recall reads a room's history and shows each message that one of the attacker's keys
// opens, and the number of those that none does. With -hub it is taken from the stream
// itself, by the keys of a hub that is in league, and the room's chain from a file.
func recall(c *call) error {
	hub := c.flags.String("hub", "", "the data folder of a hub that is in league")
	kept := c.flags.String("epoch", "", "with -hub: a file in which the room's chain was kept")
	if err := c.parse(1, 1); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	at, err := where(c.ctx)
	if err != nil {
		return err
	}
	var h *hall
	var messages [][]byte
	if *hub != "" {
		h, messages, err = steal(c.ctx, at.id, *hub, *kept, c.arg(0))
	} else {
		h, messages, err = c.ask(at.id)
	}
	if err != nil {
		return err
	}
	show(s, h, messages)
	return nil
}

// ask gets a room and its messages from the hub API, as a member does.
func (c *call) ask(hub string) (*hall, [][]byte, error) {
	nc, err := c.dial()
	if err != nil {
		return nil, nil, err
	}
	defer nc.Close()
	h, err := nc.hall(c.arg(0), hub)
	if err != nil {
		return nil, nil, err
	}
	var history api.History
	if err := nc.call("rooms.history", api.HistoryRequest{Room: h.ID, Last: true}, &history); err != nil {
		return nil, nil, err
	}
	var messages [][]byte
	for _, entry := range history.Messages {
		messages = append(messages, entry.Event)
	}
	return h, messages, nil
}

// steal gets a room's messages from the stream.
func steal(ctx context.Context, id, dataDir, kept, room string) (*hall, [][]byte, error) {
	h, err := recollect(kept, id)
	if err != nil {
		return nil, nil, err
	}
	nc, err := inLeague(ctx, dataDir)
	if err != nil {
		return nil, nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc.Conn)
	if err != nil {
		return nil, nil, err
	}
	consumer, err := js.OrderedConsumer(ctx, "ROOMS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"log." + room}})
	if err != nil {
		return nil, nil, err
	}
	var messages [][]byte
	for left := consumer.CachedInfo().NumPending; left > 0; left-- {
		msg, err := consumer.Next(jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return nil, nil, err
		}
		messages = append(messages, msg.Data())
	}
	return h, messages, nil
}

// show opens what can be opened.
func show(s *self, h *hall, messages [][]byte) {
	closed := 0
	for _, message := range messages {
		ev, err := event.Decode(message)
		if err != nil {
			report("rubbish %q", message)
			continue
		}
		key, err := h.key(s, ev.Epoch)
		if err != nil {
			closed++
			continue
		}
		text, err := ev.Open(key)
		report("%s %s %v", ev.Author.Text(trust.Account), text, err)
	}
	report("%d of %d messages stay closed", closed, len(messages))
}
