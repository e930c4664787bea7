package users

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/policy"
	"keyhall.dev/keyhall/internal/fault"
)

// The bounds of a users file.
const (
	maxFile  = 16 << 20 // bytes
	maxUsers = 50_000
	maxCosts = 4  // different costs of hashing: each login pays them all
	maxDepth = 16 // objects in objects
)

// aTime is some time: who may have a role does not depend on it.
var aTime = time.Unix(0, 0)

// openModes are those that let others than the owner and its group read the file, or change it.
const openModes = 0o027

// Load reads a users file. The warnings are sentences about what its author may not want.
// Errors are faults that say which line is wrong and what to do.
func Load(path string, accounts callout.Accounts, roles map[string]policy.Role) (*Backend, []string, error) {
	data, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	return parse(filepath.Base(path), data, accounts, roles)
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, unreadable(path, err)
	case !info.Mode().IsRegular():
		return nil, fault.New(fault.Malformed, "the users file %s is not a file", path)
	case info.Mode().Perm()&openModes != 0 && runtime.GOOS != "windows":
		return nil, fault.New(fault.Refused, "the users file %s is open to other users of this machine (mode %o): "+
			"run chmod 600 on it, and if they are strangers change the passwords in it", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, unreadable(path, err)
	case len(data) > maxFile:
		return nil, fault.New(fault.TooLarge, "the users file %s has more than %d MiB", path, maxFile>>20)
	}
	return data, nil
}

func unreadable(path string, err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fault.Wrap(fault.NotFound, err, "the users file %s cannot be read (%v)", path, err)
}

// parser reads one file.
type parser struct {
	name     string // of the file, for people
	data     []byte
	accounts callout.Accounts
	roles    map[string]policy.Role
	checked  map[string]bool // roles

	plain    []string // users by what is worth a warning
	open     []string
	weak     []string
	warnings []string
}

func parse(name string, data []byte, accounts callout.Accounts, roles map[string]policy.Role) (*Backend, []string, error) {
	p := &parser{name: name, data: data, accounts: accounts, roles: roles, checked: make(map[string]bool)}
	if err := p.wellFormed(); err != nil {
		return nil, nil, err
	}
	members, err := p.members(0, data)
	if err != nil {
		return nil, nil, err
	}
	if inner, wrapped := wrapper(members); wrapped {
		if members, err = p.members(inner.at, inner.value); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case len(members) == 0:
		return nil, nil, fault.New(fault.Malformed, "%s has no users", name)
	case len(members) > maxUsers:
		return nil, nil, fault.New(fault.TooLarge, "%s has %d users, and %d are the most", name, len(members), maxUsers)
	}
	users := make(map[string]user, len(members))
	for _, m := range members {
		u, err := p.user(m)
		if err != nil {
			return nil, nil, err
		}
		users[m.key] = u
	}
	b := newBackend(accounts, users)
	if len(b.costs) > maxCosts {
		return nil, nil, fault.New(fault.TooLarge, "%s has hashes of %d different costs, and each login pays them all: "+
			"%d are the most", name, len(b.costs), maxCosts)
	}
	return b, p.warn(b), nil
}

// failf is the fault of a place in the file.
func (p *parser) failf(at int, format string, args ...any) error {
	return fault.New(fault.Malformed, "%s line %d: %w", p.name, p.line(at), fmt.Errorf(format, args...))
}

func (p *parser) line(at int) int {
	return 1 + bytes.Count(p.data[:min(max(at, 0), len(p.data))], []byte("\n"))
}

// wellFormed holds that the file is one JSON value, in which no object names a thing twice:
// readers differ in which of the two they take.
func (p *parser) wellFormed() error {
	if !utf8.Valid(p.data) {
		return fault.New(fault.Malformed, "%s is not UTF-8", p.name)
	}
	var all json.RawMessage
	if err := json.Unmarshal(p.data, &all); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return p.failf(int(syntax.Offset), "it is not JSON: %w", err)
		}
		return fault.Wrap(fault.Malformed, err, "%s is not JSON: %v", p.name, err)
	}
	return nil
}

