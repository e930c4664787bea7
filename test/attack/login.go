package attack

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
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

// dial connects as the flag -login says: see credentials.
func (c *call) dial() (*line, error) { return c.dialThrough("") }

// dialThrough connects through the WebSocket at an origin, if there is one.
func (c *call) dialThrough(origin string) (*line, error) {
	at, err := where(c.ctx)
	if err != nil {
		return nil, err
	}
	with, err := credentialsFor(*c.login, at)
	if err != nil {
		return nil, err
	}
	if host, found := strings.CutPrefix(origin, "http://"); found {
		return connectTo("ws://"+host, with.inbox, append(with.options(), nats.ProxyPath(at.document.WebSocket))...)
	}
	return connectTo(at.document.NATS[0], with.inbox, with.options()...)
}

// connectTo connects once and never again: who is thrown out stays out.
func connectTo(address, prefix string, options ...nats.Option) (*line, error) {
	l := &line{inbox: prefix}
	options = append([]nats.Option{nats.Name("attack")}, options...)
	options = append(options, nats.NoReconnect(), nats.Timeout(20*time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.note(err) }))
	if prefix != "" {
		options = append(options, nats.CustomInboxPrefix(prefix))
	}
	var err error
	if from := os.Getenv("FROM"); from != "" { // one of the machine's own addresses
		options = append(options, nats.Dialer(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}))
	}
	if l.Conn, err = nats.Connect(address, options...); err != nil {
		return nil, fmt.Errorf("login %w: %w", errRefused, err)
	}
	return l, nil
}

// credentials are what a connection says of itself. What is empty is not said.
type credentials struct {
	file  string // a creds file, instead of a user JWT and key
	token string // user JWT
	user  string
	pass  string
	word  string // the token field, where the cookie of a browser ends up
	name  string
	key   *trust.KeyPair // signs the nonce
	inbox string         // the prefix that goes with it
}

func (w *credentials) options() []nats.Option {
	var options []nats.Option
	if w.file != "" {
		options = append(options, nats.UserCredentials(w.file))
	}
	if w.token != "" {
		options = append(options, userJWT(w.token, w.key))
	}
	if w.user != "" {
		options = append(options, nats.UserInfo(w.user, w.pass))
	}
	if w.word != "" {
		options = append(options, nats.Token(w.word))
	}
	if w.name != "" {
		options = append(options, nats.Name(w.name))
	}
	return options
}

// credentialsFor reads a login:
//
//	own           to one's own account, with the device token
//	wide          to one's own account, with a token that one signed oneself and that
//	              allows everything: the identity is the account's key
//	creds:FILE    with a creds file
//	rooms:ID,ID   to ROOMS through the callout, as a client does
//	user:TEXT     through the callout, with TEXT as user field and one's own signature
//	name:TEXT     to ROOMS, and the program calls itself TEXT (Go-quoted)
//	cookie:TEXT   with the sentinel and TEXT as the session cookie of a browser
//	invite:CODE   through the callout, as a newcomer
//	code:CODE     through the callout, as one who comes back with a recovery code
//	sentinel      with the hub's sentinel and a signature, and no user field
//	nothing       with no JWT at all
//	pass: bearer: file:  see strangers
//	token:FILE    with the device token of another's profile.json and one's own key
//	posing:A      with a token for account A that one signed oneself
func credentialsFor(login string, at *site) (*credentials, error) {
	if w, err := strangers(login); w != nil || err != nil {
		return w, err
	}
	kind, rest, _ := strings.Cut(login, ":")
	switch kind {
	case "nothing":
		return new(credentials), nil
	case "creds":
		return &credentials{file: rest}, nil
	case "invite":
		invite, err := inviteOf(rest)
		if err != nil {
			return nil, err
		}
		return forKey("admit", invite.Key(), at), nil
	case "code":
		code, err := trust.ParseRecovery(rest)
		if err != nil {
			return nil, err
		}
		return forKey("recover", code.Key(), at), nil
	}
	s, err := me()
	if err != nil {
		return nil, err
	}
	w := &credentials{token: at.document.Sentinel, key: s.device, inbox: trust.InboxPrefix(s.device.Public())}
	return w, w.asMember(s, kind, rest)
}

// strangers reads the logins to a NATS server that is no hub's, with the sentinel's creds
// where $SENTINEL names them:
//
//	pass:USER:PASSWORD   both Go-quoted where they begin with a quotation mark
//	bearer:TOKEN         the token field
//	file:FILE            a creds file and nothing else
//
// It is nil for another login.
func strangers(login string) (*credentials, error) {
	kind, rest, _ := strings.Cut(login, ":")
	w := &credentials{file: os.Getenv("SENTINEL")}
	var err error
	switch kind {
	case "pass":
		if w.user, rest, err = word(rest); err != nil {
			return nil, err
		}
		w.pass, _, err = word(strings.TrimPrefix(rest, ":"))
		w.inbox = "_INBOX_" + w.user
		if strings.ContainsAny(w.user, " *>.\n") {
			w.inbox = "_INBOX_attacker"
		}
	case "bearer":
		w.word, w.inbox = rest, "_INBOX_attacker"
	case "file":
		w.file = rest
	default:
		return nil, nil
	}
	return w, err
}

// word takes a text up to the next colon, or a Go-quoted one.
func word(text string) (first, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		first, rest, _ = strings.Cut(text, ":")
		return first, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err == nil {
		first, err = strconv.Unquote(quoted)
	}
	if err != nil {
		return "", "", fmt.Errorf("%w: %q is not quoted as in Go", errUsage, text)
	}
	return first, text[len(quoted):], nil
}

// forKey is who comes to account HUB: the key is all that there is.
func forKey(what string, key *trust.KeyPair, at *site) *credentials {
	return &credentials{
		token: at.document.Sentinel, user: what + " " + key.String(), key: key, inbox: trust.InboxPrefix(key.Public()),
	}
}

func (w *credentials) asMember(s *self, kind, rest string) (err error) {
	switch kind {
	case "own":
		w.token = s.settings.Token
	case "wide":
		w.token, err = s.wideToken("")
	case "posing":
		w.token, err = s.wideToken(rest)
	case "token":
		var other *self
		if other, err = readSelf(rest); err == nil {
			w.token = other.settings.Token
		}
	case "rooms":
		w.user = "rooms " + s.device.String() + " " + rest
	case "user":
		w.user = rest
	case "name":
		w.user = "rooms " + s.device.String() + " "
		w.name, err = strconv.Unquote(rest)
	case "cookie":
		w.word = rest
	case "sentinel":
	default:
		return fmt.Errorf("%w: there is no login %q", errUsage, kind)
	}
	return err
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
