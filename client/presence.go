package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

const (
	liveType      = "room.live"
	presenceLife  = 45 * time.Second // of one statement
	presenceEvery = 20 * time.Second
	typingLasts   = 6 * time.Second
	greetWithin   = 300 * time.Millisecond // after somebody came whom nobody had heard
	greetMost     = 30                     // people, beyond whom nobody greets
)

// The states of somebody in a room.
const (
	stateHere   = "here"
	stateTyping = "typing"
	stateGone   = "gone"
)

// liveBody is the plaintext of a presence.
type liveBody struct {
	State string `json:"state"`
}

// Presence is somebody who is in a room just now.
type Presence struct {
	Account string `json:"account"`
	Handle  string `json:"handle"`
	Typing  bool   `json:"typing"`
}

// presences is what devices have said of themselves in a room, the newest of each.
type presences struct {
	mu   sync.Mutex
	said map[string]saidLive // by device
}

type saidLive struct {
	account, state string
	at, until      time.Time
}

// note takes what a device says, unless it said something later. first says that nobody had
// heard of it.
func (p *presences) note(device string, said saidLive, now time.Time) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, old := range p.said {
		if !now.Before(old.until) {
			delete(p.said, other)
		}
	}
	before, known := p.said[device]
	if known && (said.at.Before(before.at) || (said.at.Equal(before.at) && said.state != stateGone)) {
		return false // of one moment the leave counts: it is the last that is said
	}
	if p.said == nil {
		p.said = make(map[string]saidLive)
	}
	p.said[device] = said
	return !known && said.state != stateGone
}

// now are the accounts that are here, and whether they are typing.
func (p *presences) now(at time.Time) map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	here := make(map[string]bool)
	for _, said := range p.said {
		if said.state != stateGone && at.Before(said.until) {
			here[said.account] = here[said.account] || (said.state == stateTyping && at.Before(said.at.Add(typingLasts)))
		}
	}
	return here
}

// Present are the others who are in a room of the session just now, by handle.
func (s *Session) Present(room string) []Presence {
	present := []Presence{}
	at := s.feed(room)
	if at == nil {
		return present
	}
	for account, typing := range at.present.now(time.Now()) {
		if handle := s.c.book.handleOf(account); handle != "" && account != s.c.account() {
			present = append(present, Presence{Account: account, Handle: handle, Typing: typing})
		}
	}
	slices.SortFunc(present, func(a, b Presence) int { return strings.Compare(a.Handle, b.Handle) })
	return present
}

// beHere says that the member is in the session's rooms until it ends.
func (s *Session) beHere() {
	for {
		s.tell(stateHere)
		select {
		case <-s.ctx.Done():
			s.tell(stateGone)
			return
		case <-time.After(presenceEvery):
		case <-s.came:
			select {
			case <-s.ctx.Done():
			case <-time.After(rand.N(greetWithin)):
			}
		}
	}
}

// tell says a state in every room. Where the member cannot, nobody is told: it is no message.
func (s *Session) tell(state string) {
	for id := range s.feeds {
		s.c.rooms.mu.Lock()
		ev, err := s.c.rooms.composeLive(id, state)
		s.c.rooms.mu.Unlock()
		if err != nil {
			continue
		}
		l := s.hold()
		_ = l.Publish(ev.Subject, ev.Encode())
		l.users.Done()
	}
}

// receiveLive takes what somebody says of being in the room.
func (s *Session) receiveLive(f *feed, msg *nats.Msg) {
	ev, err := event.Decode(msg.Data)
	if err != nil || ev.Subject != msg.Subject {
		return
	}
	account := ev.Author.Text(trust.Account)
	state, err := s.judgeLive(f, ev)
	if err != nil {
		return // it is no message: nothing is missing
	}
	first := f.present.note(ev.Device.Text(trust.Device), saidLive{account, state, ev.Time, ev.NotAfter}, time.Now())
	if first && ev.Device != s.c.profile.device.Public() && len(f.present.now(time.Now())) <= greetMost {
		select {
		case s.came <- struct{}{}:
		default:
		}
	}
}

func (s *Session) judgeLive(f *feed, ev *event.Event) (string, error) {
	s.c.rooms.mu.Lock()
	defer s.c.rooms.mu.Unlock()
	known, err := s.c.rooms.load(f.room.ID)
	if err != nil {
		return "", err
	}
	return s.c.rooms.openLive(s.ctx, known, ev)
}

// openLive judges a presence as a message that came just now. b.mu is held.
func (b *roomBook) openLive(ctx context.Context, known *roomPage, ev *event.Event) (string, error) {
	now := time.Now()
	if ev.NotAfter.IsZero() || now.After(ev.NotAfter) || ev.NotAfter.Sub(ev.Time) > presenceLife {
		return "", fmt.Errorf("%w: a presence lasts %s", event.ErrTime, presenceLife)
	}
	path := judged{kind: liveType, subject: liveSubject, stored: now, live: true, may: func(role Role) bool { return role != "" }}
	plaintext, _, err := b.judge(ctx, known, ev, path)
	if err != nil {
		return "", err
	}
	return parseState(plaintext)
}

// parseState reads the plaintext of a presence.
func parseState(plaintext []byte) (string, error) {
	body := new(liveBody)
	if err := trust.ParseCanonical(plaintext, body); err != nil {
		return "", err
	}
	switch body.State {
	case stateHere, stateTyping, stateGone:
		return body.State, nil
	}
	return "", fmt.Errorf("%w: unknown state", chain.ErrContent)
}

// composeLive makes a presence by what is known of the room; no epoch is begun for it. b.mu
// is held.
func (b *roomBook) composeLive(id, state string) (*event.Event, error) {
	known, err := b.load(id)
	if err != nil {
		return nil, err
	}
	if err := clocksApart(time.Duration(b.c.apart.Load())); err != nil {
		return nil, err
	}
	now := time.Now()
	if role, _ := known.Room.RoleOf(b.c.account(), now); known.Room.Seq == 0 || role == "" {
		return nil, ErrNotInRoom
	}
	ev := &event.Event{Type: liveType, Subject: liveSubject(id, b.c.account()), Time: now, NotAfter: now.Add(presenceLife)}
	return ev, b.finish(known, ev, liveBody{state})
}

func liveSubject(room, account string) string { return "room." + room + ".live." + account }
