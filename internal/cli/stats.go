package cli

import (
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
)

func (p *program) stats() *cobra.Command {
	return &cobra.Command{
		Use:     "stats",
		Short:   "Show how much a hub holds",
		Example: "  keyhall stats\n  keyhall stats --json",
		Args:    needs(),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, _ []string) error {
			stats, err := c.Stats(cmd.Context())
			if err != nil {
				return err
			}
			if p.json {
				p.out.object(stats)
				return nil
			}
			p.out.line("people   %d", stats.People)
			p.out.line("devices  %d", stats.Devices)
			p.out.line("rooms    %d", stats.Rooms)
			p.out.line("shares   %d", stats.Shares)
			return nil
		}),
	}
}
