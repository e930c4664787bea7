// Package inspect reports, for a running NATS account, who can read or inject into whose
// inbox.
//
// It asks the servers for the account's connections (CONNZ), takes from each one's user JWT,
// and the account's JWT where a scoped signing key or default permissions say what it may,
// the rights as the server applies them, and compares everybody's rights with everybody
// else's inboxes: exactly, subject by subject, denies as well.
//
// What it reports is what servers say. It sees users that are connected now, and no others.
// What it knows that it did not see is in Report.Unseen: logins through an auth callout, of
// which servers keep no JWT; scoped keys without the account's JWT; what is behind a leaf
// node; servers that did not answer.
package inspect
