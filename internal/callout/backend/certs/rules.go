package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
)

// Rule gives a role to the certificates that match.
type Rule struct {
	Match Match  `json:"match" yaml:"match"`
	Role  string `json:"role" yaml:"role"` // of the configuration
	// Name is the kind of name that says who it is: cn, dns, email, uri or fingerprint. Where
	// the rule matches one kind alone, other than fingerprint, it may be empty: that one.
	Name string `json:"name,omitempty" yaml:"name"`
}

// Match is which certificates: each pattern that is not empty has to match.
type Match struct {
	CN          string `json:"cn,omitempty" yaml:"cn"`
	DNS         string `json:"dns,omitempty" yaml:"dns"`
	Email       string `json:"email,omitempty" yaml:"email"`
	URI         string `json:"uri,omitempty" yaml:"uri"`
	Fingerprint string `json:"fingerprint,omitempty" yaml:"fingerprint"`
}

// kind of name on a certificate.
type kind string

const (
	cn          kind = "cn"
	dns         kind = "dns"
	email       kind = "email"
	uri         kind = "uri"
	fingerprint kind = "fingerprint"
)

var kinds = []kind{cn, dns, email, uri, fingerprint}

func (m Match) pattern(k kind) string {
	switch k {
	case cn:
		return m.CN
	case dns:
		return m.DNS
	case email:
		return m.Email
	case uri:
		return m.URI
	default:
		return m.Fingerprint
	}
}

// rule is a checked Rule.
type rule struct {
	text     string            // for people
	patterns map[kind][]string // labels
	role     string
	name     kind
}

// names are those of a certificate that are clear, by kind.
type names map[kind][]string

func newRule(number int, r Rule) (rule, error) {
	checked := rule{role: r.Role, name: kind(r.Name), patterns: make(map[kind][]string)}
	var said []string
	for _, k := range kinds {
		pattern := r.Match.pattern(k)
		if pattern == "" {
			continue
		}
		labels, err := patternLabels(k, pattern)
		if err != nil {
			return rule{}, fault.Wrap(fault.Malformed, err, "certificates, rule %d: %s %q: %v", number, k, pattern, err)
		}
		checked.patterns[k] = labels
		said = append(said, string(k)+" "+pattern)
		if r.Name == "" {
			checked.name = k
		}
	}
	switch {
	case len(said) == 0:
		return rule{}, fault.New(fault.Malformed, "certificates, rule %d: it matches nothing; say which by cn, dns, email, uri or fingerprint", number)
	case r.Name == "" && (len(said) > 1 || checked.name == fingerprint):
		return rule{}, fault.New(fault.Malformed, "certificates, rule %d: say by name which of cn, dns, email, uri and fingerprint is who it is", number)
	case !slices.Contains(kinds, checked.name):
		return rule{}, fault.New(fault.Malformed, "certificates, rule %d: name is %q, and none of cn, dns, email, uri and fingerprint", number, r.Name)
	}
	checked.text = fmt.Sprintf("certificates, rule %d (%s), role %s", number, strings.Join(said, ", "), r.Role)
	return checked, nil
}

func patternLabels(k kind, pattern string) ([]string, error) {
	if k == fingerprint {
		plain := strings.ToLower(strings.ReplaceAll(pattern, ":", ""))
		if raw, err := hex.DecodeString(plain); err != nil || len(raw) != sha256.Size {
			return nil, errors.New("it is not a SHA-256 in hexadecimal")
		}
		return []string{plain}, nil
	}
	// What stands for any label has to be good as one.
	if _, err := labels(k, strings.ReplaceAll(pattern, "*", "x")); err != nil {
		return nil, err
	}
	found := split(k, pattern)
	for i, label := range found {
		if strings.Contains(label, "*") && label != "*" {
			return nil, errors.New("* stands for a whole label")
		}
		if k == uri && i < uriHead && label == "*" {
			return nil, errors.New("* does not stand for a scheme or host")
		}
	}
	return found, nil
}

