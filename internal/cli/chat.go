package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
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
			rooms, err := c.Rooms(cmd.Context())
			if err != nil {
				return err
			}
			room, err := chooseRoom(cmd, rooms, strings.Join(args, ""))
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

// chooseRoom is the room with a name or an id, or the only one there is to choose.
func chooseRoom(cmd *cobra.Command, rooms []client.Room, wanted string) (*client.Room, error) {
	name, _ := trust.Name(wanted) // what is no name may be an id
	var found []*client.Room
	var names []string
	for i, room := range rooms {
		mine := wanted == "" && room.Role != ""
		if mine || (wanted != "" && (room.ID == wanted || room.Room == name)) {
			found = append(found, &rooms[i])
			names = append(names, room.Room)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && wanted == "":
		return nil, fault.New(fault.NotFound, "you are in no room yet; keyhall room create makes one")
	case len(found) == 0:
		return nil, fault.New(fault.NotFound, "you are in no room called %q; keyhall room list shows yours", wanted)
	case wanted == "":
		return nil, wrong(cmd, "you are in several rooms: name one of %s", list(names, "or"))
	}
	return nil, fault.New(fault.Malformed, "there are several rooms called %q; name one by its id (keyhall room list --json)", wanted)
}
