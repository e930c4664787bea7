package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/trust"
)

const (
	nameTime    = 2 * time.Second // to find out a reader's handle
	reportQueue = 1024
)

func (p *program) serve() *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use:   "serve [NAME...] [--quiet]",
		Short: "Serve your catalogs to those you share them with",
		Long: "Serve catalogs until Ctrl-C: all of yours, or those that are named. They can be listed\n" +
			"and read only while this runs, and only by whom you share them with. Changes in their\n" +
			"folders are noticed, and so are catalogs that are added. With names, only those are served.",
		Example:           "  keyhall serve\n  keyhall serve films music --quiet &",
		Args:              needs("[NAME...]"),
		ValidArgsFunction: p.completeCatalogs,
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "do not show who reads what")
	c.RunE = p.member(func(k *client.Client, cmd *cobra.Command, args []string) error {
		ready := func() {
			if err := p.announceServing(args); err != nil {
				p.warn("%s", sentence(err))
			}
		}
		if quiet {
			return k.ServeReady(cmd.Context(), args, ready, nil)
		}
		r := &readers{p: p, c: k, handles: make(map[string]string), reports: make(chan client.ServeReport, reportQueue)}
		var showing sync.WaitGroup
		showing.Go(func() { r.show(cmd.Context()) })
		err := k.ServeReady(cmd.Context(), args, ready, r.note)
		close(r.reports)
		showing.Wait()
		return err
	})
	return c
}

// announceServing says what is served. A name that is none of a catalog is left to Serve,
// which refuses it.
func (p *program) announceServing(names []string) error {
	profile, err := p.profile()
	if err != nil {
		return err
	}
	catalogs, err := profile.Catalogs()
	if err != nil {
		return err
	}
	var what []string
	for _, c := range catalogs {
		asked := func(text string) bool { name, _ := trust.Name(text); return name == c.Name }
		if len(names) == 0 || slices.ContainsFunc(names, asked) {
			what = append(what, fmt.Sprintf("%s (%s, %s)", c.Name, count(c.Entries, "file", "files"), size(c.Bytes)))
		}
	}
	if len(what) > 0 && len(what) >= len(names) {
		p.done("Serving %s. Ctrl-C ends.", list(what, "and"))
	}
	return nil
}

// served is one answered request, with --json.
type served struct {
	Time    time.Time `json:"time"`
	Reader  string    `json:"reader"` // handle, or account where that is not known
	Catalog string    `json:"catalog"`
	Path    string    `json:"path"` // empty for the list of files
	Outcome string    `json:"outcome"`
}

// readers shows who reads what, beside the serving: a hub that does not answer when it is
// asked for a name, or a terminal that has stopped, holds no reader up.
type readers struct {
	p       *program
	c       *client.Client
	handles map[string]string // by account
	reports chan client.ServeReport
}

func (r *readers) note(report client.ServeReport) {
	select {
	case r.reports <- report:
	default: // more than can be shown
	}
}

func (r *readers) show(ctx context.Context) {
	for report := range r.reports {
		line := served{
			Time: time.Now().UTC().Truncate(time.Second), Reader: r.handle(ctx, report.Reader),
			Catalog: report.Catalog, Path: report.Path, Outcome: report.Outcome,
		}
		if r.p.json {
			r.p.out.object(line)
			continue
		}
		what := line.Catalog
		if line.Path != "" {
			what += "/" + line.Path
		}
		if line.Outcome != "ok" {
			what += "  (" + line.Outcome + ")"
		}
		r.p.out.line("%s %s  %s", line.Time.Local().Format("15:04"), line.Reader, what)
	}
}

// handle is the reader's handle, or the account where it cannot be found out now.
func (r *readers) handle(ctx context.Context, account string) string {
	if handle := r.handles[account]; handle != "" {
		return handle
	}
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	person, err := r.c.Find(ctx, account)
	if err != nil {
		return strings.TrimSpace(account)
	}
	r.handles[account] = person.Handle
	return person.Handle
}
