package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
)

const lookUpTime = 5 * time.Second // for the servers to say what AUTH's account JWT is

// keys are what the files of a configuration hold. It holds secrets.
type keys struct {
	config   *Config
	creds    *keyfile.Creds
	issuer   nkeys.KeyPair
	xkey     nkeys.KeyPair
	accounts []account

	sentinel   *keyfile.Creds     // nil: the servers' own, if they have one
	system     *keyfile.Creds     // nil: none
	authClaims *jwt.AccountClaims // of AUTH; nil: not known
	authFrom   string             // where they are from

	warnings []string
}

// account is an account with the file that its key is from.
type account struct {
	callout.Account
	key string
}

func (k *keys) warn(format string, values ...any) {
	k.warnings = append(k.warnings, fmt.Sprintf(format, values...))
}

// signers are the accounts as backends know them.
func signers(accounts []account) callout.Accounts {
	list := make(callout.Accounts, len(accounts))
	for i, account := range accounts {
		list[i] = account.Account
	}
	return list
}

// load reads the files of a configuration.
func (s Source) load(c *Config) (k *keys, err error) {
	if err := c.checkFiles(); err != nil {
		return nil, err
	}
	k = &keys{config: c}
	if k.creds, err = s.credsOf(c.Creds); err != nil {
		return nil, err
	}
	if k.issuer, err = s.pairOf(c.Issuer, nkeys.PrefixByteAccount); err != nil {
		return nil, err
	}
	if k.xkey, err = s.pairOf(c.XKey, nkeys.PrefixByteCurve); err != nil {
		return nil, err
	}
	if k.accounts, err = s.accounts(c); err != nil {
		return nil, err
	}
	if c.Sentinel != "" {
		if k.sentinel, err = s.credsOf(c.Sentinel); err != nil {
			return nil, err
		}
	}
	if c.SystemCreds != "" {
		if k.system, err = s.credsOf(c.SystemCreds); err != nil {
			return nil, err
		}
	}
	if c.AuthJWT != "" {
		if _, k.authClaims, err = readAccountJWT(c.AuthJWT); err != nil {
			return nil, err
		}
		k.authFrom = c.AuthJWT
	}
	return k, nil
}

// accounts reads the signing keys.
func (s Source) accounts(c *Config) ([]account, error) {
	var accounts []account
	for _, named := range c.Accounts {
		pair, err := s.pairOf(named.Key, nkeys.PrefixByteAccount)
		if err != nil {
			return nil, fault.Wrap(fault.CodeOf(err), err, "account %s: %s", named.Name, err)
		}
		accounts = append(accounts, account{
			Account: callout.Account{Name: named.Name, ID: named.ID, Signer: pair, Scoped: named.Scoped}, key: named.Key,
		})
	}
	if err := signers(accounts).Check(); err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "%s", err)
	}
	return accounts, nil
}

func (s Source) credsOf(file string) (*keyfile.Creds, error) {
	text, err := s.secretText(file)
	if err != nil {
		return nil, notRead(err)
	}
	return keyfile.ParseCreds(file, text)
}

func (s Source) pairOf(file string, kind nkeys.PrefixByte) (nkeys.KeyPair, error) {
	text, err := s.secretText(file)
	if err != nil {
		return nil, notRead(err)
	}
	return keyfile.ParsePair(file, text, kind)
}

// notRead puts a file's error into a sentence.
func notRead(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fault.Wrap(fault.Refused, err, "%s: run this as the owner of the file", keyfile.Sentence(err))
	}
	return fault.Wrap(fault.NotFound, err, "%s", keyfile.Sentence(err))
}

// readAccountJWT reads what nsc describe account --raw prints.
func readAccountJWT(path string) (token string, claims *jwt.AccountClaims, err error) {
	text, err := keyfile.Read(path)
	if err != nil {
		return "", nil, notRead(err)
	}
	for word := range strings.FieldsSeq(string(text)) {
		if claims, err := jwt.DecodeAccountClaims(word); err == nil {
			return word, claims, nil
		}
	}
	return "", nil, fault.New(fault.Malformed, "%s holds no account JWT, as nsc describe account AUTH --raw prints it", path)
}

// lookUp asks the system account for AUTH's JWT. Without system creds it does nothing.
func (k *keys) lookUp(ctx context.Context, options []nats.Option) error {
	if k.system == nil || k.authClaims != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	options = append(options, nats.UserCredentialBytes(k.system.Text), nats.Name("keyhall callout check"),
		// What a user may not ask is not answered.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { cancel() }))
	nc, err := nats.Connect(strings.Join(k.config.NATS, ","), append(options, inboxOf(k.system)...)...)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the system creds in %s do not log in: %s", k.config.SystemCreds, plain(err))
	}
	defer nc.Close()
	auth := k.creds.Account()
	answer, err := nc.RequestWithContext(ctx, "$SYS.REQ.ACCOUNT."+auth+".CLAIMS.LOOKUP", nil)
	if err == nil {
		if claims, decoded := jwt.DecodeAccountClaims(strings.TrimSpace(string(answer.Data))); decoded == nil {
			k.authClaims, k.authFrom = claims, "what the servers have"
			return nil
		}
		err = errors.New("no JWT came back")
		var status struct {
			Error struct{ Description string }
		}
		if json.Unmarshal(answer.Data, &status) == nil && status.Error.Description != "" {
			err = errors.New(status.Error.Description)
		}
	}
	if refused := nc.LastError(); refused != nil {
		err = refused
	}
	k.warn("the system creds in %s may not look up AUTH's account JWT (%s): what it says is not checked; "+
		"allow them $SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP, or name a file with --auth-jwt", k.config.SystemCreds, plain(err))
	return nil
}

// inboxOf has a user who may hear one inbox use it.
func inboxOf(creds *keyfile.Creds) []nats.Option {
	for _, subject := range creds.Claims.Sub.Allow {
		if prefix, all := strings.CutSuffix(subject, ".>"); all && strings.HasPrefix(prefix, "_INBOX_") {
			return []nats.Option{nats.CustomInboxPrefix(prefix)}
		}
	}
	return nil
}

// plain is the text of a NATS error without its prefix.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "nats: ") }