// member is one member of an object.
type member struct {
	key   string
	value json.RawMessage
	at    int // byte of the file where the value begins
}

// members are those of the object that begins at a byte of the file.
func (p *parser) members(at int, object json.RawMessage) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, p.failf(at, `want an object of users, like {"alice": {"pass": …, "account": …}}`)
	}
	var members []member
	seen := make(map[string]bool)
	for decoder.More() {
		token, err := decoder.Token()
		key, isText := token.(string)
		if err != nil || !isText {
			return nil, p.failf(at+int(decoder.InputOffset()), "it is not JSON")
		}
		m := member{key: key}
		if err := decoder.Decode(&m.value); err != nil {
			return nil, p.failf(at+int(decoder.InputOffset()), "it is not JSON")
		}
		m.at = at + int(decoder.InputOffset()) - len(m.value)
		if seen[key] {
			return nil, p.failf(m.at, "%q is there twice", shown(key))
		}
		seen[key] = true
		members = append(members, m)
	}
	return members, nil
}

// wrapper is the one member called users, unless it is a user of that name.
func wrapper(members []member) (member, bool) {
	if len(members) != 1 || members[0].key != "users" {
		return member{}, false
	}
	var entry struct{ Pass json.RawMessage }
	err := json.Unmarshal(members[0].value, &entry)
	return members[0], err != nil || !bytes.HasPrefix(entry.Pass, []byte(`"`))
}

// entry is what a user has in the file.
type entry struct {
	Pass        string              `json:"pass"`
	Role        string              `json:"role"`
	Account     string              `json:"account"`
	Permissions *policy.Permissions `json:"permissions"`
	Life        policy.Duration     `json:"life"`
	Inbox       string              `json:"inbox"`
	Tags        policy.List         `json:"tags"`
}

func (p *parser) user(m member) (user, error) {
	if err := checkName(m.key); err != nil {
		return user{}, p.failf(m.at, "%q cannot be the name of a user: %w", shown(m.key), err)
	}
	fail := func(format string, args ...any) (user, error) {
		return user{}, p.failf(m.at, "%s: %w", m.key, fmt.Errorf(format, args...))
	}
	e, err := p.entry(m)
	if err != nil {
		return fail("%w", err)
	}
	u := user{person: policy.Person{Name: m.key, Rule: fmt.Sprintf("line %d of %s", p.line(m.at), p.name)}}
	if err := p.password(&u, e.Pass); err != nil {
		return fail("pass: %w", err)
	}
	if u.role, err = p.role(&u, e); err != nil {
		return fail("%w", err)
	}
	// What a name cannot be in its role, it would be at every login.
	grant, err := u.role.Grant(p.accounts, u.person, aTime)
	if err != nil {
		return fail("%w", err)
	}
	if u.role.Permissions == nil && !grant.Scoped {
		p.open = append(p.open, m.key)
	}
	return u, nil
}

// entry decodes one, and refuses what it does not know.
func (p *parser) entry(m member) (entry, error) {
	var e entry
	if err := noDoubles(m.value, maxDepth); err != nil {
		return e, err
	}
	decoder := json.NewDecoder(bytes.NewReader(m.value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		text := strings.TrimPrefix(err.Error(), "json: ")
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) { // its own text names types of Go, and may show the password
			text = fmt.Sprintf("%s is a %s, and cannot be one", kind.Field, kind.Value)
			if kind.Field == "" {
				text = fmt.Sprintf("want an object, not a %s", kind.Value)
			}
		}
		return e, errors.New(text)
	}
	return e, nil
}

