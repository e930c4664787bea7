package audit

import (
	"time"

	"keyhall.dev/keyhall/internal/callout"
)

// The subjects and types of the events, see docs/protocol/audit.md.
const (
	LoginSubject  = "audit.login"
	ClosedSubject = "audit.closed"
	GapSubject    = "audit.gap"

	loginType  = "callout.login"
	closedType = "callout.closed"
	gapType    = "callout.gap"
)

const (
	maxListed = 32   // subjects of one list of rights
	maxClosed = 64   // connections of one entry
	maxText   = 1024 // bytes of a reason or a rule: a rule of a hub names up to 64 rooms
)

// Entry is a decision on a login, as it is written down.
type Entry struct {
	Decided time.Time       `json:"decided"` // UTC, milliseconds
	Outcome callout.Outcome `json:"outcome"`
	Reason  string          `json:"reason,omitempty"`

	User string `json:"user,omitempty"` // the client's own words
	Name string `json:"name,omitempty"` // as granted

	Host       string `json:"host,omitempty"`
	Client     string `json:"client,omitempty"` // what the program calls itself
	Type       string `json:"type,omitempty"`
	Server     string `json:"server,omitempty"` // N…
	ServerName string `json:"server_name,omitempty"`
	CID        uint64 `json:"cid,omitempty"`
	UserKey    string `json:"user_key,omitempty"` // U…, of this connection alone

	Backend string     `json:"backend,omitempty"`
	Rule    string     `json:"rule,omitempty"`
	Account string     `json:"account,omitempty"` // A…
	Rights  *Rights    `json:"rights,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`

	Microseconds int64 `json:"took_us"`
	// More is how many logins from this address ended likewise shortly before and have no
	// entry of their own.
	More int `json:"more,omitempty"`
}

// Rights are what was granted, in lists of a bounded length.
type Rights struct {
	Digest    string     `json:"digest"`
	Publish   *Subjects  `json:"publish,omitempty"`
	Subscribe *Subjects  `json:"subscribe,omitempty"`
	Responses *Responses `json:"responses,omitempty"`
	Scoped    bool       `json:"scoped,omitempty"`
	Tags      []string   `json:"tags,omitempty"`
	More      int        `json:"more,omitempty"` // how many subjects and tags are not shown
}

// Subjects of one direction.
type Subjects struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

// Responses to messages received.
type Responses struct {
	Max          int   `json:"max"`
	Milliseconds int64 `json:"within_ms"`
}

// Closed is that connections were closed, or logins denied, because somebody lost a right.
type Closed struct {
	By     string       `json:"by"` // ByHost, ByRights or ByRules
	Why    string       `json:"why,omitempty"`
	Name   string       `json:"name,omitempty"`
	Closed []Connection `json:"closed,omitempty"`
	More   int          `json:"more,omitempty"`   // how many beyond those
	Failed int          `json:"failed,omitempty"` // how many could not be closed
	// DeniedUntil is until when the name's logins are refused.
	DeniedUntil *time.Time `json:"denied_until,omitempty"`
}

// Who closes connections.
const (
	ByHost   = "host"   // somebody asked for it
	ByRights = "rights" // a right ended
	ByRules  = "rules"  // the rules were changed
)

// Connection is one of a server's.
type Connection struct {
	Server string `json:"server"`
	CID    uint64 `json:"cid"`
}

// Gap is a hole in the audit.
type Gap struct {
	Lost int64     `json:"lost"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Why  string    `json:"why"` // overflow or unavailable
}

// newEntry is what is written of a decision.
func newEntry(d *callout.Decision, decided time.Time, more int) *Entry {
	e := &Entry{
		Decided: decided.UTC().Truncate(time.Millisecond), Outcome: d.Outcome, Reason: cut(d.Reason), User: d.User, Name: d.Name,
		Host: d.Client.Host, Client: d.Client.Name, Type: d.Client.Type, CID: d.Client.ID,
		Server: d.Server.ID, ServerName: d.Server.Name, UserKey: d.UserKey,
		Backend: d.Backend, Rule: cut(d.Rule), Account: d.Account, Microseconds: d.Duration.Microseconds(), More: more,
	}
	if d.Allowed {
		e.Rights = newRights(d.Rights)
	}
	if !d.Expires.IsZero() {
		expires := d.Expires.UTC().Truncate(time.Second)
		e.Expires = &expires
	}
	return e
}

func cut(text string) string { return text[:min(len(text), maxText)] }

func newRights(granted callout.Rights) *Rights {
	r := &Rights{Digest: granted.Digest(), Scoped: granted.Scoped}
	r.Publish, r.Subscribe = r.subjects(granted.Publish), r.subjects(granted.Subscribe)
	r.Tags = r.list(granted.Tags)
	if granted.Responses.Max > 0 {
		r.Responses = &Responses{Max: granted.Responses.Max, Milliseconds: granted.Responses.Within.Milliseconds()}
	}
	return r
}

func (r *Rights) subjects(s callout.Subjects) *Subjects {
	if len(s.Allow)+len(s.Deny) == 0 {
		return nil
	}
	return &Subjects{Allow: r.list(s.Allow), Deny: r.list(s.Deny)}
}

// list is the beginning of a list; what is left out is counted.
func (r *Rights) list(texts []string) []string {
	if len(texts) <= maxListed {
		return texts
	}
	r.More += len(texts) - maxListed
	return texts[:maxListed]
}

// bound cuts the list of connections.
func (c *Closed) bound() {
	if len(c.Closed) > maxClosed {
		c.More += len(c.Closed) - maxClosed
		c.Closed = c.Closed[:maxClosed]
	}
}
