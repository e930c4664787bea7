// Package registry knows the connections that a callout has let in: who, on which server,
// under which number, with which rights. So whoever loses a right can be cut off at once, on
// every server of a cluster, and nobody else is.
//
// A connection is noted before its login is judged (Guard), so that a right which ends
// meanwhile is seen by one side or the other: whoever ends it finds the connection, or the
// login is judged by what holds now. With a user of the system account the registry also
// hears of connects and disconnects, asks the servers for what they have (after a restart, or
// for what another replica let in), and closes connections. Without one it knows what it let
// in itself, until that has to log in again, and can close nothing.
//
// Every replica of a callout has a registry of its own. Control has them listed and
// connections closed on all of them; docs/protocol/callout.md states how.
package registry
