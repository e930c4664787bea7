package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

const (
	recoveryVariable = "KEYHALL_RECOVERY"
	asked            = "asked" // what --recover holds when it came without a value
)

func (p *program) recovery() *cobra.Command {
	return &cobra.Command{
		Use:   "recovery",
		Short: "Make a code that brings you back if your folder is lost",
		Long: "Make a recovery code, and leave a backup of your keys at the hub that only this code\n" +
			"opens. Write the code down and keep it where you would keep a passport: it is shown\n" +
			"once, and whoever has it is you. A new code makes the one before it void.\n\n" +
			"Run it again when you have added catalogs: the backup holds their names and folders.\n" +
			"keyhall join HUB_URL --recover uses the code, on a new machine.",
		Example: "  keyhall recovery",
		Args:    needs(),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, _ []string) error {
			made, err := c.MakeRecovery(cmd.Context())
			if err != nil {
				return err
			}
			p.showRecovery(made)
			return nil
		}),
	}
}

// showRecovery prints the code alone on standard output, and what to do with it beside.
func (p *program) showRecovery(made *client.RecoveryCode) {
	if p.json {
		p.out.object(made)
		return
	}
	p.out.line("%s", made.Code)
	if !made.Replaced.IsZero() {
		p.warn("the code of %s does not work any more", moment(made.Replaced))
	}
	if p.onTerminal() {
		p.err.line("Write it down now: it is shown once. Whoever has it is you.")
		p.err.line("On a new machine: keyhall join HUB_URL --recover")
	}
}

// recovered is what join --recover prints with --json.
type recovered struct {
	client.Whoami
	client.Recovered
}

// withoutDash takes the "-" of "--recover -" from the arguments: a flag that may come
// without a value takes none that stands apart.
func withoutDash(args []string) (rest []string, found bool) {
	at := slices.Index(args, "-")
	if at < 0 {
		return args, false
	}
	return slices.Concat(args[:at], args[at+1:]), true
}

// comeBack is join with --recover: args are HUB_URL and, for standard input, "-".
func (p *program) comeBack(cmd *cobra.Command, args []string, how string, r *client.JoinRequest) error {
	args, dash := withoutDash(args)
	if dash {
		how = "-"
	}
	switch {
	case r.Invite != "" || r.Handle != "":
		return wrong(cmd, "who comes back needs no --invite and no --handle")
	case how != asked && how != "-":
		return wrong(cmd, "a code on the command line is seen by everybody on this machine; use --recover - or %s", recoveryVariable)
	}
	code, err := p.recoveryCode(cmd, how)
	if err != nil {
		return err
	}
	dir, err := p.homeDir()
	if err != nil {
		return err
	}
	address, _ := splitLink(args[0])
	back, err := client.Recover(cmd.Context(), dir, client.RecoverRequest{URL: address, Code: code, Device: r.Device})
	if err != nil {
		return err
	}
	return p.welcomeBack(back)
}

// recoveryCode reads the code from standard input, the environment, or without echo from
// the terminal.
func (p *program) recoveryCode(cmd *cobra.Command, how string) (string, error) {
	if how == "-" {
		return readLine(p.sys.In, "recovery code")
	}
	if code := p.sys.Env(recoveryVariable); code != "" {
		return code, nil
	}
	file, is := p.terminal()
	if !is {
		return "", wrong(cmd, "there is nobody to ask for the code here; give it with --recover - or %s", recoveryVariable)
	}
	p.err.prompt("Your recovery code (it is not shown):")
	typed, err := term.ReadPassword(int(file.Fd())) //nolint:gosec // a file descriptor fits
	p.err.line("")
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the code could not be read: %v", err)
	}
	return strings.TrimSpace(string(typed)), nil
}

func (p *program) welcomeBack(back *client.Recovered) error {
	who, err := back.Profile.Whoami()
	if err != nil {
		return err
	}
	if p.json {
		p.out.object(recovered{who, *back})
	} else {
		p.tellBack(who, back)
	}
	if len(back.Problems) > 0 {
		for _, problem := range back.Problems {
			p.warn("%s", problem)
		}
		return partly{errors.New("not every room has a new key: the lost device may have the one that is in use")}
	}
	return nil
}

func (p *program) tellBack(who client.Whoami, back *client.Recovered) {
	p.out.line("Welcome back, %s. Your keys are in %s again; your recovery code stays good.", who.Handle, back.Profile.Dir())
	if back.Revoked != "" {
		p.out.line("Your lost device %s is revoked.", back.Revoked)
	}
	if len(back.Devices) > 0 {
		p.out.line("Still good: %s. If one of them is lost too: keyhall device revoke NAME", strings.Join(back.Devices, ", "))
	}
	for _, catalog := range back.Catalogs {
		if catalog.Found {
			p.out.line("Catalog %s is in %s again.", catalog.Name, catalog.Dir)
		} else {
			p.out.line("Catalog %s waits for its folder: keyhall catalog add %s DIR", catalog.Name, catalog.Name)
		}
	}
}
