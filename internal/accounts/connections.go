package accounts

import (
	"context"
	"encoding/json"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/fault"
)

// watchConnections says in account HUB which connections to ROOMS have ended, until ctx does.
func (s *Signer) watchConnections(ctx context.Context, hub *nats.Conn) error {
	if s.Rooms == "" {
		return nil
	}
	gone := func(c registry.Connection) {
		notice, err := json.Marshal(api.ConnectionGone{Account: c.Name, Server: c.Server, Client: c.Client})
		if err == nil {
			err = hub.Publish(api.ConnectionGoneSubject, notice)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("the end of a connection cannot be told", "error", err)
		}
	}
	return (&registry.Servers{Conn: s.servers.sys}).Watch(ctx, []string{s.Rooms}, nil, gone)
}

// connections are those to ROOMS, as the servers have them.
func (s *Signer) connections(ctx context.Context, _ string, _ []byte) (any, error) {
	if s.Rooms == "" {
		return nil, fault.New(fault.Unavailable, "the signer watches no connections")
	}
	list, answered, err := (&registry.Servers{Conn: s.servers.sys}).Connections(ctx, s.Rooms)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the servers do not say which connections they have")
	}
	answer := api.ConnectionsAnswer{Servers: make(map[string][]uint64)}
	for _, server := range answered {
		answer.Servers[server] = []uint64{}
	}
	for _, c := range list {
		answer.Servers[c.Server] = append(answer.Servers[c.Server], c.Client)
	}
	return answer, nil
}
