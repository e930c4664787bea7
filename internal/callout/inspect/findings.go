package inspect

import (
	"cmp"
	"slices"
)

// Kind says what a finding is about.
type Kind string

// The kinds of findings, the gravest first. The last two are warnings: they harm nobody by
// themselves.
const (
	Reads      Kind = "reads"      // may hear answers to others
	Injects    Kind = "injects"    // may publish into others' inboxes
	Shared     Kind = "shared"     // has no inbox of its own
	Redirected Kind = "redirected" // can be made to publish into others' inboxes
)

// Warning reports whether findings of this kind are warnings.
func (k Kind) Warning() bool { return k == Shared || k == Redirected }

// Finding is what one user may do to others.
type Finding struct {
	Kind    Kind
	User    User
	Others  []string // names, whose inboxes; of Redirected: who can make the user do it
	Subject string   // one on which it is so
	Detail  string   // in a sentence
	Remedy  string
}

// findings compares every user with every other.
func findings(users []*user) []Finding {
	var all []Finding
	for _, u := range users {
		for _, find := range []func(*user, []*user) *Finding{reads, injects, shares, redirected} {
			if found := find(u, users); found != nil {
				found.User = u.User
				all = append(all, *found)
			}
		}
	}
	order := []Kind{Reads, Injects, Shared, Redirected}
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)) })
	return all
}

// intoInboxes are the users but one into whose inboxes some rights reach, and a subject.
func intoInboxes(r rights, u *user, users []*user) (others []string, subject string) {
	for _, other := range users {
		if other == u {
			continue
		}
		for _, inbox := range other.Inboxes {
			if other.Name == u.Name && u.isCalled(inbox) {
				continue // another login of the same person, by the word of the account
			}
			if found, is := r.within(inbox); is {
				others = append(others, other.Name)
				subject = cmp.Or(subject, found)
				break
			}
		}
	}
	return others, subject
}

func reads(u *user, users []*user) *Finding {
	others, subject := intoInboxes(u.subscribe, u, users)
	if others == nil {
		return nil
	}
	f := &Finding{Kind: Reads, Others: others, Subject: subject, Detail: "may subscribe to the inboxes of others"}
	switch {
	case !u.known:
		f.Detail = "is subscribed to the inboxes of others"
		f.Remedy = "find out what gave this login the right, and take it away"
	case u.Key == "":
		f.Remedy = "name the subjects that it needs in its role, instead of everything; its private inbox comes by itself"
	case u.subscribe.open:
		f.Remedy = "its JWT allows it to subscribe to everything: allow it " + private(u) + " and the subjects that it needs, deny it " + sharedInbox + ", and revoke the creds that it has"
	default:
		f.Remedy = "allow it " + private(u) + " and no other inbox, deny it " + sharedInbox + ", and revoke the creds that it has"
	}
	return f
}

// private is an inbox of its own for a user.
func private(u *user) string {
	if u.Key == "" {
		return "the inbox of its name"
	}
	return "_INBOX_" + u.Key + ".>"
}

func injects(u *user, users []*user) *Finding {
	if !u.known {
		return nil
	}
	others, subject := intoInboxes(u.publish, u, users)
	if others == nil {
		return nil
	}
	return &Finding{
		Kind: Injects, Others: others, Subject: subject, Detail: "may publish into the inboxes of others",
		Remedy: "allow it to publish the subjects that it needs instead of wildcards that reach inboxes (a deny has no wildcard for _INBOX_…), and allow_responses where it answers",
	}
}

func shares(u *user, users []*user) *Finding {
	if !u.sharesInbox() || len(users) < 2 {
		return nil
	}
	return &Finding{
		Kind: Shared, Subject: sharedInbox, Detail: "has its answers sent to the inbox that all clients share by default",
		Remedy: "connect with an inbox prefix of its own, and allow it no other: " + private(u),
	}
}

func redirected(u *user, users []*user) *Finding {
	if !u.known || !u.responds {
		return nil
	}
	var by []string
	for _, other := range users {
		if other != u && other.known && reaches(other, u) {
			by = append(by, other.Name)
		}
	}
	if by == nil {
		return nil
	}
	return &Finding{
		Kind: Redirected, Others: by, Detail: "answers to any reply subject (allow_responses): who may ask it chooses where the answer goes",
		Remedy: "have it answer in the inbox of who signed the request alone (package event: Responder), or ask it from other accounts only, through an export",
	}
}

// reaches reports whether a user may publish what another one may subscribe to.
func reaches(from, to *user) bool {
	for _, heard := range to.subscribe.patterns() {
		for _, said := range from.publish.patterns() {
			both, meet := intersect(heard, said)
			if !meet {
				continue
			}
			if _, is := undenied(both, slices.Concat(from.publish.deny, to.subscribe.deny)); is {
				return true
			}
		}
	}
	return false
}
