package rooms

import (
	"context"
	"strings"

	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

// Bucket is the bucket of the rooms projection.
const Bucket = "ROOMS"

// View reads what the rooms projection wrote. Its keys: room.<id> (a snapshot),
// member.<A>.<id>, listed.<id>, and made.<A>.shown.<id> or made.<A>.hidden.<id> (index
// entries).
type View struct{ view *ledger.View }

// OpenView opens the view.
func OpenView(ctx context.Context, l *ledger.Ledger) (*View, error) {
	view, err := l.OpenView(ctx, Bucket)
	if err != nil {
		return nil, err
	}
	return &View{view}, nil
}

// Room is the snapshot of a room; the error has code NotFound for an unknown one.
func (v *View) Room(ctx context.Context, id string) (*ledger.Snapshot[chain.Room], error) {
	if _, err := trust.ParseID(id); err != nil {
		return nil, fault.New(fault.Malformed, "%q is not a room id", id)
	}
	snapshot := new(ledger.Snapshot[chain.Room])
	_, found, err := v.view.Get(ctx, roomKey(id), snapshot)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.New(fault.NotFound, "no such room")
	}
	return snapshot, nil
}

// Of lists the ids of the rooms that account is in, and of those everyone may see.
func (v *View) Of(ctx context.Context, account string) ([]string, error) {
	seen := make(map[string]bool)
	var ids []string
	for _, pattern := range []string{"member." + account + ".*", "listed.*"} {
		keys, err := v.view.Keys(ctx, pattern)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if id := key[strings.LastIndexByte(key, '.')+1:]; !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

func roomKey(id string) string { return "room." + id }

// Settle waits until the view has digested the ledger up to seq for a room.
func (v *View) Settle(ctx context.Context, room string, seq uint64) error {
	return v.view.Settle(ctx, roomKey(room), seq)
}

// Projection folds every room's chain into the view.
func (v *View) Projection(hub *trust.Hub) ledger.Projection {
	return ledger.Projection{
		Name:     "rooms",
		Bucket:   Bucket,
		Subjects: []string{chain.RoomSubject("*")},
		Fold: func(ctx context.Context, entry ledger.Entry) error {
			id := strings.TrimPrefix(entry.Event.Subject, chain.RoomSubject(""))
			return ledger.FoldEntry(ctx, ledger.Fold[chain.Room]{
				View: v.view, Key: roomKey(id),
				Place: func(r *chain.Room) uint64 { return r.Seq },
				Apply: func(r *chain.Room) error {
					err := r.Apply(hub.ID, entry.Event)
					r.ForgetPast()
					return err
				},
				Index: func(ctx context.Context, r *chain.Room) error { return v.index(ctx, r, entry) },
			}, entry)
		},
	}
}

// index keeps who is in which room, and which rooms everyone may see.
func (v *View) index(ctx context.Context, r *chain.Room, entry ledger.Entry) error {
	ev := entry.Event
	author := ev.Author.Text(trust.Account)
	switch ev.Type {
	case chain.CreateRoom:
		shown := r.Listed || r.Kind == chain.Open
		if shown {
			if err := v.view.Set(ctx, "listed."+r.ID, true); err != nil {
				return err
			}
		}
		if err := v.view.Set(ctx, madeKey(author, shown, r.ID), true); err != nil {
			return err
		}
		return v.view.Set(ctx, memberKey(author, r.ID), true)
	case chain.GrantRoom:
		body, err := chain.Parse[chain.GrantRoomBody](ev)
		if err != nil {
			return err
		}
		return v.view.Set(ctx, memberKey(body.Account, r.ID), true)
	case chain.RevokeRoom:
		body, err := chain.Parse[chain.RevokeRoomBody](ev)
		if err != nil {
			return err
		}
		return v.view.Delete(ctx, memberKey(body.Account, r.ID))
	case chain.LeaveRoom:
		return v.view.Delete(ctx, memberKey(author, r.ID))
	}
	return nil
}

func memberKey(account, room string) string { return "member." + account + "." + room }

func madeKey(account string, shown bool, room string) string {
	if shown {
		return "made." + account + ".shown." + room
	}
	return "made." + account + ".hidden." + room
}

// Made counts the rooms that account has made, and those of them that everyone sees.
func (v *View) Made(ctx context.Context, account string) (made, shown int, err error) {
	keys, err := v.view.Keys(ctx, "made."+account+".*.*")
	for _, key := range keys {
		if strings.Contains(key, ".shown.") {
			shown++
		}
	}
	return len(keys), shown, err
}

// Count counts the rooms.
func (v *View) Count(ctx context.Context) (int, error) {
	keys, err := v.view.Keys(ctx, "room.*")
	return len(keys), err
}
