package signin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"sync"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

const (
	challengeLife = 2 * time.Minute  // for how long a challenge is taken
	sweepEvery    = 10 * time.Second // at most: looking through what was used
)

// tickets are what the hub hands out to be brought back once, and soon: challenges, and sealed
// notes in cookies. It remembers none of them, so that nobody can make it forget somebody
// else's by asking for many, but those that came back good, until their time is over.
type tickets struct {
	mac  [32]byte
	seal cipher.AEAD
	now  func() time.Time

	mu    sync.Mutex
	used  map[[16]byte]time.Time // until when it need be remembered
	swept time.Time              // when those were forgotten that need not be
}

func newTickets(now func() time.Time) *tickets {
	t := &tickets{now: now, used: make(map[[16]byte]time.Time)}
	var key [32]byte
	rand.Read(t.mac[:]) // never fails since Go 1.24
	rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err == nil {
		t.seal, err = cipher.NewGCMWithRandomNonce(block)
	}
	if err != nil {
		panic(err) // 32 bytes are a key, and AES has the block size
	}
	return t
}

// challenge makes 32 bytes for a purpose: when (6), random (10), and the hub's own mark (16).
func (t *tickets) challenge(purpose string) [32]byte {
	var c [32]byte
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(t.now().UnixMilli())) //nolint:gosec // after 1970
	copy(c[:6], at[2:])
	rand.Read(c[6:16])
	copy(c[16:], t.mark(purpose, c[:16]))
	return c
}

func (t *tickets) mark(purpose string, bytes []byte) []byte {
	mac := hmac.New(sha256.New, t.mac[:])
	mac.Write([]byte(purpose))
	mac.Write([]byte{0})
	mac.Write(bytes)
	return mac.Sum(nil)[:16]
}

// check refuses a challenge that was not made here for the purpose, or too long ago.
func (t *tickets) check(purpose string, challenge []byte) error {
	if len(challenge) != 32 || subtle.ConstantTimeCompare(challenge[16:], t.mark(purpose, challenge[:16])) != 1 {
		return errChallenge()
	}
	if age := t.now().Sub(t.madeAt(challenge)); age < 0 || age > challengeLife {
		return errChallenge()
	}
	return nil
}

// use takes a challenge that is good, once.
func (t *tickets) use(challenge []byte) error {
	return t.once([16]byte(challenge[:16]), t.madeAt(challenge).Add(challengeLife))
}

func (t *tickets) madeAt(challenge []byte) time.Time {
	var at [8]byte
	copy(at[2:], challenge[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(at[:]))) //nolint:gosec // six bytes
}

func errChallenge() error {
	return fault.New(fault.Expired, "this took too long, or was done already; try again")
}

// once refuses what was used before.
func (t *tickets) once(id [16]byte, until time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now(); now.Sub(t.swept).Abs() >= sweepEvery { // not each time: somebody may use very many
		for one, over := range t.used {
			if now.After(over) {
				delete(t.used, one)
			}
		}
		t.swept = now
	}
	if _, used := t.used[id]; used {
		return errChallenge()
	}
	t.used[id] = until
	return nil
}

// note is what a sealed cookie holds.
type note[T any] struct {
	ID    []byte
	Until time.Time
	Of    T
}

// sealNote makes the text of a cookie that nobody else can read or make.
func sealNote[T any](t *tickets, purpose string, life time.Duration, of T) string {
	n := note[T]{ID: make([]byte, 16), Until: t.now().Add(life), Of: of}
	rand.Read(n.ID)
	data, err := json.Marshal(n)
	if err != nil {
		panic(err) // plain texts
	}
	return base64.RawURLEncoding.EncodeToString(t.seal.Seal(nil, nil, data, []byte(purpose)))
}

// openNote reads what sealNote wrote for the purpose, once.
func openNote[T any](t *tickets, purpose, text string) (of T, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return of, errChallenge()
	}
	data, err := t.seal.Open(nil, nil, raw, []byte(purpose))
	if err != nil {
		return of, errChallenge()
	}
	var n note[T]
	if err := json.Unmarshal(data, &n); err != nil || len(n.ID) != 16 || !t.now().Before(n.Until) {
		return of, errChallenge()
	}
	return n.Of, t.once([16]byte(n.ID), n.Until)
}
