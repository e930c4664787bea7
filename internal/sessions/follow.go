package sessions

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/fault"
)

const (
	reconcileEvery = 30 * time.Second
	loginTime      = 2 * time.Minute // more than any server waits for a login
	maxSilent      = 10              // lists without a session's server before it is taken for gone
)

// Follow keeps the registry true until ctx ends: a connection that ends is forgotten at once,
// and again and again, first of all now, list says what the servers have. nc is a connection
// in account HUB. wait returns when nothing is done any more.
func (r *Registry) Follow(
	ctx context.Context, nc *nats.Conn, list func(context.Context) (*api.ConnectionsAnswer, error), log *slog.Logger,
) (wait func(), err error) {
	waitDenials, err := r.denials.Follow(ctx, r.denied.Deny)
	if err != nil {
		return nil, err
	}
	sub, err := nc.Subscribe(api.ConnectionGoneSubject, func(message *nats.Msg) { r.gone(ctx, message.Data, log) })
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the ends of connections cannot be heard: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer waitDenials()
		defer func() { _ = sub.Unsubscribe() }()
		ticker := time.NewTicker(reconcileEvery)
		defer ticker.Stop()
		for {
			if err := r.reconcile(ctx, list); err != nil && ctx.Err() == nil {
				log.Warn("sessions cannot be held against what the servers have", "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return func() { <-ended }, nil
}

// gone forgets a connection that has ended.
func (r *Registry) gone(ctx context.Context, data []byte, log *slog.Logger) {
	notice, err := api.Decode[api.ConnectionGone](data)
	if err != nil {
		return
	}
	s := Session{Account: notice.Account, Server: notice.Server, Client: notice.Client}
	if _, err := r.bucket.Get(ctx, s.key()); err != nil {
		return // it was another kind of connection
	}
	if err := r.bucket.Delete(ctx, s.key()); err != nil && ctx.Err() == nil {
		log.Warn("a session that has ended stays in the registry for a while", "error", err)
	}
}

// reconcile forgets sessions that the servers do not have. One that was noted a moment ago
// may be still on its way, and one of a server that does not answer may be there.
func (r *Registry) reconcile(ctx context.Context, list func(context.Context) (*api.ConnectionsAnswer, error)) error {
	all, err := r.list(ctx, "*.*.*")
	if err != nil {
		return err
	}
	there, err := list(ctx)
	if err != nil {
		return err
	}
	silent := make(map[string]int)
	for i := range all {
		s := &all[i]
		clients, answers := there.Servers[s.Server]
		switch {
		case slices.Contains(clients, s.Client), time.Since(s.Since) < loginTime:
			continue
		case !answers && r.silent[s.key()] < maxSilent:
			silent[s.key()] = r.silent[s.key()] + 1
			continue
		}
		if err := r.bucket.Delete(ctx, s.key()); err != nil {
			return err
		}
	}
	r.silent = silent
	return nil
}

// All are the sessions of an account, or of all if it is empty, the oldest first.
func (r *Registry) All(ctx context.Context, account string) ([]Session, error) {
	if account == "" {
		account = "*"
	}
	all, err := r.of(ctx, account)
	slices.SortFunc(all, func(a, b Session) int { return a.Since.Compare(b.Since) })
	return all, err
}

// Revoke closes the connections of an account, or the one session, and keeps the account out
// of rooms for a time if that is not 0. It returns the ids of those that it closed.
func (r *Registry) Revoke(
	ctx context.Context, kick Kick, account, session string, keepOut time.Duration, why string,
) (closed []string, until time.Time, err error) {
	entry := audit.Closed{By: audit.ByHost, Why: why, Name: account}
	if keepOut > 0 {
		until = time.Now().Add(keepOut).UTC().Truncate(time.Second)
		entry.DeniedUntil = &until
		r.denied.Deny(account, until) // first: a login in between sees it
		if err := r.denials.Put(ctx, account, until); err != nil {
			return nil, until, fault.Wrap(fault.Unavailable, err, "it cannot be kept who is kept out")
		}
	}
	list, err := r.All(ctx, account)
	if err != nil {
		return nil, until, err
	}
	for i := range list {
		s := &list[i]
		if session != "" && s.ID() != session {
			continue
		}
		if err = kick(ctx, s.Server, s.Client); err != nil {
			entry.Failed++
			break
		}
		entry.Name = s.Account
		closed = append(closed, s.ID())
		entry.Closed = append(entry.Closed, audit.Connection{Server: s.Server, CID: s.Client})
	}
	if len(closed)+entry.Failed > 0 || keepOut > 0 {
		r.Closed(entry)
	}
	return closed, until, err
}

// CheckRevoke is what is wrong with the words of a revocation.
func CheckRevoke(request *api.CloseRequest) error {
	switch {
	case (request.Who == "") == (request.Session == ""):
		return fault.New(fault.Malformed, "a revocation is of somebody or of one session")
	case request.Seconds < 0 || request.Seconds > int64(registry.MaxDenial/time.Second):
		return fault.New(fault.Malformed, "members are kept out for %d days at most", int(registry.MaxDenial.Hours()/24))
	case request.Seconds > 0 && request.Who == "":
		return fault.New(fault.Malformed, "somebody is kept out, not a session")
	case len(request.Why) > maxShown:
		return fault.New(fault.TooLarge, "a reason has %d bytes at most", maxShown)
	}
	if request.Session != "" {
		_, _, err := registry.ParseID(request.Session)
		return err
	}
	return nil
}
