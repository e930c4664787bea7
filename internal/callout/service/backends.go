package service

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/backend/users"
	"keyhall.dev/keyhall/internal/fault"
)

// backends decide logins as one configuration says.
type backends struct {
	config   *Config
	accounts []account
	list     []callout.Backend
	oidc     []*oidc.Backend // of list, in the order of config.OIDC
	warnings []string
}

// newBackends makes the backends of a configuration. Those of before that would be no
// different go on: an identity provider is not asked for its keys again.
func newBackends(c *Config, accounts []account, before *backends, logger *slog.Logger) (b *backends, err error) {
	b = &backends{config: c, accounts: accounts}
	defer func() {
		if err != nil {
			b.closeBut(before)
		}
	}()
	for _, config := range c.OIDC {
		if err := b.addOIDC(config, before, logger); err != nil {
			return b, err
		}
	}
	if c.Users != "" {
		backend, warnings, err := users.Load(c.Users, signers(accounts), c.Roles)
		if err != nil {
			return b, err
		}
		b.list, b.warnings = append(b.list, backend), append(b.warnings, warnings...)
	}
	if err := b.addCertificates(); err != nil {
		return b, err
	}
	b.warnOfRoles()
	return b, b.checkNames()
}

// warnOfRoles adds what the roles' author may not expect. A users file has told of those that
// its users have.
func (b *backends) warnOfRoles() {
	for _, name := range slices.Sorted(maps.Keys(b.config.Roles)) {
		for _, warning := range b.config.Roles[name].Warnings("role " + name) {
			if !slices.Contains(b.warnings, warning) {
				b.warnings = append(b.warnings, warning)
			}
		}
	}
}

func (b *backends) addOIDC(config oidc.Config, before *backends, logger *slog.Logger) error {
	if kept := before.same(config, b); kept != nil {
		b.oidc, b.list = append(b.oidc, kept), append(b.list, kept)
		return nil
	}
	config.Logger = logger
	backend, err := oidc.New(config, signers(b.accounts), b.config.Roles)
	if err != nil {
		return fault.Wrap(fault.CodeOf(err), err, "oidc %.80q: %s", config.Issuer, err)
	}
	b.oidc, b.list = append(b.oidc, backend), append(b.list, backend)
	return nil
}

// same is the backend of before for the same provider, with the same accounts and roles.
func (b *backends) same(config oidc.Config, now *backends) *oidc.Backend {
	if b == nil || !sameKeys(b.accounts, now.accounts) || !reflect.DeepEqual(b.config.Roles, now.config.Roles) {
		return nil
	}
	for i, other := range b.config.OIDC {
		if reflect.DeepEqual(other, config) && !slices.Contains(now.oidc, b.oidc[i]) {
			return b.oidc[i]
		}
	}
	return nil
}

// checkNames refuses two backends of one name: audit and metrics could not tell them apart.
func (b *backends) checkNames() error {
	seen := map[string]bool{bystander{}.Name(): true}
	for _, backend := range b.list {
		if seen[backend.Name()] {
			return fault.New(fault.Malformed, "two backends are called %s: give one of them another name", backend.Name())
		}
		seen[backend.Name()] = true
	}
	return nil
}

// ready asks the identity providers for their keys. Those that do not answer are warnings:
// they may come later, and others may log in meanwhile.
func (b *backends) ready(ctx context.Context) {
	for _, backend := range b.oidc {
		if err := backend.Ready(ctx); err != nil {
			b.warnings = append(b.warnings, err.Error()+"; its tokens are refused until it answers")
		}
	}
}

// closeBut closes the backends that are not other's as well.
func (b *backends) closeBut(other *backends) {
	for _, backend := range b.oidc {
		if other == nil || !slices.Contains(other.oidc, backend) {
			_ = backend.Close() // it has nothing to lose
		}
	}
}

// Explain says what a login would get, as the configuration is now, without logging in and
// without asking any server. It fails with fault.NotFound for somebody whom no backend knows,
// and with the backend's reason for somebody who would be refused.
func (s Source) Explain(ctx context.Context, query callout.Query) (*callout.Explanation, error) {
	c, err := s.Load()
	if err == nil {
		err = c.CheckPolicy()
	}
	if err != nil {
		return nil, err
	}
	accounts, err := s.accounts(c)
	if err != nil {
		return nil, err
	}
	b, err := newBackends(c, accounts, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer b.closeBut(nil)
	explanation, err := callout.Explain(ctx, b.list, query)
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		if a.ID == explanation.Account {
			explanation.AccountName = a.Name
		}
	}
	return explanation, nil
}
