package hub

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/accounts"
	"keyhall.dev/keyhall/internal/admission"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/browsers"
	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/invites"
	"keyhall.dev/keyhall/internal/callout/backend/members"
	"keyhall.dev/keyhall/internal/callout/backend/returners"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/recovery"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/internal/sessions"
	"keyhall.dev/keyhall/internal/shares"
	"keyhall.dev/keyhall/internal/signin"
	"keyhall.dev/keyhall/trust"
)

const closeTime = 5 * time.Second // for logins in flight when the hub stops

// services are the hub's services and their views. They know a NATS connection, and no key.
type services struct {
	identity  *trust.Hub
	ledger    *ledger.Ledger
	people    *people.View
	shares    *shares.View
	rooms     *rooms.View
	feed      *rooms.Feed
	sessions  *sessions.Registry
	admission *admission.Service
	recovery  *recovery.Store
	browsers  *browsers.Sessions
	signin    *signin.Service
	watch     *watch
}

// startSigner starts the account signer, which alone gets the operator's signing key and
// the SYS login.
func (h *Hub) startSigner(running context.Context) error {
	key, err := signingKey(h.keys)
	if err != nil {
		return err
	}
	inHub, err := h.connect(h.keys.SignerUser)
	if err != nil {
		return err
	}
	inSystem, err := h.connect(h.keys.SystemUser)
	if err != nil {
		return err
	}
	signer := &accounts.Signer{
		OperatorJWT: h.keys.OperatorJWT, Key: key, HubAccount: h.keys.Hub, Rooms: h.keys.Rooms, Log: h.options.Logger,
	}
	ready := make(chan struct{})
	failed := make(chan error, 1)
	h.run("account signer", func() error {
		err := signer.Run(running, inHub, inSystem, func() { close(ready) })
		failed <- err
		return err
	})
	select {
	case <-ready:
		return nil
	case err := <-failed:
		return err
	}
}

func (h *Hub) openServices(ctx context.Context, nc *nats.Conn, identity *trust.Hub) (*services, error) {
	s := &services{identity: identity}
	inRooms, err := h.connect(h.keys.RoomsUser)
	if err != nil {
		return nil, err
	}
	if s.ledger, err = ledger.Open(ctx, nc, h.options.Replicas); err != nil {
		return nil, err
	}
	if s.feed, err = rooms.OpenFeed(ctx, inRooms, h.options.Replicas); err != nil {
		return nil, err
	}
	if s.people, err = people.OpenView(ctx, s.ledger); err != nil {
		return nil, err
	}
	if s.shares, err = shares.OpenView(ctx, s.ledger); err != nil {
		return nil, err
	}
	if s.rooms, err = rooms.OpenView(ctx, s.ledger); err != nil {
		return nil, err
	}
	if s.sessions, err = sessions.Open(ctx, nc, h.options.Replicas); err != nil {
		return nil, err
	}
	if s.recovery, err = recovery.OpenStore(ctx, nc, h.options.Replicas); err != nil {
		return nil, err
	}
	logins, err := signin.OpenStore(ctx, nc, h.options.Replicas)
	if err != nil {
		return nil, err
	}
	s.browsers, err = browsers.Open(ctx, nc, h.options.Replicas, browsers.Sessions{
		People: s.people, Cookie: natsd.SessionCookie,
		Ended: func(ctx context.Context, session *browsers.Session) error {
			return s.sessions.EndBrowser(ctx, kicking(nc), session.Account, session.ID)
		},
	})
	if err != nil {
		return nil, err
	}
	s.signin = signin.New(signin.Service{
		Hub: identity, People: s.people, Ledger: s.ledger, Store: logins, Browsers: s.browsers, Provider: h.options.Provider,
		Front: h.options.TrustProxy, Demo: h.options.Demo, Logger: h.options.Logger,
	})
	if s.watch, err = h.startWatch(ctx, nc); err != nil {
		return nil, err
	}
	s.sessions.Closed = s.watch.closed
	s.admission = admission.New(identity, s.ledger)
	return s, nil
}

