package browsers

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

const (
	lookEvery  = time.Minute // whether the sessions of open WebSockets still live
	clearEvery = 60          // of these looks: sessions that nobody used are forgotten
)

// sockets are the WebSockets that were opened with the cookie of a session.
type sockets struct {
	mu *sync.Mutex
	of map[string]map[*socket]bool // by session
}

type socket struct {
	cut context.CancelFunc
}

func newSockets() sockets {
	return sockets{mu: new(sync.Mutex), of: make(map[string]map[*socket]bool)}
}

// hold notes a WebSocket, which ends with the context.
func (s sockets) hold(ctx context.Context, id string) (held context.Context, done func()) {
	one := new(socket)
	held, one.cut = context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[id] == nil {
		s.of[id] = make(map[*socket]bool)
	}
	s.of[id][one] = true
	return held, func() {
		one.cut()
		s.mu.Lock()
		defer s.mu.Unlock()
		if delete(s.of[id], one); len(s.of[id]) == 0 {
			delete(s.of, id)
		}
	}
}

func (s sockets) cut(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.of[id] {
		one.cut()
	}
}

func (s sockets) sessions() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.of {
		ids = append(ids, id)
	}
	return ids
}

// Bearer is what a request's cookie holds; empty where it brings none. Of two none is believed:
// the one might be looked at here, and the other elsewhere.
func (s *Sessions) Bearer(r *http.Request) (cookie string, err error) {
	switch found := r.CookiesNamed(s.Cookie); len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0].Value, nil
	}
	return "", none()
}

// Admit lets a WebSocket in that brings no cookie, or that of a live session: then held ends
// with the session. done is called when the WebSocket has ended.
func (s *Sessions) Admit(r *http.Request) (held context.Context, done func(), err error) {
	cookie, err := s.Bearer(r)
	if err != nil {
		return nil, nil, err
	}
	if cookie == "" {
		return r.Context(), func() {}, nil
	}
	// Held first: a session that ends meanwhile is seen by one side or the other.
	held, done = s.sockets.hold(r.Context(), IDOf(cookie))
	if _, err := s.Live(r.Context(), cookie); err != nil {
		done()
		return nil, nil, err
	}
	return held, done, nil
}

// Projection ends the sessions of devices that were revoked. settled waits until the view of
// people has digested the event.
func (s *Sessions) Projection(settled func(context.Context, ledger.Entry) error) ledger.Projection {
	return ledger.Projection{
		Name:     "browsers",
		Subjects: []string{chain.PersonSubject("*")},
		Fold: func(ctx context.Context, entry ledger.Entry) error {
			if entry.Event.Type != chain.RevokeDevice {
				return nil
			}
			body, err := chain.Parse[chain.RevokeDeviceBody](entry.Event)
			if err != nil {
				return nil //nolint:nilerr // who folds the chain refuses it as well
			}
			if err := settled(ctx, entry); err != nil {
				return err
			}
			session, _, err := s.ofDevice(ctx, entry.Event.Author.Text(trust.Account), body.Device)
			if err != nil || session == nil {
				return err
			}
			return s.End(ctx, session)
		},
	}
}

// Follow looks again and again whether the sessions of open WebSockets live, notes that they
// are used, and forgets those that are over, until ctx ends.
func (s *Sessions) Follow(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for looks := 0; ; looks++ {
		err := s.look(ctx)
		if err == nil && looks%clearEvery == 0 {
			err = s.clear(ctx)
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("sessions of browsers cannot be looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look cuts the WebSockets whose session does not live any more.
func (s *Sessions) look(ctx context.Context) error {
	for _, id := range s.sockets.sessions() {
		session, _, err := s.get(ctx, id)
		if err != nil {
			return err
		}
		if session == nil {
			s.sockets.cut(id)
			continue
		}
		if err := s.over(ctx, session); err != nil {
			return err
		}
		if err := s.Note(ctx, session, "", ""); err != nil {
			return err
		}
	}
	return nil
}

// clear forgets the sessions that are over.
func (s *Sessions) clear(ctx context.Context) error {
	keys, err := s.keys(ctx, sessionKey("*"))
	if err != nil {
		return err
	}
	for _, key := range keys {
		session, _, err := s.get(ctx, key[len(sessionKey("")):])
		if err != nil {
			return err
		}
		if session == nil {
			continue
		}
		if err := s.over(ctx, session); err != nil {
			return err
		}
	}
	// Each session leaves a mark in the bucket that it is gone.
	if err := s.bucket.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(-1)); err != nil {
		return unavailable(err)
	}
	return nil
}

// over ends a session that does not live any more.
func (s *Sessions) over(ctx context.Context, session *Session) error {
	err := s.stand(ctx, session)
	if fault.Is(err, fault.Refused) {
		return s.End(ctx, session)
	}
	return err
}
