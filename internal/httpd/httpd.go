// Package httpd is the hub's HTTP origin: the one address that members need. It proves
// which hub this is (/.well-known/keyhall), carries NATS over WebSocket (/nats), and shows
// a person who opens it in a browser what it is and what to do. It holds no key: the proof
// is the account signer's.
package httpd

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"time"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
)

// SocketPath is where the NATS WebSocket is reached.
const SocketPath = "/nats"

//go:embed page.html
var page []byte

// Options are what the origin serves.
type Options struct {
	Address   string // host:port to listen on
	WebSocket string // ws:// address of the NATS listener behind SocketPath; empty for none
	// Mark is a cookie in which a WebSocket carries to the callout where it comes from.
	Mark      func(from netip.Addr) *http.Cookie
	Proxies   Proxies // in front of this origin
	Document  api.Document
	Downloads string // folder whose files are offered at /download/, where there is one
	// Prove has the signer sign a challenge and the document's hash.
	Prove  func(ctx context.Context, challenge, document [32]byte) (api.ProveAnswer, error)
	Logger *slog.Logger
}

// Server is a running origin.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan error
	cut      context.CancelFunc
}

// Start listens and serves until Close.
func Start(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err,
			"the HTTP address %s cannot be used (%v); choose another with --http", o.Address, innermost(err))
	}
	handler, err := o.handler()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	life, cut := context.WithCancel(context.Background())
	s := &Server{
		listener: listener, done: make(chan error, 1), cut: cut,
		http: &http.Server{
			// WebSockets leave the server's hands; they end with this context.
			BaseContext: func(net.Listener) context.Context { return life },
			Handler:     handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
			ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		},
	}
	go func() { s.done <- s.http.Serve(listener) }()
	return s, nil
}

func innermost(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}

// URL is the origin as a member on this machine reaches it.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return "http://" + s.listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Close stops the origin; WebSockets through it are cut.
func (s *Server) Close() error {
	s.cut()
	err := s.http.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (o Options) handler() (http.Handler, error) {
	document, err := json.Marshal(o.Document)
	if err != nil {
		return nil, fmt.Errorf("hub document: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/keyhall", o.prove(document))
	mux.HandleFunc("GET /{$}", showPage)
	mux.HandleFunc("GET /join", showPage)
	mux.Handle("GET /download/", downloads(o.Downloads))
	if o.WebSocket != "" {
		target, err := url.Parse(o.WebSocket)
		if err != nil {
			return nil, fmt.Errorf("websocket address: %w", err)
		}
		target.Scheme = "http"
		mux.Handle("GET "+SocketPath, o.proxy(target))
	}
	return secure(mux), nil
}

// prove answers a joiner's challenge.
func (o Options) prove(document []byte) http.HandlerFunc {
	hash := sha256.Sum256(document)
	return func(w http.ResponseWriter, r *http.Request) {
		challenge, err := hex.DecodeString(r.URL.Query().Get("challenge"))
		if err != nil || len(challenge) != 32 {
			http.Error(w, "challenge must be 64 hexadecimal digits", http.StatusBadRequest)
			return
		}
		answer, err := o.Prove(r.Context(), [32]byte(challenge), hash)
		if err != nil {
			o.Logger.Warn("hub proof failed", "error", err)
			http.Error(w, "the hub cannot prove itself at the moment; try again", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		proof := api.Proof{Hub: answer.Hub, Document: string(document), Proof: answer.Proof}
		if err := json.NewEncoder(w).Encode(proof); err != nil {
			o.Logger.Debug("joiner went away", "error", err)
		}
	}
}

// proxy passes the WebSocket on. The Host header stays: the listener holds the Origin of
// a browser against it. The mark goes in a cookie: the server hands nothing else on.
func (o Options) proxy(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.URL.Path = "/"
			r.Out.Host = r.In.Host
			mark := o.Mark(o.Proxies.from(r.In))
			cookies := r.Out.Cookies()
			r.Out.Header.Del("Cookie")
			for _, cookie := range cookies {
				if cookie.Name != mark.Name { // nobody brings a mark along
					r.Out.AddCookie(cookie)
				}
			}
			r.Out.AddCookie(mark)
		},
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
}

func showPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page) // a reader that went away needs none
}

// secure sets the headers that every answer carries.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}
