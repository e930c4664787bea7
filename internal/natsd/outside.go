package natsd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
)

// outsideFile keeps what an attached hub got of its operator, beside its own keys.
const outsideFile = "outside.creds"

// AttachOptions say on which NATS system of the host's own a hub lives.
type AttachOptions struct {
	DataDir string // the hub's own keys
	URL     string // of one or more servers, separated by commas
	// Creds names a file with the operator JWT, the seed of one of the operator's signing
	// keys, and the JWT and seed of a user of the system account, in any order, as the
	// usual tools write them. It is needed at the first start and when they change.
	Creds string
}

// Attached is a hub's place on a NATS system that somebody else runs: keys of its own
// for its own accounts, and the operator's leave to install them.
type Attached struct {
	opts AttachOptions
	keys *Keys
	lock *folderLock

	closing  sync.Once
	closeErr error
}

// Attach opens the hub's data folder for a NATS system outside, and makes the hub's keys
// if the folder is new. It does not connect. Errors are faults with one sentence for the
// host.
func Attach(ctx context.Context, opts AttachOptions) (*Attached, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the start was cancelled")
	}
	if err := openFolder(opts.DataDir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(opts.DataDir)
	if err != nil {
		return nil, err
	}
	keys, err := attachedKeys(opts)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return &Attached{opts: opts, keys: keys, lock: lock}, nil
}

func attachedKeys(opts AttachOptions) (*Keys, error) {
	kept := filepath.Join(opts.DataDir, keysFolder, outsideFile)
	if _, err := os.Stat(filepath.Join(opts.DataDir, resolverFolder)); err == nil {
		return nil, fault.New(fault.Conflict,
			"the hub in %s runs a server of its own; choose another folder for a hub that attaches", opts.DataDir)
	}
	if _, err := os.Stat(kept); err != nil && opts.Creds == "" {
		return nil, fault.New(fault.Malformed, "to attach the first time, name the operator's file with --creds")
	}
	if _, err := loadOrCreateKeys(opts.DataDir); err != nil {
		return nil, err
	}
	if opts.Creds != "" {
		if err := keepOutside(opts.Creds, kept); err != nil {
			return nil, err
		}
	}
	return LoadKeys(opts.DataDir)
}

// keepOutside checks the operator's file and keeps it with the hub's keys.
func keepOutside(path, kept string) error {
	content, err := readKeyFile(path)
	if err != nil {
		return err
	}
	if _, err := parseOutside(path, content); err != nil {
		return err
	}
	if err := removeFile(kept); err != nil {
		return fault.Wrap(fault.Internal, err, "%s cannot be replaced: run the hub as the owner of the folder", kept)
	}
	if err := writeNewFile(kept, content); err != nil {
		return fault.Wrap(fault.Internal, err, "%s cannot be written: run the hub as the owner of the folder", kept)
	}
	return nil
}

// outside is what the operator of a NATS system lets a hub do there.
type outside struct {
	operator *jwt.OperatorClaims
	token    string // operator JWT
	signer   nkeys.KeyPair
	system   Login
}

// parseOutside reads an operator's file: what a word in it is, the word itself says.
func parseOutside(path string, content []byte) (*outside, error) {
	o := new(outside)
	for word := range strings.FieldsSeq(string(content)) {
		switch {
		case strings.HasPrefix(word, "eyJ"):
			o.takeToken(word)
		case strings.HasPrefix(word, "SO"):
			if pair, err := parsePair([]byte(word), nkeys.PrefixByteOperator); err == nil {
				o.signer = pair
			}
		case strings.HasPrefix(word, "SU"):
			if _, err := parsePair([]byte(word), nkeys.PrefixByteUser); err == nil {
				o.system.seed = []byte(word)
			}
		}
	}
	return o, o.check(path)
}

func (o *outside) takeToken(word string) {
	if claims, err := jwt.DecodeOperatorClaims(word); err == nil {
		o.operator, o.token = claims, word
		return
	}
	if claims, err := jwt.DecodeUserClaims(word); err == nil {
		o.system.Name, o.system.JWT, o.system.PublicKey = "keyhall-sys", word, claims.Subject
		o.system.Account = claims.IssuerAccount
		if o.system.Account == "" {
			o.system.Account = claims.Issuer
		}
	}
}

func (o *outside) check(path string) error {
	missing := ""
	switch {
	case o.operator == nil:
		missing = "the operator JWT"
	case o.signer == nil:
		missing = "the seed of an operator signing key (SO…)"
	case o.system.JWT == "" || o.system.seed == nil:
		missing = "the creds of a user of the system account"
	}
	if missing != "" {
		return fault.New(fault.Malformed, "the file %s lacks %s; docs/operations.md says what belongs in it", path, missing)
	}
	public, err := o.signer.PublicKey()
	if err != nil || !o.operator.SigningKeys.Contains(public) {
		return fault.New(fault.Malformed, "the operator JWT in %s does not list the signing key there", path)
	}
	if o.operator.SystemAccount != o.system.Account {
		return fault.New(fault.Malformed, "the user in %s is not of the operator's system account", path)
	}
	if o.operator.StrictSigningKeyUsage {
		return fault.New(fault.Malformed, "the operator in %s demands account signing keys; devices of members are signed by their own account", path)
	}
	return nil
}

// apply puts the operator outside in the place of the hub's own.
func (o *outside) apply(k *Keys) error {
	k.OperatorID, k.OperatorJWT, k.OperatorSigner = o.operator.Subject, o.token, o.signer
	delete(k.accountJWTs, k.System)
	k.System, k.SystemUser = o.system.Account, o.system
	for account, token := range k.accountJWTs {
		claims, err := jwt.DecodeAccountClaims(token)
		if err != nil {
			return fmt.Errorf("account %s: %w", account, err)
		}
		if k.accountJWTs[account], err = claims.Encode(o.signer); err != nil {
			return fmt.Errorf("account %s: %w", account, err)
		}
	}
	return nil
}

// applyOutside does so for an attached hub; for others it does nothing.
func applyOutside(dataDir string, k *Keys) error {
	path := filepath.Join(dataDir, keysFolder, outsideFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	content, err := readKeyFile(path)
	if err != nil {
		return err
	}
	o, err := parseOutside(path, content)
	if err != nil {
		return err
	}
	return o.apply(k)
}

// Keys are the hub's keys.
func (a *Attached) Keys() *Keys { return a.keys }

// ClientURL is where the servers are.
func (a *Attached) ClientURL() string { return a.opts.URL }

// Connect connects one of the hub's services.
func (a *Attached) Connect(login Login, options ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(a.opts.URL, append(login.Options(), options...)...)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", login.Name, err)
	}
	return nc, nil
}

// Announce writes run.json, so that other commands on this machine find the hub.
func (a *Attached) Announce(httpURL string) error {
	run := Run{NATS: a.opts.URL, HTTP: httpURL, PID: os.Getpid()}
	if err := writeRun(a.opts.DataDir, run); err != nil {
		return fault.Wrap(fault.Internal, err, "the hub cannot write %s in %s (%s): see that the disk is not full",
			runFile, a.opts.DataDir, reason(err))
	}
	return nil
}

// Close removes run.json and lets another hub use the folder.
func (a *Attached) Close() error {
	a.closing.Do(func() {
		a.closeErr = errors.Join(removeFile(filepath.Join(a.opts.DataDir, runFile)), a.lock.release())
	})
	return a.closeErr
}
