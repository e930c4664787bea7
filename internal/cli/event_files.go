package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

const maxKeyFile = 256 << 10

// credentials are what a creds file holds: a user's token and seed.
type credentials struct {
	path   string
	text   []byte
	token  string
	claims *jwt.UserClaims
	key    *trust.KeyPair
}

// options log a connection in. c may be nil.
func (c *credentials) options() []nats.Option {
	if c == nil {
		return nil
	}
	options := []nats.Option{nats.UserCredentialBytes(c.text)}
	for _, subject := range c.claims.Sub.Allow {
		// A token that leaves its user one inbox prefix, as a hub's does, has to have it used.
		if prefix, all := strings.CutSuffix(subject, ".>"); all && strings.HasPrefix(prefix, "_INBOX_") {
			return append(options, nats.CustomInboxPrefix(prefix))
		}
	}
	return options
}

// readCreds reads a creds file. Its errors never show what is in it.
func readCreds(path string) (*credentials, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	c := &credentials{path: path, text: text}
	if c.token, err = jwt.ParseDecoratedJWT(text); err == nil {
		c.claims, err = jwt.DecodeUserClaims(c.token)
	}
	if err != nil {
		return nil, fault.New(fault.Malformed, "%s is no creds file: it holds no user's token", path)
	}
	seed, err := nkeys.ParseDecoratedUserNKey(text)
	if err != nil {
		return nil, fault.New(fault.Malformed, "%s is no creds file: it holds no user's seed", path)
	}
	raw, err := seed.Seed()
	if err == nil {
		c.key, err = trust.ParseSeed(trust.Device, raw)
	}
	if err != nil {
		return nil, fault.New(fault.Malformed, "%s is no creds file: its seed cannot be read", path)
	}
	if c.claims.Subject != c.key.String() {
		return nil, fault.New(fault.Malformed, "%s is no creds file: its token is another user's than its seed", path)
	}
	return c, nil
}

// account is the account (A…) that issued the credentials.
func (c *credentials) account() string {
	if c.claims.IssuerAccount != "" {
		return c.claims.IssuerAccount
	}
	return c.claims.Issuer
}

// readKeyFile reads a file with a secret or a token.
func readKeyFile(path string) ([]byte, error) {
	if isSeed(path) {
		return nil, fault.New(fault.Refused, "that is a secret, and not the name of a file with one: on the command line everybody sees it")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
	if err == nil && len(text) == maxKeyFile {
		return nil, fault.New(fault.Malformed, "%s is too large for a file with a key", path)
	}
	return text, err
}

// isSeed reports whether somebody has put a secret where none belongs.
func isSeed(text string) bool {
	_, _, err := nkeys.DecodeSeed([]byte(strings.TrimSpace(text)))
	return err == nil
}

// readSeed reads a file with a seed alone, as nk and nsc write them.
func readSeed(path, what string) ([]byte, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); isSeed(string(line)) {
			return line, nil
		}
	}
	return nil, fault.New(fault.Malformed, "%s does not hold %s", path, what)
}

func readXKey(path string) (*trust.XKey, error) {
	const what = "the seed of an xkey (SX...)"
	seed, err := readSeed(path, what)
	if err != nil {
		return nil, err
	}
	key, err := trust.ParseXKeySeed(seed)
	if err != nil {
		return nil, fault.New(fault.Malformed, "%s does not hold %s", path, what)
	}
	return key, nil
}

func readAccount(path string) (*trust.KeyPair, error) {
	const what = "the seed of an account (SA...)"
	seed, err := readSeed(path, what)
	if err != nil {
		return nil, err
	}
	key, err := trust.ParseSeed(trust.Account, seed)
	if err != nil {
		return nil, fault.New(fault.Malformed, "%s does not hold %s", path, what)
	}
	return key, nil
}

// readToken reads an access token: a user's JWT, an account's behind a space or not, or a
// creds file, whose seed is left alone.
func readToken(path string) (*event.Access, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(string(text))
	if bytes.Contains(text, []byte("-----BEGIN")) {
		if token, err = jwt.ParseDecoratedJWT(text); err != nil {
			return nil, fault.New(fault.Malformed, "%s does not hold an access token", path)
		}
	}
	access, err := event.ParseAccess(token)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "%s: %v", path, err)
	}
	return access, nil
}

// publicKey checks the text of a public key, which stands in a flag.
func publicKey(c *cobra.Command, flag, text string, kinds ...trust.Kind) (trust.Kind, error) {
	for _, kind := range kinds {
		if _, err := trust.ParsePublicKey(kind, text); err == nil {
			return kind, nil
		}
	}
	var names []string
	for _, kind := range kinds {
		names = append(names, string(rune(kind))+"...")
	}
	if isSeed(text) {
		return 0, wrong(c, "--%s takes a public key (%s), and this is a secret: whoever saw it can use it", flag, list(names, "or"))
	}
	return 0, wrong(c, "--%s takes a public key (%s), and %.60q is none", flag, list(names, "or"), text)
}

// xkeys checks the texts of public xkeys.
func xkeys(c *cobra.Command, flag string, texts []string) error {
	for _, text := range texts {
		switch {
		case trust.CheckXKey(text) == nil:
		case isSeed(text):
			return wrong(c, "--%s takes a public xkey (X...), and this is a secret: whoever saw it can use it", flag)
		default:
			return wrong(c, "--%s takes a public xkey (X...), and %.60q is none", flag, text)
		}
	}
	return nil
}

// readAll reads what is to be data: no more than an event holds.
func readAll(in io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(data)) > most {
		err = errTooMuch
	}
	return data, err
}

var errTooMuch = errors.New("more than can be read")
