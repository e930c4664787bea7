package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"

	"keyhall.dev/keyhall/internal/fault"
)

const (
	// SessionCookie is the cookie whose value a browser's WebSocket login carries to
	// the callout as its token.
	SessionCookie = "keyhall_session"

	// OriginCookie carries, as the password, what the hub's HTTP origin says of where a
	// WebSocket comes from.
	OriginCookie = "keyhall_from"

	// MaxPayload is the largest message, in bytes.
	MaxPayload = 1 << 20

	defaultNATS      = "127.0.0.1:4222"
	defaultWebSocket = "127.0.0.1:-1"

	// defaultAuthTimeout is what brings thousands of clients back together after a
	// restart: with the server's own two seconds hardly one gets through its login.
	defaultAuthTimeout = time.Minute

	storeFolder    = "nats"
	resolverFolder = "jwt"
)

// Options say where a hub's server keeps its data and listens. Only DataDir is needed.
type Options struct {
	DataDir string

	// NATS is the host:port of the NATS listener, 127.0.0.1:4222 by default; port -1
	// takes a free one.
	NATS string

	// DeferListen leaves the NATS listener closed until Listen. A hub starts its
	// callout first: a login that comes before the callout waits for all of
	// AuthTimeout, and after a restart everybody logs in at once.
	DeferListen bool

	// WebSocket is the host:port of the WebSocket listener, a free port of 127.0.0.1
	// by default. It speaks no TLS: the hub's HTTP origin proxies it, and passes the
	// Host header on, which the Origin of a browser must match.
	WebSocket string

	// AuthTimeout is how long a login may take, one minute by default.
	AuthTimeout time.Duration

	// Logger gets the server's warnings and errors; slog.Default() if nil.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.DataDir == "" {
		return o, fault.New(fault.Malformed, "no data folder was given: name one with --data")
	}
	dataDir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return o, fault.Wrap(fault.Malformed, err, "%q is not a usable folder: name another with --data", o.DataDir)
	}
	o.DataDir = dataDir
	if o.NATS == "" {
		o.NATS = defaultNATS
	}
	if o.WebSocket == "" {
		o.WebSocket = defaultWebSocket
	}
	if o.AuthTimeout == 0 {
		o.AuthTimeout = defaultAuthTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

// serverOptions are the embedded server's, for a hub with these keys.
func (o Options) serverOptions(keys *Keys, resolver server.AccountResolver) (*server.Options, error) {
	operator, err := jwt.DecodeOperatorClaims(keys.OperatorJWT)
	if err != nil {
		return nil, fmt.Errorf("decode operator JWT: %w", err)
	}
	opts := &server.Options{
		ServerName:            "keyhall",
		NoSigs:                true,
		NoLog:                 true,
		DontListen:            o.DeferListen,
		MaxPayload:            MaxPayload,
		AuthTimeout:           o.AuthTimeout.Seconds(),
		DisableShortFirstPing: true, // a PING before the login is answered ends the connection
		TrustedOperators:      []*jwt.OperatorClaims{operator},
		SystemAccount:         keys.System,
		AccountResolver:       resolver,
		DefaultSentinel:       keys.Sentinel,

		// JetStream stays in its strict mode, the default: its answer to a publisher goes
		// wherever the publisher says, and must not pass for a command there.
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               filepath.Join(o.DataDir, storeFolder),
		SyncInterval:           time.Second, // the default of two minutes is what a power failure may take
	}
	if opts.Host, opts.Port, err = splitAddress("NATS", o.NATS); err != nil {
		return nil, err
	}
	opts.Websocket = server.WebsocketOpts{
		NoTLS:          true,
		SameOrigin:     true, // the cookie logs in: another site's page must not use it
		TokenCookie:    SessionCookie,
		PasswordCookie: OriginCookie,
		AuthTimeout:    o.AuthTimeout.Seconds(),
	}
	opts.Websocket.Host, opts.Websocket.Port, err = splitAddress("WebSocket", o.WebSocket)
	return opts, err
}

func splitAddress(kind, address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err == nil && (port == 0 || port < server.RANDOM_PORT || port > 65535) {
		err = errors.New("port out of range")
	}
	if err != nil {
		return "", 0, fault.Wrap(fault.Malformed, err, "%q is not an address to listen on for %s: "+
			"write it as host:port, with a port from 1 to 65535", address, kind)
	}
	return host, port, nil
}

// probeAddress looks whether an address can be listened on, for a clearer answer than
// the server's. Somebody else may take it a moment later: then the server's counts.
func probeAddress(kind, host string, port int) error {
	if port == server.RANDOM_PORT {
		port = 0
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	listener, err := net.Listen("tcp", address)
	if err == nil {
		return listener.Close()
	}
	return addressFault(kind, address, err)
}

func addressFault(kind, address string, err error) error {
	if addressInUse(err) {
		return fault.Wrap(fault.Unavailable, err, "the address %s for %s is in use by another program: "+
			"stop that program, or choose another address", address, kind)
	}
	cause := err
	var opErr *net.OpError
	if errors.As(err, &opErr) {
		cause = opErr.Err
	}
	return fault.Wrap(fault.Unavailable, err, "the hub cannot listen on %s for %s (%s): choose another address", address, kind, cause)
}
