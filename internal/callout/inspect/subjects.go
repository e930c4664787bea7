package inspect

import (
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"
)

// rights are what a user may do in one direction, as the server judges it: a subject is
// allowed if a pattern of allow covers it, or there is none, and no pattern of deny does.
type rights struct {
	allow, deny []string
	open        bool // allow was empty: everything is allowed
}

// newSubscribe are rights to subscribe, as a JWT has them. A pattern with a queue behind it
// allows its subjects to members of the queue, and denies nothing to who is in none.
func newSubscribe(p jwt.Permission) rights {
	r := rights{open: len(p.Allow) == 0}
	for _, pattern := range p.Allow {
		if fields := strings.Fields(pattern); (len(fields) == 1 || len(fields) == 2) && isPattern(fields[0]) {
			r.allow = append(r.allow, fields[0])
		}
	}
	for _, pattern := range p.Deny {
		if fields := strings.Fields(pattern); len(fields) == 1 && isPattern(fields[0]) {
			r.deny = append(r.deny, fields[0])
		}
	}
	return r
}

// newPublish are rights to publish, as a JWT has them. Servers pass over what is no subject,
// and over a queue in a deny.
func newPublish(p jwt.Permission) rights {
	r := rights{open: len(p.Allow) == 0}
	for _, pattern := range p.Allow {
		if isPattern(pattern) {
			r.allow = append(r.allow, pattern)
		}
	}
	for _, pattern := range p.Deny {
		if fields := strings.Fields(pattern); (len(fields) == 1 || len(fields) == 2) && isPattern(fields[0]) {
			r.deny = append(r.deny, fields[0])
		}
	}
	return r
}

// isPattern reports whether a server takes a text as a subject, with wildcards or without.
func isPattern(text string) bool {
	tokens := strings.Split(text, ".")
	for i, token := range tokens {
		if token == "" || strings.ContainsAny(token, " \t\r\n\f") || (token == ">" && i < len(tokens)-1) {
			return false
		}
	}
	return true
}

// within finds a subject that matches pattern and is allowed. It is exact: where it finds
// none there is none.
func (r rights) within(pattern string) (subject string, found bool) {
	if r.open {
		return undenied(pattern, r.deny)
	}
	for _, allowed := range r.allow {
		if both, meet := intersect(pattern, allowed); meet {
			if subject, found = undenied(both, r.deny); found {
				return subject, true
			}
		}
	}
	return "", false
}

// meets reports whether some subject that matches pattern is allowed.
func (r rights) meets(pattern string) bool {
	_, found := r.within(pattern)
	return found
}

// patterns are what is allowed, denies left out.
func (r rights) patterns() []string {
	if r.open {
		return []string{">"}
	}
	return r.allow
}

// intersect is the pattern that matches exactly what both match; there is one at most.
func intersect(a, b string) (string, bool) {
	left, right := strings.Split(a, "."), strings.Split(b, ".")
	var both []string
	for i := 0; ; i++ {
		switch {
		case i == len(left) && i == len(right):
			return strings.Join(both, "."), true
		case i == len(left) || i == len(right):
			return "", false
		case left[i] == ">":
			return strings.Join(append(both, right[i:]...), "."), true
		case right[i] == ">":
			return strings.Join(append(both, left[i:]...), "."), true
		case left[i] == "*":
			both = append(both, right[i])
		case right[i] == "*" || right[i] == left[i]:
			both = append(both, left[i])
		default:
			return "", false
		}
	}
}

// undenied finds a subject that matches pattern and none of deny.
//
// Where a wildcard of pattern stands, it tries a token that stands in no deny: that one is
// denied by wildcards alone, and so is every other token in its place. For > it tries
// every number of tokens up to one more than any deny has: beyond that they are denied by the
// same ones.
func undenied(pattern string, deny []string) (string, bool) {
	tokens := strings.Split(pattern, ".")
	fresh, longest := "x", len(tokens)
	for _, one := range deny {
		longest = max(longest, strings.Count(one, ".")+2)
	}
	for slices.ContainsFunc(deny, func(one string) bool { return slices.Contains(strings.Split(one, "."), fresh) }) {
		fresh += "x"
	}
	open := tokens[len(tokens)-1] == ">"
	if open {
		tokens[len(tokens)-1] = fresh
	} else {
		longest = len(tokens)
	}
	for i, token := range tokens {
		if token == "*" {
			tokens[i] = fresh
		}
	}
	for ; len(tokens) <= longest; tokens = append(tokens, fresh) {
		subject := strings.Join(tokens, ".")
		if !slices.ContainsFunc(deny, func(one string) bool { return covers(one, tokens) }) {
			return subject, true
		}
	}
	return "", false
}

// covers reports whether a pattern matches a subject without wildcards.
func covers(pattern string, subject []string) bool {
	for i, token := range strings.Split(pattern, ".") {
		switch {
		case i == len(subject):
			return false
		case token == ">":
			return true
		case token != "*" && token != subject[i]:
			return false
		}
	}
	return strings.Count(pattern, ".")+1 == len(subject)
}
