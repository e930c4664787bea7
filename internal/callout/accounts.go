package callout

import (
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
)

// Account is an account in which an engine may place connections.
type Account struct {
	Name   string        // as configuration calls it
	ID     string        // A…
	Signer nkeys.KeyPair // one of its signing keys, or its identity
	// Scoped says that the account's JWT binds the signing key to a template of
	// permissions: users signed with it get those and can be given no others.
	Scoped bool
}

// Accounts are the accounts in which an engine may place connections.
type Accounts []Account

// Find is the account of a name or key. Not to know one is a defect of the configuration.
func (a Accounts) Find(name string) (Account, error) {
	for _, account := range a {
		if name != "" && (account.Name == name || account.ID == name) {
			return account, nil
		}
	}
	return Account{}, fault.New(fault.Internal, "there is no account %q to place anybody in", name)
}

// Check says what is wrong with a list of accounts: keys of the wrong kind, one name or
// account twice.
func (a Accounts) Check() error {
	seen := make(map[string]bool)
	for _, account := range a {
		if err := account.check(); err != nil {
			return fmt.Errorf("account %s: %w", account.Name, err)
		}
		if seen[account.Name] || seen[account.ID] {
			return fmt.Errorf("account %s is there twice", account.Name)
		}
		seen[account.Name], seen[account.ID] = true, true
	}
	return nil
}

func (a Account) check() error {
	switch {
	case CheckText(a.Name) != nil:
		return errors.New("its name is not a line of text")
	case !isKey(nkeys.PrefixByteAccount, a.ID):
		return fmt.Errorf("%q is not the public key of an account (A…)", a.ID)
	case a.Signer == nil:
		return errors.New("it has no signing key")
	}
	public, err := a.Signer.PublicKey()
	if err != nil || !isKey(nkeys.PrefixByteAccount, public) {
		return errors.New("its signing key is not an account's (SA…)")
	}
	if _, err := a.Signer.Seed(); err != nil {
		return errors.New("its signing key has no seed")
	}
	if a.Scoped && public == a.ID {
		return errors.New("an identity key has no scope")
	}
	return nil
}
