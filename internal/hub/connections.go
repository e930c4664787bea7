package hub

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/internal/sessions"
	"keyhall.dev/keyhall/trust"
)

const maxSessions = 2000 // in one answer

// connections answers the host's questions about connections to ROOMS, and closes them.
type connections struct {
	people   *people.View
	sessions *sessions.Registry
	kick     sessions.Kick
}

// serve answers what the host asks from its own machine, as serveUpkeep does.
func (c *connections) serve(running context.Context, nc *nats.Conn, log *slog.Logger) (wait func(), err error) {
	return api.Serve(running, nc, api.Service{
		Name: "connections", Description: "connections to rooms", Prefix: "services", Reply: api.AnyInbox,
		Verbs: map[string]api.Handler{"sessions": c.list, "revoke": c.revoke, "who": c.who},
	}, log)
}

// follow keeps the sessions true to what the servers have, as the signer tells.
func (c *connections) follow(running context.Context, nc *nats.Conn, log *slog.Logger) (wait func(), err error) {
	list := func(ctx context.Context) (*api.ConnectionsAnswer, error) {
		answer := new(api.ConnectionsAnswer)
		err := api.Call(ctx, nc, "signer.connections", struct{}{}, answer)
		return answer, err
	}
	return c.sessions.Follow(running, nc, list, log)
}

// account is the account of a handle, or the account key itself; "" for "".
func (c *connections) account(ctx context.Context, who string) (string, error) {
	if who == "" {
		return "", nil
	}
	if _, err := trust.ParsePublicKey(trust.Account, who); err == nil {
		return who, nil
	}
	person, err := c.people.ByHandle(ctx, who)
	if err != nil {
		return "", err
	}
	return person.State.Account, nil
}

// who tells who somebody is, for reading the audit.
func (c *connections) who(ctx context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.SessionsRequest](data)
	if err != nil {
		return nil, err
	}
	account, err := c.account(ctx, request.Who)
	if err != nil {
		return nil, err
	}
	person, err := c.people.Person(ctx, account)
	if err != nil {
		return nil, err
	}
	return api.WhoAnswer{Account: account, Devices: slices.Sorted(maps.Keys(person.State.Devices))}, nil
}

func (c *connections) list(ctx context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.SessionsRequest](data)
	if err != nil {
		return nil, err
	}
	account, err := c.account(ctx, request.Who)
	if err != nil {
		return nil, err
	}
	all, err := c.sessions.All(ctx, account)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the sessions cannot be listed")
	}
	answer := api.HubSessions{Sessions: []api.HubSession{}}
	handles := make(map[string]string)
	for i := range all {
		s := &all[i]
		if len(answer.Sessions) == maxSessions {
			answer.More = len(all) - maxSessions
			break
		}
		if _, known := handles[s.Account]; !known {
			handles[s.Account] = ""
			if person, err := c.people.Person(ctx, s.Account); err == nil {
				handles[s.Account] = person.State.Handle
			}
		}
		answer.Sessions = append(answer.Sessions, api.HubSession{
			Session: s.ID(), Handle: handles[s.Account], Account: s.Account, Device: s.Device,
			Host: s.Host, Program: s.Program, Rooms: s.Rooms, Since: s.Since,
		})
	}
	return answer, nil
}

func (c *connections) revoke(ctx context.Context, _ string, data []byte) (any, error) {
	request, err := api.Decode[api.CloseRequest](data)
	if err == nil {
		err = sessions.CheckRevoke(request)
	}
	if err != nil {
		return nil, err
	}
	account, err := c.account(ctx, request.Who)
	if err != nil {
		return nil, err
	}
	closed, until, err := c.sessions.Revoke(ctx, c.kick, account, request.Session, time.Duration(request.Seconds)*time.Second, request.Why)
	return api.CloseAnswer{Closed: append([]string{}, closed...), DeniedUntil: until}, err
}

// Sessions lists the connections to ROOMS: those of a handle or account key, or all.
func (m *OnMachine) Sessions(ctx context.Context, who string) (*api.HubSessions, error) {
	answer := new(api.HubSessions)
	err := api.Call(ctx, m.nc, "services.sessions", api.SessionsRequest{Who: who}, answer)
	return answer, err
}

// Who is who somebody is: a handle or account key.
func (m *OnMachine) Who(ctx context.Context, who string) (*api.WhoAnswer, error) {
	answer := new(api.WhoAnswer)
	err := api.Call(ctx, m.nc, "services.who", api.SessionsRequest{Who: who}, answer)
	return answer, err
}

// CloseSessions closes connections to ROOMS.
func (m *OnMachine) CloseSessions(ctx context.Context, request api.CloseRequest) (*api.CloseAnswer, error) {
	answer := new(api.CloseAnswer)
	err := api.Call(ctx, m.nc, "services.revoke", request, answer)
	return answer, err
}
