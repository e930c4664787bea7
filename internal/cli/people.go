package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
)

func (p *program) people() *cobra.Command {
	return &cobra.Command{
		Use:   "people",
		Short: "List the hub's members",
		Long: "List the hub's members and how you know their keys: self, invited (one of you invited\n" +
			"the other), verified (you compared fingerprint words), or introduced (through others\n" +
			"alone; keyhall verify makes it sure). VIA is who invited them, and who invited those.",
		Example: "  keyhall people\n  keyhall people --json | jq -r .handle",
		Args:    needs(),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, _ []string) error {
			people, err := c.People(cmd.Context())
			if err != nil {
				return err
			}
			var t table
			t.row("HANDLE", "KNOWN", "VIA", "ACCOUNT")
			for _, person := range people {
				if p.json {
					p.out.object(person)
					continue
				}
				t.row(person.Handle, person.Known, strings.Join(person.Path, ", "), person.Account)
			}
			t.print(&p.out)
			return nil
		}),
	}
}
