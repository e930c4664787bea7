package service

import (
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/callout/backend/certs"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
)

// Defaults of a Config.
const (
	DefaultNATS     = "nats://127.0.0.1:4222"
	DefaultQueue    = "keyhall-callout"
	DefaultInFlight = 256
	DefaultLogLevel = "info"

	maxInFlight = 100_000
)

// fromEnvironment before the name of a variable stands where the name of a key file may stand.
const fromEnvironment = "env:"

// Config is all that a service is told. File names are as they are opened; those of keys and
// creds may be env:NAME, which is the variable with the text of the file.
type Config struct {
	NATS     []string // URLs
	Creds    string   // file of an auth user
	Issuer   string   // file with the seed of AUTH's identity or of one of its signing keys
	XKey     string   // file with the seed of AUTH's xkey
	Accounts []AccountKey

	Users        string // file
	Roles        map[string]policy.Role
	OIDC         []oidc.Config
	Certificates *certs.Config

	Sentinel    string // creds file of the sentinel, for the self-check
	AuthJWT     string // file with AUTH's account JWT, for the self-check
	SystemCreds string // file of a user of the system account
	CA          string // file with the certificates that vouch for the servers'

	Audit    *Audit
	Metrics  string // host:port where metrics are served; empty: nowhere
	LogLevel string
	Queue    string
	InFlight int

	File string // the YAML file that some of it is from; empty: none
}

// AccountKey is an account in which logins are placed, and the file with a key of it.
type AccountKey struct {
	Name   string `yaml:"-"`
	ID     string `yaml:"id"`     // A…
	Key    string `yaml:"key"`    // file with the seed of one of its signing keys
	Scoped bool   `yaml:"scoped"` // the key is bound to a template of permissions
}

// Audit says where decisions are written down: with Creds to a stream, with File to a file,
// with Off nowhere, and otherwise to a stream of the callout's own account.
type Audit struct {
	Off   bool   `yaml:"off"`
	Creds string `yaml:"creds"` // file of a user in an account with JetStream, who may publish to audit.>
	// AccountJWT is the file with that account's JWT, if one of its signing keys issued the
	// user: who reads the audit needs it to believe the signatures.
	AccountJWT string          `yaml:"account_jwt"`
	File       string          `yaml:"file"` // or lines of JSON, appended to this file
	MaxAge     policy.Duration `yaml:"max_age"`
	MaxBytes   int64           `yaml:"max_bytes"`
	Replicas   int             `yaml:"replicas"`
}

// ParseAccount reads an account as flags have it: NAME=A…:KEYFILE, with :scoped behind it for
// a key that is bound to a template.
func ParseAccount(text string) (AccountKey, error) {
	const form = "write it as NAME=A…:KEYFILE, or NAME=A…:KEYFILE:scoped"
	name, rest, found := strings.Cut(text, "=")
	id, key, hasKey := strings.Cut(rest, ":")
	if !found || !hasKey {
		if strings.ContainsFunc(text, unicode.IsSpace) || holdsSeed(text) {
			return AccountKey{}, fault.New(fault.Malformed, "an account cannot be read; %s", form)
		}
		return AccountKey{}, fault.New(fault.Malformed, "%.80q is no account; %s", text, form)
	}
	key, scoped := strings.CutSuffix(key, ":scoped")
	return AccountKey{Name: name, ID: id, Key: key, Scoped: scoped}, nil
}

// holdsSeed reports whether some word of a text is a secret key.
func holdsSeed(text string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.ContainsFunc(words, keyfile.IsSeed)
}

func (c *Config) setDefaults() {
	if len(c.NATS) == 0 {
		c.NATS = []string{DefaultNATS}
	}
	if c.Queue == "" {
		c.Queue = DefaultQueue
	}
	if c.InFlight == 0 {
		c.InFlight = DefaultInFlight
	}
	if c.LogLevel == "" {
		c.LogLevel = DefaultLogLevel
	}
}

// Level is the log level.
func (c *Config) Level() (level slog.Level, err error) {
	if level.UnmarshalText([]byte(c.LogLevel)) != nil {
		return 0, fault.New(fault.Malformed, "%.40q is no log level; choose debug, info, warn or error", c.LogLevel)
	}
	return level, nil
}

