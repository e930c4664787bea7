package natsd

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// ownPlainWebSocket is what the server warns of at every start: a WebSocket listener
// without TLS. Ours is on loopback behind the hub's HTTP origin, and the warning would
// only frighten a host.
const ownPlainWebSocket = "Websocket not configured with TLS"

// calloutRefusal is the server's second line about a login that the callout refused,
// after the one about the connection. The callout logs it too, with the reason.
const calloutRefusal = "Auth callout service returned an error"

// serverLogger takes the server's log lines: warnings and errors go to slog (those of
// one client as information), the rest nowhere. A fatal line does not end the process. While the server starts, the first
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
	if strings.HasPrefix(text, ownPlainWebSocket) || strings.HasPrefix(text, calloutRefusal) {
		return
	}
	l.write(slog.LevelWarn, "nats server warning", text)
}

func (l *serverLogger) Errorf(format string, args ...any) {
	l.write(slog.LevelError, "nats server error", fmt.Sprintf(format, args...))
}

// write lowers what one connection did wrong: a wrong login is an error to the server,
// but on a port that anybody can reach it is everyday, and not the hub's.
func (l *serverLogger) write(level slog.Level, message, text string) {
	if strings.Contains(text, " - cid:") || strings.Contains(text, " - wid:") {
		level, message = slog.LevelInfo, "nats client error"
	}
	l.log.Log(context.Background(), level, message, "text", text)
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
