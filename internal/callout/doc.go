// Package callout answers a NATS server's question who may log in, and as what: the
// auth callout of operator mode.
//
// A server asks on $SYS.REQ.USER.AUTH in the account whose JWT names external
// authorization. The Engine hears these requests, opens and checks them, asks an
// Authorizer, and answers with a user JWT for the connection, or with a refusal.
//
// What it promises
//
//   - Encryption is not optional. A request that is not sealed to the engine's xkey, or
//     not signed by the server it says it is from, reaches no Authorizer.
//   - Deny by default. An empty allow list is a deny of everything, _INBOX.> and _R_.>
//     are denied always, and a grant with a subject that is not clearly one refuses the
//     login instead of widening it.
//   - One login never harms another: a panic is one refused login; at most InFlight
//     are worked on at a time, the others wait their turn for as long as their server
//     does; what came too late is dropped before any work.
//   - A refused client learns that it was refused and nothing else. Why is told to the
//     log and to the Decided hook, which get no passwords, tokens or signatures.
//
// Who can reach the subject is the account's affair. Servers let none of its users
// publish there, so it stays theirs alone as long as the account exports it to nobody:
// any server key is believed, for servers make new ones at every start.
//
// What it leaves to others: who may do what (the Authorizer; the server has verified
// nothing of what a client says, see Request.VerifySignature), the connection and its
// creds, and ending a connection later: the Decision has the server id, client id
// and user key that takes.
//
// Several engines may serve one account, in one queue group; each request is answered
// by one of them. Their clocks and the servers' must agree to about a second, for a
// request carries its deadline as a time, in whole seconds.
package callout
