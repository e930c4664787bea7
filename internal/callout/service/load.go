package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"keyhall.dev/keyhall/internal/callout/backend/certs"
	"keyhall.dev/keyhall/internal/callout/backend/oidc"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
)

// Variable is the prefix of the environment's variables.
const Variable = "KEYHALL_CALLOUT_"

const maxConfig = 4 << 20 // bytes

// Source is where a configuration comes from. Of a field that several say, the flag counts
// before the environment, and the environment before the file; lists are not put together.
type Source struct {
	File  string // --config; empty: $KEYHALL_CALLOUT_CONFIG, or none
	Flags Config // what flags say
	Env   func(name string) string
}

// Load reads the configuration, as it is now. It is complete but for what Check finds.
func (s Source) Load() (*Config, error) {
	path := s.File
	if path == "" {
		path = s.Env(Variable + "CONFIG")
	}
	c := new(Config)
	if path != "" {
		text, err := readConfig(path)
		if err != nil {
			return nil, err
		}
		if c, err = Parse(path, text); err != nil {
			return nil, err
		}
	}
	environment, err := fromVariables(s.Env)
	if err != nil {
		return nil, err
	}
	c.overlay(environment)
	c.overlay(&s.Flags)
	c.setDefaults()
	return c, nil
}

func readConfig(path string) ([]byte, error) {
	if keyfile.IsSeed(path) {
		return keyfile.Read(path) // which says what is wrong
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "the configuration cannot be read: %s", keyfile.Sentence(err))
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "the configuration cannot be read: %s", keyfile.Sentence(err))
	}
	if len(text) > maxConfig {
		return nil, fault.New(fault.TooLarge, "%s is too large for a configuration", path)
	}
	return text, nil
}

// texts are one text or a list of them.
type texts []string

func (t *texts) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*t = commas(node.Value)
		return nil
	}
	return node.Decode((*[]string)(t))
}

// located is a part of the file that is read by code of its own, which knows no lines.
type located[T any] struct{ value T }

func (l *located[T]) UnmarshalYAML(node *yaml.Node) error {
	if err := node.Decode(&l.value); err != nil {
		text := strings.NewReplacer("yaml: ", "", "json: ", "", "unknown field", "there is no field").Replace(err.Error())
		var types *yaml.TypeError
		if errors.As(err, &types) {
			text = yamlSentence(err)
		}
		if parts := wrongJSON.FindStringSubmatch(text); parts != nil {
			text = strings.TrimPrefix(parts[3]+": ", ": ") + otherKind(parts[2], parts[4])
		}
		return fmt.Errorf("what begins in line %d: %s", node.Line, text)
	}
	return nil
}

// document is the YAML file.
type document struct {
	NATS     texts                 `yaml:"nats"`
	Creds    string                `yaml:"creds"`
	Issuer   string                `yaml:"issuer"`
	XKey     string                `yaml:"xkey"`
	Accounts map[string]AccountKey `yaml:"accounts"`

	Users        string                          `yaml:"users"`
	Roles        map[string]located[policy.Role] `yaml:"roles"`
	OIDC         []oidc.Config                   `yaml:"oidc"`
	Certificates *certs.Config                   `yaml:"certificates"`

	Sentinel    string `yaml:"sentinel"`
	AuthJWT     string `yaml:"auth_jwt"`
	SystemCreds string `yaml:"system_creds"`
	CA          string `yaml:"ca"`

	Audit    *Audit `yaml:"audit"`
	Metrics  string `yaml:"metrics"`
	LogLevel string `yaml:"log_level"`
	Queue    string `yaml:"queue"`
	InFlight int    `yaml:"in_flight"`
}

// Parse reads a YAML file's text. A field that there is not is refused, with its line; names
// of files are relative to the folder of path.
func Parse(path string, text []byte) (*Config, error) {
	var d document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Malformed, "%s: the configuration is empty", path)
	} else if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "%s: %s", path, yamlSentence(err))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Malformed, "%s: there is something behind the configuration; one document is wanted", path)
	}
	return d.config(path), nil
}

func (d *document) config(path string) *Config {
	dir := filepath.Dir(path)
	c := &Config{
		NATS: d.NATS, Creds: d.Creds, Issuer: d.Issuer, XKey: d.XKey, Users: d.Users, OIDC: d.OIDC,
		Certificates: d.Certificates, Sentinel: d.Sentinel, AuthJWT: d.AuthJWT, SystemCreds: d.SystemCreds, CA: d.CA,
		Audit: d.Audit, Metrics: d.Metrics, LogLevel: d.LogLevel, Queue: d.Queue, InFlight: d.InFlight, File: path,
	}
	for _, name := range slices.Sorted(maps.Keys(d.Accounts)) {
		account := d.Accounts[name]
		account.Name = name
		beside(dir, &account.Key)
		c.Accounts = append(c.Accounts, account)
	}
	beside(dir, &c.Creds, &c.Issuer, &c.XKey, &c.Users, &c.Sentinel, &c.AuthJWT, &c.SystemCreds, &c.CA)
	for i := range c.OIDC {
		beside(dir, &c.OIDC[i].CAFile)
	}
	if len(d.Roles) > 0 {
		c.Roles = make(map[string]policy.Role, len(d.Roles))
	}
	for name, role := range d.Roles {
		c.Roles[name] = role.value
	}
	if c.Audit != nil {
		beside(dir, &c.Audit.Creds, &c.Audit.File, &c.Audit.AccountJWT)
	}
	if c.Certificates != nil {
		for i := range c.Certificates.CAs {
			beside(dir, &c.Certificates.CAs[i])
		}
	}
	return c
}

