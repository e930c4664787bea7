package cli

import (
	"bufio"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

// linkCode is what login and join --link print first with --json.
type linkCode struct {
	Code string `json:"code"`
	URL  string `json:"url"`
}

// linked is what login prints last with --json.
type linked struct {
	Linked  string    `json:"linked"` // name of the new device
	Device  string    `json:"device"`
	Expires time.Time `json:"expires"`
}

// linkWords is what join --link prints with --json as soon as it has asked.
type linkWords struct {
	Words string `json:"words"`
}

// letIn are the flags of the commands that let a device in.
type letIn struct {
	yes     bool
	expires life
}

func (l *letIn) register(c *cobra.Command) {
	c.Flags().BoolVar(&l.yes, "yes", false, "let in whoever asks with the code, without a look at the words")
	c.Flags().Var(&l.expires, "expires", "how long the new device may come in (default 365d)")
}

func (p *program) login() *cobra.Command {
	var how letIn
	c := &cobra.Command{
		Use:   "login [--expires DURATION] [--yes]",
		Short: "Sign in to the web app, or on another machine, as who you are here",
		Long: "Show a code for one use: as text, as a link, and to scan. A browser that opens the link,\n" +
			"or a machine that runs join --link with the code, shows four words, and so does this\n" +
			"terminal. If they are the same, say yes: it is a device of yours from then on.\n\n" +
			"Your identity stays here. keyhall device list shows your devices, and keyhall device\n" +
			"revoke ends one. The code is void after ten minutes.",
		Example: "  keyhall login\n" +
			"  keyhall login --expires 30d",
		Args: needs(),
	}
	how.register(c)
	c.RunE = p.member(func(k *client.Client, cmd *cobra.Command, _ []string) error {
		return p.link(cmd, k, "", how)
	})
	return c
}

func (p *program) deviceLink() *cobra.Command {
	var how letIn
	c := &cobra.Command{
		Use:   "link [CODE] [--expires DURATION] [--yes]",
		Short: "Let a browser or another machine in that shows a code",
		Long: "Let a new device in: one that shows a code (a browser, or keyhall join --link), or with\n" +
			"no CODE as keyhall login does. Both sides show four words; say yes if they are the same.",
		Example: "  keyhall device link kl-…\n" +
			"  keyhall device link",
		Args: cobra.MaximumNArgs(1),
	}
	how.register(c)
	c.RunE = p.member(func(k *client.Client, cmd *cobra.Command, args []string) error {
		code := ""
		if len(args) > 0 {
			code = linkCodeIn(args[0])
		}
		return p.link(cmd, k, code, how)
	})
	return c
}

// linkCodeIn is the code in what somebody typed: itself, or a link that holds it.
func linkCodeIn(text string) string {
	if _, code, found := strings.Cut(text, "#"); found {
		return code
	}
	return text
}

// link lets a new device in: one that shows a code, or with none, one that uses a code which
// is shown here.
func (p *program) link(cmd *cobra.Command, k *client.Client, code string, how letIn) error {
	if how.expires == 0 {
		how.expires = life(client.MaxDeviceLife)
	}
	if time.Duration(how.expires) > client.MaxDeviceLife {
		return wrong(cmd, "a device is good for up to %d days", client.MaxDeviceLife/day)
	}
	offer, err := k.OfferLink(code)
	if err != nil {
		return err
	}
	if code == "" {
		p.showLink(linkCode{offer.Code, offer.URL})
	} else {
		p.done("Waiting for the device that shows this code…")
	}
	asked, err := offer.Await(cmd.Context())
	if err != nil {
		return err
	}
	yes, err := p.agree(asked, how.yes)
	if err != nil {
		return err
	}
	if !yes {
		if err := offer.Refuse(cmd.Context()); err != nil {
			return err
		}
		return fault.New(fault.Refused, "nobody was let in")
	}
	token, err := offer.Accept(cmd.Context(), time.Duration(how.expires))
	if err != nil {
		return err
	}
	if p.json {
		p.out.object(linked{token.Name, asked.Device, token.Expires.UTC()})
		return nil
	}
	p.out.line("%s is a device of yours now. To end it: keyhall device revoke %s", token.Name, token.Name)
	return nil
}

// agree shows who wants in, and asks whether they may.
func (p *program) agree(asked *client.LinkAsked, yes bool) (bool, error) {
	if p.json {
		p.out.object(asked)
	}
	p.done("")
	p.done("%s wants to become a device of yours. It shows:", asked.Name)
	p.done("")
	p.done("  %s", asked.Words)
	p.done("")
	if yes {
		return true, nil
	}
	p.err.prompt("Does it show the same words, and do you want to let it in? [y/N]")
	answer, err := bufio.NewReader(p.sys.In).ReadString('\n')
	if err != nil && answer == "" {
		p.err.line("")
		return false, nil //nolint:nilerr // no answer is a no
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// showLink shows a code that is made here.
func (p *program) showLink(code linkCode) {
	if p.json {
		p.out.object(code)
		return
	}
	p.out.line("Open this in the browser that is to be yours, or scan it:")
	p.out.line("")
	p.out.line("  %s", code.URL)
	p.out.line("")
	p.showQR(code.URL)
	hub, _ := splitLink(code.URL)
	p.out.line("On a machine without a browser: keyhall join %s --link %s", hub, code.Code)
	p.out.line("It is for one device, and for ten minutes. Waiting…")
}

// joinLinked is join with --link: this machine becomes a device of somebody's who is a member
// already.
func (p *program) joinLinked(ctx context.Context, request client.LinkRequest) error {
	dir, err := p.homeDir()
	if err != nil {
		return err
	}
	shown := request.Code == ""
	way, err := client.Link(ctx, dir, request)
	if err != nil {
		return err
	}
	switch {
	case p.json && shown:
		p.out.object(linkCode{way.Code, way.URL})
	case shown:
		p.out.line("On a device of yours: keyhall device link %s", way.Code)
		p.out.line("Or open this in a browser in which you are signed in, or scan it:")
		p.out.line("")
		p.out.line("  %s", way.URL)
		p.out.line("")
		p.showQR(way.URL)
	}
	if p.json {
		p.out.object(linkWords{way.Words})
	}
	p.done("The other device shows these words. If it does, say yes there:")
	p.done("")
	p.done("  %s", way.Words)
	p.done("")
	profile, err := way.Finish(ctx)
	if err != nil {
		return err
	}
	return p.welcome(profile)
}
