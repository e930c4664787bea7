package seal

import (
	"errors"
	"fmt"
	"time"

	"keyhall.dev/keyhall/trust"
)

// ErrMalformed is the error of bytes or fields that are not what their page in
// docs/protocol demands.
var ErrMalformed = errors.New("malformed")

// maxBody bounds, in bytes, the JSON of a body before it is parsed: the longest path, all
// escapes, and the rest.
const maxBody = 6*MaxPath + 2048

// Request is what a reader asks for, inside the box of a transfer.open event. Entry is the
// path of an entry, or empty for the listing. Root is what the listing said, and zero where
// the reader has no opinion yet. XKey is a key the reader made for this open alone.
type Request struct {
	Hub   string `json:"hub"`
	Grant string `json:"grant"`
	Entry string `json:"entry"`
	Root  Hash   `json:"root,omitzero"`
	XKey  string `json:"xkey"`
}

// Encode is the canonical JSON of r. The error matches ErrMalformed for a field out of
// bounds.
func (r Request) Encode() ([]byte, error) { return encodeBody(r) }

// ParseRequest reads what Encode gives, and nothing else. Its errors match ErrMalformed.
func ParseRequest(data []byte) (Request, error) {
	return parseBody[Request](data, maxBody)
}

func (r Request) check() error {
	if _, err := trust.ParsePublicKey(trust.Operator, r.Hub); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	if _, err := trust.ParseID(r.Grant); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if r.Entry != "" {
		if err := ValidPath(r.Entry); err != nil {
			return fmt.Errorf("entry: %w", err)
		}
	}
	if err := checkXKey(r.XKey); err != nil {
		return fmt.Errorf("xkey: %w", err)
	}
	return nil
}

// checkXKey adds to trust.CheckXKey what makes the text the only one of its key: base32
// decoders pass over line breaks.
func checkXKey(text string) error {
	if len(text) != 56 {
		return fmt.Errorf("%w: it has %d characters", trust.ErrKey, len(text))
	}
	return trust.CheckXKey(text)
}

// Answer is what an owner grants, the body of a transfer.answer event. Open is the hash of
// the open event it answers, Transfer names the transfer and Node the serving program, Key
// is its secret, Size (bytes) and Root are the content's, Block is BlockSize, and after
// Expires no read is answered.
type Answer struct {
	Open     Hash      `json:"open"`
	Transfer string    `json:"transfer"`
	Node     string    `json:"node"`
	Key      Key       `json:"key"`
	Size     int64     `json:"size"`
	Block    uint32    `json:"block"`
	Root     Hash      `json:"root"`
	Expires  time.Time `json:"expires"`
}

// Encode is the canonical JSON of a; Expires is brought to UTC and whole milliseconds. The
// error matches ErrMalformed for a field out of bounds.
func (a Answer) Encode() ([]byte, error) {
	a.Expires = wireTime(a.Expires)
	return encodeBody(a)
}

// ParseAnswer reads what Encode gives, and nothing else. Its errors match ErrMalformed.
func ParseAnswer(data []byte) (Answer, error) {
	return parseBody[Answer](data, maxBody)
}

func (a Answer) check() error {
	if _, err := trust.ParseID(a.Transfer); err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	if _, err := trust.ParseID(a.Node); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if Blocks(a.Size) == 0 {
		return fmt.Errorf("%w: %d bytes", ErrSize, a.Size)
	}
	if a.Block != BlockSize {
		return fmt.Errorf("blocks of %d bytes", a.Block)
	}
	return checkTime(a.Expires)
}

// Refusal is why an owner does not serve, the body of a transfer.refusal event. Open is the
// hash of the open event it answers.
type Refusal struct {
	Open Hash `json:"open"`
	Reason
}

// Encode is the canonical JSON of r. The error matches ErrMalformed for a field out of
// bounds.
func (r Refusal) Encode() ([]byte, error) { return encodeBody(r) }

// ParseRefusal reads what Encode gives, and nothing else. Its errors match ErrMalformed.
func ParseRefusal(data []byte) (Refusal, error) {
	return parseBody[Refusal](data, maxBody)
}

// body is JSON of a page: check says whether every field keeps its bounds.
type body interface{ check() error }

func encodeBody[B body](b B) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, malformed(err)
	}
	return trust.Canonical(b)
}

// parseBody decodes at most limit bytes and gives the zero B with every error.
func parseBody[B body](data []byte, limit int) (B, error) {
	var b, none B
	if len(data) > limit {
		return none, fmt.Errorf("%w: %d bytes of JSON", ErrMalformed, len(data))
	}
	if err := trust.ParseCanonical(data, &b); err != nil {
		return none, malformed(err)
	}
	if err := b.check(); err != nil {
		return none, malformed(err)
	}
	return b, nil
}

func malformed(err error) error {
	if errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// The times that a u64 of milliseconds and RFC 3339 can both say.
var (
	firstTime = time.UnixMilli(0).UTC()
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)
)

// wireTime is t as it stands in JSON: UTC, whole milliseconds.
func wireTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func checkTime(t time.Time) error {
	_, offset := t.Zone()
	if offset != 0 || t.Before(firstTime) || t.After(lastTime) || t.Nanosecond()%1e6 != 0 {
		return fmt.Errorf("%w: the time %s", ErrMalformed, t)
	}
	return nil
}
