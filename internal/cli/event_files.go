package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/event"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
	"keyhall.dev/keyhall/trust"
)

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
	file, err := keyfile.ReadCreds(path)
	if err != nil {
		return nil, err
	}
	c := &credentials{path: path, text: file.Text, token: file.Token, claims: file.Claims}
	if c.key, err = trust.ParseSeed(trust.Device, file.Seed); err != nil {
		return nil, fault.New(fault.Malformed, "%s is no creds file: its seed cannot be read", path)
	}
	return c, nil
}

// account is the account (A…) that issued the credentials.
func (c *credentials) account() string { return keyfile.Issuer(c.claims) }

// readSeed reads a file with a seed alone, as nk and nsc write them.
func readSeed(path, what string) ([]byte, error) {
	text, err := keyfile.Read(path)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); keyfile.IsSeed(string(line)) {
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
	text, err := keyfile.Read(path)
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
	if keyfile.IsSeed(text) {
		return 0, wrong(c, "--%s takes a public key (%s), and this is a secret: whoever saw it can use it", flag, list(names, "or"))
	}
	return 0, wrong(c, "--%s takes a public key (%s), and %.60q is none", flag, list(names, "or"), text)
}

// xkeys checks the texts of public xkeys.
func xkeys(c *cobra.Command, flag string, texts []string) error {
	for _, text := range texts {
		switch {
		case trust.CheckXKey(text) == nil:
		case keyfile.IsSeed(text):
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
