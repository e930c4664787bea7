package registry

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

// Connection is a connection that was let in. What is not known is empty: of one that
// another replica let in, or that was there before a restart, the servers know the first six.
type Connection struct {
	Server  string    `json:"server"` // N…
	Client  uint64    `json:"cid"`
	Account string    `json:"account"`        // A…, where it is
	Name    string    `json:"name"`           // who it is, as granted
	Host    string    `json:"host,omitempty"` // address
	Since   time.Time `json:"since"`          // when the server accepted it, or it was noted

	Program string    `json:"client,omitempty"` // what the client's program calls itself
	Type    string    `json:"type,omitempty"`   // nats, websocket or mqtt
	User    string    `json:"user,omitempty"`   // the user field of its login
	UserKey string    `json:"user_key,omitempty"`
	Backend string    `json:"backend,omitempty"` // who let it in
	Rule    string    `json:"rule,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// ID names a connection: <server>/<number>.
func (c *Connection) ID() string { return c.Server + "/" + strconv.FormatUint(c.Client, 10) }

// ParseID reads what ID writes, or a fault for the person who wrote it.
func ParseID(text string) (server string, client uint64, err error) {
	server, number, found := strings.Cut(text, "/")
	if found {
		client, err = strconv.ParseUint(number, 10, 64)
	}
	if !found || err != nil || client == 0 || len(server) > 64 || callout.CheckToken(server) != nil {
		return "", 0, fault.New(fault.Malformed, "%.80q names no connection; keyhall callout sessions shows the ids (SERVER/NUMBER)", text)
	}
	return server, client, nil
}

// id is a connection's place; a server gives each number once.
type id struct {
	server string
	client uint64
}

func (i id) String() string { return fmt.Sprintf("%s/%d", i.server, i.client) }

// note is what the registry has of a connection.
type note struct {
	Connection
	rights  *callout.Rights // nil: not known
	judged  bool            // let in, not only asking
	shown   bool            // a server has said that it is there
	noted   time.Time       // by this process
	missed  int             // lists of a server that lacked it, one after the other
	closing bool            // it is to be closed: whoever judges it now refuses
	marked  time.Time       // since when it is
}

func newNote(r *callout.Request, backend string, now time.Time) *note {
	return &note{noted: now, Connection: Connection{
		Server: r.Server.ID, Client: r.Client.ID, Host: r.Client.Host, Since: now.UTC().Truncate(time.Millisecond),
		Program: cut(r.Client.Name), Type: r.Client.Type, User: cut(r.User), UserKey: r.UserKey, Backend: backend,
	}}
}

// maxShown bounds what is kept of a client's own words, in bytes.
const maxShown = 256

func cut(text string) string { return text[:min(len(text), maxShown)] }
