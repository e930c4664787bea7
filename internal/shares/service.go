// Package shares is the hub's service for who shares with whom: it appends grants and
// answers of grantees to the ledger, and shows people their inbox. It knows neither the
// names nor the contents of what is shared, and it does not decide who may read: the
// owner's own devices do, by the owner's own signed grants.
package shares

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/trust"
)

const inboxPage = 100 // shares in one answer

// Service answers hub.*.shares.>.
type Service struct {
	Hub    *trust.Hub
	Ledger *ledger.Ledger
	People *people.View
	View   *View
	// Settle waits until every view of a person's chain has digested the ledger up to seq.
	Settle func(ctx context.Context, account string, seq uint64) error
	// Await waits until the JWT of account reflects the ledger up to seq on every server.
	Await func(ctx context.Context, account string, seq uint64) error
}

// Serve offers the service until ctx ends.
func (s *Service) Serve(ctx context.Context, nc *nats.Conn, log *slog.Logger) (wait func(), err error) {
	return api.Serve(ctx, nc, api.Service{
		Name: "shares", Description: "who shares with whom",
		Verbs: map[string]api.Handler{"inbox": s.inbox, "append": s.append},
	}, log)
}

func (s *Service) inbox(ctx context.Context, caller string, data []byte) (any, error) {
	request, err := api.Decode[api.InboxRequest](data)
	if err != nil {
		return nil, err
	}
	grants, err := s.View.inbox(ctx, caller)
	if err != nil {
		return nil, err
	}
	slices.Sort(grants)
	own, err := s.View.Person(ctx, caller)
	if err != nil {
		return nil, err
	}
	inbox := api.Inbox{Shares: []api.Share{}}
	for _, grant := range grants {
		if grant <= request.After {
			continue
		}
		if len(inbox.Shares) == inboxPage {
			inbox.More = true
			break
		}
		one, found, err := s.View.invited(ctx, caller, grant)
		if err != nil {
			return nil, err
		}
		if !found || (!one.Expires.IsZero() && time.Now().After(one.Expires)) {
			continue
		}
		state := api.Pending
		if own.State.Taken[grant] != nil {
			state = api.Accepted
		}
		inbox.Shares = append(inbox.Shares, api.Share{
			Grant: grant, Owner: one.Owner, Catalog: one.Catalog, Expires: one.Expires, State: state,
		})
	}
	return inbox, nil
}

func (s *Service) append(ctx context.Context, caller string, data []byte) (any, error) {
	ev, err := api.DecodeEvent(caller, data)
	if err != nil {
		return nil, err
	}
	person, err := s.People.Person(ctx, caller)
	if err != nil {
		return nil, err
	}
	if err := person.State.Apply(s.Hub.ID, ev, false); err != nil {
		return nil, err
	}
	own, err := s.View.Person(ctx, caller)
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, caller, &own.State, ev); err != nil {
		return nil, err
	}
	seq, err := s.Ledger.Append(ctx, ev, person.Seq)
	if err != nil {
		return nil, err
	}
	if err := s.Settle(ctx, caller, seq); err != nil {
		return nil, err
	}
	if err := s.awaitAccount(ctx, caller, ev, seq); err != nil {
		return nil, err
	}
	return api.Appended{Seq: ev.Seq}, nil
}

// check refuses what the fold alone can't know to be wrong.
func (s *Service) check(ctx context.Context, caller string, own *chain.Shares, ev *event.Event) error {
	if err := own.Apply(ev, false); err != nil {
		return err
	}
	switch ev.Type {
	case chain.Grant:
		body, err := chain.Parse[chain.GrantBody](ev)
		if err != nil {
			return err
		}
		_, err = s.People.Person(ctx, body.To)
		return err
	case chain.Accept:
		body, err := chain.Parse[chain.AcceptBody](ev)
		if err != nil {
			return err
		}
		one, found, err := s.View.invited(ctx, caller, body.Grant)
		switch {
		case err != nil:
			return err
		case !found || one.Owner != body.Owner || one.Catalog != body.Catalog:
			return fault.New(fault.NotFound, "no such invitation; it may have been withdrawn")
		case !one.Expires.IsZero() && time.Now().After(one.Expires):
			return fault.New(fault.Expired, "the invitation has expired; ask for a new one")
		}
		return nil
	case chain.Revoke, chain.Decline:
		return nil
	}
	return fault.New(fault.Malformed, "the shares service does not append %s", ev.Type)
}

// awaitAccount waits for the imports of the one whose imports the event changes.
func (s *Service) awaitAccount(ctx context.Context, caller string, ev *event.Event, seq uint64) error {
	switch ev.Type {
	case chain.Accept, chain.Decline:
		return s.Await(ctx, caller, seq)
	case chain.Revoke:
		return s.Await(ctx, chain.ShareWith(ev), seq)
	}
	return nil
}
