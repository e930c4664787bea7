package natsd

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// ownPlainWebSocket is what the server warns of at every start: a WebSocket listener
// without TLS. Ours is on loopback behind the hub's HTTP origin, and the warning would
// only frighten a host.
const ownPlainWebSocket = "Websocket not configured with TLS"

// serverLogger takes the server's log lines: warnings and errors go to slog, the rest
// nowhere. A fatal line does not end the process. While the server starts, the first
// one is kept, for the server reports a failed start in no other way; later it is
// an error like others.
type serverLogger struct {
	log *slog.Logger

	mu      sync.Mutex
	started bool
	fatal   string
}

func (l *serverLogger) Warnf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if strings.HasPrefix(text, ownPlainWebSocket) {
		return
	}
	l.log.Warn("nats server warning", "text", text)
}

func (l *serverLogger) Errorf(format string, args ...any) {
	l.log.Error("nats server error", "text", fmt.Sprintf(format, args...))
}

func (l *serverLogger) Fatalf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started {
		l.Errorf(format, args...)
		return
	}
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, args...)
	}
}

func (l *serverLogger) Noticef(string, ...any) {}
func (l *serverLogger) Debugf(string, ...any)  {}
func (l *serverLogger) Tracef(string, ...any)  {}

// failure is the first fatal line, or nothing.
func (l *serverLogger) failure() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// up says that the start is over.
func (l *serverLogger) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started = true
}
