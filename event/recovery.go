package event

import (
	"fmt"
	"time"

	"keyhall.dev/keyhall/trust"
)

// MaxRecovery is the largest sealed backup, in bytes.
const MaxRecovery = 64 << 10

const (
	recoveryType    = "recovery.put"
	recoverySubject = "recovery."
)

// RecoverySubject is the subject of a backup under a recovery key (U…).
func RecoverySubject(key string) string { return recoverySubject + key }

// NewRecovery makes the event that is a person's backup at a hub: blob, signed by the
// identity itself and co-signed by the recovery key, at a time after that of the backup
// which it replaces.
func NewRecovery(hubID string, identity, key *trust.KeyPair, at time.Time, blob []byte) (*Event, error) {
	if len(blob) > MaxRecovery {
		return nil, fmt.Errorf("%w: a backup of %d bytes", ErrMalformed, len(blob))
	}
	ev := &Event{
		Author: identity.Public(), Type: recoveryType, Subject: RecoverySubject(key.String()), Audience: hubID, Time: at, Body: blob,
	}
	if err := ev.Sign(identity); err != nil {
		return nil, fmt.Errorf("sign backup: %w", err)
	}
	return ev, ev.CoSign(key)
}

// CheckRecovery verifies a backup as one for the hub under the recovery key with the given
// text: both signatures, and that the identity itself made it.
func (e *Event) CheckRecovery(hubID, key string) error {
	public, err := trust.ParsePublicKey(trust.Device, key)
	if err != nil {
		return fmt.Errorf("%w: recovery key", ErrNotMeant)
	}
	if err := e.Meant(recoveryType, RecoverySubject(key), hubID); err != nil {
		return err
	}
	if err := e.Check(); err != nil {
		return err
	}
	if err := e.CheckCoSignature(public); err != nil {
		return err
	}
	switch {
	case e.Device != e.Author:
		return fmt.Errorf("%w: a backup is signed by the identity itself", ErrSignature)
	case e.Seq != 0 || !e.Epoch.IsZero() || !e.NotAfter.IsZero() || len(e.Body) > MaxRecovery:
		return fmt.Errorf("%w: not a backup", ErrMalformed)
	}
	return nil
}
