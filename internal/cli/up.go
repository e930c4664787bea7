package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/client"
	"keyhall.dev/keyhall/internal/callout/audit"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/natsd"
)

// upReady is what up prints with --json once it accepts connections.
type upReady struct {
	HTTP     string `json:"http"`
	NATS     string `json:"nats"`
	Redirect string `json:"redirect,omitempty"` // where plain HTTP is answered, beside https
	Invite   string `json:"invite,omitempty"`   // on the first start only
}

func (p *program) up() *cobra.Command {
	var options hub.Options
	var attach hub.Attach
	var auditAge life
	var level string
	var proxies []string
	var secure tlsFlags
	var provider oidcFlags
	var demo bool
	c := &cobra.Command{
		Use:   "up [--data DIR] [--http ADDR] [--nats ADDR] [--acme DOMAIN | --tls-cert FILE --tls-key FILE] [--attach URL --creds FILE]",
		Short: "Run a hub",
		Long: "Run a hub until Ctrl-C. The first start on an empty folder makes the hub's keys and\n" +
			"prints an invite for its host. Keep the data folder: it is the hub.\n\n" +
			"A private hub on one machine needs no flag. For people elsewhere, --http is the\n" +
			"one address that they must reach, and their browsers want https: --acme gets a\n" +
			"certificate for a name that leads to this machine, on ports 443 and 80.\n\n" +
			"--demo is another hub, to try it all: with two people, rooms and things to look at,\n" +
			"on this machine alone, and gone when it stops.",
		Example: "  keyhall up\n" +
			"  keyhall up --demo\n" +
			"  keyhall up --data /srv/hall --acme hall.example.org\n" +
			"  keyhall up --data /srv/hall --http 0.0.0.0:8420 --tls-cert chain.pem --tls-key key.pem",
		Args: needs(),
	}
	flags := c.Flags()
	flags.StringVar(&options.DataDir, "data", "", "the hub's data folder (default in your data folder)")
	flags.StringVar(&options.HTTP, "http", hub.DefaultHTTP, "where members reach the hub")
	flags.StringVar(&options.NATS, "nats", hub.DefaultNATS, "where programs that speak NATS reach it")
	flags.StringVar(&attach.URL, "attach", "", "use the NATS system at this URL instead of the embedded server")
	flags.StringVar(&attach.Creds, "creds", "", "with --attach: the file that opens that system to the hub")
	flags.StringArrayVar(&proxies, "trust-proxy", nil, "network of a web server in front, whose word on addresses is taken (again for more)")
	flags.StringVar(&options.Audit.Metrics, "metrics", "", "serve Prometheus metrics of logins at this address, to whoever reaches it: 127.0.0.1:9090")
	flags.Var(&auditAge, "audit-age", "how long the audit of logins is kept (default 90d)")
	flags.Int64Var(&options.Audit.MaxBytes, "audit-bytes", audit.DefaultMaxBytes, "how large the audit of logins may become")
	flags.StringVar(&level, "log-level", "warn", "what to log on standard error: debug, info, warn or error")
	flags.BoolVar(&demo, "demo", false, "a hub to try, with alice and bob, that is thrown away when it stops")
	secure.register(c)
	provider.register(c)
	_ = c.MarkFlagDirname("data")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if options.Logger, err = p.logger(cmd, level); err != nil {
			return err
		}
		if demo {
			if err := checkDemo(cmd); err != nil {
				return err
			}
			return p.runDemo(cmd.Context(), cmd, options)
		}
		if (attach.URL == "") != (attach.Creds == "") {
			return wrong(cmd, "--attach and --creds go together")
		}
		if options.TrustProxy, err = httpd.ParseProxies(proxies); err != nil {
			return wrong(cmd, "%s", err)
		}
		if options.Audit.MaxBytes < 1<<20 {
			return wrong(cmd, "--audit-bytes is a number of bytes from %d", 1<<20)
		}
		if err := secure.apply(cmd, &options); err != nil {
			return err
		}
		if err := provider.apply(cmd, &options); err != nil {
			return err
		}
		options.Audit.MaxAge = time.Duration(auditAge)
		if attach.URL != "" {
			options.Attach = &attach
		}
		if options.DataDir == "" {
			if options.DataDir, err = defaultData(); err != nil {
				return err
			}
		}
		if options.DataDir, err = filepath.Abs(options.DataDir); err != nil {
			return err
		}
		return p.runHub(cmd.Context(), options)
	}
	return c
}

func (p *program) logger(cmd *cobra.Command, level string) (*slog.Logger, error) {
	var at slog.Level
	if err := at.UnmarshalText([]byte(level)); err != nil {
		return nil, wrong(cmd, "%q is no log level; choose debug, info, warn or error", level)
	}
	return slog.New(slog.NewTextHandler(p.sys.Err, &slog.HandlerOptions{Level: at})), nil
}

// runHub runs a hub until ctx ends or a part of it fails. One whose disk is full ends, so
// that nobody takes it for one that works, and begins again where it was when there is room.
func (p *program) runHub(ctx context.Context, options hub.Options) error {
	h, err := hub.Start(ctx, options)
	if err != nil {
		return err
	}
	p.announce(h, options.DataDir)
	p.warnOfPlain(options)
	for {
		err := h.Wait(ctx)
		options.HTTP, options.NATS = h.Addresses()
		closed := h.Close()
		if !errors.Is(err, natsd.ErrStorage) {
			return errors.Join(err, closed)
		}
		p.warn("%s. It is stopped until there is room; nothing that it acknowledged is lost", sentence(err))
		if err := natsd.AwaitRoom(ctx, options.DataDir); err != nil {
			return nil //nolint:nilerr // its host ended it
		}
		if h, err = hub.Start(ctx, options); err != nil {
			return err
		}
		p.warn("there is room again; the hub goes on")
	}
}

func (p *program) announce(h *hub.Hub, dataDir string) {
	if p.json {
		p.out.object(upReady{HTTP: h.HTTP(), NATS: h.NATS(), Redirect: h.Plain(), Invite: h.Invite()})
		return
	}
	p.out.line("Your hub is running.")
	p.out.line("  members  %s", h.HTTP())
	p.out.line("  NATS     %s", h.NATS())
	p.out.line("  data     %s", dataDir)
	if code := h.Invite(); code != "" {
		p.out.line("")
		p.out.line("This is its first start. Join it yourself within a week: open this in a browser")
		p.out.line("")
		p.out.line("  %s", client.InviteURL(h.HTTP(), code))
		p.out.line("")
		p.out.line("or, from another terminal:")
		p.out.line("")
		p.out.line("  keyhall join %s --invite %s --handle YOUR-NAME", h.HTTP(), code)
	}
	p.out.line("")
	p.out.line("Press Ctrl-C to stop it.")
}

// defaultData is where a hub keeps its data unless told otherwise: where the user's other
// programs do, apart from the profile, since the one is the hub's and the other a member's.
func defaultData() (string, error) {
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" && runtime.GOOS != "darwin" && runtime.GOOS != "windows" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", unknownHome(err)
		}
		base = filepath.Join(home, ".local", "share")
	}
	if base == "" {
		var err error
		if base, err = os.UserConfigDir(); err != nil {
			return "", unknownHome(err)
		}
	}
	return filepath.Join(base, "keyhall-hub"), nil
}

func unknownHome(err error) error {
	return fault.Wrap(fault.NotFound, err, "your home folder is not known; name a data folder with --data")
}
