package natsd

import (
	"log/slog"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
)

// Login is how one service of the hub connects.
type Login struct {
	Name      string // what the service is called in NATS's own reports
	Account   string // A…
	PublicKey string // U…
	JWT       string

	seed []byte
}

// InboxPrefix is the only inbox this login may subscribe to: _INBOX_<U>.
func (l Login) InboxPrefix() string { return inboxPrefix(l.PublicKey) }

// Creds is the login as the text of a creds file, for programs that take one. It
// holds the seed.
func (l Login) Creds() ([]byte, error) { return jwt.FormatUserConfig(l.JWT, l.seed) }

// connectTime is how long a service of the hub waits for the server to answer its login: on a busy machine the library's
// own two seconds end hubs that would have started.
const connectTime = 30 * time.Second

// Options are the client options of this login: creds, name and inbox. Where to
// connect is up to the caller.
func (l Login) Options() []nats.Option {
	return []nats.Option{
		nats.Name(l.Name),
		nats.UserJWTAndSeed(l.JWT, string(l.seed)),
		nats.CustomInboxPrefix(l.InboxPrefix()),
		nats.Timeout(connectTime),
	}
}

// LogValue keeps the seed out of logs.
func (l Login) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", l.Name), slog.String("user", l.PublicKey))
}

// String keeps the seed out of formatted text.
func (l Login) String() string { return l.Name + " " + l.PublicKey }

// GoString keeps the seed out of %#v.
func (l Login) GoString() string { return l.String() }
