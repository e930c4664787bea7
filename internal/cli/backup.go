package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/backup"
)

func (p *program) backup() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "backup FILE [--data DIR]",
		Short: "Write a running hub into one file",
		Long: "Write everything that a hub is into one file, on its machine and while it runs: its\n" +
			"keys, its ledger, the messages of its rooms, the sealed backups of its members. What\n" +
			"was acknowledged before the backup began is in it.\n\n" +
			"The file holds the hub's keys: whoever has it is the hub. It appears when it is whole\n" +
			"and only you can read it. keyhall restore makes a hub of it again.",
		Example: "  keyhall backup hall-2026-11-22.backup\n" +
			"  keyhall backup /backups/hall --data /srv/hall",
		Args: needs("FILE"),
	}
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	c.Flags().StringVar(&data, "data", "", "the hub's data folder (as for keyhall up)")
	_ = c.MarkFlagDirname("data")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if data == "" {
			var err error
			if data, err = defaultData(); err != nil {
				return err
			}
		}
		path, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		made, err := backup.Write(cmd.Context(), data, path)
		if err != nil {
			return err
		}
		if p.json {
			p.out.object(made)
			return nil
		}
		p.out.line("%s holds the hub as it is now (%s). Its keys are in it: keep it as safe as the hub.", made.File, size(made.Bytes))
		return nil
	}
	return c
}
