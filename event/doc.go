// Package event makes and reads signed events: statements that prove who made them,
// when, for whom, and that not a byte was changed, wherever they are stored and whoever
// hands them over.
//
// An [Event] is a token and a body. The token names the author (an identity key), the
// device that signs, the time, the exact NATS subject, the audience, the event's place in
// a chain, and the SHA-256 of the body; the signature covers the token. Sign one with
// [Event.Sign], send its compact form ([Event.Encode]), and read it with [Decode], which
// believes nothing; [Event.Check] verifies hash and signature, and whoever knows the
// author's devices decides whether the signing device was one of them.
//
// A body may be sealed under an [EpochKey], so that relays verify without reading.
//
// The layout is stated in docs/protocol/events.md.
package event
