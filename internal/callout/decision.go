package callout

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"keyhall.dev/keyhall/internal/fault"
)

// maxShown bounds what a Decision repeats of a client's own words, in bytes.
const maxShown = 256

// Decision is how one login ended, for audit and for closing the connection later. It
// holds no secrets. Allowed is the engine's word: the server may still refuse, for
// instance when the client has gone.
type Decision struct {
	Allowed bool
	Reason  string // why not; for the host, not for the client
	Backend string // who decided; empty where nobody was asked
	Rule    string // why, as granted

	Name    string // as granted
	Account string // A…, as granted
	User    string // the user field, the client's own words, cut at 256 bytes
	Client  Client
	Server  Server
	UserKey string // U…, of this connection alone
	Expires time.Time

	Duration time.Duration // from hearing the request to the answer
}

// newDecision starts from what is known before anyone is asked. A request that could
// not be opened is nil.
func newDecision(request *Request) Decision {
	if request == nil {
		return Decision{}
	}
	d := Decision{User: cut(request.User), Client: request.Client, Server: request.Server, UserKey: request.UserKey}
	d.Client.Name = cut(d.Client.Name)
	return d
}

func cut(text string) string {
	if len(text) > maxShown {
		return text[:maxShown]
	}
	return text
}

// log writes the decision. The error ends here: the client is told nothing of it.
func (d Decision) log(logger *slog.Logger, err error) {
	attributes := []any{
		"user", d.User, "host", d.Client.Host, "client", d.Client.Name, "type", d.Client.Type,
		"server", d.Server.ID, "cid", d.Client.ID, "user_key", d.UserKey, "duration", d.Duration,
	}
	if d.Allowed {
		logger.Debug("login allowed", append(attributes, "name", d.Name, "account", d.Account)...)
		return
	}
	attributes = append(attributes, "reason", d.Reason)
	var f *fault.Error
	if errors.As(err, &f) && f.Cause != nil {
		attributes = append(attributes, "cause", f.Cause)
	}
	logger.Log(context.Background(), d.level(err), "login refused", attributes...)
}

// level tells a person who may not enter, which is everyday, from a callout that does
// not work.
func (d Decision) level(err error) slog.Level {
	code := fault.CodeOf(err)
	switch {
	case errors.Is(err, errDefect):
		return slog.LevelError
	case d.UserKey == "", code == fault.Unavailable, code == fault.Internal:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}
