package cli

import (
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
)

func (p *program) inbox() *cobra.Command {
	return &cobra.Command{
		Use:     "inbox",
		Short:   "List what others share with you",
		Example: "  keyhall inbox\n  keyhall inbox --json",
		Args:    needs(),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, _ []string) error {
			items, err := c.Inbox(cmd.Context())
			if err != nil {
				return err
			}
			var t table
			t.row("CATALOG", "STATE", "UNTIL")
			for _, item := range items {
				if p.json {
					p.out.object(item)
					continue
				}
				t.row(item.From+"/"+item.Catalog, item.State, until(item.Expires))
			}
			t.print(&p.out)
			return nil
		}),
	}
}

func (p *program) accept() *cobra.Command {
	return &cobra.Command{
		Use:     "accept OWNER/NAME",
		Short:   "Take what somebody shares with you",
		Example: "  keyhall accept alice/films",
		Args:    needs("OWNER/NAME"),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			if err := c.Accept(cmd.Context(), args[0]); err != nil {
				return err
			}
			p.done("You can read %s now, while it is served: keyhall ls %s", args[0], args[0])
			return nil
		}),
	}
}

func (p *program) decline() *cobra.Command {
	return &cobra.Command{
		Use:     "decline OWNER/NAME",
		Short:   "Turn down what somebody shares, or give it back",
		Example: "  keyhall decline alice/films",
		Args:    needs("OWNER/NAME"),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			if err := c.Decline(cmd.Context(), args[0]); err != nil {
				return err
			}
			p.done("%s is declined.", args[0])
			return nil
		}),
	}
}
