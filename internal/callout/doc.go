// Package callout answers a NATS server's question who may log in, and as what: the
// auth callout of operator mode.
//
// A server asks on $SYS.REQ.USER.AUTH in the account whose JWT names external
// authorization. The Engine hears these requests, opens and checks them, asks a Backend,
// and answers with a user JWT for the connection, or with a refusal.
//
// A login goes through these files: engine.go hears its request, request.go, box.go and
// token.go read it, login.go finds its backend (backend.go), line.go lets it wait for its
// turn, throttle.go for the time after wrong guesses; login.go asks the backend for a grant
// (grant.go), answer.go issues, signs and seals, and decision.go says how it ended.
//
// What it promises
//
//   - Encryption is not optional. A request that is not sealed to the engine's xkey, not
//     signed by the server it says it is from, larger than any server's, or asked once
//     before, reaches no Backend; nor does one of a server with a known hole.
//   - Deny by default. An empty allow list is a deny of everything, _INBOX.> and _R_.>
//     are denied always, and a grant with a subject that is not clearly one, or without
//     an end, refuses the login instead of widening it.
//   - One login never harms another: a panic is one refused login, and so is whatever a
//     backend answers that is no grant. Each backend has its own share of the InFlight
//     places: one that hangs stalls nobody else.
//   - Nobody waits in silence. A login that cannot be decided before its server gives up
//     is refused as soon as that is known; one that can is never shed, however many wait.
//   - Guessing is slow (see Throttle), and locks nobody else out.
//   - A refused client learns that it was refused and nothing else. Why is told to the
//     log and to the Decided hook, which get no passwords, tokens or signatures.
//
// Who can reach the subject is the account's affair. Servers let none of its users
// publish there, so it stays theirs alone as long as the account exports it to nobody:
// any server key is believed, for servers make new ones at every start.
//
// What it leaves to others: who may do what (the Backend; the server has verified
// nothing of what a client says, see Request.VerifySignature), the connection and its
// creds, and ending a connection later: the Decision has the server id, client id
// and user key that takes.
//
// Several engines may serve one account, in one queue group; each request is answered
// by one of them. What one has not answered when it dies is asked again by the client. The
// clocks of engines and servers must agree to about a second, for a request carries its
// deadline as a time, in whole seconds. Wrong guesses and requests that were answered are
// remembered by each engine for itself.
package callout
