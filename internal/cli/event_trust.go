package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
	"keyhall.dev/keyhall/trust"
)

// beliefFlags say whom a reader believes, and as whom it reads.
type beliefFlags struct {
	trust, audiences, revoked, access []string
	digest                            digestFlag
}

func (f *beliefFlags) register(c *cobra.Command) {
	f.registerTrust(c, "believe this account (A...) or operator (O...) on who publishes; may come many times")
	c.Flags().StringArrayVar(&f.audiences, "for", nil, "you are this audience: take events that are for it")
	c.Flags().StringArrayVar(&f.revoked, "revoked", nil, "disbelieve a device (U...), or from a time on: U...=2026-01-31T12:00:00Z")
	c.Flags().Var(&f.digest, "digest", "the hash function of bodies: sha-256 or sha-512/256")
}

func (f *beliefFlags) registerTrust(c *cobra.Command, usage string) {
	c.Flags().StringArrayVar(&f.trust, "trust", nil, usage)
	c.Flags().StringArrayVar(&f.access, "access", nil, "a file with an access token that does not travel with its event")
	_ = c.MarkFlagFilename("access")
}

// manager is the token manager of a reader. own may be nil.
func (f *beliefFlags) manager(c *cobra.Command, own *credentials) (*event.TokenManager, error) {
	rules := event.Rules{Is: f.audiences, Digest: event.Digest(f.digest)}
	if own != nil {
		rules.Is = append(rules.Is[:len(rules.Is):len(rules.Is)], own.account(), own.key.String())
	}
	for _, text := range f.trust {
		kind, err := publicKey(c, "trust", text, trust.Account, trust.Operator)
		if err != nil {
			return nil, err
		}
		if kind == trust.Account {
			rules.Accounts = append(rules.Accounts, text)
		} else {
			rules.Operators = append(rules.Operators, text)
		}
	}
	m, err := event.NewTokenManager(rules)
	if err != nil {
		return nil, err
	}
	for _, text := range f.revoked {
		device, at, dated := strings.Cut(text, "=")
		if _, err := publicKey(c, "revoked", device, trust.Device); err != nil {
			return nil, err
		}
		key, err := trust.ParsePublicKey(trust.Device, device)
		if err != nil {
			return nil, err
		}
		after := time.UnixMilli(0)
		if dated {
			if after, err = time.Parse(time.RFC3339, at); err != nil {
				return nil, wrong(c, "--revoked: write the time as 2026-01-31T12:00:00Z")
			}
		}
		m.Revoke(key, event.Revocation{After: after})
	}
	return m, nil
}

// tokens are access tokens from files: those that are named, and one's own. own may be nil.
func (f *beliefFlags) tokens(own *credentials) (tokenFiles, error) {
	files := make(tokenFiles)
	if own != nil {
		if access, err := event.ParseAccess(own.token); err == nil { // one by a signing key is none alone
			files[access.Hash()] = access.String()
		}
	}
	for _, path := range f.access {
		access, err := readToken(path)
		if err != nil {
			return nil, err
		}
		files[access.Hash()] = access.String()
	}
	return files, nil
}

// tokenFiles are access tokens by their hashes.
type tokenFiles map[event.Hash]string

// FindAccess implements event.AccessSource.
func (t tokenFiles) FindAccess(_ context.Context, hash event.Hash) (string, error) {
	if text := t[hash]; text != "" {
		return text, nil
	}
	return "", fmt.Errorf("%w: none of those that are known has the hash %s", event.ErrNoAccess, hash)
}

// tokenSources are asked one after the other.
type tokenSources []event.AccessSource

// FindAccess implements event.AccessSource.
func (t tokenSources) FindAccess(ctx context.Context, hash event.Hash) (text string, err error) {
	for _, source := range t {
		if text, err = source.FindAccess(ctx, hash); err == nil {
			return text, nil
		}
	}
	return "", err
}

// digestFlag is a flag for the hash function of bodies.
type digestFlag event.Digest

// String implements pflag.Value.
func (d *digestFlag) String() string {
	if event.Digest(*d) == event.SHA256 {
		return ""
	}
	return strings.ToLower(event.Digest(*d).String())
}

// Type implements pflag.Value.
func (d *digestFlag) Type() string { return "name" }

// Set implements pflag.Value.
func (d *digestFlag) Set(text string) error {
	for _, one := range []event.Digest{event.SHA256, event.SHA512x256} {
		if strings.EqualFold(text, one.String()) {
			*d = digestFlag(one)
			return nil
		}
	}
	return fmt.Errorf("there are sha-256 and sha-512/256")
}

// timeFlag is a flag for a moment, as RFC 3339 writes it.
type timeFlag struct{ time.Time }

// String implements pflag.Value.
func (t *timeFlag) String() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Type implements pflag.Value.
func (t *timeFlag) Type() string { return "time" }

// Set implements pflag.Value.
func (t *timeFlag) Set(text string) (err error) {
	if t.Time, err = time.Parse(time.RFC3339, text); err != nil {
		return fmt.Errorf("write it as 2026-01-31T12:00:00Z")
	}
	return nil
}

// endFlag is a flag for a moment to come: as a timeFlag has it, or how long it is away.
type endFlag struct {
	timeFlag
	life life
}

// Set implements pflag.Value.
func (e *endFlag) Set(text string) error {
	if e.timeFlag.Set(text) == nil || e.life.Set(text) == nil {
		return nil
	}
	return fmt.Errorf("write it as 90m, 24h, 30d, or 2026-01-31T12:00:00Z")
}

// end is the moment, seen from now; zero if none was given.
func (e *endFlag) end(now time.Time) time.Time {
	if e.life > 0 {
		return now.Add(time.Duration(e.life))
	}
	return e.Time
}

// signer makes a manager issue events with the credentials of a file, and the account's own
// token of another, if there is one.
func signer(m *event.TokenManager, own *credentials, accountToken string) error {
	access := own.token
	if accountToken != "" {
		text, err := keyfile.Read(accountToken)
		if err != nil {
			return err
		}
		access += " " + strings.TrimSpace(string(text))
	}
	if err := m.SignAs(own.key, access); err != nil {
		files := own.path
		if accountToken != "" {
			files += " with " + accountToken
		}
		return fault.Wrap(fault.Malformed, err, "%s: %v", files, err)
	}
	return nil
}
