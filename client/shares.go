package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// Share is a catalog that the member shares with somebody.
type Share struct {
	Catalog string    `json:"catalog"`
	To      string    `json:"to"` // handle
	Expires time.Time `json:"expires,omitzero"`
	Grant   string    `json:"grant"`
}

// InboxItem is a catalog that somebody shares with the member.
type InboxItem struct {
	Catalog string    `json:"catalog"`
	From    string    `json:"from"` // handle
	Expires time.Time `json:"expires,omitzero"`
	State   string    `json:"state"` // pending or accepted

	grant     string
	catalogID string
	owner     *Person
}

// Share shares a catalog with a person, for life, or for good if life is 0. What the
// person may know of it is sealed to them; the hub learns that something is shared. To
// share again changes when the share ends, and invites once more somebody who declined.
func (c *Client) Share(ctx context.Context, catalog, who string, life time.Duration) (*Person, error) {
	file, err := c.profile.catalog(catalog)
	if err != nil {
		return nil, err
	}
	person, err := c.Find(ctx, who)
	if err != nil {
		return nil, err
	}
	if person.Known == Self {
		return nil, fault.New(fault.Malformed, "you share with others, not with yourself")
	}
	expires, err := expiry(life)
	if err != nil {
		return nil, err
	}
	_, err = c.append(ctx, "shares", chain.Grant, func(own *page) (any, error) {
		grant := trust.NewID()
		for id, g := range own.Shares.Granted {
			if g.Catalog == file.ID && g.To == person.Account {
				grant = id
			}
		}
		return c.grant(grant, file, person, expires)
	})
	return person, err
}

func (c *Client) grant(grant string, file catalogFile, person *Person, expires time.Time) (*chain.GrantBody, error) {
	body := &chain.GrantBody{Grant: grant, Catalog: file.ID, To: person.Account, Expires: expires}
	about, err := trust.Canonical(chain.SealedShare{Name: file.Name})
	if err != nil {
		return nil, err
	}
	binding, err := shareContext(body.Grant, c.account())
	if err != nil {
		return nil, err
	}
	body.Sealed, err = trust.Box(person.xkey, "share", binding, about)
	return body, err
}

func shareContext(grant, owner string) ([]byte, error) {
	key, err := trust.ParsePublicKey(trust.Account, owner)
	return append([]byte(grant), key[:]...), err
}

