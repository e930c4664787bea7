// Package natsd runs the hub's NATS server and keeps the hub's keys.
//
// The server is the real nats-server, embedded, in operator mode: it believes
// account JWTs signed by the hub's operator and nothing else. Everything it needs
// lives in one data folder:
//
//	DATA/keys       the hub's seeds, one per file, and keys.json which names them
//	DATA/jwt        the directory resolver: one JWT per account
//	DATA/nats       JetStream
//	DATA/hub.lock   held by the operating system while a hub runs here
//	DATA/run.json   where a running hub can be reached
//
// What it promises
//
//   - The keys are made together, at the first start, or not at all. Afterwards they
//     are only read: a key that is missing, damaged, swapped or readable by others
//     stops the start. A key made anew would be another hub, with other people.
//   - Only seeds are stored. The operator JWT, the JWTs of the hub's four accounts
//     (SYS, AUTH, HUB, ROOMS) and the logins of its services are composed from them
//     at every start, so that a new version's permissions need no migration.
//   - Every login of the hub may do what its service needs and nothing else, has an
//     inbox of its own, and is denied _INBOX.> and _R_.>. The sentinel may do nothing.
//   - One hub per folder: the lock ends with the process that holds it.
//   - A start that fails says in one sentence what is wrong, where, and what to do,
//     and leaves nothing running.
//
// What it leaves to others: deciding who may log in (package callout), composing and
// pushing the accounts of people (package accounts, with SystemUser and
// OperatorSigner), the streams and services, and the HTTP origin that
// proxies the WebSocket listener. Whoever wires a hub hands each part its own login and
// signing keys, never the whole Keys.
package natsd
