// Package policy is how configuration says what a login may: roles of permissions in an
// account, which backends give to people, and the checks that keep a person's own words from
// widening them.
//
// A role is checked when it is loaded (Role.Check) and filled in when somebody logs in
// (Role.Grant). What stands in it is its author's; a person's words come in through
// placeholders alone, and each is one plain token of a subject or the login is refused.
package policy

import (
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

// How long a connection may live before it has to log in again.
const (
	DefaultLife = time.Hour // where a role does not say
	minLife     = time.Second
	maxLife     = 30 * 24 * time.Hour
)

// The bounds of responses, and what NATS has where a user JWT says nothing.
const (
	defaultResponses     = 1
	defaultResponsesTime = 2 * time.Minute
	maxResponses         = 10_000
	maxResponsesTime     = time.Hour
)

const (
	maxSubjects = 1000 // of each list: they cost the server 6 ms and 1.5 MB a connection
	maxTags     = 64
)

// The kinds of inbox that a role may have.
const (
	privateInbox = "private"
	sharedInbox  = "shared"
)

// Role is what a login may. Subjects may hold {{name()}} and {{claim(x)}}, which stand for
// one token of the person's: see Fill. Unknown fields are refused, in JSON as in YAML.
type Role struct {
	Account     string       `json:"account" yaml:"account"` // name or A…
	Permissions *Permissions `json:"permissions,omitempty" yaml:"permissions"`
	// Life is how long a connection lives before it has to log in again: DefaultLife if 0,
	// otherwise between a second and thirty days.
	Life Duration `json:"life,omitempty" yaml:"life"`
	// Inbox is "private" (the default: _INBOX_<name>, and _INBOX.> denied) or "shared":
	// _INBOX.> like any other subject, for clients that cannot set a prefix.
	Inbox string `json:"inbox,omitempty" yaml:"inbox"`
	// Tags are for the templates of scoped signing keys, in lower case as NATS has them. They
	// may hold placeholders behind a colon: team:{{claim(team)}}.
	Tags List `json:"tags,omitempty" yaml:"tags"`
}

// Permissions are written as in a NATS user JWT.
type Permissions struct {
	Pub  Subjects   `json:"pub" yaml:"pub"`
	Sub  Subjects   `json:"sub" yaml:"sub"`
	Resp *Responses `json:"resp,omitempty" yaml:"resp"`
}

// Subjects of one direction. Nothing allowed is everything denied.
type Subjects struct {
	Allow List `json:"allow,omitempty" yaml:"allow"`
	Deny  List `json:"deny,omitempty" yaml:"deny"`
}

// Responses are answers to the reply subjects of messages received. What is 0 is as NATS has
// it: one answer, within two minutes. Max is 10,000 at most, TTL an hour.
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

// Grant is what a person with this role gets, from now on. Of a person whose name or claims
// cannot stand where the role needs them it is refused.
func (r Role) Grant(accounts callout.Accounts, person Person, now time.Time) (*callout.Grant, error) {
	account, err := accounts.Find(r.Account)
	if err != nil {
		return nil, err
	}
	if err := callout.CheckText(person.Name); err != nil {
		return nil, fault.Wrap(fault.Refused, err, "the name cannot be shown: %v", err)
	}
	life := time.Duration(r.Life)
	if life == 0 {
		life = DefaultLife
	}
	grant := &callout.Grant{
		Account: account.ID, Signer: account.Signer, Scoped: account.Scoped, Name: person.Name, Rule: person.Rule,
		Expires: now.Add(life),
	}
	for _, tag := range r.Tags {
		filled, err := fillTag(tag, person)
		if err != nil {
			return nil, err
		}
		grant.Tags = append(grant.Tags, filled)
	}
	if account.Scoped {
		if r.Permissions != nil || r.Inbox != "" {
			return nil, fault.New(fault.Internal, "the signing key of %s has a scope, and %s has permissions as well", account.Name, person.Rule)
		}
		return grant, checkTemplateWord("the name", person.Name)
	}
	if r.Inbox == sharedInbox {
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
		grant.Responses = permissions.Resp.responses()
	}
	return nil
}

func (r Responses) responses() callout.Responses {
	responses := callout.Responses{Max: r.Max, Within: time.Duration(r.TTL)}
	if responses.Max == 0 {
		responses.Max = defaultResponses
	}
	if responses.Within == 0 {
		responses.Within = defaultResponsesTime
	}
	return responses
}

// everything is what a role without permissions may: all of its account, as NATS has it.
func everything() *Permissions {
	return &Permissions{Pub: Subjects{Allow: List{">"}}, Sub: Subjects{Allow: List{">"}}}
}

// Check says what is wrong with a role before anybody has it: an account that is not there,
// a subject that is none, a bound that is passed, permissions beside those of a scoped
// signing key. The error is a fault that begins with what it is about.
func (r Role) Check(accounts callout.Accounts) error {
	account, err := accounts.Find(r.Account)
	switch {
	case r.Account == "":
		return fault.New(fault.Malformed, "account: it is missing")
	case err != nil:
		return fault.New(fault.Malformed, "account: there is none called %q to place anybody in", r.Account)
	case r.Inbox != "" && r.Inbox != privateInbox && r.Inbox != sharedInbox:
		return fault.New(fault.Malformed, "inbox: %q is neither private nor shared", r.Inbox)
	case r.Life != 0 && (time.Duration(r.Life) < minLife || time.Duration(r.Life) > maxLife):
		return fault.New(fault.Malformed, "life: %s is not between a second and thirty days; write it like 90s, 15m or 24h", time.Duration(r.Life))
	case account.Scoped && r.Permissions != nil:
		return fault.New(fault.Malformed, "permissions: the signing key of %s has a scope, which says what its users may", account.Name)
	case account.Scoped && r.Inbox != "":
		return fault.New(fault.Malformed, "inbox: the signing key of %s has a scope, which says what its users may", account.Name)
	case len(r.Tags) > maxTags:
		return fault.New(fault.Malformed, "tags: there are %d, and %d are the most", len(r.Tags), maxTags)
	}
	for _, tag := range r.Tags {
		if err := checkTag(tag); err != nil {
			return fault.Wrap(fault.Malformed, err, "tags: %q: %v", tag, err)
		}
	}
	if r.Permissions == nil {
		return nil
	}
	return r.Permissions.check()
}

func (p *Permissions) check() error {
	for _, list := range []struct {
		name     string
		subjects []string
	}{
		{"pub.allow", p.Pub.Allow},
		{"pub.deny", p.Pub.Deny},
		{"sub.allow", p.Sub.Allow},
		{"sub.deny", p.Sub.Deny},
	} {
		if len(list.subjects) > maxSubjects {
			return fault.New(fault.Malformed, "%s: there are %d subjects, and %d are the most", list.name, len(list.subjects), maxSubjects)
		}
		for _, subject := range list.subjects {
			if err := checkPattern(subject); err != nil {
				return fault.Wrap(fault.Malformed, err, "%s: %q is no subject: %v", list.name, subject, err)
			}
		}
	}
	if p.Resp == nil {
		return nil
	}
	ttl := time.Duration(p.Resp.TTL)
	switch {
	case p.Resp.Max < 0 || p.Resp.Max > maxResponses:
		return fault.New(fault.Malformed, "resp.max: %d is not between 1 and %d", p.Resp.Max, maxResponses)
	case ttl < 0 || ttl > maxResponsesTime:
		return fault.New(fault.Malformed, "resp.ttl: %s is longer than an hour", ttl)
	}
	return nil
}

// Warnings say what of a role that was checked its author may not expect, in sentences about
// who.
func (r Role) Warnings(who string) []string {
	p := r.Permissions
	if p == nil {
		return nil
	}
	var warnings []string
	for _, direction := range []struct {
		verb     string
		subjects Subjects
	}{{"publish", p.Pub}, {"subscribe to", p.Sub}} {
		if s := direction.subjects; len(s.Allow) == 0 && len(s.Deny) > 0 {
			warnings = append(warnings, who+" may "+direction.verb+" nothing: without an allow list everything is denied here, "+
				"where NATS would allow all but "+strings.Join(s.Deny, ", ")+"; to have it so, allow \">\"")
		}
	}
	for _, subject := range p.Sub.Allow {
		if subject[0] == '*' || subject[0] == '>' { // no deny can say _INBOX_ and then anything
			warnings = append(warnings, who+" may subscribe to "+subject+", and with it to everybody's inbox in the account; "+
				"name the first token of what is meant")
			break
		}
	}
	return warnings
}
