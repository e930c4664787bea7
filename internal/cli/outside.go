package cli

import (
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
)

// calloutPlace says whose callout a command is about: that of a hub on this machine, or one
// that runs on its own, which is reached over NATS with creds of an auth user.
type calloutPlace struct{ data, nats, creds, ca string }

func (f *calloutPlace) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.data, "data", "", "the hub's data folder (as for keyhall up)")
	flags.StringVar(&f.nats, "nats", "", "with --creds: the NATS servers of a callout on its own (default $"+natsVariable+", else "+natsDefault+")")
	flags.StringVar(&f.creds, "creds", "", "the creds file of the callout's user, for a callout on its own")
	flags.StringVar(&f.ca, "ca", "", "with --creds: a file with the certificates of the authority that vouches for the servers")
	_ = c.MarkFlagDirname("data")
	_ = c.MarkFlagFilename("ca")
	_ = c.MarkFlagFilename("creds")
}

func (f *calloutPlace) check(c *cobra.Command) error {
	switch {
	case f.nats != "" && f.creds == "":
		return wrong(c, "--nats needs --creds: the creds file of the callout's user")
	case f.ca != "" && f.creds == "":
		return wrong(c, "--ca goes with --creds: a hub on this machine needs neither")
	case f.data != "" && f.creds != "":
		return wrong(c, "--data is for a hub on this machine, --nats and --creds for a callout on its own: give one of them")
	}
	return nil
}

// onItsOwn reports whether the callout runs on its own.
func (f *calloutPlace) onItsOwn() bool { return f.creds != "" }

// hub opens the hub on this machine.
func (f *calloutPlace) hub(c *cobra.Command, do func(*hub.OnMachine) error) error {
	asked := false
	err := onMachine(&f.data, func(m *hub.OnMachine, _ *cobra.Command, _ []string) error {
		asked = true
		return do(m)
	})(c, nil)
	if !asked && f.data == "" && fault.Is(err, fault.NotFound) {
		return fault.Wrap(fault.NotFound, err, "%s; a callout on its own is asked with --creds FILE (and --nats URL)", err)
	}
	return err
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
	if f.ca != "" {
		options = append(options, nats.RootCAs(f.ca))
	}
	nc, err := nats.Connect(server, append(options, own.options()...)...)
	if err != nil {
		return nil, nil, outsideRefusal(err, shown, f.creds)
	}
	return nc, own, nil
}

// outsideRefusal is the error of a connection to servers that are no hub's, which was not made.
func outsideRefusal(err error, servers, creds string) error {
	text := strings.TrimPrefix(err.Error(), "nats: ")
	// A server that asks a callout which does not answer sends a PING meanwhile.
	waits := strings.Contains(text, "expected 'PONG', got 'PING'")
	switch {
	case waits, errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fault.Wrap(fault.Refused, err, "the server at %s does not let you in with %s; name another file with creds", servers, creds)
	case errors.Is(err, nats.ErrNoServers):
		return fault.Wrap(fault.Unavailable, err, "no NATS server answers at %s; is it running, and is the address right (--nats)?", servers)
	case strings.Contains(text, "rootCA"):
		return fault.Wrap(fault.NotFound, err, "the file named as --ca cannot be used: %s", text)
	case strings.Contains(text, "x509"):
		return fault.Wrap(fault.Refused, err, "the certificate of the server at %s is not trusted (%s): name the file with its authority as --ca", servers, text)
	}
	return fault.Wrap(fault.Unavailable, err, "no NATS server answers at %s: %s", servers, text)
}

// utc writes a time for programs and for records: to the millisecond, in UTC.
func utc(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