// runServices starts the projections, then what answers from them.
func (h *Hub) runServices(running context.Context, nc *nats.Conn, s *services) error {
	log := h.options.Logger
	kick := kicking(nc)
	projections := s.ledger.Start(running, log,
		s.people.Projection(s.identity), s.shares.Projection(), s.rooms.Projection(s.identity),
		s.sessions.Evictions(kick, s.settled), s.browsers.Projection(s.settled))
	h.tasks.Go(func() { s.browsers.Follow(running, log) })
	h.tasks.Go(projections.Wait)
	h.run("admission", func() error { return s.admission.Follow(running, log) })

	await := func(ctx context.Context, account string, seq uint64) error {
		return api.Call(ctx, nc, "signer.await", api.AwaitRequest{Account: account, Seq: seq}, &api.Done{})
	}
	s.admission.Settle, s.admission.Await = s.settlePerson, await
	peopleService := &people.Service{Hub: s.identity, Ledger: s.ledger, View: s.people, Settle: s.settlePerson}
	sharesService := &shares.Service{
		Hub: s.identity, Ledger: s.ledger, People: s.people, View: s.shares, Settle: s.settlePerson, Await: await,
	}
	roomsService := &rooms.Service{Hub: s.identity, Ledger: s.ledger, People: s.people, View: s.rooms, Feed: s.feed}

	var waits []func()
	var errs []error
	add := func(wait func(), err error) {
		errs = append(errs, err)
		if err == nil {
			waits = append(waits, wait)
		}
	}
	add(s.admission.Serve(running, nc, log))
	add(peopleService.Serve(running, nc, log))
	add(sharesService.Serve(running, nc, log))
	add(roomsService.Serve(running, nc, log))
	add((&recovery.Service{Hub: s.identity, People: s.people, Store: s.recovery}).Serve(running, nc, log))
	add(s.signin.Serve(running, nc, log))
	add(serveUpkeep(running, nc, projections, log))
	add((&explainer{people: s.people, rooms: s.rooms, backends: h.backends(s)}).serve(running, nc, log))
	sessionsService := &connections{people: s.people, sessions: s.sessions, kick: kick}
	add(sessionsService.follow(running, nc, log))
	add(sessionsService.serve(running, nc, log))
	add(serveStats(running, nc, s.people, s.shares, s.rooms, log))
	var drained sync.Once
	h.closers = append(h.closers, func() error {
		drained.Do(func() {
			for _, wait := range waits {
				wait()
			}
		})
		return nil
	})
	return errors.Join(errs...)
}

// kicking closes connections through the account signer, which alone may.
func kicking(nc *nats.Conn) sessions.Kick {
	return func(ctx context.Context, server string, client uint64) error {
		return api.Call(ctx, nc, "signer.kick", api.KickRequest{Server: server, Client: client}, &api.Done{})
	}
}

// settlePerson waits until every view of a person's chain has digested the ledger up to seq.
func (s *services) settlePerson(ctx context.Context, account string, seq uint64) error {
	if err := s.people.Settle(ctx, account, seq); err != nil {
		return err
	}
	return s.shares.Settle(ctx, account, seq)
}

// settled waits until the views by which the callout judges have digested an event.
func (s *services) settled(ctx context.Context, entry ledger.Entry) error {
	if room, found := strings.CutPrefix(entry.Event.Subject, chain.RoomSubject("")); found {
		return s.rooms.Settle(ctx, room, entry.Seq)
	}
	return s.people.Settle(ctx, entry.Event.Author.Text(trust.Account), entry.Seq)
}

// backends decide the logins that come through the callout. In HUB, where the hub's own
// services are, they hold signing keys for guests alone.
func (h *Hub) backends(s *services) []callout.Backend {
	k := h.keys
	return []callout.Backend{
		&members.Backend{
			People: s.people, Rooms: s.rooms, Sessions: s.sessions, Browsers: s.browsers, Life: h.options.SessionLife,
			Account: callout.Account{Name: "ROOMS", ID: k.Rooms, Signer: k.RoomsSigner},
		},
		&invites.Backend{People: s.people, Account: callout.Account{Name: "HUB", ID: k.Hub, Signer: k.NewcomerSigner, Scoped: true}},
		&returners.Backend{Recovery: s.recovery, Account: callout.Account{Name: "HUB", ID: k.Hub, Signer: k.ReturnerSigner, Scoped: true}},
	}
}

func (h *Hub) startCallout(s *services) error {
	nc, err := h.connect(h.keys.CalloutUser)
	if err != nil {
		return err
	}
	engine, err := callout.Start(callout.Config{
		Conn: nc, Account: h.keys.Auth, Issuer: h.keys.AuthSigner, XKey: h.keys.CalloutXKey, Logger: h.options.Logger, Origin: h.origin,
		Backends: h.backends(s), Decided: s.watch.decided,
	})
	if err != nil {
		return err
	}
	if s.watch.metrics != nil {
		s.watch.metrics.InFlight(engine.UnderWay)
	}
	h.closers = append(h.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		return engine.Close(ctx)
	})
	return nil
}
