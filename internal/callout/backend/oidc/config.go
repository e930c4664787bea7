package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/callout/policy"
)

const (
	defaultName    = "oidc"
	defaultSkew    = time.Minute
	defaultMaxLife = 24 * time.Hour
	defaultOutage  = 4 * time.Hour
	defaultClaim   = "sub"

	maxSkew    = 5 * time.Minute
	maxOutage  = 24 * time.Hour
	maxRules   = 1000
	maxPerRule = 32 // conditions
	maxText    = 1024
)

// Config is what there is to know of one identity provider. Only Issuer, Audience and Rules
// are required.
type Config struct {
	// Name is the backend's in audit, metrics and explanations: lower-case letters. oidc.
	Name string `json:"name,omitempty" yaml:"name"`
	// Issuer is the provider's URL exactly as its tokens have it in iss: https, or http on
	// loopback. Its keys are found from here.
	Issuer string `json:"issuer" yaml:"issuer"`
	// Audience are the names that tokens for us have in aud; one of them is enough.
	Audience policy.List `json:"audience" yaml:"audience"`
	// ClientID is the only client whose tokens count (azp, client_id). Empty: of any client,
	// as long as the token is for one audience alone.
	ClientID string `json:"client_id,omitempty" yaml:"client_id"`
	// Algorithms of signatures that count. RS256, PS256, ES256 and EdDSA.
	Algorithms policy.List `json:"algorithms,omitempty" yaml:"algorithms"`
	// Skew is how far the provider's clock and ours may be apart: a minute, at most five.
	Skew policy.Duration `json:"skew,omitempty" yaml:"skew"`
	// MaxLife is the longest that a token may live, from iat to exp: a day.
	MaxLife policy.Duration `json:"max_life,omitempty" yaml:"max_life"`
	// Outage is how long the last known keys count while the provider does not answer: four
	// hours, at most a day.
	Outage policy.Duration `json:"outage,omitempty" yaml:"outage"`
	// CAFile has the certificates, in PEM, that alone vouch for the provider's own. Empty:
	// those of the system.
	CAFile string `json:"ca_file,omitempty" yaml:"ca_file"`
	// NameClaim is the claim that names a person: sub. See the package comment before taking
	// another.
	NameClaim string `json:"name_claim,omitempty" yaml:"name_claim"`
	// NamePrefix goes before every name, so that no person of this provider is called like
	// one of another.
	NamePrefix string `json:"name_prefix,omitempty" yaml:"name_prefix"`
	// Rules lead to roles; the first that matches counts.
	Rules []Rule `json:"rules" yaml:"rules"`

	Logger *slog.Logger `json:"-" yaml:"-"` // slog.Default()
}

// Rule gives a role to whom all its conditions match.
type Rule struct {
	Name string      `json:"name,omitempty" yaml:"name"` // in audit and explanations
	When []Condition `json:"when,omitempty" yaml:"when"`
	// Everyone matches every token, and stands instead of conditions: a rule that lost its
	// conditions by mistake is none.
	Everyone bool `json:"everyone,omitempty" yaml:"everyone"`

	Role  string       `json:"role,omitempty" yaml:"role"`   // one of the roles by its name
	Grant *policy.Role `json:"grant,omitempty" yaml:"grant"` // or one written here
}

// Condition is about one claim, and says one thing of it.
type Condition struct {
	// Claim is a name, or a path into objects with dots between: realm_access.roles. A dot
	// that belongs to a name has a backslash before it; a URL is a name as it is.
	Claim string `json:"claim" yaml:"claim"`

	Equals   string `json:"equals,omitempty" yaml:"equals"`     // the claim is this text
	Contains string `json:"contains,omitempty" yaml:"contains"` // the claim is a list of texts with this one
	Is       *bool  `json:"is,omitempty" yaml:"is"`             // the claim is true, or false
	// Domain is what stands after the @ of the claim email, and email_verified is true. Claim
	// may be left out.
	Domain string `json:"domain,omitempty" yaml:"domain"`
}

