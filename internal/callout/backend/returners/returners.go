// Package returners is the backend of a hub's people who come back: who holds a recovery key
// under which a backup lies may fetch it, and nothing else.
//
// The user field says recover and the recovery key (docs/protocol/subjects.md); the signature
// over the server's nonce proves that it is held. What such a connection may says the template
// of the signing key: one that was stolen makes such connections and no others.
package returners

import (
	"context"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/recovery"
)

const (
	word = "recover"
	life = 5 * time.Minute // of such a connection
)

// Backend decides the logins of those who come back.
type Backend struct {
	Recovery *recovery.Store
	Account  callout.Account // HUB, with the scoped signing key for those who come back
}

// Name is returners.
func (b *Backend) Name() string { return "returners" }

// Takes logins that say recover.
func (b *Backend) Takes(request *callout.Request) bool { return request.Says(word) }

// Authorize lets in who holds a recovery key under which a backup lies. Without one the login
// is refused like any other: it is no way to ask who has a backup.
func (b *Backend) Authorize(ctx context.Context, r *callout.Request) (*callout.Grant, error) {
	if !b.Takes(r) {
		return nil, fault.New(fault.Malformed, "the connection does not say that it is for recovery")
	}
	key, rest, err := r.Holder()
	if err != nil {
		return nil, err
	}
	if rest != "" {
		return nil, fault.New(fault.Malformed, "who comes back names a recovery key and nothing else")
	}
	_, err = b.Recovery.Under(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil, callout.Wrong("there is no backup under this key")
	}
	if err != nil {
		return nil, err
	}
	return &callout.Grant{
		Account: b.Account.ID, Signer: b.Account.Signer, Scoped: b.Account.Scoped, Name: key,
		Rule: "a backup under this recovery key", Expires: time.Now().Add(life),
	}, nil
}
