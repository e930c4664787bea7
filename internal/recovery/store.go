package recovery

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

// Bucket is the bucket of backups. Unlike every other it is no view: it cannot be folded
// from the ledger, and belongs into a backup of the hub.
const Bucket = "RECOVERY"

// maxStored are bytes of a stored backup: the blob, and the event around it.
const maxStored = event.MaxRecovery + 1024

// Store keeps one backup for each account. Its keys: account.<A> (the event in compact
// form) and key.<R> (the account whose backup is under that recovery key).
type Store struct{ bucket jetstream.KeyValue }

// OpenStore opens the store over nc (in account HUB) and creates it where there is none.
// replicas is how many servers hold a copy.
func OpenStore(ctx context.Context, nc *nats.Conn, replicas int) (*Store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open backups: %w", err)
	}
	bucket, err := js.KeyValue(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: Bucket, Description: "Keyhall: backups of members, sealed",
			History: 1, MaxValueSize: maxStored, Replicas: replicas,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open backups: %w", err)
	}
	return &Store{bucket}, nil
}

func accountKey(account string) string { return "account." + account }
func codeKey(code string) string       { return "key." + code }

// Of is the backup of an account, nil where there is none, and its revision.
func (s *Store) Of(ctx context.Context, account string) (*event.Event, uint64, error) {
	entry, err := s.bucket.Get(ctx, accountKey(account))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, unavailable(err)
	}
	ev, err := event.Decode(entry.Value())
	if err != nil {
		return nil, 0, fmt.Errorf("backup of %s: %w", account, err)
	}
	return ev, entry.Revision(), nil
}

// Under is the backup that lies under a recovery key; the error has code NotFound where
// there is none, or one that was replaced.
func (s *Store) Under(ctx context.Context, code string) (*event.Event, error) {
	none := fault.New(fault.NotFound, "there is no backup under this key")
	if _, err := trust.ParsePublicKey(trust.Device, code); err != nil {
		return nil, none
	}
	entry, err := s.bucket.Get(ctx, codeKey(code))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, none
	}
	if err != nil {
		return nil, unavailable(err)
	}
	ev, _, err := s.Of(ctx, string(entry.Value()))
	if err != nil {
		return nil, err
	}
	if ev == nil || ev.Subject != event.RecoverySubject(code) {
		return nil, none
	}
	return ev, nil
}

// put makes ev the backup of its author, in the place of the one at revision before (0:
// none), which lay under the recovery key previous. The index entry is written first: until
// the backup is there, it leads nowhere.
func (s *Store) put(ctx context.Context, ev *event.Event, code string, before uint64, previous string) error {
	account := ev.Author.Text(trust.Account)
	if _, err := s.bucket.Put(ctx, codeKey(code), []byte(account)); err != nil {
		return unavailable(err)
	}
	var err error
	if before == 0 {
		_, err = s.bucket.Create(ctx, accountKey(account), ev.Encode())
	} else {
		_, err = s.bucket.Update(ctx, accountKey(account), ev.Encode(), before)
	}
	if err != nil {
		return fault.Wrap(fault.Conflict, err, "another backup came at the same time; try again")
	}
	if previous == "" || previous == code {
		return nil
	}
	if err := s.bucket.Purge(ctx, codeKey(previous)); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the hub cannot get at its backups now; try again")
}
