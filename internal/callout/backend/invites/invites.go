// Package invites is the backend of a hub's newcomers: who holds the key of an open invite
// may ask to be admitted by it, and nothing else.
//
// The user field says admit and the invite key (docs/protocol/subjects.md); the signature over
// the server's nonce proves that the newcomer holds it. What a newcomer may says the template
// of the signing key: one that was stolen makes newcomers and nobody else.
package invites

import (
	"context"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/people"
)

const (
	word = "admit"
	life = 5 * time.Minute // of a newcomer's connection
)

// Backend decides the logins of newcomers.
type Backend struct {
	People  *people.View
	Account callout.Account // HUB, with the scoped signing key for newcomers
}

// Name is invites.
func (b *Backend) Name() string { return "invites" }

// Takes logins that say admit.
func (b *Backend) Takes(request *callout.Request) bool { return request.Says(word) }

// Authorize lets in who holds the key of an invite that is open.
func (b *Backend) Authorize(ctx context.Context, r *callout.Request) (*callout.Grant, error) {
	if !b.Takes(r) {
		return nil, fault.New(fault.Malformed, "the connection does not say that it is for admission")
	}
	invite, rest, err := r.Holder()
	if err != nil {
		return nil, err
	}
	if rest != "" {
		return nil, fault.New(fault.Malformed, "a newcomer names an invite key and nothing else")
	}
	known, err := b.People.Invitation(ctx, invite)
	if fault.Is(err, fault.NotFound) {
		return nil, callout.Wrong("there is no such invite")
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if !known.Open(now) {
		return nil, fault.New(fault.Expired, "the invite has expired or was used up")
	}
	return &callout.Grant{
		Account: b.Account.ID, Signer: b.Account.Signer, Scoped: b.Account.Scoped, Name: invite,
		Rule: "an open invite of " + known.Inviter, Expires: now.Add(life),
	}, nil
}
