// Package browsers knows which browsers are signed in: their sessions, each opened by a
// device of a member and shown by a cookie (docs/protocol/web.md). A session ends when its
// device does, when nobody used it for a month, or when it is ended; then everything that
// hangs on it is cut.
package browsers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/ledger"
	"keyhall.dev/keyhall/internal/people"
	"keyhall.dev/keyhall/trust"
)

// Bucket is the bucket of sessions. Its keys: session.<id>, and of.<A>.<U> with the id of the
// device's session, or nothing after it has ended: a device that was a browser's stays one.
const Bucket = "BROWSERS"

const (
	life      = 30 * 24 * time.Hour // without use
	noteEvery = time.Minute
	maxAgent  = 200 // bytes of what a browser calls itself
)

// ErrNone is the error of a cookie that shows no session.
var ErrNone = errors.New("no session")

// Session is a browser that is signed in.
type Session struct {
	ID      string    `json:"id"`
	Account string    `json:"account"`
	Device  string    `json:"device"` // U…
	Hash    []byte    `json:"hash"`   // of the cookie
	Made    time.Time `json:"made"`
	Seen    time.Time `json:"seen"`  // when it was used last, to a minute
	From    string    `json:"from"`  // address it came from then
	Agent   string    `json:"agent"` // the browser, as it calls itself

	Handle  string    `json:"-"` // of the person
	Name    string    `json:"-"` // of the device
	Expires time.Time `json:"-"`
}

// Sessions are the sessions of a hub.
type Sessions struct {
	People *people.View
	Cookie string // name of the cookie
	// Ended closes what a session that has ended still has in ROOMS.
	Ended func(ctx context.Context, session *Session) error

	bucket  jetstream.KeyValue
	sockets sockets
	now     func() time.Time
}

// Open opens the sessions over nc (in account HUB). replicas is how many servers hold a copy.
func Open(ctx context.Context, nc *nats.Conn, replicas int, s Sessions) (*Sessions, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open browsers: %w", err)
	}
	s.bucket, err = js.KeyValue(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		s.bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: Bucket, Description: "Keyhall: browsers that are signed in", History: 1, MaxValueSize: 4 << 10, Replicas: replicas,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open browsers: %w", err)
	}
	s.now, s.sockets = time.Now, newSockets()
	return &s, nil
}

func sessionKey(id string) string             { return "session." + id }
func deviceKey(account, device string) string { return "of." + account + "." + device }
func none() error {
	return fault.Wrap(fault.Refused, ErrNone, "you are not signed in here, or not any more")
}

func unavailable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the hub cannot get at its sessions now; try again")
}

// IDOf is the id of the session that a cookie would show, whether there is one or not.
func IDOf(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return trust.FormatID([16]byte(sum[:16]))
}

// New opens a session for a device of a person, which has proved itself, in the place of the
// one that it had. It returns what the cookie holds.
func (s *Sessions) New(ctx context.Context, account, device, from, agent string) (*Session, string, error) {
	var secret [32]byte
	rand.Read(secret[:]) // never fails since Go 1.24
	cookie := base64.RawURLEncoding.EncodeToString(secret[:])
	sum := sha256.Sum256([]byte(cookie))
	now := s.now().UTC().Truncate(time.Millisecond)
	session := &Session{
		ID: IDOf(cookie), Account: account, Device: device, Hash: sum[:], Made: now, Seen: now, From: from, Agent: cut(agent),
	}
	before, revision, err := s.ofDevice(ctx, account, device)
	if err != nil {
		return nil, "", err
	}
	if err := s.stand(ctx, session); err != nil {
		return nil, "", err
	}
	data, err := json.Marshal(session)
	if err != nil {
		return nil, "", fmt.Errorf("open session: %w", err)
	}
	if _, err := s.bucket.Create(ctx, sessionKey(session.ID), data); err != nil {
		return nil, "", unavailable(err)
	}
	if err := s.place(ctx, session, revision); err != nil {
		return nil, "", errors.Join(err, s.bucket.Purge(ctx, sessionKey(session.ID)))
	}
	if before != nil {
		if err := s.drop(ctx, before); err != nil {
			return nil, "", err
		}
	}
	return session, cookie, nil
}

// place makes a session its device's, which from here on is a browser's. Of two that are opened at once only one is: the
// other would be in nobody's list, and nobody could end what was opened with it.
func (s *Sessions) place(ctx context.Context, session *Session, before uint64) error {
	_, err := s.bucket.Update(ctx, deviceKey(session.Account, session.Device), []byte(session.ID), before)
	switch {
	case errors.Is(err, jetstream.ErrKeyExists):
		return fault.Wrap(fault.Conflict, err, "this device was signed in or out at the same time; try again")
	case err != nil:
		return unavailable(err)
	}
	return nil
}

// Live is the session that a cookie shows, of a device that still is its person's. The error
// matches ErrNone where there is none.
func (s *Sessions) Live(ctx context.Context, cookie string) (*Session, error) {
	session, _, err := s.get(ctx, IDOf(cookie))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(cookie))
	if session == nil || subtle.ConstantTimeCompare(sum[:], session.Hash) != 1 {
		return nil, none()
	}
	current, _, err := s.ofDevice(ctx, session.Account, session.Device)
	if err != nil {
		return nil, err
	}
	if current == nil || current.ID != session.ID { // another was opened in its place
		return nil, none()
	}
	return session, s.stand(ctx, session)
}

