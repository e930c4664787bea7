package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/trust"
)

// Report is what a verification of the whole ledger found.
type Report struct {
	Events   int       `json:"events"` // that hold
	People   int       `json:"people"`
	Rooms    int       `json:"rooms"`
	Problems []Problem `json:"problems"`
}

// Problem is something in the ledger that does not hold. Of a chain only the first is
// named: what comes after it stands on it, and is counted.
type Problem struct {
	Seq     uint64 `json:"seq"`     // stream sequence
	Subject string `json:"subject"` // the chain
	Type    string `json:"type,omitempty"`
	Reason  string `json:"reason"`
	After   int    `json:"after"` // later events of the chain, which cannot be judged
}

// Verify reads the ledger from the first event to the last and verifies everything that
// can be: that none is missing, every signature, and for each event that its author might
// make it there. Nothing of the views is used.
func (l *Ledger) Verify(ctx context.Context, hub *trust.Hub) (*Report, error) {
	last, err := l.Last(ctx)
	if err != nil {
		return nil, err
	}
	v := &verifier{
		report: &Report{Problems: []Problem{}}, hub: hub, world: chain.NewWorld(hub),
		rooms: make(map[string]*chain.Room), broken: make(map[string]int),
	}
	v.world.KeepPlaces()
	for seq := uint64(1); seq <= last; seq++ {
		msg, err := l.stream.GetMsg(ctx, seq)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			v.problem(seq, "", "", "an event was deleted here")
		case err != nil:
			return nil, fmt.Errorf("read ledger: %w", err)
		default:
			v.judge(seq, msg.Subject, msg.Data)
		}
	}
	v.report.People, v.report.Rooms = len(v.world.People), len(v.rooms)
	return v.report, nil
}

type verifier struct {
	report *Report
	hub    *trust.Hub
	world  *chain.World
	rooms  map[string]*chain.Room
	broken map[string]int // chains with a problem → its index
}

func (v *verifier) problem(seq uint64, subject, kind, reason string) {
	if subject != "" {
		v.broken[subject] = len(v.report.Problems)
	}
	v.report.Problems = append(v.report.Problems, Problem{Seq: seq, Subject: subject, Type: kind, Reason: reason})
}

func (v *verifier) judge(seq uint64, subject string, data []byte) {
	if at, broken := v.broken[subject]; broken {
		v.report.Problems[at].After++
		return
	}
	ev, err := event.Decode(data)
	if err != nil {
		v.problem(seq, subject, "", err.Error())
		return
	}
	if ev.Subject != subject {
		v.problem(seq, subject, ev.Type, "it was made for another chain")
		return
	}
	if err := v.fold(ev); err != nil {
		v.problem(seq, subject, ev.Type, err.Error())
		return
	}
	v.report.Events++
}

func (v *verifier) fold(ev *event.Event) error {
	id, isRoom := strings.CutPrefix(ev.Subject, chain.RoomSubject(""))
	if !isRoom {
		return v.world.Apply(ev)
	}
	author := v.world.People[ev.Author.Text(trust.Account)]
	if author == nil {
		return fmt.Errorf("%w: nobody knows its author", chain.ErrRefused)
	}
	if err := author.VouchedAt(ev); err != nil {
		return err
	}
	room := v.rooms[id]
	if room == nil {
		room = new(chain.Room)
	}
	if err := room.Apply(v.hub.ID, ev); err != nil {
		return err
	}
	room.ForgetPast()
	v.rooms[id] = room
	return nil
}
