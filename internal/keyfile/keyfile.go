// Package keyfile reads the files in which the tools of NATS keep keys: seeds as nk and nsc
// write them, bare, decorated or beside their public key, and the creds files of users. Its
// errors name the file and what is wrong with it, and never show what is in it.
package keyfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
)

const maxSize = 256 << 10 // bytes of a file with a key

// Read reads a file with a secret or a token. A secret in the place of a file's name is
// refused and not repeated.
func Read(path string) ([]byte, error) {
	if IsSeed(path) {
		return nil, fault.New(fault.Refused, "that is a secret, and not the name of a file with one: on the command line everybody sees it")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSize))
	if err == nil && len(text) == maxSize {
		return nil, fault.New(fault.Malformed, "%s is too large for a file with a key", path)
	}
	return text, err
}

// IsSeed reports whether a text is a secret key.
func IsSeed(text string) bool {
	_, _, err := nkeys.DecodeSeed([]byte(strings.TrimSpace(text)))
	return err == nil
}

// Creds are what a creds file holds: a user's token and seed.
type Creds struct {
	Text   []byte // of the file
	Token  string
	Claims *jwt.UserClaims
	Seed   []byte
}

// ReadCreds reads a creds file.
func ReadCreds(path string) (*Creds, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	return ParseCreds(path, text)
}

// ParseCreds reads a creds file's text. The name is for errors.
func ParseCreds(name string, text []byte) (*Creds, error) {
	c := &Creds{Text: text}
	var err error
	if c.Token, err = jwt.ParseDecoratedJWT(text); err == nil {
		c.Claims, err = jwt.DecodeUserClaims(c.Token)
	}
	if err != nil {
		return nil, fault.New(fault.Malformed, "%s is no creds file: it holds no user's token", name)
	}
	pair, err := nkeys.ParseDecoratedUserNKey(text)
	if err != nil {
		return nil, fault.New(fault.Malformed, "%s is no creds file: it holds no user's seed", name)
	}
	if c.Seed, err = pair.Seed(); err != nil {
		return nil, fault.New(fault.Malformed, "%s is no creds file: its seed cannot be read", name)
	}
	if public, err := pair.PublicKey(); err != nil || c.Claims.Subject != public {
		return nil, fault.New(fault.Malformed, "%s is no creds file: its token is another user's than its seed", name)
	}
	return c, nil
}

// Account is the account (A…) that issued the credentials.
func (c *Creds) Account() string { return Issuer(c.Claims) }

// Issuer is the account (A…) of a user.
func Issuer(claims *jwt.UserClaims) string {
	if claims.IssuerAccount != "" {
		return claims.IssuerAccount
	}
	return claims.Issuer
}

// kinds are the keys that NATS has, as people are told of them.
var kinds = []struct {
	prefix nkeys.PrefixByte
	name   string
	public string
}{
	{nkeys.PrefixByteAccount, "an account", "A…"},
	{nkeys.PrefixByteCurve, "an xkey", "X…"},
	{nkeys.PrefixByteUser, "a user", "U…"},
	{nkeys.PrefixByteOperator, "an operator", "O…"},
	{nkeys.PrefixByteServer, "a server", "N…"},
	{nkeys.PrefixByteCluster, "a cluster", "C…"},
}

// nameOf is the kind of a key and how it looks.
func nameOf(prefix nkeys.PrefixByte) (name, public string) {
	for _, kind := range kinds {
		if kind.prefix == prefix {
			return kind.name, kind.public
		}
	}
	return "another kind of key", "…"
}

// ReadPair reads the key of a kind from the file with its seed.
func ReadPair(path string, kind nkeys.PrefixByte) (nkeys.KeyPair, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	return ParsePair(path, text, kind)
}

// ParsePair reads the text of a file with a seed: alone, between the lines of a decorated
// file, or before or behind its public key, as the tools print them. The name is for errors.
func ParsePair(name string, text []byte, kind nkeys.PrefixByte) (nkeys.KeyPair, error) {
	var seeds, publics []string
	for word := range strings.FieldsSeq(string(text)) {
		switch {
		case IsSeed(word):
			seeds = append(seeds, word)
		case nkeys.IsValidPublicKey(word):
			publics = append(publics, word)
		}
	}
	what, public := nameOf(kind)
	wanted := "the seed of " + what + " (S" + public + ")"
	switch {
	case len(seeds) > 1:
		return nil, fault.New(fault.Malformed, "%s holds several seeds; a file with %s alone is wanted", name, wanted)
	case len(seeds) == 0:
		return nil, fault.New(fault.Malformed, "%s holds %s, and %s is wanted", name, instead(text, publics), wanted)
	}
	if prefix, _, err := nkeys.DecodeSeed([]byte(seeds[0])); err != nil || prefix != kind {
		other, otherPublic := nameOf(prefix)
		return nil, fault.New(fault.Malformed, "%s holds the seed of %s (S%s), and %s is wanted", name, other, otherPublic, wanted)
	}
	pair, err := fromSeed([]byte(seeds[0]), kind)
	if err != nil {
		return nil, fault.New(fault.Malformed, "%s: its seed cannot be read", name)
	}
	own, err := pair.PublicKey()
	for _, public := range publics {
		if err != nil || public != own {
			return nil, fault.New(fault.Malformed, "%s holds a seed and the public key of another one", name)
		}
	}
	return pair, nil
}

func fromSeed(seed []byte, kind nkeys.PrefixByte) (nkeys.KeyPair, error) {
	if kind == nkeys.PrefixByteCurve {
		return nkeys.FromCurveSeed(seed)
	}
	return nkeys.FromSeed(seed)
}

// instead is what a file without a seed holds, as far as that can be seen.
func instead(text []byte, publics []string) string {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return "nothing"
	case len(publics) > 0:
		what, public := nameOf(nkeys.Prefix(publics[0]))
		return "the public key of " + what + " (" + public + ")"
	case bytes.Contains(text, []byte("eyJ")):
		return "a token (JWT)"
	}
	return "no key"
}

// Sentence is the sentence for people of an error of this package.
func Sentence(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Path + ": " + path.Err.Error()
	}
	return err.Error()
}