// CheckPolicy says what is missing in what Explain needs: who is placed where.
func (c *Config) CheckPolicy() error {
	if lacking := c.lacksPolicy(); len(lacking) > 0 {
		return missing(lacking)
	}
	for _, account := range c.Accounts {
		if err := account.check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) lacksPolicy() (lacking []string) {
	if len(c.Accounts) == 0 {
		lacking = append(lacking, "--account NAME=A…:KEYFILE (where logins are placed)")
	}
	if c.Users == "" && len(c.OIDC) == 0 && c.Certificates == nil {
		lacking = append(lacking, "--users FILE (or oidc or certificates: who may log in)")
	}
	return lacking
}

// Check says what is missing, and what cannot be.
func (c *Config) Check() error {
	var lacking []string
	for _, required := range []struct{ value, what string }{
		{c.Creds, "--creds FILE (an auth user of AUTH)"},
		{c.Issuer, "--issuer FILE (the key that signs AUTH's answers)"},
		{c.XKey, "--xkey FILE (the key to which login requests are encrypted)"},
	} {
		if required.value == "" {
			lacking = append(lacking, required.what)
		}
	}
	if lacking = append(lacking, c.lacksPolicy()...); len(lacking) > 0 {
		return missing(lacking)
	}
	if err := c.CheckPolicy(); err != nil {
		return err
	}
	switch {
	case c.InFlight < 1 || c.InFlight > maxInFlight:
		return fault.New(fault.Malformed, "in_flight is %d; it is a number from 1 to %d", c.InFlight, maxInFlight)
	case !plainToken(c.Queue):
		return fault.New(fault.Malformed, "%.60q is no name for a queue group: letters, digits, - and _", c.Queue)
	}
	return c.Audit.check()
}

func missing(what []string) error {
	return fault.New(fault.Malformed, "the configuration lacks %s; give them as flags, or in the file of --config", strings.Join(what, ", "))
}

func (a AccountKey) check() error {
	switch {
	case a.Name == "" || strings.ContainsFunc(a.Name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fault.New(fault.Malformed, "%.60q is no name for an account: it is one word", a.Name)
	case holdsSeed(a.ID):
		return fault.New(fault.Refused, "account %s: in the place of its public key (A…) stands a secret: whoever saw it can use it", a.Name)
	case !isAccount(a.ID):
		return fault.New(fault.Malformed, "account %s: %.60q is not the public key of an account (A…)", a.Name, a.ID)
	case a.Key == "":
		return fault.New(fault.Malformed, "account %s: the file with one of its signing keys is not said", a.Name)
	}
	return nil
}

func (a *Audit) check() error {
	switch {
	case a == nil:
		return nil
	case a.Creds != "" && a.File != "" || a.Off && a.Creds+a.File != "":
		return fault.New(fault.Malformed, "audit goes to a stream (creds), to a file (file), or nowhere (off): say one of them")
	case a.MaxBytes < 0 || a.Replicas < 0 || a.Replicas > 5:
		return fault.New(fault.Malformed, "audit: max_bytes is not below 0, and replicas is from 1 to 5")
	}
	return nil
}

func isAccount(text string) bool {
	raw, err := nkeys.Decode(nkeys.PrefixByteAccount, []byte(text))
	if err != nil {
		return false
	}
	canonical, err := nkeys.Encode(nkeys.PrefixByteAccount, raw)
	return err == nil && string(canonical) == text
}

func plainToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '-' && r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
}

// secrets are the files that nobody but their user may read.
func (c *Config) secrets() []string {
	files := []string{c.Creds, c.Issuer, c.XKey, c.Sentinel, c.SystemCreds}
	for _, account := range c.Accounts {
		files = append(files, account.Key)
	}
	if c.Audit != nil {
		files = append(files, c.Audit.Creds)
	}
	return slices.DeleteFunc(files, func(file string) bool { return file == "" || strings.HasPrefix(file, fromEnvironment) })
}

// watched are the files whose change reloads the service.
func (c *Config) watched() []string {
	files := []string{c.File, c.Users}
	if c.Certificates != nil {
		files = append(files, c.Certificates.CAs...)
	}
	for _, provider := range c.OIDC {
		files = append(files, provider.CAFile)
	}
	for _, account := range c.Accounts {
		if !strings.HasPrefix(account.Key, fromEnvironment) {
			files = append(files, account.Key)
		}
	}
	return slices.DeleteFunc(files, func(file string) bool { return file == "" })
}

// changes are the fields in which a running service would have to become another one.
func (c *Config) changes(before *Config) (names []string) {
	for _, field := range []struct {
		name     string
		now, was any
	}{
		{"nats", c.NATS, before.NATS},
		{"creds", c.Creds, before.Creds},
		{"issuer", c.Issuer, before.Issuer},
		{"xkey", c.XKey, before.XKey},
		{"ca", c.CA, before.CA},
		{"system_creds", c.SystemCreds, before.SystemCreds},
		{"audit", c.Audit, before.Audit},
		{"metrics", c.Metrics, before.Metrics},
		{"log_level", c.LogLevel, before.LogLevel},
		{"queue", c.Queue, before.Queue},
		{"in_flight", c.InFlight, before.InFlight},
	} {
		if !reflect.DeepEqual(field.now, field.was) {
			names = append(names, field.name)
		}
	}
	return names
}

// beside makes a file name of a configuration file one that can be opened.
func beside(dir string, names ...*string) {
	for _, name := range names {
		if *name != "" && !filepath.IsAbs(*name) && !strings.HasPrefix(*name, fromEnvironment) && !keyfile.IsSeed(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
}
