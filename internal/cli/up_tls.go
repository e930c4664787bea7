package cli

import (
	"net"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/hub"
)

// The addresses of a hub on the internet.
const (
	httpsAddress = ":443"
	plainAddress = ":80"
)

// tlsFlags say how a hub comes to its certificate.
type tlsFlags struct {
	files httpd.TLS
	acme  httpd.ACME
}

func (f *tlsFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.files.Cert, "tls-cert", "", "speak https with the certificate in this PEM file, and notice when it changes")
	flags.StringVar(&f.files.Key, "tls-key", "", "the key of --tls-cert")
	flags.StringArrayVar(&f.acme.Domains, "acme", nil, "speak https with a certificate for this name, got from Let's Encrypt (again for more names)")
	flags.StringVar(&f.acme.Email, "acme-email", "", "where the authority may write to")
	flags.StringVar(&f.acme.Directory, "acme-directory", "", "another ACME authority, by its directory's URL")
	flags.StringVar(&f.acme.CA, "acme-ca", "", "a file with the certificates that vouch for that authority's own server")
	flags.StringVar(&f.files.Plain, "redirect", "", "answer plain HTTP here with the way to https (default "+plainAddress+" with --acme)")
	for _, name := range []string{"tls-cert", "tls-key", "acme-ca"} {
		_ = c.MarkFlagFilename(name)
	}
}

// apply puts what was said into the options of a hub.
func (f *tlsFlags) apply(c *cobra.Command, o *hub.Options) error {
	changed := c.Flags().Changed
	acme, files := len(f.acme.Domains) > 0, changed("tls-cert") || changed("tls-key")
	switch {
	case (f.files.Cert == "") != (f.files.Key == ""):
		return wrong(c, "--tls-cert and --tls-key go together")
	case acme && files:
		return wrong(c, "--acme gets a certificate, --tls-cert has one: give one of them")
	case !acme && (changed("acme-email") || changed("acme-directory") || changed("acme-ca")):
		return wrong(c, "--acme-email, --acme-directory and --acme-ca go with --acme")
	case !acme && !files && changed("redirect"):
		return wrong(c, "--redirect leads to https, so it goes with --tls-cert or --acme")
	case !acme && !files:
		return nil
	}
	o.TLS = &f.files
	if acme {
		o.TLS.ACME = &f.acme
		if !changed("http") {
			o.HTTP = httpsAddress
		}
		if !changed("redirect") {
			o.TLS.Plain = plainAddress
		}
	}
	return nil
}

// warnOfPlain says what a hub in the open without TLS cannot do.
func (p *program) warnOfPlain(o hub.Options) {
	host, _, err := net.SplitHostPort(o.HTTP)
	if ip := net.ParseIP(host); err != nil || o.TLS != nil || host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return
	}
	p.warn("members' browsers refuse keys and service workers on plain http, unless on this machine: for the web app give the hub a certificate " +
		"(--acme, --tls-cert) or a web server in front that has one; keyhall itself works without")
}
