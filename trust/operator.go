package trust

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/jwt/v2"
)

// ErrHub is the error of a hub that does not prove who it is.
var ErrHub = errors.New("the hub does not prove who it is")

const maxOperatorText = 64 << 10 // bytes

// Hub is a hub's public identity: its operator key and the keys that sign for it.
type Hub struct {
	ID      string // the operator identity, O…
	Key     PublicKey
	Signing []PublicKey
}

// ParseHub reads an operator JWT, signed by the operator identity itself, in its one text.
// Errors match ErrHub.
func ParseHub(operatorJWT string) (*Hub, error) {
	if len(operatorJWT) > maxOperatorText {
		return nil, fmt.Errorf("%w: its token is too long", ErrHub)
	}
	signed, payload, sig, ok := splitJWT(operatorJWT)
	claims := new(jwt.OperatorClaims)
	if !ok || json.Unmarshal(payload, claims) != nil {
		return nil, fmt.Errorf("%w: not an operator's token", ErrHub)
	}
	if claims.Type != jwt.OperatorClaim || claims.Version != tokenVersion || claims.Issuer != claims.Subject {
		return nil, fmt.Errorf("%w: not an operator's own token", ErrHub)
	}
	key, err := ParsePublicKey(Operator, claims.Subject)
	if err != nil {
		return nil, fmt.Errorf("%w: not an operator's key", ErrHub)
	}
	if !Verify(key, signed, sig) {
		return nil, fmt.Errorf("%w: its token is not signed by it", ErrHub)
	}
	hub := &Hub{ID: claims.Subject, Key: key}
	for _, text := range claims.SigningKeys {
		signing, err := ParsePublicKey(Operator, text)
		if err != nil {
			return nil, fmt.Errorf("%w: a signing key is malformed", ErrHub)
		}
		hub.Signing = append(hub.Signing, signing)
	}
	return hub, nil
}

// Signs reports whether key is one of the hub's signing keys.
func (h *Hub) Signs(key PublicKey) bool {
	for _, signing := range h.Signing {
		if signing == key {
			return true
		}
	}
	return false
}

// Fingerprint is what an invite carries of a hub: 16 bytes of the hash of its id.
func Fingerprint(hubID string) [16]byte {
	sum := sha256.Sum256([]byte(hubID))
	return [16]byte(sum[:16])
}

// ProveHub signs a joiner's challenge and the hash of the hub document.
func ProveHub(signing *KeyPair, challenge, documentHash [32]byte) [64]byte {
	return signing.Sign(hubStatement(challenge, documentHash))
}

// CheckProof verifies the hub's answer to a challenge. Errors match ErrHub.
func (h *Hub) CheckProof(challenge [32]byte, document, proof []byte) error {
	statement := hubStatement(challenge, sha256.Sum256(document))
	for _, signing := range h.Signing {
		if Verify(signing, statement, proof) {
			return nil
		}
	}
	return fmt.Errorf("%w: its answer to the challenge is not signed by it", ErrHub)
}

func hubStatement(challenge, documentHash [32]byte) []byte {
	statement := append(Label("hub"), challenge[:]...)
	return append(statement, documentHash[:]...)
}
