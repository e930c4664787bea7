package natsd

import (
	"fmt"
	"log/slog"

	"github.com/nats-io/nkeys"
)

// Keys is everything a hub proves itself with, ready for use. It holds secrets: give
// a part of the hub the fields it needs, never the whole. Logged, it shows the hub id.
type Keys struct {
	OperatorID     string        // O…, the hub id
	OperatorJWT    string        // signed by the identity, lists the signing key and SYS
	OperatorSigner nkeys.KeyPair // signs account JWTs, hub events and the hub's proof

	System string // A…, account SYS
	Auth   string // A…, account AUTH
	Hub    string // A…, account HUB
	Rooms  string // A…, account ROOMS

	AuthSigner  nkeys.KeyPair // a signing key of AUTH: signs the callout's answers
	HubSigner   nkeys.KeyPair // a signing key of HUB: signs the logins of a backup
	RoomsSigner nkeys.KeyPair // a signing key of ROOMS: signs the users of members
	CalloutXKey nkeys.KeyPair // X…: opens the server's requests to the callout

	// Signing keys of HUB that are bound to templates: whom they sign may do what a newcomer
	// may, or who comes back, and nothing else (subjects.md).
	NewcomerSigner nkeys.KeyPair
	ReturnerSigner nkeys.KeyPair

	SystemUser  Login // SYS, for the account signer: push JWTs, close connections
	HubUser     Login // HUB, for the hub's services
	SignerUser  Login // HUB, for the account signer: read the ledger, answer signer.>
	RoomsUser   Login // ROOMS, for the rooms service: the stream ROOMS
	CalloutUser Login // AUTH, for the callout: hear and answer login requests

	Sentinel string // bearer user JWT of AUTH; public, it may do nothing

	accountJWTs map[string]string // of the four accounts above, by public key
}

// LogValue keeps secrets out of logs.
func (k *Keys) LogValue() slog.Value { return slog.StringValue(k.OperatorID) }

// String keeps secrets out of formatted text.
func (k *Keys) String() string { return "keys of hub " + k.OperatorID }

// AccountJWTs are the JWTs of SYS, AUTH, HUB and ROOMS by account key, signed with
// the operator's signing key.
func (k *Keys) AccountJWTs() map[string]string {
	jwts := make(map[string]string, len(k.accountJWTs))
	for account, token := range k.accountJWTs {
		jwts[account] = token
	}
	return jwts
}

// newKeys composes what a hub uses from the seeds in its folder.
func newKeys(ring keyring) (*Keys, error) {
	if err := ring.derive(); err != nil {
		return nil, err
	}
	k := &Keys{
		OperatorID:     ring.public[keyOperator],
		OperatorSigner: ring.pairs[keyOperatorSigning],
		System:         ring.public[keySystem],
		Auth:           ring.public[keyAuth],
		Hub:            ring.public[keyHub],
		Rooms:          ring.public[keyRooms],
		AuthSigner:     ring.pairs[keyAuthSigning],
		HubSigner:      ring.pairs[keyHubSigning],
		RoomsSigner:    ring.pairs[keyRoomsSigning],
		CalloutXKey:    ring.pairs[keyCalloutXKey],
		NewcomerSigner: ring.pairs[keyNewcomers],
		ReturnerSigner: ring.pairs[keyReturners],
	}
	var err error
	if k.OperatorJWT, err = operatorJWT(ring); err != nil {
		return nil, fmt.Errorf("compose operator JWT: %w", err)
	}
	if k.accountJWTs, err = accountJWTs(ring); err != nil {
		return nil, fmt.Errorf("compose account JWTs: %w", err)
	}
	if err := k.composeLogins(ring); err != nil {
		return nil, fmt.Errorf("compose service logins: %w", err)
	}
	return k, nil
}

func (k *Keys) composeLogins(ring keyring) error {
	for _, u := range []struct {
		login *Login
		key   string
		role  role
	}{
		{&k.SystemUser, keySystemUser, systemRole},
		{&k.HubUser, keyHubUser, hubRole},
		{&k.SignerUser, keySignerUser, signerRole},
		{&k.RoomsUser, keyRoomsUser, roomsRole},
		{&k.CalloutUser, keyCalloutUser, calloutRole},
	} {
		login, err := newLogin(u.role, ring.pairs[u.key], ring.pairs[u.role.account])
		if err != nil {
			return fmt.Errorf("%s: %w", u.key, err)
		}
		*u.login = login
	}
	var err error
	k.Sentinel, err = sentinelJWT(ring.public[keySentinel], ring.pairs[keyAuth])
	return err
}
