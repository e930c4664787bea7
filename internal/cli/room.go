package cli

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
)

func (p *program) room() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "room",
		Short: "Rooms: create, list, members, grant, revoke, leave",
		Example: "  keyhall room create general\n" +
			"  keyhall room grant general bob",
	})
	c.AddCommand(p.roomCreate(), p.roomList(), p.roomMembers(), p.roomGrant(), p.roomRevoke(), p.roomLeave())
	return c
}

func (p *program) roomCreate() *cobra.Command {
	var options client.RoomOptions
	c := &cobra.Command{
		Use:   "create ROOM [--public] [--open]",
		Short: "Make a room",
		Long: "Make a room, with you as its moderator. What is said in it is sealed for its members,\n" +
			"and its name too. --public lists the name to everyone on the hub; --open also lets\n" +
			"everyone in, and then messages are signed, not sealed.",
		Example: "  keyhall room create general\n  keyhall room create square --open",
		Args:    needs("ROOM"),
	}
	c.Flags().BoolVar(&options.Listed, "public", false, "show its name to everyone on the hub")
	c.Flags().BoolVar(&options.Open, "open", false, "let everyone on the hub in; not sealed")
	c.RunE = p.member(func(k *client.Client, cmd *cobra.Command, args []string) error {
		room, err := k.CreateRoom(cmd.Context(), args[0], options)
		if err != nil {
			return err
		}
		if p.json {
			p.out.object(room)
			return nil
		}
		p.out.line("The room %s is there. keyhall room grant %s HANDLE lets somebody in.", room.Room, room.Room)
		return nil
	})
	return c
}

func (p *program) roomList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List your rooms, and those everyone may see",
		Example: "  keyhall room list",
		Args:    needs(),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, _ []string) error {
			rooms, err := c.Rooms(cmd.Context())
			if err != nil {
				return err
			}
			t := table{right: map[int]bool{3: true, 4: true}}
			t.row("ROOM", "KIND", "ROLE", "MEMBERS", "UNREAD")
			for _, room := range rooms {
				if p.json {
					p.out.object(room)
					continue
				}
				role := string(room.Role)
				if role == "" {
					role = "-"
				}
				t.row(room.Room, room.Kind, role, strconv.Itoa(room.Members), strconv.Itoa(room.Unread))
			}
			t.print(&p.out)
			return nil
		}),
	}
}

func (p *program) roomMembers() *cobra.Command {
	return &cobra.Command{
		Use:     "members ROOM",
		Short:   "List who is in a room",
		Example: "  keyhall room members general",
		Args:    needs("ROOM"),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			members, err := c.RoomMembers(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var t table
			t.row("HANDLE", "ROLE", "UNTIL", "ACCOUNT")
			for _, member := range members {
				if p.json {
					p.out.object(member)
					continue
				}
				t.row(member.Handle, string(member.Role), until(member.Expires), member.Account)
			}
			t.print(&p.out)
			return nil
		}),
	}
}

func (p *program) roomGrant() *cobra.Command {
	var role string
	var expires life
	c := &cobra.Command{
		Use:   "grant ROOM HANDLE [--role reader|writer|moderator] [--expires 30d]",
		Short: "Let somebody into a room, or change their role",
		Example: "  keyhall room grant general bob\n" +
			"  keyhall room grant general carol --role reader --expires 7d",
		Args: needs("ROOM", "HANDLE"),
	}
	c.Flags().StringVar(&role, "role", "writer", "reader, writer or moderator")
	c.Flags().Var(&expires, "expires", "how long it lasts (default for good)")
	_ = c.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(
		[]cobra.Completion{"reader", "writer", "moderator"}, cobra.ShellCompDirectiveNoFileComp))
	c.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := client.ParseRole(role); err != nil {
			return wrong(cmd, "%v", err)
		}
		return nil
	}
	c.RunE = p.member(func(k *client.Client, cmd *cobra.Command, args []string) error {
		person, err := k.GrantRoom(cmd.Context(), args[0], args[1], client.Role(role), time.Duration(expires))
		if err != nil {
			return err
		}
		p.done("%s is in %s, as a %s.", person.Handle, args[0], role)
		p.warnUnsure(person)
		return nil
	})
	return c
}

func (p *program) roomRevoke() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ROOM HANDLE",
		Short:   "Put somebody out of a room",
		Long:    "Put somebody out of a room, at once. What was said so far they could read; what is\nsaid from now on they cannot.",
		Example: "  keyhall room revoke general bob",
		Args:    needs("ROOM", "HANDLE"),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			if err := c.RevokeRoom(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			p.done("%s is out of %s.", args[1], args[0])
			return nil
		}),
	}
}

func (p *program) roomLeave() *cobra.Command {
	return &cobra.Command{
		Use:     "leave ROOM",
		Short:   "Leave a room",
		Example: "  keyhall room leave general",
		Args:    needs("ROOM"),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			if err := c.LeaveRoom(cmd.Context(), args[0]); err != nil {
				return err
			}
			p.done("You have left %s.", args[0])
			return nil
		}),
	}
}

// warnUnsure warns of somebody who is known through others alone.
func (p *program) warnUnsure(person *client.Person) {
	if !person.Sure() {
		p.warn("you know %s only through the hub and its introductions; run keyhall verify %s", person.Handle, person.Handle)
	}
}
