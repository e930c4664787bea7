package cli

import (
	"strings"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

const checkWidth = 16 // of most names of checks

func (p *program) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong, and say what to do",
		Long: "Check everything that using the hub needs: your profile and its keys, the token, your\n" +
			"catalogs' folders, the hub and the ways to reach it, the clock, the logins.",
		Example: "  keyhall doctor\n  keyhall doctor --json",
		Args:    needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := p.homeDir()
			if err != nil {
				return err
			}
			problems := 0
			client.Diagnose(cmd.Context(), dir, func(f client.Finding) {
				if f.State == client.Problem {
					problems++
				}
				p.finding(f)
			})
			if problems > 0 {
				return fault.New(fault.Unavailable, "%s found", count(problems, "problem", "problems"))
			}
			return nil
		},
	}
}

func (p *program) finding(f client.Finding) {
	if p.json {
		p.out.object(f)
		return
	}
	pad := strings.Repeat(" ", max(0, checkWidth-uniseg.StringWidth(f.Check)))
	p.out.line("%-8s %s%s  %s", f.State, f.Check, pad, f.Detail)
	if f.Remedy != "" {
		p.out.line("%-8s %s  → %s", "", strings.Repeat(" ", checkWidth), f.Remedy)
	}
}
