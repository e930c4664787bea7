package people

import (
	"context"

	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

// Projection folds everybody's chain, and the hub's, into the view.
func (v *View) Projection(hub *trust.Hub) ledger.Projection {
	return ledger.Projection{
		Name:     "people",
		Bucket:   Bucket,
		Subjects: []string{chain.HubSubject, chain.PersonSubject("*")},
		Fold: func(ctx context.Context, entry ledger.Entry) error {
			if entry.Event.Subject == chain.HubSubject {
				return v.foldHub(ctx, hub, entry)
			}
			return v.foldPerson(ctx, hub, entry)
		},
	}
}

func (v *View) foldHub(ctx context.Context, hub *trust.Hub, entry ledger.Entry) error {
	return ledger.FoldEntry(ctx, ledger.Fold[chain.Hub]{
		View: v.view, Key: "hub",
		Place: func(h *chain.Hub) uint64 { return h.Seq },
		Apply: func(h *chain.Hub) error { return h.Apply(hub, entry.Event) },
		Index: func(ctx context.Context, h *chain.Hub) error {
			return v.indexInvites(ctx, hub.ID, h.Invites, entry.Seq)
		},
	}, entry)
}

func (v *View) foldPerson(ctx context.Context, hub *trust.Hub, entry ledger.Entry) error {
	return ledger.FoldEntry(ctx, ledger.Fold[chain.Person]{
		View: v.view, Key: PersonKey(entry.Event.Author.Text(trust.Account)),
		Place: func(p *chain.Person) uint64 { return p.Seq },
		Apply: func(p *chain.Person) error { return p.Apply(hub.ID, entry.Event, false) },
		Index: func(ctx context.Context, p *chain.Person) error { return v.index(ctx, p, entry) },
	}, entry)
}

func (v *View) index(ctx context.Context, p *chain.Person, entry ledger.Entry) error {
	switch entry.Event.Type {
	case chain.Admit:
		if err := v.useInvite(ctx, p.Invite, entry.Seq); err != nil {
			return err
		}
		if err := v.view.Set(ctx, handleKey(p.Handle), p.Account); err != nil {
			return err
		}
		return v.indexDevices(ctx, p)
	case chain.AddDevice:
		return v.indexDevices(ctx, p)
	case chain.Invite:
		return v.indexInvites(ctx, p.Account, p.Invites, entry.Seq)
	}
	return nil
}

func (v *View) indexDevices(ctx context.Context, p *chain.Person) error {
	for device := range p.Devices {
		var owner string
		_, found, err := v.view.Get(ctx, "device."+device, &owner)
		if err != nil {
			return err
		}
		if found {
			continue // whoever named it first keeps it
		}
		if err := v.view.Set(ctx, "device."+device, p.Account); err != nil {
			return err
		}
	}
	return nil
}

// indexInvites enters the invites that are not in the index yet.
func (v *View) indexInvites(ctx context.Context, inviter string, invites map[string]*chain.InviteBody, seq uint64) error {
	for key, body := range invites {
		var known Invitation
		revision, found, err := v.view.Get(ctx, "invite."+key, &known)
		if err != nil {
			return err
		}
		if found {
			continue
		}
		fresh := Invitation{Seq: seq, Inviter: inviter, Uses: body.Uses, Expires: body.Expires}
		if err := v.view.Put(ctx, "invite."+key, fresh, revision); err != nil {
			return err
		}
	}
	return nil
}

// useInvite counts one admission, once.
func (v *View) useInvite(ctx context.Context, key string, seq uint64) error {
	var known Invitation
	revision, found, err := v.view.Get(ctx, "invite."+key, &known)
	if err != nil || !found || known.Seq >= seq {
		return err
	}
	known.Used++
	known.Seq = seq
	return v.view.Put(ctx, "invite."+key, known, revision)
}
