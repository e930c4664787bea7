package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
)

func (p *program) catalog() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "catalog",
		Short: "Your catalogs: add, list, remove, scan, describe",
		Long: "A catalog is a folder of yours under a name, ready to be shared. Nothing of it leaves\n" +
			"your machine until you share it and serve it.",
		Example: "  keyhall catalog add films ~/Videos\n  keyhall catalog list",
	})
	c.AddCommand(p.catalogAdd(), p.catalogList(), p.catalogRemove(), p.catalogScan(), p.catalogDescribe())
	return c
}

func (p *program) catalogAdd() *cobra.Command {
	return &cobra.Command{
		Use:     "add NAME DIR",
		Short:   "Make a catalog of a folder",
		Long:    "Make a catalog of a folder: every file in it is read once, to know it by its content.",
		Example: "  keyhall catalog add films ~/Videos",
		Args:    needs("NAME", "DIR"),

		ValidArgsFunction: completeSecondFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.scan(args[0], func(profile *client.Profile, progress func(client.ScanProgress)) (*client.ScanReport, error) {
				return profile.AddCatalog(cmd.Context(), args[0], args[1], progress)
			})
		},
	}
}

func (p *program) catalogScan() *cobra.Command {
	return &cobra.Command{
		Use:               "scan NAME",
		Short:             "Look for changes in a catalog's folder",
		Long:              "Look for changes in a catalog's folder. keyhall serve does so by itself.",
		Example:           "  keyhall catalog scan films",
		Args:              needs("NAME"),
		ValidArgsFunction: p.completeCatalog,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.scan(args[0], func(profile *client.Profile, progress func(client.ScanProgress)) (*client.ScanReport, error) {
				return profile.ScanCatalog(cmd.Context(), args[0], progress)
			})
		},
	}
}

// scan runs a scan and tells what it found. Files that were left out make it one that was
// done in part.
func (p *program) scan(
	name string, do func(*client.Profile, func(client.ScanProgress)) (*client.ScanReport, error),
) error {
	profile, err := p.profile()
	if err != nil {
		return err
	}
	meter := p.meter("reading " + name)
	report, err := do(profile, func(at client.ScanProgress) {
		meter.set(at.Bytes, "reading "+name+", "+count(at.Files, "file", "files"))
	})
	meter.close()
	if err != nil {
		return err
	}
	p.showScan(report)
	if left := len(report.Problems); left > 0 {
		return partly{fault.New(fault.Unavailable, "%s could not be read and stay out of the catalog", count(left, "file", "files"))}
	}
	return nil
}

func (p *program) showScan(report *client.ScanReport) {
	if p.json {
		p.out.object(report)
		return
	}
	c := report.Catalog
	p.out.line("%s: %s, %s", c.Name, count(c.Entries, "file", "files"), size(c.Bytes))
	if other := report.Skipped - len(report.Problems); other > 0 {
		p.err.line("%s left out: only plain files are shared", count(other, "link or special file", "links or special files"))
	}
	for _, problem := range report.Problems {
		p.err.line("%s", problem)
	}
}

func (p *program) catalogList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List your catalogs",
		Example: "  keyhall catalog list",
		Args:    needs(),
		RunE: func(*cobra.Command, []string) error {
			profile, err := p.profile()
			if err != nil {
				return err
			}
			catalogs, err := profile.Catalogs()
			if err != nil {
				return err
			}
			t := table{right: map[int]bool{1: true, 2: true}}
			t.row("CATALOG", "FILES", "SIZE", "FOLDER")
			for _, c := range catalogs {
				if p.json {
					p.out.object(c)
					continue
				}
				t.row(c.Name, strconv.Itoa(c.Entries), size(c.Bytes), c.Dir)
			}
			t.print(&p.out)
			return nil
		},
	}
}

func (p *program) catalogRemove() *cobra.Command {
	return &cobra.Command{
		Use:               "remove NAME",
		Short:             "Forget a catalog; its folder stays as it is",
		Example:           "  keyhall catalog remove films",
		Args:              needs("NAME"),
		ValidArgsFunction: p.completeCatalog,
		RunE: func(_ *cobra.Command, args []string) error {
			profile, err := p.profile()
			if err != nil {
				return err
			}
			if err := profile.RemoveCatalog(args[0]); err != nil {
				return err
			}
			p.done("%s is no catalog any more; its files are where they were.", args[0])
			return nil
		},
	}
}

func (p *program) catalogDescribe() *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME/PATH TEXT",
		Short: "Say something about a file in a catalog",
		Long:  "Say something about a file in a catalog, for those who list it. An empty text takes it\nback.",
		Example: "  keyhall catalog describe films/holiday.mp4 \"by the sea, 2026\"\n" +
			"  keyhall catalog describe films/holiday.mp4 \"\"",
		Args: needs("NAME/PATH", "TEXT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, path, found := strings.Cut(args[0], "/")
			if !found || path == "" {
				return wrong(cmd, "%q does not name a file in a catalog; it looks like films/holiday.mp4", args[0])
			}
			profile, err := p.profile()
			if err != nil {
				return err
			}
			return profile.Describe(name, path, args[1])
		},
	}
}
