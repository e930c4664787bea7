// Package ledger keeps the hub's facts: signed events in one JetStream stream, appended
// by compare-and-set, and the views that are folded from them.
//
// The ledger orders and stores; it does not judge. Who appends has verified the event
// against its chain (package chain), and every reader can verify it again.
//
// A [Projection] folds events into key-value buckets through a durable consumer of its own,
// so that one that fails or is rebuilt leaves the others alone. An event that a
// fold can't digest is set aside in the bucket POISON, reported, and never retried
// without pause; anything else that goes wrong is tried again, in place and in order.
package ledger
