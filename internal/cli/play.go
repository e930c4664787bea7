package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/httpd"
)

const playerEnds = 5 * time.Second // in which a player ends that is asked to

// playReady is what play prints with --json once it serves.
type playReady struct {
	URL  string `json:"url"`
	Size int64  `json:"size"`
	Type string `json:"type"`
}

func (p *program) play() *cobra.Command {
	var address, player string
	c := &cobra.Command{
		Use:   "play OWNER/NAME/PATH [--with PROGRAM] [--http ADDR]",
		Short: "Play a file in any player, while it is fetched",
		Long: "Serve a file on this machine until Ctrl-C, at an address that any player opens, and in\n" +
			"which it can seek. What the player asks for is fetched from the file's owner, opened and\n" +
			"verified here, and kept on no disk.\n\n" +
			"With --with a player is started, and when it ends, so does this. Whoever learns the\n" +
			"address on this machine can read the file until then, so do not pass it on; other users\n" +
			"of the machine may see it among the arguments of a player that runs.",
		Example: "  keyhall play alice/films/holiday.mkv\n" +
			"  keyhall play alice/films/holiday.mkv --with mpv",
		Args: needs("OWNER/NAME/PATH"),
	}
	c.Flags().StringVar(&player, "with", "", "a player to start with the address, such as mpv or vlc")
	c.Flags().StringVar(&address, "http", "127.0.0.1:0", "where the player reaches it; on this machine only")
	c.RunE = p.member(func(c *client.Client, cmd *cobra.Command, args []string) error {
		media, err := c.Open(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		defer media.Close()
		return p.show(cmd.Context(), media, address, player)
	})
	return c
}

// show serves a file until ctx ends, the player does, or there is no more of it.
func (p *program) show(ctx context.Context, media *client.Media, address, player string) error {
	s := &showing{p: p, media: media}
	ctx, s.end = context.WithCancelCause(ctx)
	defer s.end(nil)
	server, url, err := httpd.StartMedia(httpd.MediaOptions{
		Address: address, Name: media.Name, Type: media.Entry.Type, Modified: media.Entry.Modified, Tag: media.Entry.Root.String(),
		Open: s.open, Logger: slog.New(slog.NewTextHandler(p.sys.Err, nil)),
	})
	if err != nil {
		return err
	}
	p.tellURL(media, url, player)
	if player == "" {
		<-ctx.Done()
	} else {
		err = p.watch(ctx, player, url)
	}
	err = errors.Join(err, server.Close())
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

func (p *program) tellURL(media *client.Media, url, player string) {
	switch {
	case p.json:
		p.out.object(playReady{URL: url, Size: media.Entry.Size, Type: media.Entry.Type})
	case player == "":
		p.out.line("%s", url)
		p.out.line("Open this in a player on this machine: it is %s, %s. Ctrl-C ends.", media.Name, size(media.Entry.Size))
	}
}

// watch starts a player, without a shell, and waits for its end. What it prints is not this
// program's output.
func (p *program) watch(ctx context.Context, player, url string) error {
	c := exec.CommandContext(ctx, player, url) //nolint:gosec // the member's own choice
	c.Stdin, c.Stdout, c.Stderr = p.sys.In, p.sys.Err, p.sys.Err
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = playerEnds
	err := c.Run()
	switch {
	case err == nil, ctx.Err() != nil:
		return nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return fault.Wrap(fault.NotFound, err, "there is no program %q here; name a player that is installed", player)
	}
	return fault.Wrap(fault.Unavailable, err, "the player %s failed (%v)", player, err)
}

// showing is a file that players read.
type showing struct {
	p     *program
	media *client.Media
	end   context.CancelCauseFunc

	mu   sync.Mutex
	said string // why the last read failed; empty when it did not
}

func (s *showing) open(ctx context.Context) io.ReadSeekCloser {
	return &playing{s.media.Reader(ctx), s}
}

// playing is one player's reading.
type playing struct {
	*client.MediaReader
	of *showing
}

// Read implements io.Reader.
func (s *playing) Read(p []byte) (int, error) {
	n, err := s.MediaReader.Read(p)
	if !errors.Is(err, context.Canceled) { // the player has gone
		s.of.note(err)
	}
	return n, err
}

// note says what has gone wrong, once: a player asks again. An owner who is away may come
// back; after anything else there is nothing to wait for.
func (s *showing) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil, errors.Is(err, io.EOF):
		s.said = ""
	case !fault.Is(err, fault.Unavailable):
		s.end(err)
	case s.said != sentence(err):
		s.said = sentence(err)
		s.p.warn("%s; what is played breaks off, and can go on when this is over", s.said)
	}
}
