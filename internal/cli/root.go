package cli

import (
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

const homeVariable = "KEYHALL_HOME"

// program is one run of the command line.
type program struct {
	sys      System
	out, err printer

	home string // the profile folder, as --home says
	json bool
}

// The groups in which help lists the commands.
const (
	groupHub   = "hub"
	groupYou   = "you"
	groupShare = "share"
	groupRooms = "rooms"
	groupEvent = "event"
	groupNATS  = "nats"
)

func (p *program) root() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "keyhall",
		Short: "Talk in rooms and share folders with people you know, on a hub of your own",
		Long: "Keyhall is a place of your own where people talk in rooms and share folders from\n" +
			"their own machines. Somebody runs a hub (keyhall up); members join it with an\n" +
			"invite. What they say and share is sealed on their machines: the hub passes it on\n" +
			"and cannot read it.",
		Example: "  keyhall up                                   # run a hub; prints an invite for you\n" +
			"  keyhall join http://localhost:8420 --invite CODE --handle alice\n" +
			"  keyhall catalog add films ~/Videos\n" +
			"  keyhall serve",
		SilenceErrors: true,
		SilenceUsage:  true,
	})
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpCommandGroupID(groupHub)
	root.SetCompletionCommandGroupID(groupHub)
	flags := root.PersistentFlags()
	flags.StringVar(&p.home, "home", "", "your profile folder (default $"+homeVariable+", else keyhall in your configuration folder)")
	flags.BoolVar(&p.json, "json", false, "print JSON, one object per line")
	root.AddGroup(
		&cobra.Group{ID: groupYou, Title: "You and the others:"},
		&cobra.Group{ID: groupShare, Title: "Sharing folders:"},
		&cobra.Group{ID: groupRooms, Title: "Talking in rooms:"},
		&cobra.Group{ID: groupEvent, Title: "Signed events, on any NATS server:"},
		&cobra.Group{ID: groupNATS, Title: "Logins, on NATS servers of your own:"},
		&cobra.Group{ID: groupHub, Title: "The hub and this program:"},
	)
	root.DisableFlagsInUseLine = true
	p.add(root, groupYou, p.join(), p.whoami(), p.invite(), p.people(), p.verify(), p.login(), p.device(), p.creds(), p.password(), p.recovery())
	p.add(root, groupShare, p.catalog(), p.serve(), p.share(), p.unshare(), p.shares(),
		p.inbox(), p.accept(), p.decline(), p.ls(), p.get(), p.play())
	p.add(root, groupRooms, p.room(), p.say(), p.history(), p.chat())
	p.add(root, groupEvent, p.event())
	p.add(root, groupNATS, p.callout())
	p.add(root, groupHub, p.up(), p.web(), p.backup(), p.restore(), p.ledger(), p.audit(), p.stats(), p.doctor(), p.version())
	return root
}

// add adds commands to a group. Usage lines are written by hand, flags and all.
func (p *program) add(parent *cobra.Command, id string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = id
		settle(c)
		parent.AddCommand(c)
	}
}

// settle makes a command and those below it complete no file names where they take none.
func settle(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	if c.ValidArgsFunction == nil && !c.HasSubCommands() {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range c.Commands() {
		settle(sub)
	}
}

// homeDir is the profile folder.
func (p *program) homeDir() (string, error) {
	for _, dir := range []string{p.home, p.sys.Env(homeVariable)} {
		if dir != "" {
			return filepath.Abs(dir)
		}
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "", fault.Wrap(fault.NotFound, err, "your home folder is not known; name a profile folder with --home or %s", homeVariable)
	}
	return filepath.Join(base, "keyhall"), nil
}

func (p *program) profile() (*client.Profile, error) {
	dir, err := p.homeDir()
	if err != nil {
		return nil, err
	}
	return client.OpenProfile(dir)
}

// connect connects to the hub as the profile's member.
func (p *program) connect(ctx context.Context) (*client.Client, error) {
	profile, err := p.profile()
	if err != nil {
		return nil, err
	}
	return client.Connect(ctx, profile)
}

// member makes the body of a command that does something as a member of the hub.
func (p *program) member(do func(c *client.Client, cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := p.connect(cmd.Context())
		if err != nil {
			return err
		}
		defer c.Close()
		return do(c, cmd, args)
	}
}

// done says what was done, to people.
func (p *program) done(format string, values ...any) {
	if !p.json {
		p.out.line(format, values...)
	}
}

// warn says on standard error what is worth knowing and no failure.
func (p *program) warn(format string, values ...any) {
	p.err.line("keyhall: "+format, values...)
}
