// Package trust holds the keys of Keyhall and what binds them together: identities,
// devices, the tokens by which an identity vouches for a device, invites, names, ids,
// and sealing to a key. It is pure: no network, no files, no clock of its own.
//
// # Who holds what
//
// A person is an identity key pair, which is a NATS account key (A…). It vouches for
// devices (U…): a [DeviceToken] is a NATS user JWT signed by the identity, so the same
// bytes log a device in at a NATS server and prove to anyone else whose device it is.
// What is sealed for a person is sealed to the person's xkey (X…) with [Box]. A hub is
// its operator key (O…); it admits people and can't speak for them.
//
// # Signatures
//
// [Verify] is the one rule by which Keyhall accepts an Ed25519 signature (ZIP-215), so
// that no two parts of the system ever disagree about one. Everything Keyhall signs
// begins with [Label], which no login nonce of a NATS server can contain: a server that
// makes a client sign a nonce of the server's choice obtains nothing.
//
// The bytes are stated in docs/protocol/keys.md.
package trust
