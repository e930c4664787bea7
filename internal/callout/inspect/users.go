package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"
)

// sharedInbox is where answers to clients come that were told of no inbox of their own.
const sharedInbox = "_INBOX.>"

// maxInboxes are the inboxes of one user that are compared; more are told of as one pattern.
const maxInboxes = 64

// user is a user with everything that is judged about it.
type user struct {
	User
	publish, subscribe rights
	responds           bool
	known              bool     // its rights are; otherwise subscribe is what it subscribes to now
	subs               []string // what its connections subscribe to now
}

// census counts users, and what is not seen of them.
type census struct {
	claims *jwt.AccountClaims
	users  map[string]*user

	withoutJWT, scoped, defaults, leaves, templates int
}

// add counts a connection. login is what the callout gave it, if that is known.
func (c *census) add(one connection, login *Login) {
	if one.Kind != "" && one.Kind != "Client" {
		c.leaves++
		return
	}
	if login != nil {
		if permissions, known := c.loggedIn(one, login); known {
			c.place(one, "login "+one.User+" "+one.Issuer, User{Name: one.User}, &permissions)
			return
		}
	}
	claims, err := readUser(one.JWT)
	if err != nil {
		c.withoutJWT++
		c.place(one, "without "+one.User+one.place(), User{Name: cmp.Or(one.User, one.Name, one.place())}, nil)
		return
	}
	who := User{Name: cmp.Or(claims.Name, claims.Subject), Key: claims.Subject}
	permissions, known := c.permissions(claims)
	if !known {
		c.place(one, one.JWT, who, nil)
		return
	}
	c.place(one, one.JWT, who, &permissions)
}

// place puts a connection to those of the same user with the same rights; nil: they are not
// known.
func (c *census) place(one connection, same string, who User, permissions *jwt.Permissions) {
	u := c.users[same]
	if u == nil {
		u = &user{User: who, known: permissions != nil}
		if u.known {
			u.publish, u.subscribe = newPublish(permissions.Pub), newSubscribe(permissions.Sub)
			u.responds = permissions.Resp != nil
		}
		c.users[same] = u
	}
	u.Connections = append(u.Connections, one.place())
	u.subs = append(u.subs, one.Subs...)
}

// loggedIn are the permissions of a login through the callout, and whether they are known.
func (c *census) loggedIn(one connection, login *Login) (jwt.Permissions, bool) {
	if !login.Scoped {
		return login.Permissions, true
	}
	if c.claims == nil {
		return jwt.Permissions{}, false
	}
	scope, found := c.claims.SigningKeys.GetScope(one.Issuer)
	template, is := scope.(*jwt.UserScope)
	if !found || !is || bySubject(template.Template.Permissions) { // whose key is nowhere shown
		return jwt.Permissions{}, false
	}
	user := jwt.NewUserClaims(one.User)
	user.Name, user.IssuerAccount = one.User, c.claims.Subject
	user.Tags.Add(login.Tags...)
	filled, err := filler{user, c.claims}.permissions(template.Template.Permissions)
	return filled, err == nil
}

// permissions are those that the server applies to a user, and whether they are known.
func (c *census) permissions(user *jwt.UserClaims) (jwt.Permissions, bool) {
	permissions := user.Permissions
	if user.IssuerAccount != "" && user.HasEmptyPermissions() { // its signing key has a scope
		if c.claims == nil {
			c.scoped++
			return permissions, false
		}
		scope, found := c.claims.SigningKeys.GetScope(user.Issuer)
		if template, is := scope.(*jwt.UserScope); found && is {
			filled, err := filler{user, c.claims}.permissions(template.Template.Permissions)
			if err != nil {
				c.templates++
				return permissions, false
			}
			permissions = filled
		}
	}
	if !empty(permissions) {
		return permissions, true
	}
	if c.claims == nil {
		c.defaults++
		return permissions, true // as far as is known: everything
	}
	return c.claims.DefaultPermissions, true
}

