package cli

import "github.com/spf13/cobra"

func (p *program) whoami() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Show who you are here",
		Long:    "Show who this profile is: handle, account, device and your own fingerprint words.\nIt needs no hub.",
		Example: "  keyhall whoami\n  keyhall whoami --json",
		Args:    needs(),
		RunE: func(*cobra.Command, []string) error {
			profile, err := p.profile()
			if err != nil {
				return err
			}
			who, err := profile.Whoami()
			if err != nil {
				return err
			}
			if p.json {
				p.out.object(who)
				return nil
			}
			p.out.line("handle       %s", who.Handle)
			p.out.line("account      %s", who.Account)
			p.out.line("device       %s", who.Device)
			p.out.line("fingerprint  %s", who.Fingerprint)
			p.out.line("hub          %s", profile.Settings.URL)
			p.out.line("profile      %s", profile.Dir())
			return nil
		},
	}
}
