package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/trust"
)

const inviteTries = 5

// HostInvite makes an invite by the hub itself, for its host: it is signed with the
// operator's signing key, which only who has the data folder can do.
func HostInvite(
	ctx context.Context, keys *natsd.Keys, l *ledger.Ledger, uses int, life time.Duration,
) (*trust.Invite, time.Time, error) {
	hub, err := trust.ParseHub(keys.OperatorJWT)
	if err != nil {
		return nil, time.Time{}, err
	}
	signer, err := signingKey(keys)
	if err != nil {
		return nil, time.Time{}, err
	}
	invite := trust.NewInvite(hub.ID, hub.Key)
	expires := time.Now().Add(life).UTC().Truncate(time.Second)
	body, err := trust.Canonical(chain.InviteBody{Invite: invite.Key().String(), Uses: uses, Expires: expires})
	if err != nil {
		return nil, time.Time{}, err
	}
	for range inviteTries {
		state, last, err := hubChain(ctx, hub, l)
		if err != nil {
			return nil, time.Time{}, err
		}
		ev := &event.Event{
			Author: hub.Key, Type: chain.HubInvite, Subject: chain.HubSubject, Audience: hub.ID,
			Seq: state.Seq + 1, Prev: state.Head, Head: state.Head, Body: body,
		}
		if err := ev.Sign(signer); err != nil {
			return nil, time.Time{}, err
		}
		if err := state.Apply(hub, ev); err != nil {
			return nil, time.Time{}, err
		}
		_, err = l.Append(ctx, ev, last)
		if errors.Is(err, ledger.ErrMoved) {
			continue
		}
		return invite, expires, err
	}
	return nil, time.Time{}, ledger.ErrMoved
}

// hubChain folds the hub's own chain; last is the stream sequence of its newest event.
func hubChain(ctx context.Context, hub *trust.Hub, l *ledger.Ledger) (state *chain.Hub, last uint64, err error) {
	state = new(chain.Hub)
	err = l.ReadChain(ctx, chain.HubSubject, func(entry ledger.Entry) (bool, error) {
		last = entry.Seq
		return true, state.Apply(hub, entry.Event)
	})
	return state, last, err
}

// signingKey is the operator's signing key as package trust uses it.
func signingKey(keys *natsd.Keys) (*trust.KeyPair, error) {
	seed, err := keys.OperatorSigner.Seed()
	if err != nil {
		return nil, fmt.Errorf("operator signing key: %w", err)
	}
	return trust.ParseSeed(trust.Operator, seed)
}
