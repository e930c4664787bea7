package cli

import (
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

const chatBacklog = 20

func (p *program) chat() *cobra.Command {
	return &cobra.Command{
		Use:   "chat [ROOM]",
		Short: "Talk in a room",
		Long: "Show a room's last messages, then those that come, and send each line that is typed,\n" +
			"until Ctrl-D or Ctrl-C. ROOM may be left out by who is in one room only. It works in\n" +
			"a pipe too.",
		Example: "  keyhall chat general\n  uptime | keyhall chat general",
		Args:    needs("[ROOM]"),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			room, err := chooseRoom(cmd, c, args)
			if err != nil {
				return err
			}
			session, err := c.Enter(cmd.Context(), chatBacklog, room.ID)
			if err != nil {
				return err
			}
			defer session.Close()
			if isTerminal(p.sys.In) && !p.json {
				p.err.line("You are in %s. Each line you type is said; Ctrl-D ends.", room.Room)
			}
			t := &talk{p: p, session: session, room: room, lines: make(chan string), away: make(map[uint64]bool)}
			return t.run(cmd.Context())
		}),
	}
}

// chooseRoom is the room that is named, or the only one there is to choose.
func chooseRoom(cmd *cobra.Command, c *client.Client, args []string) (*client.Room, error) {
	if len(args) == 1 {
		return c.FindRoom(cmd.Context(), args[0])
	}
	rooms, err := c.Rooms(cmd.Context())
	if err != nil {
		return nil, err
	}
	var mine []*client.Room
	var names []string
	for i, room := range rooms {
		if room.Role != "" {
			mine, names = append(mine, &rooms[i]), append(names, room.Room)
		}
	}
	switch len(mine) {
	case 0:
		return nil, fault.New(fault.NotFound, "you are in no room yet; keyhall room create makes one")
	case 1:
		return mine[0], nil
	}
	return nil, wrong(cmd, "you are in several rooms: name one of %s", list(names, "or"))
}