// Judge is the session of a device that enters ROOMS with a cookie, nil of a device that is no
// browser's. The error matches ErrNone where the device is one, and the cookie not its own.
func (s *Sessions) Judge(ctx context.Context, account, device, cookie string) (*Session, error) {
	browser, err := s.IsBrowser(ctx, account, device)
	if err != nil || !browser {
		return nil, err
	}
	session, err := s.Live(ctx, cookie)
	if err != nil {
		return nil, err
	}
	if session.Account != account || session.Device != device {
		return nil, none()
	}
	return session, nil
}

// IsBrowser reports whether a device has opened a session once.
func (s *Sessions) IsBrowser(ctx context.Context, account, device string) (bool, error) {
	_, err := s.bucket.Get(ctx, deviceKey(account, device))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, unavailable(err)
	}
	return true, nil
}

// Of is the live session of a device; nil for none.
func (s *Sessions) Of(ctx context.Context, account, device string) (*Session, error) {
	session, _, err := s.ofDevice(ctx, account, device)
	if err != nil || session == nil {
		return nil, err
	}
	if err := s.stand(ctx, session); errors.Is(err, ErrNone) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return session, nil
}

// List are the live sessions of a person, the newest first.
func (s *Sessions) List(ctx context.Context, account string) ([]*Session, error) {
	devices, err := s.keys(ctx, deviceKey(account, "*"))
	if err != nil {
		return nil, err
	}
	var found []*Session
	for _, key := range devices {
		session, err := s.Of(ctx, account, key[len(deviceKey(account, "")):])
		if err != nil {
			return nil, err
		}
		if session != nil {
			found = append(found, session)
		}
	}
	slices.SortFunc(found, func(a, b *Session) int { return b.Made.Compare(a.Made) })
	return found, nil
}

// Note notes that a session is used, at most once a minute.
func (s *Sessions) Note(ctx context.Context, session *Session, from, agent string) error {
	if s.now().Sub(session.Seen) < noteEvery {
		return nil
	}
	current, revision, err := s.get(ctx, session.ID)
	if err != nil || current == nil {
		return err
	}
	current.Seen = s.now().UTC().Truncate(time.Millisecond)
	if from != "" {
		current.From, current.Agent = from, cut(agent)
	}
	data, err := json.Marshal(current)
	if err != nil {
		return fmt.Errorf("note session: %w", err)
	}
	// One that has ended meanwhile, or was noted by somebody else, has another revision.
	_, err = s.bucket.Update(ctx, sessionKey(session.ID), data, revision)
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return unavailable(err)
	}
	return nil
}

// End ends a session, and cuts what hangs on it.
func (s *Sessions) End(ctx context.Context, session *Session) error {
	current, err := s.bucket.Get(ctx, deviceKey(session.Account, session.Device))
	if err == nil && string(current.Value()) == session.ID {
		_, err = s.bucket.Update(ctx, deviceKey(session.Account, session.Device), nil, current.Revision())
	}
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) && !errors.Is(err, jetstream.ErrKeyExists) {
		return unavailable(err)
	}
	return s.drop(ctx, session)
}

// drop forgets a session first, so that nothing comes back by it, and cuts then.
func (s *Sessions) drop(ctx context.Context, session *Session) error {
	if err := s.bucket.Purge(ctx, sessionKey(session.ID)); err != nil {
		return unavailable(err)
	}
	s.sockets.cut(session.ID)
	return s.Ended(ctx, session)
}

// stand fills in what the person's chain says of a session's device, and fails with ErrNone
// where that does not stand any more.
func (s *Sessions) stand(ctx context.Context, session *Session) error {
	person, err := s.People.Device(ctx, session.Device)
	if fault.Is(err, fault.NotFound) {
		// It stood there when the session was opened: the view has not come so far yet.
		return fault.Wrap(fault.Unavailable, err, "the hub is starting; try again in a moment")
	}
	if err != nil {
		return err
	}
	fact := person.State.Devices[session.Device]
	session.Expires = session.Seen.Add(life)
	if fact.Expires.Before(session.Expires) {
		session.Expires = fact.Expires
	}
	if person.State.Account != session.Account || fact.Revoked != 0 || !s.now().Before(session.Expires) {
		return none()
	}
	session.Name, session.Handle = fact.Name, person.State.Handle
	return nil
}

// ofDevice is the session of a device, nil for none, and the revision of what says so, 0 for nothing.
func (s *Sessions) ofDevice(ctx context.Context, account, device string) (*Session, uint64, error) {
	entry, err := s.bucket.Get(ctx, deviceKey(account, device))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, unavailable(err)
	}
	if len(entry.Value()) == 0 {
		return nil, entry.Revision(), nil
	}
	session, _, err := s.get(ctx, string(entry.Value()))
	return session, entry.Revision(), err
}

// get is a session by id, and its revision; nil for none.
func (s *Sessions) get(ctx context.Context, id string) (*Session, uint64, error) {
	entry, err := s.bucket.Get(ctx, sessionKey(id))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, unavailable(err)
	}
	session := new(Session)
	if err := json.Unmarshal(entry.Value(), session); err != nil {
		return nil, 0, fmt.Errorf("session %s: %w", id, err)
	}
	return session, entry.Revision(), nil
}

func (s *Sessions) keys(ctx context.Context, filter string) ([]string, error) {
	keys, err := ledger.Keys(ctx, s.bucket, filter)
	if err != nil {
		return nil, unavailable(err)
	}
	return keys, nil
}

// cut is text within a bound, without half a character at its end.
func cut(text string) string {
	if len(text) > maxAgent {
		text = text[:maxAgent]
	}
	for !utf8.ValidString(text) && len(text) > 0 {
		text = text[:len(text)-1]
	}
	return text
}
