package oidc

import (
	"fmt"
	"regexp"
	"strings"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

// maxLacking is of how many rules an explanation says what they lack.
const maxLacking = 10

// errNoRule refuses a token that proves who somebody is, and gives them nothing.
var errNoRule = fault.New(fault.Refused, "the token is good, and no rule gives its bearer a role")

// rule is a Rule with its role found.
type rule struct {
	title string
	when  []Condition
	role  policy.Role
}

// resolve finds the roles of rules. What is wrong with one shows here, and not at the first
// login.
func resolve(rules []Rule, accounts callout.Accounts, roles map[string]policy.Role) ([]rule, error) {
	var resolved []rule
	for i, r := range rules {
		role, known := roles[r.Role]
		if r.Grant != nil {
			role, known = *r.Grant, true
		}
		if !known {
			return nil, fault.New(fault.NotFound, "%s: there is no role %q", r.title(i), r.Role)
		}
		if err := role.Check(accounts); err != nil {
			return nil, fault.Wrap(fault.Malformed, err, "%s: %s", r.title(i), err)
		}
		resolved = append(resolved, rule{title: r.title(i), when: r.When, role: role})
	}
	return resolved, nil
}

// first is the first rule that matches.
func (b *Backend) first(claims map[string]any) (rule, error) {
	for _, r := range b.rules {
		if r.matches(claims) {
			return r, nil
		}
	}
	return rule{}, errNoRule
}

func (r rule) matches(claims map[string]any) bool { return r.missing(claims) == nil }

// missing is the first condition that does not match.
func (r rule) missing(claims map[string]any) *Condition {
	for i := range r.when {
		if !r.when[i].matches(claims) {
			return &r.when[i]
		}
	}
	return nil
}

// unmatched says what each of the first rules lacks in claims that no rule matches.
func (b *Backend) unmatched(claims map[string]any) string {
	var lacks []string
	for _, r := range b.rules[:min(len(b.rules), maxLacking)] {
		if condition := r.missing(claims); condition != nil {
			lacks = append(lacks, r.title+" wants "+condition.wish())
		}
	}
	return strings.Join(lacks, "; ")
}

// wish is a condition in words.
func (c Condition) wish() string {
	switch {
	case c.Domain != "":
		return "a verified e-mail address of " + c.Domain
	case c.Is != nil:
		return fmt.Sprintf("%s to be %t", c.Claim, *c.Is)
	case c.Contains != "":
		return fmt.Sprintf("%s to be a list with %q", c.Claim, c.Contains)
	default:
		return fmt.Sprintf("%s to be the text %q", c.Claim, c.Equals)
	}
}

// matches holds a condition against claims. It is false for a claim of another type.
func (c Condition) matches(claims map[string]any) bool {
	if c.Domain != "" {
		return inDomain(claims, c.Domain)
	}
	value := lookup(claims, c.Claim)
	switch {
	case c.Is != nil:
		said, is := value.(bool)
		return is && said == *c.Is
	case c.Equals != "":
		said, is := value.(string)
		return is && said == c.Equals
	case c.Contains != "":
		list, is := texts(value)
		return is && contains(list, c.Contains)
	default:
		return false
	}
}

func contains(list []string, text string) bool {
	for _, each := range list {
		if each == text {
			return true
		}
	}
	return false
}

// inDomain is about verified addresses of exactly this domain: not of one below it, and not
// of one whose local part looks like another address.
func inDomain(claims map[string]any, domain string) bool {
	address, is := claims["email"].(string)
	if !is || claims["email_verified"] != true {
		return false
	}
	local, host, found := strings.Cut(address, "@")
	return found && local != "" && checkLine(address, maxName) == nil && !strings.ContainsAny(address, " ,;<>\"()") &&
		isDomain(host) && strings.EqualFold(host, domain)
}

var domainForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func isDomain(domain string) bool { return len(domain) <= 253 && domainForm.MatchString(domain) }
