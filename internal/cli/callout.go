package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/callout/service"
)

const drainTime = 30 * time.Second // for logins under way when the callout is told to stop

// callout runs the auth callout on its own; its sub-commands are about it.
func (p *program) callout() *cobra.Command {
	var f calloutFlags
	c := &cobra.Command{
		Use:   "callout [--config FILE] [--nats URL] [--creds FILE] [--issuer FILE] [--xkey FILE] [--sentinel FILE] [--account NAME=A...:KEYFILE]... [--users FILE]",
		Short: "Decide who may log in to NATS servers of your own: passwd, explain, inspect, reissue, sessions, revoke",
		Long: "Answer the login requests of NATS servers in operator mode (auth callout), for one\n" +
			"account AUTH, from a users file, bearer tokens (OIDC) and client certificates. Users\n" +
			"with creds of their own are not asked about.\n\n" +
			"It checks keys and servers before it begins, and refuses what would not be safe. It\n" +
			"reads its files again when they change or on SIGHUP, without losing a login, and\n" +
			"stops on SIGTERM when those under way are answered. Several may run side by side.\n\n" +
			"Every flag, say --system-creds, is a field of --config's YAML file too (system_creds) and\n" +
			"a variable (" + service.Variable + "SYSTEM_CREDS); roles, oidc, certificates and audit are\n" +
			"in the file alone. A flag goes before a variable, a variable before the file. No flag\n" +
			"takes a secret: they are in files or, as env:NAME in the place of a file, in variables.\n" +
			"How to set it up in ten minutes is in docs/operations.md, The callout on its own.",
		Example: "  keyhall callout --creds auth.creds --issuer AUTH.nk --xkey auth.xk --sentinel sentinel.creds --account APP1=A...:APP1.nk --users users.json\n" +
			"  keyhall callout --config /etc/keyhall/callout.yaml\n" +
			"  keyhall callout explain --user alice --config /etc/keyhall/callout.yaml",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return nil
		},
		SuggestionsMinimumDistance: 2,
	}
	f.register(c)
	f.registerService(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		source, err := f.source(cmd, p)
		if err != nil {
			return err
		}
		return p.runCallout(cmd.Context(), source)
	}
	c.AddCommand(p.calloutPasswd(), p.calloutExplain(), p.calloutInspect(), p.calloutReissue(),
		p.calloutSessions(), p.calloutRevoke())
	return c
}

// calloutFlags are the flags of a callout's configuration.
type calloutFlags struct {
	file     string
	nats     []string
	accounts []string
	said     service.Config
}

// register adds the flags that say who may log in, and as what.
func (f *calloutFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.file, "config", "", "a YAML file with the configuration")
	flags.StringArrayVar(&f.accounts, "account", nil, "an account for logins and the file with a signing key of it: NAME=A...:KEYFILE[:scoped]; may come many times")
	flags.StringVar(&f.said.Users, "users", "", "the users file")
	_ = c.MarkFlagFilename("config")
	_ = c.MarkFlagFilename("users")
}

// registerService adds those that a running callout needs besides.
func (f *calloutFlags) registerService(c *cobra.Command) {
	flags := c.Flags()
	flags.StringSliceVar(&f.nats, "nats", nil, "the NATS servers (default "+service.DefaultNATS+")")
	for _, file := range []struct {
		to         *string
		name, what string
	}{
		{&f.said.Creds, "creds", "the creds file of an auth user of AUTH"},
		{&f.said.Issuer, "issuer", "the file with the seed of AUTH, or of a signing key of it"},
		{&f.said.XKey, "xkey", "the file with the seed of AUTH's xkey"},
		{&f.said.Sentinel, "sentinel", "the creds file of the sentinel, for the check at the start; not needed where servers have a default one"},
		{&f.said.AuthJWT, "auth-jwt", "a file with AUTH's account JWT, for the check at the start"},
		{&f.said.SystemCreds, "system-creds", "the creds file of a limited user of the system account, for closing connections"},
		{&f.said.CA, "ca", "a file with the certificates of the authority that vouches for the servers"},
	} {
		flags.StringVar(file.to, file.name, "", file.what)
		_ = c.MarkFlagFilename(file.name)
	}
	flags.StringVar(&f.said.Metrics, "metrics", "", "serve Prometheus metrics at this address: 127.0.0.1:9090")
	flags.StringVar(&f.said.LogLevel, "log-level", "", "what to log on standard error: debug, info, warn or error (default "+service.DefaultLogLevel+")")
	flags.StringVar(&f.said.Queue, "queue", "", "the queue group in which replicas share the work (default "+service.DefaultQueue+")")
	flags.IntVar(&f.said.InFlight, "in-flight", 0, "how many logins are worked on at a time (default 256)")
}

// source is where the configuration comes from.
func (f *calloutFlags) source(c *cobra.Command, p *program) (service.Source, error) {
	said := f.said
	said.NATS = f.nats
	for _, text := range f.accounts {
		account, err := service.ParseAccount(text)
		if err != nil {
			return service.Source{}, wrong(c, "--account: %s", sentence(err))
		}
		said.Accounts = append(said.Accounts, account)
	}
	if c.Flags().Changed("in-flight") && said.InFlight < 1 {
		return service.Source{}, wrong(c, "--in-flight is a number from 1")
	}
	return service.Source{File: f.file, Flags: said, Env: p.sys.Env}, nil
}

// runCallout runs a callout until ctx ends.
func (p *program) runCallout(ctx context.Context, source service.Source) error {
	config, err := source.Load()
	if err != nil {
		return err
	}
	level, err := config.Level()
	if err != nil {
		return err
	}
	// Before anything else: the signal's default is to end the program.
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	s, err := service.Start(ctx, service.Options{
		Source: source,
		Logger: slog.New(slog.NewTextHandler(p.sys.Err, &slog.HandlerOptions{Level: level})),
		Say:    func(sentence string) { p.warn("%s", sentence) },
	})
	if err != nil {
		return err
	}
	p.calloutReady(s.Ready())
	err = s.Run(ctx, again)
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return errors.Join(err, s.Close(draining))
}

func (p *program) calloutReady(r service.Ready) {
	if p.json {
		p.out.object(r)
		return
	}
	line := "The callout is ready: " + strings.Join(r.Backends, ", ") + " for " + strings.Join(r.Accounts, ", ") + ", at " + r.NATS
	if r.Metrics != "" {
		line += ", metrics at " + r.Metrics
	}
	p.out.line("%s", line)
}
