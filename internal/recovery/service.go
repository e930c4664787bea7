// Package recovery is the hub's service for members who lost their devices: it keeps one
// sealed backup for each account and hands it to whoever proves that they hold the key of
// its recovery code. It can open none, and learns nothing from them but their size
// (docs/protocol/recovery.md).
package recovery

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/trust"
)

// Of one recovery key, fetchBurst answers at once and then one every fetchEvery.
const (
	fetchBurst = 10
	fetchEvery = 6 * time.Second
	fetchKeys  = 1024 // keys whose pace is remembered at a time
)

// Service answers hub.*.recovery.> and recovery.*.get.
type Service struct {
	Hub    *trust.Hub
	People *people.View
	Store  *Store

	mu    sync.Mutex
	paces map[string]*rate.Limiter // by recovery key
}

// Serve offers the service until ctx ends.
func (s *Service) Serve(ctx context.Context, nc *nats.Conn, log *slog.Logger) (wait func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	members, err := api.Serve(ctx, nc, api.Service{
		Name: "recovery", Description: "keeps sealed backups of members",
		Verbs: map[string]api.Handler{"put": s.put, "state": s.state},
	}, log)
	if err != nil {
		cancel()
		return nil, err
	}
	fetch, err := api.Serve(ctx, nc, api.Service{
		Name: "recovery-fetch", Description: "hands a sealed backup to who has its code",
		Prefix: "recovery.*", Reply: api.OwnInbox, Verbs: map[string]api.Handler{"get": s.get},
	}, log)
	if err != nil {
		cancel()
		members()
		return nil, err
	}
	return func() { members(); fetch(); cancel() }, nil
}

// put takes a backup of the caller's. Two signatures count, and NATS's word for the account
// is not enough: the identity's own, for a device without the identity must not replace
// the backup, and the recovery key's, for nobody may lay something where another looks.
func (s *Service) put(ctx context.Context, caller string, data []byte) (any, error) {
	if len(data) > maxStored {
		return nil, fault.New(fault.TooLarge, "a backup has %d KiB at most", event.MaxRecovery>>10)
	}
	ev, err := api.DecodeEvent(caller, data)
	if err != nil {
		return nil, err
	}
	code := strings.TrimPrefix(ev.Subject, event.RecoverySubject(""))
	if err := ev.CheckRecovery(s.Hub.ID, code); err != nil {
		return nil, err
	}
	if _, err := s.People.Person(ctx, caller); err != nil {
		return nil, err
	}
	known, revision, err := s.Store.Of(ctx, caller)
	if err != nil {
		return nil, err
	}
	previous := ""
	if known != nil {
		if !ev.Time.After(known.Time) && ev.Hash() != known.Hash() {
			return nil, fault.New(fault.Conflict, "there is a newer backup already")
		}
		previous = strings.TrimPrefix(known.Subject, event.RecoverySubject(""))
	}
	if err := s.mine(ctx, caller, code); err != nil {
		return nil, err
	}
	return api.Appended{}, s.Store.put(ctx, ev, code, revision, previous)
}

// mine refuses a recovery key under which somebody else's backup lies.
func (s *Service) mine(ctx context.Context, caller, code string) error {
	other, err := s.Store.Under(ctx, code)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	case other.Author.Text(trust.Account) != caller:
		return chain.ErrRefused
	}
	return nil
}

// state says when the caller's backup was made.
func (s *Service) state(ctx context.Context, caller string, _ []byte) (any, error) {
	known, _, err := s.Store.Of(ctx, caller)
	if err != nil || known == nil {
		return api.RecoveryState{}, err
	}
	return api.RecoveryState{Made: known.Time}, nil
}

// get hands out the backup under the recovery key that the connection proved.
func (s *Service) get(ctx context.Context, code string, _ []byte) (any, error) {
	if !s.mayFetch(code) {
		return nil, fault.New(fault.Unavailable, "the backup was fetched too often just now; try again in a minute")
	}
	ev, err := s.Store.Under(ctx, code)
	if err != nil {
		return nil, err
	}
	return api.RecoveryBackup{Event: ev.Encode()}, nil
}

func (s *Service) mayFetch(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	pace := s.paces[code]
	if pace == nil {
		if s.paces == nil || len(s.paces) >= fetchKeys {
			// Keys that have not asked for a while start afresh.
			maps.DeleteFunc(s.paces, func(_ string, p *rate.Limiter) bool { return p.Tokens() >= fetchBurst })
		}
		if s.paces == nil {
			s.paces = make(map[string]*rate.Limiter)
		}
		if len(s.paces) >= fetchKeys {
			return false
		}
		pace = rate.NewLimiter(rate.Every(fetchEvery), fetchBurst)
		s.paces[code] = pace
	}
	return pace.Allow()
}
