package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyhall.dev/keyhall/trust"
)

// The kinds of events on the keys subject of a private stream.
const (
	epochType = "epoch"
	grantType = "epoch.grant"
)

// MaxReaders is how many readers a private stream has at most: their boxes fit one event.
const MaxReaders = 2000

// Ring is the ring of keys of a private stream: who reads it, and, for each of its readers,
// the keys of the epochs that they may read. It is folded from the signed events on the
// stream's keys subject, which only its keepers write. It is safe for concurrent use.
type Ring struct {
	subject string // of its events, and its name
	keepers map[trust.PublicKey]bool
	own     *trust.XKey
	m       *TokenManager
	access  AccessSource

	mu      sync.Mutex
	epochs  map[Hash]*epoch
	current Hash
	next    uint64 // stream sequence from which on events are not known yet
}

// epoch is a time in which the readers of a stream did not become fewer.
type epoch struct {
	number     int
	commitment [32]byte
	readers    map[string]bool // by xkey
	key        *EpochKey       // nil for who may not read it
}

// epochBody begins an epoch.
type epochBody struct {
	Commitment Hash              `json:"commitment"`
	Boxes      map[string][]byte `json:"boxes"` // by the reader's xkey
	Previous   Hash              `json:"previous,omitzero"`
}

// grantBody hands keys to one more reader: that of the current epoch and, where the stream's
// policy has it so, those of earlier ones.
type grantBody struct {
	Reader string            `json:"reader"`
	Boxes  map[string][]byte `json:"boxes"` // by the hash of the epoch
}

// NewRing makes the ring of the private stream whose keys are announced on subject by
// keepers (accounts, A…), as the holder of own sees it. m verifies the events; access finds
// their access tokens.
func NewRing(subject string, keepers []string, own *trust.XKey, m *TokenManager, access AccessSource) (*Ring, error) {
	if !validSubject(subject) || len(keepers) == 0 {
		return nil, errors.New("private stream: its keys need a subject and a keeper")
	}
	keys, err := publicKeys(trust.Account, keepers)
	if err != nil {
		return nil, err
	}
	return &Ring{subject: subject, keepers: keys, own: own, m: m, access: access, epochs: make(map[Hash]*epoch), next: 1}, nil
}

// Sync reads the events of the keys subject that stream has beyond what is known.
func (r *Ring) Sync(ctx context.Context, stream jetstream.Stream) error {
	r.mu.Lock()
	next := r.next
	r.mu.Unlock()
	for {
		raw, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(r.subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read keys: %w", err)
		}
		v, err := ReadMsg(&nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data})
		if err == nil {
			err = r.Take(ctx, v, raw.Time)
		}
		if err != nil && !permanent(err) {
			return err
		}
		next = raw.Sequence + 1 // what a keeper did not say is passed over
		r.mu.Lock()
		r.next = max(r.next, next)
		r.mu.Unlock()
	}
}

