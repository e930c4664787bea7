// Package chain folds the chains of the ledger: what a person's or a room's events, each
// in its place, add up to, and whether each was made by someone who may.
//
// The same fold runs in the hub before it appends, in the projections behind its views,
// in the signer of account JWTs, and in every member's client, which believes none of the
// others. A fold is pure: it sees events and nothing else, so that the same events give
// the same state anywhere. Kinds, bodies and rules are stated in docs/protocol/ledger.md.
package chain
