package cli

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
)

// calloutPlace says whose callout a command is about: that of a hub on this machine, or one
// that runs on its own, which is reached over NATS with creds of an auth user.
type calloutPlace struct{ data, nats, creds string }

func (f *calloutPlace) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.data, "data", "", "the hub's data folder (as for keyhall up)")
	flags.StringVar(&f.nats, "nats", "", "with --creds: the NATS servers of a callout on its own (default $"+natsVariable+", else "+natsDefault+")")
	flags.StringVar(&f.creds, "creds", "", "the creds file of the callout's user, for a callout on its own")
	_ = c.MarkFlagDirname("data")
	_ = c.MarkFlagFilename("creds")
}

func (f *calloutPlace) check(c *cobra.Command) error {
	switch {
	case f.nats != "" && f.creds == "":
		return wrong(c, "--nats needs --creds: the creds file of the callout's user")
	case f.data != "" && f.creds != "":
		return wrong(c, "--data is for a hub on this machine, --nats and --creds for a callout on its own: give one of them")
	}
	return nil
}

// onItsOwn reports whether the callout runs on its own.
func (f *calloutPlace) onItsOwn() bool { return f.creds != "" }

// hub opens the hub on this machine.
func (f *calloutPlace) hub(c *cobra.Command, do func(*hub.OnMachine) error) error {
	return onMachine(&f.data, func(m *hub.OnMachine, _ *cobra.Command, _ []string) error { return do(m) })(c, nil)
}

// connect connects as the callout's user, with an inbox of its own: others are not answered.
func (p *program) connectOutside(f *calloutPlace) (*nats.Conn, *credentials, error) {
	own, err := readCreds(f.creds)
	if err != nil {
		return nil, nil, err
	}
	server := f.nats
	if server == "" {
		server = p.sys.Env(natsVariable)
	}
	if server == "" {
		server = natsDefault
	}
	shown, _, err := showURLs(server)
	if err != nil {
		return nil, nil, fault.New(fault.Malformed, "the servers' URL cannot be read; write it as %s", natsDefault)
	}
	options := []nats.Option{
		nats.Name("keyhall"), nats.Timeout(answerTime), nats.CustomInboxPrefix("_INBOX_" + own.key.String()),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { p.warn("the servers say: %v", err) }),
	}
	nc, err := nats.Connect(server, append(options, own.options()...)...)
	if err != nil {
		return nil, nil, (&bus{url: shown}).notConnected(err, own)
	}
	return nc, own, nil
}

// utc writes a time for programs and for records: to the millisecond, in UTC.
func utc(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
