// Package rooms is the hub's service for rooms: it appends their events to the ledger,
// lists them, and hands out their history. Messages themselves pass it by: members publish
// them to the stream and subscribe to its feed, under permissions that the callout gives.
// The service reads no message; in a sealed room it could not.
package rooms

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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

const (
	roomsPage = 200  // rooms in one answer
	maxShown  = 100  // rooms of one creator that everyone sees
	maxMade   = 1000 // rooms of one creator
)

// Service answers hub.*.rooms.>.
type Service struct {
	Hub    *trust.Hub
	Ledger *ledger.Ledger
	People *people.View
	View   *View
	Feed   *Feed
}

// Serve offers the service until ctx ends.
func (s *Service) Serve(ctx context.Context, nc *nats.Conn, log *slog.Logger) (wait func(), err error) {
	return api.Serve(ctx, nc, api.Service{
		Name: "rooms", Description: "rooms, their members and their history",
		Verbs: map[string]api.Handler{
			"list": s.list, "chain": s.chain, "append": s.append, "history": s.history,
		},
	}, log)
}

func (s *Service) list(ctx context.Context, caller string, data []byte) (any, error) {
	request, err := api.Decode[api.RoomsRequest](data)
	if err != nil {
		return nil, err
	}
	ids, err := s.View.Of(ctx, caller)
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	list := api.Rooms{Rooms: []api.Room{}}
	now := time.Now()
	for _, id := range ids {
		if id <= request.After {
			continue
		}
		if len(list.Rooms) == roomsPage {
			list.More = true
			break
		}
		snapshot, err := s.View.Room(ctx, id)
		if fault.Is(err, fault.NotFound) {
			continue // its index entry is written before its snapshot
		}
		if err != nil {
			return nil, err
		}
		if room, visible := shown(&snapshot.State, caller, now); visible {
			list.Rooms = append(list.Rooms, room)
		}
	}
	return list, nil
}

// shown is what caller may know of a room without entering it.
func shown(room *chain.Room, caller string, now time.Time) (_ api.Room, visible bool) {
	role, member := room.RoleOf(caller, now)
	return api.Room{
		Room: room.ID, Kind: room.Kind, Listed: room.Listed, Name: room.Name,
		Role: string(role), Members: len(room.Entitled(now)),
	}, member || room.Listed || room.Kind == chain.Open
}

// enter is the room, if caller may read in it now. One who may not learns no more than
// about a room that does not exist.
func (s *Service) enter(ctx context.Context, caller, id string) (*chain.Room, error) {
	snapshot, err := s.View.Room(ctx, id)
	if err != nil {
		return nil, err
	}
	if role, _ := snapshot.State.RoleOf(caller, time.Now()); role == "" {
		return nil, fault.New(fault.NotFound, "no such room")
	}
	return &snapshot.State, nil
}

func (s *Service) chain(ctx context.Context, caller string, data []byte) (any, error) {
	request, err := api.Decode[api.ChainRequest](data)
	if err != nil {
		return nil, err
	}
	if _, err := s.enter(ctx, caller, request.Room); err != nil {
		return nil, err
	}
	return people.ReadPage(ctx, s.Ledger, chain.RoomSubject(request.Room), request.After, nil)
}

func (s *Service) history(ctx context.Context, caller string, data []byte) (any, error) {
	request, err := api.Decode[api.HistoryRequest](data)
	if err != nil {
		return nil, err
	}
	if _, err := s.enter(ctx, caller, request.Room); err != nil {
		return nil, err
	}
	limit := historyMost
	if request.Limit > 0 {
		limit = min(request.Limit, historyMost)
	}
	if request.Last || request.Before > 0 {
		return s.Feed.Newest(ctx, request.Room, request.Before, limit)
	}
	return s.Feed.After(ctx, request.Room, request.After, limit)
}

func (s *Service) append(ctx context.Context, caller string, data []byte) (any, error) {
	ev, err := api.DecodeEvent(caller, data)
	if err != nil {
		return nil, err
	}
	author, err := s.People.Person(ctx, caller)
	if err != nil {
		return nil, err
	}
	if err := author.State.Vouches(ev); err != nil {
		return nil, err
	}
	if ev.Head != author.State.Head {
		return nil, fmt.Errorf("%w: its head is not the newest of its author's chain", chain.ErrPlace)
	}
	id := strings.TrimPrefix(ev.Subject, chain.RoomSubject(""))
	room, err := s.prepare(ctx, id, ev)
	if err != nil {
		return nil, err
	}
	if err := room.State.Apply(s.Hub.ID, ev); err != nil {
		return nil, err
	}
	if err := s.checkGrantee(ctx, ev); err != nil {
		return nil, err
	}
	if err := s.checkRoom(ctx, caller, &room.State, ev); err != nil {
		return nil, err
	}
	seq, err := s.Ledger.Append(ctx, ev, room.Seq)
	if err != nil {
		return nil, err
	}
	if err := s.View.Settle(ctx, id, seq); err != nil {
		return nil, err
	}
	return api.Appended{Seq: ev.Seq}, nil
}

// prepare is the room that ev is about, the empty one for a creation.
func (s *Service) prepare(ctx context.Context, id string, ev *event.Event) (*ledger.Snapshot[chain.Room], error) {
	room, err := s.View.Room(ctx, id)
	switch {
	case ev.Type == chain.CreateRoom && fault.Is(err, fault.NotFound):
		return new(ledger.Snapshot[chain.Room]), nil
	case err != nil:
		return nil, err
	}
	if role, _ := room.State.RoleOf(ev.Author.Text(trust.Account), time.Now()); role == "" {
		return nil, fault.New(fault.NotFound, "no such room")
	}
	return room, nil
}

func (s *Service) checkGrantee(ctx context.Context, ev *event.Event) error {
	if ev.Type != chain.GrantRoom {
		return nil
	}
	body, err := chain.Parse[chain.GrantRoomBody](ev)
	if err != nil {
		return err
	}
	_, err = s.People.Person(ctx, body.Account)
	return err
}

// checkRoom refuses one room more of somebody who has opened many: they stand in the lists
// of others, who did not ask for them.
func (s *Service) checkRoom(ctx context.Context, caller string, room *chain.Room, ev *event.Event) error {
	if ev.Type != chain.CreateRoom {
		return nil
	}
	made, seen, err := s.View.Made(ctx, caller)
	switch {
	case err != nil:
		return err
	case made >= maxMade:
		return fault.New(fault.TooLarge, "you have made %d rooms; a member makes no more", made)
	case seen >= maxShown && (room.Listed || room.Kind == chain.Open):
		return fault.New(fault.TooLarge, "you have made %d rooms that everyone sees; a member makes no more", seen)
	}
	return nil
}
