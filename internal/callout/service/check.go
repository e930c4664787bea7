package service

import (
	"context"
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
)

// refuse is the refusal of a start: what is wrong, why it matters, and what to do.
func refuse(format string, values ...any) error { return fault.New(fault.Refused, format, values...) }

// checkFiles refuses key files that others may read, and names all of them.
func (c *Config) checkFiles() error {
	var open []string
	for _, file := range c.secrets() {
		err := keyfile.CheckPrivate(file)
		if fault.Is(err, fault.Refused) && !slices.Contains(open, file) {
			open = append(open, file)
		}
	}
	switch {
	case len(open) == 1:
		return keyfile.CheckPrivate(open[0])
	case len(open) > 1:
		return refuse("these files are open to other users of this machine: run chmod 600 %s, and if they are strangers make new keys",
			strings.Join(open, " "))
	}
	return nil
}

// checkKeys holds the keys against each other: what can be known without a server.
func (k *keys) check() error {
	auth := k.creds.Account()
	issuer, err := k.issuer.PublicKey()
	if err != nil {
		return err
	}
	if !isAccount(auth) {
		return refuse("%s is of no account: the user in it was not issued by one", k.config.Creds)
	}
	if k.authClaims == nil && issuer != auth {
		k.warn("%s may be a signing key of AUTH (%s), the account of %s, or of another account; "+
			"--auth-jwt FILE (nsc describe account AUTH --raw) lets this be checked", k.config.Issuer, auth, k.config.Creds)
	}
	for _, account := range k.accounts {
		if account.ID == auth {
			return refuse("account %s is AUTH itself, the callout's own, for %s is of it: logins placed there could hear login requests; "+
				"leave it out and place people in other accounts, or name creds of an auth user of AUTH", account.Name, k.config.Creds)
		}
		if k.system != nil && account.ID == k.system.Account() {
			return refuse("account %s is that of %s: if it is the system account, who logs in there rules the servers: leave it out and destroy %s; "+
				"if not, name creds of the system account as --system-creds", account.Name, k.config.SystemCreds, account.key)
		}
	}
	if k.system != nil && k.system.Account() == auth {
		return refuse("%s and %s are of one account: AUTH is not the system account, or should not be", k.config.SystemCreds, k.config.Creds)
	}
	if err := k.checkSentinelFile(auth); err != nil {
		return err
	}
	if k.authClaims != nil {
		return k.checkClaims(auth, issuer)
	}
	return nil
}

// checkSentinelFile judges the sentinel before anybody logs in with it.
func (k *keys) checkSentinelFile(auth string) error {
	if k.sentinel == nil {
		return nil
	}
	if account := k.sentinel.Account(); account != auth {
		return refuse("the sentinel in %s is of account %s, and the callout's %s of %s: both have to be of AUTH; make one in AUTH: "+
			"nsc add user --account AUTH --name sentinel --deny-pubsub '>'", k.config.Sentinel, account, k.config.Creds, auth)
	}
	if k.sentinel.Claims.Subject == k.creds.Claims.Subject {
		return refuse("the sentinel in %s is the callout's own user: who has it hears everybody's password; make another user for clients: "+
			"nsc add user --account AUTH --name sentinel --deny-pubsub '>'", k.config.Sentinel)
	}
	return checkSentinel(k.sentinel.Claims)
}

// checkSentinel refuses a sentinel that may do anything: where no callout takes over, as when
// somebody edits AUTH, it would be a login for everybody.
func checkSentinel(claims *jwt.UserClaims) error {
	nothing := slices.Contains(claims.Pub.Deny, ">") && slices.Contains(claims.Sub.Deny, ">") && claims.Resp == nil
	if nothing {
		return nil
	}
	return refuse("the sentinel %q (%s) may do something, and everybody has it: run nsc edit user --account AUTH --name %s --deny-pubsub '>', "+
		"and give the new creds to clients or servers", claims.Name, claims.Subject, claims.Name)
}

