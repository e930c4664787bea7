package cli

import (
	"bufio"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/trust"
)

const (
	inviteVariable = "KEYHALL_INVITE"
	maxInviteLine  = 4096
)

func (p *program) join() *cobra.Command {
	var request client.JoinRequest
	var again, link string
	c := &cobra.Command{
		Use:   "join HUB_URL (--invite CODE --handle NAME | --link [CODE] | --recover [-]) [--device NAME]",
		Short: "Become a member of a hub",
		Long: "Become a member of a hub, with an invite from one of its members or its host. Keys\n" +
			"are made in your profile folder and stay there: whoever has them is you.\n\n" +
			"The invite may be the code or the link that holds it. As - it is read from standard\n" +
			"input, and " + inviteVariable + " works too: neither shows it to others on the machine.\n\n" +
			"With --link this machine becomes another device of yours: with the code that keyhall login\n" +
			"or a browser shows, or with none by a code for keyhall device link. Your identity stays\n" +
			"on the other device.\n\n" +
			"With --recover you come back to a hub after your folder was lost, with the code that\n" +
			"keyhall recovery showed you. It is asked for, or read from standard input (--recover -)\n" +
			"or " + recoveryVariable + ". The lost device is revoked; rooms, shares and catalogs are yours again.",
		Example: "  keyhall join http://localhost:8420 --invite kh-… --handle alice\n" +
			"  keyhall join http://localhost:8420 --invite - --handle bob < invite\n" +
			"  keyhall join 'https://hall.example.org/join#kh-…' --handle carol\n" +
			"  keyhall join http://localhost:8420 --link kl-…\n" +
			"  keyhall join http://localhost:8420 --recover",
		Args: func(cmd *cobra.Command, args []string) error {
			if again != "" {
				args, _ = withoutDash(args)
			}
			if link != "" && len(args) == 2 {
				args = args[:1]
			}
			return needs("HUB_URL")(cmd, args)
		},
	}
	c.Flags().StringVar(&request.Invite, "invite", "", "the invite's code or link, or - for standard input")
	c.Flags().StringVar(&request.Handle, "handle", "", "the name others will know you by")
	c.Flags().StringVar(&request.Device, "device", "", "a name for this device (default the machine's)")
	c.Flags().StringVar(&again, "recover", "", "come back with a recovery code; - for standard input")
	c.Flags().Lookup("recover").NoOptDefVal = asked
	c.Flags().StringVar(&link, "link", "", "become a device of a member, with the code of their other device, or showing one")
	c.Flags().Lookup("link").NoOptDefVal = asked
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if request.Device == "" {
			host, _ := os.Hostname() // a machine without a name is called "device"
			request.Device = deviceName(host)
		}
		if again != "" {
			return p.comeBack(cmd, args, again, &request)
		}
		if link != "" && again != "" {
			return wrong(cmd, "--link and --recover are two ways; take one")
		}
		if link != "" {
			return p.joinByLink(cmd, args, link, &request)
		}
		var inLink string
		request.URL, inLink = splitLink(args[0])
		if err := p.completeJoin(cmd, &request, inLink); err != nil {
			return err
		}
		dir, err := p.homeDir()
		if err != nil {
			return err
		}
		profile, err := client.Join(cmd.Context(), dir, request)
		if err != nil {
			return err
		}
		return p.welcome(profile)
	}
	return c
}

// joinByLink is join with --link: args are HUB_URL, or a link, and the code where it is not in
// the flag.
func (p *program) joinByLink(cmd *cobra.Command, args []string, code string, r *client.JoinRequest) error {
	if r.Invite != "" || r.Handle != "" {
		return wrong(cmd, "who is a member already needs no --invite and no --handle")
	}
	address, inLink := splitLink(args[0])
	switch {
	case len(args) > 1:
		code = args[1]
	case code == asked:
		code = inLink
	}
	return p.joinLinked(cmd.Context(), client.LinkRequest{URL: address, Code: linkCodeIn(code), Device: r.Device})
}

// completeJoin finds what the command line left open.
func (p *program) completeJoin(cmd *cobra.Command, r *client.JoinRequest, inLink string) error {
	var err error
	switch {
	case r.Invite == "-":
		if r.Invite, err = readLine(p.sys.In, "invite"); err != nil {
			return err
		}
	case r.Invite == "" && inLink != "":
		r.Invite = inLink
	case r.Invite == "":
		r.Invite = p.sys.Env(inviteVariable)
	}
	if _, code := splitLink(r.Invite); code != "" {
		r.Invite = code
	}
	switch {
	case strings.TrimSpace(r.Invite) == "":
		return wrong(cmd, "join needs an invite; ask a member for one (keyhall invite)")
	case r.Handle == "":
		return wrong(cmd, "join needs a --handle, the name others will know you by")
	}
	return nil
}

// splitLink takes an invite link apart: the hub's address and the code. What is no link is
// all address. An address without a scheme is an http one: people leave it out.
func splitLink(text string) (address, code string) {
	address, code, _ = strings.Cut(strings.TrimSpace(text), "#")
	if code != "" {
		address = strings.TrimSuffix(strings.TrimSuffix(address, "/join"), "/link")
	}
	address = strings.TrimRight(address, "/")
	if address != "" && !strings.Contains(address, "://") {
		address = "http://" + address
	}
	return address, code
}

// readLine reads the line that holds what is called so.
func readLine(in io.Reader, what string) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxInviteLine)).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		return "", fault.Wrap(fault.Malformed, err, "there is no %s on standard input", what)
	}
	return line, nil
}

// deviceName makes a device's name of a host's: its first part, with what no name may
// hold replaced.
func deviceName(host string) string {
	host, _, _ = strings.Cut(host, ".")
	if name, err := trust.Name(host); err == nil {
		return name
	}
	plain := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '-'
	}, host)
	plain = strings.Trim(plain[:min(len(plain), 32)], "-")
	if name, err := trust.Name(plain); err == nil {
		return name
	}
	return "device"
}

func (p *program) welcome(profile *client.Profile) error {
	who, err := profile.Whoami()
	if err != nil {
		return err
	}
	if p.json {
		p.out.object(who)
		return nil
	}
	p.out.line("Welcome, %s. Your keys are in %s: keep that folder, it is you.", who.Handle, profile.Dir())
	return nil
}
