package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	natslogin "keyhall.dev/keyhall/login"
)

// Say sends a message to a room of the session and waits until it is stored.
func (s *Session) Say(ctx context.Context, room, text string) (*Message, error) {
	at := s.feed(room)
	if at == nil {
		return nil, fault.Wrap(fault.NotFound, ErrNotInRoom, "this session is not in %s", room)
	}
	s.c.rooms.mu.Lock()
	ev, err := s.c.rooms.compose(ctx, at.room.ID, text)
	s.c.rooms.mu.Unlock()
	if err != nil {
		return nil, err
	}
	seq, err := s.publish(ctx, ev)
	if err != nil {
		return nil, err
	}
	return &Message{
		Room: at.room.Room, Seq: seq, Author: s.c.profile.Settings.Handle, Time: ev.Time, Text: text, ID: ev.ID.String(),
	}, nil
}

// feed is one of the session's rooms by name or id, nil for another.
func (s *Session) feed(room string) *feed {
	for _, f := range s.feeds {
		if f.room.Room == room || f.room.ID == room {
			return f
		}
	}
	return nil
}

// publish sends the event until the stream has acknowledged it; the same event twice is
// stored once.
func (s *Session) publish(ctx context.Context, ev *event.Event) (uint64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.waiting[ev.Subject] = cancel
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, ev.Subject)
		s.mu.Unlock()
	}()
	msg := nats.NewMsg(ev.Subject)
	msg.Data = ev.Encode()
	msg.Header.Set(nats.MsgIdHdr, ev.ID.String())
	var err error
	for range publishTries {
		var seq uint64
		err = s.outages.ask(ctx, func(ctx context.Context) (err error) {
			seq, err = s.request(ctx, msg)
			return err
		})
		if err == nil {
			return seq, nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return 0, cause
		}
		if reason := s.standing.reason(); reason != nil {
			return 0, reason
		}
	}
	return 0, fault.Wrap(fault.Unavailable, err, "the hub did not confirm the message; it may or may not have been sent")
}

func (s *Session) request(ctx context.Context, msg *nats.Msg) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	l := s.hold()
	defer l.users.Done()
	answer, err := l.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fmt.Errorf("unreadable acknowledgement: %w", err)
	}
	if ack.Error != nil {
		return 0, errors.New(ack.Error.Description)
	}
	return ack.Seq, nil
}

// asyncError takes the server's refusals to the room or the message that they are about.
func (s *Session) asyncError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if natslogin.IsRefusal(err) {
		return // it comes back, or its standing says why not
	}
	if !errors.Is(err, nats.ErrPermissionViolation) {
		if s.ctx.Err() == nil {
			s.problem(err)
		}
		return
	}
	text := err.Error()
	for id, f := range s.feeds {
		refused := fault.Wrap(fault.Refused, ErrNotInRoom, "the hub does not let you into %s", f.room.Room)
		switch {
		case strings.Contains(text, "room."+id+".say."):
			s.mu.Lock()
			if cancel := s.waiting[saySubject(id, s.c.account())]; cancel != nil {
				cancel(refused)
			}
			s.mu.Unlock()
		case strings.Contains(text, "feed."+id):
			s.problem(refused)
		}
	}
}

// Say sends one message to a room.
func (c *Client) Say(ctx context.Context, room, text string) (*Message, error) {
	session, err := c.enter(ctx, 0, room)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	for id := range session.feeds {
		return session.Say(ctx, id, text)
	}
	return nil, ErrNotInRoom
}
