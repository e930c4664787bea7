package inspect

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
)

// Options say what to inspect.
type Options struct {
	// Account (A…) is the one to inspect. It has to be named where the connection is one of
	// the system account, and is that of the connection otherwise.
	Account string
	// System says that the connection is one of the system account.
	System bool
	// Claims are the account's, where they are known; the system account can ask for them.
	Claims *jwt.AccountClaims
	// Login, if set, says what a login through the auth callout gets: servers keep no JWT of
	// one. An error is that it is not known. It is asked once for each name.
	Login func(ctx context.Context, name string) (*Login, error)
	// Servers is how many have to answer; 0: as many as do.
	Servers int
	// Patience bounds the wait for the first answer, Quiet that for one more; 0: the default.
	Patience, Quiet time.Duration
	// Page is how many connections a server is asked for at a time; 0: the default.
	Page int
}

// Login is what an auth callout gives.
type Login struct {
	Account     string // A…
	Permissions jwt.Permissions
	// Scoped says that the template of the signing key has the permissions, filled in with
	// the name and these tags.
	Scoped bool
	Tags   []string
}

// Report is what was found.
type Report struct {
	Account     string
	Servers     []string // names of those that answered
	Connections int
	Users       []User
	Findings    []Finding // the gravest first
	Unseen      []string  // what could not be judged, each in a sentence
}

// User is a user of the account, with the connections that have the same rights.
type User struct {
	Name        string   // as its JWT has it, or what the server knows it by
	Key         string   // U…; "" where the server does not say
	Connections []string // server/cid
	Inboxes     []string // patterns of subjects on which its answers come
}

// query is one inspection under way.
type query struct {
	Options
	nc      *nats.Conn
	subject string
}

// Inspect asks the servers behind a connection, and judges what they say. The connection
// itself is left out.
func Inspect(ctx context.Context, nc *nats.Conn, o Options) (*Report, error) {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Quiet == 0 {
		o.Quiet = defaultQuiet
	}
	if o.Page == 0 {
		o.Page = pageSize
	}
	q := &query{Options: o, nc: nc, subject: "$SYS.REQ.ACCOUNT.PING.CONNZ"}
	var unseen []string
	if o.System {
		q.subject = "$SYS.REQ.ACCOUNT." + o.Account + ".CONNZ"
		if q.Claims == nil {
			var err error
			if q.Claims, err = q.accountClaims(ctx); err != nil {
				unseen = append(unseen, "the account's JWT: no server shows it")
			}
		}
	}
	l, err := q.list(ctx)
	if err != nil {
		return nil, err
	}
	if o.Servers > len(l.servers) {
		return nil, fault.New(fault.Unavailable, "%d servers answered, and %d are wanted", len(l.servers), o.Servers)
	}
	r := q.judge(ctx, l)
	r.Unseen = append(unseen, r.Unseen...)
	return r, nil
}

// judge makes the report of a listing.
func (q *query) judge(ctx context.Context, l *listing) *Report {
	r := &Report{Account: q.Account}
	for _, name := range l.servers {
		r.Servers = append(r.Servers, name)
	}
	slices.Sort(r.Servers)
	r.Unseen = append(r.Unseen, l.incomplete...)
	c := census{claims: q.Claims, users: make(map[string]*user)}
	own, err := q.nc.GetClientID()
	logins := make(map[string]*Login)
	for _, one := range l.connections {
		if r.Account == "" {
			r.Account = one.Account
		}
		if err == nil && one.server == q.nc.ConnectedServerId() && one.ID == own {
			continue
		}
		r.Connections++
		c.add(one, q.login(ctx, one, logins))
	}
	users := c.finish()
	for _, u := range users {
		r.Users = append(r.Users, u.User)
	}
	r.Unseen = append(r.Unseen, c.unseen()...)
	r.Findings = findings(users)
	return r
}

// login is what the callout gave a connection, nil if that is not known. known are those that
// were asked for.
func (q *query) login(ctx context.Context, one connection, known map[string]*Login) *Login {
	if q.Login == nil || one.JWT != "" || one.User == "" || nkeys.IsValidPublicUserKey(one.User) {
		return nil
	}
	found, asked := known[one.User]
	if !asked {
		var err error
		if found, err = q.Login(ctx, one.User); err != nil || found.Account != one.Account {
			found = nil
		}
		known[one.User] = found
	}
	return found
}

// Everybody reports whether others are all users but one.
func (r *Report) Everybody(others []string) bool {
	return len(others) > 1 && len(others) == len(r.Users)-1
}

// place names a connection.
func (c *connection) place() string {
	name := c.serverName
	if name == "" {
		name = c.server
	}
	return name + "/" + strconv.FormatUint(c.ID, 10)
}

// isInbox reports whether a pattern is that of an inbox: its first token says so.
func isInbox(pattern string) bool { return strings.HasPrefix(pattern, "_INBOX") }

// InboxOf is the prefix of the private inbox that a user's JWT allows; "" if it names none.
func InboxOf(claims *jwt.UserClaims) string {
	for _, pattern := range claims.Sub.Allow {
		if prefix, found := strings.CutSuffix(pattern, ".>"); found && isInbox(prefix) && prefix != "_INBOX" && !strings.ContainsAny(prefix, "*> ") {
			return prefix
		}
	}
	return ""
}
