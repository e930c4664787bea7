package event

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"keyhall.dev/keyhall/trust"
)

// The ways in which an event can be none for this reader. Errors of Check match one of
// these, or one of those of Event.
var (
	ErrUntrusted = errors.New("nobody who is trusted vouches for the publisher")
	ErrRevoked   = errors.New("the publisher was revoked")
	ErrDigest    = errors.New("event has another digest than is taken here")
)

// Rules say what a TokenManager believes, and how it makes events. The zero Rules believe
// nobody.
type Rules struct {
	// Accounts (A…) and operators (O…, signing keys too) whose word is taken for who may
	// publish. An account's word is its own signature on a user; an operator's is for
	// everybody in its accounts.
	Accounts  []string
	Operators []string
	// Allow, if set, is asked about every publisher that the keys vouch for, once for
	// each access token; its error is why not.
	Allow func(*Access) error

	Digest   Digest        // the one that is used, and the only one that is taken
	Skew     time.Duration // how far honest clocks may be apart; trust.ClockSkew if 0
	Life     time.Duration // how long an event may be acted on; 0: as long as one likes
	Audience string        // whom events are for that are issued here; "" : everybody
	// Is are the audiences that this reader is. Events for others are refused.
	Is []string
}

// TokenManager issues and checks the two tokens of an event: the access token, which says
// who a publisher is, and the event token, which says everything about one event.
// Publishers and subscribers have one each. It is safe for concurrent use.
type TokenManager struct {
	rules     Rules
	accounts  map[trust.PublicKey]bool
	operators map[trust.PublicKey]bool

	device *trust.KeyPair // signs; nil: this one only checks
	access *Access        // its own

	mu      sync.Mutex
	known   map[Hash]*Access // verified and believed
	order   []Hash           // oldest first
	revoked map[trust.PublicKey]Revocation
	roots   map[rootKey]bool // verified signatures over batches
}

const (
	knownTokens = 4096
	knownRoots  = 256
)

// NewTokenManager makes a manager that checks by rules.
func NewTokenManager(rules Rules) (*TokenManager, error) {
	if rules.Skew == 0 {
		rules.Skew = trust.ClockSkew
	}
	if rules.Skew < 0 || rules.Life < 0 || rules.Digest > SHA512x256 {
		return nil, errors.New("token manager: a time or a digest that is none")
	}
	m := &TokenManager{
		rules: rules, known: make(map[Hash]*Access), revoked: make(map[trust.PublicKey]Revocation), roots: make(map[rootKey]bool),
	}
	var err error
	if m.accounts, err = publicKeys(trust.Account, rules.Accounts); err != nil {
		return nil, err
	}
	m.operators, err = publicKeys(trust.Operator, rules.Operators)
	return m, err
}

func publicKeys(kind trust.Kind, texts []string) (map[trust.PublicKey]bool, error) {
	keys := make(map[trust.PublicKey]bool, len(texts))
	for _, text := range texts {
		key, err := trust.ParsePublicKey(kind, text)
		if err != nil {
			return nil, fmt.Errorf("token manager: %q: %w", text, err)
		}
		keys[key] = true
	}
	return keys, nil
}

// SignAs makes the manager issue events as a device, with its access token. Both can be
// renewed at any time by another call.
func (m *TokenManager) SignAs(device *trust.KeyPair, access string) error {
	own, err := ParseAccess(access)
	if err != nil {
		return err
	}
	if own.Device != device.Public() {
		return fmt.Errorf("%w: it is another user's than the key", ErrAccess)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.device, m.access = device, own
	return nil
}

// Access is the access token of those who issue, "" of those who only check.
func (m *TokenManager) Access() string {
	if _, access := m.signer(); access != nil {
		return access.String()
	}
	return ""
}

func (m *TokenManager) signer() (*trust.KeyPair, *Access) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.device, m.access
}

// prepare completes an event by the manager's rules, without signing it: author, device,
// id, time, end, audience and digest, where they are not set. It says who signs it.
func (m *TokenManager) prepare(e *Event) (*trust.KeyPair, *Access, error) {
	device, access := m.signer()
	if device == nil {
		return nil, nil, fmt.Errorf("%w: this manager has none to issue with", ErrAccess)
	}
	e.Author, e.Digest = access.Account, m.rules.Digest
	if e.Audience == "" {
		e.Audience = m.rules.Audience
	}
	if err := e.Stamp(device.Public()); err != nil {
		return nil, nil, err
	}
	if e.NotAfter.IsZero() && m.rules.Life > 0 {
		e.NotAfter = e.Time.Add(m.rules.Life)
	}
	return device, access, access.GoodAt(e.Time, m.rules.Skew)
}

