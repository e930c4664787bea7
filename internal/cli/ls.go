package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/seal"
)

func (p *program) ls() *cobra.Command {
	return &cobra.Command{
		Use:   "ls [OWNER/NAME[/PATH]]",
		Short: "List what you can read",
		Long: "List the catalogs that you accepted, or the files of one: all of them, or those under a\n" +
			"path. A catalog can be listed while its owner serves it.",
		Example: "  keyhall ls\n  keyhall ls alice/films\n  keyhall ls alice/films/2026 --json",
		Args:    needs("[OWNER/NAME]"),
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.library(cmd.Context(), c)
			}
			return p.listing(cmd.Context(), c, args[0])
		}),
	}
}

func (p *program) library(ctx context.Context, c *client.Client) error {
	shelves, err := c.Library(ctx)
	if err != nil {
		return err
	}
	var t table
	t.row("CATALOG", "STATE")
	for _, shelf := range shelves {
		if p.json {
			p.out.object(shelf)
			continue
		}
		state := "offline"
		if shelf.Online {
			state = "online"
		}
		t.row(shelf.Catalog, state)
	}
	t.print(&p.out)
	return nil
}

func (p *program) listing(ctx context.Context, c *client.Client, ref string) error {
	listing, err := c.List(ctx, ref)
	if err != nil {
		return err
	}
	t := table{right: map[int]bool{0: true}}
	t.row("SIZE", "CHANGED", "PATH", "ABOUT")
	for _, entry := range listing.Entries {
		if p.json {
			p.out.object(entry)
			continue
		}
		t.row(size(entry.Size), moment(entry.Modified), entry.Path, entry.Description)
	}
	if !slices.ContainsFunc(listing.Entries, func(e seal.Entry) bool { return e.Description != "" }) {
		t.drop(3)
	}
	t.print(&p.out)
	return nil
}
