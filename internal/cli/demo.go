package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/demo"
	"keyhall.dev/keyhall/internal/hub"
)

// demoReady is what up --demo prints with --json once everything is there.
type demoReady struct {
	HTTP  string `json:"http"`
	NATS  string `json:"nats"`
	Demo  bool   `json:"demo"`
	Alice string `json:"alice"` // address for alice's window
	Bob   string `json:"bob"`
}

// checkDemo refuses flags that have no meaning for a hub that is thrown away.
func checkDemo(c *cobra.Command) error {
	for _, name := range []string{"data", "attach", "creds", "acme", "tls-cert", "tls-key", "redirect", "trust-proxy", "metrics", "audit-age", "audit-bytes"} {
		if c.Flags().Changed(name) {
			return wrong(c, "--demo is a hub that is thrown away, on this machine alone: leave out --%s", name)
		}
	}
	return nil
}

// runDemo runs a demonstration until ctx ends.
func (p *program) runDemo(ctx context.Context, c *cobra.Command, o hub.Options) error {
	options := demo.Options{Logger: o.Logger}
	if c.Flags().Changed("http") {
		options.HTTP = o.HTTP
	}
	if c.Flags().Changed("nats") {
		options.NATS = o.NATS
	}
	if p.onTerminal() {
		options.Progress = func(what string) { p.err.line("%s …", what) }
	}
	d, err := demo.Start(ctx, options)
	if err != nil {
		return err
	}
	p.announceDemo(d)
	return errors.Join(d.Wait(ctx), d.Close())
}

func (p *program) announceDemo(d *demo.Demo) {
	alice, bob := d.Windows()
	if p.json {
		p.out.object(demoReady{HTTP: d.HTTP(), NATS: d.NATS(), Demo: true, Alice: alice, Bob: bob})
		return
	}
	p.out.line("*** DEMO *** This hub is thrown away when it stops, and everybody knows its passwords. ***")
	p.out.line("")
	p.out.line("Open two browser windows beside each other and sign in:")
	p.out.line("")
	p.out.line("  %-24s  name alice  password alice", alice)
	p.out.line("  %-24s  name bob    password bob", bob)
	p.out.line("")
	p.out.line("(Two addresses of one hub, so that your browser takes them for two machines.)")
	p.out.line("")
	p.out.line("Then, for example")
	p.out.line("  - write to each other in the room all1;")
	p.out.line("  - as bob, try to enter alice1;")
	p.out.line("  - as bob, open alice's catalog evenings, play the film, and go to its end;")
	p.out.line("  - as bob, accept the catalog letters, which alice offers.")
	p.out.line("")
	p.out.line("Press Ctrl-C to stop it. Nothing of it stays.")
}
