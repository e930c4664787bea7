//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/nats-io/jwt/v2"
	"golang.org/x/sys/unix"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/trust"
)

const (
	cryptoFloor = 0.85 // at 1 KiB
	batchFloor  = 2
	merkleFloor = 0.5
	eventTime   = 40 * time.Millisecond // that one side works at a time, at least
	eventTurns  = 3                     // for each run
	eventSome   = 16
	batchSize   = 256 // events that arrive together
	batchBody   = 1 << 10
)

// eventSizes are the bodies of the rows that are measured beside the bare calls.
var eventSizes = []struct {
	name  string
	bytes int
	floor float64
}{{"128b", 128, noLimit}, {"1k", 1 << 10, cryptoFloor}, {"64k", 64 << 10, noLimit}}

// eventRows are the names of the rows of eventCrypto.
func eventRows() []string {
	var names []string
	for _, what := range []string{"sign", "verify", "seal", "open"} {
		for _, size := range eventSizes {
			names = append(names, "event-"+what+"-"+size.name)
		}
	}
	return names
}

// rate does something again and again, and gives how often in a second of processor time:
// what else the machine does meanwhile is not counted, and the garbage collector is.
func rate(do func() error) (float64, error) {
	began, err := processorTime()
	for n := 1; err == nil; n++ {
		if err = do(); err != nil {
			break
		}
		now, timeErr := processorTime()
		if took := now - began; took >= eventTime {
			return float64(n) / took.Seconds(), timeErr
		}
	}
	return 0, err
}

// processorTime is what this process has used.
func processorTime() (time.Duration, error) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// against lets ours and the baseline take turns, and is a row of how often a second.
func against(ctx context.Context, s *stage, name string, floor float64, ours, baseline func() error) (Result, error) {
	values, err := turns(ctx, s.runs*eventTurns,
		func(context.Context) (float64, error) { return rate(several(ours)) },
		func(context.Context) (float64, error) { return rate(several(baseline)) })
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", name, err)
	}
	for _, side := range values {
		for i := range side {
			side[i] *= eventSome
		}
	}
	return compared(name, "1/s", values[0], values[1], false, floor), nil
}

