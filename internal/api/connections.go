package api

import "time"

// ConnectionsAnswer are the connections to ROOMS that the servers have, as the signer asked
// them: by server id the numbers, empty for a server that has none.
type ConnectionsAnswer struct {
	Servers map[string][]uint64 `json:"servers"`
}

// ConnectionGone is the signer's notice that a connection to ROOMS has ended.
type ConnectionGone struct {
	Account string `json:"account"` // whose it was, A…
	Server  string `json:"server"`
	Client  uint64 `json:"client"`
}

// ConnectionGoneSubject is where the signer says so, in account HUB.
const ConnectionGoneSubject = "connections.gone"

// SessionsRequest asks the hub for connections to ROOMS, on its host's behalf.
type SessionsRequest struct {
	Who string `json:"who,omitempty"` // a handle or account key: theirs alone
}

// HubSession is a connection to ROOMS.
type HubSession struct {
	Session string    `json:"session"` // <server>/<number>
	Handle  string    `json:"handle,omitempty"`
	Account string    `json:"account"`
	Device  string    `json:"device"`
	Host    string    `json:"host,omitempty"`
	Program string    `json:"program,omitempty"`
	Rooms   []string  `json:"rooms,omitempty"` // ids
	Since   time.Time `json:"since"`
}

// HubSessions is the answer; More counts those that did not fit.
type HubSessions struct {
	Sessions []HubSession `json:"sessions"`
	More     int          `json:"more,omitempty"`
}

// CloseRequest has the hub close connections to ROOMS: those of somebody, or one.
type CloseRequest struct {
	Who     string `json:"who,omitempty"`     // a handle or account key
	Session string `json:"session,omitempty"` // <server>/<number>
	Seconds int64  `json:"seconds,omitempty"` // for which they are kept out of rooms
	Why     string `json:"why,omitempty"`     // for the audit
}

// WhoAnswer is who somebody is whom the host named: the account, and the keys of the devices
// (U…) by which logins name themselves.
type WhoAnswer struct {
	Account string   `json:"account"`
	Devices []string `json:"devices"`
}

// CloseAnswer is what was done.
type CloseAnswer struct {
	Closed      []string  `json:"closed"` // sessions
	DeniedUntil time.Time `json:"denied_until,omitzero"`
}
