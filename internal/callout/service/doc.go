// Package service is the callout on its own: an engine of package callout beside NATS servers
// that somebody else runs, set up with the usual tools.
//
// It reads one configuration from flags, environment and a YAML file, loads keys and backends
// as it says, and before it answers the first login it checks what can be checked from where
// it stands: the files, the keys, what AUTH's account JWT says if there is one, and the servers
// themselves, with logins of its own that are made as anybody's are and that it answers itself
// (see check.go). What would make a callout unsafe refuses the start, with a reason and a
// remedy; what is only unwise, or could not be found out, is a warning.
//
// A new configuration replaces the backends of a running service between one login and the
// next. One that is broken changes nothing.
package service
