package event

import (
	"fmt"
	"slices"

	"keyhall.dev/keyhall/trust"
)

// link is what a subscriber knows of a publisher's chain on a subject: its newest event, and
// the places before it that are open, because what stands there did not come yet.
type link struct {
	Place
	open []span
}

// span are open places, and what stands around them: every event has its hash or its
// predecessor's there, so that another one in its place is none.
type span struct {
	from, to uint64
	before   Hash // of the event before the first of them
	last     Hash // of the last of them
}

const maxOpen = 64 // spans of a chain; beyond it, the oldest are given up

// follow holds an event against what is known of its publisher's chain on its subject. gap
// says what is missing. s.mu is held.
//
// A stream delivers an event again when its first reader is gone, behind later ones perhaps:
// an event that comes late has its place if nothing came there yet, and fits. No sequence
// of the stream is asked, as that is its host's word: with it, a host could show what was
// handled and forgotten long ago once more.
func (s *Subscriber) follow(e *Event, hash Hash, at arrival) (gap, err error) {
	if e.Seq == 0 {
		return nil, nil
	}
	name := e.Device.Text(trust.Device) + " " + e.Subject
	last, known := s.chains[name]
	next := link{Place: Place{Seq: e.Seq, Hash: hash}, open: last.open}
	switch {
	case known && e.Seq <= last.Seq:
		next.Place = last.Place
		if next.open, err = fill(last.open, e, hash); err != nil {
			return nil, err
		}
	case known && e.Seq == last.Seq+1 && e.Prev != last.Hash:
		return nil, fmt.Errorf("%w: it does not follow the event that stood before it", ErrReplay)
	case known && e.Seq > last.Seq+1:
		gap = fmt.Errorf("%w: places %d to %d of the chain of %s on %s", ErrGap, last.Seq+1, e.Seq-1, e.Device.Text(trust.Device), e.Subject)
		next.open = append(slices.Clone(last.open), span{last.Seq + 1, e.Seq - 1, last.Hash, e.Prev})
	case !known && e.Seq > 1 && at.seq != 0:
		next.open = []span{{from: 1, to: e.Seq - 1, last: e.Prev}}
	}
	if len(next.open) > maxOpen {
		next.open = next.open[1:]
	}
	if !known && len(s.chains) >= maxSeen {
		clear(s.chains)
	}
	s.chains[name] = next
	return gap, nil
}

// fill is what is open when an event has come late, and an error if it has no place there.
func fill(open []span, e *Event, hash Hash) ([]span, error) {
	for i, one := range open {
		if e.Seq < one.from || e.Seq > one.to {
			continue
		}
		if (e.Seq == one.from && e.Prev != one.before) || (e.Seq == one.to && hash != one.last) {
			return nil, fmt.Errorf("%w: it does not fit between the events that stand around it", ErrReplay)
		}
		rest := slices.Clone(open[:i])
		if e.Seq > one.from {
			rest = append(rest, span{one.from, e.Seq - 1, one.before, e.Prev})
		}
		if e.Seq < one.to {
			rest = append(rest, span{e.Seq + 1, one.to, hash, one.last})
		}
		return append(rest, open[i+1:]...), nil
	}
	return nil, fmt.Errorf("%w: place %d of its chain", ErrReplay, e.Seq)
}
