package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

// listener is one address that is served.
type listener struct {
	at   net.Listener
	http *http.Server
	done chan error
}

// listen serves one more address until Close; flag is what a host would change it with.
func (s *Server) listen(life context.Context, o Options, address, flag string, config *tls.Config, handler http.Handler) error {
	at, err := net.Listen("tcp", address)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err,
			"the HTTP address %s cannot be used (%v); choose another with %s", address, innermost(err), flag)
	}
	l := &listener{at: at, done: make(chan error, 1), http: &http.Server{
		// WebSockets leave the server's hands; they end with this context.
		BaseContext: func(net.Listener) context.Context { return life },
		Handler:     handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, TLSConfig: config,
		ErrorLog: slog.NewLogLogger(handshakes{o.Logger.Handler()}, slog.LevelWarn),
	}}
	s.listeners = append(s.listeners, l)
	go func() {
		if config != nil {
			l.done <- l.http.ServeTLS(at, "", "")
			return
		}
		l.done <- l.http.Serve(at)
	}()
	return nil
}

func (l *listener) close() error {
	err := l.http.Close()
	if served := <-l.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func innermost(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}

// handshakes logs handshakes that failed as what they are, the weather of the internet, and the rest as it comes.
type handshakes struct{ slog.Handler }

// Handle implements slog.Handler.
func (h handshakes) Handle(ctx context.Context, record slog.Record) error {
	if strings.HasPrefix(record.Message, "http: TLS handshake error") {
		if record.Level = slog.LevelDebug; !h.Enabled(ctx, record.Level) {
			return nil
		}
	}
	return h.Handler.Handle(ctx, record)
}