// matches finds the rule's name on a certificate. It fails when the rule matches and who it
// is is not plain.
func (r rule) matches(on names) (name string, matched bool, err error) {
	found := make(map[kind][]string)
	for k, pattern := range r.patterns {
		for _, candidate := range on[k] {
			if slices.EqualFunc(pattern, split(k, candidate), func(p, label string) bool { return p == "*" || p == label }) {
				found[k] = append(found[k], candidate)
			}
		}
		if len(found[k]) == 0 {
			return "", false, nil
		}
	}
	candidates, by := found[r.name], true
	if r.patterns[r.name] == nil {
		candidates, by = on[r.name], false
	}
	switch {
	case len(candidates) == 1:
		return candidates[0], true, nil
	case len(candidates) > 1 && by:
		return "", true, fmt.Errorf("it has %d names of the kind %s that match", len(candidates), r.name)
	default:
		return "", true, fmt.Errorf("it has %d names of the kind %s, and one is needed", len(candidates), r.name)
	}
}

// uriHead is how many of a URI's parts are its scheme and host: "spiffe:", "" and "host".
const uriHead = 3

// split takes a name apart. Domains are in lower case.
func split(k kind, name string) []string {
	switch k {
	case cn:
		return strings.Split(name, ".")
	case dns:
		return strings.Split(strings.ToLower(name), ".")
	case email:
		local, domain, _ := strings.Cut(name, "@")
		return append([]string{local}, strings.Split(strings.ToLower(domain), ".")...)
	case uri:
		return strings.Split(name, "/")
	default:
		return []string{name}
	}
}

// labels are those of a name, none of which is empty or more than it seems.
func labels(k kind, name string) ([]string, error) {
	if err := callout.CheckText(name); err != nil {
		return nil, err
	}
	found := split(k, name)
	domain := found
	switch k {
	case cn:
		domain = nil
	case email:
		if domain = found[1:]; strings.Count(name, "@") != 1 {
			return nil, errors.New("it is no address")
		}
	case uri:
		u, err := url.Parse(name)
		if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.ContainsAny(name, "?#") || len(found) < uriHead || found[1] != "" {
			return nil, errors.New("it is no URI with a scheme and a host, and without a user, query or fragment")
		}
		found = append(found[:1:1], found[2:]...)
		domain = nil
	}
	for _, label := range found {
		if label == "" || strings.ContainsAny(label, "*>") || strings.TrimSpace(label) != label || strings.ContainsFunc(label, hidden) {
			return nil, errors.New("it has a label that is empty, a wildcard or no plain text")
		}
	}
	for _, label := range domain {
		if strings.ContainsFunc(label, notOfDomain) {
			return nil, errors.New("it has a label that no domain has")
		}
	}
	return found, nil
}

func hidden(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' }

func notOfDomain(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// namesOf are the names on a certificate, those that are clear.
func namesOf(certificate *x509.Certificate) names {
	all := names{dns: certificate.DNSNames, email: certificate.EmailAddresses}
	for _, attribute := range certificate.Subject.Names {
		if text, isText := attribute.Value.(string); attribute.Type.Equal(commonName) && isText {
			all[cn] = append(all[cn], text)
		}
	}
	for _, u := range certificate.URIs {
		all[uri] = append(all[uri], u.String())
	}
	sum := sha256.Sum256(certificate.Raw)
	all[fingerprint] = []string{hex.EncodeToString(sum[:])}
	return all.clear()
}

// oneForm is a name with its domain in lower case: it is one domain in any letters.
func oneForm(k kind, name string) string {
	switch k {
	case dns:
		return strings.ToLower(name)
	case email:
		local, domain, _ := strings.Cut(name, "@")
		return local + "@" + strings.ToLower(domain)
	default:
		return name
	}
}

// clear leaves out what is not a name of its kind, and what is there twice.
func (n names) clear() names {
	clear := make(names)
	for k, list := range n {
		for _, name := range list {
			if _, err := labels(k, name); err != nil {
				continue
			}
			if name = oneForm(k, name); !slices.Contains(clear[k], name) {
				clear[k] = append(clear[k], name)
			}
		}
	}
	return clear
}
