package shares

import (
	"context"
	"fmt"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

// Bucket is the bucket of the shares projection.
const Bucket = "SHARES"

// View reads what the shares projection wrote. Its keys: person.<A> (a snapshot of what
// they granted and took), inbox.<A>.<grant> (an invitation to A).
type View struct{ view *ledger.View }

// OpenView opens the view.
func OpenView(ctx context.Context, l *ledger.Ledger) (*View, error) {
	view, err := l.OpenView(ctx, Bucket)
	if err != nil {
		return nil, err
	}
	return &View{view}, nil
}

// invitation is an entry of somebody's inbox.
type invitation struct {
	Owner   string    `json:"owner"`
	Catalog string    `json:"catalog"`
	Expires time.Time `json:"expires,omitzero"`
}

// Person is the snapshot of what account granted and took; empty for one who did neither.
func (v *View) Person(ctx context.Context, account string) (*ledger.Snapshot[chain.Shares], error) {
	snapshot := new(ledger.Snapshot[chain.Shares])
	_, _, err := v.view.Get(ctx, "person."+account, snapshot)
	return snapshot, err
}

// inbox lists the grants of the invitations to account, in no order.
func (v *View) inbox(ctx context.Context, account string) ([]string, error) {
	grants, err := v.view.Keys(ctx, "inbox."+account+".*")
	for i, key := range grants {
		grants[i] = key[strings.LastIndexByte(key, '.')+1:]
	}
	return grants, err
}

// invited looks one invitation up.
func (v *View) invited(ctx context.Context, account, grant string) (invitation, bool, error) {
	var one invitation
	if _, err := trust.ParseID(grant); err != nil {
		return one, false, nil
	}
	_, found, err := v.view.Get(ctx, inboxKey(account, grant), &one)
	return one, found, err
}

func inboxKey(account, grant string) string { return "inbox." + account + "." + grant }

// Settle waits until this view has digested the ledger up to seq for account.
func (v *View) Settle(ctx context.Context, account string, seq uint64) error {
	if err := v.view.Settle(ctx, "person."+account, seq); err != nil {
		return fmt.Errorf("shares: %w", err)
	}
	return nil
}

// Projection folds everybody's chain into the view.
func (v *View) Projection() ledger.Projection {
	return ledger.Projection{
		Name:     "shares",
		Bucket:   Bucket,
		Subjects: []string{chain.PersonSubject("*")},
		Fold: func(ctx context.Context, entry ledger.Entry) error {
			return ledger.FoldEntry(ctx, ledger.Fold[chain.Shares]{
				View: v.view, Key: "person." + entry.Event.Author.Text(trust.Account),
				Place: func(s *chain.Shares) uint64 { return s.Seq },
				Apply: func(s *chain.Shares) error { return s.Apply(entry.Event, false) },
				Index: func(ctx context.Context, s *chain.Shares) error { return v.index(ctx, s, entry) },
			}, entry)
		},
	}
}

// index keeps the inboxes of those with whom something is shared.
func (v *View) index(ctx context.Context, s *chain.Shares, entry ledger.Entry) error {
	ev := entry.Event
	switch ev.Type {
	case chain.Grant:
		body, err := chain.Parse[chain.GrantBody](ev)
		if err != nil {
			return err
		}
		return v.view.Set(ctx, inboxKey(body.To, body.Grant), invitation{
			Owner: ev.Author.Text(trust.Account), Catalog: body.Catalog, Expires: body.Expires,
		})
	case chain.Revoke:
		body, err := chain.Parse[chain.RevokeBody](ev)
		if err != nil {
			return err
		}
		return v.view.Delete(ctx, inboxKey(body.To, body.Grant))
	case chain.Decline:
		body, err := chain.Parse[chain.DeclineBody](ev)
		if err != nil {
			return err
		}
		return v.view.Delete(ctx, inboxKey(ev.Author.Text(trust.Account), body.Grant))
	}
	return nil
}

// Count counts the standing invitations.
func (v *View) Count(ctx context.Context) (int, error) {
	keys, err := v.view.Keys(ctx, "inbox.*.*")
	return len(keys), err
}
