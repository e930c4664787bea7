// Package hub wires a whole hub together: the embedded NATS server (or one outside), the
// account signer, the callout, the projections and services, and the HTTP origin. It opens
// them in the order in which they need each other, runs them, and closes them in reverse.
// It decides nothing.
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/callout"
	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/httpd"
	"keyhall.dev/keyhall/internal/natsd"
	"keyhall.dev/keyhall/internal/sessions"
	"keyhall.dev/keyhall/internal/signin"
	"keyhall.dev/keyhall/trust"
	"keyhall.dev/keyhall/web"
)

// Defaults of a private hub on one machine.
const (
	DefaultHTTP     = "localhost:8420"
	DefaultNATS     = "127.0.0.1:4222"
	firstInviteLife = 7 * 24 * time.Hour
)

// Options say where a hub keeps its data and listens. Only DataDir is needed.
type Options struct {
	DataDir  string
	HTTP     string // DefaultHTTP if empty
	NATS     string // DefaultNATS if empty; unused with Attach
	Attach   *Attach
	Replicas int // copies of streams; 1 if 0
	// TrustProxy are the web servers in front of the HTTP origin that say where requests come from.
	TrustProxy httpd.Proxies
	TLS        *httpd.TLS       // nil: the HTTP origin speaks plain HTTP
	Demo       bool             // a throw-away hub, and said to be one
	Provider   *signin.Provider // the host's identity provider; nil for none
	Audit      Audit
	// SessionLife is how long a connection to ROOMS lives before its rights are judged anew,
	// in whole seconds; sessions.Life, which is the most there may be, if 0.
	SessionLife time.Duration
	Logger      *slog.Logger
}

// Hub is a running hub.
type Hub struct {
	options Options
	bus     bus
	keys    *natsd.Keys
	http    *httpd.Server
	invite  string
	metrics string
	origin  *callout.Origin // tells the callout where the WebSockets of http come from

	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	failed  chan error
	closers []func() error // in the order in which things were opened
}

// bus is where services connect: the embedded server, or servers outside.
type bus interface {
	Keys() *natsd.Keys
	Connect(login natsd.Login, options ...nats.Option) (*nats.Conn, error)
	ClientURL() string
	Announce(httpURL string) error
}

// Start starts a hub and returns when it accepts members. Errors are faults with a
// sentence for its host, and then nothing is left running.
func Start(ctx context.Context, o Options) (*Hub, error) {
	if o.HTTP == "" {
		o.HTTP = DefaultHTTP
	}
	if o.NATS == "" {
		o.NATS = DefaultNATS
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.SessionLife <= 0 || o.SessionLife > sessions.Life {
		o.SessionLife = sessions.Life
	}
	if o.TLS != nil && o.TLS.ACME != nil && o.TLS.ACME.Cache == "" {
		o.TLS.ACME.Cache = filepath.Join(o.DataDir, "acme")
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h := &Hub{options: o, cancel: cancel, origin: callout.NewOrigin(), failed: make(chan error, 16)}
	if err := h.open(ctx, running); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// open starts everything. ctx bounds the start, running is the hub's life.
func (h *Hub) open(ctx, running context.Context) error {
	server, err := h.openBus(ctx)
	if err != nil {
		return err
	}
	h.keys = h.bus.Keys()
	identity, err := trust.ParseHub(h.keys.OperatorJWT)
	if err != nil {
		return err
	}
	nc, err := h.connect(h.keys.HubUser)
	if err != nil {
		return err
	}
	if err := h.startSigner(running); err != nil {
		return err
	}
	s, err := h.openServices(ctx, nc, identity)
	if err != nil {
		return err
	}
	if err := h.runServices(running, nc, s); err != nil {
		return err
	}
	if err := h.startCallout(s); err != nil {
		return err
	}
	socket := ""
	if server != nil {
		socket = server.WebSocketURL()
		if err := server.Listen(); err != nil { // the callout answers: let everybody in
			return err
		}
	}
	if err := h.startHTTP(nc, socket, s); err != nil {
		return err
	}
	if err := h.bus.Announce(h.http.URL()); err != nil {
		return err
	}
	if server != nil {
		h.run("storage", func() error { return server.WatchStorage(running) })
	}
	return h.firstInvite(ctx, identity, s)
}

// openBus starts the embedded server, or goes to the servers outside; server is nil then.
func (h *Hub) openBus(ctx context.Context) (server *natsd.Server, err error) {
	if h.options.Attach != nil {
		return nil, h.openOutside(ctx)
	}
	server, err = natsd.Start(ctx, natsd.Options{
		DataDir: h.options.DataDir, NATS: h.options.NATS, DeferListen: true, Logger: h.options.Logger,
	})
	if err != nil {
		return nil, err
	}
	h.bus = server
	h.closers = append(h.closers, server.Close)
	return server, nil
}

// connect connects one of the hub's own services; it is closed with the hub.
func (h *Hub) connect(login natsd.Login) (*nats.Conn, error) {
	nc, err := h.bus.Connect(login, nats.MaxReconnects(-1), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		h.options.Logger.Warn("NATS reports a problem", "login", login.Name, "error", err)
	}))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the hub's own services cannot connect to NATS: %v", err)
	}
	h.closers = append(h.closers, func() error { nc.Close(); return nil })
	return nc, nil
}

