package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/hub"
)

func (p *program) invite() *cobra.Command {
	var uses int
	var admin bool
	var data string
	expires := life(24 * time.Hour)
	c := &cobra.Command{
		Use:   "invite [--uses N] [--expires 24h] [--admin] [--data DIR]",
		Short: "Make an invite for somebody new",
		Long: "Make an invite and print its code. Whoever has the code can join in your name, so\n" +
			"hand it over by a way you trust. By the invite you and the newcomer know each\n" +
			"other's keys without believing the hub.\n\n" +
			"With --admin, on the hub's own machine, the invite is the hub's: for its host, who\n" +
			"lost the first one, or is not a member.",
		Example: "  keyhall invite\n" +
			"  keyhall invite --uses 10 --expires 7d\n" +
			"  keyhall invite --admin --data ./data",
		Args: needs(),
	}
	c.Flags().IntVar(&uses, "uses", 1, "how many people it lets in")
	c.Flags().Var(&expires, "expires", "how long it is good for")
	c.Flags().BoolVar(&admin, "admin", false, "as the hub's host, on the hub's machine")
	c.Flags().StringVar(&data, "data", "", "with --admin: the hub's data folder")
	_ = c.MarkFlagDirname("data")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var made *client.Invitation
		var err error
		switch {
		case admin:
			made, err = hostInvite(cmd.Context(), data, uses, time.Duration(expires))
		case data != "":
			return wrong(cmd, "--data goes with --admin")
		default:
			made, err = p.memberInvite(cmd.Context(), uses, time.Duration(expires))
		}
		if err != nil {
			return err
		}
		p.showInvite(made, uses)
		return nil
	}
	return c
}

func (p *program) memberInvite(ctx context.Context, uses int, life time.Duration) (*client.Invitation, error) {
	c, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Invite(ctx, uses, life)
}

func hostInvite(ctx context.Context, data string, uses int, life time.Duration) (*client.Invitation, error) {
	if data == "" {
		var err error
		if data, err = defaultData(); err != nil {
			return nil, err
		}
	}
	machine, err := hub.OpenOnMachine(ctx, data)
	if err != nil {
		return nil, err
	}
	defer machine.Close()
	code, expires, err := machine.Invite(ctx, uses, life)
	if err != nil {
		return nil, err
	}
	return &client.Invitation{Code: code, URL: client.InviteURL(machine.Run.HTTP, code), Expires: expires}, nil
}

// showInvite prints the code alone on standard output, so that it can be kept in a file or
// handed to join, and what to do with it beside.
func (p *program) showInvite(made *client.Invitation, uses int) {
	if p.json {
		p.out.object(made)
	} else {
		p.out.line("%s", made.Code)
		if p.onTerminal() {
			p.err.line("For %s, until %s. As a link: %s", count(uses, "person", "people"), moment(made.Expires), made.URL)
			p.err.line("Whoever has it can join: hand it over by a way you trust.")
		}
	}
	if uses > 1 {
		p.warn("an invite for many is weaker: any of them could pass for another; keyhall verify settles who is who")
	}
}
