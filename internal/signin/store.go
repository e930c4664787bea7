package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
)

// Bucket is the bucket of logins: how people get in who bring no device. It cannot be folded
// from the ledger, and belongs into a backup of the hub.
const Bucket = "LOGINS"

// maxStored are bytes of a stored login: the blob in base64, and the event around it.
const maxStored = event.MaxLogin/3*4 + 8<<10

// Store keeps logins. Its keys:
//
//	secret                 what makes up salts for names that have no password
//	password.<A>           the newest event of the person's password, in compact form
//	blob.<A>.<hash>        the newest event of a passkey's backup
//	passkey.<A>.<hash>     a passkey: Passkey as JSON
//	provider.<hash>        the account that a login at the identity provider is of
//	bound.<A>              the hash of the person's login there
//
// A credential's id, and a subject at a provider, stand there as hashes: they are of any
// length and any characters.
type Store struct {
	bucket jetstream.KeyValue
	secret []byte
}

// Passkey is a credential that a person has registered.
type Passkey struct {
	Credential webauthn.Credential `json:"credential"`
	Host       string              `json:"host"` // for which it was made: its RP ID
	Name       string              `json:"name"`
	Made       time.Time           `json:"made"`
}

// OpenStore opens the store over nc (in account HUB) and creates it where there is none.
// replicas is how many servers hold a copy.
func OpenStore(ctx context.Context, nc *nats.Conn, replicas int) (*Store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open logins: %w", err)
	}
	bucket, err := js.KeyValue(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: Bucket, Description: "Keyhall: passwords' verifiers, passkeys, sealed backups",
			History: 1, MaxValueSize: maxStored, Replicas: replicas,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open logins: %w", err)
	}
	s := &Store{bucket: bucket}
	if s.secret, err = s.keepSecret(ctx); err != nil {
		return nil, fmt.Errorf("open logins: %w", err)
	}
	return s, nil
}

// keepSecret is the hub's secret, made at its first start.
func (s *Store) keepSecret(ctx context.Context) ([]byte, error) {
	fresh := make([]byte, sha256.Size)
	rand.Read(fresh) // never fails since Go 1.24
	_, err := s.bucket.Create(ctx, "secret", fresh)
	if err == nil {
		return fresh, nil
	}
	entry, err := s.bucket.Get(ctx, "secret")
	if err != nil {
		return nil, err
	}
	return entry.Value(), nil
}

func passwordKey(account string) string         { return "password." + account }
func blobKey(account, credential string) string { return "blob." + account + "." + hashed(credential) }

func passkeyKey(account, credential string) string {
	return "passkey." + account + "." + hashed(credential)
}
func providerKey(who string) string  { return "provider." + who }
func boundKey(account string) string { return "bound." + account }

// hashed is a text of any kind as a part of a key.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// login is the newest event about the password of an account (credential empty) or about a
// passkey's backup, nil where there is none, and its revision.
func (s *Store) login(ctx context.Context, account, credential string) (*event.Event, uint64, error) {
	key := passwordKey(account)
	if credential != "" {
		key = blobKey(account, credential)
	}
	data, revision, err := s.get(ctx, key)
	if err != nil || data == nil {
		return nil, 0, err
	}
	ev, err := event.Decode(data)
	if err != nil {
		return nil, 0, fmt.Errorf("login of %s: %w", account, err)
	}
	return ev, revision, nil
}

// putLogin makes ev the newest in the place of the one at revision before, 0 for none.
func (s *Store) putLogin(ctx context.Context, account, credential string, ev *event.Event, before uint64) error {
	key := passwordKey(account)
	if credential != "" {
		key = blobKey(account, credential)
	}
	var err error
	if before == 0 {
		_, err = s.bucket.Create(ctx, key, ev.Encode())
	} else {
		_, err = s.bucket.Update(ctx, key, ev.Encode(), before)
	}
	if err != nil {
		return fault.Wrap(fault.Conflict, err, "another login came at the same time; try again")
	}
	return nil
}