// several does something a few times, so that looking at the clock does not count.
func several(do func() error) func() error {
	return func() error {
		for range eventSome {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	}
}

// bare are the primitives without anything around them: an Ed25519 key of the standard
// library and an AES-256-GCM with random nonces.
type bare struct {
	private ed25519.PrivateKey
	public  ed25519.PublicKey
	aead    cipher.AEAD
}

func newBare() (*bare, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &bare{private, public, aead}, err
}

// eventCrypto sets what it takes to sign, verify, seal and open an event, in its compact
// form, beside the Ed25519 and AES calls alone on the same body.
func eventCrypto(ctx context.Context, s *stage) (results []Result, err error) {
	b, err := newBare()
	if err != nil {
		return nil, err
	}
	note(s.log, "event-*: bodies of 128 B, 1 KiB and 64 KiB")
	device, author := trust.NewKeyPair(trust.Device), trust.NewKeyPair(trust.Account).Public()
	key := event.NewEpochKey()
	fresh := func(body []byte) *event.Event {
		return &event.Event{Author: author, Type: "order.placed", Subject: "orders.new", Audience: "warehouse", Body: body}
	}
	for _, size := range eventSizes {
		body := make([]byte, size.bytes)
		_, _ = rand.Read(body)
		open, sealed := fresh(body), fresh(nil)
		if err := errors.Join(open.Sign(device), sealed.Seal(key, event.Hash{1}, device.Public(), body), sealed.Sign(device)); err != nil {
			return nil, err
		}
		form, sealedForm := open.Encode(), sealed.Encode()
		signature, ciphertext := ed25519.Sign(b.private, body), b.aead.Seal(nil, nil, body, nil)
		cipherSignature := ed25519.Sign(b.private, ciphertext)
		for what, sides := range map[string][2]func() error{
			"sign": {
				func() error {
					e := fresh(body)
					err := e.Sign(device)
					_ = e.Encode()
					return err
				},
				func() error { _ = ed25519.Sign(b.private, body); return nil },
			},
			"verify": {
				func() error { _, err := checked(form); return err },
				func() error { return b.verify(body, signature) },
			},
			"seal": {
				func() error {
					e := fresh(nil)
					err := errors.Join(e.Seal(key, event.Hash{1}, device.Public(), body), e.Sign(device))
					_ = e.Encode()
					return err
				},
				func() error { _ = ed25519.Sign(b.private, b.aead.Seal(nil, nil, body, nil)); return nil },
			},
			"open": {
				func() error {
					e, err := checked(sealedForm)
					if err == nil {
						_, err = e.Open(key)
					}
					return err
				},
				func() error {
					_, err := b.aead.Open(nil, nil, ciphertext, nil)
					return errors.Join(b.verify(ciphertext, cipherSignature), err)
				},
			},
		} {
			result, err := against(ctx, s, "event-"+what+"-"+size.name, size.floor, sides[0], sides[1])
			if err != nil {
				return nil, err
			}
			results = append(results, result)
		}
	}
	return results, nil
}

func (b *bare) verify(message, signature []byte) error {
	if !ed25519.Verify(b.public, message, signature) {
		return errors.New("a signature of our own does not hold")
	}
	return nil
}

func checked(form []byte) (*event.Event, error) {
	e, err := event.Decode(form)
	if err == nil {
		err = e.Check()
	}
	return e, err
}

// publisher is somebody with an access token, and a reader who believes them.
type publisher struct {
	device *trust.KeyPair
	access *event.Access
	signer *event.TokenManager
	reader *event.TokenManager
}

func newPublisher() (*publisher, error) {
	account := trust.NewKeyPair(trust.Account)
	p := &publisher{device: trust.NewKeyPair(trust.Device)}
	claims := jwt.NewUserClaims(p.device.String())
	claims.Expires = time.Now().Add(24 * time.Hour).Unix()
	text, err := claims.Encode(account.NKey())
	if err != nil {
		return nil, err
	}
	if p.access, err = event.ParseAccess(text); err != nil {
		return nil, err
	}
	if p.signer, err = event.NewTokenManager(event.Rules{}); err != nil {
		return nil, err
	}
	if err := p.signer.SignAs(p.device, text); err != nil {
		return nil, err
	}
	p.reader, err = event.NewTokenManager(event.Rules{Accounts: []string{account.String()}})
	return p, err
}

// arrived are the forms of events that arrive together, and the access token of each.
func (p *publisher) arrived(bodies [][]byte, batch bool) (forms [][]byte, access []*event.Access, err error) {
	events := make([]*event.Event, len(bodies))
	for i, body := range bodies {
		events[i] = &event.Event{Author: p.access.Account, Type: "order.placed", Subject: "orders.new", Body: body}
		if err := events[i].Sign(p.device); err != nil {
			return nil, nil, err
		}
	}
	if batch {
		if err := event.SignBatch(p.device, events); err != nil {
			return nil, nil, err
		}
	}
	for _, e := range events {
		forms, access = append(forms, e.Encode()), append(access, p.access)
	}
	return forms, access, nil
}

// onOneCore is how many events a second a side gets through on one processor.
func onOneCore(do func() error) side {
	return func(context.Context) (float64, error) {
		before := runtime.GOMAXPROCS(1)
		defer runtime.GOMAXPROCS(before)
		times, err := rate(do)
		return times * batchSize, err
	}
}

// eventBatch is how many events a second are read and verified in full, with their
// publishers, where they arrive together: signed one by one, beside a JWS with EdDSA; and
// under one signature, beside the shared-secret tokens of before: two JWT with HS256, and
// the HMAC of the data in one of them.
func eventBatch(ctx context.Context, s *stage) ([]Result, error) {
	note(s.log, "event-batch, event-merkle: %d events of 1 KiB together, on one core", batchSize)
	p, err := newPublisher()
	if err != nil {
		return nil, err
	}
	bodies := make([][]byte, batchSize)
	for i := range bodies {
		bodies[i] = make([]byte, batchBody)
		_, _ = rand.Read(bodies[i])
	}
	single, access, err := p.arrived(bodies, false)
	if err != nil {
		return nil, err
	}
	merkle, _, err := p.arrived(bodies, true)
	if err != nil {
		return nil, err
	}
	signed, err := newJWS(bodies)
	if err != nil {
		return nil, err
	}
	secret, err := newShared(bodies)
	if err != nil {
		return nil, err
	}
	values, err := turns(ctx, s.runs*eventTurns,
		onOneCore(func() error { return p.verifyAll(single, access) }), onOneCore(signed.verify),
		onOneCore(func() error { return p.verifyAll(merkle, access) }), onOneCore(secret.verify))
	if err != nil {
		return nil, err
	}
	return []Result{
		compared("event-batch", "events/s", values[0], values[1], false, batchFloor),
		compared("event-merkle", "events/s", values[2], values[3], false, merkleFloor),
	}, nil
}

func (p *publisher) verifyAll(forms [][]byte, access []*event.Access) error {
	events := make([]*event.Event, len(forms))
	for i, form := range forms {
		var err error
		if events[i], err = event.DecodeAny(form); err != nil {
			return err
		}
	}
	return errors.Join(p.reader.CheckAll(events, access, event.Moment{Now: time.Now(), Stored: time.Now()})...)
}

// jws are the same bodies as JWS with EdDSA, in compact serialization.
type jws struct {
	public ed25519.PublicKey
	texts  []string
	bodies [][]byte
}

func newJWS(bodies [][]byte) (*jws, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, nil)
	if err != nil {
		return nil, err
	}
	w := &jws{public: public, bodies: bodies}
	w.texts, err = signAll(signer, bodies)
	return w, err
}

