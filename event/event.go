package event

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"keyhall.dev/keyhall/trust"
)

// The bounds of an event.
const (
	MaxBody     = 512 << 10 // bytes of a body
	maxType     = 64
	maxSubject  = 255
	maxAudience = 128
	fixedToken  = 16 + 32 + 32 + 8 + 8 + 8 + 32 + 32 + 32 + 32
	maxContent  = 100
	maxToken    = fixedToken + 2 + maxType + 2 + maxSubject + 2 + maxAudience + maxExtra
	version     = 1
	signature   = 64
	labelRoom   = 32
)

// MaxEncoded is the most bytes the compact form of an event has.
const MaxEncoded = 4 + maxToken + 2*signature + MaxBody

// The ways in which an event can be wrong. Errors of this package match one of them.
var (
	ErrMalformed = errors.New("malformed event")
	ErrBody      = errors.New("body is not the one that was signed")
	ErrSignature = errors.New("signature does not hold")
	ErrNotMeant  = errors.New("event was made for another place")
	ErrTime      = errors.New("event is from another time")
)

// Hash names an event in a chain: SHA-256 of what its signature covers.
type Hash [32]byte

// IsZero reports whether h is the absent hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// String is h in hexadecimal, empty for the absent hash.
func (h Hash) String() string {
	if h.IsZero() {
		return ""
	}
	return hex.EncodeToString(h[:])
}

// MarshalText is String; it makes hashes readable in JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes and nothing else.
func (h *Hash) UnmarshalText(text []byte) error {
	*h = Hash{}
	if len(text) == 0 {
		return nil
	}
	if len(text) != 64 || !bytes.Equal(bytes.ToLower(text), text) {
		return fmt.Errorf("%w: a hash is 64 digits of lower-case hex", ErrMalformed)
	}
	if _, err := hex.Decode(h[:], text); err != nil || h.IsZero() {
		return fmt.Errorf("%w: a hash is 64 digits of lower-case hex", ErrMalformed)
	}
	return nil
}

// Event is a statement. The fields down to Receipt are the token; times have
// millisecond precision.
type Event struct {
	ID       uuid.UUID       // version 7
	Author   trust.PublicKey // identity of the person, or the operator key of a hub
	Device   trust.PublicKey // who signs
	Time     time.Time       // when it was signed
	NotAfter time.Time       // last moment to act on it; zero: no limit
	Seq      uint64          // place in the subject's chain, from 1; 0: not chained
	Prev     Hash            // the event before it in the chain
	Head     Hash            // newest hash of the author's (in a room: the room's) chain
	Epoch    Hash            // epoch event whose key seals Body; zero: not sealed
	Type     string
	Subject  string
	Audience string

	Cause   Hash   // the event that this one came out of; zero: it is a first one
	Digest  Digest // what hashes the body
	Content string // media type of the body before it was sealed; empty: not said
	Receipt string // NATS subject for the receipt of the last one that comes out of it; empty: none is wanted

	Body []byte

	bodyHash   [32]byte
	signatures [][signature]byte
	batch      *proof // in place of signatures, of an event that was signed with others
}

// Digest is a hash function for bodies.
type Digest uint8

// The digests. An event says which one it has.
const (
	SHA256     Digest = 0
	SHA512x256 Digest = 1 // SHA-512/256
)

// String is the name of the function.
func (d Digest) String() string {
	switch d {
	case SHA256:
		return "SHA-256"
	case SHA512x256:
		return "SHA-512/256"
	}
	return "unknown"
}

func (d Digest) sum(body []byte) [32]byte {
	if d == SHA512x256 {
		return sha512.Sum512_256(body)
	}
	return sha256.Sum256(body)
}

// Sign gives the event an id and a time if it has none, and signs it with key, which
// becomes its Device. Events are signed when they are sent.
func (e *Event) Sign(key *trust.KeyPair) error {
	if err := e.stamp(); err != nil {
		return err
	}
	e.Device = key.Public()
	e.bodyHash = e.Digest.sum(e.Body)
	if err := e.checkBounds(); err != nil {
		return err
	}
	e.signatures, e.batch = [][signature]byte{key.Sign(e.signed())}, nil
	return nil
}

// Stamp gives the event an id and a time, if it has none, and names the device that will
// sign it: for bodies that are bound to them. Then set the body and Sign.
func (e *Event) Stamp(device trust.PublicKey) error {
	e.Device = device
	return e.stamp()
}

// stamp gives the event what it still lacks of an id and a time.
func (e *Event) stamp() error {
	if e.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make event id: %w", err)
		}
		e.ID = id
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	e.NotAfter = e.NotAfter.UTC().Truncate(time.Millisecond)
	return nil
}

