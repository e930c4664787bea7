package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/backup"
)

func (p *program) restore() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "restore FILE --data NEWDIR",
		Short: "Make a hub of a backup again",
		Long: "Make the hub of a backup in a new folder, here or on another machine. Nothing is taken\n" +
			"from a damaged file. Then every event of the ledger is verified, and what was\n" +
			"verified is said. Start the hub with keyhall up --data NEWDIR.\n\n" +
			"Stop the old hub first if it still runs: members go by one of the two and will find\n" +
			"that the other one has another past.",
		Example: "  keyhall restore hall-2026-11-22.backup --data /srv/hall",
		Args:    needs("FILE"),
	}
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	c.Flags().StringVar(&data, "data", "", "the new data folder; it must not exist, or be empty")
	_ = c.MarkFlagDirname("data")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if data == "" {
			return wrong(cmd, "restore needs --data, a folder for the hub")
		}
		report, err := backup.Restore(cmd.Context(), args[0], data)
		if err != nil {
			return err
		}
		return p.restored(report)
	}
	return c
}

func (p *program) restored(report *backup.Report) error {
	if p.json {
		p.out.object(report)
	} else {
		p.out.line("The hub of %s is in %s, with %s. Its ledger was verified:", moment(report.Created), report.Data,
			count(int(report.Messages), "message", "messages")) //nolint:gosec // far below
		p.showReport(&report.Report)
		p.out.line("Start it: keyhall up --data %s", report.Data)
	}
	if len(report.Problems) > 0 {
		return partly{errors.New("restored, but not everything in the ledger holds: what does not counts for nobody")}
	}
	return nil
}
