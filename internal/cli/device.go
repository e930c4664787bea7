package cli

import (
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
)

func (p *program) device() *cobra.Command {
	c := group(&cobra.Command{
		Use:     "device",
		Short:   "Your devices: list, link, revoke",
		Example: "  keyhall device list\n  keyhall device link\n  keyhall device revoke phone",
	})
	c.AddCommand(p.deviceList(), p.deviceLink(), p.deviceRevoke())
	return c
}

func (p *program) deviceList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List your devices",
		Example: "  keyhall device list",
		Args:    needs(),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, _ []string) error {
			devices, err := c.Devices(cmd.Context())
			if err != nil {
				return err
			}
			var t table
			t.row("DEVICE", "STATE", "GOOD UNTIL", "KEY")
			for _, d := range devices {
				if p.json {
					d.Expires = d.Expires.UTC()
					p.out.object(d)
					continue
				}
				state := "active"
				if d.Revoked {
					state = "revoked"
				} else if d.This {
					state = "this one"
				}
				t.row(d.Name, state, until(d.Expires), d.Key)
			}
			t.print(&p.out)
			return nil
		}),
	}
}

func (p *program) deviceRevoke() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke DEVICE",
		Short:   "End one of your other devices",
		Long:    "End one of your other devices: it is logged out, and what it signs counts no more.",
		Example: "  keyhall device revoke phone",
		Args:    needs("DEVICE"),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			if err := c.RevokeDevice(cmd.Context(), args[0]); err != nil {
				return err
			}
			p.done("%s is revoked.", args[0])
			return nil
		}),
	}
}
