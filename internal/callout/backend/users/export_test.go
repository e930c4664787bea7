package users

import (
	"crypto/rand"
	"strings"
	"sync"
)

// Cheap is the hash of a password at next to no cost.
func Cheap(password string) string { return Costing(8, 1, password) }

// Costing is the hash of a password at some cost.
func Costing(memory, time uint32, password string) string {
	return cost{memory: memory, time: time, lanes: 1}.hash(password)
}

// Default is the cost of Hash.
const Default = "$argon2id$v=19$m=65536,t=3,p=1$"

// OfDefaultCost is a hash of nothing, of the cost that Hash has.
func OfDefaultCost() string {
	key := make([]byte, defaultHash)
	_, _ = rand.Read(key)
	return hash{cost: defaultCost, salt: key[:defaultSalt], key: key}.String()
}

// ParseHash reads a hash and writes it again.
func ParseHash(text string) (string, error) {
	h, err := parseHash(text)
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

// Parse reads the content of a file.
var Parse = parse

// Hashing counts the hashes that a backend makes from now on, by cost, and calls during while
// each is made.
func Hashing(b *Backend, during func()) (made func() string) {
	var mu sync.Mutex
	var costs []string
	before := b.derive
	b.derive = func(c cost, password string, salt []byte) []byte {
		mu.Lock()
		costs = append(costs, c.String())
		mu.Unlock()
		during()
		return before(c, password, salt)
	}
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		all := strings.Join(costs, " ")
		costs = nil
		return all
	}
}

// Places is how many hashes may run at a time.
func Places(b *Backend) int { return cap(b.places) }
