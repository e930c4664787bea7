package attack

import (
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"

	"keyhall.dev/keyhall/trust"
)

// bring puts a token for a new device of one's own on one's chain: -how says what is wrong
// with it.
//
//	honest    nothing
//	wide      it allows everything
//	bearer    it asks for no signature
//	long      it lives for two years
//	tagged    it has a tag
//	for:A     it is for account A
//	later     it begins tomorrow
//	short     it ends in a moment; the device's profile is written to -keep
func bringDevice(c *call) error {
	f := c.forgery()
	how := c.flags.String("how", "honest", "what is wrong with the token")
	keep := c.flags.String("keep", "", "a profile folder for the device")
	if err := c.parse(1, 1); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	n := *s
	n.identity, n.device = nil, trust.NewKeyPair(trust.Device)
	if n.settings.Token, err = s.tokenFor(n.device, c.arg(0), *how); err != nil {
		return err
	}
	if *keep != "" {
		if err := n.write(*keep); err != nil {
			return err
		}
	}
	return c.addDevice(s, f, n.settings.Token)
}

func (s *self) tokenFor(device *trust.KeyPair, name, how string) (string, error) {
	now := time.Now()
	life := time.Hour
	if how == "short" {
		life = 3 * time.Second
	}
	honest, err := trust.IssueDevice(s.identity, device.Public(), name, now, now.Add(life))
	if err != nil || how == "honest" || how == "short" {
		return honest.Text, err
	}
	claims, err := jwt.DecodeUserClaims(honest.Text)
	if err != nil {
		return "", err
	}
	switch kind, rest := how[:min(4, len(how))], how[min(4, len(how)):]; {
	case how == "wide":
		claims.Permissions = jwt.Permissions{}
	case how == "bearer":
		claims.BearerToken = true
	case how == "long":
		claims.Expires = now.Add(2 * trust.MaxTokenLife).Unix()
	case how == "tagged":
		claims.Tags.Add("*")
	case how == "later":
		claims.NotBefore = now.Add(24 * time.Hour).Unix()
	case kind == "for:":
		claims.IssuerAccount = rest
	default:
		return "", fmt.Errorf("%w: %q", errUsage, how)
	}
	return claims.Encode(s.identity.NKey())
}

// accountJWT shows an account JWT for one's own account that one signed oneself, with an
// import of ACCOUNT's SUBJECT.
func accountJWT(c *call) error {
	if err := c.parse(2, 2); err != nil {
		return err
	}
	s, err := me()
	if err != nil {
		return err
	}
	claims := jwt.NewAccountClaims(s.account())
	claims.Name = "mallory"
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit}
	claims.Imports.Add(&jwt.Import{
		Account: c.arg(0), Subject: jwt.Subject(c.arg(1)), LocalSubject: "stolen.>", Type: jwt.Service,
	})
	token, err := claims.Encode(s.identity.NKey())
	if err != nil {
		return err
	}
	report("%s", fmt.Sprintf(`{"jwt":%q}`, token))
	return nil
}