var (
	unknownField = regexp.MustCompile(`^line (\d+): field (\S+) not found in type (\S+)$`)
	quotedValue  = regexp.MustCompile("`[^`]*`")
	wrongYAML    = regexp.MustCompile("^line (\\d+): cannot unmarshal !!(\\w+)(?: `.*`)? into (.+)$")
	wrongJSON    = regexp.MustCompile(`^(.*?)cannot unmarshal (\w+) into Go (?:struct field \w+\.(\S+)|value) of type (\S+)$`)
)

// yamlSentence puts the library's first complaint into words. What it repeats of the file
// may be a secret that is there by mistake, so it is left out.
func yamlSentence(err error) string {
	var types *yaml.TypeError
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if errors.As(err, &types) && len(types.Errors) > 0 {
		text = types.Errors[0]
	}
	if parts := unknownField.FindStringSubmatch(text); parts != nil {
		if holdsSeed(parts[2]) {
			return "line " + parts[1] + ": a secret stands where the name of a field belongs"
		}
		return fmt.Sprintf("line %s: there is no field %q; see docs/operations.md for those that there are", parts[1], parts[2])
	}
	text = strings.Join(strings.Fields(text), " ")
	if parts := wrongYAML.FindStringSubmatch(text); parts != nil {
		return "line " + parts[1] + ": " + otherKind(parts[2], parts[3])
	}
	text = quotedValue.ReplaceAllString(text, "this value")
	if holdsSeed(text) {
		return "a secret stands where none belongs"
	}
	return strings.ReplaceAll(text, "cannot unmarshal", "this cannot stand here:")
}

// otherKind says that a value is of one kind, as YAML or JSON call it, and that a Go type
// wants another.
func otherKind(kind, wanted string) string {
	names := map[string]string{
		"str": "a text", "string": "a text", "int": "a number", "float": "a number", "number": "a number",
		"bool": "true or false", "seq": "a list", "array": "a list", "map": "a group of fields", "object": "a group of fields",
	}
	name := names[kind]
	if name == "" {
		name = "this"
	}
	switch {
	case wanted == "string":
		wanted = "a text"
	case wanted == "bool":
		wanted = "true or false"
	case strings.HasPrefix(wanted, "int"), strings.HasPrefix(wanted, "uint"), strings.HasPrefix(wanted, "float"):
		wanted = "a number"
	case strings.HasPrefix(wanted, "[]"), strings.HasSuffix(wanted, ".List"):
		wanted = "a list"
	default:
		wanted = "a group of fields"
	}
	return name + " stands where " + wanted + " belongs"
}

// fromVariables reads the environment's part of a configuration.
func fromVariables(env func(string) string) (*Config, error) {
	get := func(name string) string { return env(Variable + name) }
	c := &Config{
		NATS: commas(get("NATS")), Creds: get("CREDS"), Issuer: get("ISSUER"), XKey: get("XKEY"), Users: get("USERS"),
		Sentinel: get("SENTINEL"), AuthJWT: get("AUTH_JWT"), SystemCreds: get("SYSTEM_CREDS"), CA: get("CA"),
		Metrics: get("METRICS"), LogLevel: get("LOG_LEVEL"), Queue: get("QUEUE"),
	}
	for _, text := range strings.FieldsFunc(get("ACCOUNTS"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		account, err := ParseAccount(text)
		if err != nil {
			return nil, fault.Wrap(fault.Malformed, err, "$%sACCOUNTS: %s", Variable, err)
		}
		c.Accounts = append(c.Accounts, account)
	}
	if text := get("IN_FLIGHT"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			return nil, fault.New(fault.Malformed, "$%sIN_FLIGHT is %.40q; it is a number from 1 to %d", Variable, text, maxInFlight)
		}
		c.InFlight = number
	}
	return c, nil
}

// commas takes a list apart.
func commas(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// overlay puts what other says over c.
func (c *Config) overlay(other *Config) {
	for _, field := range []struct{ to, from *string }{
		{&c.Creds, &other.Creds},
		{&c.Issuer, &other.Issuer},
		{&c.XKey, &other.XKey},
		{&c.Users, &other.Users},
		{&c.Sentinel, &other.Sentinel},
		{&c.AuthJWT, &other.AuthJWT},
		{&c.SystemCreds, &other.SystemCreds},
		{&c.CA, &other.CA},
		{&c.Metrics, &other.Metrics},
		{&c.LogLevel, &other.LogLevel},
		{&c.Queue, &other.Queue},
	} {
		if *field.from != "" {
			*field.to = *field.from
		}
	}
	if len(other.NATS) > 0 {
		c.NATS = other.NATS
	}
	if len(other.Accounts) > 0 {
		c.Accounts = other.Accounts
	}
	if other.InFlight != 0 {
		c.InFlight = other.InFlight
	}
}

// secretText is the text of a key file, or of the variable that stands in its place.
func (s Source) secretText(file string) ([]byte, error) {
	name, variable := strings.CutPrefix(file, fromEnvironment)
	if !variable {
		return keyfile.Read(file)
	}
	if holdsSeed(name) {
		return nil, fault.New(fault.Refused, "behind env: stands a secret, and not the name of a variable with one")
	}
	text := s.Env(name)
	if text == "" {
		return nil, fault.New(fault.NotFound, "the variable %s, which holds a key, is not set", name)
	}
	return []byte(text), nil
}
