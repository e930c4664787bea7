package natsd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"keyhall.dev/keyhall/internal/fault"
)

// readyWithin bounds the wait for listeners that Start has already opened.
const readyWithin = 10 * time.Second

// Server is a running embedded NATS server on one data folder.
type Server struct {
	opts   Options
	keys   *Keys
	lock   *folderLock
	logger *serverLogger
	nats   *server.Server

	closing  sync.Once
	closeErr error
}

// Start runs a hub's server, and makes the hub's keys if the folder is new. It returns
// when the listeners accept connections (the NATS one later with DeferListen).
//
// Errors are faults with one sentence for the host, and then nothing is left
// running. JetStream is recovered before Start returns, which for large streams takes
// a while; ctx is looked at before and after.
func Start(ctx context.Context, opts Options) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the start was cancelled")
	}
	if err := openFolder(opts.DataDir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(opts.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, lock: lock, logger: &serverLogger{log: opts.Logger}}
	if err := s.start(ctx); err != nil {
		if closeErr := s.Close(); closeErr != nil {
			opts.Logger.Warn("clean up after a failed start", "error", closeErr)
		}
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	// A hub that was killed left its announcement; it is not true any more.
	if err := removeFile(filepath.Join(s.opts.DataDir, runFile)); err != nil {
		return fault.Wrap(fault.Internal, err, "an old %s in %s cannot be removed: run the hub as the owner of the folder",
			runFile, s.opts.DataDir)
	}
	var err error
	if s.keys, err = loadOrCreateKeys(s.opts.DataDir); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.opts.DataDir, keysFolder, outsideFile)); err == nil {
		return fault.New(fault.Conflict, "the hub in %s lives on a NATS system outside: start it with --attach", s.opts.DataDir)
	}
	if err := openServerFolders(s.opts.DataDir); err != nil {
		return err
	}
	if err := probeRoom(s.opts.DataDir); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the hub cannot write %d MiB in %s (%s): make room, then start it again",
			probeSize>>20, s.opts.DataDir, reason(err))
	}
	if err := s.startServer(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the start was cancelled")
	}
	return nil
}

// openServerFolders makes the server's folders. JetStream keeps its files one deeper.
func openServerFolders(dataDir string) error {
	for _, dir := range []string{resolverFolder, storeFolder, filepath.Join(storeFolder, server.JetStreamStoreDir)} {
		if err := openFolder(filepath.Join(dataDir, dir)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) startServer() error {
	resolver, err := openResolver(filepath.Join(s.opts.DataDir, resolverFolder), s.keys)
	if err != nil {
		return err
	}
	opts, err := s.opts.serverOptions(s.keys, resolver)
	if err == nil {
		err = probeAddress("NATS", opts.Host, opts.Port)
	}
	if err == nil {
		err = probeAddress("WebSocket", opts.Websocket.Host, opts.Websocket.Port)
	}
	var ns *server.Server
	if err == nil {
		ns, err = newServer(opts)
	}
	if err != nil {
		resolver.Close() // from here on the server closes it
		return err
	}
	s.nats = ns
	ns.SetLoggerV2(s.logger, false, false, false)
	ns.Start()
	return s.ready()
}

func newServer(opts *server.Options) (*server.Server, error) {
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the NATS server refuses its settings (%s): this is a defect of Keyhall", err)
	}
	return ns, nil
}

// openResolver opens the folder of account JWTs and puts the hub's own four in. They
// replace what was there: they follow from the keys and from this version alone.
func openResolver(dir string, keys *Keys) (*server.DirAccResolver, error) {
	resolver, err := server.NewDirAccResolver(dir, 0, 0, server.NoDelete)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the account folder %s cannot be opened: run the hub as the owner of the folder", dir)
	}
	for account, token := range keys.AccountJWTs() {
		if err := resolver.SaveAcc(account, token); err != nil {
			resolver.Close()
			return nil, fault.Wrap(fault.Internal, err, "the hub cannot write in the folder %s (%s): "+
				"run it as the owner of the folder, and see that the disk is not full", dir, reason(err))
		}
	}
	return resolver, nil
}

// ready tells a server that runs from one that gave up on the way: it does not return
// an error, it logs one.
func (s *Server) ready() error {
	if text := s.logger.failure(); text != "" {
		return fault.Wrap(fault.Unavailable, errors.New(text), "the NATS server in %s did not start: %s",
			s.opts.DataDir, strings.ReplaceAll(text, "\n", " "))
	}
	if !s.nats.ReadyForConnections(readyWithin) {
		return fault.New(fault.Unavailable, "the NATS server in %s did not come up within %s: "+
			"look at the log, and at the load of the machine", s.opts.DataDir, readyWithin)
	}
	if !s.opts.DeferListen {
		s.logger.up()
	}
	return nil
}

// Listen opens the NATS listener that DeferListen kept closed. Call it once.
func (s *Server) Listen() error {
	if s.nats.Addr() != nil {
		return nil
	}
	s.nats.AcceptLoop(make(chan struct{}))
	if s.nats.Addr() != nil {
		s.logger.up()
		return nil
	}
	host, port, err := splitAddress("NATS", s.opts.NATS)
	if err == nil {
		err = probeAddress("NATS", host, port)
	}
	if err == nil {
		err = s.ready()
	}
	if err == nil {
		err = fault.New(fault.Unavailable, "the NATS listener did not open: the server is closing")
	}
	return err
}

// Keys are the hub's keys.
func (s *Server) Keys() *Keys { return s.keys }

// ClientURL is where clients on this machine connect, or "" before Listen. An address
// that means every interface is shown as loopback.
func (s *Server) ClientURL() string {
	addr, ok := s.nats.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	host, _, err := net.SplitHostPort(s.opts.NATS)
	if err != nil || host == "" || addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, fmt.Sprint(addr.Port))
}

// WebSocketURL is where the HTTP origin's proxy connects: ws://host:port.
func (s *Server) WebSocketURL() string { return s.nats.WebsocketURL() }

// InProcessConn makes a connection to the server without the network; it makes
// a Server the argument of nats.InProcessServer.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// Connect connects one of the hub's services inside the process. Options given here
// come after those of the login.
func (s *Server) Connect(login Login, options ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{nats.InProcessServer(s)}, login.Options()...)
	nc, err := nats.Connect("", append(all, options...)...)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", login.Name, err)
	}
	return nc, nil
}

// Announce writes run.json, so that other commands on this machine find the hub. Call
// it once the hub accepts everybody; httpURL is its HTTP origin.
func (s *Server) Announce(httpURL string) error {
	run := Run{NATS: s.ClientURL(), WebSocket: s.WebSocketURL(), HTTP: httpURL, PID: os.Getpid()}
	if err := writeRun(s.opts.DataDir, run); err != nil {
		return fault.Wrap(fault.Internal, err, "the hub cannot write %s in %s (%s): see that the disk is not full",
			runFile, s.opts.DataDir, reason(err))
	}
	return nil
}

// Close stops the server, waits until it is down, removes run.json and lets another
// hub use the folder. Further calls do nothing and return the first result.
func (s *Server) Close() error {
	s.closing.Do(func() {
		err := removeFile(filepath.Join(s.opts.DataDir, runFile))
		if s.nats != nil {
			s.nats.Shutdown()
			s.nats.WaitForShutdown()
		}
		s.closeErr = errors.Join(err, s.lock.release())
	})
	return s.closeErr
}
