package oidc

import (
	"context"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

// Backend decides the logins with tokens of one identity provider. It implements
// callout.Backend and callout.Explainer. Several stand side by side in an engine: each takes
// the tokens of its own issuer.
type Backend struct {
	config   Config
	accounts callout.Accounts
	rules    []rule
	ring     *ring
}

// New makes a backend, which has to be closed. It asks the provider nothing yet; Ready does.
// It fails for a configuration that is wrong, a role or account that is not there, or a CA
// file without certificates.
func New(config Config, accounts callout.Accounts, roles map[string]policy.Role) (*Backend, error) {
	if err := config.Check(); err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "%s", err)
	}
	config = config.withDefaults()
	rules, err := resolve(config.Rules, accounts, roles)
	if err != nil {
		return nil, err
	}
	provider, err := newProvider(config)
	if err != nil {
		return nil, err
	}
	keys := newRing(provider, newTiming(time.Duration(config.Outage)), config.Logger)
	return &Backend{config: config, accounts: accounts, rules: rules, ring: keys}, nil
}

// Close ends what is asked of the provider. Logins that need nothing of it are still decided.
func (b *Backend) Close() error {
	b.ring.close()
	return nil
}

// Ready fetches the provider's keys if there are none yet, so that the first login does not
// wait for them. It fails with fault.Unavailable, and says why.
func (b *Backend) Ready(ctx context.Context) error {
	b.ring.mu.Lock()
	there := !b.ring.stale()
	b.ring.mu.Unlock()
	if there {
		return nil
	}
	if err := b.ring.ask(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "identity provider %s: %s", b.config.Issuer, err)
	}
	return nil
}

// Name is as configured, or oidc.
func (b *Backend) Name() string { return b.config.Name }

// Takes the logins with a JWT that says it is of this provider. Whether it is, Authorize
// says.
func (b *Backend) Takes(request *callout.Request) bool {
	issuer, is := peek(presented(request))
	return is && issuer == b.config.Issuer
}

// Authorize decides one login. Tokens that do not hold, or are another's, fail with
// callout.ErrWrong; fault.Expired and fault.Refused are for good ones that give no right, and
// fault.Unavailable is a provider's that does not answer.
func (b *Backend) Authorize(ctx context.Context, request *callout.Request) (*callout.Grant, error) {
	t, err := readToken(presented(request))
	if err != nil {
		return nil, err
	}
	if err := b.verify(ctx, t); err != nil {
		return nil, err
	}
	now := time.Now()
	ends, err := b.judge(t.claims, now)
	if err != nil {
		return nil, err
	}
	return b.grant(t.claims, ends, now)
}

// verify holds a token's signature against the provider's key. Where the token names no key,
// the one that is known may have been replaced.
func (b *Backend) verify(ctx context.Context, t token) error {
	if !contains(b.config.Algorithms, t.alg) {
		return callout.Wrong("the token is signed with %s, which is not among the algorithms", shown(t.alg))
	}
	signed, err := jose.ParseSignedCompact(t.raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(t.alg)})
	if err != nil {
		return callout.Wrong("the token cannot be verified")
	}
	k, err := b.ring.find(ctx, t.alg, t.kid, "")
	if err != nil {
		return err
	}
	_, err = signed.Verify(k.jwk.Key)
	if err != nil && t.kid == "" {
		if k, err = b.ring.find(ctx, t.alg, t.kid, k.form); err != nil {
			if errors.Is(err, callout.ErrWrong) {
				err = callout.Wrong("the token's signature does not hold")
			}
			return err
		}
		_, err = signed.Verify(k.jwk.Key)
	}
	if err != nil {
		return callout.Wrong("the token's signature does not hold")
	}
	return nil
}

// grant is what somebody with these claims gets.
func (b *Backend) grant(claims map[string]any, ends, now time.Time) (*callout.Grant, error) {
	name, err := b.nameOf(claims)
	if err != nil {
		return nil, err
	}
	r, err := b.first(claims)
	if err != nil {
		return nil, err
	}
	grant, err := r.role.Grant(b.accounts, policy.Person{Name: name, Rule: r.title, Claims: wordsOf(claims)}, now)
	if err != nil {
		return nil, err
	}
	if !ends.IsZero() && (grant.Expires.IsZero() || ends.Before(grant.Expires)) {
		grant.Expires = ends
	}
	return grant, nil
}

// Explain is the grant of a login with these claims, as if a good token had them. Claims
// about the token itself may be left out; those that are there count.
func (b *Backend) Explain(_ context.Context, query callout.Query) (*callout.Grant, error) {
	if query.Claims == nil {
		return nil, fault.New(fault.NotFound, "the identity provider's people are known by their claims alone: give those of a token")
	}
	if issuer, there := query.Claims["iss"]; there && issuer != b.config.Issuer {
		return nil, fault.New(fault.NotFound, "issuer %s is another identity provider's", shown(issuer))
	}
	now := time.Now()
	assumed := map[string]any{
		"iss": b.config.Issuer, "aud": b.config.Audience[0],
		"iat": float64(now.Unix()), "exp": float64(now.Add(time.Duration(b.config.MaxLife)).Unix()),
	}
	for name, value := range query.Claims {
		assumed[name] = value
	}
	ends, err := b.judge(assumed, now)
	if err != nil {
		return nil, err
	}
	grant, err := b.grant(assumed, ends, now)
	if errors.Is(err, errNoRule) {
		return nil, fault.Wrap(fault.Refused, err, "no rule gives a role: %s", b.unmatched(assumed))
	}
	return grant, err
}
