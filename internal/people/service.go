// Package people is the hub's service for who is who: persons, their devices and
// invites, and their chains. It holds no key: every answer can be verified by the caller,
// and should be.
package people

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

const (
	peoplePage = 200       // persons in one answer
	chainPage  = 512 << 10 // bytes of events in one answer
)

// Service answers hub.*.people.>.
type Service struct {
	Hub    *trust.Hub
	Ledger *ledger.Ledger
	View   *View
	// Settle waits until every view of a person's chain has digested the ledger up to seq.
	Settle func(ctx context.Context, account string, seq uint64) error
}

// Serve offers the service until ctx ends.
func (s *Service) Serve(ctx context.Context, nc *nats.Conn, log *slog.Logger) (wait func(), err error) {
	return api.Serve(ctx, nc, api.Service{
		Name: "people", Description: "who is who: persons, devices, invites",
		Verbs: map[string]api.Handler{
			"find": s.find, "list": s.list, "chain": s.chain, "append": s.append,
		},
	}, log)
}

func (s *Service) find(ctx context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.FindRequest](data)
	if err != nil {
		return nil, err
	}
	var found *ledger.Snapshot[chain.Person]
	if request.Account != "" {
		found, err = s.View.Person(ctx, request.Account)
	} else {
		found, err = s.View.ByHandle(ctx, request.Handle)
	}
	if err != nil {
		return nil, err
	}
	return publicPerson(&found.State), nil
}

func publicPerson(p *chain.Person) api.Person {
	return api.Person{Account: p.Account, Handle: p.Handle, XKey: p.XKey, Head: p.Head, Seq: p.Seq}
}

func (s *Service) list(ctx context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.PeopleRequest](data)
	if err != nil {
		return nil, err
	}
	accounts, err := s.View.accounts(ctx)
	if err != nil {
		return nil, err
	}
	page := api.PeoplePage{People: []api.Person{}}
	for _, account := range accounts {
		person, err := s.View.Person(ctx, account)
		if err != nil {
			return nil, err
		}
		if person.State.Handle > request.After {
			page.People = append(page.People, publicPerson(&person.State))
		}
	}
	slices.SortFunc(page.People, func(a, b api.Person) int { return strings.Compare(a.Handle, b.Handle) })
	if len(page.People) > peoplePage {
		page.People, page.More = page.People[:peoplePage], true
	}
	return page, nil
}

func (s *Service) chain(ctx context.Context, caller string, data []byte) (any, error) {
	request, err := api.Decode[api.ChainRequest](data)
	if err != nil {
		return nil, err
	}
	if request.Account == "hub" {
		return ReadPage(ctx, s.Ledger, chain.HubSubject, request.After, nil)
	}
	if _, err := s.View.Person(ctx, request.Account); err != nil {
		return nil, err
	}
	withhold := func(entry ledger.Entry) bool { return !concerns(entry, caller) }
	return ReadPage(ctx, s.Ledger, chain.PersonSubject(request.Account), request.After, withhold)
}

// concerns reports whether caller may have the body: everything but shares is public, a
// share is between two.
func concerns(entry ledger.Entry, caller string) bool {
	ev := entry.Event
	return !strings.HasPrefix(ev.Type, "share.") || ev.Author.Text(trust.Account) == caller ||
		chain.ShareWith(ev) == caller
}

// ReadPage reads a page of a chain's events after a place. withhold, if not nil, says of
// which events the body is withheld.
func ReadPage(
	ctx context.Context, l *ledger.Ledger, subject string, after uint64, withhold func(ledger.Entry) bool,
) (*api.ChainPage, error) {
	page := &api.ChainPage{Events: []api.Entry{}}
	size := 0
	err := l.ReadChain(ctx, subject, func(entry ledger.Entry) (bool, error) {
		page.Head = entry.Event.Seq
		if entry.Event.Seq <= after || size > chainPage {
			return true, nil
		}
		hidden := withhold != nil && withhold(entry)
		encoded := entry.Event.EncodeWithheld()
		if !hidden {
			encoded = entry.Event.Encode()
		}
		if size += len(encoded); size > chainPage && len(page.Events) > 0 {
			return true, nil
		}
		page.Events = append(page.Events, api.Entry{
			Seq: entry.Event.Seq, Time: entry.Time, Event: encoded, Withheld: hidden,
		})
		return true, nil
	})
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the hub could not read that chain; try again")
	}
	return page, nil
}

func (s *Service) append(ctx context.Context, caller string, data []byte) (any, error) {
	ev, err := api.DecodeEvent(caller, data)
	if err != nil {
		return nil, err
	}
	switch ev.Type {
	case chain.Invite, chain.AddDevice, chain.RevokeDevice, chain.RotateXKey:
	default:
		return nil, fault.New(fault.Malformed, "the people service does not append %s", ev.Type)
	}
	person, err := s.View.Person(ctx, caller)
	if err != nil {
		return nil, err
	}
	if err := person.State.Apply(s.Hub.ID, ev, false); err != nil {
		return nil, err
	}
	if err := s.checkDevice(ctx, caller, ev); err != nil {
		return nil, err
	}
	seq, err := s.Ledger.Append(ctx, ev, person.Seq)
	if err != nil {
		return nil, err
	}
	if err := s.Settle(ctx, caller, seq); err != nil {
		return nil, err
	}
	return api.Appended{Seq: ev.Seq}, nil
}

// checkDevice refuses a device key that is somebody else's.
func (s *Service) checkDevice(ctx context.Context, caller string, ev *event.Event) error {
	device, named := chain.NamedDevice(ev)
	if !named {
		return nil
	}
	owner, err := s.View.Device(ctx, device)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	case owner.State.Account != caller:
		return chain.ErrDeviceTaken
	}
	return nil
}

// Settle waits until this view has digested the ledger up to seq for account.
func (v *View) Settle(ctx context.Context, account string, seq uint64) error {
	if err := v.view.Settle(ctx, PersonKey(account), seq); err != nil {
		return fmt.Errorf("people: %w", err)
	}
	return nil
}