// checkClaims holds keys and configuration against AUTH's account JWT.
func (k *keys) checkClaims(auth, issuer string) error {
	claims := k.authClaims
	if claims.Subject != auth {
		return refuse("%s is the JWT of account %s (%s), and %s is of %s", k.authFrom, claims.Subject, claims.Name, k.config.Creds, auth)
	}
	if issuer != auth && !claims.SigningKeys.Contains(issuer) {
		return refuse("the key in %s (%s) is neither %s's identity nor one of its signing keys", k.config.Issuer, issuer, claims.Name)
	}
	authorization := claims.Authorization
	if !slices.Contains(authorization.AuthUsers, k.creds.Claims.Subject) {
		return refuse("the user in %s (%s) is not among the auth users of %s, so servers ask the callout about its own login: "+
			"run nsc edit authcallout --account %s --auth-user %s", k.config.Creds, k.creds.Claims.Subject, claims.Name, claims.Name, k.creds.Claims.Subject)
	}
	public, err := k.xkey.PublicKey()
	if err != nil {
		return err
	}
	switch authorization.XKey {
	case public:
	case "":
		return noXKey(public)
	default:
		return otherXKey(k.config.XKey, public)
	}
	return k.checkAllowed(claims)
}

func (k *keys) checkAllowed(claims *jwt.AccountClaims) error {
	allowed := claims.Authorization.AllowedAccounts
	if slices.Contains(allowed, "*") {
		var names []string
		for _, account := range k.accounts {
			names = append(names, account.Name)
		}
		k.warn("%s lets the callout place logins in every account (\"*\"), the system account among them, as far as it has their keys; "+
			"it has those of %s. Name them instead: nsc edit authcallout --account %s --allowed-account %s",
			claims.Name, strings.Join(names, ", "), claims.Name, k.accounts[0].ID)
		return nil
	}
	for _, account := range k.accounts {
		if !slices.Contains(allowed, account.ID) {
			return notAllowed(account.Account)
		}
	}
	return nil
}

func noXKey(public string) error {
	return refuse("AUTH's account JWT names no xkey: servers send passwords and tokens in the clear to whoever may read AUTH; "+
		"run nsc edit authcallout --account AUTH --curve %s and push the account", public)
}

func otherXKey(file, public string) error {
	return refuse("the servers encrypt login requests to another xkey than the one in %s (%s): name the file with that one, "+
		"or run nsc edit authcallout --account AUTH --curve %s and push the account", file, public, public)
}

func notAllowed(account callout.Account) error {
	return refuse("account %s (%s) is not among those in which AUTH lets the callout place logins: "+
		"run nsc edit authcallout --account AUTH --allowed-account %s and push the account, or leave %s out",
		account.Name, account.ID, account.ID, account.Name)
}

// checkServers asks the servers, by logins of the service's own.
func (s *Service) checkServers(ctx context.Context, k *keys) error {
	if err := checkVersion(s.nc.ConnectedServerName(), s.nc.ConnectedServerVersion()); err != nil {
		return err
	}
	p, err := s.startProbe(k)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.look(ctx); err != nil {
		return err
	}
	if !p.heard {
		return nil // it has been said why
	}
	for _, account := range k.accounts {
		if err := p.checkAccount(ctx, account); err != nil {
			return err
		}
	}
	return nil
}

func checkVersion(name, version string) error {
	if err := callout.CheckServerVersion(version); err != nil {
		return fault.Wrap(fault.Refused, err, "server %s: %s; update the servers before you hand logins to a callout", name, err)
	}
	return nil
}

// sameKeys reports whether two lists of accounts are the same, keys and all.
func sameKeys(a, b []account) bool {
	return slices.EqualFunc(a, b, func(a, b account) bool {
		return a.Name == b.Name && a.ID == b.ID && a.Scoped == b.Scoped && publicOf(a.Signer) == publicOf(b.Signer)
	})
}

func publicOf(key nkeys.KeyPair) string {
	public, err := key.PublicKey()
	if err != nil {
		return ""
	}
	return public
}
