package users

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

// The cost of hashing of Hash: time and memory are the second recommended option of RFC 9106.
// It has four lanes, which make one hash faster where it has four CPUs for itself; here many
// logins share the CPUs, so that one lane, a CPU for each hash, is as many logins a second.
var defaultCost = cost{memory: 64 << 10, time: 3, lanes: 1}

// The bounds of what a file may ask for: above them one login would take the machine.
const (
	maxMemory = 256 << 10 // KiB
	maxTime   = 16
	maxLanes  = 16

	minSalt, maxSalt = 8, 64 // bytes
	minHash, maxHash = 16, 64

	defaultSalt, defaultHash = 16, 32
)

// Below these an attacker who has the file tries passwords too fast: the least of what
// OWASP's password storage cheat sheet takes.
const (
	weakMemory = 7 << 10 // KiB
	weakWork   = 5 * weakMemory
)

// maxPassword bounds a password, in bytes. A server takes 4 KiB for all of CONNECT.
const maxPassword = 1024

// cost is what an argon2id hash costs, and how long it is.
type cost struct {
	memory uint32 // KiB
	time   uint32 // passes
	lanes  uint8
	length int // of the hash, in bytes; 0 for defaultHash
}

func (c cost) weak() bool { return c.memory < weakMemory || uint64(c.memory)*uint64(c.time) < weakWork }

func (c cost) String() string { return fmt.Sprintf("m=%d,t=%d,p=%d", c.memory, c.time, c.lanes) }

// derive hashes a password. It takes memory KiB for as long as it runs.
func (c cost) derive(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.lanes, uint32(c.length)) //nolint:gosec // at most maxHash
}

// hash is a parsed hash.
type hash struct {
	cost cost
	salt []byte
	key  []byte
}

// Hash is the argon2id hash of a password, in PHC format: what stands in a users file in the
// place of the password.
func Hash(password string) (string, error) {
	switch {
	case password == "":
		return "", fault.New(fault.Malformed, "an empty password protects nothing")
	case len(password) > maxPassword:
		return "", fault.New(fault.TooLarge, "a password has at most %d bytes", maxPassword)
	case !oneLine(password):
		return "", fault.New(fault.Malformed, "a password is one line of text")
	case looksBearer(callout.Secret(password)):
		return "", fault.New(fault.Malformed, "this is a bearer token, which is checked by its issuer's keys and not by a users file")
	}
	return defaultCost.hash(password), nil
}

func (c cost) hash(password string) string {
	c.length = defaultHash
	salt := make([]byte, defaultSalt)
	_, _ = rand.Read(salt) // it never fails
	return hash{cost: c, salt: salt, key: c.derive(password, salt)}.String()
}

var encoding = base64.RawStdEncoding.Strict()

// String is the hash in its one form.
func (h hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$%s$%s$%s", argon2.Version, h.cost, encoding.EncodeToString(h.salt), encoding.EncodeToString(h.key))
}

const form = "want $argon2id$v=19$m=…,t=…,p=…$salt$hash, as keyhall callout passwd prints it"

// parseHash reads a hash in PHC format, in its one form.
func parseHash(text string) (hash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return hash{}, errors.New(form)
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return hash{}, fmt.Errorf("the version of argon2id is not %d", argon2.Version)
	}
	h := hash{}
	var err error
	if h.cost, err = parseCost(parts[3]); err != nil {
		return hash{}, err
	}
	h.salt, err = encoding.DecodeString(parts[4])
	if err != nil || len(h.salt) < minSalt || len(h.salt) > maxSalt {
		return hash{}, fmt.Errorf("the salt is not %d to %d bytes in base64", minSalt, maxSalt)
	}
	h.key, err = encoding.DecodeString(parts[5])
	if err != nil || len(h.key) < minHash || len(h.key) > maxHash {
		return hash{}, fmt.Errorf("the hash is not %d to %d bytes in base64", minHash, maxHash)
	}
	h.cost.length = len(h.key)
	if h.String() != text { // base64 skips line breaks, numbers take a sign
		return hash{}, errors.New(form)
	}
	return h, nil
}

func parseCost(text string) (cost, error) {
	fields := strings.Split(text, ",")
	var values [3]uint64
	for i, name := range []string{"m=", "t=", "p="} {
		if len(fields) != len(values) || !strings.HasPrefix(fields[i], name) {
			return cost{}, errors.New(form)
		}
		var err error
		if values[i], err = strconv.ParseUint(strings.TrimPrefix(fields[i], name), 10, 32); err != nil {
			return cost{}, errors.New(form)
		}
	}
	memory, time, lanes := values[0], values[1], values[2]
	switch {
	case lanes < 1 || lanes > maxLanes:
		return cost{}, fmt.Errorf("p=%d is not between 1 and %d", lanes, maxLanes)
	case memory < 8*lanes || memory > maxMemory:
		return cost{}, fmt.Errorf("m=%d is not between %d and %d KiB", memory, 8*lanes, maxMemory)
	case time < 1 || time > maxTime:
		return cost{}, fmt.Errorf("t=%d is not between 1 and %d", time, maxTime)
	}
	return cost{memory: uint32(memory), time: uint32(time), lanes: uint8(lanes)}, nil //nolint:gosec // bounded above
}

// equal compares in a time that does not tell how much of it was right.
func (h hash) equal(key []byte) bool { return subtle.ConstantTimeCompare(h.key, key) == 1 }
