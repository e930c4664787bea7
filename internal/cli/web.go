package cli

import (
	"log/slog"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/web"
)

// webReady is what web prints with --json once it serves.
type webReady struct {
	HTTP string `json:"http"`
	Hub  string `json:"hub"`
}

func (p *program) web() *cobra.Command {
	var address string
	c := &cobra.Command{
		Use:   "web [HUB_URL] [--http ADDR]",
		Short: "Serve the web app from this program, to your own browser",
		Long: "Serve the web app on this machine until Ctrl-C, for a browser on this machine.\n\n" +
			"A hub serves the same app, and a hub that has turned against you could serve another\n" +
			"one that gives your keys away. What this program serves is its own: the hub is asked\n" +
			"for data only, and what it answers is never run.\n\n" +
			"Without HUB_URL it is the hub that you joined with this profile. The browser is a\n" +
			"device of its own: link it (keyhall login), or sign in with your password.",
		Example:           "  keyhall web\n  keyhall web https://hall.example.org --http localhost:9000",
		Args:              needs("[HUB_URL]"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().StringVar(&address, "http", "localhost:8421", "where your browser reaches it; on this machine only")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		origin := ""
		if len(args) > 0 {
			origin, _ = splitLink(args[0])
		} else {
			profile, err := p.profile()
			if err != nil {
				return err
			}
			origin = profile.Settings.URL
		}
		server, err := httpd.StartMember(httpd.MemberOptions{
			Address: address, Hub: origin, App: web.App(), Logger: slog.New(slog.NewTextHandler(p.sys.Err, nil)),
		})
		if err != nil {
			return err
		}
		if p.json {
			p.out.object(webReady{HTTP: server.URL(), Hub: origin})
		} else {
			p.out.line("Open %s in a browser on this machine.", server.URL())
			p.out.line("It is the web app of this program, for the hub at %s. Ctrl-C ends.", origin)
		}
		<-cmd.Context().Done()
		return server.Close()
	}
	return c
}
