package cli

import (
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/hub"
	"keyhall.dev/keyhall/internal/signin"
)

// oidcFlags are the flags of up that name the host's identity provider.
type oidcFlags struct {
	issuer, client, secret, name string
}

func (o *oidcFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&o.issuer, "oidc-issuer", "", "let people sign in to the web app by this identity provider (OpenID Connect, a URL)")
	flags.StringVar(&o.client, "oidc-client", "", "with --oidc-issuer: the hub's client id there")
	flags.StringVar(&o.secret, "oidc-secret", "", "with --oidc-issuer: the file that holds the client's secret, if it has one")
	flags.StringVar(&o.name, "oidc-name", "", "with --oidc-issuer: what people call it (default its host)")
}

// apply puts the provider into a hub's options, where there is one.
func (o *oidcFlags) apply(cmd *cobra.Command, options *hub.Options) error {
	if o.issuer == "" && o.client == "" && o.secret == "" && o.name == "" {
		return nil
	}
	if o.issuer == "" || o.client == "" {
		return wrong(cmd, "--oidc-issuer and --oidc-client go together")
	}
	at, err := url.Parse(o.issuer)
	if err != nil || at.Host == "" || (at.Scheme != "https" && !isLoopbackURL(at)) {
		return wrong(cmd, "--oidc-issuer is an https URL; plain http is for providers on this machine")
	}
	provider := &signin.Provider{Issuer: o.issuer, Client: o.client, Name: o.name}
	if provider.Name == "" {
		provider.Name = at.Hostname()
	}
	if o.secret != "" {
		text, err := os.ReadFile(o.secret)
		if err != nil {
			return fault.Wrap(fault.NotFound, err, "the file %s cannot be read", o.secret)
		}
		if provider.Secret = strings.TrimSpace(string(text)); provider.Secret == "" {
			return fault.New(fault.Malformed, "the file %s holds no secret", o.secret)
		}
	}
	options.Provider = provider
	return nil
}

func isLoopbackURL(at *url.URL) bool {
	host := at.Hostname()
	return at.Scheme == "http" && (host == "localhost" || host == "127.0.0.1" || host == "::1")
}
