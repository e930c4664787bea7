package script_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rogpeppe/go-internal/testscript"

	"keyhall.dev/keyhall/internal/natstest"
)

// storeVariable is where the stand-in for nsc keeps JWTs.
const storeVariable = "STANDIN_STORE"

// store is the folder of a stand-in.
type store string

// standIn stands in for nsc in the blocks that docs/operations.md shows: it does what those
// few commands do, as nsc's documentation and source have it, with the jwt and nkeys
// libraries that nsc is made of. It is not nsc: that such a block runs here shows that the
// commands, files and keys in it fit together and that the callout takes what they make, not
// that every version of nsc prints the same. What it does not know it refuses.
func standIn() int {
	if err := store(os.Getenv(storeVariable)).do(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "nsc (stand-in):", err)
		return 1
	}
	return 0
}

type standInFlags struct {
	*flag.FlagSet
	account, name, field, deny, curve, users string
	allowed                                  texts
	isCurve, raw, bearer, disable            bool
}

type texts []string

func (t *texts) String() string         { return strings.Join(*t, ",") }
func (t *texts) Set(value string) error { *t = append(*t, value); return nil }

func (s store) do(args []string) error {
	if len(args) < 2 {
		return errors.New("say what to do")
	}
	command, rest := args[0], args[1:]
	if command != "push" {
		command, rest = args[0]+" "+args[1], args[2:]
	}
	f := &standInFlags{FlagSet: flag.NewFlagSet(command, flag.ContinueOnError)}
	f.StringVar(&f.account, "account", "", "")
	f.StringVar(&f.name, "name", "", "")
	f.StringVar(&f.field, "field", "", "")
	f.StringVar(&f.deny, "deny-pubsub", "", "")
	f.StringVar(&f.users, "auth-user", "", "")
	f.Var(&f.allowed, "allowed-account", "")
	f.BoolVar(&f.raw, "raw", false, "")
	f.BoolVar(&f.bearer, "bearer", false, "")
	f.BoolVar(&f.disable, "disable", false, "")
	if command == "generate nkey" {
		f.BoolVar(&f.isCurve, "curve", false, "")
	} else {
		f.StringVar(&f.curve, "curve", "", "")
	}
	if len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		f.name, rest = rest[0], rest[1:]
	}
	if err := f.Parse(rest); err != nil || f.NArg() > 0 {
		return fmt.Errorf("%s: %v %q", command, err, f.Args())
	}
	do := map[string]func(*standInFlags) error{
		"add account": s.addAccount, "add user": s.addUser, "generate nkey": generateKey, "generate creds": s.generateCreds,
		"describe account": s.describeAccount, "describe user": s.describeUser, "edit authcallout": s.editCallout, "push": s.push,
	}[command]
	if do == nil {
		return fmt.Errorf("%s: the stand-in does not know this", command)
	}
	return do(f)
}

func (s store) stored(parts ...string) string {
	return filepath.Join(append([]string{string(s)}, parts...)...)
}

func keep(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}

// keyPath is where nsc keeps the seed of a public key.
func (s store) keyPath(public string) string {
	return s.stored("keys", "keys", public[:1], public[1:3], public+".nk")
}

func (s store) makeKey(create func() (nkeys.KeyPair, error)) (string, error) {
	pair, err := create()
	if err != nil {
		return "", err
	}
	return s.keepKey(pair)
}

func (s store) keepKey(pair nkeys.KeyPair) (string, error) {
	public, err := pair.PublicKey()
	if err != nil {
		return "", err
	}
	seed, err := pair.Seed()
	if err != nil {
		return "", err
	}
	return public, keep(s.keyPath(public), string(seed))
}

func (s store) keyOf(public string) (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(s.keyPath(public))
	if err != nil {
		return nil, err
	}
	return nkeys.FromSeed(seed)
}

func (s store) accountOf(name string) (*jwt.AccountClaims, error) {
	token, err := os.ReadFile(s.stored("accounts", name+".jwt"))
	if err != nil {
		return nil, err
	}
	return jwt.DecodeAccountClaims(string(token))
}

func (s store) keepAccount(claims *jwt.AccountClaims) error {
	operator, err := os.ReadFile(s.stored("operator"))
	if err != nil {
		return err
	}
	pair, err := s.keyOf(string(operator))
	if err != nil {
		return err
	}
	token, err := claims.Encode(pair)
	if err != nil {
		return err
	}
	return keep(s.stored("accounts", claims.Name+".jwt"), token)
}

func (s store) addAccount(f *standInFlags) error {
	public, err := s.makeKey(nkeys.CreateAccount)
	if err != nil {
		return err
	}
	claims := jwt.NewAccountClaims(public)
	claims.Name = f.name
	return s.keepAccount(claims)
}

func (s store) addUser(f *standInFlags) error {
	account, err := s.accountOf(f.account)
	if err != nil {
		return err
	}
	public, err := s.makeKey(nkeys.CreateUser)
	if err != nil {
		return err
	}
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.BearerToken = f.name, f.bearer
	if f.deny != "" {
		claims.Pub.Deny.Add(f.deny)
		claims.Sub.Deny.Add(f.deny)
	}
	pair, err := s.keyOf(account.Subject)
	if err != nil {
		return err
	}
	token, err := claims.Encode(pair)
	if err != nil {
		return err
	}
	return keep(s.stored("users", f.account, f.name+".jwt"), token)
}