// configFields is Config without its methods, to be decoded by the library.
type configFields Config

// UnmarshalJSON refuses fields that there are not: one that is written wrong could be the
// client_id that nobody is held to. A decoder of YAML does so when it is told to, and knows
// the line.
func (c *Config) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*configFields)(c))
}

// withDefaults fills in what may be left out.
func (c Config) withDefaults() Config {
	set := func(d *policy.Duration, value time.Duration) {
		if *d == 0 {
			*d = policy.Duration(value)
		}
	}
	set(&c.Skew, defaultSkew)
	set(&c.MaxLife, defaultMaxLife)
	set(&c.Outage, defaultOutage)
	if c.Name == "" {
		c.Name = defaultName
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}
	}
	if c.NameClaim == "" {
		c.NameClaim = defaultClaim
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

var shortName = regexp.MustCompile(`^[a-z]{1,32}$`)

// Check says what is wrong with a configuration, as far as it can be seen without the
// provider, the accounts and the roles.
func (c Config) Check() error {
	c = c.withDefaults()
	if !shortName.MatchString(c.Name) {
		return fmt.Errorf("name %q is not 1 to 32 lower-case letters", c.Name)
	}
	if err := checkIssuer(c.Issuer); err != nil {
		return fmt.Errorf("issuer %q: %w", c.Issuer, err)
	}
	if err := c.checkTexts(); err != nil {
		return err
	}
	if err := checkAlgorithms(c.Algorithms); err != nil {
		return err
	}
	for _, d := range []struct {
		name    string
		value   policy.Duration
		longest time.Duration
	}{{"skew", c.Skew, maxSkew}, {"outage", c.Outage, maxOutage}, {"max_life", c.MaxLife, 366 * 24 * time.Hour}} {
		if time.Duration(d.value) < time.Second || time.Duration(d.value) > d.longest {
			return fmt.Errorf("%s is %s, want from 1s to %s", d.name, time.Duration(d.value), d.longest)
		}
	}
	return c.checkRules()
}

func (c Config) checkTexts() error {
	if len(c.Audience) == 0 {
		return errors.New("audience is required: the name that the provider's tokens for this service have in aud")
	}
	for _, audience := range c.Audience {
		if audience == "" || checkLine(audience, maxText) != nil {
			return fmt.Errorf("audience %q is not a line of text", audience)
		}
	}
	if err := checkLine(c.ClientID, maxText); err != nil {
		return fmt.Errorf("client_id is %w", err)
	}
	if err := checkLine("x"+c.NamePrefix+"x", maxName/2); err != nil {
		return fmt.Errorf("name_prefix is %w", err)
	}
	if err := checkPath(c.NameClaim); err != nil {
		return fmt.Errorf("name_claim: %w", err)
	}
	return nil
}

// checkIssuer takes what a token and the discovery document can repeat byte for byte.
func checkIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("it is required: the provider's URL as its tokens have it in iss")
	}
	parsed, err := url.Parse(issuer)
	switch {
	case err != nil || checkLine(issuer, maxText) != nil:
		return errors.New("it is no URL")
	case parsed.User != nil || parsed.RawQuery != "" || parsed.ForceQuery || strings.Contains(issuer, "#"):
		return errors.New("an issuer has no user, no query and no fragment")
	case strings.HasSuffix(parsed.Path, wellKnown):
		return fmt.Errorf("leave %s out, that is where its document stands", wellKnown)
	}
	return checkAddress(parsed)
}