// CoSign adds the second signature, by a key that the body names.
func (e *Event) CoSign(key *trust.KeyPair) error {
	if len(e.signatures) != 1 {
		return fmt.Errorf("%w: a co-signature follows the first", ErrSignature)
	}
	e.signatures = append(e.signatures, key.Sign(e.signed()))
	return nil
}

// Check verifies the body's hash and the device's signature. Whether the device is the
// author's, the caller knows.
func (e *Event) Check() error {
	if err := e.checkBody(); err != nil {
		return err
	}
	return e.CheckWithheld()
}

// CheckWithheld verifies the signature alone, of an event whose body was withheld.
func (e *Event) CheckWithheld() error {
	if e.batch != nil {
		return e.batch.check(e)
	}
	if len(e.signatures) == 0 || !trust.Verify(e.Device, e.signed(), e.signatures[0][:]) {
		return ErrSignature
	}
	return nil
}

// CheckCoSignature verifies the second signature as that of key.
func (e *Event) CheckCoSignature(key trust.PublicKey) error {
	if len(e.signatures) != 2 || !trust.Verify(key, e.signed(), e.signatures[1][:]) {
		return fmt.Errorf("%w: co-signature", ErrSignature)
	}
	return nil
}

// Meant returns an error that matches ErrNotMeant unless the event was made for this
// type, subject and audience.
func (e *Event) Meant(kind, subject, audience string) error {
	switch {
	case e.Type != kind:
		return fmt.Errorf("%w: its type is %q", ErrNotMeant, e.Type)
	case e.Subject != subject:
		return fmt.Errorf("%w: its subject is another", ErrNotMeant)
	case e.Audience != audience:
		return fmt.Errorf("%w: its audience is another", ErrNotMeant)
	}
	return nil
}

// Fresh returns an error that matches ErrTime unless the event can be acted on at now:
// not signed after it (by more than trust.ClockSkew) and not past NotAfter.
func (e *Event) Fresh(now time.Time) error {
	if e.Time.After(now.Add(trust.ClockSkew)) {
		return fmt.Errorf("%w: it was signed in the future; check both clocks", ErrTime)
	}
	if !e.NotAfter.IsZero() && now.After(e.NotAfter) {
		return fmt.Errorf("%w: it was to be acted on earlier; check both clocks", ErrTime)
	}
	return nil
}

// Hash names the event in chains.
func (e *Event) Hash() Hash { return sha256.Sum256(e.signed()) }

// SignedHash is SHA-256 of what is signed and of the first signature: it names this very
// signed statement, where Hash names the statement.
func (e *Event) SignedHash() [32]byte {
	signed := e.signed()
	switch {
	case e.batch != nil:
		signed = append(signed, e.batch.sig[:]...)
	case len(e.signatures) > 0:
		signed = append(signed, e.signatures[0][:]...)
	}
	return sha256.Sum256(signed)
}

// signed is what signatures cover: the label and the token.
func (e *Event) signed() []byte {
	return e.statement("event", e.bodyHash)
}

// statement is the label of a kind and the token.
func (e *Event) statement(kind string, bodyHash [32]byte) []byte {
	return e.appendToken(trust.AppendLabel(make([]byte, 0, labelRoom+e.tokenSize()), kind), bodyHash)
}

// tokenSize is about how many bytes the token has, and not fewer.
func (e *Event) tokenSize() int {
	size := fixedToken + 6 + len(e.Type) + len(e.Subject) + len(e.Audience)
	if !e.Cause.IsZero() || e.Digest != SHA256 || e.Content != "" || e.Receipt != "" {
		size += 4*3 + len(e.Cause) + 1 + len(e.Content) + len(e.Receipt)
	}
	return size
}

func (e *Event) appendToken(b []byte, bodyHash [32]byte) []byte {
	b = append(b, e.ID[:]...)
	b = append(b, e.Author[:]...)
	b = append(b, e.Device[:]...)
	b = binary.BigEndian.AppendUint64(b, millis(e.Time))
	b = binary.BigEndian.AppendUint64(b, millis(e.NotAfter))
	b = binary.BigEndian.AppendUint64(b, e.Seq)
	b = append(b, e.Prev[:]...)
	b = append(b, e.Head[:]...)
	b = append(b, e.Epoch[:]...)
	b = append(b, bodyHash[:]...)
	for _, text := range []string{e.Type, e.Subject, e.Audience} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
		b = append(b, text...)
	}
	return e.appendExtra(b)
}

func millis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}

func fromMillis(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}
