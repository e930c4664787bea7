package certs

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

// The bounds of what is read.
const (
	maxAuthorities = 1 << 20 // bytes of a file of authorities
	maxRules       = 10_000
	maxChains      = 8
	maxChain       = 10      // certificates
	maxPEM         = 1 << 16 // bytes of a certificate
)

// Config says whose certificates are taken, and what for.
type Config struct {
	// CAs are files with the certificates, in PEM, of the authorities that sign clients'.
	CAs   policy.List `json:"ca" yaml:"ca"`
	Rules []Rule      `json:"rules" yaml:"rules"` // the first that matches counts
}

// Backend decides logins by client certificates.
type Backend struct {
	accounts callout.Accounts
	roles    map[string]policy.Role
	pool     *x509.CertPool
	rules    []rule
}

// New reads the authorities and checks the rules. Errors are faults that say which file or
// rule is wrong.
func New(config Config, accounts callout.Accounts, roles map[string]policy.Role) (*Backend, error) {
	b := &Backend{accounts: accounts, roles: roles, pool: x509.NewCertPool()}
	switch {
	case len(config.CAs) == 0:
		return nil, fault.New(fault.Malformed, "certificates: name the files of the authorities that sign them")
	case len(config.Rules) == 0:
		return nil, fault.New(fault.Malformed, "certificates: without a rule nobody gets in")
	case len(config.Rules) > maxRules:
		return nil, fault.New(fault.TooLarge, "certificates: there are %d rules, and %d are the most", len(config.Rules), maxRules)
	}
	for _, path := range config.CAs {
		if err := b.trust(path); err != nil {
			return nil, err
		}
	}
	for i, r := range config.Rules {
		checked, err := newRule(i+1, r)
		if err != nil {
			return nil, err
		}
		role, known := roles[r.Role]
		if !known {
			return nil, fault.New(fault.Malformed, "certificates, rule %d: there is no role %q", i+1, r.Role)
		}
		if err := role.Check(accounts); err != nil {
			return nil, fault.Wrap(fault.Malformed, err, "certificates, rule %d: role %s: %v", i+1, r.Role, err)
		}
		b.rules = append(b.rules, checked)
	}
	return b, nil
}

// trust adds the authorities in a file. Who could change it could let anybody in.
func (b *Backend) trust(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return unreadable(path, err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return unreadable(path, err)
	}
	if info.Mode().Perm()&0o022 != 0 && runtime.GOOS != "windows" {
		return fault.New(fault.Refused, "the authorities in %s can be changed by other users of this machine (mode %o): run chmod 644 on it",
			path, info.Mode().Perm())
	}
	rest, err := io.ReadAll(io.LimitReader(file, maxAuthorities+1))
	switch {
	case err != nil:
		return unreadable(path, err)
	case len(rest) > maxAuthorities:
		return fault.New(fault.TooLarge, "the authorities in %s have more than a MiB", path)
	}
	for count := 1; ; count++ {
		block, more := pem.Decode(rest)
		if block == nil {
			if count == 1 || strings.TrimSpace(string(more)) != "" {
				return fault.New(fault.Malformed, "%s is not a list of certificates in PEM", path)
			}
			return nil
		}
		rest = more
		authority, err := x509.ParseCertificate(block.Bytes)
		switch {
		case block.Type != "CERTIFICATE":
			return fault.New(fault.Malformed, "%s holds a %s, and only certificates belong there", path, block.Type)
		case err != nil:
			return fault.Wrap(fault.Malformed, err, "certificate %d in %s cannot be read", count, path)
		case !authority.IsCA || !authority.BasicConstraintsValid:
			return fault.New(fault.Malformed, "certificate %d in %s is no authority's", count, path)
		}
		b.pool.AddCert(authority)
	}
}

func unreadable(path string, err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fault.Wrap(fault.NotFound, err, "the authorities in %s cannot be read (%v)", path, err)
}

// Name is certs.
func (b *Backend) Name() string { return "certs" }

// Takes logins with a certificate that the server verified, and with nothing else: no user,
// password or token. A server may ask certificates of everybody, of those too who then log
// in otherwise.
func (b *Backend) Takes(request *callout.Request) bool {
	return len(request.TLS.Chains) > 0 && request.User == "" && request.Password == "" && request.Token == ""
}

