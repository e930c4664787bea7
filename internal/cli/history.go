package cli

import (
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
)

const maxHistory = 500 // that the hub gives at once

func (p *program) history() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:     "history ROOM [--limit N]",
		Short:   "Show what was said last in a room",
		Example: "  keyhall history general\n  keyhall history general --limit 500 --json | jq -r .text",
		Args:    needs("ROOM"),
	}
	c.Flags().IntVar(&limit, "limit", 50, "how many messages at most")
	c.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 || limit > maxHistory {
			return wrong(cmd, "--limit is a number from 1 to %d", maxHistory)
		}
		return nil
	}
	c.RunE = p.member(func(k *client.Client, cmd *cobra.Command, args []string) error {
		messages, skipped, err := k.History(cmd.Context(), args[0], limit)
		if err != nil {
			return err
		}
		for _, message := range messages {
			p.message(message, "2006-01-02 15:04")
		}
		switch len(skipped) {
		case 0:
		case 1:
			p.warn("left out: %v", skipped[0])
		default: // most often all for one reason: they were said before one came
			p.warn("%d messages are left out; the first: %v", len(skipped), skipped[0])
		}
		return nil
	})
	return c
}

// message prints a message of a room, with its time as layout says.
func (p *program) message(m client.Message, layout string) {
	if p.json {
		m.Time = m.Time.UTC()
		p.out.object(m)
		return
	}
	p.out.line("%s %s  %s", m.Time.Local().Format(layout), m.Author, m.Text)
}
