package cli

import (
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
)

func (p *program) share() *cobra.Command {
	var expires life
	c := &cobra.Command{
		Use:   "share NAME HANDLE [--expires 720h]",
		Short: "Share a catalog with somebody",
		Long: "Share one of your catalogs with somebody, who finds it in their inbox. They can read it\n" +
			"while you serve it, until you unshare it or the time is over.",
		Example:           "  keyhall share films bob\n  keyhall share films bob --expires 30d",
		Args:              needs("NAME", "HANDLE"),
		ValidArgsFunction: p.completeCatalog,
	}
	c.Flags().Var(&expires, "expires", "how long it lasts (default for good)")
	c.RunE = p.member(func(k *client.Client, cmd *cobra.Command, args []string) error {
		person, err := k.Share(cmd.Context(), args[0], args[1], time.Duration(expires))
		if err != nil {
			return err
		}
		profile, err := p.profile()
		if err != nil {
			return err
		}
		p.done("%s is shared with %s, who takes it with: keyhall accept %s/%s",
			args[0], person.Handle, profile.Settings.Handle, args[0])
		p.warnUnsure(person)
		return nil
	})
	return c
}

func (p *program) unshare() *cobra.Command {
	return &cobra.Command{
		Use:               "unshare NAME HANDLE",
		Short:             "End a share",
		Long:              "End a share, at once: what is being read stops. What was fetched stays with who has it.",
		Example:           "  keyhall unshare films bob",
		Args:              needs("NAME", "HANDLE"),
		ValidArgsFunction: p.completeCatalog,
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			if err := c.Unshare(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			p.done("%s can read %s no more.", args[1], args[0])
			return nil
		}),
	}
}

func (p *program) shares() *cobra.Command {
	return &cobra.Command{
		Use:     "shares",
		Short:   "List what you share, and with whom",
		Example: "  keyhall shares",
		Args:    needs(),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, _ []string) error {
			shares, err := c.Shares(cmd.Context())
			if err != nil {
				return err
			}
			var t table
			t.row("CATALOG", "WITH", "UNTIL")
			for _, share := range shares {
				if p.json {
					p.out.object(share)
					continue
				}
				t.row(share.Catalog, share.To, until(share.Expires))
			}
			t.print(&p.out)
			return nil
		}),
	}
}