// Take folds an event of the keys subject, which the stream stored at a time.
func (r *Ring) Take(ctx context.Context, v *Envelope, stored time.Time) error {
	if err := r.m.Verify(ctx, v, Moment{Stored: stored}, r.access); err != nil {
		return err
	}
	e := v.Event
	if e.Subject != r.subject || !r.keepers[e.Author] {
		return fmt.Errorf("%w: it is no keeper's of this stream", ErrUntrusted)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Type {
	case epochType:
		return r.begin(e)
	case grantType:
		return r.grant(e)
	}
	return fmt.Errorf("%w: type %q", ErrNotMeant, e.Type)
}

// begin folds the beginning of an epoch; it must follow the one that is current.
func (r *Ring) begin(e *Event) error {
	body := new(epochBody)
	if err := trust.ParseCanonical(e.Body, body); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if r.epochs[e.Hash()] != nil {
		return nil // it is known
	}
	if body.Previous != r.current {
		return fmt.Errorf("%w: it does not follow the current epoch", ErrMalformed)
	}
	if body.Commitment.IsZero() || len(body.Boxes) > MaxReaders {
		return fmt.Errorf("%w: an epoch without a commitment, or of more than %d readers", ErrMalformed, MaxReaders)
	}
	started := &epoch{number: len(r.epochs) + 1, commitment: body.Commitment, readers: make(map[string]bool)}
	for reader := range body.Boxes {
		started.readers[reader] = true
	}
	if box := body.Boxes[r.own.String()]; box != nil {
		// A box that does not open keeps its reader out, and nobody else.
		started.key, _ = OpenEpochKey(r.own, r.subject, body.Commitment, box) //nolint:errcheck // see above
	}
	r.epochs[e.Hash()], r.current = started, e.Hash()
	return nil
}

func (r *Ring) grant(e *Event) error {
	body := new(grantBody)
	if err := trust.ParseCanonical(e.Body, body); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	granted := make(map[*epoch][]byte, len(body.Boxes))
	for text, box := range body.Boxes { // all of it counts, or nothing
		var hash Hash
		if err := hash.UnmarshalText([]byte(text)); err != nil {
			return err
		}
		if r.epochs[hash] == nil {
			return fmt.Errorf("%w: it names an epoch that there is none of", ErrMalformed)
		}
		granted[r.epochs[hash]] = box
	}
	for known, box := range granted {
		if known == r.epochs[r.current] {
			known.readers[body.Reader] = true
		}
		if body.Reader == r.own.String() && known.key == nil {
			known.key, _ = OpenEpochKey(r.own, r.subject, known.commitment, box) //nolint:errcheck // as in begin
		}
	}
	return nil
}

// Open is the plaintext of an event of the stream. The error matches ErrNoKey for who may
// not read it, or does not know its epoch yet.
func (r *Ring) Open(e *Event) ([]byte, error) {
	r.mu.Lock()
	known := r.epochs[e.Epoch]
	r.mu.Unlock()
	if known == nil {
		return nil, fmt.Errorf("%w: its epoch is not known", ErrNoKey)
	}
	if known.key == nil {
		return nil, fmt.Errorf("%w: it is of an epoch that is not for this reader", ErrNoKey)
	}
	return e.Open(known.key)
}

// Knows reports whether an epoch is known, with a key or without.
func (r *Ring) Knows(epoch Hash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epochs[epoch] != nil
}

// Seal seals plaintext as the body of an event, under the key of the current epoch, for the
// device that will sign it.
func (r *Ring) Seal(e *Event, device trust.PublicKey, plaintext []byte) error {
	r.mu.Lock()
	hash, current := r.current, r.epochs[r.current]
	r.mu.Unlock()
	if current == nil || current.key == nil {
		return fmt.Errorf("%w: there is no epoch that this publisher may write in", ErrNoKey)
	}
	return e.Seal(current.key, hash, device, plaintext)
}

// Readers are the xkeys of those who read the current epoch, in order.
func (r *Ring) Readers() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	current := r.epochs[r.current]
	if current == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(current.readers))
}

// NewEpoch makes the event that begins an epoch for readers, of whom this ring's holder is
// one in any case. It is complete but for its signature; publish it on the keys subject.
// Whoever is not among the readers reads nothing from then on.
func (r *Ring) NewEpoch(readers []string) (*Event, error) {
	r.mu.Lock()
	previous := r.current
	r.mu.Unlock()
	key := NewEpochKey()
	body := epochBody{Commitment: key.Commitment(r.subject), Previous: previous, Boxes: make(map[string][]byte)}
	for _, reader := range append(slices.Clone(readers), r.own.String()) {
		if err := trust.CheckXKey(reader); err != nil {
			return nil, fmt.Errorf("begin epoch: %w", err)
		}
		box, err := key.BoxFor(reader, r.subject)
		if err != nil {
			return nil, fmt.Errorf("begin epoch: %w", err)
		}
		body.Boxes[reader] = box
	}
	if len(body.Boxes) > MaxReaders {
		return nil, fmt.Errorf("begin epoch: more than %d readers", MaxReaders)
	}
	return r.event(epochType, body)
}

// Grant makes the event that lets one more reader read the current epoch and, with past, all
// earlier ones that this ring's holder reads. It is complete but for its signature.
func (r *Ring) Grant(reader string, past bool) (*Event, error) {
	if err := trust.CheckXKey(reader); err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current.IsZero() {
		return nil, fmt.Errorf("grant: %w: the stream has no epoch yet", ErrNoKey)
	}
	if len(r.epochs[r.current].readers) >= MaxReaders {
		return nil, fmt.Errorf("grant: more than %d readers", MaxReaders)
	}
	body := grantBody{Reader: reader, Boxes: make(map[string][]byte)}
	for hash, known := range r.epochs {
		if known.key == nil || (hash != r.current && !past) {
			continue
		}
		box, err := known.key.BoxFor(reader, r.subject)
		if err != nil {
			return nil, fmt.Errorf("grant: %w", err)
		}
		body.Boxes[hash.String()] = box
	}
	if body.Boxes[r.current.String()] == nil {
		return nil, fmt.Errorf("grant: %w: its own keeper cannot read the current epoch", ErrNoKey)
	}
	return r.event(grantType, body)
}

func (r *Ring) event(kind string, body any) (*Event, error) {
	data, err := trust.Canonical(body)
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	return &Event{Type: kind, Subject: r.subject, Content: "application/json", Body: data}, nil
}
