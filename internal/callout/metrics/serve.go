package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

// Path is where metrics are.
const Path = "/metrics"

const (
	loopback  = "127.0.0.1"
	headTime  = 5 * time.Second
	writeTime = 15 * time.Second
	closeTime = 2 * time.Second
)

// Server serves metrics over HTTP.
type Server struct {
	listener net.Listener
	server   *http.Server
	ended    chan struct{}
}

// Serve serves metrics on an address, host:port; an address without a host is one of this
// machine alone. Nobody has to log in: whoever reaches it reads it.
func Serve(m *Metrics, address string, logger *slog.Logger) (*Server, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "%q is not an address for metrics: write it as host:port", address)
	}
	if host == "" {
		host = loopback
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		reason := err
		for next := err; next != nil; next = errors.Unwrap(next) {
			reason = next // the innermost says it without the address
		}
		return nil, fault.Wrap(fault.Unavailable, err, "the address %s for metrics cannot be used (%v); choose another with --metrics", address, reason)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, m.Handler())
	s := &Server{listener: listener, ended: make(chan struct{}), server: &http.Server{
		Handler: mux, ReadHeaderTimeout: headTime, ReadTimeout: headTime, WriteTimeout: writeTime, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}}
	go func() {
		defer close(s.ended)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("metrics are not served any more", "error", err)
		}
	}()
	return s, nil
}

// URL is where the metrics are.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + Path }

// Close stops serving.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = s.server.Close()
	}
	<-s.ended
	return err
}
