package callout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// Rights are what a grant lets a connection do, to be written down and compared.
type Rights struct {
	Account   string
	Publish   Subjects
	Subscribe Subjects // its inbox among them
	Responses Responses
	Scoped    bool     // the template of the signing key says what, filled in with Name and Tags
	Name      string   // of a scoped grant: it stands in subjects
	Tags      []string // of a scoped grant
}

// Rights are those of the grant as the connection gets them.
func (g *Grant) Rights() Rights {
	r := Rights{Account: g.Account, Responses: g.Responses, Scoped: g.Scoped}
	if g.Scoped {
		r.Name, r.Tags = g.Name, slices.Clone(g.Tags)
		return r
	}
	permissions := g.permissions()
	r.Publish = Subjects{Allow: permissions.Pub.Allow, Deny: permissions.Pub.Deny}
	r.Subscribe = Subjects{Allow: permissions.Sub.Allow, Deny: permissions.Sub.Deny}
	return r
}

// Digest is the same for the same rights: half a SHA-256 in hexadecimal.
func (r Rights) Digest() string {
	text, err := json.Marshal(r)
	if err != nil { // texts and numbers
		panic(err)
	}
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:16])
}

// Within reports whether a connection with these rights may do nothing that the others do
// not allow. Where that is not plain it says no.
func (r Rights) Within(others Rights) bool {
	if r.Account != others.Account || r.Scoped != others.Scoped || r.Name != others.Name || !slices.Equal(r.Tags, others.Tags) {
		return false
	}
	responses := r.Responses == Responses{} ||
		r.Responses.Max <= others.Responses.Max && r.Responses.Within <= others.Responses.Within
	return responses && r.Publish.within(others.Publish) && r.Subscribe.within(others.Subscribe)
}

// within: everything allowed here is allowed there, and everything denied there here.
func (s Subjects) within(others Subjects) bool {
	return covered(s.Allow, others.Allow) && covered(others.Deny, s.Deny)
}

// covered reports whether each of subjects is within one of patterns.
func covered(subjects, patterns []string) bool {
	for _, subject := range subjects {
		if !slices.ContainsFunc(patterns, func(pattern string) bool { return covers(pattern, subject) }) {
			return false
		}
	}
	return true
}

// covers reports whether whatever matches subject matches pattern.
func covers(pattern, subject string) bool {
	wants, has := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range wants {
		switch {
		case token == everything:
			return i < len(has)
		case i >= len(has), has[i] == everything, token != "*" && token != has[i]:
			return false
		}
	}
	return len(wants) == len(has)
}
