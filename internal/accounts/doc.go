// Package accounts is the account signer: it alone holds the operator's signing key and
// the SYS credentials. It composes the JWT of every person's account from the ledger, and
// from nothing else, signs it, pushes it to every server, and closes connections.
//
// It believes no service. It follows the ledger and verifies every event itself: a
// compromised service could withhold admissions or imports, and could not invent one. What
// it offers is reachable inside account HUB only (signer.await, signer.prove, signer.kick).
package accounts
