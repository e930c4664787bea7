package cli

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
)

const progressEvery = 250 * time.Millisecond // between two lines of progress for a file

func (p *program) get() *cobra.Command {
	return &cobra.Command{
		Use:   "get OWNER/NAME/PATH [DEST]",
		Short: "Fetch a file or a folder",
		Long: "Fetch a file, a folder, or a whole catalog, into DEST or the current folder. What was\n" +
			"fetched in part before goes on where it stopped, and a file gets its name only when it\n" +
			"is whole and is the one that was listed.",
		Example: "  keyhall get alice/films/holiday.mp4\n" +
			"  keyhall get alice/films/2026 ~/Videos",
		Args:              needs("OWNER/NAME/PATH", "[DEST]"),
		ValidArgsFunction: completeSecondFile,
		RunE: p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
			dest := "."
			if len(args) == 2 {
				dest = args[1]
			}
			f := &fetching{p: p, ref: args[0], files: make(map[string]client.Progress), shown: make(map[string]time.Time)}
			got, err := c.Get(cmd.Context(), args[0], dest, f.note)
			f.meter.close()
			if cmd.Context().Err() != nil {
				return interrupted{err, "the same command goes on where this one stopped"}
			}
			if err == nil || got.Files > 0 {
				f.sum(got)
			}
			if errors.Is(err, client.ErrPartly) && got.Files > 0 {
				return partly{err}
			}
			return err
		}),
	}
}

// fetching shows how far a fetch is.
type fetching struct {
	p   *program
	ref string

	mu    sync.Mutex
	meter *meter
	files map[string]client.Progress
	done  int64
	shown map[string]time.Time // when progress of a file was printed last
}

// sum prints what was fetched in all.
func (f *fetching) sum(got client.Fetched) {
	files := count(got.Files, "file", "files")
	switch {
	case f.p.json:
		f.p.out.object(got)
	case got.Bytes == 0:
		f.p.out.line("%s, nothing left to fetch", files)
	default:
		f.p.out.line("%s, %s in %.1f s", files, size(got.Bytes), got.Seconds)
	}
}

func (f *fetching) note(at client.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.p.json {
		f.print(at)
		return
	}
	f.done += at.Done - f.files[at.Path].Done
	f.files[at.Path] = at
	what := at.Path
	if f.meter == nil {
		f.meter = f.begin(at)
	}
	if len(f.files) > 1 {
		what = count(len(f.files), "file", "files")
	}
	f.meter.set(f.done, what)
}

// begin shows a bar for a single file, whose size is known, and a count for a folder.
func (f *fetching) begin(at client.Progress) *meter {
	if strings.HasSuffix(f.ref, "/"+at.Path) && at.Size > 0 {
		return f.p.sizedMeter(at.Path, at.Size)
	}
	return f.p.meter(at.Path)
}

// print prints a line of progress: a file's first and last, and some in between.
func (f *fetching) print(at client.Progress) {
	last := f.shown[at.Path]
	if at.Done < at.Size && time.Since(last) < progressEvery {
		return
	}
	f.shown[at.Path] = time.Now()
	f.p.out.object(at)
	if at.Done >= at.Size {
		delete(f.shown, at.Path)
	}
}
