package attack

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/trust"
)

// line is a connection of the attacker's. Whatever the server refuses on it is kept.
type line struct {
	*nats.Conn
	inbox string // its private prefix

	mu      sync.Mutex
	refused []error
}

// dial connects as the flag -login says:
//
//	own           to one's own account, with the device token
//	wide          to one's own account, with a token that one signed oneself and that
//	              allows everything: the identity is the account's key
//	creds:FILE    with a creds file
//	rooms:ID,ID   to ROOMS through the callout, as a client does
//	user:TEXT     through the callout, with TEXT as user field and one's own signature
//	invite:CODE   through the callout, as a newcomer
//	sentinel      with the hub's sentinel and a signature, and no user field
//	nothing       with no JWT at all
//	token:FILE    with the device token of another's profile.json and one's own key
//	posing:A      with a token for account A that one signed oneself
func (c *call) dial() (*line, error) {
	at, err := where(c.ctx)
	if err != nil {
		return nil, err
	}
	kind, rest, _ := strings.Cut(*c.login, ":")
	var options []nats.Option
	var prefix string
	switch kind {
	case "nothing":
	case "creds":
		options = append(options, nats.UserCredentials(rest))
	case "invite":
		options, prefix, err = asNewcomer(rest, at.document.Sentinel)
	default:
		options, prefix, err = asMember(kind, rest, at.document.Sentinel)
	}
	if err != nil {
		return nil, err
	}
	return connectTo(at.document.NATS[0], prefix, options...)
}

// connectTo connects once and never again: who is thrown out stays out.
func connectTo(address, prefix string, options ...nats.Option) (*line, error) {
	l := &line{inbox: prefix}
	options = append(options, nats.NoReconnect(), nats.Timeout(20*time.Second), nats.Name("attack"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.note(err) }))
	if prefix != "" {
		options = append(options, nats.CustomInboxPrefix(prefix))
	}
	var err error
	if l.Conn, err = nats.Connect(address, options...); err != nil {
		return nil, fmt.Errorf("login %w: %w", errRefused, err)
	}
	return l, nil
}

func asNewcomer(code, sentinel string) ([]nats.Option, string, error) {
	invite, err := inviteOf(code)
	if err != nil {
		return nil, "", err
	}
	key := invite.Key()
	return []nats.Option{userJWT(sentinel, key), nats.UserInfo("admit "+key.String(), "")},
		trust.InboxPrefix(key.Public()), nil
}

func asMember(kind, rest, sentinel string) ([]nats.Option, string, error) {
	s, err := me()
	if err != nil {
		return nil, "", err
	}
	prefix := trust.InboxPrefix(s.device.Public())
	token, user := sentinel, ""
	switch kind {
	case "own":
		token = s.settings.Token
	case "wide":
		token, err = s.wideToken("")
	case "posing":
		token, err = s.wideToken(rest)
	case "token":
		var other *self
		if other, err = readSelf(rest); err == nil {
			token = other.settings.Token
		}
	case "rooms":
		user = "rooms " + s.device.String() + " " + rest
	case "user":
		user = rest
	case "sentinel":
	default:
		return nil, "", fmt.Errorf("%w: there is no login %q", errUsage, kind)
	}
	options := []nats.Option{userJWT(token, s.device)}
	if user != "" {
		options = append(options, nats.UserInfo(user, ""))
	}
	return options, prefix, err
}

func userJWT(token string, key *trust.KeyPair) nats.Option {
	return nats.UserJWT(
		func() (string, error) { return token, nil },
		func(nonce []byte) ([]byte, error) {
			sig := key.Sign(nonce)
			return sig[:], nil
		})
}

// wideToken is a user JWT without any permission in it, which to NATS means all of them,
// for the own account or, with issuer, for another.
func (s *self) wideToken(issuer string) (string, error) {
	claims := jwt.NewUserClaims(s.device.String())
	claims.Name = "laptop"
	claims.Expires = time.Now().Add(time.Hour).Unix()
	claims.IssuerAccount = issuer
	return claims.Encode(s.identity.NKey())
}

// note keeps an error that the server sent.
func (l *line) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, err)
}

// settle waits until the server has dealt with everything that was sent, and returns what
// it refused of it: the server says so before it answers the flush.
func (l *line) settle() error {
	if err := l.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errRefused, errors.Join(err, l.LastError()))
	}
	if err := l.LastError(); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil
}
