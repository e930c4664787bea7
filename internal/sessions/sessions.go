// Package sessions knows who is connected to ROOMS: the callout notes every connection
// before it judges it, and when a right ends, exactly the connections that carried it are
// closed. They come back and get what they still may.
package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/callout/registry"
	"keyhall.dev/keyhall/internal/chain"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/trust"
)

// Bucket is the bucket of connections. Its keys: <A>.<server>.<client>.
const Bucket = "SESSIONS"

// Life is how long a connection lives before it has to ask again: the callout's JWT
// expires, and so does the note of the connection, a while after.
const Life = time.Hour

// Session is a connection to ROOMS.
type Session struct {
	Account string   `json:"account"`
	Device  string   `json:"device"`
	Server  string   `json:"server"`
	Client  uint64   `json:"client"`
	Rooms   []string `json:"rooms"`
	Browser string   `json:"browser,omitempty"` // id of the browser's session that it came with

	Host    string    `json:"host,omitempty"`    // address
	Program string    `json:"program,omitempty"` // what the client calls itself
	Since   time.Time `json:"since,omitzero"`    // when it was noted
}

// ID names a session: <server>/<number>.
func (s *Session) ID() string {
	c := registry.Connection{Server: s.Server, Client: s.Client}
	return c.ID()
}

func (s *Session) key() string {
	return s.Account + "." + s.Server + "." + strconv.FormatUint(s.Client, 10)
}

// Registry keeps the sessions in a bucket of account HUB, and who is kept out in another.
type Registry struct {
	// Closed, if set, is told of the connections that Evictions closed, for the audit.
	Closed func(audit.Closed)

	bucket  jetstream.KeyValue
	denials *registry.Denials
	denied  *registry.Registry // in it nothing but who is denied
	silent  map[string]int     // lists that lacked a session's server, one after the other
}

// Open opens the registry over nc, in account HUB.
func Open(ctx context.Context, nc *nats.Conn, replicas int) (*Registry, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open sessions: %w", err)
	}
	bucket, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: Bucket, History: 1, TTL: Life + 10*time.Minute, Replicas: replicas,
	})
	if err != nil {
		return nil, fmt.Errorf("open sessions: %w", err)
	}
	r := &Registry{
		Closed: func(audit.Closed) {}, bucket: bucket, denied: registry.New(nil), silent: make(map[string]int),
	}
	if r.denials, err = registry.OpenDenials(ctx, nc, replicas); err == nil && r.denials == nil {
		err = errors.New("account HUB has no JetStream")
	}
	if err != nil {
		return nil, fmt.Errorf("open sessions: %w", err)
	}
	return r, nil
}

// Note records a session before its rights are judged: a right that ends while the
// connection is being made is then seen by one side or the other. It refuses who is kept out.
func (r *Registry) Note(ctx context.Context, s Session) error {
	s.Since, s.Program = time.Now().UTC().Truncate(time.Millisecond), s.Program[:min(len(s.Program), maxShown)]
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if _, err := r.bucket.Put(ctx, s.key(), data); err != nil {
		return fmt.Errorf("note session: %w", err)
	}
	if until := r.denied.Denied(s.Account); !until.IsZero() {
		_ = r.bucket.Delete(ctx, s.key()) // it ends by itself as well
		return fault.New(fault.Refused, "the member is kept out of rooms until %s", until.UTC().Format(time.RFC3339))
	}
	return nil
}

// maxShown bounds what is kept of a client's own words, in bytes.
const maxShown = 256

// of lists the sessions of an account.
func (r *Registry) of(ctx context.Context, account string) ([]Session, error) {
	return r.list(ctx, account+".*.*")
}

func (r *Registry) list(ctx context.Context, pattern string) ([]Session, error) {
	keys, err := ledger.Keys(ctx, r.bucket, pattern)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var sessions []Session
	for _, key := range keys {
		entry, err := r.bucket.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		var s Session
		if err := json.Unmarshal(entry.Value(), &s); err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		sessions = append(sessions, s)
	}
	return sessions, nil
}

// Kick closes a connection, by server id and client id.
type Kick func(ctx context.Context, server string, client uint64) error

// Evictions closes the connections whose rights an event ended. settled waits until the
// views by which the callout judges have digested the event.
func (r *Registry) Evictions(kick Kick, settled func(context.Context, ledger.Entry) error) ledger.Projection {
	return ledger.Projection{
		Name:     "evictions",
		Subjects: []string{chain.RoomSubject("*"), chain.PersonSubject("*")},
		Fold: func(ctx context.Context, entry ledger.Entry) error {
			account, ended := whoseRights(entry)
			if ended == nil {
				return nil
			}
			if err := settled(ctx, entry); err != nil {
				return err
			}
			sessions, err := r.of(ctx, account)
			if err != nil {
				return err
			}
			gone := audit.Closed{By: audit.ByRights, Why: entry.Event.Type, Name: account}
			for _, s := range sessions {
				if !ended(s) {
					continue
				}
				if err := kick(ctx, s.Server, s.Client); err != nil {
					return err
				}
				gone.Closed = append(gone.Closed, audit.Connection{Server: s.Server, CID: s.Client})
			}
			if len(gone.Closed) > 0 {
				r.Closed(gone)
			}
			return nil
		},
	}
}

// EndBrowser closes the connections that came with a browser's session, which has ended.
func (r *Registry) EndBrowser(ctx context.Context, kick Kick, account, browser string) error {
	sessions, err := r.of(ctx, account)
	if err != nil {
		return err
	}
	gone := audit.Closed{By: audit.ByRights, Why: "session ended", Name: account}
	for _, s := range sessions {
		if s.Browser != browser {
			continue
		}
		if err := kick(ctx, s.Server, s.Client); err != nil {
			return err
		}
		gone.Closed = append(gone.Closed, audit.Connection{Server: s.Server, CID: s.Client})
	}
	if len(gone.Closed) > 0 {
		r.Closed(gone)
	}
	return nil
}

// whoseRights says whose sessions an event touches, and which of them; nil for none.
func whoseRights(entry ledger.Entry) (account string, ended func(Session) bool) {
	ev := entry.Event
	inRoom := func(s Session) bool {
		return slices.Contains(s.Rooms, strings.TrimPrefix(ev.Subject, chain.RoomSubject("")))
	}
	author := ev.Author.Text(trust.Account)
	switch ev.Type {
	case chain.RevokeRoom:
		if body, err := chain.Parse[chain.RevokeRoomBody](ev); err == nil {
			return body.Account, inRoom
		}
	case chain.GrantRoom: // a new role may be a lesser one
		if body, err := chain.Parse[chain.GrantRoomBody](ev); err == nil {
			return body.Account, inRoom
		}
	case chain.LeaveRoom:
		return author, inRoom
	case chain.RevokeDevice:
		if body, err := chain.Parse[chain.RevokeDeviceBody](ev); err == nil {
			return author, func(s Session) bool { return s.Device == body.Device }
		}
	}
	return "", nil
}