// run runs a part of the hub for as long as it lives; a part that fails ends the hub.
func (h *Hub) run(name string, part func() error) {
	h.tasks.Go(func() {
		if err := part(); err != nil {
			h.failed <- fmt.Errorf("%s: %w", name, err)
		}
	})
}

func (h *Hub) startHTTP(nc *nats.Conn, socket string, s *services) error {
	document := api.Document{Version: 1, NATS: h.announced(), Sentinel: h.keys.Sentinel}
	if h.options.SessionLife != sessions.Life {
		document.Session = int(h.options.SessionLife / time.Second)
	}
	if socket != "" {
		document.WebSocket = httpd.SocketPath
	}
	server, err := httpd.Start(httpd.Options{
		Address: h.options.HTTP, WebSocket: socket, Document: document, Logger: h.options.Logger,
		Downloads: filepath.Join(h.options.DataDir, "downloads"),
		Proxies:   h.options.TrustProxy,
		TLS:       h.options.TLS,
		App:       web.App(),
		API:       s.signin.Handler(),
		Admit:     s.browsers.Admit,
		Mark: func(from netip.Addr) *http.Cookie {
			return &http.Cookie{Name: natsd.OriginCookie, Value: h.origin.Mark(from)}
		},
		Prove: func(ctx context.Context, challenge, document [32]byte) (answer api.ProveAnswer, err error) {
			request := api.ProveRequest{Challenge: challenge[:], Document: document[:]}
			err = api.Call(ctx, nc, "signer.prove", request, &answer)
			return answer, err
		},
	})
	if err != nil {
		return err
	}
	h.http = server
	h.closers = append(h.closers, server.Close)
	return nil
}

// announced are the NATS addresses that members are told. A listener on every interface
// has no host of its own: members use the one they know the hub by.
func (h *Hub) announced() []string {
	addresses := strings.Split(h.bus.ClientURL(), ",")
	host, _, err := net.SplitHostPort(h.options.NATS)
	if h.options.Attach != nil || err != nil {
		return addresses
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		if _, port, err := net.SplitHostPort(strings.TrimPrefix(addresses[0], "nats://")); err == nil {
			return []string{"nats://:" + port}
		}
	}
	return addresses
}

// firstInvite makes the host's invite on the first start, when nobody was invited yet.
func (h *Hub) firstInvite(ctx context.Context, identity *trust.Hub, s *services) error {
	state, _, err := hubChain(ctx, identity, s.ledger)
	if err != nil || state.Seq > 0 {
		return err
	}
	invite, _, err := HostInvite(ctx, h.keys, s.ledger, 1, firstInviteLife)
	if err != nil {
		return err
	}
	h.invite = invite.Code()
	return nil
}

// HTTP is the hub's HTTP origin.
func (h *Hub) HTTP() string { return h.http.URL() }

// Plain is the address at which plain HTTP is answered beside an https origin; empty where none is.
func (h *Hub) Plain() string { return h.http.Plain() }

// NATS is the address of the NATS port.
func (h *Hub) NATS() string { return h.bus.ClientURL() }

// Addresses are where the hub listens, as Options name it: of a port that was chosen for
// it, which one it is.
func (h *Hub) Addresses() (http, nats string) {
	http = withPortOf(h.options.HTTP, h.HTTP())
	if h.options.Attach != nil {
		return http, h.options.NATS
	}
	return http, withPortOf(h.options.NATS, h.NATS())
}

// withPortOf is an address of a listener with the port that a URL has.
func withPortOf(address, text string) string {
	host, _, err := net.SplitHostPort(address)
	at, urlErr := url.Parse(text)
	if err != nil || urlErr != nil || at.Port() == "" {
		return address
	}
	return net.JoinHostPort(host, at.Port())
}

// Invite is the code of the host's first invite; empty on every start but the first.
func (h *Hub) Invite() string { return h.invite }

// Wait returns when ctx ends, or with the error of a part that failed.
func (h *Hub) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-h.failed:
		return err
	}
}

// Close stops the hub: nobody new is let in, requests in flight are finished, then the
// server goes down.
func (h *Hub) Close() error {
	h.cancel()
	h.tasks.Wait()
	var errs []error
	for len(h.closers) > 0 {
		last := len(h.closers) - 1
		errs = append(errs, h.closers[last]())
		h.closers = h.closers[:last]
	}
	return errors.Join(errs...)
}
