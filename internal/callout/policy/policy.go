// Package policy is how configuration says what a login may: roles of permissions in an
// account, which backends give to people, and the checks that keep a person's own words from
// widening them.
package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

// DefaultLife is how long a connection lives before it has to log in again, where a role
// does not say.
const DefaultLife = time.Hour

// Role is what a login may. Subjects may hold {{name()}} and {{claim(x)}}, which stand for
// one token of the person's: see Fill.
type Role struct {
	Account     string       `json:"account" yaml:"account"` // name or A…
	Permissions *Permissions `json:"permissions,omitempty" yaml:"permissions"`
	// Life is how long a connection lives before it has to log in again; DefaultLife if 0.
	Life Duration `json:"life,omitempty" yaml:"life"`
	// Inbox is "private" (the default: _INBOX_<name>, and _INBOX.> denied) or "shared":
	// _INBOX.> like any other subject, for clients that cannot set a prefix.
	Inbox string   `json:"inbox,omitempty" yaml:"inbox"`
	Tags  []string `json:"tags,omitempty" yaml:"tags"` // for the templates of scoped signing keys
}

// Permissions are written as in a NATS user JWT.
type Permissions struct {
	Pub  Subjects   `json:"pub" yaml:"pub"`
	Sub  Subjects   `json:"sub" yaml:"sub"`
	Resp *Responses `json:"resp,omitempty" yaml:"resp"`
}

// Subjects of one direction. Nothing allowed is everything denied.
type Subjects struct {
	Allow []string `json:"allow,omitempty" yaml:"allow"`
	Deny  []string `json:"deny,omitempty" yaml:"deny"`
}

// Responses are answers to the reply subjects of messages received.
type Responses struct {
	Max int      `json:"max" yaml:"max"`
	TTL Duration `json:"ttl" yaml:"ttl"` // nanoseconds, as in a JWT, or a text like 5s
}

// Person is whom a role is given to.
type Person struct {
	Name   string            // who it is, in audit and in NATS's own reports
	Rule   string            // why they have the role
	Claims map[string]string // what {{claim(x)}} stands for
}

// Grant is what a person with this role gets, from now on.
func (r Role) Grant(accounts callout.Accounts, person Person, now time.Time) (*callout.Grant, error) {
	account, err := accounts.Find(r.Account)
	if err != nil {
		return nil, err
	}
	life := time.Duration(r.Life)
	if life == 0 {
		life = DefaultLife
	}
	grant := &callout.Grant{
		Account: account.ID, Signer: account.Signer, Scoped: account.Scoped, Name: person.Name, Rule: person.Rule,
		Expires: now.Add(life), Tags: r.Tags,
	}
	if account.Scoped {
		if r.Permissions != nil {
			return nil, fault.New(fault.Internal, "the signing key of %s has a scope, and %s has permissions as well", account.Name, person.Rule)
		}
		return grant, nil
	}
	if r.Inbox == "shared" {
		grant.SharedInbox = true
	} else {
		grant.Inbox = InboxPrefix(person.Name)
	}
	return grant, r.permit(grant, person)
}

func (r Role) permit(grant *callout.Grant, person Person) error {
	permissions := r.Permissions
	if permissions == nil {
		permissions = everything()
	}
	for _, list := range []struct {
		to   *[]string
		from []string
	}{
		{&grant.Publish.Allow, permissions.Pub.Allow},
		{&grant.Publish.Deny, permissions.Pub.Deny},
		{&grant.Subscribe.Allow, permissions.Sub.Allow},
		{&grant.Subscribe.Deny, permissions.Sub.Deny},
	} {
		for _, subject := range list.from {
			filled, err := Fill(subject, person)
			if err != nil {
				return err
			}
			*list.to = append(*list.to, filled)
		}
	}
	if permissions.Resp != nil {
		grant.Responses = callout.Responses{Max: permissions.Resp.Max, Within: time.Duration(permissions.Resp.TTL)}
	}
	return nil
}

// everything is what a role without permissions may: all of its account, as NATS has it.
func everything() *Permissions {
	return &Permissions{Pub: Subjects{Allow: []string{">"}}, Sub: Subjects{Allow: []string{">"}}}
}

var placeholder = regexp.MustCompile(`\{\{\s*(name|claim)\(([A-Za-z0-9_.:/-]*)\)\s*\}\}`)

// Fill puts a person's own words into a subject. A word that is not one plain token is
// refused: it would be a wildcard, or several tokens.
func Fill(subject string, person Person) (string, error) {
	var bad error
	filled := placeholder.ReplaceAllStringFunc(subject, func(found string) string {
		parts := placeholder.FindStringSubmatch(found)
		word := person.Name
		if parts[1] == "claim" {
			word = person.Claims[parts[2]]
		}
		if err := callout.CheckToken(word); err != nil && bad == nil {
			bad = fault.Wrap(fault.Refused, err, "%s cannot stand in a subject: %v", strings.Trim(found, "{} "), err)
		}
		return word
	})
	if bad == nil && strings.Contains(filled, "{{") {
		bad = fault.New(fault.Internal, "subject %q holds something else than {{name()}} and {{claim(x)}}", subject)
	}
	return filled, bad
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// InboxPrefix is the private inbox of a name: _INBOX_<name>, or for a name with other
// characters than letters, digits, _ and -, or a longer one, of the first 32 hexadecimal
// digits of its SHA-256 behind an x.
func InboxPrefix(name string) string {
	if plainName.MatchString(name) {
		return "_INBOX_" + name
	}
	hash := sha256.Sum256([]byte(name))
	return "_INBOX_x" + hex.EncodeToString(hash[:16])
}

// Duration is written as a number of nanoseconds or as a text: 90m, 24h.
type Duration time.Duration

// UnmarshalText reads a text like 90m, or a number of nanoseconds.
func (d *Duration) UnmarshalText(text []byte) error {
	if nanoseconds, err := strconv.ParseInt(string(text), 10, 64); err == nil && nanoseconds >= 0 {
		*d = Duration(nanoseconds)
		return nil
	}
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is no duration; write it like 90s, 15m or 24h", text)
	}
	*d = Duration(parsed)
	return nil
}

// UnmarshalJSON reads either in JSON.
func (d *Duration) UnmarshalJSON(data []byte) error {
	return d.UnmarshalText(bytes.Trim(data, `"`))
}