// passkey is a registered credential of an account; the error has code NotFound for none.
func (s *Store) passkey(ctx context.Context, account, credential string) (*Passkey, error) {
	data, _, err := s.get(ctx, passkeyKey(account, credential))
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fault.New(fault.NotFound, "there is no such passkey")
	}
	return readPasskey(data)
}

func readPasskey(data []byte) (*Passkey, error) {
	p := new(Passkey)
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return p, nil
}

func (s *Store) putPasskey(ctx context.Context, account, credential string, p *Passkey) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("passkey: %w", err)
	}
	return s.put(ctx, passkeyKey(account, credential), data)
}

// passkeys are an account's, in no order.
func (s *Store) passkeys(ctx context.Context, account string) ([]*Passkey, error) {
	keys, err := s.keys(ctx, "passkey."+account+".*")
	if err != nil {
		return nil, err
	}
	var found []*Passkey
	for _, key := range keys {
		data, _, err := s.get(ctx, key)
		if err != nil {
			return nil, err
		}
		if data == nil {
			continue
		}
		p, err := readPasskey(data)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

// dropPasskey forgets a passkey, and the backup that it opens.
func (s *Store) dropPasskey(ctx context.Context, account, credential string) error {
	if err := s.drop(ctx, passkeyKey(account, credential)); err != nil {
		return err
	}
	return s.drop(ctx, blobKey(account, credential))
}

// bound is whose a login at the provider is; empty for nobody's.
func (s *Store) bound(ctx context.Context, who string) (string, error) {
	data, _, err := s.get(ctx, providerKey(who))
	return string(data), err
}

// boundTo is the login at the provider that an account has; empty for none.
func (s *Store) boundTo(ctx context.Context, account string) (string, error) {
	data, _, err := s.get(ctx, boundKey(account))
	return string(data), err
}

// bind makes a login at the provider an account's, which had none. What the account has is noted first: a login that
// nobody sees in their account could not be taken away from it.
func (s *Store) bind(ctx context.Context, who, account string) error {
	if err := s.create(ctx, boundKey(account), who, "you have another login there already; remove it first"); err != nil {
		return err
	}
	err := s.create(ctx, providerKey(who), account, "that login is somebody's already")
	if err != nil {
		return errors.Join(err, s.drop(ctx, boundKey(account)))
	}
	return nil
}

// create sets a key that is not there; taken is the sentence where it is.
func (s *Store) create(ctx context.Context, key, value, taken string) error {
	_, err := s.bucket.Create(ctx, key, []byte(value))
	switch {
	case errors.Is(err, jetstream.ErrKeyExists):
		return fault.Wrap(fault.Taken, err, "%s", taken)
	case err != nil:
		return unavailable(err)
	}
	return nil
}

func (s *Store) unbind(ctx context.Context, who, account string) error {
	if err := s.drop(ctx, providerKey(who)); err != nil {
		return err
	}
	return s.drop(ctx, boundKey(account))
}

// get is the value of a key and its revision; nil for none.
func (s *Store) get(ctx context.Context, key string) ([]byte, uint64, error) {
	entry, err := s.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, unavailable(err)
	}
	return entry.Value(), entry.Revision(), nil
}

func (s *Store) put(ctx context.Context, key string, value []byte) error {
	if _, err := s.bucket.Put(ctx, key, value); err != nil {
		return unavailable(err)
	}
	return nil
}

func (s *Store) drop(ctx context.Context, key string) error {
	if err := s.bucket.Purge(ctx, key); err != nil {
		return unavailable(err)
	}
	return nil
}

func (s *Store) keys(ctx context.Context, filter string) ([]string, error) {
	keys, err := ledger.Keys(ctx, s.bucket, filter)
	if err != nil {
		return nil, unavailable(err)
	}
	return keys, nil
}

func unavailable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the hub cannot get at its logins now; try again")
}
