package callout

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"keyhall.dev/keyhall/internal/fault"
)

// Trial hears every login request of an account, whoever else answers them, and answers those
// that its owner chooses. It is for checks of how an account is set up; an Engine decides logins.
type Trial struct {
	respondent *respondent
	sub        *nats.Subscription
}

// Heard is one login request as a Trial hears it.
type Heard struct {
	Request *Request // nil where Err is not
	Err     error    // why it is none of the account's xkey
	Open    bool     // it was not encrypted at all

	trial   *Trial
	message *nats.Msg
}

// StartTrial begins to hear requests. Of config, Conn, Account, Issuer, XKey and Logger count.
// hear is called for one request at a time.
func StartTrial(config Config, hear func(Heard)) (*Trial, error) {
	r, err := config.withDefaults().respondent()
	if err != nil {
		return nil, err
	}
	t := &Trial{respondent: r}
	t.sub, err = config.Conn.Subscribe(requestSubject, func(message *nats.Msg) {
		heard := Heard{Open: len(message.Header[xkeyHeader]) == 0, trial: t, message: message}
		heard.Request, heard.Err = r.open(message.Header, message.Data)
		hear(heard)
	})
	if err != nil {
		return nil, fmt.Errorf("callout: subscribe: %w", err)
	}
	return t, nil
}

// Close hears no more.
func (t *Trial) Close() error {
	err := t.sub.Unsubscribe()
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil
	}
	return err
}

// Allow answers the request with a user JWT of these claims, whose subject it sets. They are
// issued as they are: nothing is denied by default.
func (h Heard) Allow(claims *jwt.UserClaims, key nkeys.KeyPair) error {
	signer, err := newSigner(key)
	if err != nil {
		return err
	}
	claims.Subject, claims.Type, claims.Version = h.Request.UserKey, jwt.UserClaim, tokenVersion
	token, err := signer.token(claims, time.Now())
	if err != nil {
		return fault.Wrap(fault.Internal, errDefect, "the user JWT cannot be signed: %s", err)
	}
	sealed, err := h.trial.respondent.seal(h.Request, token)
	if err != nil {
		return err
	}
	return h.message.Respond(sealed)
}