// generateKey prints seed and public key, on standard error as some versions do.
func generateKey(f *standInFlags) error {
	if !f.isCurve {
		return errors.New("the stand-in makes curve keys only")
	}
	pair, err := nkeys.CreateCurveKeys()
	if err != nil {
		return err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return err
	}
	seed, err := pair.Seed()
	fmt.Fprintf(os.Stderr, "%s\n%s\n", seed, public)
	return err
}

func (s store) generateCreds(f *standInFlags) error {
	token, err := os.ReadFile(s.stored("users", f.account, f.name+".jwt"))
	if err != nil {
		return err
	}
	claims, err := jwt.DecodeUserClaims(string(token))
	if err != nil {
		return err
	}
	seed, err := os.ReadFile(s.keyPath(claims.Subject))
	if err != nil {
		return err
	}
	creds, err := jwt.FormatUserConfig(string(token), seed)
	fmt.Print(string(creds))
	return err
}

func (s store) describeAccount(f *standInFlags) error {
	claims, err := s.accountOf(f.name)
	if err != nil {
		return err
	}
	switch f.field {
	case "sub":
		fmt.Printf("%q\n", claims.Subject)
	case "nats.signing_keys[0]":
		if len(claims.SigningKeys) == 0 {
			return errors.New("no signing key")
		}
		fmt.Printf("%q\n", claims.SigningKeys.Keys()[0])
	default:
		return fmt.Errorf("no field %q", f.field)
	}
	return nil
}

func (s store) describeUser(f *standInFlags) error {
	token, err := os.ReadFile(s.stored("users", f.account, f.name+".jwt"))
	if err != nil {
		return err
	}
	claims, err := jwt.DecodeUserClaims(string(token))
	switch {
	case err != nil:
		return err
	case f.raw:
		fmt.Println(string(token))
	case f.field == "sub":
		fmt.Printf("%q\n", claims.Subject)
	default:
		return fmt.Errorf("no field %q", f.field)
	}
	return nil
}

func (s store) editCallout(f *standInFlags) error {
	claims, err := s.accountOf(f.account)
	if err != nil {
		return err
	}
	if f.disable {
		claims.Authorization = jwt.ExternalAuthorization{}
		return s.keepAccount(claims)
	}
	if !nkeys.IsValidPublicUserKey(f.users) || !nkeys.IsValidPublicCurveKey(f.curve) {
		return fmt.Errorf("%q or %q is no key", f.users, f.curve)
	}
	claims.Authorization.AuthUsers.Add(f.users)
	claims.Authorization.XKey = f.curve
	for _, account := range f.allowed {
		if !nkeys.IsValidPublicAccountKey(account) {
			return fmt.Errorf("%q is no account", account)
		}
		claims.Authorization.AllowedAccounts.Add(account)
	}
	return s.keepAccount(claims)
}

func (s store) push(f *standInFlags) error {
	token, err := os.ReadFile(s.stored("accounts", f.account+".jwt"))
	if err != nil {
		return err
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.UserCredentials(s.stored("sys.creds")))
	if err != nil {
		return err
	}
	defer nc.Close()
	answer, err := nc.Request("$SYS.REQ.CLAIMS.UPDATE", token, 10*time.Second)
	if err != nil {
		return err
	}
	var said struct {
		Data struct{ Code int }
	}
	if err := json.Unmarshal(answer.Data, &said); err != nil || said.Data.Code != 200 {
		return fmt.Errorf("the servers do not take it: %s", answer.Data)
	}
	return nil
}

// keepStore writes what nsc would have of a company, and has the script's nsc find it.
func keepStore(ts *testscript.TestScript, c *natstest.Company) {
	s := store(stageOf(ts).path("nsc"))
	ts.Setenv(storeVariable, string(s))
	ts.Setenv("NKEYS_PATH", s.stored("keys"))
	operator, err := s.keepKey(c.Operator)
	ts.Check(err)
	ts.Check(keep(s.stored("operator"), operator))
	for _, account := range []*natstest.CompanyAccount{c.APP1, c.APP2} {
		for _, pair := range []nkeys.KeyPair{account.Identity, account.Signer} {
			_, err := s.keepKey(pair)
			ts.Check(err)
		}
		claims := *account.Claims
		claims.SigningKeys = make(jwt.SigningKeys) // but the one that has no template
		claims.SigningKeys.Add(natstest.PublicKey(stageOf(ts).t, account.Signer))
		ts.Check(s.keepAccount(&claims))
	}
	ts.Check(keep(s.stored("sys.creds"), ts.ReadFile(c.Path("sys.creds"))))
}

// docBlock is `docblock NAME FILE`: the fenced block behind the marker of that name in
// docs/operations.md.
func docBlock(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, "docblock")
	need(ts, args, 2, 2, "docblock NAME FILE")
	text, err := os.ReadFile(filepath.Join(repository, "docs", "operations.md"))
	ts.Check(err)
	marker := "<!-- run: " + args[0] + " -->\n```"
	_, rest, found := strings.Cut(string(text), marker)
	_, rest, _ = strings.Cut(rest, "\n") // the language
	block, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		ts.Fatalf("docs/operations.md has no block marked %q", strings.TrimSpace(marker))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(block+"\n"), 0o600))
}

// repository is the top of it, from where the tests run.
var repository = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()
