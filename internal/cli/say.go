package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
)

func (p *program) say() *cobra.Command {
	return &cobra.Command{
		Use:     "say ROOM TEXT...",
		Short:   "Say something in a room",
		Example: "  keyhall say general \"hello, everybody\"\n  keyhall say general -- --help is not a flag here",
		Args:    needs("ROOM", "TEXT..."),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			message, err := c.Say(cmd.Context(), args[0], strings.Join(args[1:], " "))
			if err != nil {
				return err
			}
			if p.json {
				p.out.object(message)
			}
			return nil
		}),
	}
}
