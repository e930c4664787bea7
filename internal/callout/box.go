package callout

import (
	"crypto/rand"
	"errors"
	"sync"

	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/nacl/box"

	"keyhall.dev/keyhall/internal/recent"
)

const (
	keySize   = 32
	nonceSize = 24

	// boxVersion begins what the xkeys of nkeys seal; the nonce and a NaCl box follow.
	boxVersion = nkeys.XKeyVersionV1
	boxStart   = len(boxVersion) + nonceSize

	maxServers = 256 // whose shared keys are kept
)

var errBox = errors.New("not sealed to this callout")

// boxes open and seal as the xkeys of nkeys do. What costs most is the same each time for
// one server, and done once: the key that the two of them share.
type boxes struct {
	private [keySize]byte

	mu     sync.Mutex
	shared *recent.Cache[string, *[keySize]byte] // by the server's xkey
}

func newBoxes(xkey nkeys.KeyPair) (*boxes, error) {
	seed, err := xkey.Seed()
	if err != nil {
		return nil, err
	}
	kind, raw, err := nkeys.DecodeSeed(seed)
	if err != nil || kind != nkeys.PrefixByteCurve || len(raw) != keySize {
		return nil, errors.New("not a curve key")
	}
	return &boxes{private: [keySize]byte(raw), shared: recent.New[string, *[keySize]byte](maxServers)}, nil
}

// with is the key shared with the holder of an xkey.
func (b *boxes) with(xkey string) (*[keySize]byte, error) {
	b.mu.Lock()
	key, found := b.shared.Get(xkey)
	b.mu.Unlock()
	if found {
		return key, nil
	}
	raw, ok := rawKey(nkeys.PrefixByteCurve, xkey)
	if !ok {
		return nil, errBox
	}
	key = new([keySize]byte)
	box.Precompute(key, (*[keySize]byte)(raw), &b.private)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shared.Put(xkey, key)
	return key, nil
}

func (b *boxes) open(data []byte, sender string) ([]byte, error) {
	if len(data) <= boxStart || string(data[:len(boxVersion)]) != boxVersion {
		return nil, errBox
	}
	key, err := b.with(sender)
	if err != nil {
		return nil, err
	}
	nonce := [nonceSize]byte(data[len(boxVersion):boxStart])
	opened, ok := box.OpenAfterPrecomputation(nil, data[boxStart:], &nonce, key)
	if !ok {
		return nil, errBox
	}
	return opened, nil
}

func (b *boxes) seal(data []byte, recipient string) ([]byte, error) {
	key, err := b.with(recipient)
	if err != nil {
		return nil, err
	}
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	out := make([]byte, 0, boxStart+box.Overhead+len(data))
	out = append(append(out, boxVersion...), nonce[:]...)
	return box.SealAfterPrecomputation(out, data, &nonce, key), nil
}
