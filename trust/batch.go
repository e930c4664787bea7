package trust

import "github.com/hdevalence/ed25519consensus"

// Batch verifies many signatures together by the rule of Verify, in about half the time.
// The zero Batch is empty.
type Batch struct {
	verifier *ed25519consensus.BatchVerifier
	broken   bool
}

// Add adds a signature to be verified.
func (b *Batch) Add(key PublicKey, message, sig []byte) {
	if len(sig) != 64 {
		b.broken = true
		return
	}
	if b.verifier == nil {
		verifier := ed25519consensus.NewBatchVerifier()
		b.verifier = &verifier
	}
	b.verifier.Add(key[:], message, sig)
}

// Verify reports whether every signature holds; an empty batch does. Which one does not,
// Verify of each says.
func (b *Batch) Verify() bool {
	return !b.broken && (b.verifier == nil || b.verifier.Verify())
}
