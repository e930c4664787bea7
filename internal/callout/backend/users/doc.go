// Package users is the backend of a users file: names with passwords, and what each may. It
// reads what callouts written by hand read, and better things: argon2id hashes in the place
// of passwords, and roles.
//
//	{
//	  "alice": {"pass": "$argon2id$v=19$m=65536,t=3,p=1$…$…", "account": "APP1"},
//	  "bob": {
//	    "pass": "$argon2id$…",
//	    "account": "APP2",
//	    "permissions": {"pub": {"allow": "bob.>"}, "sub": {"allow": ["bob.>"]}, "resp": {"max": 1}}
//	  },
//	  "carol": {"pass": "$argon2id$…", "role": "reader"}
//	}
//
// The same may stand under one key "users". An entry has a role of the configuration, or an
// account with permissions, life, inbox and tags, as package policy has them. Where it has no
// permissions the user may do everything in the account, as with a NATS user JWT; where it
// has some, what they do not allow is denied. A password may stand there as it is, which is
// worth a warning.
//
// How long a login takes tells nothing of the file: every one costs one hash for each
// different cost of hashing in the file, whoever it is from, and whether there is such a user
// or not. A file with no hash at all costs none. At most as many hashes as there are CPUs run
// at a time, and never more than fit into a GiB; who waits for a place waits no longer than
// the server does.
package users