// Authorize lets in who holds a certificate of our authorities that a rule matches. One of
// another authority, or for another use, is a wrong proof.
func (b *Backend) Authorize(_ context.Context, request *callout.Request) (*callout.Grant, error) {
	if !b.Takes(request) {
		return nil, fault.New(fault.Malformed, "this login is not by certificate alone")
	}
	now := time.Now()
	leaf, ends, err := b.verified(request.TLS.Chains, now)
	if err != nil {
		return nil, err
	}
	grant, err := b.grant(namesOf(leaf), now)
	if err != nil {
		return nil, err
	}
	if grant.Expires.After(ends) {
		grant.Expires = ends
	}
	return grant, nil
}

// verified is the client's certificate, and until when a chain from it to us holds.
func (b *Backend) verified(chains [][]string, now time.Time) (*x509.Certificate, time.Time, error) {
	failure := callout.Wrong("the certificate cannot be read")
	for i, chain := range chains {
		if i == maxChains {
			break
		}
		certificates, err := parseChain(chain)
		if err != nil {
			continue
		}
		options := x509.VerifyOptions{
			Roots: b.pool, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		for _, intermediate := range certificates[1:] {
			options.Intermediates.AddCert(intermediate)
		}
		verified, err := certificates[0].Verify(options)
		if err == nil {
			return certificates[0], lasting(verified), nil
		}
		failure = notVerified(err)
	}
	return nil, time.Time{}, failure
}

func notVerified(err error) error {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return fault.Wrap(fault.Expired, err, "the certificate has expired, or does not hold yet")
	}
	return callout.Wrong("the certificate is not one of our authorities for a client")
}

// lasting is the end of the chain that lasts longest: of each, of what ends first.
func lasting(chains [][]*x509.Certificate) time.Time {
	var longest time.Time
	for _, chain := range chains {
		ends := chain[0].NotAfter
		for _, certificate := range chain {
			if certificate.NotAfter.Before(ends) {
				ends = certificate.NotAfter
			}
		}
		if ends.After(longest) {
			longest = ends
		}
	}
	return longest
}

func parseChain(chain []string) ([]*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("chain of %d certificates", len(chain))
	}
	certificates := make([]*x509.Certificate, 0, len(chain))
	for _, text := range chain {
		if len(text) > maxPEM {
			return nil, errors.New("certificate too long")
		}
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
			return nil, errors.New("not one certificate in PEM")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	return certificates, nil
}

// grant is what the first rule gives that matches.
func (b *Backend) grant(on names, now time.Time) (*callout.Grant, error) {
	for _, r := range b.rules {
		name, matched, err := r.matches(on)
		switch {
		case err != nil:
			return nil, fault.Wrap(fault.Refused, err, "%s matches the certificate, but not who it is: %v", r.text, err)
		case matched:
			return b.roles[r.role].Grant(b.accounts, policy.Person{Name: name, Rule: r.text}, now)
		}
	}
	return nil, fault.New(fault.Refused, "no rule matches the certificate")
}

// Explain is the grant of a certificate with these names: words like cn=ada and
// email=ada@example.org, or one name alone, of whatever kind it can be. It says nothing of
// whether there is such a certificate.
func (b *Backend) Explain(_ context.Context, query callout.Query) (*callout.Grant, error) {
	on := namesIn(query.User)
	matched := false
	for _, r := range b.rules {
		_, one, _ := r.matches(on)
		matched = matched || one
	}
	if !matched {
		return nil, fault.New(fault.NotFound, "no rule matches a certificate of that name")
	}
	return b.grant(on, time.Now())
}

func namesIn(text string) names {
	on := make(names)
	for _, word := range strings.Fields(text) {
		for _, k := range kinds {
			if name, said := strings.CutPrefix(word, string(k)+"="); said {
				on[k] = append(on[k], name)
			}
		}
	}
	if len(on) == 0 {
		for _, k := range kinds {
			on[k] = []string{text}
		}
		on[fingerprint] = []string{strings.ToLower(strings.ReplaceAll(text, ":", ""))}
	}
	return on.clear()
}
