package trust

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"strings"

	"github.com/tyler-smith/go-bip39/wordlists"
)

const fingerprintWords = 8 // of 11 bits each

// Words are the fingerprint words of two people on a hub, the same whoever asks: what two
// people compare to know that nobody stands between them. With a == b they are one
// person's own. Eight words of the BIP-39 English list, 88 bits.
func Words(hubID string, a, b PublicKey) string {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	statement := append(Label("words"), hubID...)
	statement = append(statement, 0)
	statement = append(append(statement, a[:]...), b[:]...)
	sum := sha256.Sum256(statement)

	bits := new(big.Int).SetBytes(sum[:fingerprintWords*11/8])
	words := make([]string, fingerprintWords)
	for i := range words {
		index := new(big.Int).Rsh(bits, uint(11*(fingerprintWords-1-i)))
		words[i] = wordlists.English[index.Uint64()&(1<<11-1)]
	}
	return strings.Join(words, " ")
}