// Issue completes an event by the manager's rules and signs it: author, device, id, time,
// end, audience and digest are set where they are not. The envelope has the access token.
func (m *TokenManager) Issue(e *Event) (*Envelope, error) {
	device, access, err := m.prepare(e)
	if err != nil {
		return nil, err
	}
	if err := e.Sign(device); err != nil {
		return nil, err
	}
	return &Envelope{Event: e, Access: access.String(), Which: access.Hash()}, nil
}

// Moment is when a reader has an event before it.
type Moment struct {
	Now    time.Time // by the reader's clock; the zero time: time.Now()
	Stored time.Time // when a stream stored it, by the stream's; the zero time: none did
	// Acts says that the event is acted on now, so that its end counts. Who reads what
	// was, or was busy for a day, leaves it false.
	Acts bool
}

// Check verifies an event and who made it, by the access token that came with it. The
// access token is judged at the time of the event, so a reader that is late takes it too.
// The error says which check failed.
func (m *TokenManager) Check(e *Event, access *Access, at Moment) error {
	if err := firstWrong(m.aboutBytes(e)); err != nil {
		return err
	}
	return firstWrong(m.aboutPublisher(e, access, at))
}

// CheckAll is Check of events that arrived together; the signatures among them are verified
// together. It judges each as Check does.
func (m *TokenManager) CheckAll(events []*Event, access []*Access, at Moment) []error {
	return m.checkAll(events, access, func(int) Moment { return at })
}

func (m *TokenManager) checkAll(events []*Event, access []*Access, at func(int) Moment) []error {
	errs := CheckAll(events)
	for i, e := range events {
		if err := m.checkDigest(e); err != nil {
			errs[i] = err
		}
		if errs[i] == nil {
			errs[i] = firstWrong(m.aboutPublisher(e, access[i], at(i)))
		}
	}
	return errs
}

// Verify verifies an envelope: the event as Check does, and its trail, link by link. Access
// tokens that did not travel with it are asked of from, which may be nil.
func (m *TokenManager) Verify(ctx context.Context, v *Envelope, at Moment, from AccessSource) error {
	return firstWrong(m.verdicts(ctx, v, at, from))
}

func (m *TokenManager) verifyTrail(ctx context.Context, v *Envelope, from AccessSource) error {
	return firstWrong(m.aboutTrail(ctx, v, from))
}

// Receive verifies an envelope that came another way than to a Subscriber, in a file say:
// so that something can come out of it (From).
func (m *TokenManager) Receive(ctx context.Context, v *Envelope, at Moment, from AccessSource) (*Received, error) {
	if err := m.Verify(ctx, v, at, from); err != nil {
		return nil, err
	}
	return &Received{
		Event: v.Event, Data: v.Event.Body, Access: m.knownAccess(v.Which), Trail: v.Trail, Stored: at.Stored, which: v.Which, hash: v.Event.Hash(),
	}, nil
}

// resolve is the access token that came inline, or the one with a hash.
func (m *TokenManager) resolve(ctx context.Context, inline string, hash Hash, from AccessSource) (*Access, error) {
	if known := m.knownAccess(hash); known != nil {
		return known, nil
	}
	text := inline
	if text == "" {
		if hash.IsZero() {
			return nil, fmt.Errorf("%w: there is none", ErrAccess)
		}
		if from == nil {
			return nil, fmt.Errorf("%w: it travelled with an earlier event, and there is nobody to ask", ErrAccess)
		}
		var err error
		if text, err = from.FindAccess(ctx, hash); err != nil {
			return nil, err
		}
	}
	access, err := ParseAccess(text)
	if err != nil {
		return nil, err
	}
	if access.Hash() != hash {
		return nil, fmt.Errorf("%w: it is another one than the event names", ErrAccess)
	}
	return access, nil
}

// checkSignature verifies a signature, one over a batch only once.
func (m *TokenManager) checkSignature(e *Event) error {
	if e.batch == nil {
		return e.CheckWithheld()
	}
	root, ok := e.batch.root(e)
	if !ok {
		return ErrSignature
	}
	key := rootKey{e.Device, root, e.batch.count, e.batch.sig}
	m.mu.Lock()
	known := m.roots[key]
	m.mu.Unlock()
	if known {
		return nil
	}
	if err := e.batch.check(e); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.roots) >= knownRoots {
		clear(m.roots)
	}
	m.roots[key] = true
	return nil
}

