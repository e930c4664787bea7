package natsd

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/nats-io/nkeys"
)

// The hub's keys by the name of their file, without its ending. The sentinel has no
// file: it is a bearer token, nobody signs with its seed, so the seed is not kept.
const (
	keyOperator        = "operator"
	keyOperatorSigning = "operator-signing"
	keySystem          = "sys"
	keyAuth            = "auth"
	keyAuthSigning     = "auth-signing"
	keyHub             = "hub"
	keyHubSigning      = "hub-signing"
	keyRooms           = "rooms"
	keyRoomsSigning    = "rooms-signing"
	keyCalloutXKey     = "callout-xkey"
	keySystemUser      = "user-sys"
	keyHubUser         = "user-hub"
	keySignerUser      = "user-signer"
	keyRoomsUser       = "user-rooms"
	keyCalloutUser     = "user-callout"
	keySentinel        = "user-sentinel"
)

// The keys that follow from another one and so have no file: by what they are called, the one
// from which they follow. They came after hubs did, and a hub makes no new key in its folder.
const (
	keyNewcomers = "hub-newcomers"
	keyReturners = "hub-returners"
)

var derived = map[string]string{keyNewcomers: keyHubSigning, keyReturners: keyHubSigning}

// roster lists every key of a hub with its kind.
var roster = []struct {
	name   string
	prefix nkeys.PrefixByte
}{
	{keyOperator, nkeys.PrefixByteOperator},
	{keyOperatorSigning, nkeys.PrefixByteOperator},
	{keySystem, nkeys.PrefixByteAccount},
	{keyAuth, nkeys.PrefixByteAccount},
	{keyAuthSigning, nkeys.PrefixByteAccount},
	{keyHub, nkeys.PrefixByteAccount},
	{keyHubSigning, nkeys.PrefixByteAccount},
	{keyRooms, nkeys.PrefixByteAccount},
	{keyRoomsSigning, nkeys.PrefixByteAccount},
	{keyCalloutXKey, nkeys.PrefixByteCurve},
	{keySystemUser, nkeys.PrefixByteUser},
	{keyHubUser, nkeys.PrefixByteUser},
	{keySignerUser, nkeys.PrefixByteUser},
	{keyRoomsUser, nkeys.PrefixByteUser},
	{keyCalloutUser, nkeys.PrefixByteUser},
	{keySentinel, nkeys.PrefixByteUser},
}

// keyring holds the keys of the roster: the public key of each, and the pair of each
// but the sentinel.
type keyring struct {
	pairs  map[string]nkeys.KeyPair
	public map[string]string
}

func newKeyring() keyring {
	return keyring{pairs: map[string]nkeys.KeyPair{}, public: map[string]string{}}
}

// generateKeyring makes all keys of a new hub.
func generateKeyring() (keyring, error) {
	ring := newKeyring()
	for _, key := range roster {
		pair, err := createPair(key.prefix)
		if err != nil {
			return keyring{}, fmt.Errorf("create key %s: %w", key.name, err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			return keyring{}, fmt.Errorf("public key of %s: %w", key.name, err)
		}
		ring.public[key.name] = public
		if key.name != keySentinel {
			ring.pairs[key.name] = pair
		}
	}
	return ring, nil
}

func createPair(prefix nkeys.PrefixByte) (nkeys.KeyPair, error) {
	if prefix == nkeys.PrefixByteCurve {
		return nkeys.CreateCurveKeys()
	}
	return nkeys.CreatePair(prefix)
}

// derive adds the keys that follow from others. Who has one of them learns nothing of the key
// from which it follows.
func (r keyring) derive() error {
	for name, from := range derived {
		seed, err := r.pairs[from].Seed()
		if err != nil {
			return fmt.Errorf("seed of %s: %w", from, err)
		}
		raw, err := hkdf.Key(sha256.New, seed, nil, "keyhall/"+name+"/v1", ed25519SeedSize)
		if err != nil {
			return fmt.Errorf("derive key %s: %w", name, err)
		}
		own, err := nkeys.EncodeSeed(nkeys.PrefixByteAccount, raw)
		if err != nil {
			return fmt.Errorf("derive key %s: %w", name, err)
		}
		if r.pairs[name], err = parsePair(own, nkeys.PrefixByteAccount); err != nil {
			return fmt.Errorf("derive key %s: %w", name, err)
		}
		if r.public[name], err = r.pairs[name].PublicKey(); err != nil {
			return fmt.Errorf("public key of %s: %w", name, err)
		}
	}
	return nil
}

const ed25519SeedSize = 32

// parsePair reads a seed of one kind.
func parsePair(seed []byte, prefix nkeys.PrefixByte) (nkeys.KeyPair, error) {
	kind, _, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return nil, err
	}
	if kind != prefix {
		return nil, fmt.Errorf("seed of kind %s, want %s", kind, prefix)
	}
	if prefix == nkeys.PrefixByteCurve {
		return nkeys.FromCurveSeed(seed)
	}
	return nkeys.FromSeed(seed)
}