// Unshare ends every share of a catalog with a person. The member's own running programs
// know at once, whether or not the hub answers.
func (c *Client) Unshare(ctx context.Context, catalog, who string) error {
	file, err := c.profile.catalog(catalog)
	if err != nil {
		return err
	}
	person, err := c.Find(ctx, who)
	if err != nil {
		return err
	}
	for ended := 0; ; ended++ {
		grant := ""
		_, err := c.append(ctx, "shares", chain.Revoke, func(own *page) (any, error) {
			grant = ""
			for id, g := range own.Shares.Granted {
				if g.Catalog == file.ID && g.To == person.Account {
					grant = id
				}
			}
			if grant == "" {
				return nil, fault.New(fault.NotFound, "%s is not shared with %s", file.Name, person.Handle)
			}
			return chain.RevokeBody{Grant: grant, To: person.Account}, nil
		})
		if grant == "" && ended > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Shares lists what the member shares, by catalog and person.
func (c *Client) Shares(ctx context.Context) ([]Share, error) {
	own, err := c.me(ctx)
	if err != nil {
		return nil, err
	}
	files, err := c.profile.catalogFiles()
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(files))
	for _, file := range files {
		names[file.ID] = file.Name
	}
	now := time.Now()
	shares := []Share{}
	for id, g := range own.Shares.Granted {
		if !own.Shares.Standing(id, g.Catalog, g.To, now) {
			continue
		}
		person, err := c.book.meet(ctx, g.To)
		if err != nil {
			return nil, err
		}
		name := names[g.Catalog]
		if name == "" {
			name = g.Catalog // removed here, or on another device
		}
		shares = append(shares, Share{Catalog: name, To: person.Handle, Expires: g.Expires, Grant: id})
	}
	slices.SortFunc(shares, func(a, b Share) int {
		return strings.Compare(a.Catalog+" "+a.To, b.Catalog+" "+b.To)
	})
	return shares, c.book.keepPins()
}

// Inbox lists what others share with the member, each verified against the owner's own
// signed grant; what does not verify, or cannot be read, is not listed.
func (c *Client) Inbox(ctx context.Context) ([]InboxItem, error) {
	own, err := c.me(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := c.visibleShares(ctx)
	if err != nil {
		return nil, err
	}
	items := []InboxItem{}
	listed := make(map[string]bool)
	for _, share := range shown {
		if listed[share.Grant] {
			continue
		}
		listed[share.Grant] = true
		share.State = api.Pending // by what the member has signed, whatever the hub says
		if own.Shares.Taken[share.Grant] != nil {
			share.State = api.Accepted
		}
		item, err := c.invitation(ctx, share)
		if fault.Is(err, fault.Unavailable) || errors.Is(err, ErrFork) {
			return nil, err
		}
		if err == nil && item != nil { // what somebody made unreadable hides nothing of others

			items = append(items, *item)
		}
	}
	slices.SortFunc(items, func(a, b InboxItem) int {
		return strings.Compare(a.From+"/"+a.Catalog, b.From+"/"+b.Catalog)
	})
	return items, nil
}

// visibleShares are all shares that the hub shows the member, page by page.
func (c *Client) visibleShares(ctx context.Context) ([]api.Share, error) {
	var shares []api.Share
	for after := ""; ; {
		var page api.Inbox
		if err := c.call(ctx, "shares.inbox", api.InboxRequest{After: after}, &page); err != nil {
			return nil, err
		}
		shares = append(shares, page.Shares...)
		if !page.More {
			return shares, nil
		}
		if len(page.Shares) == 0 || page.Shares[len(page.Shares)-1].Grant <= after {
			return nil, fault.New(fault.Refused, "the hub lists shares without end; do not trust it")
		}
		after = page.Shares[len(page.Shares)-1].Grant
	}
}

// invitation verifies what the hub lists against the owner's chain; nil for a grant that
// does not stand there.
func (c *Client) invitation(ctx context.Context, share api.Share) (*InboxItem, error) {
	owner, err := c.book.person(ctx, share.Owner)
	if err != nil {
		return nil, err
	}
	known, err := c.book.sync(ctx, share.Owner)
	if err != nil {
		return nil, err
	}
	if known.Shares.Granted[share.Grant] == nil {
		if known, err = c.book.again(ctx, share.Owner); err != nil {
			return nil, err
		}
	}
	return c.openGrant(share, owner, &known.Shares)
}

// openGrant opens what the owner's chain says of a share; nil for a grant that does not
// stand there.
func (c *Client) openGrant(share api.Share, owner *Person, shares *chain.Shares) (*InboxItem, error) {
	if !shares.Standing(share.Grant, share.Catalog, c.account(), time.Now()) {
		return nil, nil
	}
	grant := shares.Granted[share.Grant]
	binding, err := shareContext(share.Grant, share.Owner)
	if err != nil {
		return nil, err
	}
	sealed, err := c.profile.unbox("share", binding, grant.Sealed)
	if err != nil {
		return nil, fmt.Errorf("share of %s: %w", owner.Handle, err)
	}
	about := new(chain.SealedShare)
	if err := trust.ParseCanonical(sealed, about); err != nil || !trust.IsName(about.Name) {
		return nil, fault.New(fault.Malformed, "%s shares something whose name cannot be read", owner.Handle)
	}
	return &InboxItem{
		Catalog: about.Name, From: owner.Handle, Expires: grant.Expires, State: share.State,
		grant: share.Grant, catalogID: share.Catalog, owner: owner,
	}, nil
}

// Accept takes a share, named OWNER/NAME: from then on the catalog can be read.
func (c *Client) Accept(ctx context.Context, ref string) error {
	item, err := c.findShare(ctx, ref, api.Pending)
	if err != nil {
		return err
	}
	_, err = c.append(ctx, "shares", chain.Accept, func(*page) (any, error) {
		return chain.AcceptBody{Grant: item.grant, Owner: item.owner.Account, Catalog: item.catalogID}, nil
	})
	return err
}

// Decline turns a share down, or drops one that was accepted.
func (c *Client) Decline(ctx context.Context, ref string) error {
	item, err := c.findShare(ctx, ref, "")
	if err != nil {
		return err
	}
	_, err = c.append(ctx, "shares", chain.Decline, func(*page) (any, error) {
		return chain.DeclineBody{Grant: item.grant, Owner: item.owner.Account}, nil
	})
	return err
}

// findShare finds a share by OWNER/NAME, in the given state or in any. Among several, an
// accepted one is found first.
func (c *Client) findShare(ctx context.Context, ref, state string) (*InboxItem, error) {
	owner, name, path, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	if path != "" {
		return nil, fault.New(fault.Malformed, "%q names a path; a share is named OWNER/NAME", ref)
	}
	if state == api.Accepted {
		if known := c.takenShare(owner, name); known != nil {
			return known, nil
		}
	}
	items, err := c.Inbox(ctx)
	if err != nil {
		return nil, err
	}
	var found *InboxItem
	for i := range items {
		item := &items[i]
		if item.Catalog != name || (item.From != owner && item.owner.Account != owner) {
			continue
		}
		if found == nil || item.State == api.Accepted {
			found = item
		}
	}
	switch {
	case found == nil:
		return nil, fault.New(fault.NotFound, "nobody shares %s/%s with you; keyhall inbox shows what is shared", owner, name)
	case state == api.Pending && found.State == api.Accepted:
		return nil, fault.New(fault.Taken, "you have accepted %s/%s already", owner, name)
	case state == api.Accepted && found.State != api.Accepted:
		return nil, fault.New(fault.NotFound, "you have not accepted %s/%s yet; run keyhall accept %s/%s", owner, name, owner, name)
	}
	return found, nil
}

// takenShare finds an accepted share in what the profile knows, without asking the hub:
// who serves it and who reads it need nothing but NATS. It may have ended meanwhile; then
// its owner says so.
func (c *Client) takenShare(owner, name string) *InboxItem {
	own := c.book.local(c.account())
	if own == nil {
		return nil
	}
	for _, taken := range own.Shares.Taken {
		from := c.book.local(taken.Owner)
		if from == nil || (from.Person.Handle != owner && taken.Owner != owner) {
			continue
		}
		person := &Person{Handle: from.Person.Handle, Account: taken.Owner, xkey: from.Person.XKey}
		share := api.Share{Grant: taken.Grant, Owner: taken.Owner, Catalog: taken.Catalog, State: api.Accepted}
		item, err := c.openGrant(share, person, &from.Shares)
		if err == nil && item != nil && item.Catalog == name {
			return item
		}
	}
	return nil
}

// parseRef reads OWNER/NAME or OWNER/NAME/PATH.
func parseRef(ref string) (owner, name, path string, err error) {
	parts := strings.SplitN(ref, "/", 3)
	if len(parts) < 2 {
		return "", "", "", fault.New(fault.Malformed, "%q does not name a catalog; it looks like alice/films", ref)
	}
	owner = parts[0]
	if _, keyErr := trust.ParsePublicKey(trust.Account, owner); keyErr != nil {
		if owner, err = trust.Name(owner); err != nil {
			return "", "", "", fault.New(fault.Malformed, "%q is neither a handle nor an account: %w", parts[0], err)
		}
	}
	if name, err = trust.Name(parts[1]); err != nil {
		return "", "", "", fault.New(fault.Malformed, "the catalog name %q is %w", parts[1], err)
	}
	if len(parts) == 3 {
		path = strings.TrimSuffix(parts[2], "/")
	}
	return owner, name, path, nil
}
