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
	Unjudged int       `json:"unjudged"` // events on chains that fail because another chain does
	Problems []Problem `json:"problems"`
}

// Problem is something in the ledger that does not hold of itself. What comes after it on
// its chain is counted.
type Problem struct {
	Seq     uint64 `json:"seq"`     // stream sequence
	Subject string `json:"subject"` // the chain
	Type    string `json:"type,omitempty"`
	Reason  string `json:"reason"`
	After   int    `json:"after"` // later events of the chain, which cannot be judged
}

// Verify reads the ledger from the first event to the last and verifies everything that
// can be: that none is missing, every signature, and for each event that its author might
// make it there. Nothing of the views is used. What only fails because something before it
// does is counted, not named: the problems are the causes.
func (l *Ledger) Verify(ctx context.Context, hub *trust.Hub) (*Report, error) {
	v := &verifier{
		report: &Report{Problems: []Problem{}}, hub: hub, world: chain.NewWorld(hub),
		rooms: make(map[string]*chain.Room), links: make(map[string]link), broken: make(map[string]bool),
		at: make(map[uint64]int), stopped: make(map[string]int),
	}
	v.world.KeepPlaces()
	if err := l.each(ctx, v.look); err != nil {
		return nil, err
	}
	if err := l.each(ctx, v.judge); err != nil {
		return nil, err
	}
	v.report.People, v.report.Rooms = len(v.world.People), len(v.rooms)
	return v.report, nil
}

// each calls do with every place of the stream; data is nil where an event was deleted.
func (l *Ledger) each(ctx context.Context, do func(seq uint64, subject string, data []byte)) error {
	last, err := l.Last(ctx)
	if err != nil {
		return err
	}
	for seq := uint64(1); seq <= last; seq++ {
		msg, err := l.stream.GetMsg(ctx, seq)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			do(seq, "", nil)
		case err != nil:
			return fmt.Errorf("read ledger: %w", err)
		default:
			do(seq, msg.Subject, msg.Data)
		}
	}
	return nil
}

// consequence stands for the problem of a chain that fails because another does.
const consequence = -1

type verifier struct {
	report  *Report
	hub     *trust.Hub
	world   *chain.World
	rooms   map[string]*chain.Room
	links   map[string]link // newest event of each chain
	broken  map[string]bool // chains with a problem of their own
	at      map[uint64]int  // event → its problem
	stopped map[string]int  // chains that can't be folded on → their problem
}

type link struct {
	seq  uint64
	hash event.Hash
}

func (v *verifier) problem(seq uint64, subject, kind, reason string) int {
	v.report.Problems = append(v.report.Problems, Problem{Seq: seq, Subject: subject, Type: kind, Reason: reason})
	v.broken[subject] = true
	v.at[seq] = len(v.report.Problems) - 1
	return v.at[seq]
}

// look finds what is wrong with an event by itself, or with its link to the one before.
func (v *verifier) look(seq uint64, subject string, data []byte) {
	if data == nil {
		v.problem(seq, "", "", "an event was deleted here")
		return
	}
	ev, err := event.Decode(data)
	if err != nil {
		v.problem(seq, subject, "", err.Error())
		return
	}
	before := v.links[subject]
	v.links[subject] = link{ev.Seq, ev.Hash()}
	switch err := ev.Check(); {
	case err != nil:
		v.problem(seq, subject, ev.Type, err.Error())
	case ev.Subject != subject:
		v.problem(seq, subject, ev.Type, "it was made for another chain")
	case ev.Seq != before.seq+1 || ev.Prev != before.hash:
		v.problem(seq, subject, ev.Type, fmt.Sprintf("event does not continue its chain: place %d after %d", ev.Seq, before.seq))
	}
}

// judge folds an event in, as far as what it stands on holds.
func (v *verifier) judge(seq uint64, subject string, data []byte) {
	if data == nil {
		return
	}
	if problem, stopped := v.stopped[subject]; stopped {
		v.later(problem)
		return
	}
	if problem, found := v.at[seq]; found {
		v.stopped[subject] = problem
		return
	}
	ev, err := event.Decode(data)
	if err == nil {
		err = v.fold(ev)
	}
	switch {
	case err == nil:
		v.report.Events++
	case v.standsOnBroken(ev):
		v.stopped[subject] = consequence
		v.later(consequence)
	default:
		v.stopped[subject] = v.problem(seq, subject, ev.Type, err.Error())
	}
}

// later counts an event that can't be judged.
func (v *verifier) later(problem int) {
	if problem == consequence {
		v.report.Unjudged++
		return
	}
	v.report.Problems[problem].After++
}

// standsOnBroken reports whether an event depends on a chain that does not hold: that of
// its author, or, for an admission, that of the inviter.
func (v *verifier) standsOnBroken(ev *event.Event) bool {
	on := chain.PersonSubject(ev.Author.Text(trust.Account))
	if ev.Type == chain.Admit {
		body, err := chain.Parse[chain.AdmitBody](ev)
		if err != nil {
			return false
		}
		if on = chain.PersonSubject(body.Inviter); body.Inviter == v.hub.ID {
			on = chain.HubSubject
		}
	}
	_, stopped := v.stopped[on]
	return stopped || v.broken[on]
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
