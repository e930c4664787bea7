package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/callout/inspect"
	"keyhall.dev/keyhall/internal/callout/service"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/keyfile"
)

// shownOthers is how many names a finding shows; --json shows all.
const shownOthers = 8

// adminFlags say how an operator's command reaches the servers.
type adminFlags struct {
	nats, ca string
}

func (f *adminFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.nats, "nats", "", "the NATS servers, with commas (default $"+natsVariable+", else "+natsDefault+")")
	c.Flags().StringVar(&f.ca, "ca", "", "a file with the certificates of the authority that vouches for the servers")
	_ = c.MarkFlagFilename("ca")
}

// connect connects with creds, and a private inbox where there is one.
func (f *adminFlags) connect(c *cobra.Command, p *program, creds *keyfile.Creds, path, inbox string) (*nats.Conn, error) {
	server := f.nats
	for _, next := range []string{p.sys.Env(natsVariable), natsDefault} {
		if server == "" {
			server = next
		}
	}
	shown, _, err := showURLs(server)
	if err != nil {
		return nil, wrong(c, "the server's URL cannot be read; write it as %s", natsDefault)
	}
	options := []nats.Option{
		nats.Name(c.CommandPath()), nats.UserCredentialBytes(creds.Text), nats.NoReconnect(), nats.Timeout(answerTime),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // LastError has it
	}
	if inbox != "" {
		options = append(options, nats.CustomInboxPrefix(inbox))
	}
	if f.ca != "" {
		options = append(options, nats.RootCAs(f.ca))
	}
	nc, err := nats.Connect(server, options...)
	if err != nil {
		return nil, outsideRefusal(err, shown, path)
	}
	return nc, nil
}

// inspection are the flags of callout inspect.
type inspection struct {
	adminFlags
	creds, system, account, accountJWT, inbox, config string
	servers                                           int
	wait                                              time.Duration
}

func (p *program) calloutInspect() *cobra.Command {
	var f inspection
	c := &cobra.Command{
		Use:   "inspect (--creds FILE | --system-creds FILE --account A...) [--account-jwt FILE] [--config FILE] [--servers N] [--nats URL]",
		Short: "Say who can read or inject into whose inbox, in a running account",
		Long: "Ask the servers for the connections of an account, and say who of its users may hear\n" +
			"answers to others, publish into their inboxes, or be made to, and what to do about it.\n\n" +
			"Any user of the account may ask (--creds), unless it is denied; then --account-jwt is\n" +
			"needed to judge scoped signing keys and default permissions. A user of the system\n" +
			"account may ask for any account (--system-creds) and needs no file. Servers tell of who\n" +
			"is connected now, and of no other creds; your own connection is left out. Of logins\n" +
			"through an auth callout they do not tell what these may: --config, the configuration of\n" +
			"a keyhall callout, says what they would get now.\n\n" +
			"The exit status is 0 if nothing was found and everything was seen, 1 if there are\n" +
			"findings, and 3 if there are none but not everything could be seen. Warnings, which\n" +
			"harm nobody by themselves, do not count.",
		Example: "  keyhall callout inspect --creds me.creds\n" +
			"  keyhall callout inspect --system-creds sys.creds --account ACXZ... --servers 3\n" +
			"  keyhall callout inspect --system-creds sys.creds --account ACXZ... --json | jq -r 'select(.warning | not).user'",
		Args: needs(),
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.creds, "creds", "", "the creds file of a user of the account")
	flags.StringVar(&f.system, "system-creds", "", "the creds file of a user of the system account")
	flags.StringVar(&f.account, "account", "", "the account to inspect (A...), with --system-creds")
	flags.StringVar(&f.accountJWT, "account-jwt", "", "a file with the account's JWT, with --creds")
	flags.StringVar(&f.config, "config", "", "the configuration of the callout that logins go through (YAML)")
	flags.StringVar(&f.inbox, "inbox-prefix", "", "the inbox prefix of --creds, where its JWT does not say")
	flags.IntVar(&f.servers, "servers", 0, "how many servers have to answer (default: as many as do)")
	flags.DurationVar(&f.wait, "wait", 0, "how long to wait for one more server (default 750ms)")
	for _, name := range []string{"creds", "system-creds", "account-jwt", "config"} {
		_ = c.MarkFlagFilename(name)
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		report, err := f.run(cmd, p)
		if err != nil {
			return err
		}
		return p.showInspection(report)
	}
	return c
}

// check finds what is wrong with the flags.
func (f *inspection) check(c *cobra.Command) error {
	switch {
	case (f.creds == "") == (f.system == ""):
		return wrong(c, "inspect needs either --creds, of a user of the account, or --system-creds")
	case f.system != "" && !isAccount(f.account):
		return wrong(c, "--system-creds may ask for any account: say which with --account A...")
	case f.creds != "" && f.account != "":
		return wrong(c, "--creds are of one account, and may ask for no other; --account goes with --system-creds")
	case f.servers < 0 || f.wait < 0:
		return wrong(c, "--servers and --wait are numbers from 0")
	}
	return nil
}

func (f *inspection) run(c *cobra.Command, p *program) (*inspect.Report, error) {
	if err := f.check(c); err != nil {
		return nil, err
	}
	path := f.creds + f.system // one of them is empty
	creds, err := keyfile.ReadCreds(path)
	if err != nil {
		return nil, err
	}
	o := inspect.Options{Account: f.account, System: f.system != "", Servers: f.servers, Quiet: f.wait}
	if f.creds != "" {
		o.Account = creds.Account()
	}
	if f.accountJWT != "" {
		if o.Claims, err = readAccountJWT(f.accountJWT, o.Account); err != nil {
			return nil, err
		}
	}
	if f.config != "" {
		if o.Login, err = f.logins(c.Context(), p); err != nil {
			return nil, err
		}
	}
	inbox := f.inbox
	if inbox == "" {
		inbox = inspect.InboxOf(creds.Claims)
	}
	nc, err := f.connect(c, p, creds, path, inbox)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	return inspect.Inspect(c.Context(), nc, o)
}

