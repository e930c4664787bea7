package api

import (
	"time"

	"keyhall.dev/keyhall/event"
)

// Person is somebody on the hub, as the hub says. Head and Seq are the newest event of
// their chain.
type Person struct {
	Account string     `json:"account"`
	Handle  string     `json:"handle"`
	XKey    string     `json:"xkey"`
	Head    event.Hash `json:"head"`
	Seq     uint64     `json:"seq"`
}

// FindRequest names a person by handle or by account.
type FindRequest struct {
	Handle  string `json:"handle,omitempty"`
	Account string `json:"account,omitempty"`
}

// PeopleRequest asks for the people after a handle.
type PeopleRequest struct {
	After string `json:"after,omitempty"`
}

// PeoplePage lists people by handle; More says that there are others after the last.
type PeoplePage struct {
	People []Person `json:"people"`
	More   bool     `json:"more"`
}

// ChainRequest asks for a chain's events after a place. Account or Room names the chain;
// account "hub" is the hub's own.
type ChainRequest struct {
	Account string `json:"account,omitempty"`
	Room    string `json:"room,omitempty"`
	After   uint64 `json:"after"`
}

// Entry is an event as it is stored. In a chain Seq is the place in the chain, in a
// history the sequence of the stream. Time is the stream's timestamp.
type Entry struct {
	Seq      uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	Event    []byte    `json:"event"`
	Withheld bool      `json:"withheld,omitempty"`
}

// ChainPage holds consecutive events of a chain whose newest place is Head.
type ChainPage struct {
	Events []Entry `json:"events"`
	Head   uint64  `json:"head"`
}

// Appended is the place that an event got in its chain.
type Appended struct {
	Seq uint64 `json:"seq"`
}

// Share is an invitation to a catalog, or an accepted one.
type Share struct {
	Grant   string    `json:"grant"`
	Owner   string    `json:"owner"`
	Catalog string    `json:"catalog"`
	Expires time.Time `json:"expires,omitzero"`
	State   string    `json:"state"` // pending or accepted
}

// The states of a share.
const (
	Pending  = "pending"
	Accepted = "accepted"
)

// InboxRequest asks for a page of shares, after a grant.
type InboxRequest struct {
	After string `json:"after,omitempty"`
}

// Inbox is a page of the caller's shares, by grant.
type Inbox struct {
	Shares []Share `json:"shares"`
	More   bool    `json:"more,omitempty"` // there are more, after the last one
}

// Room is a room as the hub lists it. Name is empty where only members know it.
type Room struct {
	Room    string `json:"room"`
	Kind    string `json:"kind"`
	Listed  bool   `json:"listed"`
	Name    string `json:"name,omitempty"`
	Role    string `json:"role,omitempty"`
	Members int    `json:"members"`
}

// RoomsRequest asks for a page of rooms, after a room's id.
type RoomsRequest struct {
	After string `json:"after,omitempty"`
}

// Rooms is a page of the caller's rooms and of those that everyone may see, by id.
type Rooms struct {
	Rooms []Room `json:"rooms"`
	More  bool   `json:"more,omitempty"` // there are more, after the last one
}

// HistoryRequest asks for up to Limit messages of a room after a stream sequence; with
// Last instead, for the newest ones; with Before, for the newest ones below that sequence.
type HistoryRequest struct {
	Room   string `json:"room"`
	After  uint64 `json:"after"`
	Limit  int    `json:"limit,omitempty"`
	Last   bool   `json:"last,omitempty"`
	Before uint64 `json:"before,omitempty"`
}

// History is complete from After, or its first message, to Through: a sequence of the room
// that is absent was deleted. Last is the room's newest sequence.
type History struct {
	Messages []Entry `json:"messages"`
	Through  uint64  `json:"through"`
	Last     uint64  `json:"last"`
}

// Stats counts what a hub holds.
type Stats struct {
	People  int `json:"people"`
	Devices int `json:"devices"`
	Rooms   int `json:"rooms"`
	Shares  int `json:"shares"`
}

// AwaitRequest asks the account signer to answer once the account's JWT reflects the
// ledger up to stream sequence Seq, on every server.
type AwaitRequest struct {
	Account string `json:"account"`
	Seq     uint64 `json:"seq"`
}

// ProveRequest asks the signer for the hub's proof; both are 32 bytes.
type ProveRequest struct {
	Challenge []byte `json:"challenge"`
	Document  []byte `json:"document"`
}

// ProveAnswer is the proof and the operator JWT that names its key.
type ProveAnswer struct {
	Hub   string `json:"hub"`
	Proof []byte `json:"proof"`
}

// KickRequest asks the signer to close one connection.
type KickRequest struct {
	Server string `json:"server"`
	Client uint64 `json:"client"`
}

// RecoveryState says when the caller's backup was made; absent: there is none.
type RecoveryState struct {
	Made time.Time `json:"made,omitzero"`
}

// RecoveryBackup is a sealed backup, an event in compact form.
type RecoveryBackup struct {
	Event []byte `json:"event"`
}

// RebuildRequest asks the hub to fold a view anew.
type RebuildRequest struct {
	Projection string `json:"projection"`
}

// Projections lists the projections that keep a view.
type Projections struct {
	Names []string `json:"names"`
}

// Done is the answer that says nothing more.
type Done struct{}

// Document is the hub document: where the hub is reached.
type Document struct {
	Version   int      `json:"version"`
	NATS      []string `json:"nats"`
	WebSocket string   `json:"websocket"`
	Sentinel  string   `json:"sentinel"`
	Session   int      `json:"session,omitempty"` // seconds that a connection to ROOMS lives; 3600 if 0
}

// Proof is the answer at /.well-known/keyhall.
type Proof struct {
	Hub      string `json:"hub"`      // operator JWT
	Document string `json:"document"` // JSON text of a Document
	Proof    []byte `json:"proof"`
}