// empty reports whether servers take permissions as none, and those of the account instead.
func empty(p jwt.Permissions) bool {
	return len(p.Pub.Allow)+len(p.Pub.Deny)+len(p.Sub.Allow)+len(p.Sub.Deny) == 0 && p.Resp == nil
}

// finish finds out where a user's answers come, when all its connections are counted.
func (u *user) finish() {
	slices.Sort(u.Connections)
	slices.Sort(u.subs)
	u.subs = slices.Compact(u.subs)
	if !u.known {
		u.subscribe = rights{allow: u.subs}
		u.publish = rights{}
	}
	shared := false
	for _, pattern := range slices.Concat(u.subscribe.allow, u.subs) {
		switch first, _, deep := strings.Cut(pattern, "."); {
		case !isInbox(pattern) || !deep || !u.subscribe.meets(pattern):
		case first == "_INBOX":
			shared = shared || slices.Contains(u.subs, pattern)
		default:
			u.Inboxes = append(u.Inboxes, first+".>")
		}
	}
	slices.Sort(u.Inboxes)
	u.Inboxes = slices.Compact(u.Inboxes)
	if len(u.Inboxes) > maxInboxes {
		u.Inboxes = u.Inboxes[:maxInboxes]
	}
	// Who has no inbox of its own uses the shared one as soon as it asks for something.
	if shared || (u.known && len(u.Inboxes) == 0 && u.subscribe.meets("_INBOX.*")) {
		u.Inboxes = append(u.Inboxes, sharedInbox)
	}
}

// sharesInbox reports whether answers to the user come where those to others do.
func (u *user) sharesInbox() bool { return slices.Contains(u.Inboxes, sharedInbox) }

// settle leaves each inbox to those whose it is: where one is called after a user, others who
// may use it as well do not own it, they reach into it.
func settle(users []*user) {
	called := make(map[string]bool)
	for _, u := range users {
		for _, inbox := range u.Inboxes {
			called[inbox] = called[inbox] || u.isCalled(inbox)
		}
	}
	for _, u := range users {
		u.Inboxes = slices.DeleteFunc(u.Inboxes, func(inbox string) bool { return called[inbox] && !u.isCalled(inbox) })
	}
}

// isCalled reports whether an inbox has the name or the key of the user.
func (u *user) isCalled(inbox string) bool {
	return (u.Name != "" && inbox == "_INBOX_"+u.Name+".>") || (u.Key != "" && inbox == "_INBOX_"+u.Key+".>")
}

// finish is all users, in order, when all connections are counted.
func (c *census) finish() []*user {
	users := make([]*user, 0, len(c.users))
	for _, u := range c.users {
		u.finish()
		users = append(users, u)
	}
	settle(users)
	slices.SortFunc(users, func(a, b *user) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key), slices.Compare(a.Connections, b.Connections))
	})
	return users
}

// single has a sentence about some be about one.
var single = strings.NewReplacer("%d connections have", "%d connection has", "%d connections", "%d connection", "%d leaf nodes", "%d leaf node",
	"them: they would", "it: it would", "servers do not show them; judged is what they subscribe", "servers do not show them; judged is what it subscribes")

// unseen says what was not seen.
func (c *census) unseen() []string {
	var said []string
	say := func(number int, format string) {
		if number > 0 {
			if number == 1 {
				format = single.Replace(format)
			}
			said = append(said, fmt.Sprintf(format, number))
		}
	}
	say(c.withoutJWT, "the rights of %d connections without a JWT (logins through an auth callout, bearer JWTs, users of a server's configuration): "+
		"servers do not show them; judged is what they subscribe to now; name the configuration of a keyhall callout (--config), which says what its logins get")
	say(c.scoped, "the rights of %d connections whose JWT is of a scoped signing key: they stand in the account's JWT; name it, or use creds of the system account")
	say(c.defaults, "the default permissions of the account, which %d connections have if there are any: without its JWT these count as connections that may do everything")
	say(c.templates, "the rights of %d connections by a template that no longer fits them: they would not be let in again")
	say(c.leaves, "what is behind %d leaf nodes: who is there may do in this account what the leaf node may")
	return said
}
