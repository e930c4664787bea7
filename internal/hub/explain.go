package hub

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/rooms"
	"keyhall.dev/keyhall/trust"
)

// explainRequest asks what a login would get.
type explainRequest struct {
	User  string   `json:"user"`
	Rooms []string `json:"rooms,omitempty"` // names that the hub knows, or ids
}

// explainer says what a login would get, as the backends judge now.
type explainer struct {
	people   *people.View
	rooms    *rooms.View
	backends []callout.Backend
}

// serve answers explain for the host, from its own machine and with the hub's own login.
func (e *explainer) serve(running context.Context, nc *nats.Conn, log *slog.Logger) (wait func(), err error) {
	explain := func(ctx context.Context, _ string, data []byte) (any, error) {
		request, err := api.Decode[explainRequest](data)
		if err != nil {
			return nil, err
		}
		query := callout.Query{User: request.User}
		if query.Rooms, err = e.ids(ctx, *request); err != nil {
			return nil, err
		}
		return callout.Explain(ctx, e.backends, query)
	}
	return api.Serve(running, nc, api.Service{
		Name: "explain", Description: "what a login would get", Prefix: "services", Reply: api.AnyInbox,
		Verbs: map[string]api.Handler{"explain": explain},
	}, log)
}

// ids are those of the rooms that somebody names. Of a sealed room the hub knows no name.
func (e *explainer) ids(ctx context.Context, request explainRequest) (ids []string, err error) {
	var named map[string]string
	for _, room := range request.Rooms {
		if _, err := trust.ParseID(room); err == nil {
			ids = append(ids, room)
			continue
		}
		if named == nil {
			if named, err = e.roomsOf(ctx, request.User); err != nil {
				return nil, err
			}
		}
		if named[room] == "" {
			return nil, fault.New(fault.NotFound, "%q is no room whose name the hub knows, that this member is in or may join; "+
				"name a sealed room by its id (keyhall room list --json, by a member)", room)
		}
		ids = append(ids, named[room])
	}
	return ids, nil
}

// roomsOf are the ids of a member's rooms by name.
func (e *explainer) roomsOf(ctx context.Context, user string) (map[string]string, error) {
	person, err := e.find(ctx, user)
	if err != nil {
		return nil, err
	}
	list, err := e.rooms.Of(ctx, person.State.Account)
	if err != nil {
		return nil, err
	}
	named := make(map[string]string)
	for _, id := range list {
		room, err := e.rooms.Room(ctx, id)
		if err != nil {
			return nil, err
		}
		if room.State.Name != "" {
			named[room.State.Name] = id
		}
	}
	return named, nil
}

func (e *explainer) find(ctx context.Context, user string) (*ledger.Snapshot[chain.Person], error) {
	if _, err := trust.ParsePublicKey(trust.Device, user); err == nil {
		return e.people.Device(ctx, user)
	}
	if _, err := trust.ParsePublicKey(trust.Account, user); err == nil {
		return e.people.Person(ctx, user)
	}
	return e.people.ByHandle(ctx, user)
}

// Explain says what a member's login would get, from the running hub. It fails with
// fault.NotFound for somebody who is no member, and a room that nobody knows.
func (m *OnMachine) Explain(ctx context.Context, query callout.Query) (*callout.Explanation, error) {
	explanation := new(callout.Explanation)
	err := api.Call(ctx, m.nc, "services.explain", explainRequest{User: query.User, Rooms: query.Rooms}, explanation)
	if err != nil {
		return nil, err
	}
	switch explanation.Account {
	case m.keys.Rooms:
		explanation.AccountName = "ROOMS"
	case m.keys.Hub:
		explanation.AccountName = "HUB"
	}
	return explanation, nil
}