func signAll(signer jose.Signer, payloads [][]byte) (texts []string, err error) {
	for _, payload := range payloads {
		signed, err := signer.Sign(payload)
		if err != nil {
			return nil, err
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func (w *jws) verify() error {
	for i, text := range w.texts {
		signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			return err
		}
		body, err := signed.Verify(w.public)
		if err != nil || !bytes.Equal(body, w.bodies[i]) {
			return fmt.Errorf("a JWS of our own does not hold: %w", err)
		}
	}
	return nil
}

// shared are events with tokens of a shared secret: an access token, and one with the id of
// the publisher, the type, an end and the HMAC of the data.
type shared struct {
	secret []byte
	access string
	tokens []string
	bodies [][]byte
}

// claims are those of both tokens.
type claims struct {
	Publisher string `json:"sub"`
	Type      string `json:"typ,omitempty"`
	Expires   int64  `json:"exp"`
	Hash      []byte `json:"hash,omitempty"`
}

func newShared(bodies [][]byte) (*shared, error) {
	h := &shared{secret: make([]byte, 32), bodies: bodies}
	_, _ = rand.Read(h.secret)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: h.secret}, nil)
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(24 * time.Hour).Unix()
	payloads := make([][]byte, 0, len(bodies)+1)
	for _, body := range bodies {
		payload, err := json.Marshal(claims{"publisher", "order.placed", end, h.mac(body)})
		if err != nil {
			return nil, err
		}
		payloads = append(payloads, payload)
	}
	access, err := json.Marshal(claims{Publisher: "publisher", Expires: end})
	if err != nil {
		return nil, err
	}
	texts, err := signAll(signer, append(payloads, access))
	if err != nil {
		return nil, err
	}
	h.tokens, h.access = texts[:len(bodies)], texts[len(bodies)]
	return h, nil
}

func (h *shared) mac(body []byte) []byte {
	mac := hmac.New(sha256.New, h.secret)
	mac.Write(body)
	return mac.Sum(nil)
}

func (h *shared) verify() error {
	now := time.Now().Unix()
	for i, text := range h.tokens {
		access, err := h.read(h.access, now)
		if err != nil {
			return err
		}
		token, err := h.read(text, now)
		if err != nil {
			return err
		}
		if token.Publisher != access.Publisher || !hmac.Equal(token.Hash, h.mac(h.bodies[i])) {
			return errors.New("an event of our own does not hold")
		}
	}
	return nil
}

func (h *shared) read(text string, now int64) (*claims, error) {
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return nil, err
	}
	payload, err := signed.Verify(h.secret)
	if err != nil {
		return nil, err
	}
	token := new(claims)
	if err := json.Unmarshal(payload, token); err != nil {
		return nil, err
	}
	if token.Expires < now {
		return nil, errors.New("a token of our own has expired")
	}
	return token, nil
}
