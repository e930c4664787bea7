package cli

import (
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

const minPassword = 8 // characters

// passwordSet is what password prints with --json.
type passwordSet struct {
	Set time.Time `json:"set,omitzero"` // absent: there is none
}

func (p *program) password() *cobra.Command {
	var file string
	var remove, state bool
	c := &cobra.Command{
		Use:   "password [--password-file FILE | --remove | --state]",
		Short: "Set a password, to sign in by your name in any browser",
		Long: "Set the password with which you sign in to the web app, in a browser that has never seen\n" +
			"you. A backup of your keys goes to the hub, sealed under the password; the hub learns\n" +
			"neither. Run it again after you have added catalogs, or when the password should change.\n\n" +
			"It is asked for twice, without being shown. --password-file reads it from a file that holds\n" +
			"this line alone, or from standard input (-). A host who wants to can try passwords against\n" +
			"the backup at leisure: take one that nobody guesses, of several words.",
		Example: "  keyhall password\n" +
			"  keyhall password --password-file - < password\n" +
			"  keyhall password --remove",
		Args: needs(),
	}
	c.Flags().StringVar(&file, "password-file", "", "the file whose first line is the password, or - for standard input")
	c.Flags().BoolVar(&remove, "remove", false, "take the password away")
	c.Flags().BoolVar(&state, "state", false, "say when it was set, and change nothing")
	c.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if (remove && state) || (file != "" && (remove || state)) {
			return wrong(cmd, "--password-file, --remove and --state are one at a time")
		}
		return nil
	}
	c.RunE = p.member(func(k *client.Client, cmd *cobra.Command, _ []string) error {
		switch {
		case state:
			return p.showPassword(cmd, k)
		case remove:
			if err := k.RemovePassword(cmd.Context()); err != nil {
				return err
			}
			p.done("You have no password any more.")
			return nil
		}
		text, err := p.wantedPassword(file)
		if err != nil {
			return err
		}
		at, err := k.SetPassword(cmd.Context(), text)
		if err != nil {
			return err
		}
		if p.json {
			p.out.object(passwordSet{at.UTC()})
			return nil
		}
		p.out.line("Your password is set. Sign in with it and your name in any browser.")
		return nil
	})
	return c
}

func (p *program) showPassword(cmd *cobra.Command, k *client.Client) error {
	at, err := k.PasswordSet(cmd.Context())
	switch {
	case err != nil:
		return err
	case p.json:
		p.out.object(passwordSet{at})
	case at.IsZero():
		p.out.line("You have no password.")
	default:
		p.out.line("Your password was set at %s.", moment(at))
	}
	return nil
}

// wantedPassword is the password that somebody wants: from a file, a pipe, or asked for twice
// at the terminal.
func (p *program) wantedPassword(file string) (text string, err error) {
	if file == "" || file == "-" {
		text, err = p.newPassword()
	} else {
		text, err = passwordIn(file)
	}
	if err == nil && utf8.RuneCountInString(text) < minPassword {
		err = fault.New(fault.Malformed, "a password has %d characters at least; take several words", minPassword)
	}
	return text, err
}

func passwordIn(path string) (string, error) {
	opened, err := os.Open(path)
	if err != nil {
		return "", fault.Wrap(fault.NotFound, err, "the file %s cannot be read", path)
	}
	defer opened.Close() //nolint:errcheck // only read
	return firstLine(opened)
}
