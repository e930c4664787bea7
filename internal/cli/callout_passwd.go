package cli

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"keyhall.dev/keyhall/internal/callout/backend/users"
	"keyhall.dev/keyhall/internal/fault"
)

const maxPasswordLine = 64 << 10 // bytes

// passwordHash is what passwd prints with --json.
type passwordHash struct {
	User string `json:"user,omitempty"`
	Pass string `json:"pass"`
}

func (p *program) calloutPasswd() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use:   "passwd [--user NAME]",
		Short: "Turn a password into what stands in the users file",
		Long: "Read a password, from the terminal without showing it or from standard input, and\n" +
			"print its argon2id hash for the field pass of a users file; with --user, a line for\n" +
			"that file. The password itself is kept nowhere.",
		Example: "  keyhall callout passwd\n" +
			"  keyhall callout passwd --user alice < password.txt",
		Args: needs(),
	}
	c.Flags().StringVar(&user, "user", "", "print a line of a users file for this user")
	c.RunE = func(*cobra.Command, []string) error {
		password, err := p.newPassword()
		if err != nil {
			return err
		}
		hash, err := users.Hash(password)
		switch {
		case err != nil:
			return err
		case p.json:
			p.out.object(passwordHash{user, hash})
		case user == "":
			p.out.line("%s", hash)
		default:
			name, err := json.Marshal(user)
			if err != nil {
				return err
			}
			p.out.line(`%s: {"pass": "%s", "account": "NAME-OF-ACCOUNT"}`, name, hash)
		}
		return nil
	}
	return c
}

// newPassword reads a password twice from the terminal, or once from standard input.
func (p *program) newPassword() (string, error) {
	file, is := p.terminal()
	if !is {
		return firstLine(p.sys.In)
	}
	password, err := p.hidden(file, "Password (it is not shown):")
	if err != nil {
		return "", err
	}
	again, err := p.hidden(file, "The same once more:")
	if err != nil {
		return "", err
	}
	if password != again {
		return "", fault.New(fault.Refused, "the two are not the same; nothing was made of them")
	}
	return password, nil
}

// firstLine reads a password from a file or a pipe: spaces are part of it, the end of the line
// is not.
func firstLine(in io.Reader) (string, error) {
	text, err := readAll(in, maxPasswordLine)
	if errors.Is(err, errTooMuch) {
		return "", fault.New(fault.TooLarge, "standard input has more than a password")
	}
	line, rest, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case err != nil:
		return "", err
	case line == "":
		return "", fault.New(fault.Malformed, "there is no password on standard input")
	case strings.TrimSpace(rest) != "":
		return "", fault.New(fault.Malformed, "standard input has several lines, and a password is one")
	}
	return line, nil
}

func (p *program) hidden(file *os.File, question string) (string, error) {
	p.err.prompt("%s", question)
	typed, err := term.ReadPassword(int(file.Fd())) //nolint:gosec // a file descriptor fits
	p.err.line("")
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the password could not be read: %v", err)
	}
	return strings.TrimSuffix(string(typed), "\r"), nil
}