// checkAddress takes addresses whose answers nobody on the way can change.
func checkAddress(address *url.URL) error {
	switch {
	case address.Hostname() == "":
		return errors.New("it has no host")
	case address.Scheme == "https":
		return nil
	case address.Scheme == "http" && isLoopback(address.Hostname()):
		return nil
	case address.Scheme == "http":
		return errors.New("without TLS anybody on the way could put in keys of their own: use https (http only on loopback)")
	default:
		return errors.New("it is not an https address")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkAlgorithms(algorithms []string) error {
	for i, alg := range algorithms {
		switch _, known := kinds[alg]; {
		case strings.EqualFold(alg, "none"):
			return errors.New("algorithm none is no signature: anybody could make such a token")
		case strings.HasPrefix(strings.ToUpper(alg), "HS"):
			return fmt.Errorf("algorithm %s has one secret for signing and verifying, and a provider's keys are public", alg)
		case !known:
			return fmt.Errorf("algorithm %q is not known; RS256, PS256, ES256, EdDSA and their longer ones are", alg)
		case slices.Contains(algorithms[:i], alg):
			return fmt.Errorf("algorithm %s is there twice", alg)
		}
	}
	return nil
}

func (c Config) checkRules() error {
	if len(c.Rules) == 0 {
		return errors.New("no rules: nobody could log in")
	}
	if len(c.Rules) > maxRules {
		return fmt.Errorf("%d rules, %d are the most", len(c.Rules), maxRules)
	}
	seen := make(map[string]bool)
	for i, rule := range c.Rules {
		if err := rule.check(); err != nil {
			return fmt.Errorf("%s: %w", rule.title(i), err)
		}
		if seen[rule.title(i)] {
			return fmt.Errorf("%s is there twice", rule.title(i))
		}
		seen[rule.title(i)] = true
		if rule.Everyone && i < len(c.Rules)-1 {
			return fmt.Errorf("%s is for everyone, so that the rules after it never count", rule.title(i))
		}
	}
	return nil
}

// title is what a rule is called: by its name, or by its number from 1.
func (r Rule) title(i int) string {
	if r.Name != "" {
		return "rule " + r.Name
	}
	return fmt.Sprintf("rule %d", i+1)
}

func (r Rule) check() error {
	switch {
	case checkLine(r.Name, maxName/2) != nil:
		return errors.New("its name is not a line of text")
	case r.Everyone && len(r.When) > 0:
		return errors.New("it is for everyone and has conditions as well")
	case !r.Everyone && len(r.When) == 0:
		return errors.New("it has no conditions (when); one that is for every token of the provider says everyone: true")
	case len(r.When) > maxPerRule:
		return fmt.Errorf("it has %d conditions, %d are the most", len(r.When), maxPerRule)
	case (r.Role == "") == (r.Grant == nil):
		return errors.New("it gives either a role or a grant, and needs one of them")
	}
	for i, condition := range r.When {
		if err := condition.check(); err != nil {
			return fmt.Errorf("condition %d: %w", i+1, err)
		}
	}
	return nil
}

func (c Condition) check() error {
	said := 0
	for _, says := range []bool{c.Equals != "", c.Contains != "", c.Is != nil, c.Domain != ""} {
		if says {
			said++
		}
	}
	if said != 1 {
		return errors.New("it has to say one of equals, contains, is and domain")
	}
	if c.Domain != "" {
		return c.checkDomain()
	}
	if c.Claim == "email" {
		return errors.New("an address proves nothing that nobody verified: use domain, or sub")
	}
	for _, text := range []string{c.Equals, c.Contains} {
		if len(text) > maxText {
			return fmt.Errorf("a text of more than %d bytes", maxText)
		}
	}
	return checkPath(c.Claim)
}

func (c Condition) checkDomain() error {
	switch {
	case c.Claim != "" && c.Claim != "email":
		return errors.New("domain is about the claim email, for only that is verified")
	case strings.HasPrefix(c.Domain, "@"), !isDomain(c.Domain):
		return fmt.Errorf("domain %q is not like example.com", c.Domain)
	default:
		return nil
	}
}

func checkPath(path string) error {
	if path == "" || checkLine(path, maxText) != nil {
		return errors.New("it names no claim")
	}
	if slices.Contains(pathOf(path), "") {
		return fmt.Errorf("claim %q has an empty name between its dots", path)
	}
	return nil
}
