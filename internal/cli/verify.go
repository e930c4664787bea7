package cli

import (
	"bufio"
	"strings"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

// verified is what verify prints with --json.
type verified struct {
	Handle   string `json:"handle"`
	Account  string `json:"account"`
	Words    string `json:"words"`
	Verified bool   `json:"verified"` // now, or by an earlier comparison
}

func (p *program) verify() *cobra.Command {
	var words string
	var show bool
	c := &cobra.Command{
		Use:   "verify HANDLE [--show | --words \"WORDS\"]",
		Short: "Compare fingerprint words with somebody",
		Long: "Show the eight words that you and the other have in common, and note when they are the\n" +
			"same. Let them run keyhall verify with your handle at the same time, and read the words\n" +
			"to each other by a way on which you know each other: face to face, or on the phone.\n" +
			"The same words mean that nobody stands between you, the hub included.",
		Example: "  keyhall verify bob\n" +
			"  keyhall verify bob --show\n" +
			"  keyhall verify bob --words \"legal winner thank year wave sausage worth useful\"",
		Args: needs("HANDLE"),
	}
	c.Flags().StringVar(&words, "words", "", "the words that the other read to you; nothing is asked then")
	c.Flags().BoolVar(&show, "show", false, "show the words and ask nothing")
	c.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case show && words != "":
			return wrong(cmd, "--show asks and compares nothing; leave it out, or --words")
		case !show && words == "" && (p.json || !isTerminal(p.sys.In)):
			return wrong(cmd, "there is nobody to ask here; give --words or --show")
		}
		return nil
	}
	c.RunE = p.member(func(k *client.Client, cmd *cobra.Command, args []string) error {
		person, ours, err := k.Words(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if person.Known == client.Self {
			return fault.New(fault.Malformed, "that is you; verify is for comparing with others")
		}
		same, err := p.compare(person, ours, words, show)
		if err != nil {
			return err
		}
		if same {
			if err := k.MarkVerified(cmd.Context(), person); err != nil {
				return err
			}
			p.done("%s is verified.", person.Handle)
		}
		if p.json {
			p.out.object(verified{person.Handle, person.Account, ours, same || person.Known == client.Verified})
		}
		return nil
	})
	return c
}

// compare finds out whether the words are the same: from --words, or by asking. With show
// it asks nothing, and the answer is no.
func (p *program) compare(person *client.Person, ours, theirs string, show bool) (bool, error) {
	if theirs != "" {
		if !sameWords(ours, theirs) {
			return false, fault.New(fault.Refused, "the words are not the same: check for a slip, and if there is none, "+
				"do not trust that %s is who you think", person.Handle)
		}
		return true, nil
	}
	p.done("You and %s:", person.Handle)
	p.done("")
	p.done("  %s", ours)
	p.done("")
	if show {
		return false, nil
	}
	p.err.prompt("Does %s see the same words? [y/N]", person.Handle)
	answer, _ := bufio.NewReader(p.sys.In).ReadString('\n') // no answer is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	p.done("Nothing was noted.")
	return false, nil
}

func sameWords(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}
