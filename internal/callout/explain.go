package callout

import (
	"context"
	"slices"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

// Explanation is what a login would get, for people and scripts. It holds no secrets.
type Explanation struct {
	User        string     `json:"user"` // as asked
	Backend     string     `json:"backend"`
	Rule        string     `json:"rule"`    // why
	Name        string     `json:"name"`    // who it is, in NATS's own reports
	Account     string     `json:"account"` // A…
	AccountName string     `json:"account_name,omitempty"`
	Publish     Lists      `json:"publish"`
	Subscribe   Lists      `json:"subscribe"`
	Responses   *Answering `json:"responses,omitempty"` // nil: none
	Inbox       string     `json:"inbox,omitempty"`     // the prefix that the client has to use
	Shared      bool       `json:"shared_inbox,omitempty"`
	Scoped      bool       `json:"scoped,omitempty"` // the template of the signing key says what it may
	Tags        []string   `json:"tags,omitempty"`
	Expires     time.Time  `json:"expires,omitzero"` // of a login made now
}

// Lists are the subjects of one direction, as the server is told them.
type Lists struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

// Answering is how often, and for how long, a message may be answered.
type Answering struct {
	Max    int    `json:"max"`
	Within string `json:"within"`
}

// Explain asks backends in turn what a login would get; the first that knows the one who
// would log in says it, for good or not. It fails with fault.NotFound where none does.
func Explain(ctx context.Context, backends []Backend, query Query) (*Explanation, error) {
	var why []string // not, of each that was asked
	for _, backend := range backends {
		explainer, can := backend.(Explainer)
		if !can {
			continue
		}
		grant, err := explainer.Explain(ctx, query)
		switch {
		case fault.Is(err, fault.NotFound):
			why = append(why, backend.Name()+": "+err.Error())
			continue
		case err != nil:
			return nil, fault.Wrap(fault.CodeOf(err), err, "%s: %s", backend.Name(), err)
		}
		if err := grant.check(time.Now()); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "%s: what it grants cannot be issued: %s", backend.Name(), err)
		}
		return newExplanation(query, backend, grant), nil
	}
	if query.Claims != nil {
		return nil, fault.New(fault.NotFound, "no backend decides about these claims (%s)", strings.Join(why, "; "))
	}
	return nil, fault.New(fault.NotFound, "no backend knows %.60q", query.User)
}

func newExplanation(query Query, backend Backend, grant *Grant) *Explanation {
	rights := grant.Rights()
	e := &Explanation{
		User: query.User, Backend: backend.Name(), Rule: grant.Rule, Name: grant.Name, Account: grant.Account,
		Publish: newLists(rights.Publish), Subscribe: newLists(rights.Subscribe),
		Inbox: grant.Inbox, Shared: grant.SharedInbox, Scoped: grant.Scoped, Tags: grant.Tags,
	}
	if !grant.Expires.IsZero() {
		e.Expires = grant.Expires.UTC().Truncate(time.Second)
	}
	if grant.Responses.Max > 0 {
		e.Responses = &Answering{Max: grant.Responses.Max, Within: grant.Responses.Within.String()}
	}
	return e
}

func newLists(s Subjects) Lists {
	return Lists{Allow: append([]string{}, s.Allow...), Deny: slices.Compact(append([]string{}, s.Deny...))}
}
