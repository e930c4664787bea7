package service

import (
	"keyhall.dev/keyhall/internal/callout/backend/certs"
)

// addCertificates adds the backend of client certificates. It comes last: it takes the logins
// that say nothing else.
func (b *backends) addCertificates() error {
	if b.config.Certificates == nil {
		return nil
	}
	backend, err := certs.New(*b.config.Certificates, signers(b.accounts), b.config.Roles)
	if err != nil {
		return err
	}
	b.list = append(b.list, backend)
	return nil
}
