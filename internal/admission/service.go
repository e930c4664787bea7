// Package admission lets newcomers in: it appends the event by which somebody with an
// invite becomes a person on the hub, and answers once that person's account is live.
//
// Whether an admission holds depends on more than one chain (the invite, the handle), so
// it keeps a fold of all of them and appends by compare-and-set on the whole ledger.
package admission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

const (
	appendTries = 50      // how often others may come first before a joiner is told
	maxSize     = 8 << 10 // bytes of an admission
)

// Service answers admission.<invite key>.admit.
type Service struct {
	Ledger *ledger.Ledger
	// Settle waits until every view of a person's chain has digested the ledger up to seq.
	Settle func(ctx context.Context, account string, seq uint64) error
	// Await waits until the JWT of account reflects the ledger up to seq on every server.
	Await func(ctx context.Context, account string, seq uint64) error

	mu    sync.Mutex
	world *chain.World
	seq   uint64        // ledger position of world
	moved chan struct{} // closed and replaced when world moves on
}

// New makes the service of a hub.
func New(hub *trust.Hub, l *ledger.Ledger) *Service {
	return &Service{Ledger: l, world: chain.NewWorld(hub), moved: make(chan struct{})}
}

// Follow keeps the fold up to date until ctx ends.
func (s *Service) Follow(ctx context.Context, log *slog.Logger) error {
	return s.Ledger.Follow(ctx, func(entry ledger.Entry) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := entry.Err; err != nil {
			log.Error("no event of the ledger", "seq", entry.Seq, "reason", err)
		} else if err := s.world.Apply(entry.Event); err != nil {
			log.Error("event of the ledger does not hold", "seq", entry.Seq, "reason", err)
		}
		s.seq = entry.Seq
		close(s.moved)
		s.moved = make(chan struct{})
		return nil
	})
}

// Serve offers the service until ctx ends.
func (s *Service) Serve(ctx context.Context, nc *nats.Conn, log *slog.Logger) (wait func(), err error) {
	return api.Serve(ctx, nc, api.Service{
		Name: "admission", Description: "lets newcomers with an invite in",
		Prefix: "admission.*", Reply: api.OwnInbox, Verbs: map[string]api.Handler{"admit": s.admit},
	}, log)
}

func (s *Service) admit(ctx context.Context, invite string, data []byte) (any, error) {
	if len(data) > maxSize {
		return nil, fault.New(fault.TooLarge, "an admission has %d KiB at most", maxSize>>10)
	}
	ev, err := event.Decode(data)
	if err != nil {
		return nil, err
	}
	account := ev.Author.Text(trust.Account)
	if _, err := api.DecodeEvent(account, data); err != nil {
		return nil, err
	}
	seq, err := s.append(ctx, invite, ev)
	if err != nil {
		return nil, err
	}
	if err := s.Settle(ctx, account, seq); err != nil {
		return nil, err
	}
	if err := s.Await(ctx, account, seq); err != nil {
		return nil, err
	}
	return api.Appended{Seq: ev.Seq}, nil
}

// append checks the admission against the newest state and appends it there; when
// something else was appended first it looks again.
func (s *Service) append(ctx context.Context, invite string, ev *event.Event) (uint64, error) {
	for range appendTries {
		at, moved, refused := s.check(invite, ev)
		if refused == nil {
			seq, err := s.Ledger.AppendAt(ctx, ev, at)
			if !errors.Is(err, ledger.ErrMoved) {
				return seq, err
			}
		} else if behind, err := s.behind(ctx, at); err != nil || !behind {
			return 0, cmp.Or(err, refused)
		}
		select {
		case <-ctx.Done():
			return 0, fault.New(fault.Unavailable, "the hub is busy; try again")
		case <-moved:
		case <-time.After(time.Second): // the fold may have moved on before we waited
		}
	}
	return 0, fault.New(fault.Unavailable, "the hub is busy; try again")
}

// behind reports whether the ledger has more than was folded so far: then a refusal may be
// of yesterday.
func (s *Service) behind(ctx context.Context, at uint64) (bool, error) {
	last, err := s.Ledger.Last(ctx)
	return at < last, err
}

// check says at which place of the ledger an admission holds or not.
func (s *Service) check(invite string, ev *event.Event) (at uint64, moved <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, moved = s.seq, s.moved
	err = s.world.CheckAdmission(ev)
	switch {
	case errors.Is(err, chain.ErrTaken):
		return at, moved, fault.Wrap(fault.Taken, err, "the handle is taken; choose another")
	case errors.Is(err, chain.ErrInvite):
		return at, moved, fault.Wrap(fault.Refused, err, "%v; ask for a new invite", err)
	case err != nil:
		return at, moved, err
	}
	body, err := chain.Parse[chain.AdmitBody](ev)
	if err == nil && body.Invite != invite {
		err = fmt.Errorf("%w: the admission is for another invite", chain.ErrRefused)
	}
	return at, moved, err
}