// logins says what a login gets by the callout's configuration.
func (f *inspection) logins(ctx context.Context, p *program) (func(context.Context, string) (*inspect.Login, error), error) {
	source := service.Source{File: f.config, Env: p.sys.Env}
	// Who knows nobody of this name can be asked; anything else is wrong with the configuration.
	_, err := source.Explain(ctx, callout.Query{User: "-"})
	if err != nil && (!fault.Is(err, fault.NotFound) || errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	return func(ctx context.Context, name string) (*inspect.Login, error) {
		e, err := source.Explain(ctx, callout.Query{User: name})
		if err != nil {
			return nil, err
		}
		login := &inspect.Login{Account: e.Account, Scoped: e.Scoped, Tags: e.Tags, Permissions: jwt.Permissions{
			Pub: jwt.Permission{Allow: e.Publish.Allow, Deny: e.Publish.Deny},
			Sub: jwt.Permission{Allow: e.Subscribe.Allow, Deny: e.Subscribe.Deny},
		}}
		if e.Responses != nil {
			login.Permissions.Resp = &jwt.ResponsePermission{MaxMsgs: e.Responses.Max}
		}
		return login, nil
	}, nil
}

// readAccountJWT reads a file with the JWT of an account.
func readAccountJWT(path, account string) (*jwt.AccountClaims, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for word := range strings.FieldsSeq(string(text)) { // tools put lines around it
		claims, err := jwt.DecodeAccountClaims(word)
		switch {
		case err != nil:
		case claims.Subject != account:
			return nil, fault.New(fault.Malformed, "%s holds the JWT of another account: %s", path, claims.Subject)
		default:
			return claims, nil
		}
	}
	return nil, fault.New(fault.Malformed, "%s does not hold the JWT of an account", path)
}

// shownFinding is what inspect prints with --json, one for each finding and, with finding
// "unseen", one for each thing that could not be judged.
type shownFinding struct {
	Finding     string   `json:"finding"`
	Warning     bool     `json:"warning"`
	User        string   `json:"user,omitempty"`
	Key         string   `json:"key,omitempty"`
	Connections []string `json:"connections,omitempty"` // server/client id
	Others      []string `json:"others,omitempty"`
	Subject     string   `json:"subject,omitempty"`
	Detail      string   `json:"detail"`
	Remedy      string   `json:"remedy,omitempty"`
}

// showInspection prints a report and says by its error how it went.
func (p *program) showInspection(r *inspect.Report) error {
	grave := 0
	for _, f := range r.Findings {
		if !f.Kind.Warning() {
			grave++
		}
		if p.json {
			p.out.object(shownFinding{
				string(f.Kind), f.Kind.Warning(), f.User.Name, f.User.Key, f.User.Connections, f.Others, f.Subject, f.Detail, f.Remedy,
			})
			continue
		}
		p.showInbox(r, f)
	}
	for _, one := range r.Unseen {
		if p.json {
			p.out.object(shownFinding{Finding: "unseen", Warning: true, Detail: one})
		} else {
			p.out.line("unseen    %s", one)
		}
	}
	if !p.json {
		p.showInspected(r)
	}
	switch {
	case grave > 0:
		return fault.New(fault.Refused, "%s: inboxes of this account are not private", count(grave, "finding", "findings"))
	case len(r.Unseen) > 0:
		return partly{fault.New(fault.Unavailable, "nothing was found, but not everything could be seen")}
	}
	return nil
}

// showInbox prints a finding for people.
func (p *program) showInbox(r *inspect.Report, f inspect.Finding) {
	kind := string(f.Kind)
	if f.Kind.Warning() {
		kind = "warning"
	}
	others := strings.Join(f.Others[:min(len(f.Others), shownOthers)], ", ")
	if more := len(f.Others) - shownOthers; more > 0 {
		others += " and " + count(more, "other", "others")
	}
	if others != "" {
		others = ": " + others
	}
	if r.Everybody(f.Others) {
		others += " (everybody)"
	}
	p.out.line("%-9s %s %s%s", kind, f.User.Name, f.Detail, others)
	at := strings.Join(f.User.Connections[:min(len(f.User.Connections), shownOthers)], ", ")
	if f.Subject != "" {
		at += ", on " + f.Subject
	}
	p.out.line("          at %s", at)
	p.out.line("          → %s", f.Remedy)
}

// showInspected prints who was looked at.
func (p *program) showInspected(r *inspect.Report) {
	if len(r.Findings)+len(r.Unseen) > 0 {
		p.out.line("")
	}
	var t table
	t.row("USER", "CONNECTIONS", "INBOXES", "KEY")
	for _, u := range r.Users {
		inboxes := strings.Join(u.Inboxes, " ")
		if inboxes == "" {
			inboxes = "-"
		}
		t.row(u.Name, count(len(u.Connections), "connection", "connections"), inboxes, u.Key)
	}
	t.print(&p.out)
	p.out.line("%s of %s on %s (%s), account %s",
		count(r.Connections, "connection", "connections"), count(len(r.Users), "user", "users"),
		count(len(r.Servers), "server", "servers"), strings.Join(r.Servers, ", "), r.Account)
}
