package signin

import "context"

// Bind makes a login at the provider an account's.
func (s *Store) Bind(ctx context.Context, who, account string) error {
	return s.bind(ctx, who, account)
}

// Bound is whose a login at the provider is.
func (s *Store) Bound(ctx context.Context, who string) (string, error) { return s.bound(ctx, who) }
