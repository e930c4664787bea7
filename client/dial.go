package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
	natslogin "keyhall.dev/keyhall/login"
	"keyhall.dev/keyhall/trust"
)

const dialTime = 2 * time.Second // to reach a NATS port before the WebSocket is tried

// login says who a connection is for.
type login struct {
	name        string
	user        string // what the callout is told; empty in a person's own account
	jwt         string // device token, or the sentinel's JWT in front of the callout
	key         *trust.KeyPair
	options     []nats.Option
	persistence natslogin.Persistence
	patience    time.Duration // for the first connection; package login's if 0
}

// dial connects to a hub: to its NATS port where that is reachable, otherwise through its
// HTTP origin. A port that does not let us in may be another NATS server's; the origin is
// asked before we give up.
func dial(ctx context.Context, at *discovered, origin string, l login) (*nats.Conn, error) {
	natsURLs, websocket, path := at.addresses(origin)
	options := append(append(l.connection(), l.options...), natslogin.Persistent(l.persistence))
	var last error
	for _, address := range natsURLs {
		if !reachable(ctx, address) {
			continue
		}
		nc, err := connect(ctx, address, options)
		if err == nil {
			return nc, nil
		}
		last = err
	}
	if websocket != "" {
		nc, err := connect(ctx, websocket, append(options, nats.ProxyPath(path)))
		if err == nil {
			return nc, nil
		}
		if last == nil || !errors.Is(err, nats.ErrNoServers) {
			last = err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, loginError(origin, last)
}

// connect is nats.Connect for as long as ctx lasts.
func connect(ctx context.Context, address string, options []nats.Option) (*nats.Conn, error) {
	type result struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		nc, err := nats.Connect(address, options...)
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		return r.nc, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.nc != nil {
				r.nc.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func loginError(origin string, err error) error {
	switch {
	case err == nil, errors.Is(err, nats.ErrNoServers):
		return fault.Wrap(fault.Unavailable, err, "the hub at %s does not answer; is it running, and can it be reached from here?", origin)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fault.Wrap(fault.Refused, err, "the hub refused the login: the invite or the device is not, or no longer, valid there")
	}
	return fault.Wrap(fault.Unavailable, err, "the hub's NATS server cannot be used: %v", err)
}

// reachable reports whether a NATS port accepts connections; a firewall that swallows
// them must not cost more than a moment.
func reachable(ctx context.Context, address string) bool {
	host := strings.TrimPrefix(strings.TrimPrefix(address, "nats://"), "tls://")
	dialer := net.Dialer{Timeout: dialTime}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (l login) connection() []nats.Option {
	options := []nats.Option{
		nats.Name(l.name),
		nats.UserJWT(
			func() (string, error) { return l.jwt, nil },
			func(nonce []byte) ([]byte, error) {
				sig := l.key.Sign(nonce)
				return sig[:], nil
			}),
		nats.CustomInboxPrefix(trust.InboxPrefix(l.key.Public())),
		// Otherwise what the server says of errors goes to the terminal, as it is.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}
	if l.user != "" {
		options = append(options, nats.UserInfo(l.user, ""))
	}
	if l.patience != 0 {
		options = append(options, nats.Timeout(l.patience))
	}
	return options
}