// noDoubles refuses objects that name a field twice, in whatever letters: one is not read.
func noDoubles(value json.RawMessage, depth int) error {
	value = bytes.TrimSpace(value)
	if depth == 0 {
		return errors.New("objects within objects within objects")
	}
	if !bytes.HasPrefix(value, []byte("{")) {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	_, _ = decoder.Token()
	seen := make(map[string]bool)
	for decoder.More() {
		token, err := decoder.Token()
		key, _ := token.(string)
		var inner json.RawMessage
		if err = errors.Join(err, decoder.Decode(&inner)); err != nil {
			return err
		}
		if folded := strings.ToLower(key); seen[folded] {
			return fmt.Errorf("%q is there twice", shown(key))
		} else {
			seen[folded] = true
		}
		if err := noDoubles(inner, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// password takes a hash, or a password as it is.
func (p *parser) password(u *user, pass string) error {
	switch {
	case pass == "":
		return errors.New("it is missing")
	case strings.HasPrefix(pass, "$argon2"):
		h, err := parseHash(pass)
		if err != nil {
			return err
		}
		u.hash = &h
		if h.cost.weak() {
			p.weak = append(p.weak, u.person.Name)
		}
		return nil
	case strings.HasPrefix(pass, "$2"):
		return errors.New("bcrypt is not read here; keyhall callout passwd makes the argon2id hash of a password")
	case len(pass) > maxPassword:
		return fmt.Errorf("a password has at most %d bytes", maxPassword)
	case looksBearer(callout.Secret(pass)):
		return errors.New("it looks like a bearer token, which no login with a password can be")
	}
	u.plain = sha256.Sum256([]byte(pass))
	p.plain = append(p.plain, u.person.Name)
	return nil
}

// role is the one that the entry names, or the one that it is.
func (p *parser) role(u *user, e entry) (policy.Role, error) {
	if e.Role == "" {
		role := policy.Role{Account: e.Account, Permissions: e.Permissions, Life: e.Life, Inbox: e.Inbox, Tags: e.Tags}
		if e.Account == "" {
			return role, errors.New("it has neither an account nor a role")
		}
		if err := role.Check(p.accounts); err != nil {
			return role, err
		}
		p.warnings = append(p.warnings, role.Warnings(u.person.Name)...)
		return role, nil
	}
	role, known := p.roles[e.Role]
	switch {
	case e.Account != "" || e.Permissions != nil || e.Life != 0 || e.Inbox != "" || e.Tags != nil:
		return role, fmt.Errorf("with the role %q it has nothing else but pass", e.Role)
	case !known:
		return role, fmt.Errorf("there is no role %q", e.Role)
	case !p.checked[e.Role]:
		if err := role.Check(p.accounts); err != nil {
			return role, fmt.Errorf("role %s: %w", e.Role, err)
		}
		p.checked[e.Role] = true
		p.warnings = append(p.warnings, role.Warnings("role "+e.Role)...)
	}
	u.person.Rule += ", role " + e.Role
	return role, nil
}

// checkName takes a name that is one line of text, and reads as what it is.
func checkName(name string) error {
	switch {
	case callout.CheckText(name) != nil || !oneLine(name):
		return errors.New("it is not one line of text of 1 to 256 bytes")
	case strings.TrimSpace(name) != name:
		return errors.New("it has spaces around it")
	}
	return nil
}

// oneLine reports whether a text is all there is to see of it.
func oneLine(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' '
	})
}

func shown(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

func (p *parser) warn(b *Backend) []string {
	add := func(names []string, one, several string) {
		switch {
		case len(names) == 1:
			p.warnings = append(p.warnings, fmt.Sprintf(one, names[0], p.name))
		case len(names) > 1:
			p.warnings = append(p.warnings, fmt.Sprintf(several, listed(names), p.name))
		}
	}
	const remedy = "; keyhall callout passwd makes the hash that belongs in its place"
	add(p.plain, "the password of %s stands in %s as it is"+remedy, "the passwords of %s stand in %s as they are"+remedy)
	add(p.weak, "the hash of %s in %s is a cheap one, and soon guessed"+remedy, "the hashes of %s in %s are cheap ones, and soon guessed"+remedy)
	const all = " may do everything in their account, and hear everybody's inbox there, for %s gives no permissions"
	add(p.open, "%s"+all, "%s"+all)
	if len(b.costs) > 1 {
		p.warnings = append(p.warnings, fmt.Sprintf("%s has hashes of %d different costs, and each login pays them all; "+
			"keyhall callout passwd makes hashes of one", p.name, len(b.costs)))
	}
	return p.warnings
}

// listed names a few.
func listed(names []string) string {
	const most = 5
	names = slices.Sorted(slices.Values(names))
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
