// Package httpd is the hub's HTTP origin: the one address that members need. It proves
// which hub this is (/.well-known/keyhall), carries NATS over WebSocket (/nats), and serves
// the web app to browsers, over TLS where it has a certificate. It holds no key of the hub:
// the proof is the account signer's.
package httpd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"

	"keyhall.dev/keyhall/internal/api"
	"keyhall.dev/keyhall/internal/fault"
)

// SocketPath is where the NATS WebSocket is reached.
const SocketPath = "/nats"

// Options are what the origin serves.
type Options struct {
	Address   string // host:port to listen on
	WebSocket string // ws:// address of the NATS listener behind SocketPath; empty for none
	// Mark is a cookie in which a WebSocket carries to the callout where it comes from.
	Mark      func(from netip.Addr) *http.Cookie
	Proxies   Proxies // in front of this origin
	TLS       *TLS    // nil: plain HTTP
	App       fs.FS   // the web app as it was built; nil or empty for none
	Document  api.Document
	Downloads string       // folder whose files are offered at /download/, where there is one
	API       http.Handler // answers below /api/; nil for none
	// Admit lets a WebSocket in until the context ends; done is called when it has ended. An error keeps it out. Nil
	// lets everybody in.
	Admit func(r *http.Request) (held context.Context, done func(), err error)
	// Prove has the signer sign a challenge and the document's hash.
	Prove  func(ctx context.Context, challenge, document [32]byte) (api.ProveAnswer, error)
	Logger *slog.Logger
}

// Server is a running origin.
type Server struct {
	listeners []*listener // the origin's own first
	name      string      // of the certificate; empty without TLS
	cut       context.CancelFunc
}

// Start listens and serves until Close.
func Start(o Options) (*Server, error) {
	handler, err := o.handler()
	if err != nil {
		return nil, err
	}
	life, cut := context.WithCancel(context.Background())
	s := &Server{cut: cut}
	if err := s.open(life, o, handler); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) open(life context.Context, o Options, handler http.Handler) error {
	if o.TLS == nil {
		return s.listen(life, o, o.Address, "--http", nil, handler)
	}
	certificates, err := o.TLS.open(life, o.Logger)
	if err != nil {
		return err
	}
	s.name = certificates.name
	if err := s.listen(life, o, o.Address, "--http", certificates.config, handler); err != nil {
		return err
	}
	if o.TLS.Plain != "" {
		if err := s.listen(life, o, o.TLS.Plain, "--redirect", nil, certificates.plain(toHTTPS(s.URL))); err != nil {
			return err
		}
	}
	go certificates.fetch() // ends soon after the life does, with what it asks
	return nil
}

// URL is the origin as a member reaches it: by the name of its certificate, and without one, on this machine.
func (s *Server) URL() string {
	at := s.listeners[0].at.Addr().String()
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return "http://" + at
	}
	if s.name != "" {
		return (&url.URL{Scheme: "https", Host: hostOf(s.name, port)}).String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// hostOf is the host of an https URL.
func hostOf(name, port string) string {
	if port != "443" {
		return net.JoinHostPort(name, port)
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// Plain is the address at which plain HTTP is answered beside the origin; empty where none is.
func (s *Server) Plain() string {
	if len(s.listeners) < 2 {
		return ""
	}
	return s.listeners[1].at.Addr().String()
}

// Close stops the origin; WebSockets through it are cut.
func (s *Server) Close() error {
	s.cut()
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

func (o Options) handler() (http.Handler, error) {
	document, err := json.Marshal(o.Document)
	if err != nil {
		return nil, fmt.Errorf("hub document: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/keyhall", o.prove(document))
	if err := o.showApp(mux); err != nil {
		return nil, err
	}
	if o.API != nil {
		mux.Handle("/api/", o.API)
	}
	mux.Handle("GET /download/", downloads(o.Downloads))
	if o.WebSocket != "" {
		target, err := url.Parse(o.WebSocket)
		if err != nil {
			return nil, fmt.Errorf("websocket address: %w", err)
		}
		target.Scheme = "http"
		mux.Handle("GET "+SocketPath, o.proxy(target))
	}
	return o.secure(mux), nil
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

// proxy passes the WebSocket on. The mark goes in a cookie: the server hands nothing else on.
func (o Options) proxy(target *url.URL) http.Handler {
	proxy := o.reverseProxy(target)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.Proxies.SameOrigin(r) {
			http.Error(w, "this is for pages of this hub alone", http.StatusForbidden)
			return
		}
		if o.Admit == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		held, done, err := o.Admit(r)
		switch {
		case fault.Is(err, fault.Refused):
			http.Error(w, err.Error(), http.StatusUnauthorized)
		case err != nil:
			o.Logger.Warn("a WebSocket cannot be judged", "error", err)
			http.Error(w, "the hub cannot look at sessions now; try again", http.StatusServiceUnavailable)
		default:
			defer done()
			proxy.ServeHTTP(w, r.WithContext(held))
		}
	})
}

func (o Options) reverseProxy(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.URL.Path = "/"
			r.Out.Host = r.In.Host
			if r.In.Header.Get("Origin") != "" { // the listener holds it against the host once more, and knows no https
				r.Out.Header.Set("Origin", "http://"+r.In.Host)
			}
			r.Out.Header.Del("User-Agent") // to what calls itself a browser the server sends frames of 4 KB, each of which is an event there
			mark := o.Mark(o.Proxies.From(r.In))
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
