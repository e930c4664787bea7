// Package backup writes a running hub into one file, and makes a hub of such a file again.
//
// In the file are the hub's keys and what cannot be had from anywhere else: the ledger, the
// rooms' messages and the members' sealed backups, each as a snapshot that JetStream takes
// while it goes on working, with sequences and timestamps. Views are not in it: a hub folds
// them from the ledger when it starts. Nor are account JWTs, which the signer composes.
//
// The file is a tar with these entries, in this order:
//
//	keys/<name>              the hub's keys
//	streams/<name>/<number>  a snapshot, in parts of at most 16 MiB
//	manifest.json            Manifest: what there is, with the SHA-256 of every part
//	sha256                   SHA-256 of everything before this entry, in hex
//
// A reader accepts what this package writes, to the byte. The hash tells damage from whole;
// it protects from nobody who changes the file on purpose. What they cannot change are the
// signed events in it, which a restore verifies one by one.
package backup
