package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// built says what the program was built from.
type built struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show which version this is",
		Example: "  keyhall version",
		Args:    needs(),
		RunE: func(*cobra.Command, []string) error {
			b := readBuilt()
			switch {
			case p.json:
				p.out.object(b)
			case b.Commit != "":
				p.out.line("keyhall %s (%s, %s)", b.Version, b.Commit, b.Go)
			default:
				p.out.line("keyhall %s (%s)", b.Version, b.Go)
			}
			return nil
		},
	}
}

func readBuilt() built {
	b := built{Version: "development", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if version := info.Main.Version; version != "" && version != "(devel)" {
		b.Version = version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			b.Commit = setting.Value[:min(len(setting.Value), 12)]
		}
	}
	return b
}