// believe reports whether somebody who is trusted vouches for the account.
func (m *TokenManager) believe(access *Access) error {
	m.mu.Lock()
	_, known := m.known[access.Hash()]
	m.mu.Unlock()
	if known {
		return nil
	}
	byAccount := access.direct && m.accounts[access.Account]
	byOperator := !access.Operator.IsZero() && m.operators[access.Operator]
	if !byAccount && !byOperator {
		return fmt.Errorf("%w: account %s", ErrUntrusted, access.Account.Text(trust.Account))
	}
	if m.rules.Allow != nil {
		if err := m.rules.Allow(access); err != nil {
			return fmt.Errorf("%w: %w", ErrUntrusted, err)
		}
	}
	m.remember(access)
	return nil
}

func (m *TokenManager) remember(access *Access) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.order) >= knownTokens {
		delete(m.known, m.order[0])
		m.order = m.order[1:]
	}
	hash := access.Hash()
	m.known[hash] = access
	m.order = append(m.order, hash)
}

// knownAccess is a token that was believed before, nil if it is a new one.
func (m *TokenManager) knownAccess(hash Hash) *Access {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[hash]
}

func (m *TokenManager) checkTime(e *Event, at Moment) error {
	now := at.Now
	if now.IsZero() {
		now = time.Now()
	}
	switch {
	case e.Time.After(now.Add(m.rules.Skew)):
		return fmt.Errorf("%w: it was signed in the future; check both clocks", ErrTime)
	case !at.Stored.IsZero() && e.Time.Sub(at.Stored).Abs() > m.rules.Skew:
		return fmt.Errorf("%w: it is %s away from when it was stored", ErrTime, e.Time.Sub(at.Stored).Abs().Round(time.Second))
	case m.rules.Life > 0 && (e.NotAfter.IsZero() || e.NotAfter.Sub(e.Time) > m.rules.Life):
		return fmt.Errorf("%w: it would live longer than %s", ErrTime, m.rules.Life)
	case at.Acts && !e.NotAfter.IsZero() && now.After(e.NotAfter):
		return fmt.Errorf("%w: it was to be acted on earlier", ErrTime)
	case at.Stored.IsZero() && e.NotAfter.IsZero() && now.Sub(e.Time) > m.rules.Skew:
		return fmt.Errorf("%w: it is %s old, and no stream says that it was there in time", ErrTime, now.Sub(e.Time).Round(time.Second))
	}
	return nil
}

// Revocation is from when on a device's events are not believed.
type Revocation struct {
	// After is the time of its last good event. What was stored in a stream by then is
	// believed for good: the stream's host may let a thief put events of then there, unless
	// Last says more.
	After time.Time
	// Last are the last good places of its chains, by subject, where they are known. They
	// hold whatever the clocks say.
	Last map[string]Place
}

// Place is a place in a publisher's chain on a subject.
type Place struct {
	Seq  uint64
	Hash Hash
}

// Revoke takes a device's word back, from a moment on.
func (m *TokenManager) Revoke(device trust.PublicKey, from Revocation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revoked[device] = from
}

func (m *TokenManager) checkRevoked(e *Event, at Moment) error {
	m.mu.Lock()
	from, revoked := m.revoked[e.Device]
	m.mu.Unlock()
	if !revoked {
		return nil
	}
	if last, known := from.Last[e.Subject]; known {
		switch {
		case e.Seq == 0 || e.Seq > last.Seq:
			return fmt.Errorf("%w: its last good event on this subject is number %d", ErrRevoked, last.Seq)
		case e.Seq == last.Seq && e.Hash() != last.Hash:
			return fmt.Errorf("%w: its last good event on this subject is another", ErrRevoked)
		}
		return nil
	}
	seen := at.Stored
	if seen.IsZero() {
		if seen = at.Now; seen.IsZero() {
			seen = time.Now()
		}
	}
	if e.Time.After(from.After) || seen.After(from.After.Add(m.rules.Skew)) {
		return fmt.Errorf("%w: at %s", ErrRevoked, from.After.UTC().Format(time.RFC3339))
	}
	return nil
}

// AccessSource finds access tokens by their hash. Its answers are believed as little as
// anything else that comes over the wire.
type AccessSource interface {
	// FindAccess returns the text of a token, or an error that matches ErrAccess.
	FindAccess(ctx context.Context, hash Hash) (string, error)
}
